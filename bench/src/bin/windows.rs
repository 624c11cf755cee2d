//! Events a second through the one-minute sum per symbol, from stored JSON records to result rows, on one thread.
//!
//! `windows [EVENTS]`
//! The latencies are of one batch: from stored bytes to the rows that it made, if any. Records are as the stock-trades producer makes them, in batches of 500 as the wire brings them, held in memory as the log
//! holds them. Runs with 10, 10,000 and 1,000,000 keys, with records of one shape and with fields in changing order.

use std::time::Instant;

use millstream_bench::figures::{Usage, histogram, micros, print};
use millstream_catalog::{ColumnDefinition, ColumnType, EventOrder, QueryDialect, RecordFormat};
use millstream_query::{Executor, InputSchema, plan};
use millstream_types::{EncodedRecords, RecordBatch};

const SQL: &str = "CREATE OR REPLACE STREAM \"OUT\" (\"time\" TIMESTAMP, \"symbol\" VARCHAR(16), \"shareChange\" BIGINT);
CREATE OR REPLACE PUMP \"P\" AS INSERT INTO \"OUT\" SELECT STREAM STEP(\"IN\".ROWTIME BY INTERVAL '60' SECOND), \"symbol\",
SUM(\"shares\") FROM \"IN\" GROUP BY \"symbol\", STEP(\"IN\".ROWTIME BY INTERVAL '60' SECOND);";

/// The same of what a filter lets through, computed first: three kernels of Arrow more a batch.
const FILTERED_SQL: &str = "CREATE OR REPLACE STREAM \"OUT\" (\"time\" TIMESTAMP, \"symbol\" VARCHAR(16), \"value\" DOUBLE);
CREATE OR REPLACE PUMP \"P\" AS INSERT INTO \"OUT\" SELECT STREAM STEP(\"IN\".ROWTIME BY INTERVAL '60' SECOND), \"symbol\",
SUM(CAST(\"shares\" AS DOUBLE) * 1.5) FROM \"IN\" WHERE \"shares\" > -400
GROUP BY \"symbol\", STEP(\"IN\".ROWTIME BY INTERVAL '60' SECOND);";

/// Records of one batch, and how far apart batches are: ten batches a minute at most hold every window open for some.
const BATCH: u64 = 500;
const STEP_MS: i64 = 6;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let events: u64 = std::env::args().nth(1).map_or(Ok(5_000_000), |count| count.parse())?;
    for keys in [10, 10_000, 1_000_000] {
        for one_shape in [true, false] {
            run(("sum", SQL), events, keys, one_shape)?;
        }
    }
    run(("filter, cast and sum", FILTERED_SQL), events, 10, true)
}

fn run((name, sql): (&str, &str), events: u64, keys: u64, one_shape: bool) -> Result<(), Box<dyn std::error::Error>> {
    let batches = batches(events, keys, one_shape);
    let bytes: usize = batches.iter().map(|batch| batch.bytes.len()).sum();
    let column = |name: &str, column_type| ColumnDefinition::new(name, column_type);
    let columns = vec![column("symbol", ColumnType::Text), column("shares", ColumnType::BigInt)];
    let inputs = [InputSchema::new("IN", Some(columns))];
    let program = plan(QueryDialect::Kinesis, sql, &inputs).map_err(|errors| errors[0].clone())?;
    let mut executor = Executor::new(program, EventOrder::default(), &[RecordFormat::Json], &[1]);
    let before = Usage::of(std::process::id());
    let (start, mut rows, mut latencies) = (Instant::now(), 0, histogram());
    for batch in &batches {
        let begun = Instant::now();
        let mut produced = executor.push(0, 0, batch, 0)?;
        produced.extend(executor.advance(None)?);
        rows += produced.rows.iter().map(|(_, batch)| batch.num_rows()).sum::<usize>();
        latencies.saturating_record(micros(begun.elapsed()));
    }
    rows += executor.advance(Some(i64::MAX))?.rows.iter().map(|(_, batch)| batch.num_rows()).sum::<usize>();
    let (took, after) = (start.elapsed(), Usage::of(std::process::id()));
    let shape = if one_shape { "one shape" } else { "changing shapes" };
    print(
        &format!("{name}, {keys} keys, {shape}: {rows} rows"),
        events,
        bytes as u64,
        took,
        &latencies,
        Some((before, after)),
    );
    Ok(())
}

fn batches(events: u64, keys: u64, one_shape: bool) -> Vec<RecordBatch> {
    let mut made = Vec::new();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for first in (0..events).step_by(BATCH as usize) {
        let mut records = EncodedRecords::default();
        for number in first..(first + BATCH).min(events) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let (key, shares, price) = (random % keys, (random >> 20) as i64 % 1_000 - 500, (random >> 40) % 50_000);
            let (symbol, price) = (format!("S{key:06}"), format!("{}.{:02}", price / 100, price % 100));
            let user = number % 10;
            let data = if one_shape || number % 2 == 0 {
                format!("{{\"symbol\":\"{symbol}\",\"price\":{price},\"shares\":{shares},\"userId\":{user}}}")
            } else {
                format!("{{\"userId\":{user}, \"shares\":{shares}, \"symbol\":\"{symbol}\"}}")
            };
            records.push(symbol.as_bytes(), b"", data.as_bytes());
        }
        let (bytes, count) = records.freeze();
        let append_time = 1_700_000_000_000 + (first / BATCH) as i64 * STEP_MS;
        made.push(RecordBatch { base_offset: first, count, append_time, bytes });
    }
    made
}
