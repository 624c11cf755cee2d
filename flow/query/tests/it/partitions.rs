//! Timelines of their own give what each key alone gives; and what is refused of partitions.

use std::collections::BTreeMap;

use millstream_catalog::{ColumnDefinition, ColumnType, EventOrder, OrderPolicy, QueryDialect, RecordFormat};
use millstream_query::{Executor, InputSchema, OrderCounts, Produced, plan};
use millstream_types::{EncodedRecords, RecordBatch};
use proptest::prelude::*;

use crate::conformance::rows;
use crate::mistakes::mistakes;

const BEGIN: i64 = 1_700_000_000_000;

/// How much later than the one before it arrives, how far its time is from its arrival, its key.
type Event = (i64, i64, u8);

const QUERIES: [&str; 3] = [
    "SELECT k, COUNT(*) AS n, System.Timestamp() AS at INTO o FROM i TIMESTAMP BY t OVER k GROUP BY k, TumblingWindow(second, 2)",
    "SELECT k, v, System.Timestamp() AS at, LAG(v) OVER (LIMIT DURATION(second, 3)) AS b INTO o FROM i TIMESTAMP BY t OVER k",
    "SELECT * INTO o FROM i TIMESTAMP BY t OVER k MATCH_RECOGNIZE (LIMIT DURATION(second, 3)
     MEASURES First(A.k) AS k, First(A.v) AS f, Last(B.v) AS l PATTERN (A B+) DEFINE A AS A.v % 3 = 0, B AS B.v % 3 <> 0) AS T",
];

fn executor(sql: &str, order: &EventOrder) -> Executor {
    let types = [("k", ColumnType::BigInt), ("v", ColumnType::BigInt), ("t", ColumnType::Timestamp)];
    let column = |(name, column_type): (&str, ColumnType)| ColumnDefinition::new(name, column_type);
    let columns = Some(types.map(column).to_vec());
    let input = InputSchema::new("i", columns);
    let program = plan(QueryDialect::StreamAnalytics, sql, &[input]).unwrap();
    Executor::new(program, *order, &[RecordFormat::Json], &[1])
}

type Found = BTreeMap<String, u32>;

fn note(produced: &Produced, found: &mut Found) {
    for (_, batch) in &produced.rows {
        for row in rows(batch) {
            *found.entry(row).or_default() += 1;
        }
    }
}

/// What the events of some keys give, and what became of them, with a restart before one of them.
fn run(
    sql: &str,
    order: &EventOrder,
    events: &[Event],
    wanted: impl Fn(u8) -> bool,
    restart: usize,
) -> (Found, OrderCounts) {
    let (mut running, mut found, mut arrival) = (executor(sql, order), Found::new(), BEGIN);
    let mut counts = OrderCounts::default();
    let add = |counts: &mut OrderCounts, more: OrderCounts| {
        counts.early += more.early;
        counts.late += more.late;
        counts.out_of_order += more.out_of_order;
    };
    for (number, (later, ahead, key)) in events.iter().enumerate() {
        arrival += later;
        if number == restart {
            let snapshot = running.snapshot();
            add(&mut counts, running.counts().order);
            running = executor(sql, order);
            running.restore(&snapshot).unwrap();
            assert_eq!(running.snapshot(), snapshot, "state is the same once read again");
        }
        if !wanted(*key) {
            continue;
        }
        let time = millstream_types::time::rfc3339(arrival + ahead);
        let mut records = EncodedRecords::default();
        records.push(b"", b"", format!(r#"{{"k":{key},"v":{number},"t":"{time}"}}"#).as_bytes());
        let (bytes, count) = records.freeze();
        let batch = RecordBatch { base_offset: number as u64, count, append_time: arrival, bytes };
        note(&running.push(0, 0, &batch, 0).unwrap(), &mut found);
        note(&running.advance(None).unwrap(), &mut found);
    }
    note(&running.advance(Some(i64::MAX)).unwrap(), &mut found);
    add(&mut counts, running.counts().order);
    (found, counts)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A key's timeline hangs on no other's: all keys together give what each of them gives alone, as if it were the only one.
    #[test]
    fn timelines_do_not_depend_on_each_other(
        events in prop::collection::vec((0i64..900, -9_000i64..2_000, 0u8..3), 1..50),
        restart in 0usize..50,
        which in 0..QUERIES.len(),
        adjust in any::<bool>(),
    ) {
        let policy = if adjust { OrderPolicy::Adjust } else { OrderPolicy::Drop };
        let order = EventOrder { late_tolerance_ms: 8_000, out_of_order_tolerance_ms: 1_000, policy };
        let (together, counts) = run(QUERIES[which], &order, &events, |_| true, restart);
        let alone = QUERIES[which].replace("TIMESTAMP BY t OVER k", "TIMESTAMP BY t");
        let (mut found, mut touched) = (Found::new(), OrderCounts::default());
        for key in 0..3 {
            let (of_key, order) = run(&alone, &order, &events, |wanted| wanted == key, usize::MAX);
            of_key.into_iter().for_each(|(row, count)| *found.entry(row).or_default() += count);
            touched.early += order.early;
            touched.late += order.late;
            touched.out_of_order += order.out_of_order;
        }
        prop_assert_eq!(together, found);
        prop_assert_eq!(counts, touched);
    }
}

/// Without `OVER` events of one key are out of order behind those of another.
#[test]
fn one_timeline_takes_what_is_behind_for_out_of_order() {
    let order = EventOrder { late_tolerance_ms: 60_000, out_of_order_tolerance_ms: 0, policy: OrderPolicy::Drop };
    let events = [(0, 0, 1), (100, -20_000, 2), (100, -20_000, 2), (100, 0, 1)];
    let (_, apart) = run(QUERIES[0], &order, &events, |_| true, usize::MAX);
    let (_, together) = run(&QUERIES[0].replace(" OVER k", ""), &order, &events, |_| true, usize::MAX);
    assert_eq!((apart.out_of_order, together.out_of_order), (0, 2));
}

#[test]
fn mistakes_are_told() {
    for (sql, expected) in [
        (
            "SELECT COUNT(*) AS n FROM trades PARTITION BY symbol GROUP BY TumblingWindow(minute, 1)",
            "error[Q110]: rows are computed apart by `symbol`, which GROUP BY does not name\n  at 1:63\n  try: GROUP BY symbol, …",
        ),
        (
            "SELECT COUNT(*) AS n FROM trades TIMESTAMP BY time OVER symbol GROUP BY shares, TumblingWindow(minute, 1)",
            "error[Q110]: rows are computed apart by `symbol`, which GROUP BY does not name\n  at 1:73\n  try: GROUP BY symbol, …",
        ),
        (
            "SELECT a.price FROM trades a PARTITION BY symbol JOIN trades b ON a.symbol = b.symbol AND DATEDIFF(second, a, b) = 0",
            "error[Q101]: rows of `a` are computed apart by `symbol` and those of `b` by nothing; ON has to compare these one by one\n  \
             at 1:50\n  try: … ON a.PartitionId = b.PartitionId AND DATEDIFF(…)",
        ),
        (
            "SELECT a.price FROM trades a PARTITION BY symbol JOIN trades b PARTITION BY symbol ON a.shares = b.shares \
             AND DATEDIFF(second, a, b) = 0",
            "error[Q101]: rows of `a` are computed apart by `symbol` and those of `b` by `symbol`; ON has to compare these one by one\n  \
             at 1:50\n  try: … ON a.PartitionId = b.PartitionId AND DATEDIFF(…)",
        ),
        (
            "SELECT price FROM trades PARTITION BY symbl",
            "error[Q104]: `trades` has no column `symbl`\n  at 1:39\n  try: symbol",
        ),
        (
            "SELECT price FROM trades PARTITION BY symbol INTO 1",
            "error[Q101]: INTO behind PARTITION BY takes a whole number of parts, 2 or more\n  at 1:46\n  try: PARTITION BY key INTO 10",
        ),
        (
            "SELECT price INTO o PARTITION BY symbol FROM trades",
            "error[Q101]: PARTITION BY does not stand behind INTO, which names an output\n  at 1:21\n  \
             try: the output's own partition key, and SELECT … FROM source PARTITION BY key INTO 10",
        ),
        (
            "SELECT price INTO o FROM trades TIMESTAMP BY time OVER symbol; SELECT price INTO p FROM trades TIMESTAMP BY time",
            "error[Q116]: `trades` is read by two different times\n  at 1:109\n  \
             try: the same TIMESTAMP BY behind each FROM of this input, or none",
        ),
    ] {
        assert_eq!(mistakes(QueryDialect::StreamAnalytics, sql), [expected], "{sql}");
    }
}

#[test]
fn all_inputs_have_timelines_of_their_own_or_none() {
    let input = |name: &str, reference| {
        let column = |name: &str, column_type| ColumnDefinition::new(name, column_type);
        let columns = Some(vec![column("k", ColumnType::BigInt), column("t", ColumnType::Timestamp)]);
        InputSchema { name: name.into(), columns, hub: false, reference }
    };
    let told = |sql: &str| {
        let errors =
            plan(QueryDialect::StreamAnalytics, sql, &[input("a", false), input("b", false), input("r", true)]);
        errors.unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        told("SELECT k INTO o FROM a TIMESTAMP BY t OVER k; SELECT k INTO p FROM b TIMESTAMP BY t"),
        ["error[Q116]: `a` has timelines of its own (OVER), and `b` has not\n  at 1:68\n  \
             try: TIMESTAMP BY … OVER … behind all inputs, or behind none"]
    );
    assert_eq!(
        told("SELECT a.k FROM a TIMESTAMP BY t OVER k JOIN r ON a.k = r.k"),
        [
            "error[Q107]: not supported: reference data beside timelines of their own (OVER behind TIMESTAMP BY): `k`\n  at 1:46"
        ]
    );
}
