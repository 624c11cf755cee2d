//! What mappings read from and hand to, as scripts, over the storage model.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{
    Catalog, EventSource, EventSourceMappingDefinition, FailureTarget, FunctionDefinition, MappingSettings,
    MappingStart, QueueDefinition, StreamOwner,
};
use millstream_insight::Insight;
use millstream_mapping::{
    Discarded, EventCodec, FailureTargetError, FailureTargets, Filter, MappingError, Mappings, NewMapping, Options,
    Origin, Outside, Report, SourcePermits, WindowShown,
};
use millstream_storage::Storage;
use millstream_stream::{Entry, NewStream, Streams};
use millstream_types::{
    BoxFuture, ErrorKind, Invocation, InvocationOutcome, Invoke, InvokeError, ManualClock, ReceiveMessages,
    ReceiveMessagesError, ReceivedMessage, Record, WantedMessages,
};

pub(super) const NOW: i64 = 1_000_000_000;

/// What a function does with a batch: `Ok` with an answer, `Err` with an error document, or it does not run.
pub(super) type Script = dyn Fn(&[String]) -> Run + Send + Sync;

pub(super) enum Run {
    Answer(&'static str),
    Answers(String),
    Fail,
    Throttled,
}

pub(super) struct Function {
    pub(super) script: Mutex<Arc<Script>>,
    pub(super) batches: Mutex<Vec<Vec<String>>>,
}

impl Invoke for Function {
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<InvocationOutcome, InvokeError>> {
        let batch: Vec<String> = serde_json::from_slice(&invocation.payload).unwrap();
        let script = Arc::clone(&self.script.lock().unwrap());
        let run = script(&batch);
        self.batches.lock().unwrap().push(batch);
        let outcome = |payload: String, error: Option<String>| {
            Ok(InvocationOutcome {
                id: "i".into(),
                payload: payload.into(),
                error,
                log_tail: Bytes::new(),
                version: None,
            })
        };
        Box::pin(async move {
            tokio::task::yield_now().await;
            match run {
                Run::Answer(answer) => outcome(answer.to_owned(), None),
                Run::Answers(answer) => outcome(answer, None),
                Run::Fail => outcome("{}".to_owned(), Some("Unhandled".to_owned())),
                Run::Throttled => Err(InvokeError { kind: ErrorKind::Throttled, message: "too many".into() }),
            }
        })
    }
}

#[derive(Default)]
pub(super) struct Queue {
    pub(super) messages: Mutex<VecDeque<ReceivedMessage>>,
    /// What becomes of the next receives that find nothing.
    pub(super) broken: Mutex<VecDeque<Broken>>,
    pub(super) deleted: Mutex<Vec<String>>,
    pub(super) released: Mutex<Vec<String>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Broken {
    Error,
    Panic,
}

impl ReceiveMessages for Queue {
    fn receive_messages(
        &self,
        _queue: String,
        wanted: WantedMessages,
    ) -> BoxFuture<'_, Result<Vec<ReceivedMessage>, ReceiveMessagesError>> {
        Box::pin(async move {
            let mut messages = self.messages.lock().unwrap();
            let count = messages.len().min(wanted.max);
            let broken = if count == 0 { self.broken.lock().unwrap().pop_front() } else { None };
            match broken {
                Some(Broken::Error) => {
                    return Err(ReceiveMessagesError { kind: ErrorKind::Unavailable, message: "not now".into() });
                }
                Some(Broken::Panic) => {
                    drop(messages);
                    panic!("a defect");
                }
                None => {}
            }
            Ok(messages.drain(..count).collect())
        })
    }

    fn delete_messages(&self, _: String, receipts: Vec<String>) -> BoxFuture<'_, Result<(), ReceiveMessagesError>> {
        self.deleted.lock().unwrap().extend(receipts);
        Box::pin(std::future::ready(Ok(())))
    }

    fn release_messages(&self, _: String, receipts: Vec<String>) -> BoxFuture<'_, Result<(), ReceiveMessagesError>> {
        self.released.lock().unwrap().extend(receipts);
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Events are lists of texts; reports are ids with commas between them, a record's id is its offset.
pub(super) struct Codec;

impl EventCodec for Codec {
    fn record(&self, _: &Origin, record: &Record) -> Result<Bytes, String> {
        match &record.data[..] {
            b"unreadable" => Err("no record".to_owned()),
            data => Ok(serde_json::to_vec(&String::from_utf8_lossy(data)).unwrap().into()),
        }
    }

    fn message(&self, _: &str, message: &ReceivedMessage) -> Bytes {
        serde_json::to_vec(&String::from_utf8_lossy(&message.body)).unwrap().into()
    }

    fn event(&self, records: &[Bytes]) -> Bytes {
        [b"[", &records.join(&b","[..])[..], b"]"].concat().into()
    }

    fn window_event(&self, _: &Origin, records: &[Bytes], window: &WindowShown) -> Bytes {
        let WindowShown { start, end, state, is_final, early } = window;
        let window = Bytes::from(format!(r#""{start}..{end} {state} {is_final} {early}""#));
        self.event(&[&[window], records].concat())
    }

    fn window_state(&self, answer: &[u8]) -> Option<String> {
        String::from_utf8_lossy(answer).strip_prefix("state ").map(str::to_owned)
    }

    fn record_id(&self, _: &Origin, offset: u64) -> String {
        offset.to_string()
    }

    fn log_group(&self, function: &str) -> String {
        format!("log of {function}")
    }

    fn report(&self, answer: &[u8]) -> Report {
        match answer {
            b"" => Report::Everything,
            b"?" => Report::Unreadable,
            ids => Report::Failed(String::from_utf8_lossy(ids).split(',').map(str::to_owned).collect()),
        }
    }

    fn filter(&self, _: &EventSource, patterns: &[String]) -> Result<Filter, String> {
        let pattern = patterns[0].clone();
        if pattern == "bad" {
            return Err("bad".to_owned());
        }
        Ok(Arc::new(move |record| String::from_utf8_lossy(record).contains(&pattern)))
    }
}

impl SourcePermits for Codec {
    fn check(&self, _: &str, _: &EventSource) -> Result<(), String> {
        Ok(())
    }
}

#[derive(Default)]
pub(super) struct Failures {
    pub(super) told: Mutex<Vec<Discarded>>,
    pub(super) down: AtomicBool,
}

impl FailureTargets for Failures {
    fn tell(&self, _: &FailureTarget, discarded: Discarded) -> BoxFuture<'_, Result<(), FailureTargetError>> {
        let refused = discarded.origin.function == "f" && discarded.records == 4;
        self.told.lock().unwrap().push(discarded);
        if self.down.load(Ordering::Relaxed) {
            let error = FailureTargetError { kind: ErrorKind::Unavailable, message: "not now".to_owned() };
            return Box::pin(std::future::ready(Err(error)));
        }
        let error = || FailureTargetError { kind: ErrorKind::Forbidden, message: "it may not".to_owned() };
        Box::pin(std::future::ready(if refused { Err(error()) } else { Ok(()) }))
    }
}

pub(super) struct World {
    pub(super) storage: Storage,
    pub(super) catalog: Catalog,
    pub(super) streams: Streams,
    pub(super) insight: Insight,
    pub(super) clock: Arc<ManualClock>,
    pub(super) function: Arc<Function>,
    pub(super) queue: Arc<Queue>,
    pub(super) failures: Arc<Failures>,
}

impl World {
    pub(super) async fn new(script: impl Fn(&[String]) -> Run + Send + Sync + 'static) -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        let storage = Storage::in_memory(clock.clone());
        let catalog = Catalog::open(&storage).unwrap();
        let streams = Streams::new(storage.clone(), catalog.clone(), clock.clone());
        let function = Arc::new(Function { script: Mutex::new(Arc::new(script)), batches: Mutex::default() });
        catalog.functions.create(function_definition()).await.unwrap();
        catalog.queues.create(queue_definition()).await.unwrap();
        let insight = Insight::open(&storage, clock.clone()).unwrap();
        let (queue, failures) = Default::default();
        let world = Self { storage, catalog, streams, insight, clock, function, queue, failures };
        world.stream(1).await;
        world
    }

    pub(super) async fn stream(&self, shards: u32) {
        let new = NewStream { name: "s".into(), owner: StreamOwner::User, shards, retention_hours: 24 };
        self.streams.create(new).await.unwrap();
    }

    pub(super) fn start(&self) -> Mappings {
        self.start_waiting((Duration::from_millis(1), Duration::from_millis(5)))
    }

    pub(super) fn start_waiting(&self, retry_waits: (Duration, Duration)) -> Mappings {
        let outside = Outside {
            invoke: self.function.clone(),
            queues: self.queue.clone(),
            codec: Arc::new(Codec),
            permits: Arc::new(Codec),
            failures: self.failures.clone(),
        };
        let options = Options { retry_waits };
        let (storage, catalog, streams) = (self.storage.clone(), self.catalog.clone(), self.streams.clone());
        let (insight, clock) = (self.insight.clone(), self.clock.clone());
        Mappings::start(options, outside, storage, catalog, streams, insight, clock)
    }

    pub(super) async fn put(&self, texts: &[&str]) {
        let entry = |text: &&str| Entry {
            partition_key: Bytes::copy_from_slice(&text.as_bytes()[..1]),
            explicit_hash_key: None,
            headers: Bytes::new(),
            data: Bytes::copy_from_slice(text.as_bytes()),
        };
        self.streams.put("s", &texts.iter().map(entry).collect::<Vec<_>>()).await.unwrap();
    }

    pub(super) fn script(&self, script: impl Fn(&[String]) -> Run + Send + Sync + 'static) {
        *self.function.script.lock().unwrap() = Arc::new(script);
    }

    pub(super) fn batches(&self) -> Vec<Vec<String>> {
        self.function.batches.lock().unwrap().clone()
    }

    pub(super) fn discarded(&self) -> Vec<Discarded> {
        self.failures.told.lock().unwrap().clone()
    }
}

pub(super) fn function_definition() -> FunctionDefinition {
    serde_json::from_value(serde_json::json!({
        "name": "f", "runtime": "python3.11", "handler": "a.b", "timeout_seconds": 3, "memory_mib": 128,
        "code_hash": "", "code_bytes": 0, "modified": 0, "revision": "",
    }))
    .unwrap()
}

pub(super) fn queue_definition() -> QueueDefinition {
    serde_json::from_value(serde_json::json!({
        "name": "q", "number": 1, "created": 0, "modified": 0, "settings": {},
    }))
    .unwrap()
}

pub(super) fn of_stream(settings: MappingSettings) -> NewMapping {
    NewMapping {
        source: EventSource::Stream { name: "s".into() },
        function: "f".into(),
        start: Some(MappingStart::TrimHorizon),
        enabled: true,
        settings,
    }
}

pub(super) async fn change(mappings: &Mappings, id: &str, change: impl FnOnce(&mut EventSourceMappingDefinition)) {
    let changed = mappings.update(id, |definition| {
        change(definition);
        Ok::<_, MappingError>(())
    });
    changed.await.unwrap();
}

pub(super) fn told() -> Option<FailureTarget> {
    Some(FailureTarget::Queue { name: "q".into() })
}

pub(super) async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it comes in time");
}
