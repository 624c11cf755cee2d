//! Functions that learn from rows, from a query's text to its rows: what they say, and that it does not hang on how records are cut into
//! batches or on where the state was written and read again.

use std::collections::BTreeMap;

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::Float64Type;
use millstream_catalog::{ColumnDefinition, ColumnType, EventOrder, QueryDialect, RecordFormat};
use millstream_query::plan::Program;
use millstream_query::{Executor, InputSchema, Produced, plan};
use millstream_types::{EncodedRecords, RecordBatch};
use serde_json::Value as Json;

use crate::conformance::rows;

const BEGIN: i64 = 1_700_000_000_000;

fn program(function: &str, columns: &str) -> Program {
    let column = |name: &str, column_type| ColumnDefinition::new(name, column_type);
    let columns_of_input = Some(vec![
        column("Systolic", ColumnType::BigInt),
        column("Diastolic", ColumnType::Double),
        column("Level", ColumnType::Text),
    ]);
    let input = InputSchema::new("I", columns_of_input);
    let sql =
        format!("CREATE STREAM O ({columns}); CREATE PUMP P AS INSERT INTO O SELECT STREAM * FROM TABLE({function});");
    plan(QueryDialect::Kinesis, &sql, &[input]).unwrap()
}

fn executor(program: &Program) -> Executor {
    Executor::new(program.clone(), EventOrder::default(), &[RecordFormat::Json], &[1])
}

/// A number from 0 up to a bound that looks random.
fn below(place: u64, which: u64, bound: u64) -> u64 {
    let mut word = (place + 1).wrapping_mul(0x2545_f491_4f6c_dd1d) ^ (which + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word ^= word >> 29;
    word = word.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (word >> 33) % bound
}

/// A usual reading.
fn usual(place: u64) -> String {
    let (systolic, diastolic) = (100 + below(place, 0, 20), 60.0 + below(place, 1, 200) as f64 / 10.0);
    format!(r#"{{"Systolic":{systolic},"Diastolic":{diastolic},"Level":"NORMAL"}}"#)
}

/// All rows of some records, so many of which are one batch; before one of them the state is written and read again.
fn run(program: &Program, records: &[String], batch: usize, restart: usize) -> Produced {
    let (mut executor, mut produced) = (executor(program), Produced::default());
    for (number, together) in records.chunks(batch).enumerate() {
        let mut encoded = EncodedRecords::default();
        together.iter().for_each(|record| encoded.push(b"", b"", record.as_bytes()));
        let (bytes, count) = encoded.freeze();
        let first = number * batch;
        if (first..first + together.len()).contains(&restart) {
            let state = executor.snapshot();
            executor = self::executor(program);
            executor.restore(&state).unwrap();
            assert_eq!(executor.snapshot(), state);
        }
        // A batch comes at the time of its first record, which is a second later for each sixty.
        let append_time = BEGIN + (first / 60) as i64 * 1_000;
        produced.extend(
            executor.push(0, 0, &RecordBatch { base_offset: first as u64, count, append_time, bytes }, 0).unwrap(),
        );
        executor.caught_up(0, 0, append_time);
        produced.extend(executor.advance(None).unwrap());
    }
    produced.extend(executor.advance(Some(i64::MAX)).unwrap());
    produced
}

const FOREST: &str = "RANDOM_CUT_FOREST_WITH_EXPLANATION(CURSOR(SELECT STREAM * FROM I), 50, 64, 1000, 1, true)";
const FOREST_COLUMNS: &str = "S BIGINT, D DOUBLE, L VARCHAR(8), SCORE DOUBLE, EXPLANATION VARCHAR(512)";

#[test]
fn an_outlier_has_the_highest_score_and_is_explained() {
    let mut records: Vec<String> = (0..300).map(usual).collect();
    records[200] = r#"{"Systolic":144,"Diastolic":123.0,"Level":"HIGH"}"#.to_owned();
    records[250] = r#"{"Systolic":110,"Diastolic":30.0,"Level":"LOW"}"#.to_owned();
    records[10] = r#"{"Systolic":null,"Diastolic":70.0,"Level":"NONE"}"#.to_owned();
    let program = program(FOREST, FOREST_COLUMNS);
    let made = run(&program, &records, 60, usize::MAX).of_output(0).unwrap().unwrap();
    let scores = made.column(3).as_primitive::<Float64Type>();
    let texts = made.column(4).as_string::<i32>();
    assert_eq!(made.num_rows(), 300);
    for place in 0..300 {
        assert_eq!(scores.is_null(place), place == 10);
        // The row without a number is not learned from.
        assert_eq!(place != 10 && scores.value(place) > 0.0, place > 64, "{place}");
        if place != 200 && place != 250 {
            assert!(scores.value(place) < scores.value(200).min(scores.value(250)), "{place}");
        }
    }
    let explained = |place: usize| -> BTreeMap<String, Json> { serde_json::from_str(texts.value(place)).unwrap() };
    let number = |value: &Json| value.as_str().unwrap().parse::<f64>().unwrap();
    let (high, low) = (explained(200), explained(250));
    assert_eq!(high.keys().collect::<Vec<_>>(), ["Diastolic", "Systolic"]);
    assert_eq!((&high["Systolic"]["DIRECTION"], &high["Diastolic"]["DIRECTION"]), (&"HIGH".into(), &"HIGH".into()));
    assert_eq!(low["Diastolic"]["DIRECTION"], "LOW");
    assert!(number(&low["Diastolic"]["STRENGTH"]) > number(&low["Systolic"]["STRENGTH"]));
    for place in 65..300 {
        let sum: f64 = explained(place).values().map(|column| number(&column["ATTRIBUTION_SCORE"])).sum();
        assert!((sum - scores.value(place)).abs() < 2e-4, "{place}");
    }
    let learning = &explained(5)["Systolic"];
    assert_eq!(learning.to_string(), r#"{"DIRECTION":"LOW","STRENGTH":"0.0000","ATTRIBUTION_SCORE":"0.0000"}"#);
}

#[test]
fn a_score_alone_and_an_explanation_without_directions() {
    let records: Vec<String> = (0..70).map(usual).collect();
    let cursor = "CURSOR(SELECT STREAM \"Systolic\" FROM I), 10, 20";
    let alone = program(&format!("RANDOM_CUT_FOREST({cursor})"), "S BIGINT, SCORE DOUBLE");
    let alone = run(&alone, &records, 60, usize::MAX).of_output(0).unwrap().unwrap();
    let explained = format!("RANDOM_CUT_FOREST_WITH_EXPLANATION({cursor})");
    let explained = program(&explained, "S BIGINT, SCORE DOUBLE, EXPLANATION VARCHAR(512)");
    let explained = run(&explained, &records, 60, usize::MAX).of_output(0).unwrap().unwrap();
    assert_eq!(alone.column(1), explained.column(1));
    let text = explained.column(2).as_string::<i32>().value(69);
    let score = alone.column(1).as_primitive::<Float64Type>().value(69);
    assert_eq!(text, format!("{{\"Systolic\":{{\"ATTRIBUTION_SCORE\":\"{score:.4}\"}}}}"));
}

#[test]
fn rows_that_are_close_together_are_a_hotspot() {
    let program = program(
        "HOTSPOTS(CURSOR(SELECT STREAM \"Systolic\", \"Diastolic\" FROM I), 100, 0.5, 5)",
        "S BIGINT, D DOUBLE, HOTSPOTS_RESULT VARCHAR(10000)",
    );
    let mut records: Vec<String> =
        (0..120).map(|place| format!(r#"{{"Systolic":{},"Diastolic":{}.0}}"#, place * 10, place * 7 % 50)).collect();
    let near = (0..6).map(|place| format!(r#"{{"Systolic":-50,"Diastolic":{}}}"#, 3.0 + f64::from(place) / 4.0));
    records.extend(near);
    let made = rows(&run(&program, &records, 60, usize::MAX).of_output(0).unwrap().unwrap());
    assert!(made[..124].iter().all(|row| row.ends_with(r#" | {"hotspots":[]}"#)));
    assert_eq!(made[124], r#"-50 | 4.0 | {"hotspots":[{"density":10,"minValues":[-50,3],"maxValues":[-50,4]}]}"#);
    assert!(made[125].starts_with(r#"-50 | 4.25 | {"hotspots":[{"density":9.6,"#), "{}", made[125]);
}

#[test]
fn what_a_model_says_does_not_hang_on_batches_or_restarts() {
    let records: Vec<String> = (0..300).map(usual).collect();
    let hotspots = "HOTSPOTS(CURSOR(SELECT STREAM * FROM I), 100, 2, 5)";
    let shingles = "RANDOM_CUT_FOREST_WITH_EXPLANATION(CURSOR(SELECT STREAM * FROM I), 20, 32, 100, 3, true)";
    for (function, columns) in [
        (FOREST, FOREST_COLUMNS),
        (shingles, FOREST_COLUMNS),
        (hotspots, "S BIGINT, D DOUBLE, L VARCHAR(8), HOTSPOTS_RESULT VARCHAR(10000)"),
    ] {
        let program = program(function, columns);
        let expected = rows(&run(&program, &records, 60, usize::MAX).of_output(0).unwrap().unwrap());
        for (batch, restart) in [(1, 0), (7, 40), (20, 70), (60, 200), (30, 299)] {
            let found = rows(&run(&program, &records, batch, restart).of_output(0).unwrap().unwrap());
            assert_eq!(found, expected, "{function}, batches of {batch}, restart at {restart}");
        }
    }
}
