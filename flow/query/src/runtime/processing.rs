//! Records that go through a function before they become rows: it changes them, drops them, or says that they are none.
//!
//! A function that fails, or whose answer lacks a record, gets the same records again until it answers: the query begins again
//! from its checkpoint. Records that are too large for one event or one answer go in halves; one that is too large alone is told
//! and left out, as it would stop the query for good. What records look like on their way is a codec's business. Read next:
//! [`super::task`].

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::InputProcessor;
use millstream_stream::SequenceNumber;
use millstream_types::{CheckRole, EncodedRecords, ErrorKind, Invocation, Invoke, LogId, Record, RecordBatch, RoleUse};
use serde::Deserialize;

use super::delivery::batches;
use super::error::QueryError;
use crate::decode::DecodeError;

/// Answers of functions in a step: so a stop does not wait for long.
const ANSWERS_MAX: usize = 8;

/// Bytes of records that a function gets at once. In base64 they are 4 MiB of the 6 MiB that an event and an answer may have:
/// there is room for what stands beside them, and for an answer half as large again.
const BATCH_BYTES: usize = 3 << 20;

/// The error of a function whose answer was larger than the service takes.
const ANSWER_TOO_LARGE: &str = "Function.ResponseSizeTooLarge";

/// Bytes that functions gave in a step, from which on the other records are left to the next one.
const STEP_BYTES: usize = 4 << 20;

/// Records of a shard on their way through a function.
#[derive(Debug, Clone, Copy)]
pub struct ProcessingBatch<'a> {
    /// The query.
    pub query: &'a str,
    /// The stream in the catalog.
    pub stream: &'a str,
    /// The shard's number.
    pub shard: u32,
    /// The shard's log.
    pub log: LogId,
    /// The records.
    pub records: &'a [Record],
}

impl ProcessingBatch<'_> {
    /// By which a function and its answer tell a record: the same in every attempt.
    #[must_use]
    pub fn id(&self, record: &Record) -> String {
        SequenceNumber { log: self.log, offset: record.offset }.to_string()
    }
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Processed {
    /// It is this now.
    Record(Bytes),
    /// It is left out.
    Dropped,
    /// The function could not make anything of it.
    Failed,
    /// It, or what the function makes of it, is too large to go through a function, which says this.
    TooLarge(String),
}

/// The shape in which records go to functions and answers come back: a front's business, plugged in by the server.
pub trait ProcessingCodec: Send + Sync + 'static {
    /// The event of some records.
    fn encode(&self, batch: &ProcessingBatch<'_>) -> Bytes;

    /// What became of records, by their ids; an error when it is no answer of that shape.
    ///
    /// # Errors
    /// What was expected and what was found.
    fn decode(&self, answer: &[u8]) -> Result<HashMap<String, Processed>, String>;

    /// How many records one event may hold.
    fn records_max(&self) -> usize;
}

/// How records get through functions.
#[derive(Clone)]
pub(super) struct Processing {
    pub(super) invoke: Arc<dyn Invoke>,
    pub(super) codec: Arc<dyn ProcessingCodec>,
    /// `None`: no role is asked.
    pub(super) roles: Option<Arc<dyn CheckRole>>,
}

/// A batch to be decoded.
pub(super) struct ToDecode {
    pub(super) batch: RecordBatch,
    /// Offsets of records that are not decoded, ascending.
    pub(super) without: Vec<u64>,
    /// Those among them that the function could not make anything of.
    pub(super) failed: Vec<DecodeError>,
}

impl From<RecordBatch> for ToDecode {
    /// A batch as it was read.
    fn from(batch: RecordBatch) -> Self {
        Self { batch, without: Vec::new(), failed: Vec::new() }
    }
}

impl Processing {
    /// What a function makes of all records of a batch, in their order.
    pub(super) async fn all(
        &self,
        batch: ProcessingBatch<'_>,
        processor: &InputProcessor,
    ) -> Result<Vec<Processed>, QueryError> {
        self.made(batch, processor, (usize::MAX, usize::MAX)).await
    }

    /// The records of a read from an offset on as a function makes them, and the offset that the next step begins with.
    pub(super) async fn step(
        &self,
        batch: ProcessingBatch<'_>,
        read: (Vec<RecordBatch>, u64),
        from: u64,
        processor: &InputProcessor,
    ) -> Result<(Vec<ToDecode>, u64), QueryError> {
        let (read, mut next) = read;
        let records: Vec<Record> =
            read.iter().flat_map(RecordBatch::records).filter(|record| record.offset >= from).collect();
        let bounds = (ANSWERS_MAX, STEP_BYTES);
        let made = self.made(ProcessingBatch { records: &records, ..batch }, processor, bounds).await?;
        if let Some(left) = records.get(made.len()) {
            next = left.offset;
        }
        let processed = records.iter().map(|record| record.offset).zip(made);
        let processed: HashMap<u64, Processed> = processed.collect();
        let made = read.iter().filter(|batch| batch.base_offset < next);
        Ok((made.map(|batch| replaced(batch, &processed, &processor.function)).collect(), next))
    }

    /// What a function makes of the first records, in their order, until it gave so many answers or bytes.
    async fn made(
        &self,
        batch: ProcessingBatch<'_>,
        processor: &InputProcessor,
        (answers_max, bytes_max): (usize, usize),
    ) -> Result<Vec<Processed>, QueryError> {
        // The next ones are last.
        let mut left: Vec<&[Record]> = batches(batch.records, (self.codec.records_max(), BATCH_BYTES)).collect();
        left.reverse();
        let (mut made, mut answers, mut bytes) = (Vec::new(), 0, 0);
        while let Some(records) = left.pop().filter(|_| answers < answers_max && bytes < bytes_max) {
            match self.once(ProcessingBatch { records, ..batch }, processor).await? {
                Answer::Made(some) => {
                    answers += 1;
                    bytes += some.iter().map(Processed::len).sum::<usize>();
                    made.extend(some);
                }
                // Each time again the same would come: what is too large together goes apart, what is so alone does not go.
                Answer::TooLarge(reason) if records.len() <= 1 => {
                    answers += 1;
                    made.push(Processed::TooLarge(reason));
                }
                Answer::TooLarge(_) => {
                    let (first, second) = records.split_at(records.len() / 2);
                    left.extend([second, first]);
                }
            }
        }
        Ok(made)
    }

    /// One invocation.
    async fn once(&self, batch: ProcessingBatch<'_>, processor: &InputProcessor) -> Result<Answer, QueryError> {
        let InputProcessor { function, role } = processor;
        let failed = |reason: String| QueryError::Processing { function: function.clone(), reason };
        if let Some(roles) = &self.roles {
            roles.check(role, batch.query, RoleUse::Invoke(function)).map_err(failed)?;
        }
        let invocation = Invocation {
            function: function.clone(),
            payload: self.codec.encode(&batch),
            source: format!("query:{}", batch.query),
            client_context: None,
            log_tail: false,
        };
        let outcome = match self.invoke.invoke(invocation).await {
            Ok(outcome) => outcome,
            Err(error) if error.kind == ErrorKind::TooLarge => return Ok(Answer::TooLarge(error.message)),
            Err(error) => return Err(failed(error.to_string())),
        };
        if outcome.error.is_some() {
            return match too_large(&outcome.payload) {
                Some(reason) => Ok(Answer::TooLarge(reason)),
                None => Err(failed(String::from_utf8_lossy(&outcome.payload).into_owned())),
            };
        }
        let mut said = self.codec.decode(&outcome.payload).map_err(failed)?;
        let of_record = |record: &Record| {
            let id = batch.id(record);
            said.remove(&id).ok_or_else(|| failed(format!("its answer has no record of the id {id}")))
        };
        batch.records.iter().map(of_record).collect::<Result<_, _>>().map(Answer::Made)
    }
}

/// How an invocation went.
enum Answer {
    /// What became of its records, in their order.
    Made(Vec<Processed>),
    /// The event or its answer has more bytes than the service takes: which, and how many it takes.
    TooLarge(String),
}

/// What a function's error says when its answer was too large.
fn too_large(error: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Said {
        error_type: String,
        #[serde(default)]
        error_message: String,
    }
    let said: Said = serde_json::from_slice(error).ok()?;
    (said.error_type == ANSWER_TOO_LARGE).then_some(said.error_message)
}

/// The engine was given no codec.
pub(super) fn not_processed(processor: &InputProcessor) -> QueryError {
    let reason = "this node hands no records of this dialect to functions".to_owned();
    QueryError::Processing { function: processor.function.clone(), reason }
}

impl Processed {
    fn len(&self) -> usize {
        match self {
            Self::Record(data) => data.len(),
            Self::Dropped | Self::Failed | Self::TooLarge(_) => 0,
        }
    }
}

/// A batch with what became of its records; those that were not processed are left out.
fn replaced(batch: &RecordBatch, processed: &HashMap<u64, Processed>, function: &str) -> ToDecode {
    let mut records = EncodedRecords::with_capacity(batch.bytes.len());
    let (mut without, mut failed) = (Vec::new(), Vec::new());
    for record in batch.iter() {
        let data: &[u8] = match processed.get(&record.offset) {
            Some(Processed::Record(data)) => data,
            other => {
                without.push(record.offset);
                let reason = match other {
                    Some(Processed::Failed) => Some(format!("the function `{function}` could not process the record")),
                    Some(Processed::TooLarge(reason)) => {
                        Some(format!("the record is too large to go through the function `{function}`: {reason}"))
                    }
                    _ => None,
                };
                let of_record = (record.offset, batch.append_time);
                failed.extend(reason.map(|reason| DecodeError::new(of_record, Some(record.data), reason)));
                &[]
            }
        };
        records.push(record.partition_key, record.headers, data);
    }
    let (bytes, count) = records.freeze();
    ToDecode { batch: RecordBatch { count, bytes, ..*batch }, without, failed }
}

#[cfg(test)]
mod tests {
    use millstream_types::{BoxFuture, InvocationOutcome, InvokeError};

    use super::*;

    /// Bytes of an event and of an answer here.
    const EVENT_MAX: usize = 100_000;

    /// A function that answers with what it got, as `answer` changes it.
    struct Told(fn(String) -> String);

    impl Invoke for Told {
        fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<InvocationOutcome, InvokeError>> {
            let found = invocation.payload.len();
            if found > EVENT_MAX {
                let message = format!("the event has {found} bytes, at most {EVENT_MAX} are taken");
                return Box::pin(async { Err(InvokeError { kind: ErrorKind::TooLarge, message }) });
            }
            let payload = (self.0)(String::from_utf8_lossy(&invocation.payload).into_owned());
            let payload = match payload.len() {
                ..=EVENT_MAX => payload,
                _ => format!("{{\"errorType\":\"{ANSWER_TOO_LARGE}\",\"errorMessage\":\"exceeded\"}}"),
            };
            let error = payload.starts_with(['!', '{']).then(|| "Unhandled".to_owned());
            let (payload, log_tail) = (Bytes::from(payload), Bytes::new());
            Box::pin(
                async move { Ok(InvocationOutcome { id: String::new(), payload, error, log_tail, version: None }) },
            )
        }
    }

    /// A line a record: its id, a blank, its data; answers of data `-` are dropped, of `?` failed.
    struct Lines;

    impl ProcessingCodec for Lines {
        fn encode(&self, batch: &ProcessingBatch<'_>) -> Bytes {
            let line = |record: &Record| format!("{} {}\n", batch.id(record), String::from_utf8_lossy(&record.data));
            Bytes::from(batch.records.iter().map(line).collect::<String>())
        }

        fn decode(&self, answer: &[u8]) -> Result<HashMap<String, Processed>, String> {
            let text = String::from_utf8_lossy(answer).into_owned();
            let line = |line: &str| {
                let (id, data) = line.split_once(' ').ok_or("expected an id and a value")?;
                let processed = match data {
                    "-" => Processed::Dropped,
                    "?" => Processed::Failed,
                    data => Processed::Record(Bytes::from(data.to_owned())),
                };
                Ok((id.to_owned(), processed))
            };
            text.lines().map(line).collect()
        }

        fn records_max(&self) -> usize {
            2
        }
    }

    fn read(base_offset: u64, data: &[&str]) -> RecordBatch {
        let mut records = EncodedRecords::default();
        data.iter().for_each(|data| records.push(b"k", b"", data.as_bytes()));
        let (bytes, count) = records.freeze();
        RecordBatch { base_offset, count, append_time: base_offset as i64, bytes }
    }

    async fn step(
        answer: fn(String) -> String,
        read: Vec<RecordBatch>,
        from: u64,
    ) -> Result<(Vec<String>, u64), QueryError> {
        let processing = Processing { invoke: Arc::new(Told(answer)), codec: Arc::new(Lines), roles: None };
        let processor = InputProcessor { function: "f".into(), role: String::new() };
        let batch = ProcessingBatch { query: "q", stream: "s", shard: 0, log: LogId(3), records: &[] };
        let end = read.last().map_or(0, RecordBatch::next_offset);
        let (made, next) = processing.step(batch, (read, end), from, &processor).await?;
        let shown = |made: &ToDecode| {
            let kept = |record: &Record| !made.without.contains(&record.offset);
            let records = made.batch.records().filter(kept);
            let mut shown: Vec<String> = records
                .map(|record| {
                    format!("{}@{}={}", record.offset, record.append_time, String::from_utf8_lossy(&record.data))
                })
                .collect();
            shown.extend(made.failed.iter().map(|failed| format!("{}: {}", failed.offset, failed.reason)));
            shown
        };
        Ok((made.iter().flat_map(shown).collect(), next))
    }

    #[tokio::test]
    async fn records_are_changed_dropped_and_told() {
        let upper = |text: String| text.to_uppercase();
        let (made, next) = step(upper, vec![read(5, &["a", "-", "?"]), read(8, &["b"])], 5).await.unwrap();
        let failed = "7: the function `f` could not process the record";
        assert_eq!((made, next), (vec!["5@5=A".to_owned(), failed.to_owned(), "8@8=B".to_owned()], 9));
        let (made, next) = step(upper, vec![read(5, &["a", "b", "c"])], 7).await.unwrap();
        assert_eq!((made, next), (vec!["7@5=C".to_owned()], 8), "what was read before is not processed again");
    }

    #[tokio::test]
    async fn a_step_ends_where_it_would_take_long() {
        let many = vec!["a"; 2 * ANSWERS_MAX + 3];
        let (made, next) = step(|text| text, vec![read(0, &many)], 0).await.unwrap();
        assert_eq!((made.len(), next), (2 * ANSWERS_MAX, 2 * ANSWERS_MAX as u64));
    }

    #[tokio::test]
    async fn what_is_too_large_together_goes_apart() {
        let half = "a".repeat(EVENT_MAX * 2 / 3);
        let (made, next) = step(|text| text, vec![read(0, &[&half, &half, "b"])], 0).await.unwrap();
        assert_eq!((made, next), (vec![format!("0@0={half}"), format!("1@0={half}"), "2@0=b".to_owned()], 3));
        let grown: fn(String) -> String = |text| text.replace('a', &"a".repeat(EVENT_MAX * 2 / 3));
        let (made, next) = step(grown, vec![read(0, &["a", "a", "b"])], 0).await.unwrap();
        assert_eq!((made, next), (vec![format!("0@0={half}"), format!("1@0={half}"), "2@0=b".to_owned()], 3));
    }

    #[tokio::test]
    async fn what_is_too_large_alone_is_told_and_left_out() {
        let said = "the record is too large to go through the function `f`: ";
        let large = "a".repeat(EVENT_MAX);
        let (made, next) = step(|text| text, vec![read(0, &["b", &large])], 0).await.unwrap();
        assert_eq!((made.len(), next), (2, 2));
        assert!(made[0] == "0@0=b" && made[1].starts_with(&format!("1: {said}the event has 1")), "{}", made[1]);
        let grown: fn(String) -> String = |text| text.replace('a', &"a".repeat(EVENT_MAX));
        let (made, next) = step(grown, vec![read(0, &["a", "b"])], 0).await.unwrap();
        assert_eq!((made, next), (vec!["1@0=b".to_owned(), format!("0: {said}exceeded")], 2));
    }

    #[tokio::test]
    async fn what_is_no_answer_for_all_records_fails() {
        for (answer, said) in [
            ((|_| "!thrown".to_owned()) as fn(String) -> String, "!thrown"),
            (|_| "what?".to_owned(), "expected an id and a value"),
            (|text| text.lines().next().unwrap_or_default().to_owned(), "its answer has no record of the id"),
        ] {
            let error = step(answer, vec![read(0, &["a", "b"])], 0).await.unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("`f`"), "{error}");
        }
    }
}
