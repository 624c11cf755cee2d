//! Results that are larger than one transaction: none of them stops a query, and each is there once, whatever crashes.

use std::collections::BTreeSet;

use millstream_catalog::{OutputTarget, StreamOwner};
use millstream_query::NewQuery;
use millstream_storage::{Keyspace, LogBounds, Transaction};
use millstream_stream::NewStream;
use serde_json::{Value, json};

use crate::editing::{SECOND, define};
use crate::world::{Life, World, output, query, until};

/// A row of some 64 KiB for each symbol, all of one window.
const SQL: &str =
    "SELECT symbol, REPLICATE('x', 65536) AS text INTO out FROM src GROUP BY symbol, TumblingWindow(second, 10)";

const SYMBOLS: usize = 600;

async fn put(life: &Life) {
    let before = life.queries.status("q").counts.rows_in;
    life.put_rows((0..SYMBOLS).map(|n| json!({"symbol": format!("s{n}"), "n": n})).collect()).await;
    until("rows are read", || life.queries.status("q").counts.rows_in >= before + SYMBOLS as u64).await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
}

fn parts(world: &World) -> usize {
    let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
    world.storage.scan(&Keyspace::new("query/results"), all, false, usize::MAX).unwrap().len()
}

/// How many rows the output's own stream has.
fn there(life: &Life) -> u64 {
    in_stream(life, "query/q/out")
}

fn in_stream(life: &Life, name: &str) -> u64 {
    life.streams.get(name).map_or(0, |stream| {
        let bounds = |shard: &millstream_catalog::ShardDefinition| life.streams.bounds(shard.log());
        stream.shards.iter().map(bounds).map(|LogBounds { next, .. }| next).sum()
    })
}

/// The symbols of all rows of the output's own stream, in their order.
async fn symbols(life: &Life) -> Vec<String> {
    symbols_in(life, "query/q/out").await
}

async fn symbols_in(life: &Life, name: &str) -> Vec<String> {
    let stream = life.streams.get(name).unwrap();
    let mut found = Vec::new();
    for shard in &stream.shards {
        let (mut from, end) = (0, life.streams.bounds(shard.log()).next);
        while from < end {
            let read = life.streams.read(shard.log(), from, 1 << 20).await.unwrap();
            for record in read.batches.iter().flat_map(|batch| batch.records()) {
                let row: Value = serde_json::from_slice(&record.data).unwrap();
                found.push(row["symbol"].as_str().unwrap().to_owned());
            }
            from = read.next;
        }
    }
    found
}

#[test]
fn a_window_of_more_rows_than_a_transaction_holds_is_there_once() {
    let world = World::new();
    world.life(async |life| {
        define(life, SQL).await;
        put(life).await;
        world.clock.advance(10 * SECOND);
        until("a part of the rows is there", || there(life) > 0).await;
    });
    // The crash came between two parts, or behind all of them.
    world.life(async |life| {
        until("all rows are there", || there(life) >= SYMBOLS as u64).await;
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        let found = symbols(life).await;
        assert_eq!((found.len(), found.iter().collect::<BTreeSet<_>>().len()), (SYMBOLS, SYMBOLS));
        assert_eq!((parts(&world), life.queries.status("q").last_error), (0, None));
        // The next window is another one.
        put(life).await;
        world.clock.advance(10 * SECOND);
        until("the next window is there", || there(life) >= 2 * SYMBOLS as u64).await;
    });
}

/// A row that no transaction holds is told and left out; the others of its window and those behind it are there.
#[test]
fn a_row_longer_than_a_record_stops_nothing() {
    let world = World::new();
    world.life(async |life| {
        define(life, "SELECT symbol, n INTO out FROM src").await;
        let sql = "SELECT symbol, Collect(REPLICATE(symbol, 1048576)) AS all INTO out FROM src
            GROUP BY symbol, TumblingWindow(second, 10)";
        life.update(NewQuery { sql: sql.to_owned(), ..query(vec![output("out", OutputTarget::Keep)]) }).await.unwrap();
        let row = |n: u32| json!({"symbol": if n == 0 { "B" } else { "A" }, "n": n});
        life.put_rows((0..14).map(row).collect()).await;
        until("rows are read", || life.queries.status("q").counts.rows_in == 14).await;
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        world.clock.advance(10 * SECOND);
        until("the window is over", || there(life) > 0).await;
        assert_eq!(symbols(life).await, ["B"]);
        let told = life.errors();
        assert!(told.len() == 1 && told[0].1.contains("a row of `out` has 13"), "{told:?}");
    });
}

/// Short rows, then one that nearly fills a transaction: they go out one after the other, in their order.
#[test]
fn a_long_row_behind_short_ones_goes_out_by_itself() {
    let world = World::new();
    world.life(async |life| {
        define(life, "SELECT symbol, n INTO out FROM src").await;
        let sql = "SELECT symbol, Collect(REPLICATE('x', 65536)) AS all INTO out FROM src
            GROUP BY symbol, TumblingWindow(second, 10)";
        life.update(NewQuery { sql: sql.to_owned(), ..query(vec![output("out", OutputTarget::Keep)]) }).await.unwrap();
        let short = (0..110).map(|n| format!("a{n}"));
        // 11 MiB of one symbol, behind all others.
        let rows: Vec<Value> =
            short.chain((0..176).map(|_| "b".to_owned())).map(|symbol| json!({"symbol": symbol, "n": 1})).collect();
        let count = rows.len() as u64;
        life.put_rows(rows).await;
        until("rows are read", || life.queries.status("q").counts.rows_in == count).await;
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        world.clock.advance(10 * SECOND);
        until("all rows are there", || there(life) == 111).await;
        assert_eq!(symbols(life).await.last().map(String::as_str), Some("b"));
        assert_eq!((parts(&world), life.queries.status("q").last_error, life.errors()), (0, None, Vec::new()));
    });
}

/// The crash comes when positions and results are kept and no result is in its stream, which is not there: each comes once, later.
#[test]
fn results_that_are_kept_come_into_their_stream_after_a_crash() {
    let world = World::new();
    let make = async |life: &Life| {
        let (name, owner) = ("results".to_owned(), StreamOwner::User);
        life.streams.create(NewStream { name, owner, shards: 2, retention_hours: 24 }).await.unwrap();
    };
    world.life(async |life| {
        make(life).await;
        let target = OutputTarget::Stream { name: "results".into() };
        life.define(vec![output("out", OutputTarget::Keep)]).await;
        life.update(NewQuery { sql: SQL.to_owned(), ..query(vec![output("out", target)]) }).await.unwrap();
        put(life).await;
        life.streams.delete("results").await.unwrap();
        world.clock.advance(10 * SECOND);
        until("the stream is missed", || life.queries.status("q").last_error.is_some()).await;
        assert!(parts(&world) > 1, "{}", parts(&world));
    });
    world.life(async |life| {
        make(life).await;
        until("all rows are there", || in_stream(life, "results") >= SYMBOLS as u64).await;
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        let found = symbols_in(life, "results").await;
        assert_eq!((found.len(), found.iter().collect::<BTreeSet<_>>().len()), (SYMBOLS, SYMBOLS));
        assert_eq!(parts(&world), 0);
    });
}

#[test]
fn what_a_crash_left_of_a_query_that_is_no_more_goes_with_the_next_start() {
    let world = World::new();
    world.life(async |life| define(life, SQL).await);
    world.life(async |_| {
        let mut transaction = Transaction::new();
        for (keyspace, key) in [("query/results", "gone/12345678"), ("query/state", "gone/12345678")] {
            transaction.put(&Keyspace::new(keyspace), key, "of a query that was being removed");
        }
        world.storage.commit(transaction).await.unwrap();
    });
    world.life(async |_| {
        let left = |keyspace: &str| world.storage.get(&Keyspace::new(keyspace), b"gone/12345678").unwrap();
        assert_eq!((left("query/results"), left("query/state")), (None, None));
    });
}
