//! Rows on their way to objects and documents that fail, hang or are cut off: over the storage model, in lives of which each
//! but the last ends in a crash. Time is tokio's own, paused.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{
    Catalog, ColumnDefinition, ColumnType, DocumentOutput, EventOrder, ObjectOutput, OutputHanding, OutputTarget,
    QueryDialect, QueryInput, QueryOutput, RecordFormat, StartAt, StreamOwner,
};
use millstream_insight::Insight;
use millstream_query::{DeliveryAnswer, DeliveryRecord, NewQuery, OutputCodec, Outside, Queries, QueryError};
use millstream_storage::{Keyspace, Storage};
use millstream_stream::{Entry, NewStream, Streams};
use millstream_types::{
    BoxFuture, Clock, ErrorKind, Invocation, InvocationOutcome, Invoke, InvokeError, ManualClock, NewObject, PutObject,
    PutObjectError, ReadObject, ReadObjectError, UpsertDocumentError, UpsertDocuments,
};
use serde_json::{Value, json};

/// 2026-03-04 05:06:07 UTC.
const BEGIN: i64 = 1_772_600_767_000;
const HOUR: i64 = 3_600_000;

/// What a store of objects does with the next ones.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Takes,
    /// Refuses so many, then takes.
    Refuses(u32),
    /// Keeps nothing and never answers.
    Hangs,
    /// Takes so many, then keeps one more and never answers: the crash is between the object and the place.
    KeepsAndHangs(u32),
}

struct Bucket {
    objects: Mutex<BTreeMap<String, Bytes>>,
    mood: Mutex<Mood>,
    hung: Mutex<bool>,
}

impl PutObject for Bucket {
    fn put_object(&self, object: NewObject) -> BoxFuture<'_, Result<(), PutObjectError>> {
        Box::pin(async move {
            let mood = *self.mood.lock().unwrap();
            if let Mood::Refuses(times @ 1..) = mood {
                *self.mood.lock().unwrap() = Mood::Refuses(times - 1);
                return Err(PutObjectError { kind: ErrorKind::Unavailable, message: "not now".into() });
            }
            if mood != Mood::Hangs {
                self.objects.lock().unwrap().insert(format!("{}/{}", object.bucket, object.key), object.body);
            }
            match mood {
                Mood::Takes | Mood::Refuses(_) => return Ok(()),
                Mood::KeepsAndHangs(times @ 1..) => {
                    *self.mood.lock().unwrap() = Mood::KeepsAndHangs(times - 1);
                    return Ok(());
                }
                Mood::Hangs | Mood::KeepsAndHangs(0) => *self.hung.lock().unwrap() = true,
            }
            std::future::pending().await
        })
    }
}

impl ReadObject for Bucket {
    fn read_object<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        bytes_max: u64,
    ) -> BoxFuture<'a, Result<Bytes, ReadObjectError>> {
        let found = self.objects.lock().unwrap().get(&format!("{bucket}/{key}")).cloned();
        let found = found.filter(|content| content.len() as u64 <= bytes_max);
        let missing = ReadObjectError { kind: ErrorKind::NotFound, message: "there is no such object".into() };
        Box::pin(async move { found.ok_or(missing) })
    }

    fn list_objects<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        after: &'a str,
        count_max: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, ReadObjectError>> {
        let objects = self.objects.lock().unwrap();
        let names = objects.keys().filter_map(|name| name.strip_prefix(bucket)?.strip_prefix('/'));
        let names =
            names.filter(|name| name.starts_with(prefix) && *name > after).take(count_max).map(str::to_owned).collect();
        Box::pin(async move { Ok(names) })
    }
}

impl Bucket {
    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
        *self.hung.lock().unwrap() = false;
    }

    fn hangs(&self) -> bool {
        *self.hung.lock().unwrap()
    }

    fn texts(&self) -> BTreeMap<String, String> {
        let objects = self.objects.lock().unwrap();
        objects.iter().map(|(key, body)| (key.clone(), String::from_utf8(body.to_vec()).unwrap())).collect()
    }

    /// The column `n` of all rows in all objects, in order.
    fn rows(&self) -> Vec<u64> {
        let texts = self.texts();
        let rows = texts.values().flat_map(|text| text.lines());
        let mut numbers: Vec<u64> =
            rows.map(|row| serde_json::from_str::<Value>(row).unwrap()["n"].as_u64().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    }
}

/// A container whose documents are told by their id; `refuses` says how often a document with that `n` is not taken.
#[derive(Default)]
struct Container {
    documents: Mutex<BTreeMap<String, Value>>,
    refuses: Mutex<BTreeMap<u64, u32>>,
}

impl UpsertDocuments for Container {
    fn upsert_documents(
        &self,
        _: String,
        _: String,
        documents: Vec<Bytes>,
    ) -> BoxFuture<'_, Vec<Result<(), UpsertDocumentError>>> {
        let outcomes =
            documents.iter().map(|document| self.upsert(serde_json::from_slice(document).unwrap())).collect();
        Box::pin(async move { outcomes })
    }
}

impl Container {
    fn upsert(&self, document: Value) -> Result<(), UpsertDocumentError> {
        let refused = |kind| Err(UpsertDocumentError { kind, message: format!("refused: {document}") });
        if document["symbol"] == "BAD" {
            return refused(ErrorKind::Invalid);
        }
        let number = document["n"].as_u64().unwrap();
        if let Some(times @ 1..) = self.refuses.lock().unwrap().get_mut(&number) {
            *times -= 1;
            return refused(ErrorKind::Throttled);
        }
        self.documents.lock().unwrap().insert(document["id"].as_str().unwrap().to_owned(), document);
        Ok(())
    }

    fn numbers(&self) -> BTreeMap<String, u64> {
        let documents = self.documents.lock().unwrap();
        documents.iter().map(|(id, document)| (id.clone(), document["n"].as_u64().unwrap())).collect()
    }
}

/// There are no functions here.
struct Nobody;

impl Invoke for Nobody {
    fn invoke(&self, _: Invocation) -> BoxFuture<'_, Result<InvocationOutcome, InvokeError>> {
        Box::pin(async { Err(InvokeError { kind: ErrorKind::NotFound, message: "nobody".into() }) })
    }
}

impl OutputCodec for Nobody {
    fn encode(&self, _: &str, _: &[DeliveryRecord]) -> Bytes {
        Bytes::new()
    }

    fn decode(&self, _: &[DeliveryRecord], _: &[u8]) -> Option<Vec<DeliveryAnswer>> {
        None
    }

    fn records_max(&self) -> usize {
        1
    }
}

/// What outlives a crash, and what is outside.
pub struct World {
    pub storage: Storage,
    pub clock: Arc<ManualClock>,
    bucket: Arc<Bucket>,
    container: Arc<Container>,
}

/// One life of the engine.
pub struct Life {
    pub streams: Streams,
    pub queries: Queries,
}

impl World {
    pub fn new() -> Self {
        let clock = Arc::new(ManualClock::at(BEGIN));
        let objects = Mutex::default();
        let bucket = Arc::new(Bucket { objects, mood: Mutex::new(Mood::Takes), hung: Mutex::new(false) });
        Self {
            storage: Storage::in_memory(Arc::clone(&clock) as Arc<dyn Clock>),
            clock,
            bucket,
            container: Arc::default(),
        }
    }

    /// Keeps an object under its bucket and its name.
    pub fn keep_object(&self, name: &str, content: &'static str) {
        self.bucket.objects.lock().unwrap().insert(name.to_owned(), Bytes::from_static(content.as_bytes()));
    }

    /// Runs the engine until `work` is done; then it dies wherever it is.
    pub fn life(&self, work: impl AsyncFnOnce(&Life)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
            let catalog = Catalog::open(&self.storage).unwrap();
            let streams = Streams::new(self.storage.clone(), catalog.clone(), Arc::clone(&clock));
            let insight = Insight::open(&self.storage, Arc::clone(&clock)).unwrap();
            let outside = Outside {
                invoke: Arc::new(Nobody),
                kinesis_codec: Arc::new(Nobody),
                kinesis_processing: None,
                stream_analytics_codec: Arc::new(Nobody),
                objects: Arc::clone(&self.bucket) as Arc<dyn PutObject>,
                reads: Arc::clone(&self.bucket) as Arc<dyn ReadObject>,
                reference_scan: Duration::from_secs(60),
                documents: Arc::clone(&self.container) as Arc<dyn UpsertDocuments>,
                kinesis_roles: None,
            };
            let queries = Queries::start(self.storage.clone(), catalog, streams.clone(), insight, outside, clock).await;
            work(&Life { streams, queries }).await;
        });
        runtime.shutdown_background();
    }

    fn places(&self) -> usize {
        let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
        self.storage.scan(&Keyspace::new("query/checkpoint"), all, false, usize::MAX).unwrap().len()
    }
}

impl Life {
    /// Defines a query that hands rows through, and starts it.
    pub async fn define(&self, outputs: Vec<QueryOutput>) {
        if self.streams.get("in").is_err() {
            let owner = StreamOwner::User;
            self.streams.create(NewStream { name: "in".into(), owner, shards: 1, retention_hours: 240 }).await.unwrap();
        }
        self.queries.create(query(outputs)).await.unwrap();
        self.queries.start_query("q", None).await.unwrap();
    }

    /// Changes the query, as it is now.
    pub async fn update(&self, new: NewQuery) -> Result<(), QueryError> {
        let seen = self.queries.get("q")?;
        self.queries.update(&seen, new).await.map(drop)
    }

    async fn put(&self, numbers: std::ops::Range<u64>) {
        let symbol = |number: u64| ["A", "B", "C"][number as usize % 3];
        self.put_rows(numbers.map(|number| json!({"symbol": symbol(number), "n": number})).collect()).await;
    }

    pub async fn put_rows(&self, rows: Vec<Value>) {
        let entry = |row: &Value| Entry {
            partition_key: Bytes::from_static(b"k"),
            explicit_hash_key: None,
            headers: Bytes::new(),
            data: Bytes::from(row.to_string()),
        };
        self.streams.put("in", &rows.iter().map(entry).collect::<Vec<_>>()).await.unwrap();
    }

    pub fn errors(&self) -> Vec<(&'static str, String)> {
        self.queries.recent_errors("q").into_iter().map(|error| (error.kind, error.detail)).collect()
    }
}

pub fn query(outputs: Vec<QueryOutput>) -> NewQuery {
    let column = |name: &str, column_type| ColumnDefinition::new(name, column_type);
    let into: Vec<String> =
        outputs.iter().map(|output| format!("SELECT symbol, n INTO {} FROM src;", output.name)).collect();
    NewQuery {
        name: "q".into(),
        dialect: QueryDialect::StreamAnalytics,
        sql: into.concat(),
        description: String::new(),
        inputs: vec![QueryInput {
            name: "src".into(),
            stream: "in".into(),
            format: RecordFormat::Json,
            columns: vec![column("symbol", ColumnType::Text), column("n", ColumnType::BigInt)],
            role: String::new(),
            consumer_group: String::new(),
            processor: None,
            row_path: String::new(),
            divided: Vec::new(),
        }],
        references: Vec::new(),
        functions: Vec::new(),
        outputs,
        start_at: StartAt::TrimHorizon,
        event_order: EventOrder::default(),
        parallelism: 1,
        resource: None,
    }
}

pub fn output(name: &str, target: OutputTarget) -> QueryOutput {
    QueryOutput {
        name: name.into(),
        target,
        format: RecordFormat::Json,
        role: String::new(),
        handing: OutputHanding::default(),
    }
}

fn objects(bucket: &str, path: &str) -> OutputTarget {
    let none = String::new();
    let output = ObjectOutput {
        bucket: bucket.into(),
        path: path.into(),
        date_format: none.clone(),
        time_format: none,
        array: false,
    };
    OutputTarget::Objects(output)
}

fn documents(id_column: &str) -> OutputTarget {
    OutputTarget::Documents(DocumentOutput {
        database: "d".into(),
        container: "c".into(),
        id_column: id_column.into(),
        partition_key: String::new(),
    })
}

pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(600), pin!(waiting)).await.expect(what);
}

fn numbers(range: std::ops::Range<u64>) -> Vec<u64> {
    range.collect()
}

#[test]
fn each_row_is_in_one_object_once_whatever_is_interrupted() {
    let world = World::new();
    world.life(async |life| life.define(vec![output("out", objects("b", "by/{symbol}"))]).await);
    let moods = [Mood::Hangs, Mood::KeepsAndHangs(0), Mood::KeepsAndHangs(1), Mood::Refuses(4), Mood::KeepsAndHangs(2)];
    for (round, mood) in (0..).zip(moods) {
        let begin = round * 100;
        world.bucket.set(Mood::Takes);
        world.life(async |life| {
            life.put(begin..begin + 40).await;
            until("rows are written", || world.bucket.rows() == numbers(0..begin + 40)).await;
            world.bucket.set(mood);
            life.put(begin + 40..begin + 100).await;
            if let Mood::Refuses(_) = mood {
                until("the refusal is told", || life.queries.status("q").last_error.is_some()).await;
            } else {
                until("an object hangs", || world.bucket.hangs()).await;
            }
        });
    }
    world.bucket.set(Mood::Takes);
    world.life(async |_| until("all rows", || world.bucket.rows() == numbers(0..500)).await);
}

#[test]
fn a_closed_object_is_not_touched_and_the_next_rows_are_in_a_new_one() {
    let world = World::new();
    world.life(async |life| {
        life.define(vec![output("out", objects("b", "all"))]).await;
        life.put(0..10).await;
        until("rows are written", || world.bucket.rows() == numbers(0..10)).await;
        // It rests, so it is closed.
        tokio::time::sleep(Duration::from_secs(70)).await;
        life.put(10..20).await;
        until("rows are written", || world.bucket.rows() == numbers(0..20)).await;
        assert_eq!(world.bucket.texts().len(), 2);
    });
    world.life(async |life| {
        life.put(20..30).await;
        until("rows are written", || world.bucket.rows() == numbers(0..30)).await;
        assert_eq!(world.bucket.texts().len(), 2, "after the crash the second one grows on");
        life.queries.shutdown().await;
    });
    world.life(async |life| {
        life.put(30..40).await;
        until("rows are written", || world.bucket.rows() == numbers(0..40)).await;
        assert_eq!(world.bucket.texts().len(), 3, "an orderly stop closes it");
    });
}

#[test]
fn a_hanging_object_is_written_again() {
    let world = World::new();
    world.life(async |life| {
        life.define(vec![output("out", objects("b", ""))]).await;
        world.bucket.set(Mood::Hangs);
        life.put(0..10).await;
        until("an object hangs", || world.bucket.hangs()).await;
        world.bucket.set(Mood::Takes);
        until("rows are written", || world.bucket.rows() == numbers(0..10)).await;
    });
}

#[test]
fn objects_lie_where_time_and_columns_say_in_the_form_that_is_asked_for() {
    let world = World::new();
    let (bucket, path) = ("b".to_owned(), "arrays/{date}/{time}/{symbol}".to_owned());
    let array = OutputTarget::Objects(ObjectOutput {
        bucket,
        path,
        date_format: "yyyy-MM-dd".into(),
        time_format: "HH-mm".into(),
        array: true,
    });
    let cells = QueryOutput {
        format: RecordFormat::Csv { delimiter: ";".into() },
        ..output("cells", objects("b", "cells/{datetime:yyyy}"))
    };
    world.life(async |life| {
        life.define(vec![output("arrays", array), cells]).await;
        life.put(0..4).await;
        until("all objects", || world.bucket.texts().len() == 4).await;
    });
    let texts = world.bucket.texts();
    let found: Vec<(String, &str)> =
        texts.iter().map(|(key, text)| (key.rsplit_once('/').unwrap().0.to_owned(), text.as_str())).collect();
    assert_eq!(
        found,
        [
            ("b/arrays/2026-03-04/05-06/A".into(), "[{\"symbol\":\"A\",\"n\":0},\n{\"symbol\":\"A\",\"n\":3}]\n"),
            ("b/arrays/2026-03-04/05-06/B".into(), "[{\"symbol\":\"B\",\"n\":1}]\n"),
            ("b/arrays/2026-03-04/05-06/C".into(), "[{\"symbol\":\"C\",\"n\":2}]\n"),
            ("b/cells/2026".into(), "symbol;n\nA;0\nB;1\nC;2\nA;3\n"),
        ]
    );
}

#[test]
fn an_output_that_moves_to_another_bucket_leaves_no_row_behind_and_takes_none_twice() {
    let world = World::new();
    let moved = |bucket: &str| query(vec![output("out", objects(bucket, "{symbol}"))]);
    world.life(async |life| {
        life.define(vec![output("out", objects("first", "{symbol}"))]).await;
        life.put(0..30).await;
        until("rows are written", || world.bucket.rows() == numbers(0..30)).await;
        life.put(30..40).await;
        life.update(moved("second")).await.unwrap();
        life.put(40..60).await;
        until("rows are written", || world.bucket.rows() == numbers(0..60)).await;
        // The definition is kept, then the node dies before the delivery was stopped.
        world.bucket.set(Mood::Refuses(u32::MAX));
    });
    world.bucket.set(Mood::Takes);
    world.life(async |life| {
        life.update(query(vec![output("out", documents("n"))])).await.unwrap();
        life.put(60..70).await;
        until("documents are written", || world.container.numbers().len() >= 10).await;
        assert_eq!(world.bucket.rows(), numbers(0..60));
        let late: Vec<u64> = world.container.numbers().into_values().collect();
        assert_eq!(late, numbers(60..70), "documents begin where objects ended");
        life.update(moved("third")).await.unwrap();
        life.put(70..80).await;
        until("rows are written", || world.bucket.rows().len() >= 70).await;
        let expected: Vec<u64> = (0..60).chain(70..80).collect();
        assert_eq!(world.bucket.rows(), expected, "objects begin where documents ended");
    });
}

#[test]
fn rows_that_retention_took_are_told_and_written_ones_are_not_written_again() {
    let world = World::new();
    world.life(async |life| {
        life.define(vec![output("out", objects("b", ""))]).await;
        life.put(0..10).await;
        until("rows are written", || world.bucket.rows() == numbers(0..10)).await;
        // Half an hour apart: the first rows go, the others stay.
        world.clock.advance(HOUR / 2);
        life.put(10..20).await;
        until("rows are written", || world.bucket.rows() == numbers(0..20)).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    });
    world.clock.advance(24 * HOUR - HOUR / 4);
    world.life(async |life| {
        life.streams.enforce_retention().await.unwrap();
        life.put(20..30).await;
        until("rows are written", || world.bucket.rows() == numbers(0..30)).await;
        assert_eq!(life.errors(), []);
        world.bucket.set(Mood::Refuses(u32::MAX));
        life.put(30..31).await;
        until("the refusal is told", || life.queries.status("q").last_error.is_some()).await;
        life.put(31..40).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        world.clock.advance(25 * HOUR);
        life.streams.enforce_retention().await.unwrap();
        world.bucket.set(Mood::Takes);
        life.put(40..50).await;
        until("rows are written", || world.bucket.rows().last() == Some(&49)).await;
        assert_eq!(life.errors().into_iter().map(|(kind, _)| kind).collect::<Vec<_>>(), ["lost"]);
    });
    let expected: Vec<u64> = (0..31).chain(40..50).collect();
    assert_eq!(world.bucket.rows(), expected);
}

#[test]
fn nothing_is_left_of_a_query_and_one_of_its_name_begins_anew() {
    let world = World::new();
    world.life(async |life| {
        // The query's text and its definition write the name differently.
        let outputs = vec![output("out", objects("b", "")), output("gone", objects("b", "gone"))];
        life.define(outputs).await;
        life.put(0..10).await;
        until("rows are written", || world.bucket.rows().len() == 20).await;
        tokio::time::sleep(Duration::from_secs(70)).await;
        let mut fewer = query(vec![output("OUT", objects("b", ""))]);
        fewer.sql = "SELECT symbol, n INTO out FROM src".into();
        life.update(fewer).await.unwrap();
        assert_eq!(world.places(), 3);
        life.queries.delete("q").await.unwrap();
        assert_eq!(world.places(), 0);
        assert_eq!(life.streams.list().len(), 1, "only the input");
        let before = world.bucket.texts();
        life.define(vec![output("out", objects("b", ""))]).await;
        until("rows are written", || world.bucket.rows().len() == 30).await;
        assert!(before.iter().all(|(key, text)| world.bucket.texts().get(key) == Some(text)), "no object is replaced");
    });
}

#[test]
fn documents_that_are_none_are_told_others_tried_again_and_the_last_of_an_id_stays() {
    let world = World::new();
    let row = |symbol: Value, number: u64| json!({"symbol": symbol, "n": number});
    world.container.refuses.lock().unwrap().extend([(1, 2), (4, 1)]);
    world.life(async |life| {
        life.define(vec![output("out", documents("symbol"))]).await;
        let rows = vec![
            row("A".into(), 1),
            row("A".into(), 2),
            row(Value::Null, 3),
            row("B".into(), 4),
            row("BAD".into(), 5),
            row("B".into(), 6),
        ];
        life.put_rows(rows).await;
        let expected = BTreeMap::from([("A".to_owned(), 2), ("B".to_owned(), 6)]);
        until("documents are written", || world.container.numbers() == expected).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(world.container.numbers(), expected);
        let told: Vec<String> = life.errors().into_iter().map(|(_, detail)| detail).collect();
        assert!(told[0].contains("`symbol` is empty") && told[1].contains("\"n\":5"), "{told:?}");
        assert_eq!(life.queries.status("q").last_error, None);
    });
}

#[test]
fn documents_of_rows_have_the_same_ids_after_a_crash() {
    let world = World::new();
    world.container.refuses.lock().unwrap().insert(150, u32::MAX);
    world.life(async |life| {
        life.define(vec![output("out", documents(""))]).await;
        life.put(0..200).await;
        until("the first batch is written", || world.container.numbers().len() == 199).await;
    });
    world.container.refuses.lock().unwrap().clear();
    world.life(async |_| until("all documents", || world.container.numbers().len() == 200).await);
    let mut found: Vec<u64> = world.container.numbers().into_values().collect();
    found.sort_unstable();
    assert_eq!(found, numbers(0..200));
}

#[test]
fn an_output_that_fails_is_told_although_another_is_well() {
    let world = World::new();
    world.container.refuses.lock().unwrap().insert(0, u32::MAX);
    world.life(async |life| {
        life.define(vec![output("out", objects("b", "")), output("docs", documents("n"))]).await;
        life.put(0..10).await;
        until("rows are written", || world.bucket.rows() == numbers(0..10)).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let told = life.queries.status("q").last_error.unwrap();
        assert!(told.starts_with("container d/c has not taken 10 documents: refused"), "{told}");
        // Stopping does not wait for what will not be.
        life.queries.stop_query("q").await.unwrap();
    });
}
