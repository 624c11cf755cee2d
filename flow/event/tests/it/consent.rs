//! Who is delivered to: webhooks that agree, and are told of the end; what cannot be a subscription.

use std::time::Duration;

use http::Method;
use millstream_catalog::{EventEndpoint, EventRetry, EventSchema};
use millstream_event::engine::Provisioning;
use millstream_event::{EventError, NewSubscription};
use serde_json::json;

use super::world::{Hook, Node, Seen, code, subscription, text};

#[tokio::test]
async fn a_webhook_is_told_that_its_subscription_has_ended() {
    let node = Node::new();
    let running = node.start();
    running.topic(EventSchema::EventGrid).await;
    let hook = Hook::start(Box::new(|seen| match code(seen) {
        Some(code) => text(200, &json!({ "validationResponse": code }).to_string()),
        None if seen.method == Method::OPTIONS => {
            let mut answer = text(200, "");
            answer.headers_mut().insert("webhook-allowed-origin", "*".parse().unwrap());
            answer
        }
        None => text(200, ""),
    }))
    .await;
    for schema in [EventSchema::EventGrid, EventSchema::CloudEvents] {
        let new = NewSubscription { delivery_schema: schema, ..subscription("all", hook.endpoint()) };
        running.events.put_subscription(new).await.unwrap();
        running.events.delete_subscription("orders", "all").await.unwrap();
        let told = async {
            loop {
                let is_deletion = |seen: &Seen| seen.headers.get("x-kind").is_some_and(|kind| kind == "deletion");
                let mut seen = hook.seen.lock().unwrap().clone();
                if let Some(at) = seen.iter().position(is_deletion) {
                    hook.seen.lock().unwrap().clear();
                    return seen.swap_remove(at);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(30), told).await.unwrap();
        assert_eq!(told.headers["x-subscription"], "all");
        let (event, kind) = match schema {
            EventSchema::CloudEvents => (&told.body, "type"),
            _ => (&told.body[0], "eventType"),
        };
        assert_eq!((&event[kind], &event["data"]), (&json!("deleted"), &json!({ "id": "/topics/orders/all" })));
    }
    running.events.shutdown().await;
}

#[tokio::test]
async fn webhooks_have_to_consent() {
    let running = Node::new().start();
    running.topic(EventSchema::EventGrid).await;
    let silent = Hook::start(Box::new(|_| text(200, "{}"))).await;
    let put = running.events.put_subscription(subscription("silent", silent.endpoint())).await.unwrap();
    assert_eq!(running.events.provisioning(&put.definition), Provisioning::AwaitingValidation);
    running.publish([1]).await;
    let url = silent.seen.lock().unwrap()[0].body[0]["data"]["validationUrl"].as_str().unwrap().to_owned();
    let code = url.rsplit('/').next().unwrap();
    assert!(matches!(running.events.confirm("orders", "silent", "wrong").await, Err(EventError::NothingToConfirm)));
    assert!(silent.deliveries().is_empty());
    running.events.confirm("orders", "silent", code).await.unwrap();
    assert!(matches!(running.events.confirm("orders", "silent", code).await, Err(EventError::NothingToConfirm)));
    running.until("silent", |status| status.delivered == 1).await;

    // The same address is not asked again, another one is.
    let asked = silent.seen.lock().unwrap().iter().filter(|seen| code_of(seen)).count();
    running.events.put_subscription(subscription("silent", silent.endpoint())).await.unwrap();
    assert_eq!(silent.seen.lock().unwrap().iter().filter(|seen| code_of(seen)).count(), asked);
    for (status, body, expected) in
        [(202, "{}", "expected status 200, found 202"), (302, "", "found 302"), (500, "", "found 500")]
    {
        let hook = Hook::start(Box::new(move |_| text(status, body))).await;
        let error =
            running.events.put_subscription(subscription("silent", hook.endpoint())).await.unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("secret"), "{error}");
    }
    running.publish([2]).await;
    running.until("silent", |status| status.delivered == 2).await;
}

fn code_of(seen: &Seen) -> bool {
    code(seen).is_some()
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_the_reason() {
    let mut node = Node::new();
    node.private_addresses = false;
    let running = node.start();
    running.topic(EventSchema::CloudEvents).await;
    let webhook = |url: &str| subscription("one", EventEndpoint::Webhook { url: url.into() });
    let cloud = |new: NewSubscription| NewSubscription { delivery_schema: EventSchema::CloudEvents, ..new };
    let function = EventEndpoint::Function { name: "none".into() };
    for (new, expected) in [
        (webhook("https://example.org"), "delivers CloudEvents only"),
        (cloud(webhook("http://127.0.0.1:1/")), "private"),
        (cloud(webhook("http://[::1]:1/")), "private"),
        (cloud(webhook("http://localhost:1/")), "private"),
        (cloud(webhook("ftp://example.org")), "http or https"),
        (cloud(webhook("http://user@example.org/")), "http or https"),
        (cloud(webhook("/relative")), "http or https"),
        (cloud(subscription("one", EventEndpoint::Queue { name: "q".into() })), "delivery to a queue is not supported"),
        (
            cloud(subscription("one", EventEndpoint::Stream { name: "topic/orders".into() })),
            "belongs to another resource",
        ),
        (cloud(subscription("one", EventEndpoint::Stream { name: "none".into() })), "no stream `none`"),
        (cloud(subscription("one", function.clone())), "no function `none`"),
        (cloud(subscription("a/b", function.clone())), "letters, digits and `-`"),
        (
            cloud(NewSubscription {
                retry: EventRetry { attempts_max: 31, ttl_minutes: 1 },
                ..subscription("one", function)
            }),
            "from 1 to 30",
        ),
    ] {
        let error = running.events.put_subscription(new).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}
