//! State that is larger than one transaction: it is kept with the positions and the rows, and is whole after a crash.

use millstream_storage::Keyspace;
use serde_json::json;

use crate::delivery::{Life, World, until};
use crate::editing::{SECOND, define, found};

/// A group for each long text, counted by the window that they are in.
const SQL: &str = "WITH texts AS (SELECT symbol, COUNT(*) AS n FROM src GROUP BY symbol, TumblingWindow(second, 10))
    SELECT COUNT(*) AS n INTO out FROM texts GROUP BY TumblingWindow(second, 10);
    SELECT n INTO singles FROM src WHERE n > 0";

const TEXT_BYTES: usize = 64 << 10;

/// Puts rows of different texts, and waits until the query has them.
async fn put(life: &Life, texts: std::ops::Range<usize>) {
    let before = life.queries.status("q").counts.rows_in;
    let count = texts.len() as u64;
    for text in texts {
        let symbol = format!("{}{text}", "x".repeat(TEXT_BYTES));
        life.put_rows(vec![json!({"symbol": symbol, "n": 0})]).await;
    }
    until("rows are read", || life.queries.status("q").counts.rows_in >= before + count).await;
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
}

#[test]
fn a_window_larger_than_a_transaction_is_whole_after_crashes() {
    let world = World::new();
    world.life(async |life| {
        define(life, SQL).await;
        put(life, 0..330).await;
        let status = life.queries.status("q");
        assert!(status.state_bytes > 20 << 20, "{}", status.state_bytes);
        assert!(status.last_error.is_none(), "{:?}", status.last_error);
    });
    let pieces = || {
        let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
        world.storage.scan(&Keyspace::new("query/state"), all, false, usize::MAX).unwrap()
    };
    assert!(pieces().len() > 10, "{}", pieces().len());
    world.life(async |life| {
        // Half of them are there, half are new: groups of before the crash go on.
        put(life, 300..360).await;
        life.put_rows(vec![json!({"symbol": "A", "n": 7})]).await;
        until("a row passes through", || found(life, "singles") == [7.0]).await;
    });
    world.life(async |life| {
        world.clock.advance(10 * SECOND);
        until("the window is over", || !found(life, "out").is_empty()).await;
        assert_eq!(found(life, "out"), [361.0]);
        until("nothing is kept of it", || life.queries.status("q").state_bytes < 1 << 20).await;
        life.put_rows(vec![json!({"symbol": "A", "n": 8})]).await;
        until("a row passes through", || found(life, "singles") == [8.0]).await;
    });
    assert_eq!(pieces(), [], "a small state stands in the checkpoint");
}
