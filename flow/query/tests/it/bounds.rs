//! What a query keeps is bounded, and the query says so when it stops for that.

use millstream_catalog::{ColumnDefinition, ColumnType, EventOrder, QueryDialect, RecordFormat};
use millstream_query::{ExecuteError, Executor, InputSchema, plan};
use millstream_types::{EncodedRecords, RecordBatch};

/// When the first event arrives; the others each a millisecond later.
const START: i64 = 1_700_000_000_000;

/// An executor of a query over an input `i` of texts `t`, numbers `n` and times `at`.
fn executor(dialect: QueryDialect, sql: &str) -> Executor {
    let column = |name: &str, column_type| ColumnDefinition::new(name, column_type);
    let time = column("at", ColumnType::Timestamp);
    let columns = Some(vec![column("t", ColumnType::Text), column("n", ColumnType::BigInt), time]);
    let input = InputSchema::new("i", columns);
    let program = plan(dialect, sql, &[input]).unwrap();
    Executor::new(program, EventOrder::default(), &[RecordFormat::Json], &[1])
}

/// Hands on an event with `n`, the `n`-th of its stream; `Err` when the query stops.
fn push(executor: &mut Executor, text: &str, n: u64) -> Result<(), ExecuteError> {
    let mut records = EncodedRecords::default();
    records.push(b"", b"", format!("{{\"t\":\"{text}\",\"n\":{n}}}").as_bytes());
    let (bytes, count) = records.freeze();
    let batch = RecordBatch { base_offset: n, count, append_time: START + n as i64, bytes };
    executor.push(0, 0, &batch, 0).map(|_| ())
}

/// What steps keep of rows is bounded in bytes, not only in rows: values of a mebibyte each stop a query after some hundred.
#[test]
fn what_is_kept_of_rows_is_bounded() {
    for select in [
        "SELECT LAG(REPLICATE(t, 1048576)) OVER (LIMIT DURATION(hour, 1)) AS before INTO o FROM i",
        "SELECT Percentile_Disc(0.5) OVER (ORDER BY n) AS p, Collect(REPLICATE(t, 1048576)) AS c INTO o FROM i
         GROUP BY TumblingWindow(day, 1)",
        "SELECT COUNT(DISTINCT CONCAT(CAST(n AS nvarchar(max)), REPLICATE(t, 1000000))) AS different INTO o FROM i
         GROUP BY TumblingWindow(day, 1)",
        "SELECT Collect(REPLICATE(t, 1048576)) OVER (LIMIT DURATION(hour, 1)) AS c INTO o FROM i",
    ] {
        let mut executor = executor(QueryDialect::StreamAnalytics, select);
        let stopped = (0..300).find_map(|n| push(&mut executor, "x", n).err());
        assert!(matches!(stopped, Some(ExecuteError::TooLarge(_))), "{select}: {stopped:?}");
    }
}

/// While a window fills each row looks back to the rows before it. What only counts them takes no room in results; what is them has
/// room by instant, whatever else is computed with it.
#[test]
fn rows_that_come_together_have_results_by_their_time() {
    let count = 250;
    let pushed = |sql: &str, later: bool| {
        let mut executor = executor(QueryDialect::StreamAnalytics, sql);
        let mut records = EncodedRecords::default();
        for n in 0..count {
            let at = millstream_types::time::rfc3339(START - if later { 1_000 - n } else { 1_000 });
            let text = format!("{n:0>12000}");
            records.push(b"", b"", format!(r#"{{"t":"{text}","n":{n},"at":"{at}"}}"#).as_bytes());
        }
        let (bytes, of_batch) = records.freeze();
        let batch = RecordBatch { base_offset: 0, count: of_batch, append_time: START, bytes };
        let mut made = vec![executor.push(0, 0, &batch, 0).unwrap()];
        made.push(executor.advance(Some(i64::MAX)).unwrap());
        let rows: usize = made.iter().flat_map(|made| &made.rows).map(|(_, rows)| rows.num_rows()).sum();
        (rows, made.iter().map(|made| made.errors.len()).sum::<usize>())
    };
    let different = "SELECT COUNT(DISTINCT t) OVER (LIMIT DURATION(hour, 1)) AS c INTO o FROM i TIMESTAMP BY at";
    let all = "SELECT Collect(t) OVER (LIMIT DURATION(hour, 1)) AS c INTO o FROM i TIMESTAMP BY at";
    assert_eq!(pushed(different, false), (count as usize, 0));
    assert_eq!(pushed(different, true), (count as usize, 0));
    assert_eq!(pushed(all, true), (count as usize, 0));
    // 250 rows that each hold all before them are 359 MiB.
    let (rows, left_out) = pushed(all, false);
    assert!(rows > 200 && left_out > 0 && rows + left_out == count as usize, "{rows} {left_out}");
}

/// What an aggregate keeps may become less: a short event takes the place of a long one.
#[test]
fn a_long_event_is_displaced_by_a_short_one() {
    for aggregate in ["TopOne()", "CollectTop(1)"] {
        let sql =
            format!("SELECT {aggregate} OVER (ORDER BY n DESC) AS top INTO o FROM i GROUP BY TumblingWindow(day, 1)");
        let mut executor = executor(QueryDialect::StreamAnalytics, &sql);
        push(&mut executor, &"long".repeat(1000), 0).unwrap();
        assert_eq!(executor.groups(), 1 + 1 + 4000 / 128, "{aggregate}");
        push(&mut executor, "short", 1).unwrap();
        assert_eq!(executor.groups(), 1 + 1, "{aggregate}");
    }
}

/// The least and greatest of texts are kept with each row that may be the first of its window.
#[test]
fn extremes_of_texts_are_bounded() {
    let mut executor = executor(
        QueryDialect::Kinesis,
        r#"CREATE OR REPLACE STREAM "o" (longest INTEGER);
           CREATE OR REPLACE PUMP "p" AS INSERT INTO "o"
           SELECT STREAM CHAR_LENGTH(MAX("t") OVER (RANGE INTERVAL '1' HOUR PRECEDING)) FROM "i";"#,
    );
    let text = "x".repeat(1 << 20);
    let stopped = (0..300).find_map(|n| {
        let pushed = push(&mut executor, &text, n);
        pushed.and_then(|()| executor.advance(Some(START + n as i64 + 1)).map(|_| ())).err()
    });
    assert!(matches!(stopped, Some(ExecuteError::TooLarge(_))), "{stopped:?}");
}

/// Aggregates over the same window keep its rows once; those over another have their own.
#[test]
fn aggregates_over_the_same_window_share_its_rows() {
    let kept = |select: &str| {
        let mut executor = executor(
            QueryDialect::Kinesis,
            &format!(
                r#"CREATE OR REPLACE STREAM "o" (a DOUBLE, b DOUBLE, c DOUBLE);
                   CREATE OR REPLACE PUMP "p" AS INSERT INTO "o" SELECT STREAM {select} FROM "i"
                   WINDOW w AS (PARTITION BY "t" RANGE INTERVAL '1' HOUR PRECEDING);"#
            ),
        );
        (0..100).for_each(|n| push(&mut executor, "x", n).unwrap());
        executor.advance(Some(START + 1000)).unwrap();
        executor.groups()
    };
    let one = kept(r#"SUM("n") OVER w, 1.0, 1.0"#);
    assert_eq!(one, 100 + 1, "the rows, and their sum");
    assert_eq!(kept(r#"SUM("n") OVER w, COUNT(*) OVER w, AVG("n") OVER w"#), one);
    assert_eq!(kept(r#"SUM("n") OVER w, COUNT(*) OVER (ROWS 1000 PRECEDING), 1.0"#), 2 * one);
}
