//! Events a second through continuous queries, from stored JSON records to result rows, on one thread.
//!
//! `windows [EVENTS]`
//! Records are as the stock-trades producer makes them, in batches of 500 as the wire brings them, held in memory as the log
//! holds them. The latencies are of one batch: from stored bytes to the rows that it made, if any.

use std::time::{Duration, Instant};

use millstream_bench::figures::{Usage, histogram, micros, print};
use millstream_catalog::{ColumnDefinition, ColumnType, EventOrder, QueryDialect, RecordFormat};
use millstream_query::{Executor, InputSchema, plan};
use millstream_types::time::rfc3339;
use millstream_types::{EncodedRecords, RecordBatch};

/// Records of one batch, and how far apart batches are: a minute is ten thousand of them.
const BATCH: u64 = 500;
const STEP_MS: i64 = 6;

/// How often state is made bytes where checkpoints are on: as often as a query at work keeps it.
const KEEP: Duration = Duration::from_secs(1);

/// What is measured.
struct Case {
    name: &'static str,
    /// Over the inputs `a` and `b`, which get batches in turns, or over `a` alone.
    sql: &'static str,
    keys: u64,
    /// Whether all records have the same fields in the same order.
    one_shape: bool,
    /// Whether rows are decoded before the clock starts.
    from_columns: bool,
    checkpoints: bool,
    /// Whether records say when they happened, in the common form of ISO 8601.
    timed: bool,
    /// Such a part of the events is enough.
    part: u64,
}

/// The sum of a minute from JSON: what most cases differ from in one thing.
const SUM: Case = Case {
    name: "sum",
    sql: "SELECT symbol, SUM(shares) AS s INTO o FROM a GROUP BY symbol, TumblingWindow(minute, 1)",
    keys: 10,
    one_shape: true,
    from_columns: false,
    checkpoints: false,
    timed: false,
    part: 1,
};

const HOPPING: Case = Case {
    name: "hopping, 10 s every second",
    sql: "SELECT symbol, SUM(shares) AS s INTO o FROM a GROUP BY symbol, HoppingWindow(second, 10, 1)",
    keys: 10_000,
    ..SUM
};

const SLIDING: Case = Case {
    name: "sliding, 10 s",
    sql: "SELECT symbol, SUM(shares) AS s INTO o FROM a GROUP BY symbol, SlidingWindow(second, 10)",
    part: 4,
    ..SUM
};

const SESSION: Case = Case {
    name: "session, 1 s of quiet, a minute at most",
    sql: "SELECT symbol, SUM(shares) AS s INTO o FROM a GROUP BY symbol, SessionWindow(second, 1, 60)",
    keys: 10_000,
    part: 4,
    ..SUM
};

const JOIN: Case = Case {
    name: "join by key, 1 s",
    sql: "SELECT a.symbol, b.shares INTO o FROM a JOIN b ON a.symbol = b.symbol AND DATEDIFF(second, a, b) BETWEEN 0 AND 1",
    keys: 100_000,
    part: 4,
    ..SUM
};

const CASES: [Case; 22] = [
    SUM,
    Case { one_shape: false, ..SUM },
    Case { keys: 10_000, ..SUM },
    Case { keys: 10_000, one_shape: false, ..SUM },
    Case { keys: 1_000_000, ..SUM },
    Case { keys: 1_000_000, one_shape: false, ..SUM },
    Case {
        name: "filter, cast and sum",
        sql: "SELECT symbol, SUM(CAST(shares AS float) * 1.5) AS s INTO o FROM a WHERE shares > -400
            GROUP BY symbol, TumblingWindow(minute, 1)",
        ..SUM
    },
    Case {
        name: "sum by the records' own time",
        sql: "SELECT symbol, SUM(shares) AS s INTO o FROM a TIMESTAMP BY time GROUP BY symbol, TumblingWindow(minute, 1)",
        timed: true,
        ..SUM
    },
    Case { name: "sum, checkpoints", checkpoints: true, ..SUM },
    Case { name: "sum, checkpoints", keys: 10_000, checkpoints: true, ..SUM },
    Case { name: "sum, checkpoints", keys: 1_000_000, checkpoints: true, ..SUM },
    Case { name: "sum, checkpoints", from_columns: true, checkpoints: true, ..SUM },
    Case { name: "sum, checkpoints", keys: 10_000, from_columns: true, checkpoints: true, ..SUM },
    Case {
        name: "count, sum, least, greatest and mean",
        sql: "SELECT symbol, COUNT(*) AS n, SUM(shares) AS s, MIN(price) AS low, MAX(price) AS high, AVG(price) AS mean
            INTO o FROM a GROUP BY symbol, TumblingWindow(minute, 1)",
        ..SUM
    },
    HOPPING,
    SLIDING,
    SESSION,
    JOIN,
    Case { from_columns: true, ..HOPPING },
    Case { from_columns: true, ..SLIDING },
    Case { from_columns: true, ..SESSION },
    Case { from_columns: true, ..JOIN },
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let events: u64 = std::env::args().nth(1).map_or(Ok(5_000_000), |count| count.parse())?;
    let wanted = std::env::args().nth(2).unwrap_or_default();
    CASES.iter().filter(|case| case.name.contains(&wanted)).try_for_each(|case| run(case, events / case.part))
}

fn run(case: &Case, events: u64) -> Result<(), Box<dyn std::error::Error>> {
    let batches = batches(events, case);
    let bytes: usize = batches.iter().map(|batch| batch.bytes.len()).sum();
    let mut executor = executor(case)?;
    let inputs = executor.program().sources.len();
    let (mut decoded, mut latencies, mut kept) = (Vec::new(), histogram(), 0);
    if case.from_columns {
        let batches = batches.iter().enumerate();
        decoded.extend(
            batches
                .map(|(number, batch)| executor.decode(number % inputs, 0, batch, 0))
                .collect::<Result<Vec<_>, _>>()?,
        );
    }
    let mut decoded = decoded.into_iter();
    let before = Usage::of(std::process::id());
    let (start, mut rows, mut snapshot) = (Instant::now(), 0, Instant::now());
    for (number, batch) in batches.iter().enumerate() {
        let begun = Instant::now();
        let mut produced = match decoded.next() {
            Some(decoded) => executor.push_decoded(number % inputs, 0, decoded)?,
            None => executor.push(number % inputs, 0, batch, 0)?,
        };
        produced.extend(executor.advance(None)?);
        rows += produced.rows.iter().map(|(_, batch)| batch.num_rows()).sum::<usize>();
        latencies.saturating_record(micros(begun.elapsed()));
        if case.checkpoints && snapshot.elapsed() >= KEEP {
            kept += executor.snapshot().len();
            snapshot = Instant::now();
        }
    }
    rows += executor.advance(Some(i64::MAX))?.rows.iter().map(|(_, batch)| batch.num_rows()).sum::<usize>();
    let (took, after) = (start.elapsed(), Usage::of(std::process::id()));
    let shape = match (case.from_columns, case.one_shape) {
        (true, _) => ", from columns",
        (false, true) => "",
        (false, false) => ", changing shapes",
    };
    let checkpoints = if case.checkpoints { format!(", {} KiB kept", kept / 1024) } else { String::new() };
    let name = format!("{}, {} keys{shape}{checkpoints}: {rows} rows", case.name, case.keys);
    print(&name, events, bytes as u64, took, &latencies, Some((before, after)));
    Ok(())
}

fn executor(case: &Case) -> Result<Executor, Box<dyn std::error::Error>> {
    let columns = [
        ("symbol", ColumnType::Text),
        ("shares", ColumnType::BigInt),
        ("price", ColumnType::Double),
        ("time", ColumnType::Timestamp),
    ];
    let columns: Vec<_> = columns.into_iter().map(|(name, kind)| ColumnDefinition::new(name, kind)).collect();
    let inputs = ["a", "b"].map(|name| InputSchema::new(name, Some(columns.clone())));
    let program = plan(QueryDialect::StreamAnalytics, case.sql, &inputs).map_err(|errors| errors[0].clone())?;
    let formats = vec![RecordFormat::Json; program.sources.len()];
    let shards = vec![1; program.sources.len()];
    Ok(Executor::new(program, EventOrder::default(), &formats, &shards))
}

fn batches(events: u64, case: &Case) -> Vec<RecordBatch> {
    let mut made = Vec::new();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for first in (0..events).step_by(BATCH as usize) {
        let mut records = EncodedRecords::default();
        let append_time = 1_700_000_000_000 + (first / BATCH) as i64 * STEP_MS;
        let time = if case.timed { format!(",\"time\":\"{}\"", rfc3339(append_time)) } else { String::new() };
        for number in first..(first + BATCH).min(events) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let (key, shares, price) =
                (random % case.keys, (random >> 20) as i64 % 1_000 - 500, (random >> 40) % 50_000);
            let (symbol, price) = (format!("S{key:06}"), format!("{}.{:02}", price / 100, price % 100));
            let user = number % 10;
            let data = if case.one_shape || number % 2 == 0 {
                format!("{{\"symbol\":\"{symbol}\",\"price\":{price},\"shares\":{shares},\"userId\":{user}{time}}}")
            } else {
                format!("{{\"userId\":{user}, \"shares\":{shares}, \"symbol\":\"{symbol}\"}}")
            };
            records.push(symbol.as_bytes(), b"", data.as_bytes());
        }
        let (bytes, count) = records.freeze();
        made.push(RecordBatch { base_offset: first, count, append_time, bytes });
    }
    made
}
