//! Samples: text that stands for what an input's stream holds, or for an object of reference data.
//!
//! A sample is JSON objects or arrays of them, one a line as `millstream sample` writes them or in any other lines. The members
//! that a sample adds to each event tell when it arrived ([`SAMPLE_ARRIVAL`]) and in which shard it lay ([`SAMPLE_SHARD`]); a
//! record that is no JSON stands as text in a member ([`SAMPLE_TEXT`]). For an input of delimited text a sample may also be such a
//! text; where nobody declares its columns, it begins with a line of names in either language.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_catalog::{ColumnDefinition, QueryDialect, RecordFormat, ReferenceInput};
use millstream_types::{EncodedRecords, Millis, RecordBatch};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::error::QueryError;
use super::reference::Loaded;
use crate::decode::infer::columns_of;
use crate::dialect::InputSchema;
use crate::value::json;

/// The member of a sample's event that holds the time of its arrival, RFC 3339.
pub const SAMPLE_ARRIVAL: &str = "EventEnqueuedUtcTime";
/// The member that holds the number of its shard.
pub const SAMPLE_SHARD: &str = "PartitionId";
/// The member that holds a record that is no JSON, as text.
pub const SAMPLE_TEXT: &str = "RecordText";
/// The member that holds when the node read it, which says nothing here.
const SAMPLE_PROCESSED: &str = "EventProcessedUtcTime";
/// What a sample adds to events.
const ADDED: [&str; 4] = [SAMPLE_ARRIVAL, SAMPLE_SHARD, SAMPLE_TEXT, SAMPLE_PROCESSED];
/// Shards that a sample may come from.
const SHARDS_MAX: usize = 1_024;

/// An input of a query that is tried out, with what stands for its records.
#[derive(Debug, Clone, Default)]
pub struct TrialInput {
    /// Its name in the SQL.
    pub name: String,
    /// Declared columns; empty: found out from the sample.
    pub columns: Vec<ColumnDefinition>,
    /// How the input's records become rows.
    pub format: RecordFormat,
    /// Whether it is reference data: the sample is the object's text then.
    pub reference: bool,
    /// The sample's text; empty: an input without events.
    pub sample: String,
}

/// The inputs as a plan needs them, their columns found out from the samples where nobody declares them.
///
/// # Errors
/// [`QueryError::Sample`] names the line that is no event.
pub fn sample_schemas(dialect: QueryDialect, inputs: &[TrialInput]) -> Result<Vec<InputSchema>, QueryError> {
    inputs.iter().map(|input| Ok(read(dialect, input, 0)?.schema(dialect, input))).collect()
}

/// A sample's events by shard.
#[derive(Default)]
pub(super) struct Sample {
    pub(super) shards: BTreeMap<usize, Vec<RecordBatch>>,
    /// By shard: the line on which each of its events begins, where that is known.
    lines: BTreeMap<usize, Vec<usize>>,
    /// How its records become rows.
    pub(super) format: RecordFormat,
    /// Whether it says when its events arrived.
    pub(super) timed: bool,
    /// The columns that a line of names in front of delimited text gives.
    named: Vec<ColumnDefinition>,
}

impl Sample {
    pub(super) fn shard_count(&self) -> usize {
        self.shards.keys().last().map_or(1, |last| last + 1)
    }

    /// The line on which the event at an offset of a shard begins.
    pub(super) fn line(&self, shard: usize, offset: u64) -> Option<usize> {
        self.lines.get(&shard)?.get(usize::try_from(offset).ok()?).copied()
    }

    /// What a plan needs to know of the input.
    pub(super) fn schema(&self, dialect: QueryDialect, input: &TrialInput) -> InputSchema {
        if input.reference && !input.sample.trim().is_empty() {
            return loaded(input).schema(dialect);
        }
        let columns = match (&*input.columns, &*self.named) {
            ([], []) => {
                let records = self.shards.values().flatten().flat_map(|batch| batch.iter().map(|record| record.data));
                columns_of(dialect, &self.format, records)
            }
            ([], named) => named.to_vec(),
            (declared, _) => declared.to_vec(),
        };
        InputSchema {
            name: input.name.clone(),
            columns: (!columns.is_empty()).then_some(columns),
            // What a hub adds to events is what makes a sample tell of its times.
            hub: self.timed && dialect == QueryDialect::StreamAnalytics,
            reference: input.reference,
        }
    }
}

/// A sample of reference data as the object that it stands for.
pub(super) fn loaded(input: &TrialInput) -> Loaded {
    let reference = ReferenceInput {
        name: input.name.clone(),
        bucket: String::new(),
        key: String::new(),
        format: input.format.clone(),
        columns: input.columns.clone(),
        role: String::new(),
        versions: None,
    };
    Loaded::new(reference, Bytes::from(input.sample.clone()))
}

/// A record with its arrival and the sample's line on which it begins.
struct Placed {
    arrival: Millis,
    line: usize,
    data: Vec<u8>,
}

/// An event of a sample as a record.
struct Event {
    shard: usize,
    arrival: Option<Millis>,
    /// Whether the sample holds the record as text.
    is_text: bool,
    data: Vec<u8>,
}

/// Reads a sample; `now` is when events arrived of which it does not say that.
pub(super) fn read(dialect: QueryDialect, input: &TrialInput, now: Millis) -> Result<Sample, QueryError> {
    // Files of some editors begin with a mark of their encoding.
    let text = input.sample.trim_start_matches('\u{feff}');
    if input.reference || text.trim().is_empty() {
        return Ok(Sample { format: input.format.clone(), ..Sample::default() });
    }
    if input.format != RecordFormat::Json && !text.trim_start().starts_with(['{', '[']) {
        return Ok(delimited(dialect, input, text, now));
    }
    let (mut timed, mut format) = (false, RecordFormat::Json);
    let mut shards: BTreeMap<usize, Vec<Placed>> = BTreeMap::new();
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let mut lines = Lines { text, at: 0, line: 1 };
    let wrong = |line: usize, reason: String| QueryError::Sample { input: input.name.clone(), line, reason };
    loop {
        let line = lines.of(values.byte_offset());
        let Some(value) = values.next() else { break };
        let value = value.map_err(|error| wrong(error.line(), error.to_string()))?.get();
        for event in if value.starts_with('[') { json::elements(value).collect() } else { vec![value] } {
            let event = taken_apart(event).map_err(|reason| wrong(line, reason))?;
            timed |= event.arrival.is_some();
            if event.is_text {
                format = input.format.clone();
            }
            let placed = Placed { arrival: event.arrival.unwrap_or(now), line, data: event.data };
            shards.entry(event.shard).or_default().push(placed);
        }
    }
    let mut sample = Sample { format, timed, ..Sample::default() };
    for (shard, mut events) in shards {
        // A log's times never fall.
        events.sort_by_key(|event| event.arrival);
        sample.shards.insert(shard, in_batches(&events));
        sample.lines.insert(shard, events.iter().map(|event| event.line).collect());
    }
    Ok(sample)
}

/// Delimited text as one record. What the text itself says of its columns is a line of names; only in Stream Analytics' language
/// that line is a part of the record.
fn delimited(dialect: QueryDialect, input: &TrialInput, text: &str, now: Millis) -> Sample {
    let format = input.format.clone();
    let (mut named, mut records) = (Vec::new(), text);
    if dialect != QueryDialect::StreamAnalytics && input.columns.is_empty() {
        named = columns_of(QueryDialect::StreamAnalytics, &format, [text.as_bytes()]);
        records = text.trim_start().split_once('\n').map_or("", |(_, rest)| rest);
    }
    let record = Placed { arrival: now, line: 1, data: records.as_bytes().to_vec() };
    Sample { shards: BTreeMap::from([(0, in_batches(&[record]))]), format, named, ..Sample::default() }
}

/// Counts the lines of a text from its beginning to its end, once.
struct Lines<'t> {
    text: &'t str,
    /// Bytes that are counted, and the line on which they end.
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line on which a value begins that comes behind so many bytes, not fewer than before.
    fn of(&mut self, bytes: usize) -> usize {
        let rest = self.text.as_bytes().get(bytes..).unwrap_or_default();
        let begin = bytes + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let passed = self.text.as_bytes().get(self.at..begin).unwrap_or_default();
        self.line += passed.iter().filter(|byte| **byte == b'\n').count();
        self.at = self.at.max(begin);
        self.line
    }
}

/// An event, the text of a value, without what the sample added to it. One to which nothing was added is as it stands.
fn taken_apart(text: &str) -> Result<Event, String> {
    if !text.starts_with('{') {
        return Err("expected a JSON object".to_owned());
    }
    if !ADDED.iter().any(|name| text.contains(name)) {
        return Ok(Event { shard: 0, arrival: None, is_text: false, data: text.as_bytes().to_vec() });
    }
    let mut event: Map<String, Value> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let time = |text: &str| match text.parse::<jiff::Timestamp>() {
        Ok(time) => Ok(time.as_millisecond()),
        Err(_) => Err(format!("expected a time such as 2026-11-21T04:05:06Z in {SAMPLE_ARRIVAL}, found {text}")),
    };
    let arrival = match event.remove(SAMPLE_ARRIVAL) {
        Some(Value::String(text)) => Some(time(&text)?),
        _ => None,
    };
    let shard = event.remove(SAMPLE_SHARD).and_then(|shard| shard.as_u64()).unwrap_or_default();
    let shard = usize::try_from(shard).ok().filter(|shard| *shard < SHARDS_MAX);
    let shard = shard.ok_or_else(|| format!("expected {SAMPLE_SHARD} below {SHARDS_MAX}"))?;
    event.remove(SAMPLE_PROCESSED);
    if let Some(Value::String(text)) = event.get(SAMPLE_TEXT) {
        return Ok(Event { shard, arrival, is_text: true, data: text.clone().into_bytes() });
    }
    Ok(Event { shard, arrival, is_text: false, data: Value::Object(event).to_string().into_bytes() })
}

/// Events of one time as one batch.
fn in_batches(events: &[Placed]) -> Vec<RecordBatch> {
    let mut base_offset = 0;
    let batch = |same: &[Placed]| {
        let mut encoded = EncodedRecords::default();
        same.iter().for_each(|event| encoded.push(b"", b"", &event.data));
        let (bytes, count) = encoded.freeze();
        let batch = RecordBatch { base_offset, count, append_time: same[0].arrival, bytes };
        base_offset = batch.next_offset();
        batch
    };
    events.chunk_by(|left, right| left.arrival == right.arrival).map(batch).collect()
}
