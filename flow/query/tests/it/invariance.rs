//! The same records give the same rows, however they are cut into batches and wherever the state was written and read again;
//! and those rows are the ones of a naive evaluation over all records at once.

use std::collections::BTreeMap;

use arrow::array::AsArray as _;
use arrow::datatypes::{Int64Type, TimestampMillisecondType};
use millstream_catalog::{ColumnDefinition, ColumnType, EventOrder, QueryDialect, RecordFormat};
use millstream_query::{Executor, InputSchema, Produced, plan};
use millstream_types::{EncodedRecords, RecordBatch};
use proptest::prelude::*;

/// A trade: how much later than the one before it arrives, which symbol, how many shares (none: null).
type Trade = (i64, u8, Option<i32>);

/// (window's end, symbol) → sum of shares (null of none) and number of trades.
type Sums = BTreeMap<(i64, String), (Option<i64>, i64)>;

const BEGIN: i64 = 1_700_000_000_000;

fn executor(dialect: QueryDialect, hop_ms: i64, size_ms: i64) -> Executor {
    let sql = match dialect {
        QueryDialect::Kinesis => format!(
            "CREATE STREAM \"O\" (\"symbol\" VARCHAR(8), \"sum\" BIGINT, \"n\" BIGINT);
             CREATE PUMP \"P\" AS INSERT INTO \"O\" SELECT STREAM \"symbol\", SUM(\"shares\"), COUNT(*) FROM \"I\"
             GROUP BY \"symbol\", STEP(\"I\".ROWTIME BY INTERVAL '{}' SECOND);",
            size_ms / 1_000,
        ),
        QueryDialect::StreamAnalytics => format!(
            "SELECT symbol, SUM(shares) AS total, COUNT(*) AS n INTO O FROM I
             GROUP BY symbol, HoppingWindow(second, {}, {})",
            size_ms / 1_000,
            hop_ms / 1_000,
        ),
        QueryDialect::Standard => format!(
            "CREATE TABLE I (symbol STRING, shares BIGINT, at TIMESTAMP_LTZ(3) METADATA FROM 'timestamp', WATERMARK FOR at AS at);
             INSERT INTO O SELECT symbol, SUM(shares) AS total, COUNT(*) AS n
             FROM TABLE(HOP(TABLE I, DESCRIPTOR(at), INTERVAL '{}' SECOND, INTERVAL '{}' SECOND))
             GROUP BY window_start, window_end, symbol",
            hop_ms / 1_000,
            size_ms / 1_000,
        ),
    };
    let column = |name: &str, column_type| ColumnDefinition::new(name, column_type);
    let columns = Some(vec![column("symbol", ColumnType::Text), column("shares", ColumnType::BigInt)]);
    let program = plan(dialect, &sql, &[InputSchema::new("I", columns)]).unwrap();
    Executor::new(program, EventOrder::default(), &[RecordFormat::Json], &[1])
}

/// Batches of the trades: all trades of a batch arrive with its first one.
fn batches(trades: &[Trade], cuts: &[usize]) -> Vec<(i64, Vec<Trade>)> {
    let mut time = BEGIN;
    let mut made: Vec<(i64, Vec<Trade>)> = Vec::new();
    for (index, trade) in trades.iter().enumerate() {
        time += trade.0;
        match made.last_mut() {
            // Only trades of one moment may share a batch: the log stamps batches.
            Some((at, batch)) if *at == time && !cuts.contains(&index) => batch.push(*trade),
            _ => made.push((time, vec![*trade])),
        }
    }
    made
}

fn symbol(trade: &Trade) -> String {
    format!("S{}", trade.1)
}

fn encoded(base_offset: u64, append_time: i64, trades: &[Trade]) -> RecordBatch {
    let mut records = EncodedRecords::default();
    for trade in trades {
        let shares = trade.2.map_or("null".to_owned(), |shares| shares.to_string());
        records.push(b"", b"", format!("{{\"symbol\":\"{}\",\"shares\":{shares}}}", symbol(trade)).as_bytes());
    }
    let (bytes, count) = records.freeze();
    RecordBatch { base_offset, count, append_time, bytes }
}

fn collect(produced: &Produced, sums: &mut Sums) {
    for (_, rows) in &produced.rows {
        let (symbols, totals) = (rows.column(0).as_string::<i32>(), rows.column(1).as_primitive::<Int64Type>());
        let (counts, ends) = (rows.column(2).as_primitive::<Int64Type>(), rows.column(3));
        for row in 0..rows.num_rows() {
            let end = ends.as_primitive::<TimestampMillisecondType>().value(row);
            let total = totals.iter().nth(row).flatten();
            let before = sums.insert((end, symbols.value(row).to_owned()), (total, counts.value(row)));
            assert_eq!(before, None, "a window gives each group once");
        }
    }
}

fn run(new: impl Fn() -> Executor, trades: &[Trade], cuts: &[usize], restart: usize) -> Sums {
    let (mut executor, mut sums, mut offset) = (new(), Sums::new(), 0);
    for (index, (time, batch)) in batches(trades, cuts).into_iter().enumerate() {
        if index == restart {
            let snapshot = executor.snapshot();
            executor = new();
            executor.restore(&snapshot).unwrap();
            assert_eq!(executor.snapshot(), snapshot, "state is the same once read again");
        }
        let produced = executor.push(0, 0, &encoded(offset, time, &batch), 0).unwrap();
        collect(&produced, &mut sums);
        collect(&executor.advance(None).unwrap(), &mut sums);
        offset += batch.len() as u64;
    }
    collect(&executor.advance(Some(i64::MAX)).unwrap(), &mut sums);
    sums
}

/// Every window that holds a trade, one trade at a time.
fn naive(trades: &[Trade], hop: i64, size: i64, open_closed: bool) -> Sums {
    let (mut time, mut sums) = (BEGIN, Sums::new());
    for trade in trades {
        time += trade.0;
        let inside = if open_closed { time - 1 } else { time };
        let mut start = inside.div_euclid(hop) * hop;
        while start + size > inside {
            let (total, count) = sums.entry((start + size, symbol(trade))).or_insert((None, 0));
            if let Some(shares) = trade.2 {
                *total = Some(total.unwrap_or(0) + i64::from(shares));
            }
            *count += 1;
            start -= hop;
        }
    }
    sums
}

/// A data folder's checkpoints are read by later versions: what a tumbling window keeps has the form it always had.
#[test]
fn state_keeps_its_form() {
    let mut executor = executor(QueryDialect::Kinesis, 10_000, 10_000);
    executor.push(0, 0, &encoded(0, BEGIN + 1, &[(0, 7, Some(3)), (0, 7, None)]), 0).unwrap();
    let mut expected = vec![1];
    let numbers = |expected: &mut Vec<u8>, numbers: &[i64]| {
        numbers.iter().for_each(|number| expected.extend(number.to_be_bytes()));
    };
    // One shard: its greatest event time (it has none) and its watermark; the windows' begin; one pane, its start, one key.
    numbers(&mut expected, &[1, i64::MIN, BEGIN + 1, i64::MIN, 1, BEGIN, 1]);
    numbers(&mut expected, &[5]);
    expected.extend(b"\x01S7\0\0");
    // The sum as 128 bits behind their length, and of how many values; then the number of rows.
    numbers(&mut expected, &[16, 0, 3, 1, 2]);
    assert_eq!(executor.snapshot(), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn rows_do_not_depend_on_batches_or_restarts(
        trades in prop::collection::vec((0i64..900, 0u8..4, prop::option::of(any::<i32>())), 1..120),
        cuts in prop::collection::vec(0usize..120, 0..20),
        restart in 0usize..120,
        hop in 1i64..4,
        hops in 1i64..4,
    ) {
        let (hop, size) = (hop * 1_000, hop * hops * 1_000);
        let amazon = run(|| executor(QueryDialect::Kinesis, size, size), &trades, &cuts, restart);
        prop_assert_eq!(amazon, naive(&trades, size, size, false));
        let standard = run(|| executor(QueryDialect::Standard, hop, size), &trades, &cuts, restart);
        prop_assert_eq!(standard, naive(&trades, hop, size, false));
        let azure = run(|| executor(QueryDialect::StreamAnalytics, hop, size), &trades, &cuts, restart);
        prop_assert_eq!(azure, naive(&trades, hop, size, true));
    }
}
