//! A query's steps one by one, where it matters what waits for the next commit.

use bytes::Bytes;
use millstream_catalog::{
    Catalog, ColumnDefinition, ColumnType, DesiredState, EventOrder, QueryDialect, QueryInput, RecordFormat, StartAt,
    StreamOwner,
};
use millstream_storage::Storage;
use millstream_stream::{Entry, NewStream};
use millstream_types::{BoxFuture, Clock, ErrorKind, ManualClock, ReadObject, ReadObjectError};

use super::*;

const BEGIN: i64 = 1_772_600_767_000;
const HOUR: Duration = Duration::from_secs(3_600);
const SHORT_TEXT: usize = 10;

/// There are no objects here.
struct Nothing;

impl ReadObject for Nothing {
    fn read_object<'a>(&'a self, _: &'a str, _: &'a str, _: u64) -> BoxFuture<'a, Result<Bytes, ReadObjectError>> {
        Box::pin(async { Err(ReadObjectError { kind: ErrorKind::NotFound, message: "there is nothing".into() }) })
    }

    fn list_objects<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: &'a str,
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, ReadObjectError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

fn definition(sql: &str) -> QueryDefinition {
    let column = |name: &str, column_type| ColumnDefinition::new(name, column_type);
    let input = QueryInput {
        name: "src".into(),
        stream: "in".into(),
        format: RecordFormat::Json,
        columns: vec![column("text", ColumnType::Text), column("n", ColumnType::BigInt)],
        role: String::new(),
        consumer_group: String::new(),
        processor: None,
        row_path: String::new(),
        divided: Vec::new(),
    };
    QueryDefinition {
        name: "q".into(),
        dialect: QueryDialect::StreamAnalytics,
        sql: sql.to_owned(),
        description: String::new(),
        inputs: vec![input],
        references: Vec::new(),
        functions: Vec::new(),
        outputs: Vec::new(),
        desired: DesiredState::Running,
        start_at: StartAt::TrimHorizon,
        event_order: EventOrder::default(),
        parallelism: 1,
        resource: None,
        started: None,
        created: BEGIN,
        modified: BEGIN,
        version: 1,
    }
}

/// A query that has begun, whose state took so long to write that rows wait for an hour.
struct Resting {
    task: Task,
    work: Work,
    clock: Arc<ManualClock>,
    _go_on: watch::Sender<bool>,
    stop: watch::Receiver<bool>,
}

impl Resting {
    async fn new(sql: &str) -> Self {
        let manual = Arc::new(ManualClock::at(BEGIN));
        let clock = Arc::clone(&manual) as Arc<dyn Clock>;
        let storage = Storage::in_memory(Arc::clone(&clock));
        let streams = Streams::new(storage.clone(), Catalog::open(&storage).unwrap(), Arc::clone(&clock));
        for (name, owner) in [("in", StreamOwner::User), ("query/q/out", StreamOwner::Query)] {
            streams.create(NewStream { name: name.into(), owner, shards: 1, retention_hours: 24 }).await.unwrap();
        }
        let insight = Insight::open(&storage, Arc::clone(&clock)).unwrap();
        let definition = Arc::new(definition(sql));
        let running = Arc::new(Running::new(&definition, insight.clone(), Arc::clone(&clock)));
        let references = References { objects: Arc::new(Nothing), roles: None, clock, scan: HOUR };
        let checkpoints = Checkpoints::new(storage);
        let task =
            Task { definition, streams, checkpoints, insight, running, roles: None, references, processing: None };
        let mut work = task.begin().await.unwrap();
        work.rest = HOUR;
        let (go_on, stop) = watch::channel(false);
        Self { task, work, clock: manual, _go_on: go_on, stop }
    }

    async fn put(&self, records: impl Iterator<Item = String>) {
        let entry = |data: String| Entry {
            partition_key: Bytes::from_static(b"k"),
            explicit_hash_key: None,
            headers: Bytes::new(),
            data: Bytes::from(data),
        };
        self.task.streams.put("in", &records.map(entry).collect::<Vec<_>>()).await.unwrap();
    }

    /// Works until nothing is left to read; gives the rows that were written then.
    async fn works(&mut self) -> u64 {
        while self.task.step(&mut self.work, &self.stop).await.unwrap() {}
        self.written()
    }

    fn written(&self) -> u64 {
        let stream = self.task.streams.get("query/q/out").unwrap();
        self.task.streams.bounds(stream.shards[0].log()).next
    }

    fn errors(&self) -> usize {
        self.task.running.errors().len()
    }
}

fn record(length: usize, n: u64) -> String {
    format!(r#"{{"text":"{}","n":{n}}}"#, "x".repeat(length))
}

#[tokio::test]
async fn what_goes_wrong_is_told_at_once_though_rows_wait() {
    let mut query = Resting::new("SELECT n INTO out FROM src").await;
    for round in 1..=3 {
        query.put([record(SHORT_TEXT, 1), "no JSON".to_owned()].into_iter()).await;
        assert_eq!((query.works().await, query.errors()), (0, round), "each is told once, and no row is written");
    }
    query.work.rest = Duration::ZERO;
    assert_eq!((query.works().await, query.errors()), (3, 3));
}

#[tokio::test]
async fn rows_wait_until_they_are_as_many_as_a_transaction_holds() {
    let mut query = Resting::new("SELECT text, n INTO out FROM src").await;
    for n in 0..4 {
        query.put((0..1_024).map(|_| record(1_024, n))).await;
    }
    assert_eq!(query.works().await, 0, "four mebibytes wait");
    for n in 0..2 {
        query.put((0..1_024).map(|_| record(1_024, n))).await;
    }
    // They go out while they are one transaction still.
    assert_eq!((query.works().await, query.work.next_part), (6_144, 0), "six, with their keys, are as many");
}

#[tokio::test]
async fn parts_of_what_a_join_gives_wait_as_other_rows_do() {
    let sql = "SELECT a.n INTO out FROM src a JOIN src b ON DATEDIFF(hour, a, b) BETWEEN -1 AND 1";
    let mut query = Resting::new(sql).await;
    // More pairs than one part has.
    query.put((0..300).map(|n| record(SHORT_TEXT, n))).await;
    query.works().await;
    query.clock.advance(2 * 3_600_000);
    assert_eq!(query.works().await, 0);
    assert_eq!(query.work.executor().unwrap().counts().rows_out, 90_000);
    query.work.rest = Duration::ZERO;
    assert_eq!(query.works().await, 90_000);
}
