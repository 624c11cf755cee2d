//! Mappings over the storage model, with functions and queues that are scripts.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{
    Catalog, EventSource, EventSourceMappingDefinition, FailureTarget, FunctionDefinition, MappingSettings,
    MappingStart, MappingState, QueueDefinition, StreamOwner,
};
use millstream_insight::Insight;
use millstream_mapping::{
    DiscardReason, Discarded, EventCodec, FailureTargetError, FailureTargets, Filter, LastResult, MappingError,
    Mappings, NewMapping, Options, Origin, Outside, Phase, Report, SourcePermits,
};
use millstream_storage::{Storage, Transaction};
use millstream_stream::{Entry, NewStream, Streams};
use millstream_types::{
    BoxFuture, ErrorKind, Invocation, InvocationOutcome, Invoke, InvokeError, ManualClock, ReceiveMessages,
    ReceiveMessagesError, ReceivedMessage, Record, WantedMessages,
};

const NOW: i64 = 1_000_000_000;

/// What a function does with a batch: `Ok` with an answer, `Err` with an error document, or it does not run.
type Script = dyn Fn(&[String]) -> Run + Send + Sync;

enum Run {
    Answer(&'static str),
    Answers(String),
    Fail,
    Throttled,
}

struct Function {
    script: Mutex<Arc<Script>>,
    batches: Mutex<Vec<Vec<String>>>,
}

impl Invoke for Function {
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<InvocationOutcome, InvokeError>> {
        let batch: Vec<String> = serde_json::from_slice(&invocation.payload).unwrap();
        let script = Arc::clone(&self.script.lock().unwrap());
        let run = script(&batch);
        self.batches.lock().unwrap().push(batch);
        let outcome = |payload: String, error: Option<String>| {
            Ok(InvocationOutcome { id: "i".into(), payload: payload.into(), error, log_tail: Bytes::new() })
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
struct Queue {
    messages: Mutex<VecDeque<ReceivedMessage>>,
    /// What becomes of the next receives that find nothing.
    broken: Mutex<VecDeque<Broken>>,
    deleted: Mutex<Vec<String>>,
    released: Mutex<Vec<String>>,
}

#[derive(Debug, Clone, Copy)]
enum Broken {
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
struct Codec;

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
struct Failures {
    told: Mutex<Vec<Discarded>>,
    down: AtomicBool,
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

struct World {
    storage: Storage,
    catalog: Catalog,
    streams: Streams,
    insight: Insight,
    clock: Arc<ManualClock>,
    function: Arc<Function>,
    queue: Arc<Queue>,
    failures: Arc<Failures>,
}

impl World {
    async fn new(script: impl Fn(&[String]) -> Run + Send + Sync + 'static) -> Self {
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

    async fn stream(&self, shards: u32) {
        let new = NewStream { name: "s".into(), owner: StreamOwner::User, shards, retention_hours: 24 };
        self.streams.create(new).await.unwrap();
    }

    fn start(&self) -> Mappings {
        self.start_waiting((Duration::from_millis(1), Duration::from_millis(5)))
    }

    fn start_waiting(&self, retry_waits: (Duration, Duration)) -> Mappings {
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

    async fn put(&self, texts: &[&str]) {
        let entry = |text: &&str| Entry {
            partition_key: Bytes::copy_from_slice(&text.as_bytes()[..1]),
            explicit_hash_key: None,
            headers: Bytes::new(),
            data: Bytes::copy_from_slice(text.as_bytes()),
        };
        self.streams.put("s", &texts.iter().map(entry).collect::<Vec<_>>()).await.unwrap();
    }

    fn script(&self, script: impl Fn(&[String]) -> Run + Send + Sync + 'static) {
        *self.function.script.lock().unwrap() = Arc::new(script);
    }

    fn batches(&self) -> Vec<Vec<String>> {
        self.function.batches.lock().unwrap().clone()
    }

    fn discarded(&self) -> Vec<Discarded> {
        self.failures.told.lock().unwrap().clone()
    }
}

fn function_definition() -> FunctionDefinition {
    serde_json::from_value(serde_json::json!({
        "name": "f", "runtime": "python3.11", "handler": "a.b", "timeout_seconds": 3, "memory_mib": 128,
        "code_hash": "", "code_bytes": 0, "modified": 0, "revision": "",
    }))
    .unwrap()
}

fn queue_definition() -> QueueDefinition {
    serde_json::from_value(serde_json::json!({
        "name": "q", "number": 1, "created": 0, "modified": 0, "settings": {},
    }))
    .unwrap()
}

fn of_stream(settings: MappingSettings) -> NewMapping {
    NewMapping {
        source: EventSource::Stream { name: "s".into() },
        function: "f".into(),
        start: Some(MappingStart::TrimHorizon),
        enabled: true,
        settings,
    }
}

async fn change(mappings: &Mappings, id: &str, change: impl FnOnce(&mut EventSourceMappingDefinition)) {
    let changed = mappings.update(id, |definition| {
        change(definition);
        Ok::<_, MappingError>(())
    });
    changed.await.unwrap();
}

fn told() -> Option<FailureTarget> {
    Some(FailureTarget::Queue { name: "q".into() })
}

async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it comes in time");
}

/// Fails every batch that holds a text which begins with `bad`.
fn fails_bad(batch: &[String]) -> Run {
    if batch.iter().any(|text| text.starts_with("bad")) { Run::Fail } else { Run::Answer("") }
}

#[tokio::test]
async fn a_batch_that_fails_is_not_tried_more_often_because_the_node_starts_again() {
    let world = World::new(fails_bad).await;
    world.put(&["a", "bad", "b"]).await;
    let settings = MappingSettings { retries_max: Some(6), on_failure: told(), ..Default::default() };
    let mut mappings = world.start();
    mappings.create(of_stream(settings)).await.unwrap();
    for attempts in [2, 4] {
        until(|| world.batches().len() >= attempts).await;
        mappings.shutdown().await;
        mappings = world.start();
    }
    until(|| !world.discarded().is_empty()).await;
    // An invocation that a stop cut off is not counted.
    assert!((7..=9).contains(&world.batches().len()), "{}", world.batches().len());
    let discarded = &world.discarded()[0];
    assert_eq!((discarded.records, discarded.reason, discarded.offsets), (3, DiscardReason::Attempts, (0, 2)));
    assert_eq!(discarded.invocations, 7);
    world.put(&["c"]).await;
    until(|| world.batches().last().unwrap() == &["c"]).await;
    mappings.shutdown().await;
}

#[tokio::test]
async fn a_target_that_refuses_holds_up_nothing_and_the_log_says_why() {
    let world = World::new(fails_bad).await;
    world.put(&["a", "bad", "b", "c"]).await;
    let settings = MappingSettings { retries_max: Some(0), on_failure: told(), ..Default::default() };
    let mappings = world.start();
    mappings.create(of_stream(settings)).await.unwrap();
    until(|| !world.discarded().is_empty()).await;
    world.put(&["d"]).await;
    until(|| world.batches().last().unwrap() == &["d"]).await;
    let events = world.insight.logs.events("log of f", None, (0, i64::MAX), 0, 10).unwrap();
    assert!(events[0].1.message.contains("4 records are given up and nobody is told: it may not"), "{events:?}");
    mappings.shutdown().await;
}

#[tokio::test]
async fn what_is_left_of_a_split_batch_goes_on_after_a_start() {
    let world = World::new(fails_bad).await;
    world.put(&["a", "b", "bad", "c", "d", "e"]).await;
    let settings = MappingSettings {
        bisect: true,
        batch_size: 6,
        retries_max: Some(1_000),
        on_failure: told(),
        ..Default::default()
    };
    let mappings = world.start();
    let id = mappings.create(of_stream(settings)).await.unwrap().definition.id.clone();
    until(|| world.batches().iter().filter(|batch| **batch == ["bad"]).count() > 3).await;
    mappings.shutdown().await;
    let before = world.batches().len();
    let mappings = world.start();
    until(|| world.batches().len() > before + 3).await;
    assert!(world.batches()[before..].iter().all(|batch| batch == &["bad"]), "only what is left is tried");
    change(&mappings, &id, |definition| definition.settings.retries_max = Some(0)).await;
    until(|| world.batches().last().unwrap().contains(&"e".to_owned())).await;
    let done =
        world.batches().into_iter().filter(|batch| !batch.contains(&"bad".to_owned())).collect::<Vec<_>>().concat();
    assert_eq!(done, ["a", "b", "c", "d", "e"]);
    assert_eq!(world.discarded().len(), 1);
    mappings.shutdown().await;
}

#[tokio::test]
async fn what_does_not_run_is_no_attempt_and_old_records_are_given_up() {
    let world = World::new(|_| Run::Throttled).await;
    world.put(&["a", "b"]).await;
    let settings = MappingSettings {
        retries_max: Some(0),
        record_age_max_seconds: Some(60),
        on_failure: told(),
        ..Default::default()
    };
    let mappings = world.start();
    let id = mappings.create(of_stream(settings)).await.unwrap().definition.id.clone();
    until(|| world.batches().len() > 3).await;
    assert!(world.discarded().is_empty());
    assert_eq!(mappings.get(&id).unwrap().last, LastResult::Problem("too many".into()));
    world.clock.advance(60_001);
    world.put(&["c"]).await;
    world.script(|_| Run::Answer(""));
    until(|| world.batches().last().unwrap() == &["c"]).await;
    let discarded = &world.discarded()[0];
    assert_eq!((discarded.records, discarded.reason, discarded.invocations), (2, DiscardReason::Age, 0));
    until(|| mappings.get(&id).unwrap().lag.is_some_and(|lag| lag.records == 0)).await;
    mappings.shutdown().await;
}

#[tokio::test]
async fn reports_move_the_place_to_the_first_record_that_failed() {
    let world = World::new(|batch| match batch.first().map(String::as_str) {
        Some("a") => Run::Answer("3,2"),
        Some("c") => Run::Answer("7"),
        _ => Run::Answer(""),
    })
    .await;
    world.put(&["a", "b", "c", "d"]).await;
    let settings =
        MappingSettings { reports_failures: true, retries_max: Some(1), on_failure: told(), ..Default::default() };
    let mappings = world.start();
    mappings.create(of_stream(settings)).await.unwrap();
    until(|| !world.discarded().is_empty()).await;
    let batches = world.batches();
    assert_eq!(batches, [vec!["a", "b", "c", "d"], vec!["c", "d"]], "7 is none of its records: all of it failed");
    assert_eq!(world.discarded()[0].offsets, (2, 3));
    mappings.shutdown().await;
}

#[tokio::test]
async fn batches_are_bounded_in_bytes_and_skip_what_is_not_wanted_or_cannot_be_read() {
    let world = World::new(|_| Run::Answer("")).await;
    let large = format!("x{}", "y".repeat(1 << 20));
    let texts: Vec<&str> = [large.as_str(); 8].into_iter().chain(["unreadable", "no", "x"]).collect();
    world.put(&texts).await;
    let mappings = world.start();
    let settings = MappingSettings { filters: vec!["x".into()], ..Default::default() };
    let id = mappings.create(of_stream(settings)).await.unwrap().definition.id.clone();
    until(|| world.batches().concat().iter().any(|text| text == "x")).await;
    assert_eq!(world.batches().iter().map(Vec::len).collect::<Vec<_>>(), [5, 4]);
    until(|| mappings.get(&id).unwrap().lag.is_some_and(|lag| lag.records == 0)).await;
    mappings.shutdown().await;
    // Even what was skipped is not looked at again.
    let mappings = world.start();
    world.put(&["xx"]).await;
    until(|| world.batches().last().unwrap() == &["xx"]).await;
    mappings.shutdown().await;
}

#[tokio::test]
async fn records_that_retention_took_are_passed() {
    let world = World::new(|_| Run::Fail).await;
    world.put(&["a", "b"]).await;
    let mappings = world.start();
    mappings.create(of_stream(MappingSettings::default())).await.unwrap();
    until(|| world.batches().len() > 2).await;
    let mut transaction = Transaction::new();
    let log = world.streams.get("s").unwrap().shards[0].log();
    transaction.trim_log(log, 2);
    world.storage.commit(transaction).await.unwrap();
    world.put(&["c"]).await;
    until(|| world.batches().last().unwrap() == &["c"]).await;
    mappings.shutdown().await;
}

#[tokio::test]
async fn a_stream_that_is_made_anew_is_read_from_its_beginning() {
    let world = World::new(|_| Run::Answer("")).await;
    world.put(&["a"]).await;
    let mappings = world.start();
    let id = mappings.create(of_stream(MappingSettings::default())).await.unwrap().definition.id.clone();
    until(|| world.batches() == [["a"]]).await;
    world.streams.delete("s").await.unwrap();
    until(|| matches!(mappings.get(&id).unwrap().last, LastResult::Problem(_))).await;
    world.stream(2).await;
    world.put(&["b"]).await;
    until(|| world.batches() == [["a"], ["b"]]).await;
    mappings.shutdown().await;
}

#[tokio::test]
async fn messages_that_the_function_has_are_deleted_and_no_others() {
    let world = World::new(|batch| match batch[0].as_str() {
        "fail" => Run::Fail,
        "report" => Run::Answers("m1".to_owned()),
        "wrong" => Run::Answer("none"),
        _ => Run::Answer(""),
    })
    .await;
    let mappings = world.start();
    let settings = MappingSettings { batch_size: 2, reports_failures: true, ..Default::default() };
    let id = mappings.create(of_queue(settings)).await.unwrap().definition.id.clone();
    for (texts, deleted) in [
        (["a", "b"], vec!["r-m0", "r-m1"]),
        (["fail", "x"], vec![]),
        (["report", "x"], vec!["r-m0"]),
        (["wrong", "x"], vec![]),
    ] {
        let (before, had) = (world.batches().len(), world.queue.deleted.lock().unwrap().len());
        let messages = texts.iter().enumerate().map(|(n, text)| received(&format!("m{n}"), text));
        world.queue.messages.lock().unwrap().extend(messages);
        until(|| world.batches().len() > before && world.queue.deleted.lock().unwrap().len() >= had + deleted.len())
            .await;
        assert_eq!(world.queue.deleted.lock().unwrap()[had..], deleted);
    }
    assert_eq!(mappings.get(&id).unwrap().last, LastResult::Failed);
    // What cannot be brought while the node stops is for others at once.
    world.script(|_| Run::Throttled);
    world.queue.messages.lock().unwrap().push_back(received("m9", "later"));
    until(|| world.batches().concat().iter().any(|text| text == "later")).await;
    mappings.shutdown().await;
    assert_eq!(*world.queue.released.lock().unwrap(), ["r-m9"]);
}

fn of_queue(settings: MappingSettings) -> NewMapping {
    NewMapping { source: EventSource::Queue { name: "q".into() }, start: None, ..of_stream(settings) }
}

fn received(id: &str, body: &str) -> ReceivedMessage {
    ReceivedMessage {
        id: id.into(),
        receipt: format!("r-{id}"),
        body: Bytes::copy_from_slice(body.as_bytes()),
        visible_at: NOW + 30_000,
        ..ReceivedMessage::default()
    }
}

#[tokio::test]
async fn what_was_gathered_before_an_error_is_brought() {
    let world = World::new(|_| Run::Answer("")).await;
    let mappings = world.start();
    let settings = MappingSettings { batch_size: 10, window_seconds: 300, ..Default::default() };
    world.queue.messages.lock().unwrap().push_back(received("m0", "a"));
    world.queue.broken.lock().unwrap().push_back(Broken::Error);
    mappings.create(of_queue(settings)).await.unwrap();
    until(|| world.batches() == [["a"]]).await;
    until(|| *world.queue.deleted.lock().unwrap() == ["r-m0"]).await;
    mappings.shutdown().await;
}

#[tokio::test]
async fn a_poller_that_breaks_begins_anew() {
    let world = World::new(|_| Run::Answer("")).await;
    world.queue.broken.lock().unwrap().push_back(Broken::Panic);
    let mappings = world.start();
    let settings = MappingSettings { batch_size: 1, ..Default::default() };
    let id = mappings.create(of_queue(settings)).await.unwrap().definition.id.clone();
    until(|| matches!(mappings.get(&id).unwrap().last, LastResult::Problem(why) if why.contains("broke"))).await;
    world.queue.messages.lock().unwrap().push_back(received("m0", "a"));
    until(|| world.batches() == [["a"]]).await;
    mappings.shutdown().await;
}

#[tokio::test]
async fn a_lane_that_breaks_begins_anew_beside_the_others() {
    let broken = Arc::new(AtomicBool::new(false));
    let breaks = Arc::clone(&broken);
    let world = World::new(move |batch| {
        if batch[0] == "a" && !breaks.swap(true, Ordering::Relaxed) {
            panic!("a defect");
        }
        Run::Answer("")
    })
    .await;
    let mappings = world.start();
    let settings = MappingSettings { parallelization: 8, batch_size: 1, ..Default::default() };
    mappings.create(of_stream(settings)).await.unwrap();
    world.put(&["a"]).await;
    until(|| broken.load(Ordering::Relaxed)).await;
    world.put(&["b", "c", "d"]).await;
    until(|| {
        let mut done = world.batches().concat();
        done.sort();
        done == ["a", "b", "c", "d"]
    })
    .await;
    mappings.shutdown().await;
}

#[tokio::test]
async fn a_stop_does_not_make_a_target_miss_what_is_given_up() {
    let world = World::new(fails_bad).await;
    world.put(&["bad"]).await;
    world.failures.down.store(true, Ordering::Relaxed);
    let mappings = world.start_waiting((Duration::from_secs(60), Duration::from_secs(60)));
    let settings = MappingSettings { retries_max: Some(0), on_failure: told(), ..Default::default() };
    mappings.create(of_stream(settings)).await.unwrap();
    until(|| world.discarded().len() == 1).await;
    mappings.shutdown().await;
    world.failures.down.store(false, Ordering::Relaxed);
    let mappings = world.start();
    until(|| world.discarded().len() == 2).await;
    world.put(&["c"]).await;
    until(|| world.batches().last().unwrap() == &["c"]).await;
    assert!(world.insight.logs.events("log of f", None, (0, i64::MAX), 0, 10).unwrap_or_default().is_empty());
    mappings.shutdown().await;
}

#[tokio::test]
async fn a_mapping_runs_though_its_maker_went_away() {
    let world = World::new(|_| Run::Answer("")).await;
    world.put(&["a"]).await;
    let mappings = world.start();
    {
        let created = mappings.create(of_stream(MappingSettings::default()));
        tokio::pin!(created);
        let _ = poll_fn(|context| Poll::Ready(created.as_mut().poll(context))).await;
    }
    until(|| world.batches() == [["a"]]).await;
    mappings.shutdown().await;
}

#[tokio::test]
async fn mappings_are_checked_changed_and_removed() {
    let world = World::new(|_| Run::Answer("")).await;
    let mappings = world.start();
    let made = mappings.create(of_stream(MappingSettings::default())).await.unwrap();
    assert_eq!(made.phase, Phase::Creating);
    let id = made.definition.id.clone();
    until(|| mappings.get(&id).unwrap().phase == Phase::Enabled).await;
    let twice = mappings.create(of_stream(MappingSettings::default())).await;
    assert!(matches!(twice, Err(MappingError::Exists { .. })), "{twice:?}");
    let queue = EventSource::Queue { name: "q".into() };
    for (new, expected) in [
        (NewMapping { function: "g".into(), ..of_stream(Default::default()) }, "no function `g`"),
        (NewMapping { start: None, ..of_stream(Default::default()) }, "needs a starting position"),
        (
            NewMapping { source: queue.clone(), ..of_stream(MappingSettings { batch_size: 1, ..Default::default() }) },
            "a starting position says nothing",
        ),
        (of_stream(MappingSettings { batch_size: 0, ..Default::default() }), "a batch size from 1 to 10000, found 0"),
        (of_stream(MappingSettings { record_age_max_seconds: Some(9), ..Default::default() }), "from 60 to"),
        (of_stream(MappingSettings { filters: vec!["bad".into()], ..Default::default() }), "cannot be read: bad"),
        (of_stream(MappingSettings { filters: vec![String::new(); 6], ..Default::default() }), "at most 5 filters"),
    ] {
        let error = mappings.create(NewMapping { enabled: false, ..new }).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.kind() == ErrorKind::NotFound, expected.starts_with("no "), "{error}");
    }
    change(&mappings, &id, |definition| definition.state = MappingState::Disabled).await;
    until(|| mappings.get(&id).unwrap().phase == Phase::Disabled).await;
    world.put(&["a"]).await;
    assert_eq!(mappings.delete(&id).await.unwrap().phase, Phase::Deleting);
    until(|| mappings.get(&id).is_err()).await;
    assert!(matches!(mappings.delete(&id).await, Err(MappingError::NotFound { .. })));
    assert!(world.batches().is_empty());
    let again = mappings.create(of_stream(MappingSettings::default())).await.unwrap();
    assert_ne!(again.definition.id, id);
    until(|| world.batches() == [["a"]]).await;
    mappings.shutdown().await;
}
