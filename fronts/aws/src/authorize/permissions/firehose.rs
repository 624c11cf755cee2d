//! Firehose: delivery streams. Whoever gives one a role must be allowed to pass the role on.

use super::members::Members;
use super::{ANY, Need, UNKNOWN};
use crate::authorize::{Authorizer, Service};
use crate::place::Place;

pub(super) fn needs(authorizer: &Authorizer, operation: &str, members: &Members) -> Vec<Need> {
    let mut needs = vec![Need::new(format!("firehose:{operation}"), resource(&authorizer.place, operation, members))];
    if matches!(operation, "CreateDeliveryStream" | "UpdateDestination") {
        let roles = members.texts_within("RoleARN");
        needs.extend(roles.iter().map(|role| authorizer.pass_role(Service::Firehose, role)));
    }
    needs
}

pub(super) fn resource(place: &Place, operation: &str, members: &Members) -> String {
    if operation == "ListDeliveryStreams" {
        return ANY.to_owned();
    }
    let name = members.text("DeliveryStreamName");
    name.map_or(UNKNOWN.to_owned(), |name| place.arn("firehose", &format!("deliverystream/{name}")))
}
