//! Kinesis Analytics: applications. Whoever gives one a role must be allowed to pass the role on.

use super::members::Members;
use super::{ANY, Need, UNKNOWN};
use crate::authorize::{Authorizer, Service};
use crate::place::Place;

/// Operations that may name roles.
const WITH_ROLES: [&str; 8] = [
    "CreateApplication",
    "UpdateApplication",
    "AddApplicationInput",
    "AddApplicationInputProcessingConfiguration",
    "AddApplicationOutput",
    "AddApplicationReferenceDataSource",
    "AddApplicationCloudWatchLoggingOption",
    "DiscoverInputSchema",
];

/// Members that name them, in both APIs.
const ROLES: [&str; 6] = [
    "RoleARN",
    "RoleARNUpdate",
    "ReferenceRoleARN",
    "ReferenceRoleARNUpdate",
    "ServiceExecutionRole",
    "ServiceExecutionRoleUpdate",
];

pub(super) fn needs(authorizer: &Authorizer, operation: &str, members: &Members) -> Vec<Need> {
    let resource = resource(&authorizer.place, operation, members);
    let mut needs = vec![Need::new(format!("kinesisanalytics:{operation}"), resource)];
    if WITH_ROLES.contains(&operation) {
        let roles: Vec<String> = ROLES.iter().flat_map(|member| members.texts_within(member)).collect();
        needs.extend(roles.iter().map(|role| authorizer.pass_role(Service::KinesisAnalytics, role)));
    }
    needs
}

pub(super) fn resource(place: &Place, operation: &str, members: &Members) -> String {
    if matches!(operation, "ListApplications" | "DiscoverInputSchema") {
        return ANY.to_owned();
    }
    if matches!(operation, "TagResource" | "UntagResource" | "ListTagsForResource") {
        return members.text("ResourceARN").map_or(UNKNOWN.to_owned(), |arn| place.own_arn(&arn));
    }
    let name = members.text("ApplicationName");
    name.map_or(UNKNOWN.to_owned(), |name| place.arn("kinesisanalytics", &format!("application/{name}")))
}
