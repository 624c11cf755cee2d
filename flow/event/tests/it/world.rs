//! What the engine works with in these tests: the storage model, webhooks of this machine, functions and a bucket in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use millstream_catalog::{
    Catalog, EventBatching, EventEndpoint, EventFilter, EventRetry, EventSchema, TopicDefinition,
};
use millstream_event::{Event, Events, NewSubscription, NewTopic, Options, RetrySchedule, WebhookWords};
use millstream_insight::Insight;
use millstream_storage::Storage;
use millstream_stream::Streams;
use millstream_types::{
    BoxFuture, Clock, ErrorKind, Invocation, InvocationOutcome, Invoke, InvokeError, NewObject, PutObject,
    PutObjectError, SystemClock,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Functions: what they were given.
#[derive(Default)]
pub(crate) struct FakeFunctions(pub(crate) Mutex<Vec<Bytes>>);

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
pub(crate) struct Bucket {
    pub(crate) objects: Mutex<BTreeMap<String, Bytes>>,
    pub(crate) refusals: Mutex<u32>,
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
    pub(crate) fn letters(&self) -> Vec<(String, Value)> {
        let objects = self.objects.lock().unwrap();
        objects.iter().map(|(key, body)| (key.clone(), serde_json::from_slice(body).unwrap())).collect()
    }
}

pub(crate) struct Node {
    pub(crate) storage: Storage,
    pub(crate) bucket: Arc<Bucket>,
    pub(crate) functions: Arc<FakeFunctions>,
    pub(crate) private_addresses: bool,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    pub(crate) fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let storage = Storage::in_memory(Arc::clone(&clock));
        Self { storage, bucket: Arc::default(), functions: Arc::default(), private_addresses: true, clock }
    }

    pub(crate) fn start(&self) -> Running {
        self.start_with(|_| {})
    }

    /// Starts the engine with other options.
    pub(crate) fn start_with(&self, change: impl FnOnce(&mut Options)) -> Running {
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

pub(crate) struct Running {
    pub(crate) events: Events,
    pub(crate) streams: Streams,
    pub(crate) insight: Insight,
}

impl Running {
    pub(crate) async fn topic(&self, schema: EventSchema) -> Arc<TopicDefinition> {
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

    pub(crate) async fn publish(&self, ids: impl IntoIterator<Item = u32>) {
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
    pub(crate) async fn until(&self, name: &str, wanted: impl Fn(&millstream_event::SubscriptionStatus) -> bool) {
        for _ in 0..3_000 {
            if self.events.status("orders", name).is_some_and(|status| wanted(&status)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?} {:?}", self.events.status("orders", name), self.events.deliveries("orders", name));
    }
}

pub(crate) fn subscription(name: &str, endpoint: EventEndpoint) -> NewSubscription {
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
pub(crate) type Behaviour = Box<dyn Fn(&Seen) -> Response<Full<Bytes>> + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// A webhook of this machine.
pub(crate) struct Hook {
    pub(crate) url: String,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
}

impl Hook {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
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
    pub(crate) async fn answering(status: impl Fn(u32, u32) -> u16 + Send + Sync + 'static) -> Self {
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

    pub(crate) fn endpoint(&self) -> EventEndpoint {
        EventEndpoint::Webhook { url: self.url.clone() }
    }

    /// What was delivered, without handshakes.
    pub(crate) fn deliveries(&self) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|seen| seen.headers.get("x-kind").is_some_and(|kind| kind == "notification"))
            .cloned()
            .collect()
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
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
pub(crate) fn code(seen: &Seen) -> Option<String> {
    (seen.headers.get("x-kind")? == "validation").then_some(())?;
    Some(seen.body[0]["data"]["validationCode"].as_str()?.to_owned())
}

pub(crate) fn text(status: u16, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}
