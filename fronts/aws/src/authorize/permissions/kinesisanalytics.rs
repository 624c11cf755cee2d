//! Kinesis Analytics: applications. Whoever gives one a role must be allowed to pass the role on.

use super::members::Members;
use super::{ANY, Need, UNKNOWN};
use crate::authorize::{Authorizer, Service};
use crate::place::Place;

/// Operations that may name roles.
const WITH_ROLES: [&str; 7] = [
    "CreateApplication",
    "UpdateApplication",
    "AddApplicationInput",
    "AddApplicationOutput",
    "AddApplicationReferenceDataSource",
    "AddApplicationCloudWatchLoggingOption",
    "DiscoverInputSchema",
];

pub(super) fn needs(authorizer: &Authorizer, operation: &str, members: &Members) -> Vec<Need> {
    let resource = resource(&authorizer.place, operation, members);
    let mut needs = vec![Need::new(format!("kinesisanalytics:{operation}"), resource)];
    if WITH_ROLES.contains(&operation) {
        let mut roles = members.texts_within("RoleARN");
        roles.extend(members.texts_within("RoleARNUpdate"));
        roles.extend(members.texts_within("ReferenceRoleARN"));
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
