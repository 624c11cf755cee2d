//! What a query keeps is bounded, and the query says so when it stops for that.

use millstream_catalog::{ColumnDefinition, ColumnType, EventOrder, QueryDialect, RecordFormat};
use millstream_query::{ExecuteError, Executor, InputSchema, plan};
use millstream_types::{EncodedRecords, RecordBatch};

/// What steps keep of rows is bounded in bytes, not only in rows: values of a mebibyte each stop a query after some hundred.
#[test]
fn what_is_kept_of_rows_is_bounded() {
    for select in [
        "SELECT LAG(REPLICATE(t, 1048576)) OVER (LIMIT DURATION(hour, 1)) AS before INTO o FROM i",
        "SELECT Percentile_Disc(0.5) OVER (ORDER BY n) AS p, Collect(REPLICATE(t, 1048576)) AS c INTO o FROM i
         GROUP BY TumblingWindow(day, 1)",
    ] {
        let column = |name: &str, column_type| ColumnDefinition {
            name: name.into(),
            column_type,
            mapping: None,
            declared: None,
        };
        let columns = Some(vec![column("t", ColumnType::Text), column("n", ColumnType::BigInt)]);
        let input = InputSchema { name: "i".into(), columns, hub: false, reference: false };
        let program = plan(QueryDialect::StreamAnalytics, select, &[input]).unwrap();
        let mut executor = Executor::new(program, EventOrder::default(), &[RecordFormat::Json], &[1]);
        let push = |offset: u64| {
            let mut records = EncodedRecords::default();
            records.push(b"", b"", format!("{{\"t\":\"x\",\"n\":{offset}}}").as_bytes());
            let (bytes, count) = records.freeze();
            let batch = RecordBatch { base_offset: offset, count, append_time: 1_700_000_000_000, bytes };
            executor.push(0, 0, &batch, 0).err()
        };
        let stopped = (0..300).find_map(push);
        assert!(matches!(stopped, Some(ExecuteError::TooLarge(_))), "{select}: {stopped:?}");
    }
}
