//! A query over samples: the rows that it gives, exactly as live, without streams, clocks or anything kept.
//!
//! A sample is lines of JSON objects (or arrays of them), as `millstream sample` writes them. The members that a sample adds to
//! each event tell when it arrived ([`SAMPLE_ARRIVAL`]) and in which shard it lay ([`SAMPLE_SHARD`]); a sample without
//! them arrived at once.

use std::collections::BTreeMap;

use millstream_catalog::{ColumnDefinition, EventOrder, QueryDialect, RecordFormat};
use millstream_types::{EncodedRecords, Millis, RecordBatch};
use serde_json::{Map, Value};

use super::error::QueryError;
use super::rows;
use crate::decode::infer::infer_columns;
use crate::dialect::{InputSchema, plan};
use crate::executor::{Executor, Produced};

/// The member of a sample's event that holds the time of its arrival, RFC 3339.
pub const SAMPLE_ARRIVAL: &str = "EventEnqueuedUtcTime";
/// The member that holds the number of its shard.
pub const SAMPLE_SHARD: &str = "PartitionId";
/// Shards that a sample may come from.
const SHARDS_MAX: u64 = 1_024;

/// An input of a trial.
#[derive(Debug, Clone)]
pub struct TrialInput {
    /// Its name in the SQL.
    pub name: String,
    /// Declared columns; empty: found out from the sample.
    pub columns: Vec<ColumnDefinition>,
    /// The sample's text.
    pub sample: String,
}

/// What a trial gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trial {
    /// Per output: its rows, as JSON texts.
    pub outputs: Vec<(String, Vec<String>)>,
    /// What did not become a row, or failed as one: kind and detail.
    pub errors: Vec<(String, String)>,
}

/// Runs a query over samples; `now` is when events arrived whose sample does not say it.
///
/// # Errors
/// [`QueryError::Plan`] with all mistakes of the text; [`QueryError::Sample`] names the line that is no event.
pub fn trial(
    dialect: QueryDialect,
    sql: &str,
    inputs: &[TrialInput],
    order: EventOrder,
    now: Millis,
) -> Result<Trial, QueryError> {
    let samples = inputs.iter().map(|input| read(input, now)).collect::<Result<Vec<_>, _>>()?;
    let schemas: Vec<InputSchema> = inputs.iter().zip(&samples).map(|(input, sample)| schema(input, sample)).collect();
    let program = plan(dialect, sql, &schemas).map_err(QueryError::Plan)?;
    let outputs: Vec<String> = program.outputs.iter().map(|output| output.name.clone()).collect();
    let of_source: Vec<&Sample> = program
        .sources
        .iter()
        .filter_map(|source| {
            let found = inputs.iter().position(|input| input.name.eq_ignore_ascii_case(&source.name));
            found.map(|index| &samples[index])
        })
        .collect();
    let shards: Vec<usize> = of_source.iter().map(|sample| sample.shards.len().max(1)).collect();
    let formats = vec![RecordFormat::Json; of_source.len()];
    let mut executor = Executor::new(program, order, &formats, &shards);
    let mut produced = Produced::default();
    for (source, sample) in of_source.iter().enumerate() {
        for (shard, batches) in sample.shards.values().enumerate() {
            for batch in batches {
                produced.extend(executor.push(source, shard, batch, 0)?);
            }
        }
    }
    produced.extend(executor.advance(Some(i64::MAX))?);
    let mut rows: Vec<(String, Vec<String>)> = outputs.into_iter().map(|name| (name, Vec::new())).collect();
    for (output, batch) in &produced.rows {
        let encoded = rows::encode(batch, &RecordFormat::Json, dialect);
        rows[*output].1.extend(encoded.iter().map(|row| String::from_utf8_lossy(row).into_owned()));
    }
    let errors = produced.errors.into_iter().map(|error| (error.kind.to_owned(), error.detail)).collect();
    Ok(Trial { outputs: rows, errors })
}

/// A sample's events by shard.
struct Sample {
    shards: BTreeMap<u64, Vec<RecordBatch>>,
}

fn read(input: &TrialInput, now: Millis) -> Result<Sample, QueryError> {
    let mut shards: BTreeMap<u64, Vec<(Millis, Vec<u8>)>> = BTreeMap::new();
    for (line, text) in input.sample.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let wrong = |reason: String| QueryError::Sample { input: input.name.clone(), line: line + 1, reason };
        let value: Value = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let events = if let Value::Array(events) = value { events } else { vec![value] };
        for event in events {
            let Value::Object(event) = event else { return Err(wrong("expected a JSON object".to_owned())) };
            let (shard, arrival, event) = taken_apart(event, now).map_err(wrong)?;
            shards.entry(shard).or_default().push((arrival, event));
        }
    }
    let batches = |(shard, mut events): (u64, Vec<(Millis, Vec<u8>)>)| {
        // A log's times never fall.
        events.sort_by_key(|(arrival, _)| *arrival);
        (shard, in_batches(&events))
    };
    Ok(Sample { shards: shards.into_iter().map(batches).collect() })
}

/// An event without what the sample added to it.
fn taken_apart(mut event: Map<String, Value>, now: Millis) -> Result<(u64, Millis, Vec<u8>), String> {
    let arrival = match event.remove(SAMPLE_ARRIVAL) {
        Some(Value::String(text)) => text
            .parse::<jiff::Timestamp>()
            .map_err(|_| format!("expected a time such as 2026-11-21T04:05:06Z in {SAMPLE_ARRIVAL}, found {text}"))?
            .as_millisecond(),
        _ => now,
    };
    let shard = event.remove(SAMPLE_SHARD).and_then(|shard| shard.as_u64()).unwrap_or_default();
    if shard >= SHARDS_MAX {
        return Err(format!("expected {SAMPLE_SHARD} below {SHARDS_MAX}, found {shard}"));
    }
    event.remove("EventProcessedUtcTime");
    Ok((shard, arrival, Value::Object(event).to_string().into_bytes()))
}

/// Events of one time as one batch.
fn in_batches(events: &[(Millis, Vec<u8>)]) -> Vec<RecordBatch> {
    let mut base_offset = 0;
    let batch = |same: &[(Millis, Vec<u8>)]| {
        let mut encoded = EncodedRecords::default();
        same.iter().for_each(|(_, event)| encoded.push(b"", b"", event));
        let (bytes, count) = encoded.freeze();
        let batch = RecordBatch { base_offset, count, append_time: same[0].0, bytes };
        base_offset = batch.next_offset();
        batch
    };
    events.chunk_by(|left, right| left.0 == right.0).map(batch).collect()
}

fn schema(input: &TrialInput, sample: &Sample) -> InputSchema {
    let columns = if input.columns.is_empty() {
        let records = sample.shards.values().flatten().flat_map(|batch| batch.iter().map(|record| record.data));
        infer_columns(records)
    } else {
        input.columns.clone()
    };
    InputSchema { name: input.name.clone(), columns: (!columns.is_empty()).then_some(columns) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &str = "SELECT System.Timestamp() AS time, symbol, SUM(shares) AS sum INTO out FROM trades \
                       GROUP BY symbol, TumblingWindow(minute, 1)";

    fn run(sql: &str, sample: &str) -> Result<Trial, QueryError> {
        let input = TrialInput { name: "trades".into(), columns: Vec::new(), sample: sample.into() };
        trial(QueryDialect::StreamAnalytics, sql, &[input], EventOrder::default(), 1_772_600_767_000)
    }

    #[test]
    fn a_sample_gives_the_rows_of_its_times() {
        let sample = r#"{"symbol":"A","shares":1,"EventEnqueuedUtcTime":"2026-03-04T05:06:07Z","PartitionId":0}
            {"symbol":"A","shares":2,"EventEnqueuedUtcTime":"2026-03-04T05:06:50Z","PartitionId":1}

            [{"symbol":"A","shares":4,"EventEnqueuedUtcTime":"2026-03-04T05:07:10Z","PartitionId":0}]"#;
        let rows = [
            r#"{"time":"2026-03-04T05:07:00.0000000Z","symbol":"A","sum":3}"#,
            r#"{"time":"2026-03-04T05:08:00.0000000Z","symbol":"A","sum":4}"#,
        ];
        let found = run(SQL, sample).unwrap();
        assert_eq!(found.outputs, [("out".to_owned(), rows.map(str::to_owned).to_vec())]);
        let plain = run(SQL, r#"{"symbol":"B","shares":5}"#).unwrap();
        assert_eq!(plain.outputs[0].1, [r#"{"time":"2026-03-04T05:07:00.0000000Z","symbol":"B","sum":5}"#]);
    }

    #[test]
    fn what_is_no_sample_is_told_by_its_line() {
        for (sample, said) in [
            ("{}\n{", "line 2"),
            ("7", "expected a JSON object"),
            (r#"{"EventEnqueuedUtcTime":"soon"}"#, "found soon"),
            (r#"{"PartitionId":4096}"#, "below 1024"),
        ] {
            let error = run(SQL, sample).unwrap_err().to_string();
            assert!(error.contains(said), "{sample}: {error}");
        }
        assert!(matches!(run("SELECT", "{}"), Err(QueryError::Plan(_))));
    }
}
