//! Firehose: delivery streams.

use super::{ANY, Member};
use crate::place::Place;

pub(super) fn resource(place: &Place, operation: &str, member: Member<'_>) -> String {
    let name = if operation == "ListDeliveryStreams" { None } else { member("DeliveryStreamName") };
    name.map_or(ANY.to_owned(), |name| place.arn("firehose", &format!("deliverystream/{name}")))
}
