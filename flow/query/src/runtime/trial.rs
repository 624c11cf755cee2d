//! A query over samples: the rows that it gives, exactly as live, without streams, clocks or anything kept.
//!
//! A sample is JSON objects or arrays of them, one a line as `millstream sample` writes them or in any other lines. The members that a sample adds to
//! each event tell when it arrived ([`SAMPLE_ARRIVAL`]) and in which shard it lay ([`SAMPLE_SHARD`]); a record that is no JSON
//! stands as text in a member ([`SAMPLE_TEXT`]). For an input of delimited text a sample may also be such a text.
//!
//! A sample without times arrived at once; how late its events are is not known then, so no event is late.

use std::collections::BTreeMap;

use millstream_catalog::{ColumnDefinition, EventOrder, QueryDialect, QueryFunction, RecordFormat};
use millstream_types::{EncodedRecords, Millis, RecordBatch};
use serde_json::{Map, Value};

use super::error::QueryError;
use super::rows;
use crate::decode::infer::columns_of;
use crate::dialect::{InputSchema, plan_with};
use crate::executor::{ExecuteError, Executor, Produced};
use crate::script::check_functions;

/// The member of a sample's event that holds the time of its arrival, RFC 3339.
pub const SAMPLE_ARRIVAL: &str = "EventEnqueuedUtcTime";
/// The member that holds the number of its shard.
pub const SAMPLE_SHARD: &str = "PartitionId";
/// The member that holds a record that is no JSON, as text.
pub const SAMPLE_TEXT: &str = "RecordText";
/// Shards that a sample may come from.
const SHARDS_MAX: usize = 1_024;
/// Rows that a trial gives at most, all outputs together.
const ROWS_MAX: usize = 100_000;

/// An input of a trial.
#[derive(Debug, Clone)]
pub struct TrialInput {
    /// Its name in the SQL.
    pub name: String,
    /// Declared columns; empty: found out from the sample.
    pub columns: Vec<ColumnDefinition>,
    /// How the input's records become rows.
    pub format: RecordFormat,
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
    functions: &[QueryFunction],
    inputs: &[TrialInput],
    order: EventOrder,
    now: Millis,
) -> Result<Trial, QueryError> {
    let samples = inputs.iter().map(|input| read(input, now)).collect::<Result<Vec<_>, _>>()?;
    let schema = |(input, sample)| schema(dialect, input, sample);
    let schemas: Vec<InputSchema> = inputs.iter().zip(&samples).map(schema).collect();
    check_functions(functions)?;
    let program = plan_with(dialect, sql, &schemas, functions).map_err(QueryError::Plan)?;
    let outputs: Vec<String> = program.outputs.iter().map(|output| output.name.clone()).collect();
    let of_source: Vec<&Sample> = program
        .sources
        .iter()
        .filter_map(|source| {
            let found = inputs.iter().position(|input| input.name.eq_ignore_ascii_case(&source.name));
            found.map(|index| &samples[index])
        })
        .collect();
    let shards: Vec<usize> = of_source.iter().map(|sample| sample.shard_count()).collect();
    let formats: Vec<RecordFormat> = of_source.iter().map(|sample| sample.format.clone()).collect();
    let order = match samples.iter().any(|sample| sample.timed) {
        true => order,
        false => EventOrder { late_tolerance_ms: EventOrder::LATE_WITHOUT_LIMIT, ..order },
    };
    let mut executor = Executor::new(program, order, &formats, &shards);
    let mut produced = Produced::default();
    for (source, sample) in of_source.iter().enumerate() {
        for (shard, batches) in &sample.shards {
            for batch in batches {
                produced.extend(executor.push(source, *shard, batch, 0)?);
            }
        }
    }
    loop {
        let (some, more) = executor.advance_some(Some(i64::MAX))?;
        produced.extend(some);
        if produced.count() > ROWS_MAX {
            let message =
                format!("a test gives at most {ROWS_MAX} rows; take fewer events, or narrow the bounds of its joins");
            return Err(ExecuteError::TooLarge(message).into());
        }
        if !more {
            break;
        }
    }
    let mut rows: Vec<(String, Vec<String>)> = outputs.into_iter().map(|name| (name, Vec::new())).collect();
    for (output, batch) in &produced.rows {
        let encoded = rows::encode(batch, &RecordFormat::Json, dialect, &[]);
        rows[*output].1.extend(encoded.iter().map(|row| String::from_utf8_lossy(row).into_owned()));
    }
    let errors = produced.errors.into_iter().map(|error| (error.kind.to_owned(), error.detail)).collect();
    Ok(Trial { outputs: rows, errors })
}

/// A sample's events by shard.
struct Sample {
    shards: BTreeMap<usize, Vec<RecordBatch>>,
    /// How its records become rows.
    format: RecordFormat,
    /// Whether it says when its events arrived.
    timed: bool,
}

impl Sample {
    fn shard_count(&self) -> usize {
        self.shards.keys().last().map_or(1, |last| last + 1)
    }
}

/// An event of a sample as a record.
struct Event {
    shard: usize,
    arrival: Option<Millis>,
    /// Whether the sample holds the record as text.
    is_text: bool,
    data: Vec<u8>,
}

fn read(input: &TrialInput, now: Millis) -> Result<Sample, QueryError> {
    // Files of some editors begin with a mark of their encoding.
    let text = input.sample.trim_start_matches('\u{feff}');
    if input.format != RecordFormat::Json && !text.trim_start().starts_with(['{', '[']) {
        let records = in_batches(&[(now, text.as_bytes().to_vec())]);
        return Ok(Sample { shards: BTreeMap::from([(0, records)]), format: input.format.clone(), timed: false });
    }
    let (mut timed, mut format) = (false, RecordFormat::Json);
    let mut shards: BTreeMap<usize, Vec<(Millis, Vec<u8>)>> = BTreeMap::new();
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    loop {
        let begin = values.byte_offset();
        let wrong = |line: usize, reason: String| QueryError::Sample { input: input.name.clone(), line, reason };
        let Some(value) = values.next() else { break };
        let value = value.map_err(|error| wrong(error.line(), error.to_string()))?;
        let line = || first_line(text, begin);
        for event in if let Value::Array(events) = value { events } else { vec![value] } {
            let Value::Object(event) = event else {
                return Err(wrong(line(), "expected a JSON object".to_owned()));
            };
            let event = taken_apart(event).map_err(|reason| wrong(line(), reason))?;
            timed |= event.arrival.is_some();
            if event.is_text {
                format = input.format.clone();
            }
            shards.entry(event.shard).or_default().push((event.arrival.unwrap_or(now), event.data));
        }
    }
    let batches = |(shard, mut events): (usize, Vec<(Millis, Vec<u8>)>)| {
        // A log's times never fall.
        events.sort_by_key(|(arrival, _)| *arrival);
        (shard, in_batches(&events))
    };
    Ok(Sample { shards: shards.into_iter().map(batches).collect(), format, timed })
}

/// The line on which a value begins that comes behind so many bytes.
fn first_line(text: &str, bytes: usize) -> usize {
    let blank = text.as_bytes()[bytes..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    1 + text.as_bytes()[..bytes + blank].iter().filter(|byte| **byte == b'\n').count()
}

/// An event without what the sample added to it.
fn taken_apart(mut event: Map<String, Value>) -> Result<Event, String> {
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
    event.remove("EventProcessedUtcTime");
    if let Some(Value::String(text)) = event.get(SAMPLE_TEXT) {
        return Ok(Event { shard, arrival, is_text: true, data: text.clone().into_bytes() });
    }
    Ok(Event { shard, arrival, is_text: false, data: Value::Object(event).to_string().into_bytes() })
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

fn schema(dialect: QueryDialect, input: &TrialInput, sample: &Sample) -> InputSchema {
    let columns = if input.columns.is_empty() {
        let records = sample.shards.values().flatten().flat_map(|batch| batch.iter().map(|record| record.data));
        columns_of(dialect, &sample.format, records)
    } else {
        input.columns.clone()
    };
    // What a hub adds to events is what makes a sample tell of its times.
    let hub = sample.timed && dialect == QueryDialect::StreamAnalytics;
    InputSchema { name: input.name.clone(), columns: (!columns.is_empty()).then_some(columns), hub, reference: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &str = "SELECT System.Timestamp() AS time, symbol, SUM(shares) AS sum INTO out FROM trades \
                       GROUP BY symbol, TumblingWindow(minute, 1)";

    fn run(sql: &str, sample: &str) -> Result<Trial, QueryError> {
        run_as(RecordFormat::Json, sql, sample)
    }

    fn run_as(format: RecordFormat, sql: &str, sample: &str) -> Result<Trial, QueryError> {
        let input = TrialInput { name: "trades".into(), columns: Vec::new(), format, sample: sample.into() };
        trial(QueryDialect::StreamAnalytics, sql, &[], &[input], EventOrder::default(), 1_772_600_767_000)
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
    fn a_trial_gives_no_more_rows_than_can_be_looked_at() {
        let sample: String = (0..400).map(|n| format!("{{\"n\":{n}}}\n")).collect();
        let sql = "SELECT a.n INTO out FROM trades a JOIN trades b ON DATEDIFF(second, a, b) = 0";
        let told = run(sql, &sample).unwrap_err().to_string();
        assert!(told.contains("a test gives at most 100000 rows"), "{told}");
    }

    #[test]
    fn a_sample_is_any_text_of_json() {
        let row = r#"{"time":"2026-03-04T05:07:00.0000000Z","symbol":"B","sum":5}"#;
        for sample in [
            "\u{feff}{\"symbol\":\"B\",\"shares\":5}",
            "[\n  {\n    \"symbol\": \"B\",\n    \"shares\": 2\n  },\n  { \"symbol\": \"B\", \"shares\": 3 }\n]\n",
            "{\"symbol\":\"B\",\"shares\":2} {\"symbol\":\"B\",\"shares\":3}",
        ] {
            assert_eq!(run(SQL, sample).unwrap().outputs[0].1, [row], "{sample}");
        }
    }

    #[test]
    fn samples_of_delimited_text_are_texts_or_hold_them() {
        let csv = || RecordFormat::Csv { delimiter: ",".into() };
        let row = r#"{"time":"2026-03-04T05:07:00.0000000Z","symbol":"A","sum":3}"#.to_owned();
        let held = r#"{"RecordText":"shares,symbol\n1,A\n\"x\n2,A","EventEnqueuedUtcTime":"2026-03-04T05:06:07Z"}"#;
        for sample in ["symbol,shares\nA,1\n\nA,2\n", held] {
            let found = run_as(csv(), SQL, sample).unwrap();
            assert_eq!(found.outputs, [("out".to_owned(), vec![row.clone()])], "{sample}");
        }
        let found = run_as(csv(), SQL, r#"{"symbol":"A","shares":3}"#).unwrap();
        assert_eq!(found.outputs[0].1, [row], "a sample that somebody wrote as JSON");
    }

    #[test]
    fn a_star_stands_for_what_a_hub_adds() {
        let sample = r#"{"a":1,"EventEnqueuedUtcTime":"2026-03-04T05:06:07Z","PartitionId":2}"#;
        let added = r#""EventProcessedUtcTime":"2026-03-04T05:06:07.0000000Z","PartitionId":2,"EventEnqueuedUtcTime":"2026-03-04T05:06:07.0000000Z""#;
        let found = run("SELECT * INTO out FROM trades", sample).unwrap();
        assert_eq!(found.outputs[0].1, [format!("{{\"a\":1,{added}}}")]);
        let found = run("SELECT a, PartitionId INTO out FROM trades", sample).unwrap();
        assert_eq!(found.outputs[0].1, [r#"{"a":1,"PartitionId":2}"#]);
        let found = run("SELECT * INTO out FROM trades", r#"{"a":1}"#).unwrap();
        assert_eq!(found.outputs[0].1, [r#"{"a":1}"#], "no hub is told of");
    }

    #[test]
    fn events_whose_arrival_nobody_tells_are_not_late() {
        let sql = "SELECT System.Timestamp() AS t, a INTO out FROM trades TIMESTAMP BY at";
        let found = run(sql, r#"{"a":1,"at":"2020-01-01T00:00:00Z"}"#).unwrap();
        assert_eq!(found.outputs[0].1, [r#"{"t":"2020-01-01T00:00:00.0000000Z","a":1}"#]);
    }

    #[test]
    fn what_is_no_sample_is_told_by_its_line() {
        for (sample, said) in [
            ("{}\n{", "line 2"),
            ("{}\n\n7", "line 3"),
            ("[{}, 7]", "expected a JSON object"),
            (r#"{"EventEnqueuedUtcTime":"soon"}"#, "found soon"),
            (r#"{"PartitionId":4096}"#, "below 1024"),
        ] {
            let error = run(SQL, sample).unwrap_err().to_string();
            assert!(error.contains(said), "{sample}: {error}");
        }
        assert!(matches!(run("SELECT", "{}"), Err(QueryError::Plan(_))));
    }
}
