//! Windows of every kind, and functions that look back, give the rows of a naive evaluation over all records at once, however events are out of order within the
//! tolerance, however records are cut into batches, and wherever the state was written and read again.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch as Rows, StringArray, TimestampMillisecondArray};
use arrow::datatypes::TimestampMillisecondType;
use millstream_catalog::{
    ColumnDefinition, ColumnType, EventOrder, OrderPolicy, QueryDialect, QueryFunction, QueryFunctionKind,
    RecordFormat, ValueType,
};
use millstream_query::plan::{AnalyticCall, AnalyticFunction, Extent, Operator, Program};
use millstream_query::{Executor, InputSchema, Produced, plan_with};
use millstream_types::{EncodedRecords, RecordBatch};
use proptest::prelude::*;

use crate::conformance::rows;
use crate::reference;

const BEGIN: i64 = 1_700_000_000_000;
/// How much older than its arrival an event may be; no event is late or out of order.
const DISORDER_MS: i64 = 2_500;

const SELECT: &str = "SELECT symbol, System.Timestamp() AS at, System.Window().Id AS w, SUM(shares) AS total, COUNT(*) AS n, \
                      MIN(shares) AS low, AVG(shares) AS mean INTO O FROM I TIMESTAMP BY t GROUP BY symbol, ";
const STREAM_ANALYTICS: [&str; 9] = [
    "TumblingWindow(Duration(second, 2), Offset(millisecond, 300))",
    "HoppingWindow(second, 3, 2)",
    "HoppingWindow(millisecond, 900, 100)",
    "SlidingWindow(second, 2)",
    "Sliding(Duration(millisecond, 250))",
    "SessionWindow(millisecond, 700, 2000) OVER (PARTITION BY symbol)",
    "SessionWindow(Timeout(second, 1), MaxDuration(millisecond, 400)) OVER (PARTITION BY symbol)",
    "Session(millisecond, 300, 1000)",
    "Windows(Window('hops', HoppingWindow(second, 2, 1)), Window('slides', Sliding(second, 1)), Window('s', Session(second, 1, 3)))",
];
const KINESIS: [&str; 12] = [
    "SELECT STREAM \"symbol\", I.ROWTIME, SUM(\"shares\"), COUNT(*) FROM I
     WINDOWED BY STAGGER (PARTITION BY \"symbol\" RANGE INTERVAL '2' SECOND)",
    "SELECT STREAM \"symbol\", I.ROWTIME, SUM(\"shares\") OVER W, MAX(\"shares\") OVER W - MIN(\"shares\") OVER W FROM I
     WINDOW W AS (RANGE INTERVAL '1' SECOND PRECEDING)",
    "SELECT STREAM UPPER(\"symbol\"), ROWTIME, \"shares\" + 1, AVG(\"shares\") OVER W FROM I WHERE \"shares\" <> 7
     WINDOW W AS (PARTITION BY \"symbol\" RANGE BETWEEN INTERVAL '1.5' SECOND PRECEDING AND CURRENT ROW)",
    "SELECT STREAM \"symbol\", ROWTIME, SUM(\"shares\") OVER (PARTITION BY \"symbol\" ROWS 3 PRECEDING), 1 FROM I",
    "SELECT STREAM \"symbol\", ROWTIME, LAG(\"shares\", 2, 5) IGNORE NULLS OVER (PARTITION BY \"symbol\" RANGE INTERVAL '1' SECOND PRECEDING),
     FIRST_VALUE(\"shares\") OVER W + NTH_VALUE(\"shares\", 2) FROM LAST OVER W FROM I WHERE \"shares\" <> 7 OR \"shares\" IS NULL
     WINDOW W AS (RANGE INTERVAL '0.8' SECOND PRECEDING)",
    "SELECT STREAM \"symbol\", ROWTIME, NTH_VALUE(\"shares\", 2) IGNORE NULLS OVER (ROWS 4 PRECEDING),
     LAST_VALUE(\"shares\") IGNORE NULLS OVER (PARTITION BY \"symbol\" ROWS 2 PRECEDING) + LAG(\"shares\", 3, 0) OVER (ROWS 2 PRECEDING)
     FROM I",
    "SELECT STREAM \"symbol\", ROWTIME, \"shares\", 1 FROM I ORDER BY STEP(I.ROWTIME BY INTERVAL '2' SECOND), \"shares\" DESC, \"symbol\"",
    "SELECT STREAM DISTINCT \"symbol\", STEP(I.ROWTIME BY INTERVAL '1' SECOND), \"shares\" / 3, 1 FROM I",
    "SELECT STREAM DISTINCT \"symbol\", ROWTIME, \"shares\", 1 FROM I ORDER BY ROWTIME, \"shares\", \"symbol\"",
    "SELECT STREAM \"symbol\", STEP(q.ROWTIME BY INTERVAL '1' SECOND), COUNT(*), SUM(\"shares\") FROM
     (SELECT STREAM DISTINCT \"symbol\", \"shares\", FLOOR(I.ROWTIME TO SECOND) AS s FROM I) AS q
     GROUP BY \"symbol\", STEP(q.ROWTIME BY INTERVAL '1' SECOND) ORDER BY STEP(q.ROWTIME BY INTERVAL '1' SECOND), COUNT(*) DESC",
    "SELECT STREAM \"symbol\", ROWTIME, \"shares\", \"rank\" FROM TABLE(GROUP_RANK(CURSOR(
     SELECT STREAM \"symbol\", \"shares\" FROM I), 'shares', 'rank', 'desc', 'none', 0, 3))",
    "SELECT STREAM \"symbol\", ROWTIME, \"shares\", 1 FROM I UNION ALL SELECT STREAM \"symbol\", ROWTIME, \"shares\" + 1, 2 FROM I
     ORDER BY ROWTIME, \"shares\" DESC, \"symbol\"",
];

const LISTING: [&str; 4] = [
    "SELECT symbol, Collect(shares) AS a, Collect() AS b, CollectTop(3) OVER (ORDER BY shares DESC, t ASC) AS c,
     Percentile_Disc(0.3) OVER (ORDER BY shares) AS d INTO O FROM I TIMESTAMP BY t GROUP BY symbol, TumblingWindow(second, 1)",
    "SELECT symbol, TopOne() OVER (ORDER BY t DESC, shares ASC) AS a, CollectTop(2) OVER (ORDER BY shares ASC) AS b INTO O
     FROM I TIMESTAMP BY t GROUP BY symbol, SlidingWindow(second, 1)",
    "SELECT symbol, Percentile_Cont(0.7) OVER (ORDER BY shares DESC) AS a, TopOne() OVER (ORDER BY shares DESC) AS b INTO O
     FROM I TIMESTAMP BY t GROUP BY symbol, SessionWindow(millisecond, 500, 2000) OVER (PARTITION BY symbol)",
    "SELECT symbol, CollectTop(20) OVER (ORDER BY t ASC, shares DESC) AS a, Percentile_Disc(0.4) OVER (ORDER BY shares) AS b,
     COUNT(DISTINCT shares) AS c, AVG(DISTINCT shares) AS d, GetArrayLength(Collect(shares)) AS e INTO O
     FROM I TIMESTAMP BY t GROUP BY symbol, SlidingWindow(second, 1)",
];
const SCRIPTED: [&str; 4] = [
    "TumblingWindow(second, 2)",
    "HoppingWindow(second, 2, 1)",
    "SlidingWindow(second, 1)",
    "SessionWindow(millisecond, 500, 2000) OVER (PARTITION BY symbol)",
];
/// A sum that is spoiled by values that do not come in the order of their times.
const SUM: &str = "function main() {
    this.init = () => { this.sum = 0; this.last = -Infinity; };
    this.accumulate = (value, time) => { this.sum += time >= this.last ? value ?? 0 : 1e9; this.last = time; };
    this.computeResult = () => this.sum;
}";
const LOOKING_BACK: [&str; 5] = [
    "SELECT symbol, shares, System.Timestamp() AS at, LAG(shares) OVER (PARTITION BY symbol LIMIT DURATION(second, 1)) AS a,
     LAG(symbol, 3, 'none') OVER (LIMIT DURATION(millisecond, 900)) AS b, ISFIRST(millisecond, 700) AS c,
     ISFIRST(second, 1) OVER (PARTITION BY symbol WHEN shares > 0) AS d,
     LAST(System.Timestamp()) OVER (LIMIT DURATION(second, 2) WHEN shares < 0) AS e INTO O FROM I TIMESTAMP BY t",
    "SELECT symbol, SUM(shares) OVER (PARTITION BY symbol LIMIT DURATION(second, 1) WHEN shares > -500) AS a,
     MIN(shares) OVER (LIMIT DURATION(millisecond, 600)) AS b, COUNT(*) OVER (LIMIT DURATION(second, 3)) AS c INTO O
     FROM I TIMESTAMP BY t WHERE LAG(shares) OVER (LIMIT DURATION(second, 3)) <> 0",
    "WITH a AS (SELECT symbol, shares - LAG(shares, 1, shares) OVER (PARTITION BY symbol LIMIT DURATION(second, 2)) AS shares
     FROM I TIMESTAMP BY t) SELECT shares, LAG(shares, 2) OVER (LIMIT DURATION(second, 1)) AS b INTO O FROM a",
    "SELECT symbol, SUM(LAST(shares) OVER (LIMIT DURATION(second, 1) WHEN shares > 0)) AS total, COUNT(*) AS n INTO O
     FROM I TIMESTAMP BY t GROUP BY symbol, ISFIRST(second, 1), SlidingWindow(second, 1)",
    "SELECT symbol, COUNT(DISTINCT shares) OVER (PARTITION BY symbol LIMIT DURATION(second, 1)) AS a,
     CollectTop(3, shares) OVER (PARTITION BY symbol ORDER BY shares DESC, t ASC LIMIT DURATION(second, 2) WHEN shares > 0) AS b,
     Percentile_Cont(0.5) OVER (ORDER BY shares LIMIT DURATION(second, 1)) AS c,
     Collect(shares) OVER (LIMIT DURATION(millisecond, 600)) AS d INTO O FROM I TIMESTAMP BY t",
];

/// A trade: how much later than the one before it arrives, how much older it is, which symbol, how many shares (none: null).
type Trade = (i64, i64, u8, Option<i32>);

fn program(dialect: QueryDialect, sql: &str) -> Program {
    let column = |name: &str, column_type| ColumnDefinition::new(name, column_type);
    let columns = vec![
        column("symbol", ColumnType::Text),
        column("shares", ColumnType::BigInt),
        column("t", ColumnType::Timestamp),
    ];
    let input = InputSchema::new("I", Some(columns));
    let sum = QueryFunction {
        name: "sum".into(),
        kind: QueryFunctionKind::Aggregate,
        script: SUM.into(),
        arguments: Vec::new(),
        result: ValueType::Any,
    };
    plan_with(dialect, sql, &[input], &[sum]).unwrap()
}

fn executor(program: &Program) -> Executor {
    let order = EventOrder {
        late_tolerance_ms: DISORDER_MS,
        out_of_order_tolerance_ms: DISORDER_MS,
        policy: OrderPolicy::Drop,
    };
    Executor::new(program.clone(), order, &[RecordFormat::Json], &[1])
}

/// By trade when it arrives and when it happened.
fn times(trades: &[Trade]) -> Vec<(i64, i64)> {
    let mut arrival = BEGIN;
    let time = |trade: &Trade| {
        arrival += trade.0;
        (arrival, arrival - trade.1)
    };
    trades.iter().map(time).collect()
}

/// What a naive evaluation of all trades gives.
fn expected(program: &Program, trades: &[Trade]) -> Vec<String> {
    let times = times(trades);
    let column = |name: &str| -> ArrayRef {
        match name {
            "symbol" => Arc::new(trades.iter().map(|trade| Some(format!("S{}", trade.2))).collect::<StringArray>()),
            "shares" => Arc::new(trades.iter().map(|trade| trade.3.map(i64::from)).collect::<Int64Array>()),
            "t" => Arc::new(TimestampMillisecondArray::from_iter_values(times.iter().map(|time| time.1))),
            _ => Arc::new(TimestampMillisecondArray::from_iter_values(times.iter().map(|time| time.0))),
        }
    };
    let schema = &program.sources[0].schema;
    let columns = schema.fields().iter().map(|field| column(field.name())).collect();
    let source = Rows::try_new(Arc::clone(schema), columns).unwrap();
    let step = program.outputs[0].step.unwrap();
    sorted(rows(&reference::run(program, vec![source])[step]))
}

/// What the engine gives, trades of one arrival in one batch or each in its own. Where a query has one window its rows come in the
/// order of their times.
fn found(program: &Program, trades: &[Trade], together: bool, restart: usize) -> Vec<String> {
    let (mut executor, mut made, times) = (executor(program), Vec::new(), times(trades));
    let mut next = 0;
    while next < trades.len() {
        let count = times[next..].iter().take_while(|time| together && time.0 == times[next].0).count().max(1);
        let mut records = EncodedRecords::default();
        for (trade, time) in trades.iter().zip(&times).skip(next).take(count) {
            let shares = trade.3.map_or("null".to_owned(), |shares| shares.to_string());
            let at = millstream_types::time::rfc3339(time.1);
            records.push(b"", b"", format!(r#"{{"symbol":"S{}","shares":{shares},"t":"{at}"}}"#, trade.2).as_bytes());
        }
        let (bytes, count) = records.freeze();
        let batch = RecordBatch { base_offset: next as u64, count, append_time: times[next].0, bytes };
        if (next..next + count as usize).contains(&restart) {
            executor = again(program, &executor);
        }
        made.extend([executor.push(0, 0, &batch, 0).unwrap(), executor.advance(None).unwrap()]);
        next += count as usize;
    }
    made.push(executor.advance(Some(i64::MAX)).unwrap());
    if !program.steps.iter().any(|step| keeps_rows(&step.operator)) {
        assert_eq!(executor.groups(), 0, "nothing is kept of windows that are over");
    }
    all_rows(&made, program.steps.len() == 1)
}

/// Another executor with the state of one.
fn again(program: &Program, executor: &Executor) -> Executor {
    let snapshot = executor.snapshot();
    let mut another = self::executor(program);
    another.restore(&snapshot).unwrap();
    assert_eq!(another.snapshot(), snapshot, "state is the same once read again");
    another
}

/// Whether an operator keeps rows for ever.
fn keeps_rows(operator: &Operator) -> bool {
    let by_rows = |call: &AnalyticCall| match &call.function {
        AnalyticFunction::Value { extent, .. }
        | AnalyticFunction::Aggregate { extent, .. }
        | AnalyticFunction::Anomaly { extent, .. } => {
            matches!(extent, Extent::Rows(_))
        }
        AnalyticFunction::IsFirst { .. } => false,
    };
    matches!(operator, Operator::Analytic(analytic) if analytic.calls.iter().any(by_rows))
}

fn all_rows(made: &[Produced], ordered: bool) -> Vec<String> {
    let (mut found, mut last) = (Vec::new(), i64::MIN);
    for produced in made {
        assert_eq!(produced.errors, []);
        for (_, batch) in &produced.rows {
            let ends = batch.column(batch.num_columns() - 1).as_primitive::<TimestampMillisecondType>();
            assert!(!ordered || ends.values().iter().all(|end| std::mem::replace(&mut last, *end) <= *end));
            found.extend(rows(batch));
        }
    }
    sorted(found)
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn windows_of_all_kinds_hold_what_their_definitions_say(
        trades in prop::collection::vec(
            (0i64..700, 0..DISORDER_MS, 0u8..3, prop::option::of(-1_000i32..1_000)), 1..60,
        ),
        together in any::<bool>(),
        restart in 0usize..60,
    ) {
        let azure = STREAM_ANALYTICS.iter().map(|window| (QueryDialect::StreamAnalytics, format!("{SELECT}{window}")));
        let back = LOOKING_BACK.iter().chain(&LISTING).map(|sql| (QueryDialect::StreamAnalytics, (*sql).to_owned()));
        let stream = "CREATE STREAM O (S VARCHAR(8), T TIMESTAMP, A BIGINT, B BIGINT); CREATE PUMP P AS INSERT INTO O ";
        let amazon = KINESIS.iter().map(|select| (QueryDialect::Kinesis, format!("{stream}{select};")));
        let scripted = SCRIPTED.iter().map(|window| {
            let sql = format!("SELECT symbol, UDA.sum(shares) AS a, COUNT(*) AS n INTO O FROM I TIMESTAMP BY t GROUP BY symbol, {window}");
            (QueryDialect::StreamAnalytics, sql)
        });
        for (dialect, sql) in azure.chain(back).chain(scripted).chain(amazon) {
            let program = program(dialect, &sql);
            prop_assert_eq!(found(&program, &trades, together, restart), expected(&program, &trades), "{}", sql);
        }
    }
}
