//! State that is larger than one transaction: it is kept with the positions and the rows, and is whole after a crash.

use std::ops::Bound;

use bytes::Bytes;
use millstream_catalog::OutputTarget;
use millstream_storage::{Keyspace, Transaction};
use serde_json::json;

use crate::editing::{SECOND, define, found};
use crate::world::{Life, World, output, until};

/// A group for each long text, counted by the window that they are in.
const SQL: &str = "WITH texts AS (SELECT symbol, COUNT(*) AS n FROM src GROUP BY symbol, TumblingWindow(second, 10))
    SELECT COUNT(*) AS n INTO out FROM texts GROUP BY TumblingWindow(second, 10);
    SELECT n INTO singles FROM src WHERE n > 0";

const TEXT_BYTES: usize = 64 << 10;

fn pieces(world: &World) -> Vec<(Bytes, Bytes)> {
    let all = (Bound::Unbounded, Bound::Unbounded);
    world.storage.scan(&Keyspace::new("query/state"), all, false, usize::MAX).unwrap()
}

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
    assert!(pieces(&world).len() > 10, "{}", pieces(&world).len());
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
    assert_eq!(pieces(&world), [], "a small state stands in the checkpoint");
}

/// A crash may come between the removal of a query and that of the pieces of its state.
#[test]
fn the_next_start_removes_the_state_of_queries_that_are_no_more() {
    let world = World::new();
    world.life(async |life| {
        life.define(vec![output("out", OutputTarget::Keep)]).await;
        life.queries.stop_query("q").await.unwrap();
    });
    let piece = |query: &str, number: u64| [query.as_bytes(), b"/", &number.to_be_bytes()].concat();
    let mut transaction = Transaction::new();
    for (query, number) in [("a", 1), ("a", 2), ("q", 3), ("q-too", 4), ("q2", 5), ("z", u64::MAX)] {
        transaction.put(&Keyspace::new("query/state"), piece(query, number), "state");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(world.storage.commit(transaction)).unwrap();
    world.life(async |_| {});
    assert_eq!(pieces(&world).into_iter().map(|(key, _)| key.to_vec()).collect::<Vec<_>>(), [piece("q", 3)]);
    world.life(async |life| life.queries.delete("q").await.unwrap());
    assert_eq!(pieces(&world), [], "whoever deletes a query removes its state");
}
