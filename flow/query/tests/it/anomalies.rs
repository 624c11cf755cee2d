//! What models find in values that follow each other: single values far out, and levels that change; the same however records are cut
//! into batches and wherever the state was written and read again.

use arrow::array::AsArray as _;
use millstream_catalog::{ColumnDefinition, ColumnType, EventOrder, QueryDialect, RecordFormat};
use millstream_query::plan::Program;
use millstream_query::{Executor, InputSchema, Produced, plan};
use millstream_types::{EncodedRecords, RecordBatch};
use serde_json::Value;

const BEGIN: i64 = 1_700_000_000_000;

/// A verdict of each row: its score, and whether it is an anomaly; `None`: it has none.
type Verdict = Option<(f64, bool)>;

fn program(call: &str) -> Program {
    let column = |name: &str, column_type| ColumnDefinition::new(name, column_type);
    let columns = Some(vec![column("k", ColumnType::Text), column("x", ColumnType::Double)]);
    let sql = format!(
        "WITH s AS (SELECT k, {call} AS a FROM I) SELECT k, a, GetRecordPropertyValue(a, 'Score') AS b INTO O FROM s"
    );
    let input = InputSchema::new("I", columns);
    plan(QueryDialect::StreamAnalytics, &sql, &[input]).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]))
}

fn executor(program: &Program) -> Executor {
    Executor::new(program.clone(), EventOrder::default(), &[RecordFormat::Json], &[1])
}

/// The verdicts of values, one a second, in batches; the state is written and read again before each `restart`-th.
fn verdicts(call: &str, values: &[(&str, Option<f64>)], restart: usize) -> Vec<Verdict> {
    let program = program(call);
    let (mut executor, mut made) = (self::executor(&program), Vec::<Produced>::new());
    for (place, (key, value)) in values.iter().enumerate() {
        if place % restart == restart - 1 {
            let snapshot = executor.snapshot();
            executor = self::executor(&program);
            executor.restore(&snapshot).unwrap();
            assert_eq!(executor.snapshot(), snapshot);
        }
        let mut records = EncodedRecords::default();
        records.push(b"", b"", serde_json::json!({ "k": key, "x": value }).to_string().as_bytes());
        let (bytes, count) = records.freeze();
        let append_time = BEGIN + 1_000 * place as i64;
        made.push(
            executor.push(0, 0, &RecordBatch { base_offset: place as u64, count, append_time, bytes }, 0).unwrap(),
        );
        if place % 3 != 0 {
            made.push(executor.advance(None).unwrap());
        }
    }
    made.push(executor.advance(Some(i64::MAX)).unwrap());
    assert_eq!(executor.groups(), 0, "nothing is kept of what is too old");
    let mut verdicts = Vec::new();
    for produced in &made {
        assert_eq!(produced.errors, []);
        for (_, rows) in &produced.rows {
            let records = rows.column(1).as_string::<i64>();
            verdicts.extend(records.iter().map(|record| {
                let record: Value = serde_json::from_str(record?).unwrap();
                Some((record["Score"].as_f64().unwrap(), record["IsAnomaly"] == 1))
            }));
        }
    }
    verdicts
}

fn of_one(values: &[f64]) -> Vec<(&'static str, Option<f64>)> {
    values.iter().map(|value| ("a", Some(*value))).collect()
}

fn anomalies(verdicts: &[Verdict]) -> Vec<usize> {
    let is = |(place, verdict): (usize, &Verdict)| verdict.is_some_and(|verdict| verdict.1).then_some(place);
    verdicts.iter().enumerate().filter_map(is).collect()
}

/// Numbers around a level, the same in each run.
fn noise(seed: u64, count: usize, level: f64) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1u32 << 31)
    };
    (0..count).map(|_| level + (0..4).map(|_| next()).sum::<f64>() - 2.0).collect()
}

fn spikes(confidence: f64, mode: &str) -> String {
    format!(
        "AnomalyDetection_SpikeAndDip(x, {confidence}, 120, '{mode}') OVER (PARTITION BY k LIMIT DURATION(second, 120))"
    )
}

fn changes(confidence: f64) -> String {
    format!("AnomalyDetection_ChangePoint(x, {confidence}, 60) OVER (PARTITION BY k LIMIT DURATION(minute, 20))")
}

#[test]
fn a_spike_and_a_dip_in_a_flat_series() {
    let mut values = vec![5.0; 80];
    values[40] = 50.0;
    values[60] = -50.0;
    for (mode, expected) in [("spikesanddips", vec![40, 60]), ("spikes", vec![40]), ("dips", vec![60])] {
        let found = verdicts(&spikes(95.0, mode), &of_one(&values), 1_000);
        assert_eq!(anomalies(&found), expected, "{mode}");
    }
}

#[test]
fn a_spike_in_noise_stands_out_and_noise_does_not() {
    let mut values = noise(7, 200, 20.0);
    values[150] = 30.0;
    let found = verdicts(&spikes(99.0, "spikesanddips"), &of_one(&values), 1_000);
    let anomalies = anomalies(&found);
    assert!(anomalies.contains(&150) && anomalies.len() <= 5, "{anomalies:?}");
    // The less likely a value is, the lower its score.
    let least = found.iter().flatten().map(|verdict| verdict.0).fold(1.0, f64::min);
    assert_eq!(found[150].unwrap().0, least);
    // The less sure a verdict has to be, the more there are.
    let unsure = verdicts(&spikes(80.0, "spikesanddips"), &of_one(&values), 1_000);
    assert!(self::anomalies(&unsure).len() > anomalies.len());
}

#[test]
fn a_level_that_changes_is_a_change_point_and_a_spike_is_none() {
    let mut values = noise(3, 120, 10.0);
    values.extend(noise(4, 120, 20.0));
    values[60] = 40.0;
    let found = verdicts(&changes(95.0), &of_one(&values), 1_000);
    let anomalies = anomalies(&found);
    assert!(!anomalies.is_empty() && anomalies.iter().all(|place| (120..180).contains(place)), "{anomalies:?}");
    assert!(*anomalies.first().unwrap() < 130, "it is seen within ten events: {anomalies:?}");
    // The score grows with what was won.
    assert!(found[120 + 9].unwrap().0 > found[119].unwrap().0);
}

#[test]
fn each_key_has_a_model_of_its_own_and_null_is_no_value() {
    let level = |place: usize| if place.is_multiple_of(2) { ("a", Some(5.0)) } else { ("b", Some(500.0)) };
    let mut values: Vec<(&str, Option<f64>)> = (0..80).map(level).collect();
    values[70] = ("a", Some(500.0));
    values[71] = ("b", None);
    let found = verdicts(&spikes(95.0, "spikesanddips"), &values, 1_000);
    assert_eq!((anomalies(&found), found[71]), (vec![70], None));
}

#[test]
fn only_rows_count_for_which_the_condition_is_true() {
    let mut values = of_one(&[5.0; 60]);
    values[50].1 = Some(90.0);
    let call = "AnomalyDetection_SpikeAndDip(x, 95, 30, 'spikes') OVER (LIMIT DURATION(minute, 2) WHEN x < 50)";
    let found = verdicts(call, &values, 1_000);
    assert_eq!((anomalies(&found), found[50]), (Vec::new(), None));
}

#[test]
fn what_is_too_old_or_too_many_is_forgotten() {
    // A level that was usual is none any more once the history has passed it.
    let mut values = vec![50.0; 20];
    values.extend([5.0; 40]);
    values.push(50.0);
    for call in [
        "AnomalyDetection_SpikeAndDip(x, 99, 30, 'spikes') OVER (LIMIT DURATION(hour, 1))",
        "AnomalyDetection_SpikeAndDip(x, 99, 1000, 'spikes') OVER (LIMIT DURATION(second, 30))",
    ] {
        assert_eq!(anomalies(&verdicts(call, &of_one(&values), 1_000)), [60], "{call}");
    }
    let long = "AnomalyDetection_SpikeAndDip(x, 99, 1000, 'spikes') OVER (LIMIT DURATION(hour, 1))";
    assert_eq!(anomalies(&verdicts(long, &of_one(&values), 1_000)), [0; 0]);
}

#[test]
fn restarts_and_batches_change_nothing() {
    let mut values = noise(11, 90, 10.0);
    values.extend(noise(12, 60, 14.0));
    for call in [spikes(90.0, "spikesanddips"), changes(90.0)] {
        let expected = verdicts(&call, &of_one(&values), 1_000);
        for restart in [1, 2, 7, 50] {
            assert_eq!(verdicts(&call, &of_one(&values), restart), expected, "{call} {restart}");
        }
    }
}

#[test]
fn mistakes_are_told() {
    let column = ColumnDefinition::new("x", ColumnType::Text);
    let input = InputSchema::new("I", Some(vec![column]));
    for (call, expected) in [
        ("AnomalyDetection_SpikeAndDip(1, 95, 120) OVER (LIMIT DURATION(second, 1))", "takes 4 arguments"),
        ("AnomalyDetection_ChangePoint(1, 95, 120, 'spikes') OVER (LIMIT DURATION(second, 1))", "takes 3 arguments"),
        (
            "AnomalyDetection_SpikeAndDip(1, 0.5, 120, 'dips') OVER (LIMIT DURATION(second, 1))",
            "a percentage from 1 to 100",
        ),
        ("AnomalyDetection_SpikeAndDip(1, 95, 0, 'dips') OVER (LIMIT DURATION(second, 1))", "1 to 10000"),
        ("AnomalyDetection_SpikeAndDip(1, 95, 10, 'up') OVER (LIMIT DURATION(second, 1))", "'spikesanddips'"),
        ("AnomalyDetection_SpikeAndDip(x, 95, 10, 'dips') OVER (LIMIT DURATION(second, 1))", "expected a float"),
        ("AnomalyDetection_SpikeAndDip(1, 95, 10, 'dips')", "how far it looks back"),
    ] {
        let sql = format!("SELECT {call} AS a FROM I");
        let mistakes = plan(QueryDialect::StreamAnalytics, &sql, std::slice::from_ref(&input)).unwrap_err();
        assert!(mistakes[0].to_string().contains(expected), "{call}: {}", mistakes[0]);
    }
}
