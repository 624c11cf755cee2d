//! SNS: topics; a subscription is its topic's.

use super::{ANY, Member, Need, UNKNOWN};
use crate::place::Place;

pub(super) fn need(place: &Place, operation: &str, member: Member<'_>) -> Need {
    let action = operation.strip_suffix("Batch").unwrap_or(operation);
    let subscribed = || {
        let arn = member("SubscriptionArn")?;
        arn.rsplit_once(':').map(|(topic, _)| topic.to_owned())
    };
    let resource = match operation {
        "CreateTopic" => member("Name").map(|name| place.arn("sns", &name)),
        "ListTopics" | "ListSubscriptions" => return Need::new(format!("sns:{action}"), ANY),
        "TagResource" | "UntagResource" | "ListTagsForResource" => member("ResourceArn"),
        "Unsubscribe" | "GetSubscriptionAttributes" | "SetSubscriptionAttributes" => subscribed(),
        "Publish" => member("TopicArn").or_else(|| member("TargetArn")),
        _ => member("TopicArn"),
    };
    let resource = resource.map_or_else(|| UNKNOWN.to_owned(), |arn| place.own_arn(&arn));
    Need::new(format!("sns:{action}"), resource)
}
