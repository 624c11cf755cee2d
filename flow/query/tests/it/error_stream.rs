//! The error stream of Kinesis' language: what goes wrong are rows of it, whatever batches it came in and wherever the state was
//! written and read again.

use millstream_catalog::{
    ColumnDefinition, ColumnType, EventOrder, OutputTarget, QueryDialect, RecordFormat, StreamOwner,
};
use millstream_query::plan::Program;
use millstream_query::{Executor, InputSchema, NewQuery, Produced, plan};
use millstream_types::{EncodedRecords, RecordBatch};
use serde_json::json;

use crate::conformance::rows;
use crate::world::{Life, World, output, query, until};

const BEGIN: i64 = 1_700_000_000_000;

const SQL: &str = r#"
    CREATE STREAM OUT (TICKER VARCHAR(4), N BIGINT);
    CREATE STREAM SUMS (N BIGINT);
    CREATE STREAM ERRORS ("at" TIMESTAMP, LEVEL VARCHAR(10), NAME VARCHAR(32), MESSAGE VARCHAR(4096), ROW_AT TIMESTAMP,
        DATA VARCHAR(49152), PUMP VARCHAR(128));
    CREATE PUMP "E" AS INSERT INTO ERRORS SELECT STREAM * FROM "error_stream";
    CREATE PUMP "divides" AS INSERT INTO OUT SELECT STREAM TICKER, 12 / PRICE FROM I;
    CREATE PUMP GROUPS AS INSERT INTO SUMS SELECT STREAM 1 / SUM(PRICE) FROM I GROUP BY FLOOR(I.ROWTIME TO MINUTE);
    CREATE STREAM COUNTS (PUMP VARCHAR(128), N BIGINT, "at" TIMESTAMP);
    CREATE PUMP C AS INSERT INTO COUNTS SELECT STREAM e.PUMP_NAME, COUNT(*), e.ROWTIME FROM error_stream AS e
        GROUP BY e.PUMP_NAME, FLOOR(e.ROWTIME TO MINUTE);
    CREATE STREAM AGAIN (N BIGINT);
    CREATE PUMP A AS INSERT INTO AGAIN SELECT STREAM 1 / 0 FROM error_stream;"#;

const RECORDS: [&str; 8] = [
    r#"{"TICKER":"A","PRICE":3}"#,
    r#"{"TICKER":"B","PRICE":0}"#,
    "no JSON",
    r#"{"TICKER":"toolong","PRICE":1}"#,
    r#"{"TICKER":"C","PRICE":-4}"#,
    r#"{"TICKER":"D","PRICE":4}"#,
    r#"{"TICKER":"E","PRICE":0}"#,
    r#"{"TICKER":"F","PRICE":0}"#,
];

fn program(sql: &str) -> Program {
    let columns =
        vec![ColumnDefinition::new("TICKER", ColumnType::Text), ColumnDefinition::new("PRICE", ColumnType::BigInt)];
    plan(QueryDialect::Kinesis, sql, &[InputSchema::new("I", Some(columns))]).unwrap()
}

fn executor(program: &Program, format: RecordFormat) -> Executor {
    Executor::new(program.clone(), EventOrder::default(), &[format], &[1])
}

fn batch(place: usize, record: &str) -> RecordBatch {
    let mut encoded = EncodedRecords::default();
    encoded.push(b"", b"", record.as_bytes());
    let (bytes, count) = encoded.freeze();
    RecordBatch { base_offset: place as u64, count, append_time: BEGIN + place as i64 * 10_000, bytes }
}

/// All rows of records, each ten seconds after the one before; so many are read before time passes.
fn run(program: &Program, together: usize, restart: usize) -> Produced {
    let (mut executor, mut produced) = (executor(program, RecordFormat::Json), Produced::default());
    for (place, record) in RECORDS.iter().enumerate() {
        let batch = batch(place, record);
        produced.extend(executor.push(0, 0, &batch, 0).unwrap());
        if (place + 1) % together == 0 {
            executor.caught_up(0, 0, batch.append_time);
            produced.extend(executor.advance(None).unwrap());
        }
        if place == restart {
            let state = executor.snapshot();
            executor = self::executor(program, RecordFormat::Json);
            executor.restore(&state).unwrap();
        }
    }
    produced.extend(executor.advance(Some(i64::MAX)).unwrap());
    produced
}

fn of(program: &Program, produced: &Produced, output: &str) -> Vec<String> {
    let place = program.output_names().position(|name| name == output).unwrap();
    let mut found = produced.of_output(place).unwrap().map_or_else(Vec::new, |batch| rows(&batch));
    found.sort();
    found
}

fn bytes(hex: &str) -> String {
    let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
    String::from_utf8((0..hex.len() / 2).map(byte).collect()).unwrap()
}

#[test]
fn what_goes_wrong_are_rows_of_the_error_stream_and_the_pump_goes_on() {
    let program = program(SQL);
    let produced = run(&program, 1, usize::MAX);
    assert_eq!(of(&program, &produced, "OUT"), ["A | 4", "C | -3", "D | 3"]);
    let errors = of(&program, &produced, "ERRORS");
    let shown: Vec<Vec<&str>> = errors.iter().map(|row| row.split(" | ").collect()).collect();
    assert_eq!(shown.len(), 6, "{errors:#?}");
    let first = &shown[0];
    assert_eq!(first[0], "2023-11-14T22:13:30");
    assert_eq!(first[1..3], ["ERROR", "Runtime error"]);
    assert!(first[3].to_lowercase().contains("zero"), "{}", first[3]);
    assert_eq!((first[4], first[6]), ("2023-11-14T22:13:30", "divides"));
    assert_eq!(bytes(first[5]), r#"{"TICKER":"B","PRICE":0}"#);
    assert_eq!((shown[1][2], bytes(shown[1][5]).as_str(), shown[1][6]), ("Parse error", "no JSON", "NULL"));
    assert!(shown[2][3].contains("toolong"), "{}", shown[2][3]);
    // The last minute's sum is zero: its group has a time and is no row.
    let group = shown.iter().find(|row| row[6] == "GROUPS").unwrap();
    assert_eq!((group[0], group[4], group[5]), ("2023-11-14T22:15:00", "2023-11-14T22:15:00", "NULL"));
}

#[test]
fn errors_are_grouped_as_any_rows_are_and_do_not_hang_on_batches() {
    let program = program(SQL);
    let expected = of(&program, &run(&program, 1, usize::MAX), "COUNTS");
    assert_eq!(expected.iter().filter(|row| row.starts_with("divides")).count(), 2, "{expected:?}");
    for (together, restart) in [(1, 3), (2, 1), (3, 5), (100, 4)] {
        assert_eq!(of(&program, &run(&program, together, restart), "COUNTS"), expected, "{together} {restart}");
    }
    // What fails in a pump that reads errors is told, and no error of its own stream.
    let produced = run(&program, 1, usize::MAX);
    assert_eq!(of(&program, &produced, "AGAIN"), [""; 0]);
    assert_eq!(produced.errors.iter().filter(|error| error.kind == "failed").count(), 5 + 6);
}

#[test]
fn an_output_of_the_error_stream_needs_no_pump() {
    let sql = "CREATE STREAM OUT (N BIGINT); CREATE PUMP P AS INSERT INTO OUT SELECT STREAM 12 / PRICE FROM I;";
    let plain = program(sql);
    assert_eq!(plain.clone().with_error_output(["OUT"]).output_names().collect::<Vec<_>>(), ["OUT"]);
    let told = plain.with_error_output(["OUT", "error_stream"]);
    assert_eq!(told.output_names().collect::<Vec<_>>(), ["OUT", "error_stream"]);
    let errors = of(&told, &run(&told, 3, 4), "error_stream");
    assert_eq!(errors.len(), 4, "{errors:#?}");
    // A stream of the query's own may be called so.
    let own = program(
        "CREATE STREAM ERROR_STREAM (N BIGINT); CREATE PUMP P AS INSERT INTO ERROR_STREAM SELECT STREAM PRICE FROM I;",
    );
    assert_eq!(own.with_error_output(["ERROR_STREAM"]).steps.len(), 1);
}

#[test]
fn a_line_that_is_no_row_is_told_without_the_others_of_its_record() {
    let program = program(SQL);
    let mut executor = executor(&program, RecordFormat::Csv { delimiter: ",".into() });
    let produced = executor.push(0, 0, &batch(0, "A,1\nB,x\nC,2"), 0).unwrap();
    let errors = of(&program, &produced, "ERRORS");
    assert_eq!(errors.len(), 1);
    assert_eq!(bytes(errors[0].split(" | ").nth(5).unwrap()), "B,x");
    assert_eq!(of(&program, &produced, "OUT"), ["A | 12", "C | 6"]);
}

#[test]
fn what_is_beyond_the_room_of_errors_made_at_once_is_told() {
    let program = program(SQL);
    let mut executor = executor(&program, RecordFormat::Json);
    let mut encoded = EncodedRecords::default();
    let broken = "x".repeat(20_000);
    (0..300).for_each(|_| encoded.push(b"", b"", broken.as_bytes()));
    let (bytes, count) = encoded.freeze();
    let together = RecordBatch { base_offset: 0, count, append_time: BEGIN, bytes };
    let produced = executor.push(0, 0, &together, 0).unwrap();
    let errors = of(&program, &produced, "ERRORS").len();
    // Each takes 40 KiB, in however many outputs it is.
    assert!((200..210).contains(&errors), "{errors}");
    let left_out = format!("{} rows are left out", 300 - errors);
    assert!(produced.errors.iter().any(|error| error.detail.contains(&left_out)), "{left_out}");
}

/// The records of a query's own streams: how many, the bytes of their data, and the longest partition key.
async fn written(life: &Life) -> (usize, usize, usize) {
    let (mut count, mut bytes, mut longest) = (0, 0, 0);
    for stream in life.streams.list().iter().filter(|stream| stream.owner == StreamOwner::Query) {
        let read = life.streams.read(stream.shards[0].log(), 0, usize::MAX).await.unwrap();
        for record in read.batches.iter().flat_map(RecordBatch::records) {
            let key = std::str::from_utf8(&record.partition_key).unwrap();
            (count, bytes) = (count + 1, bytes + record.data.len());
            longest = longest.max(key.chars().count());
        }
    }
    (count, bytes, longest)
}

/// One put of them is read at once, so all that is told of it is written at once, in each output that reads it: more than one transaction
/// holds.
#[test]
fn what_is_told_at_once_stops_nothing_however_many_read_it() {
    let sql = r#"
        CREATE STREAM OUT (N BIGINT); CREATE STREAM ONE (M VARCHAR(4096), D VARCHAR(49152));
        CREATE STREAM TWO (M VARCHAR(4096), D VARCHAR(49152));
        CREATE PUMP P AS INSERT INTO OUT SELECT STREAM CAST("symbol" AS BIGINT) FROM I;
        CREATE PUMP A AS INSERT INTO ONE SELECT STREAM MESSAGE, DATA_ROW FROM error_stream;
        CREATE PUMP B AS INSERT INTO TWO SELECT STREAM MESSAGE, DATA_ROW FROM error_stream;"#;
    let outputs = ["ONE", "TWO", "error_stream"].map(|name| output(name, OutputTarget::Keep)).to_vec();
    let mut told = NewQuery { dialect: QueryDialect::Kinesis, sql: sql.to_owned(), ..query(outputs) };
    told.inputs[0].name = "I".to_owned();
    for (record, kind) in [
        (json!("x".repeat(24_600)), "unparsable"),
        // No number, in characters of three bytes.
        (json!({"symbol": "\u{20ac}".repeat(8_200), "n": 1}), "failed"),
    ] {
        World::new().life(async |life| {
            life.define(vec![output("out", OutputTarget::Keep)]).await;
            life.update(told.clone()).await.unwrap();
            life.put_rows(vec![record; 400]).await;
            until("records are read", || life.errors().iter().any(|(found, _)| *found == kind)).await;
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            let (count, bytes, longest_key) = written(life).await;
            assert!(count >= 400 && count.is_multiple_of(3), "{kind}: {count}");
            assert!((16 << 20..24 << 20).contains(&bytes), "{kind}: {bytes}");
            assert_eq!(longest_key, 256, "{kind}");
            let told = life.queries.status("q").last_error;
            assert!(told.is_none(), "{kind}: {told:?}");
        });
    }
}
