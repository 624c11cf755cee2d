//! Joins give the same rows for the same records: however they are cut into batches, in whatever order the two inputs are read,
//! and wherever the state was written and read again. Those rows are the ones of a naive evaluation over all records.

use std::collections::BTreeMap;

use millstream_catalog::{ColumnDefinition, ColumnType, EventOrder, OrderPolicy, QueryDialect, RecordFormat};
use millstream_query::{Executor, InputSchema, Produced, plan};
use millstream_types::{EncodedRecords, RecordBatch};
use proptest::prelude::*;

use crate::conformance::rows;

/// No event is older at its arrival, so none is late and none is out of order.
const OLD_MS: i64 = 5_000;

const BEGIN: i64 = 1_700_000_000_000;

/// Which input (0, 1), how much later than the one before it arrives, how much before its arrival it happened, key (0: NULL), value.
type Event = (usize, i64, i64, u8, i64);

/// Queries over the inputs `a` and `b`.
const JOINS: [(QueryDialect, &str); 6] = [
    (
        QueryDialect::StreamAnalytics,
        "SELECT a.k, a.v AS x, b.v AS y, System.Timestamp() AS t INTO o FROM a TIMESTAMP BY t
         JOIN b TIMESTAMP BY t ON a.k = b.k AND DATEDIFF(second, a, b) BETWEEN -1 AND 2",
    ),
    (
        QueryDialect::StreamAnalytics,
        "SELECT a.k, a.v AS x, b.v AS y, System.Timestamp() AS t INTO o FROM a TIMESTAMP BY t
         LEFT JOIN b TIMESTAMP BY t ON a.k = b.k AND DATEDIFF(second, a, b) BETWEEN 0 AND 2 AND a.v <= b.v",
    ),
    (
        QueryDialect::StreamAnalytics,
        "WITH j AS (SELECT x.k, x.v AS p, y.v AS q, z.v AS r FROM a x TIMESTAMP BY t
            LEFT JOIN a y TIMESTAMP BY t ON x.k = y.k AND DATEDIFF(second, x, y) BETWEEN 1 AND 2
            LEFT JOIN b z TIMESTAMP BY t ON x.k = z.k AND DATEDIFF(millisecond, z, x) BETWEEN 0 AND 700)
         SELECT k, COUNT(*) AS n, SUM(p) AS p, SUM(q) AS q, COUNT(r) AS r, System.Timestamp() AS t INTO o
         FROM j GROUP BY k, TumblingWindow(second, 1)",
    ),
    (
        QueryDialect::StreamAnalytics,
        "SELECT x.k, x.v AS p, y.v AS q, z.v AS r INTO o FROM a x TIMESTAMP BY t
         JOIN b y TIMESTAMP BY t ON x.k = y.k AND DATEDIFF(second, x, y) BETWEEN 0 AND 2
         LEFT JOIN b z TIMESTAMP BY t ON z.k = x.k AND DATEDIFF(second, x, z) BETWEEN 0 AND 3 AND DATEDIFF(second, z, y) < 0",
    ),
    (
        QueryDialect::Kinesis,
        "CREATE STREAM O (K INTEGER, X INTEGER, Y INTEGER, T TIMESTAMP);
         CREATE PUMP P AS INSERT INTO O SELECT STREAM L.\"k\", L.\"v\", R.\"v\", ROWTIME FROM \"a\" OVER W AS L
         LEFT JOIN \"b\" OVER (RANGE INTERVAL '1' SECOND PRECEDING) AS R ON L.\"k\" = R.\"k\"
         WINDOW W AS (RANGE INTERVAL '2' SECOND PRECEDING)",
    ),
    (
        QueryDialect::Kinesis,
        "CREATE STREAM O (K INTEGER, X INTEGER, Y INTEGER, T TIMESTAMP);
         CREATE PUMP P AS INSERT INTO O SELECT STREAM R.\"k\", L.\"v\", R.\"v\", R.ROWTIME FROM \"a\" AS L
         FULL JOIN \"b\" OVER (RANGE INTERVAL '2' SECOND PRECEDING) AS R ON L.\"k\" = R.\"k\" AND L.\"v\" <> R.\"v\"",
    ),
];

fn executor(dialect: QueryDialect, sql: &str) -> Executor {
    let types = [("k", ColumnType::BigInt), ("v", ColumnType::BigInt), ("t", ColumnType::Timestamp)];
    let column = |(name, column_type): (&str, ColumnType)| ColumnDefinition::new(name, column_type);
    let input = |name: &str| InputSchema::new(name, Some(types.map(column).to_vec()));
    let program = plan(dialect, sql, &[input("a"), input("b")]).unwrap();
    let order =
        EventOrder { late_tolerance_ms: OLD_MS, out_of_order_tolerance_ms: 2 * OLD_MS, policy: OrderPolicy::Drop };
    let count = program.sources.len();
    Executor::new(program, order, &vec![RecordFormat::Json; count], &vec![1; count])
}

/// The records of each input in the order of their arrival; those that arrive together share a batch unless it is cut.
fn batches(events: &[Event], cuts: &[usize]) -> [Vec<RecordBatch>; 2] {
    let mut time = BEGIN;
    let mut made: [Vec<(i64, Vec<String>)>; 2] = Default::default();
    for (index, (input, later, old, key, value)) in events.iter().enumerate() {
        time += later;
        let key = if *key == 0 { "null".to_owned() } else { key.to_string() };
        let happened = millstream_types::time::rfc3339(time - old);
        let record = format!(r#"{{"k":{key},"v":{value},"t":"{happened}"}}"#);
        match made[*input].last_mut() {
            Some((at, batch)) if *at == time && !cuts.contains(&index) => batch.push(record),
            _ => made[*input].push((time, vec![record])),
        }
    }
    made.map(|batches| {
        let mut offset = 0;
        let encode = |(append_time, batch): (i64, Vec<String>)| {
            let mut records = EncodedRecords::default();
            batch.iter().for_each(|record| records.push(b"", b"", record.as_bytes()));
            let (bytes, count) = records.freeze();
            offset += u64::from(count);
            RecordBatch { base_offset: offset - u64::from(count), count, append_time, bytes }
        };
        batches.into_iter().map(encode).collect()
    })
}

/// Rows with their times, and how often each is there.
type Found = BTreeMap<String, u32>;

fn note(produced: &Produced, found: &mut Found) {
    assert_eq!(produced.errors, []);
    produced.rows.iter().for_each(|(_, batch)| count(batch, found));
}

fn count(batch: &arrow::array::RecordBatch, found: &mut Found) {
    let times = batch.column(batch.num_columns() - 1);
    for (row, text) in rows(batch).into_iter().enumerate() {
        *found.entry(format!("{text} at {:?}", times.slice(row, 1))).or_default() += 1;
    }
}

/// What comes out when the inputs are read in an order (which of them next), with a restart before one of the batches.
fn run(new: impl Fn() -> Executor, batches: &[Vec<RecordBatch>; 2], order: &[bool], restart: usize) -> Found {
    let (mut executor, mut found) = (new(), Found::new());
    let source = |executor: &Executor, input: usize| {
        let name = ["a", "b"][input];
        executor.program().sources.iter().position(|source| source.name == name)
    };
    let mut next = [0, 0];
    let mut order = order.iter().copied().cycle();
    for step in 0..batches[0].len() + batches[1].len() {
        if step == restart {
            let snapshot = executor.snapshot();
            executor = new();
            executor.restore(&snapshot).unwrap();
            assert_eq!(executor.snapshot(), snapshot, "state is the same once read again");
        }
        let wanted = usize::from(order.next().unwrap_or(false));
        let input = if next[wanted] < batches[wanted].len() { wanted } else { 1 - wanted };
        if let Some(source) = source(&executor, input) {
            note(&executor.push(source, 0, &batches[input][next[input]], 0).unwrap(), &mut found);
            note(&executor.advance(None).unwrap(), &mut found);
        }
        next[input] += 1;
    }
    note(&executor.advance(Some(i64::MAX)).unwrap(), &mut found);
    assert_eq!(executor.groups(), 0, "nothing is kept when no row can match any more");
    found
}

/// The rows of a naive evaluation of the same records.
fn naive(executor: &Executor, batches: &[Vec<RecordBatch>; 2]) -> Found {
    let program = executor.program();
    let source = |source: &millstream_query::plan::SourcePlan| {
        let input = usize::from(source.name == "b");
        sources::batch(source, &batches[input])
    };
    let results = crate::reference::run(program, program.sources.iter().map(source).collect());
    let mut found = Found::new();
    program.outputs.iter().filter_map(|output| output.step).for_each(|step| count(&results[step], &mut found));
    found
}

/// Records as the columns of a source.
mod sources {
    use std::sync::Arc;

    use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
    use arrow::compute::cast;
    use millstream_query::plan::SourcePlan;
    use millstream_types::RecordBatch as Records;
    use serde_json::Value;

    pub fn batch(source: &SourcePlan, batches: &[Records]) -> RecordBatch {
        let (mut values, mut arrivals): (Vec<Value>, Vec<i64>) = (Vec::new(), Vec::new());
        for batch in batches {
            values.extend(batch.records().map(|record| serde_json::from_slice::<Value>(&record.data).unwrap()));
            arrivals.resize(values.len(), batch.append_time);
        }
        let mut columns: Vec<ArrayRef> = Vec::new();
        for column in &source.columns {
            let made: Arc<dyn Array> = match column.name.as_str() {
                "t" => Arc::new(values.iter().map(|value| value["t"].as_str()).collect::<StringArray>()),
                name => Arc::new(values.iter().map(|value| value[name].as_i64()).collect::<Int64Array>()),
            };
            columns.push(cast(&made, &column.data_type).unwrap());
        }
        columns.push(Arc::new(TimestampMillisecondArray::from(arrivals)));
        RecordBatch::try_new(Arc::clone(&source.schema), columns).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn pairs_do_not_depend_on_batches_or_order_or_restarts(
        events in prop::collection::vec((0usize..2, 0i64..900, 0i64..OLD_MS, 0u8..4, 0i64..5), 1..60),
        cuts in prop::collection::vec(0usize..60, 0..20),
        orders in prop::collection::vec(any::<bool>(), 1..40),
        restart in 0usize..60,
        which in 0..JOINS.len(),
    ) {
        let (dialect, sql) = JOINS[which];
        let new = || executor(dialect, sql);
        let batches = batches(&events, &cuts);
        let expected = naive(&new(), &batches);
        prop_assert_eq!(run(new, &batches, &orders, restart), expected, "{}", sql);
    }
}

#[test]
fn every_join_finds_something() {
    let events: Vec<Event> = (0..60).map(|n| (n % 2, 200, 100, (n / 2 % 2) as u8 + 1, (n % 5) as i64)).collect();
    for (dialect, sql) in JOINS {
        let found = run(|| executor(dialect, sql), &batches(&events, &[]), &[false, true], 30);
        assert!(found.len() > 5, "{sql}: {found:?}");
    }
}
