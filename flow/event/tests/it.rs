//! The event engine over the storage model, webhooks of this machine and a bucket in memory.

#![allow(clippy::unwrap_used)]

#[path = "it/messages.rs"]
mod messages;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use millstream_catalog::{
    Catalog, DeadLetterTarget, EventBatching, EventEndpoint, EventFilter, EventRetry, EventSchema, FieldCondition,
    FieldTest, StreamOwner, TopicDefinition,
};
use millstream_event::engine::Provisioning;
use millstream_event::{
    Event, EventError, Events, NewSubscription, NewTopic, Options, Outcome, RetrySchedule, WebhookWords,
};
use millstream_insight::{Insight, Step};
use millstream_storage::{Storage, Transaction};
use millstream_stream::{NewStream, Streams};
use millstream_types::{
    BoxFuture, Clock, ErrorKind, Invocation, InvocationOutcome, Invoke, InvokeError, ManualClock, NewObject, PutObject,
    PutObjectError, SystemClock,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Functions: what they were given.
#[derive(Default)]
struct FakeFunctions(Mutex<Vec<Bytes>>);

impl Invoke for FakeFunctions {
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<InvocationOutcome, InvokeError>> {
        self.0.lock().unwrap().push(invocation.payload);
        Box::pin(async {
            Ok(InvocationOutcome {
                id: "1".into(),
                payload: Bytes::new(),
                error: None,
                log_tail: Bytes::new(),
                version: None,
            })
        })
    }
}

/// A store of objects: what was written, and how often it refuses before.
#[derive(Default)]
struct Bucket {
    objects: Mutex<BTreeMap<String, Bytes>>,
    refusals: Mutex<u32>,
}

impl PutObject for Bucket {
    fn put_object(&self, object: NewObject) -> BoxFuture<'_, Result<(), PutObjectError>> {
        Box::pin(async move {
            let mut refusals = self.refusals.lock().unwrap();
            if *refusals > 0 {
                *refusals -= 1;
                return Err(PutObjectError { kind: ErrorKind::Unavailable, message: "not now".into() });
            }
            self.objects.lock().unwrap().insert(format!("{}/{}", object.bucket, object.key), object.body);
            Ok(())
        })
    }
}

impl Bucket {
    fn letters(&self) -> Vec<(String, Value)> {
        let objects = self.objects.lock().unwrap();
        objects.iter().map(|(key, body)| (key.clone(), serde_json::from_slice(body).unwrap())).collect()
    }
}

struct Node {
    storage: Storage,
    bucket: Arc<Bucket>,
    functions: Arc<FakeFunctions>,
    private_addresses: bool,
    clock: Arc<dyn Clock>,
}

impl Node {
    fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let storage = Storage::in_memory(Arc::clone(&clock));
        Self { storage, bucket: Arc::default(), functions: Arc::default(), private_addresses: true, clock }
    }

    fn start(&self) -> Running {
        self.start_with(|_| {})
    }

    /// Starts the engine with other options.
    fn start_with(&self, change: impl FnOnce(&mut Options)) -> Running {
        let clock = Arc::clone(&self.clock);
        let catalog = Catalog::open(&self.storage).unwrap();
        let streams = Streams::new(self.storage.clone(), catalog.clone(), Arc::clone(&clock));
        let insight = Insight::open(&self.storage, Arc::clone(&clock)).unwrap();
        let name = HeaderName::from_static;
        let mut options = Options {
            record_form: None,
            schedule: RetrySchedule::of(&[Duration::from_millis(1)]),
            private_addresses: self.private_addresses,
            words: WebhookWords {
                kind: name("x-kind"),
                notification: "notification",
                validation: "validation",
                subscription: name("x-subscription"),
                delivery_count: name("x-count"),
                metadata_version: name("x-metadata-version"),
                data_version: name("x-data-version"),
                event_id: name("x-event-id"),
                validation_event_type: "validate",
                origin: "millstream.example",
                deletion: "deletion",
                deletion_event_type: "deleted",
                deletion_member: "id",
                subscription_id: |topic, name| format!("{topic}/{name}"),
            },
            validation_url: Arc::new(|topic, name, code| format!("{topic}/{name}/{code}")),
            invoke: Arc::clone(&self.functions) as Arc<dyn Invoke>,
            queues: None,
            messages: None,
            invoke_later: None,
            rights: None,
            objects: Some(Arc::clone(&self.bucket) as Arc<dyn PutObject>),
        };
        change(&mut options);
        let events = Events::start(options, self.storage.clone(), catalog, streams.clone(), insight.clone(), clock);
        Running { events, streams, insight }
    }
}

struct Running {
    events: Events,
    streams: Streams,
    insight: Insight,
}

impl Running {
    async fn topic(&self, schema: EventSchema) -> Arc<TopicDefinition> {
        let new = NewTopic {
            mapping: None,
            name: "orders".into(),
            address: "/topics/orders".into(),
            schema,
            location: String::new(),
            tags: BTreeMap::new(),
        };
        self.events.create_topic(new).await.unwrap()
    }

    async fn publish(&self, ids: impl IntoIterator<Item = u32>) {
        let topic = self.events.topic("orders").unwrap();
        let event = |id: u32| {
            let value = match topic.schema {
                EventSchema::EventGrid => json!({
                    "id": id.to_string(), "subject": format!("orders/{id}"), "eventType": "made", "dataVersion": "1",
                    "eventTime": "2026-11-21T04:05:06Z", "data": { "id": id },
                }),
                EventSchema::CloudEvents | EventSchema::Message => {
                    json!({ "specversion": "1.0", "id": id.to_string(), "source": "/s", "type": "made", "data": { "id": id } })
                }
            };
            Event::accept(&topic, value, 0).unwrap()
        };
        let events: Vec<Event> = ids.into_iter().map(event).collect();
        self.events.publish(&topic, &events).await.unwrap();
    }

    /// Waits until a subscription's numbers are as wanted.
    async fn until(&self, name: &str, wanted: impl Fn(&millstream_event::SubscriptionStatus) -> bool) {
        for _ in 0..3_000 {
            if self.events.status("orders", name).is_some_and(|status| wanted(&status)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?} {:?}", self.events.status("orders", name), self.events.deliveries("orders", name));
    }
}

fn subscription(name: &str, endpoint: EventEndpoint) -> NewSubscription {
    NewSubscription {
        raw: false,
        topic: "orders".into(),
        name: name.into(),
        endpoint,
        filter: EventFilter::default(),
        delivery_schema: EventSchema::EventGrid,
        retry: EventRetry::default(),
        dead_letter: None,
        batching: EventBatching::default(),
        headers: Vec::new(),
        labels: Vec::new(),
        expires: None,
    }
}

/// What a webhook is to answer to a request's body.
type Behaviour = Box<dyn Fn(&Seen) -> Response<Full<Bytes>> + Send + Sync>;

#[derive(Clone)]
struct Seen {
    method: Method,
    headers: HeaderMap,
    body: Value,
}

/// A webhook of this machine.
struct Hook {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Hook {
    async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/hook?secret=1", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (kept, behaviour) = (Arc::clone(&seen), Arc::new(behaviour));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (kept, behaviour) = (Arc::clone(&kept), Arc::clone(&behaviour));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (kept, behaviour) = (Arc::clone(&kept), Arc::clone(&behaviour));
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let body = serde_json::from_slice(&body).unwrap_or_default();
                        let seen = Seen { method: head.method, headers: head.headers, body };
                        let answer = behaviour(&seen);
                        kept.lock().unwrap().push(seen);
                        Ok::<_, std::convert::Infallible>(answer)
                    }
                });
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        Self { url, seen }
    }

    /// A webhook that validates itself and answers deliveries with a status that depends on the event's id and on how
    /// often it was seen.
    async fn answering(status: impl Fn(u32, u32) -> u16 + Send + Sync + 'static) -> Self {
        let times: Mutex<HashMap<u32, u32>> = Mutex::default();
        Self::start(Box::new(move |seen| match code(seen) {
            Some(code) => text(200, &json!({ "validationResponse": code }).to_string()),
            None => {
                let id = seen.body[0]["data"]["id"].as_u64().unwrap_or_default() as u32;
                let mut times = times.lock().unwrap();
                let time = times.entry(id).and_modify(|time| *time += 1).or_insert(1);
                text(status(id, *time), "")
            }
        }))
        .await
    }

    fn endpoint(&self) -> EventEndpoint {
        EventEndpoint::Webhook { url: self.url.clone() }
    }

    /// What was delivered, without handshakes.
    fn deliveries(&self) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|seen| seen.headers.get("x-kind").is_some_and(|kind| kind == "notification"))
            .cloned()
            .collect()
    }

    fn ids(&self) -> Vec<u64> {
        let mut ids: Vec<u64> = self
            .deliveries()
            .iter()
            .flat_map(|seen| seen.body.as_array().cloned().unwrap_or_else(|| vec![seen.body.clone()]))
            .map(|event| event["data"]["id"].as_u64().unwrap())
            .collect();
        ids.sort_unstable();
        ids
    }
}

/// The code that a handshake asks for.
fn code(seen: &Seen) -> Option<String> {
    (seen.headers.get("x-kind")? == "validation").then_some(())?;
    Some(seen.body[0]["data"]["validationCode"].as_str()?.to_owned())
}

fn text(status: u16, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

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
