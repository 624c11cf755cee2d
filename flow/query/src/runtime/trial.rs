//! A query over samples: the rows that it gives, exactly as live, without streams, clocks or anything kept.
//!
//! What a sample is stands in [`super::sample`]. A sample without times arrived at once; how late its events are is not known
//! then, so none is late or early.

use millstream_catalog::{EventOrder, QueryDialect, QueryFunction, RecordFormat};
use millstream_types::Millis;

use super::error::QueryError;
use super::rows;
use super::sample::{Sample, TrialInput, loaded, read};
use crate::dialect::{InputSchema, plan_with};
use crate::executor::lookup::{Tables, tables};
use crate::executor::{ExecuteError, Executor, Produced, RowError, rowtimes};
use crate::plan::{Program, SourcePlan};
use crate::script::check_functions;

/// Rows that a trial gives at most unless more are asked for, all outputs together.
pub const TRIAL_ROWS_MAX: usize = 100_000;

/// Bytes of rows that a test gives: they are in memory at once.
const TRIAL_BYTES_MAX: usize = 256 << 20;

/// A query that is tried out.
#[derive(Debug, Clone)]
pub struct TrialAsk {
    /// Its language.
    pub dialect: QueryDialect,
    /// Its text.
    pub sql: String,
    /// Functions of its own.
    pub functions: Vec<QueryFunction>,
    /// Its inputs and reference data with their samples.
    pub inputs: Vec<TrialInput>,
    /// How event time is treated.
    pub order: EventOrder,
    /// When events arrived whose sample does not say it.
    pub now: Millis,
    /// Rows that may come of it, all outputs together: they are in memory at once.
    pub rows_max: usize,
}

/// What a trial gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trial {
    /// What the query writes to, in the order of its text.
    pub outputs: Vec<TrialOutput>,
    /// What did not become a row, or failed as one.
    pub errors: Vec<TrialError>,
}

/// The rows of an output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrialOutput {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// Its rows in the order in which they came.
    pub rows: Vec<TrialRow>,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialRow {
    /// The row's time: of a window its end.
    pub time: Millis,
    /// The row as a JSON object.
    pub text: String,
}

/// What did not become a row, or failed as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialError {
    /// The input and the line of its sample, when it is an event's.
    pub place: Option<(String, usize)>,
    /// One of `unparsable`, `early`, `late`, `out of order`, `failed`.
    pub kind: &'static str,
    /// What was expected and what was found.
    pub detail: String,
}

/// Runs a query over samples to their end.
///
/// # Errors
/// [`QueryError::Plan`] with all mistakes of the text; [`QueryError::Sample`] names the line that is no event.
pub fn trial(ask: &TrialAsk) -> Result<Trial, QueryError> {
    let TrialAsk { dialect, sql, functions, inputs, .. } = ask;
    let samples = inputs.iter().map(|input| read(*dialect, input, ask.now)).collect::<Result<Vec<_>, _>>()?;
    let schema = |(input, sample): (&TrialInput, &Sample)| sample.schema(*dialect, input);
    let schemas: Vec<InputSchema> = inputs.iter().zip(&samples).map(schema).collect();
    check_functions(functions)?;
    let program = plan_with(*dialect, sql, &schemas, functions).map_err(QueryError::Plan)?;
    let of = |source: &SourcePlan| inputs.iter().position(|input| input.name.eq_ignore_ascii_case(&source.name));
    let of_source: Vec<(&str, &Sample)> =
        program.sources.iter().filter_map(of).map(|index| (inputs[index].name.as_str(), &samples[index])).collect();
    let names = program.outputs.iter().map(|output| output.name.clone());
    let columns = program.outputs.iter().map(|output| output.schema.fields().iter().map(|field| field.name().clone()));
    let outputs =
        names.zip(columns).map(|(name, columns)| TrialOutput { name, columns: columns.collect(), rows: Vec::new() });
    let mut outputs: Vec<TrialOutput> = outputs.collect();
    let tables = tables_of(&program, inputs, *dialect)?;
    let produced = run(program, tables, &of_source, ask)?;
    for (output, batch) in &produced.rows {
        let encoded = rows::encode(batch, &RecordFormat::Json, *dialect, &[]);
        let row =
            |(text, time): (Vec<u8>, &i64)| TrialRow { time: *time, text: String::from_utf8_lossy(&text).into_owned() };
        outputs[*output].rows.extend(encoded.into_iter().zip(rowtimes(batch)).map(row));
    }
    let error = |error: RowError| {
        let place = error.record.and_then(|(source, shard, offset)| {
            let (name, sample) = of_source.get(source)?;
            Some(((*name).to_owned(), sample.line(shard, offset)?))
        });
        TrialError { place, kind: error.kind, detail: error.detail }
    };
    Ok(Trial { outputs, errors: produced.errors.into_iter().map(error).collect() })
}

/// Lets all events flow, then all time pass.
fn run(
    program: Program,
    tables: Tables,
    of_source: &[(&str, &Sample)],
    ask: &TrialAsk,
) -> Result<Produced, QueryError> {
    let shards: Vec<usize> = of_source.iter().map(|(_, sample)| sample.shard_count()).collect();
    let formats: Vec<RecordFormat> = of_source.iter().map(|(_, sample)| sample.format.clone()).collect();
    let mut executor = Executor::new(program, ask.order, &formats, &shards).with_tables(tables);
    let (mut produced, mut count, mut bytes) = (Produced::default(), 0, 0);
    let mut keep = |some: Produced| {
        count += some.count();
        bytes += some.bytes();
        produced.extend(some);
        bounded((count, ask.rows_max), bytes)
    };
    for (source, (_, sample)) in of_source.iter().enumerate() {
        if !sample.timed {
            executor.arrivals_unknown(source);
        }
        for (shard, batches) in &sample.shards {
            for batch in batches {
                keep(executor.push(source, *shard, batch, 0)?)?;
            }
        }
    }
    let mut more = true;
    while more {
        let (some, left) = executor.advance_some(Some(i64::MAX))?;
        keep(some)?;
        more = left;
    }
    Ok(produced)
}

fn bounded((rows, rows_max): (usize, usize), bytes: usize) -> Result<(), ExecuteError> {
    let most = if rows > rows_max {
        format!("{rows_max} rows")
    } else if bytes > TRIAL_BYTES_MAX {
        format!("{} MiB of rows", TRIAL_BYTES_MAX >> 20)
    } else {
        return Ok(());
    };
    let message =
        format!("a test gives at most {most}; take fewer events, narrow the bounds of its joins, or collect less");
    Err(ExecuteError::TooLarge(message))
}

/// The rows of the reference data that the program reads.
fn tables_of(program: &Program, inputs: &[TrialInput], dialect: QueryDialect) -> Result<Tables, QueryError> {
    let rows = program.references.iter().map(|plan| {
        let input = inputs.iter().find(|input| input.reference && input.name.eq_ignore_ascii_case(&plan.name));
        let input = input.ok_or_else(|| QueryError::NoInput { name: plan.name.clone() })?;
        loaded(input).rows(plan, dialect).map_err(|error| match error {
            QueryError::Reference { name, reason, .. } => QueryError::SampleTable { name, reason },
            other => other,
        })
    });
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    Ok(tables(program, &rows)?)
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
        let input = TrialInput { name: "trades".into(), format, sample: sample.into(), ..TrialInput::default() };
        asked(QueryDialect::StreamAnalytics, sql, vec![input])
    }

    fn asked(dialect: QueryDialect, sql: &str, inputs: Vec<TrialInput>) -> Result<Trial, QueryError> {
        let (order, now) = (EventOrder::default(), 1_772_600_767_000);
        trial(&TrialAsk {
            dialect,
            sql: sql.to_owned(),
            functions: Vec::new(),
            inputs,
            order,
            now,
            rows_max: TRIAL_ROWS_MAX,
        })
    }

    /// The rows of the first output.
    fn first(trial: &Trial) -> Vec<&str> {
        trial.outputs[0].rows.iter().map(|row| row.text.as_str()).collect()
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
        assert_eq!((found.outputs[0].name.as_str(), first(&found)), ("out", rows.to_vec()));
        assert_eq!(found.outputs[0].columns, ["time", "symbol", "sum"]);
        assert_eq!(found.outputs[0].rows[0].time, 1_772_600_820_000, "05:07:00");
        let plain = run(SQL, r#"{"symbol":"B","shares":5}"#).unwrap();
        assert_eq!(first(&plain), [r#"{"time":"2026-03-04T05:07:00.0000000Z","symbol":"B","sum":5}"#]);
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
            assert_eq!(first(&run(SQL, sample).unwrap()), [row], "{sample}");
        }
    }

    #[test]
    fn samples_of_delimited_text_are_texts_or_hold_them() {
        let csv = || RecordFormat::Csv { delimiter: ",".into() };
        let row = r#"{"time":"2026-03-04T05:07:00.0000000Z","symbol":"A","sum":3}"#.to_owned();
        let held = r#"{"RecordText":"shares,symbol\n1,A\n\"x\n2,A","EventEnqueuedUtcTime":"2026-03-04T05:06:07Z"}"#;
        for sample in ["symbol,shares\nA,1\n\nA,2\n", held] {
            let found = run_as(csv(), SQL, sample).unwrap();
            assert_eq!(first(&found), [&row], "{sample}");
        }
        let found = run_as(csv(), SQL, r#"{"symbol":"A","shares":3}"#).unwrap();
        assert_eq!(first(&found), [&row], "a sample that somebody wrote as JSON");
    }

    #[test]
    fn a_star_stands_for_what_a_hub_adds() {
        let sample = r#"{"a":1,"EventEnqueuedUtcTime":"2026-03-04T05:06:07Z","PartitionId":2}"#;
        let added = r#""EventProcessedUtcTime":"2026-03-04T05:06:07.0000000Z","PartitionId":2,"EventEnqueuedUtcTime":"2026-03-04T05:06:07.0000000Z""#;
        let found = run("SELECT * INTO out FROM trades", sample).unwrap();
        assert_eq!(first(&found), [format!("{{\"a\":1,{added}}}")]);
        let found = run("SELECT a, PartitionId INTO out FROM trades", sample).unwrap();
        assert_eq!(first(&found), [r#"{"a":1,"PartitionId":2}"#]);
        let found = run("SELECT * INTO out FROM trades", r#"{"a":1}"#).unwrap();
        assert_eq!(first(&found), [r#"{"a":1}"#], "no hub is told of");
    }

    #[test]
    fn events_whose_arrival_nobody_tells_are_not_late() {
        let sql = "SELECT System.Timestamp() AS t, a INTO out FROM trades TIMESTAMP BY at";
        let found = run(sql, r#"{"a":1,"at":"2020-01-01T00:00:00Z"}"#).unwrap();
        assert_eq!(first(&found), [r#"{"t":"2020-01-01T00:00:00.0000000Z","a":1}"#]);
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

    #[test]
    fn an_input_without_times_is_not_late_beside_one_that_has_them() {
        let sql = "SELECT System.Timestamp() AS t INTO o FROM a TIMESTAMP BY at; SELECT System.Timestamp() AS t INTO p FROM b TIMESTAMP BY at";
        let sample =
            |name: &str, sample: &str| TrialInput { name: name.into(), sample: sample.into(), ..TrialInput::default() };
        let timed = sample("a", r#"{"at":"2026-03-04T05:00:00Z","EventEnqueuedUtcTime":"2026-03-04T05:06:00Z"}"#);
        let untimed = sample("b", r#"{"at":"2020-01-01T00:00:00Z"} {"at":"2099-01-01T00:00:00Z"}"#);
        let found = asked(QueryDialect::StreamAnalytics, sql, vec![timed, untimed]).unwrap();
        assert_eq!(first(&found), [r#"{"t":"2026-03-04T05:05:55.0000000Z"}"#], "the tolerance is 5 s");
        let rows: Vec<&str> = found.outputs[1].rows.iter().map(|row| row.text.as_str()).collect();
        assert_eq!(rows, [r#"{"t":"2020-01-01T00:00:00.0000000Z"}"#, r#"{"t":"2099-01-01T00:00:00.0000000Z"}"#]);
    }

    #[test]
    fn what_is_no_row_is_told_with_its_line() {
        let sample = "{\"shares\":1}\n{\"shares\":\"x\"}\n\n{\"shares\":0}";
        let found =
            run("CREATE TABLE trades (shares bigint); SELECT 1/shares AS n INTO out FROM trades", sample).unwrap();
        assert_eq!(first(&found), [r#"{"n":1}"#]);
        assert_eq!(found.errors[0].place, Some(("trades".to_owned(), 2)));
        assert_eq!((found.errors[0].kind, found.errors[1].kind), ("unparsable", "failed"));
    }

    #[test]
    fn reference_data_have_samples() {
        let sql = "SELECT t.shares, c.company INTO out FROM trades t JOIN companies c ON t.symbol = c.symbol";
        let trades = TrialInput {
            name: "trades".into(),
            sample: r#"{"symbol":"A","shares":1}"#.into(),
            ..TrialInput::default()
        };
        let table = |sample: &str| TrialInput {
            name: "companies".into(),
            format: RecordFormat::Csv { delimiter: ",".into() },
            reference: true,
            sample: sample.into(),
            ..TrialInput::default()
        };
        let inputs = vec![trades.clone(), table("symbol,company\nA,Acme\nB,Bolt\n")];
        let found = asked(QueryDialect::StreamAnalytics, sql, inputs).unwrap();
        assert_eq!(first(&found), [r#"{"shares":1,"company":"Acme"}"#]);
        let broken = table(r#"{"symbol":"A","company":"Acme"} {"symbol":"#);
        let inputs = vec![trades, TrialInput { format: RecordFormat::Json, ..broken }];
        let told = asked(QueryDialect::StreamAnalytics, sql, inputs).unwrap_err().to_string();
        assert!(told.starts_with("the sample for reference data `companies`: "), "{told}");
    }

    #[test]
    fn delimited_text_without_columns_begins_with_their_names_in_kinesis_language_too() {
        let sql = r#"CREATE STREAM "O" ("s" VARCHAR(8), "n" INTEGER); CREATE PUMP P AS INSERT INTO "O"
            SELECT STREAM "symbol", "shares" FROM "trades""#;
        let format = RecordFormat::Csv { delimiter: ",".into() };
        let input = TrialInput {
            name: "trades".into(),
            format,
            sample: "shares,symbol\n3,A\n".into(),
            ..TrialInput::default()
        };
        let found = asked(QueryDialect::Kinesis, sql, vec![input]).unwrap();
        assert_eq!(first(&found), [r#"{"s":"A","n":3}"#]);
    }
}
