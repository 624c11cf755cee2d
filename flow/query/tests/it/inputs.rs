//! Streams that are removed, made again or divided under a running query: it says so, and no row is lost or there twice.

use bytes::Bytes;
use millstream_catalog::{OutputTarget, StreamOwner};
use millstream_query::{NewQuery, QueryError, QueryState};
use millstream_stream::{Entry, NewStream};
use serde_json::json;

use crate::delivery::{Life, World, output, query, until};
use crate::editing::{SECOND, SUMS, define, found};

impl Life {
    async fn make(&self, shards: u32) {
        let owner = StreamOwner::User;
        self.streams.create(NewStream { name: "in".into(), owner, shards, retention_hours: 24 }).await.unwrap();
    }

    async fn put_numbers(&self, numbers: &[u64]) {
        self.put_rows(numbers.iter().map(|number| json!({"symbol": "A", "n": number})).collect()).await;
    }

    async fn until_read(&self, rows: u64) {
        until("rows are read", || self.queries.status("q").counts.rows_in == rows).await;
    }
}

#[test]
fn a_query_says_that_its_stream_is_gone_and_goes_on_with_the_next_one() {
    let world = World::new();
    world.life(async |life| {
        define(life, SUMS).await;
        life.put_numbers(&[1, 2]).await;
        life.until_read(2).await;
        life.streams.delete("in").await.unwrap();
        until("the loss is told", || life.queries.status("q").state == QueryState::Retrying).await;
        let told = life.queries.status("q").last_error.unwrap();
        assert_eq!(told, "input `src`: there is no stream `in`; make it, and it is read from its beginning",);
        world.clock.advance(10 * SECOND);
        until("the window ends without its stream", || found(life, "out") == [3.0]).await;
        life.make(1).await;
        life.put_numbers(&[10]).await;
        life.until_read(1).await;
        assert_eq!((life.queries.status("q").state, life.queries.status("q").last_error), (QueryState::Running, None));
        world.clock.advance(10 * SECOND);
        until("the next window", || found(life, "out") == [3.0, 10.0]).await;
    });
}

#[test]
fn an_open_window_holds_rows_of_both_streams() {
    for shards in [1, 3] {
        let world = World::new();
        world.life(async |life| {
            define(life, SUMS).await;
            life.put_numbers(&[1, 2]).await;
            life.until_read(2).await;
            life.streams.delete("in").await.unwrap();
            the_window_goes_on(&world, life, shards).await;
        });
    }
}

/// More than one transaction holds waits in many shards when the query begins.
#[test]
fn a_backlog_of_many_shards_is_taken_in_parts() {
    const SHARDS: u32 = 24;
    let world = World::new();
    world.life(async |life| {
        let text = "x".repeat(180 << 10);
        life.make(SHARDS).await;
        for round in 0..5 {
            for shard in 0..SHARDS {
                let hash = u128::MAX / u128::from(SHARDS) * u128::from(shard) + 1;
                let data = json!({"symbol": text, "n": round}).to_string();
                let entry = Entry {
                    partition_key: Bytes::from_static(b"k"),
                    explicit_hash_key: Some(hash),
                    headers: Bytes::new(),
                    data: Bytes::from(data),
                };
                life.streams.put("in", &[entry]).await.unwrap();
            }
        }
        let sql = "SELECT n, symbol INTO out FROM src".to_owned();
        life.queries.create(NewQuery { sql, ..query(vec![output("out", OutputTarget::Keep)]) }).await.unwrap();
        life.queries.start_query("q", None).await.unwrap();
        until("all rows are given", || {
            let status = life.queries.status("q");
            assert_eq!(status.last_error, None);
            status.counts.rows_out == 5 * u64::from(SHARDS)
        })
        .await;
    });
}

/// With a stream made anew the window that holds 1 and 2 takes 10 as well.
async fn the_window_goes_on(world: &World, life: &Life, shards: u32) {
    life.make(shards).await;
    life.put_numbers(&[10]).await;
    life.until_read(1).await;
    world.clock.advance(10 * SECOND);
    until("one window", || found(life, "out") == [13.0]).await;
}

#[test]
fn a_start_finds_a_stream_that_is_gone_and_keeps_the_window_for_the_next_one() {
    let world = World::new();
    world.life(async |life| {
        define(life, SUMS).await;
        life.put_numbers(&[1, 2]).await;
        life.until_read(2).await;
        // What was read is kept once a second.
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        life.streams.delete("in").await.unwrap();
    });
    world.life(async |life| {
        until("the loss is told", || life.queries.status("q").state == QueryState::Retrying).await;
        the_window_goes_on(&world, life, 1).await;
    });
}

#[test]
fn shards_that_a_stream_gets_are_read_from_their_beginning() {
    let world = World::new();
    world.life(async |life| {
        define(life, SUMS).await;
        life.put_numbers(&[1]).await;
        life.until_read(1).await;
        life.streams.add_shards("in", 4).await.unwrap();
        let entry = |number: u64| Entry {
            partition_key: Bytes::from(format!("key {number}")),
            explicit_hash_key: None,
            headers: Bytes::new(),
            data: Bytes::from(json!({"symbol": "A", "n": number}).to_string()),
        };
        let placed = life.streams.put("in", &(10..30).map(entry).collect::<Vec<_>>()).await.unwrap();
        assert!(placed.iter().any(|placed| placed.shard > 0));
        life.until_read(20).await;
        world.clock.advance(10 * SECOND);
        until("one window", || found(life, "out") == [391.0]).await;
    });
}

#[test]
fn a_query_does_not_start_over_a_stream_that_is_not_there() {
    World::new().life(async |life| {
        life.queries.create(query(vec![output("out", OutputTarget::Keep)])).await.unwrap();
        let refused = life.queries.start_query("q", None).await;
        assert!(matches!(refused, Err(QueryError::InputGone { .. })), "{refused:?}");
        assert_eq!(life.queries.status("q").state, QueryState::Stopped);
        life.make(1).await;
        life.queries.start_query("q", None).await.unwrap();
    });
}
