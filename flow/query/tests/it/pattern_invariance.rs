//! Patterns of rows give the same matches for the same records: in whatever order events come, however they are cut into batches,
//! and wherever the state was written and read again. Those are the ones that are found by trying all ways one after the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch as ArrowBatch, StringArray, TimestampMillisecondArray};
use arrow::compute::cast;
use millstream_catalog::{ColumnDefinition, ColumnType, EventOrder, OrderPolicy, QueryDialect, RecordFormat};
use millstream_query::plan::{Operator, Pattern, Program, Skip};
use millstream_query::{ExecuteError, Executor, InputSchema, Produced, plan};
use millstream_types::{EncodedRecords, RecordBatch};
use proptest::prelude::*;

use crate::conformance::rows;

/// No event is older at its arrival, so none is late and none is out of order.
const OLD_MS: i64 = 5_000;

const BEGIN: i64 = 1_700_000_000_000;

/// How much later than the one before it arrives, how much before its arrival it happened, key (0: NULL), value (5: NULL).
type Event = (i64, i64, u8, u8);

/// Patterns and what their variables are.
const PATTERNS: [(&str, &str); 12] = [
    ("A B", "A AS A.v < 3, B AS B.v > 1"),
    ("A+ B", "A AS A.v < 3, B AS B.v > 1"),
    ("A+", "A AS A.v < 4"),
    ("A* B+ A?", "A AS A.v < 3, B AS B.v > 1"),
    ("(A | B C)+ . C", "A AS v = 1, B AS B.v > 1, C AS C.v <> 2"),
    ("A{2,3} B{1,}", "A AS A.v < 4, B AS B.v > 0"),
    ("A . . A", "A AS A.v >= 2"),
    ("A B+", "A AS A.v IS NOT NULL, B AS B.v > Last(A.v)"),
    ("A B* C", "A AS A.v < 4, B AS Max(B.v) > First(A.v), C AS C.v < Min(B.v)"),
    (
        "A (A B | B A) C?",
        "A AS Last(A.v) > 0, B AS Max(A.v) + Min(B.v) > 4, C AS DATEDIFF(millisecond, First(A.t), C.t) > 900",
    ),
    ("(A | B)+ C", "A AS A.v < 4, B AS B.v > 0, C AS C.v = Last(A.v) OR C.v = First(B.v)"),
    ("A{,2} B{3}", "A AS A.v <= 3, B AS B.v >= 1 AND B.v >= Last(A.v)"),
];

fn planned(which: usize, partitioned: bool) -> Program {
    let (pattern, define) = PATTERNS[which];
    let partition = if partitioned { "PARTITION BY k" } else { "" };
    // The variables of every pattern: A and some of B and C.
    let measures: String = ["B", "C"]
        .into_iter()
        .filter(|variable| define.contains(&format!("{variable} AS")))
        .map(|variable| format!("First({variable}.v) AS f{variable}, Last({variable}.t) AS l{variable}, "))
        .collect();
    let sql = format!(
        "SELECT *, System.Timestamp() AS at INTO o FROM i TIMESTAMP BY t MATCH_RECOGNIZE (
            LIMIT DURATION(second, 2) {partition}
            MEASURES {measures} First(A.t) AS begun, Max(A.v) - Min(A.v) AS span, Last(A.v) AS a, Classifier() AS names
            AFTER MATCH SKIP TO NEXT ROW PATTERN ({pattern}) DEFINE {define}) AS T"
    );
    let types = [("k", ColumnType::BigInt), ("v", ColumnType::BigInt), ("t", ColumnType::Timestamp)];
    let column = |(name, column_type): (&str, ColumnType)| ColumnDefinition::new(name, column_type);
    let columns = Some(types.map(column).to_vec());
    let input = InputSchema::new("i", columns);
    match plan(QueryDialect::StreamAnalytics, &sql, &[input]) {
        Ok(program) => program,
        Err(errors) => panic!("{sql}: {}", errors[0]),
    }
}

/// The same with what Stream Analytics' language does not say: matches that do not overlap, and repetitions that are as short as
/// they can be.
fn varied(mut program: Program, past_last: bool, reluctant: bool) -> Program {
    for step in &mut program.steps {
        if let Operator::PatternMatch(plan) = &mut step.operator {
            if past_last {
                plan.skip = Skip::PastLastRow;
            }
            if reluctant {
                shorten(&mut plan.pattern);
            }
        }
    }
    program
}

fn shorten(pattern: &mut Pattern) {
    match pattern {
        Pattern::Row(_) => {}
        Pattern::Sequence(parts) | Pattern::Either(parts) => parts.iter_mut().for_each(shorten),
        Pattern::Repeat { pattern, greedy, .. } => {
            *greedy = false;
            shorten(pattern);
        }
    }
}

fn executor(program: &Program) -> Executor {
    let order =
        EventOrder { late_tolerance_ms: OLD_MS, out_of_order_tolerance_ms: 2 * OLD_MS, policy: OrderPolicy::Drop };
    Executor::new(program.clone(), order, &[RecordFormat::Json], &[1])
}

/// The events with their arrivals.
fn arriving(events: &[Event]) -> Vec<(i64, Event)> {
    let mut time = BEGIN;
    let arriving = |event: &Event| {
        time += event.0;
        (time, *event)
    };
    events.iter().map(arriving).collect()
}

fn known(value: u8, null: u8) -> Option<i64> {
    (value != null).then_some(i64::from(value))
}

fn encoded(offset: usize, arrival: i64, events: &[Event]) -> RecordBatch {
    let mut records = EncodedRecords::default();
    for (_, old, key, value) in events {
        let shown = |value: Option<i64>| value.map_or("null".to_owned(), |value| value.to_string());
        let time = millstream_types::time::rfc3339(arrival - old);
        let (key, value) = (shown(known(*key, 0)), shown(known(*value, 5)));
        records.push(b"", b"", format!(r#"{{"k":{key},"v":{value},"t":"{time}"}}"#).as_bytes());
    }
    let (bytes, count) = records.freeze();
    RecordBatch { base_offset: offset as u64, count, append_time: arrival, bytes }
}

/// Rows with their times, and how often each is there.
type Found = BTreeMap<String, u32>;

fn note(batch: &ArrowBatch, found: &mut Found) {
    let times = batch.column(batch.num_columns() - 1);
    for (row, text) in rows(batch).into_iter().enumerate() {
        *found.entry(format!("{text} at {:?}", times.slice(row, 1))).or_default() += 1;
    }
}

fn produced(produced: &Produced, found: &mut Found) {
    assert_eq!(produced.errors, []);
    produced.rows.iter().for_each(|(_, batch)| note(batch, found));
}

/// What comes out when records come in batches that end with their moment or at a cut, with a restart before one of them.
fn run(program: &Program, events: &[Event], cuts: &[usize], restart: usize) -> Found {
    let (mut running, mut found) = (executor(program), Found::new());
    let events = arriving(events);
    let (mut from, mut number) = (0, 0);
    while from < events.len() {
        if number == restart {
            let snapshot = running.snapshot();
            running = executor(program);
            running.restore(&snapshot).unwrap();
            assert_eq!(running.snapshot(), snapshot, "state is the same once read again");
        }
        let arrival = events[from].0;
        let more = events[from + 1..].iter().zip(from + 1..);
        let same = more.take_while(|((at, _), index)| *at == arrival && !cuts.contains(index)).count();
        let batch: Vec<Event> = events[from..=from + same].iter().map(|(_, event)| *event).collect();
        produced(&running.push(0, 0, &encoded(from, arrival, &batch), 0).unwrap(), &mut found);
        if !cuts.contains(&(from + 1)) {
            running.caught_up(0, 0, arrival);
        }
        produced(&running.advance(None).unwrap(), &mut found);
        (from, number) = (from + same + 1, number + 1);
    }
    produced(&running.advance(Some(i64::MAX)).unwrap(), &mut found);
    assert_eq!(running.groups(), 0, "nothing is kept when no row can come any more");
    found
}

fn naive(program: &Program, events: &[Event]) -> Found {
    let source = &program.sources[0];
    let events = arriving(events);
    let column = |name: &str| -> ArrayRef {
        match name {
            "k" => Arc::new(events.iter().map(|(_, event)| known(event.2, 0)).collect::<Int64Array>()),
            "v" => Arc::new(events.iter().map(|(_, event)| known(event.3, 5)).collect::<Int64Array>()),
            _ => {
                let times = events.iter().map(|(arrival, event)| millstream_types::time::rfc3339(arrival - event.1));
                Arc::new(times.map(Some).collect::<StringArray>())
            }
        }
    };
    let columns = source.columns.iter().map(|wanted| cast(&column(&wanted.name), &wanted.data_type).unwrap());
    let arrivals: ArrayRef = Arc::new(TimestampMillisecondArray::from_iter_values(events.iter().map(|(at, _)| *at)));
    let batch = ArrowBatch::try_new(Arc::clone(&source.schema), columns.chain([arrivals]).collect()).unwrap();
    let results = crate::reference::run(program, vec![batch]);
    let mut found = Found::new();
    program.outputs.iter().filter_map(|output| output.step).for_each(|step| note(&results[step], &mut found));
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn matches_do_not_depend_on_batches_or_order_or_restarts(
        events in prop::collection::vec((0i64..700, 0i64..OLD_MS, 0u8..3, 0u8..6), 1..40),
        cuts in prop::collection::vec(0usize..40, 0..20),
        restart in 0usize..40,
        which in 0..PATTERNS.len(),
        partitioned in any::<bool>(),
        past_last in any::<bool>(),
        reluctant in any::<bool>(),
    ) {
        let program = varied(planned(which, partitioned), past_last, reluctant);
        prop_assert_eq!(run(&program, &events, &cuts, restart), naive(&program, &events), "{:?}", PATTERNS[which]);
    }
}

#[test]
fn every_pattern_finds_something() {
    let events: Vec<Event> = (0..80u32).map(|n| (200, 100, 1, (n * n / 7 % 5) as u8)).collect();
    for (which, pattern) in PATTERNS.iter().enumerate() {
        let found = run(&planned(which, true), &events, &[], 30);
        assert!(found.len() > 3, "{pattern:?}: {found:?}");
    }
}

/// Events of one key, all of the value 1 and 10 ms after each other, until the query stops.
fn until_stopped(pattern: &str, define: &str, measure: &str, events: usize) -> Option<ExecuteError> {
    let sql = format!(
        "SELECT * INTO o FROM i MATCH_RECOGNIZE (LIMIT DURATION(day, 1) MEASURES {measure} AS m PATTERN ({pattern})
         DEFINE {define}) AS T"
    );
    let column = ColumnDefinition::new("v", ColumnType::BigInt);
    let input = InputSchema::new("i", Some(vec![column]));
    let program = plan(QueryDialect::StreamAnalytics, &sql, &[input]).unwrap();
    let mut running = Executor::new(program, EventOrder::default(), &[RecordFormat::Json], &[1]);
    (0..events).find_map(|n| {
        let batch = encoded(n, BEGIN + n as i64 * 10, &[(0, 0, 1, (n % 5) as u8)]);
        running.push(0, 0, &batch, 0).and_then(|_| running.advance(None)).err()
    })
}

/// Conditions that read what was matched before may make as many ways as there are subsets of rows: that is bounded, and told.
#[test]
fn the_ways_of_an_attempt_are_bounded() {
    let stopped = until_stopped(
        "(A | B)+ C",
        "A AS A.v >= 0, B AS B.v >= 0, C AS C.v > Last(A.v) + First(B.v) + 100",
        "Max(A.v)",
        60,
    );
    assert!(stopped.is_none(), "some hundred ways are followed: {stopped:?}");
    let stopped = until_stopped(
        "(A | B | C)+ D",
        "A AS A.v >= 0, B AS B.v >= 0, C AS C.v >= 0,
         D AS D.v > 100 + Last(A.v) + First(B.v) + Last(B.v) + First(C.v) + Last(C.v) + First(A.v)",
        "Max(A.v)",
        60,
    );
    let told = stopped.map(|error| error.to_string()).unwrap_or_default();
    assert!(told.starts_with("rows may match a pattern in more than 1000 ways from one row on"), "{told}");
}

/// What a pattern keeps is bounded in bytes.
#[test]
fn what_is_kept_of_matches_is_bounded() {
    let sql = "WITH s AS (SELECT REPLICATE('x', 1048576) AS t, v FROM i)
        SELECT * INTO o FROM s MATCH_RECOGNIZE (LIMIT DURATION(day, 1) MEASURES First(A.t) AS m PATTERN (A+) DEFINE A AS A.v >= 0) AS T";
    let column = ColumnDefinition::new("v", ColumnType::BigInt);
    let input = InputSchema::new("i", Some(vec![column]));
    let program = plan(QueryDialect::StreamAnalytics, sql, &[input]).unwrap();
    let mut running = Executor::new(program, EventOrder::default(), &[RecordFormat::Json], &[1]);
    let stopped = (0..400).find_map(|n| {
        let batch = encoded(n, BEGIN + n as i64 * 10, &[(0, 0, 1, 1)]);
        running.push(0, 0, &batch, 0).and_then(|_| running.advance(None)).err()
    });
    let told = stopped.map(|error| error.to_string()).unwrap_or_default();
    assert!(told.starts_with("more than 256 MiB are kept for a pattern of rows"), "{told}");
}
