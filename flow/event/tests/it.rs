//! The event engine over the storage model, webhooks of this machine and a bucket in memory.

#![allow(clippy::unwrap_used)]

#[path = "it/consent.rs"]
mod consent;
#[path = "it/messages.rs"]
mod messages;
#[path = "it/world.rs"]
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;
use millstream_catalog::{
    Catalog, DeadLetterTarget, EventBatching, EventEndpoint, EventFilter, EventRetry, EventSchema, FieldCondition,
    FieldTest, StreamOwner,
};
use millstream_event::{NewSubscription, Outcome, RetrySchedule};
use millstream_insight::Step;
use millstream_storage::Transaction;
use millstream_stream::NewStream;
use millstream_types::{Clock, ManualClock};
use serde_json::{Value, json};

use world::{Hook, Node, code, subscription, text};

#[tokio::test]
async fn an_event_that_is_gone_takes_none_of_its_batch_along() {
    let clock = Arc::new(ManualClock::at(1_700_000_000_000));
    let node = Node::with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let running = node.start_with(|options| options.schedule = RetrySchedule::of(&[Duration::from_millis(100)]));
    let topic = running.topic(EventSchema::EventGrid).await;
    let up = Arc::new(AtomicBool::new(false));
    let answers = Arc::clone(&up);
    let hook = Hook::answering(move |_, _| if answers.load(Ordering::Relaxed) { 200 } else { 503 }).await;
    let batching = EventBatching { events_max: 5, ..EventBatching::default() };
    running
        .events
        .put_subscription(NewSubscription { batching, ..subscription("all", hook.endpoint()) })
        .await
        .unwrap();
    for id in 1..=3 {
        running.publish([id]).await;
        running.until("all", |status| status.failed_attempts == u64::from(id) && status.waiting == u64::from(id)).await;
    }
    let mut transaction = Transaction::new();
    transaction.trim_log(running.streams.get(&topic.stream()).unwrap().shards[0].log(), 1);
    node.storage.commit(transaction).await.unwrap();
    up.store(true, Ordering::Relaxed);
    clock.advance(100);
    running.until("all", |status| status.delivered == 2 && status.dropped == 1 && status.waiting == 0).await;
    running.events.shutdown().await;
}

#[tokio::test]
async fn events_go_to_those_who_want_them() {
    let node = Node::new();
    let running = node.start();
    running.topic(EventSchema::EventGrid).await;
    running
        .streams
        .create(NewStream { name: "sink".into(), owner: StreamOwner::User, shards: 1, retention_hours: 24 })
        .await
        .unwrap();
    let hook = Hook::answering(|_, _| 200).await;
    running.publish([0]).await;
    let condition = FieldCondition { key: "data.id".into(), test: FieldTest::NumberGreaterThan(2.0) };
    let filter = EventFilter { conditions: vec![condition], ..EventFilter::default() };
    let filtered = NewSubscription { filter, ..subscription("large", hook.endpoint()) };
    assert!(running.events.put_subscription(filtered).await.unwrap().created);
    running.events.put_subscription(subscription("all", EventEndpoint::Stream { name: "sink".into() })).await.unwrap();
    running.publish(1..=4).await;
    running.until("large", |status| status.delivered == 2 && status.filtered == 2).await;
    running.until("all", |status| status.delivered == 4).await;

    assert_eq!(hook.ids(), [3, 4], "what was published before it subscribed is not for it");
    let first = &hook.deliveries()[0];
    let header = |name: &str| first.headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/json; charset=utf-8");
    assert_eq!((header("x-subscription"), header("x-count")), ("large".to_owned(), "0".to_owned()));
    assert_eq!((header("x-metadata-version"), header("x-data-version")), ("1".to_owned(), "1".to_owned()));
    assert_eq!(header("x-event-id"), first.body[0]["id"]);
    let sink = running.streams.get("sink").unwrap();
    let read = running.streams.read(sink.shards[0].log(), 0, 1 << 20).await.unwrap();
    let records: Vec<Value> = read
        .batches
        .iter()
        .flat_map(|batch| batch.iter())
        .map(|record| serde_json::from_slice::<Value>(record.data).unwrap()[0]["data"]["id"].clone())
        .collect();
    assert_eq!(records.len(), 4);
    running.events.delete_topic("orders").await.unwrap();
    assert!(running.events.status("orders", "all").is_none() && running.streams.get("topic/orders").is_err());
}

#[tokio::test]
async fn a_delivery_is_tried_again_until_it_is_taken() {
    let running = Node::new().start();
    running.topic(EventSchema::EventGrid).await;
    let hook = Hook::answering(|id, time| if id == 1 && time < 4 { 503 } else { 204 }).await;
    running.events.put_subscription(subscription("all", hook.endpoint())).await.unwrap();
    running.publish([1, 2]).await;
    running.until("all", |status| status.delivered == 2 && status.waiting == 0).await;
    let counts: Vec<_> = hook
        .deliveries()
        .iter()
        .filter(|seen| seen.body[0]["data"]["id"] == 1)
        .map(|seen| seen.headers["x-count"].to_str().unwrap().to_owned())
        .collect();
    assert_eq!(counts, ["0", "1", "2", "3"]);
    let log = running.events.deliveries("orders", "all").unwrap();
    let of_first: Vec<_> =
        log.iter().filter(|one| one.event_id == "1").map(|one| (one.attempt, one.outcome, one.status)).collect();
    let busy = |attempt| (attempt, Outcome::Busy, Some(503));
    assert_eq!(of_first, [busy(1), busy(2), busy(3), (4, Outcome::Delivered, Some(204))]);
    assert!(log.windows(2).all(|pair| pair[0].number < pair[1].number));
}

#[tokio::test]
async fn what_is_not_delivered_becomes_a_dead_letter() {
    let node = Node::new();
    let running = node.start();
    running.topic(EventSchema::EventGrid).await;
    let hook = Hook::answering(|id, _| if id == 1 { 400 } else { 503 }).await;
    let dead_letter = Some(DeadLetterTarget { bucket: "letters".into(), prefix: "dead/".into() });
    let retry = EventRetry { attempts_max: 3, ttl_minutes: 1 };
    let with_letters = NewSubscription { dead_letter, retry, ..subscription("all", hook.endpoint()) };
    running.events.put_subscription(with_letters).await.unwrap();
    running
        .events
        .put_subscription(NewSubscription { retry, ..subscription("without", hook.endpoint()) })
        .await
        .unwrap();
    running.publish([1, 2]).await;
    running.until("all", |status| status.dead_lettered == 2 && status.waiting == 0).await;
    running.until("without", |status| status.dropped == 2 && status.waiting == 0).await;

    let letters = node.bucket.letters();
    assert_eq!(letters.len(), 2);
    for (key, letter) in letters {
        assert!(key.starts_with("letters/dead/orders/ALL/20") && key.ends_with(".json"), "{key}");
        let event = &letter[0];
        let (reason, attempts, outcome) = match event["id"].as_str().unwrap() {
            "1" => ("BadRequest", 1, "BadRequest"),
            _ => ("MaxDeliveryAttemptsExceeded", 3, "Busy"),
        };
        assert_eq!(event["deadLetterReason"], reason);
        assert_eq!(event["deliveryAttempts"], attempts);
        assert_eq!(event["lastDeliveryOutcome"], outcome);
        assert!(event["publishTime"].is_string() && event["lastDeliveryAttemptTime"].is_string());
        assert_eq!(event["subject"], format!("orders/{}", event["id"].as_str().unwrap()));
    }
}

#[tokio::test]
async fn a_subscription_ends_when_its_time_is_over() {
    let clock = Arc::new(ManualClock::at(1_795_233_600_000));
    let node = Node::with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let running = node.start();
    running.topic(EventSchema::EventGrid).await;
    let hook = Hook::answering(|_, _| 200).await;
    let ending = |expires| NewSubscription { expires: Some(expires), ..subscription("all", hook.endpoint()) };
    let now = clock.now();
    let refused = running.events.put_subscription(ending(now)).await.unwrap_err();
    assert_eq!(refused.to_string(), "expected a time of expiry that is to come, found 2026-11-21T04:00:00.000Z");
    running.events.put_subscription(ending(now + 1_000)).await.unwrap();
    running.publish([1]).await;
    running.until("all", |status| status.delivered == 1).await;
    running.events.shutdown().await;

    clock.advance(1_000);
    let again = node.start();
    again.publish([2]).await;
    assert!(again.events.subscription("orders", "all").is_err() && again.events.subscriptions("orders").is_empty());
    again.events.remove_expired().await.unwrap();
    again.events.put_subscription(NewSubscription { expires: None, ..ending(0) }).await.unwrap();
    again.publish([3]).await;
    again.until("all", |status| status.delivered == 1).await;
    let got: Vec<Value> = hook.deliveries().iter().map(|seen| seen.body[0]["id"].clone()).collect();
    assert_eq!(got, ["1", "3"]);
}

#[tokio::test]
async fn an_event_that_is_too_old_is_not_tried_any_more() {
    let clock = Arc::new(ManualClock::at(1_795_233_600_000));
    let node = Node::with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let running = node.start();
    running.topic(EventSchema::CloudEvents).await;
    let hook = Hook::start(Box::new(|seen| {
        let mut answer = text(503, "");
        if seen.method == Method::OPTIONS {
            answer.headers_mut().insert("webhook-allowed-origin", "millstream.example".parse().unwrap());
        }
        answer
    }))
    .await;
    let with_letters = NewSubscription {
        delivery_schema: EventSchema::CloudEvents,
        dead_letter: Some(DeadLetterTarget { bucket: "letters".into(), prefix: String::new() }),
        retry: EventRetry { attempts_max: 30, ttl_minutes: 2 },
        ..subscription("all", hook.endpoint())
    };
    running.events.put_subscription(with_letters).await.unwrap();
    running.publish([1]).await;
    running.until("all", |status| status.failed_attempts == 1 && status.waiting == 1).await;
    clock.advance(60_000);
    running.until("all", |status| status.failed_attempts == 2 && status.waiting == 1).await;
    *node.bucket.refusals.lock().unwrap() = 1;
    clock.advance(60_000);
    running.until("all", |status| status.last_error.as_ref().is_some_and(|error| error.contains("not now"))).await;
    running.events.shutdown().await;
    clock.advance(60_000);
    let again = node.start();
    again.until("all", |status| status.dead_lettered == 1 && status.waiting == 0).await;

    let [(key, letter)] = node.bucket.letters().try_into().unwrap();
    assert!(key.starts_with("letters/orders/ALL/2026/11/21/4/"), "{key}");
    let event = &letter[0];
    assert_eq!((&event["deadletterreason"], &event["deliveryattempts"]), (&json!("TimeToLiveExceeded"), &json!(2)));
    assert_eq!(
        (&event["lastdeliveryoutcome"], &event["publishtime"]),
        (&json!("Busy"), &json!("2026-11-21T04:00:00.000Z"))
    );
    assert_eq!(hook.deliveries().len(), 2);
}

#[tokio::test]
async fn a_restart_loses_nothing() {
    let node = Node::new();
    let hook = Hook::answering(|id, time| if id % 2 == 0 && time == 1 { 503 } else { 200 }).await;
    let first = node.start();
    first.topic(EventSchema::EventGrid).await;
    first.events.put_subscription(subscription("all", hook.endpoint())).await.unwrap();
    first.publish(1..=20).await;
    first.events.shutdown().await;
    let second = node.start();
    second.publish(21..=40).await;
    second.until("all", |status| status.waiting == 0 && status.behind == 0 && status.delivered >= 20).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let taken = || -> std::collections::BTreeSet<u64> { hook.ids().into_iter().collect() };
    while taken().len() < 40 && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(taken(), (1..=40).collect());
}

#[tokio::test]
async fn one_dead_subscriber_delays_nobody() {
    let running = Node::new().start();
    running.topic(EventSchema::EventGrid).await;
    let dead = Hook::start(Box::new(|seen| match code(seen) {
        Some(code) => text(200, &json!({ "validationResponse": code }).to_string()),
        None => text(500, ""),
    }))
    .await;
    let alive = Hook::answering(|_, _| 200).await;
    running.events.put_subscription(subscription("dead", dead.endpoint())).await.unwrap();
    running.events.put_subscription(subscription("alive", alive.endpoint())).await.unwrap();
    running.publish(0..500).await;
    running.until("alive", |status| status.delivered == 500).await;
    assert_eq!(running.events.status("orders", "dead").unwrap().delivered, 0);
    running.events.shutdown().await;
}

#[tokio::test]
async fn batches_are_delivered_whole() {
    let node = Node::new();
    let running = node.start();
    running.topic(EventSchema::CloudEvents).await;
    let hook = Hook::start(Box::new(|seen| {
        let mut answer = text(200, "");
        if seen.method == Method::OPTIONS {
            answer.headers_mut().insert("webhook-allowed-origin", "*".parse().unwrap());
        }
        answer
    }))
    .await;
    let batching = EventBatching { events_max: 10, preferred_kib: 64 };
    let batched = NewSubscription {
        batching,
        delivery_schema: EventSchema::CloudEvents,
        ..subscription("batched", hook.endpoint())
    };
    running.events.put_subscription(batched).await.unwrap();
    running.publish(0..25).await;
    running.until("batched", |status| status.delivered == 25).await;
    assert_eq!(hook.ids(), (0..25).collect::<Vec<_>>());
    let sizes: Vec<usize> = hook.deliveries().iter().map(|seen| seen.body.as_array().unwrap().len()).collect();
    assert_eq!((sizes.len(), sizes.iter().max()), (3, Some(&10)));
    assert_eq!(hook.deliveries()[0].headers["content-type"], "application/cloudevents-batch+json; charset=utf-8");
    let origin = hook.seen.lock().unwrap()[0].headers["webhook-request-origin"].clone();
    assert_eq!(origin, "millstream.example");
}

#[tokio::test]
async fn functions_get_one_event_at_a_time() {
    let node = Node::new();
    let running = node.start();
    running.topic(EventSchema::EventGrid).await;
    // The engine looks into the catalog whether there is such a function, so one is put there.
    let catalog = Catalog::open(&node.storage).unwrap();
    let function = serde_json::from_value(json!({
        "name": "save", "runtime": "python3.11", "handler": "a.b", "timeout_seconds": 3, "memory_mib": 128,
        "code_hash": "", "code_bytes": 0, "modified": 0, "revision": "",
    }));
    catalog.functions.put(function.unwrap()).await.unwrap();
    running.events.shutdown().await;
    let again = node.start();
    again.events.put_subscription(subscription("save", EventEndpoint::Function { name: "save".into() })).await.unwrap();
    again.publish(1..=3).await;
    again.until("save", |status| status.delivered == 3).await;
    let mut ids: Vec<u64> = node
        .functions
        .0
        .lock()
        .unwrap()
        .iter()
        .map(|payload| serde_json::from_slice::<Value>(payload).unwrap()["data"]["id"].as_u64().unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3]);
    let marks = again.insight.trail.find(|step| matches!(step, Step::Delivered { function, .. } if function == "save"));
    assert_eq!(marks.len(), 3, "each run is part of its event's trail");
}
