//! The engine over the storage model, in lives of which each but the last ends in a crash, beside a bucket and a container that refuse or
//! hang when they are told to. Time is tokio's own, paused.

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
pub const HOUR: i64 = 3_600_000;

/// What a store of objects does with the next ones.
#[derive(Clone, Copy, PartialEq)]
pub enum Mood {
    Takes,
    /// Refuses so many, then takes.
    Refuses(u32),
    /// Keeps nothing and never answers.
    Hangs,
    /// Takes so many, then keeps one more and never answers: the crash is between the object and the place.
    KeepsAndHangs(u32),
}

pub struct Bucket {
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
    pub fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
        *self.hung.lock().unwrap() = false;
    }

    pub fn hangs(&self) -> bool {
        *self.hung.lock().unwrap()
    }

    pub fn texts(&self) -> BTreeMap<String, String> {
        let objects = self.objects.lock().unwrap();
        objects.iter().map(|(key, body)| (key.clone(), String::from_utf8(body.to_vec()).unwrap())).collect()
    }

    /// The column `n` of all rows in all objects, in order.
    pub fn rows(&self) -> Vec<u64> {
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
pub struct Container {
    documents: Mutex<BTreeMap<String, Value>>,
    pub refuses: Mutex<BTreeMap<u64, u32>>,
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

    pub fn numbers(&self) -> BTreeMap<String, u64> {
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
    pub bucket: Arc<Bucket>,
    pub container: Arc<Container>,
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

    pub fn places(&self) -> usize {
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

    pub async fn put(&self, numbers: std::ops::Range<u64>) {
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

pub fn objects(bucket: &str, path: &str) -> OutputTarget {
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

pub fn documents(id_column: &str) -> OutputTarget {
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
