//! The part of the management API that defines topics and event subscriptions, as the `azure-mgmt-eventgrid` clients speak it.
//! Everything is done when the answer comes: no operation has to be polled.
//!
//! Source: the REST reference of Microsoft.EventGrid, 2022-06-15.

mod advanced_filter;
mod delivery_attribute;
mod event_subscription;
mod input_mapping;
mod subscription_input;
mod topic;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::de::DeserializeOwned;

use super::EventGrid;
use super::error::EventGridError;
use crate::request::AzureRequest;
use crate::resource_manager;

const PROVIDER: &str = "microsoft.eventgrid";

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
enum Target<'r> {
    Topics,
    Topic(TopicPlace<'r>),
    TopicAction(TopicPlace<'r>, &'r str),
    Subscriptions(TopicPlace<'r>),
    Subscription(TopicPlace<'r>, &'r str),
    SubscriptionAction(TopicPlace<'r>, &'r str, &'r str),
    Other,
}

/// A topic with its subscription and resource group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TopicPlace<'r> {
    subscription: &'r str,
    group: &'r str,
    topic: &'r str,
}

/// Whether a path is one of this provider.
pub(super) fn is_meant(path: &str) -> bool {
    resource_manager::is_of_provider(path, PROVIDER)
}

/// Lets a request in by its head, or says why not.
pub(super) fn admit(service: &EventGrid, head: &AzureRequest) -> Result<(), EventGridError> {
    resource_manager::authorize(head, &service.management)?;
    resource_manager::require_api_version(head)?;
    Ok(())
}

pub(super) async fn call(
    service: &EventGrid,
    request: &AzureRequest,
    segments: &[&str],
) -> Result<Response<Bytes>, EventGridError> {
    match (target(segments), request.method.as_str()) {
        (Target::Topics, "GET") => Ok(topic::list(service)),
        (Target::Topic(place), "GET") => topic::get(service, place.topic),
        (Target::Topic(place), "PUT") => topic::put(service, request, place).await,
        (Target::Topic(place), "PATCH") => topic::patch(service, request, place.topic).await,
        (Target::Topic(place), "DELETE") => topic::delete(service, place.topic).await,
        (Target::TopicAction(place, "listkeys"), "POST") => topic::list_keys(service, place.topic),
        (Target::TopicAction(place, "regeneratekey"), "POST") => {
            topic::regenerate_key(service, request, place.topic).await
        }
        (Target::Subscriptions(place), "GET") => event_subscription::list(service, place.topic),
        (Target::Subscription(place, name), "GET") => event_subscription::get(service, place.topic, name),
        (Target::Subscription(place, name), "PUT") => {
            event_subscription::put(service, request, place.topic, name).await
        }
        (Target::Subscription(place, name), "PATCH") => {
            event_subscription::patch(service, request, place.topic, name).await
        }
        (Target::Subscription(place, name), "DELETE") => event_subscription::delete(service, place.topic, name).await,
        (Target::SubscriptionAction(place, name, "getfullurl"), "POST") => {
            event_subscription::full_url(service, place.topic, name)
        }
        (Target::Other | Target::TopicAction(..) | Target::SubscriptionAction(..), _) => {
            let feature = format!("{} {}", request.method, request.path);
            Err(EventGridError::not_supported(&feature))
        }
        _ => Err(EventGridError::method_not_allowed("of a resource's operations")),
    }
}

/// Finds what a path names; its fixed parts are written in any case.
fn target<'r>(segments: &[&'r str]) -> Target<'r> {
    let lower: Vec<String> = segments.iter().map(|segment| segment.to_ascii_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    match lower.as_slice() {
        ["subscriptions", _, "providers", PROVIDER, "topics"]
        | ["subscriptions", _, "resourcegroups", _, "providers", PROVIDER, "topics"] => return Target::Topics,
        ["subscriptions", _, "resourcegroups", _, "providers", PROVIDER, "topics", _, ..] => {}
        _ => return Target::Other,
    }
    let place = TopicPlace { subscription: segments[1], group: segments[3], topic: segments[7] };
    // The scope of an extension resource, or a child of the topic: the same subscriptions.
    let children = match &lower[8..] {
        ["providers", PROVIDER, ..] => 10,
        _ => 8,
    };
    let names = &segments[children..];
    match (&lower[children..], names) {
        ([], _) if children == 8 => Target::Topic(place),
        (["eventsubscriptions"], _) => Target::Subscriptions(place),
        (["eventsubscriptions", _], [_, name]) => Target::Subscription(place, name),
        (["eventsubscriptions", _, "getfullurl"], [_, name, _]) => {
            Target::SubscriptionAction(place, name, "getfullurl")
        }
        (["listkeys"], _) if children == 8 => Target::TopicAction(place, "listkeys"),
        (["regeneratekey"], _) if children == 8 => Target::TopicAction(place, "regeneratekey"),
        _ => Target::Other,
    }
}

/// A request's body.
fn input<T: DeserializeOwned>(request: &AzureRequest) -> Result<T, EventGridError> {
    let wrong = |error| {
        EventGridError::new(
            StatusCode::BAD_REQUEST,
            "InvalidRequestContent",
            format!("The request content was invalid: {error}."),
        )
    };
    serde_json::from_slice(&request.body).map_err(wrong)
}

/// An answer without a body.
fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_resources_in_both_forms() {
        let place = TopicPlace { subscription: "s", group: "g", topic: "Orders" };
        let topic = "subscriptions/s/resourceGroups/g/providers/Microsoft.EventGrid/topics/Orders";
        for (path, expected) in [
            ("subscriptions/s/providers/Microsoft.EventGrid/topics".to_owned(), Target::Topics),
            (topic.to_owned(), Target::Topic(place)),
            (topic.to_lowercase().replace("orders", "Orders"), Target::Topic(place)),
            (format!("{topic}/listKeys"), Target::TopicAction(place, "listkeys")),
            (format!("{topic}/eventSubscriptions"), Target::Subscriptions(place)),
            (format!("{topic}/eventSubscriptions/All"), Target::Subscription(place, "All")),
            (
                format!("{topic}/providers/Microsoft.EventGrid/eventSubscriptions/All"),
                Target::Subscription(place, "All"),
            ),
            (
                format!("{topic}/providers/Microsoft.EventGrid/eventSubscriptions/All/getFullUrl"),
                Target::SubscriptionAction(place, "All", "getfullurl"),
            ),
            (format!("{topic}/providers/Microsoft.EventGrid/listKeys"), Target::Other),
            (format!("{topic}/privateEndpointConnections/p"), Target::Other),
            ("subscriptions/s/resourceGroups/g/providers/Microsoft.EventGrid/domains/d".to_owned(), Target::Other),
            ("subscriptions".to_owned(), Target::Other),
        ] {
            let segments: Vec<&str> = path.split('/').collect();
            assert_eq!(target(&segments), expected, "{path}");
        }
    }
}
