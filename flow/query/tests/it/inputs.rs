//! Streams that are removed, made again or divided under a running query: it says so, and no row is lost or there twice.

use bytes::Bytes;
use millstream_catalog::{OutputTarget, QueryDialect, StartAt, StreamOwner};
use millstream_query::{NewQuery, QueryError, QueryState};
use millstream_stream::{Entry, NewStream};
use serde_json::json;

use crate::editing::{SECOND, SUMS, define, found};
use crate::world::{Life, World, output, query, until};

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

/// A query over the parts of an input that is divided, into as many as are named.
fn over_parts(parts: &[&str], read: &[&str]) -> NewQuery {
    let pumps = (0..).zip(read).map(|(number, part)| {
        format!("CREATE PUMP \"P{number}\" AS INSERT INTO \"out\" SELECT STREAM \"n\" FROM \"{part}\"; ")
    });
    let sql = format!("CREATE STREAM \"out\" (\"n\" BIGINT); {}", pumps.collect::<String>());
    let mut new = query(vec![output("out", OutputTarget::Keep)]);
    new.inputs[0].name = parts[0].to_owned();
    new.inputs[0].divided = parts.iter().map(|part| (*part).to_owned()).collect();
    NewQuery { sql, dialect: QueryDialect::Kinesis, start_at: StartAt::Latest, ..new }
}

impl Life {
    /// Puts a row into a shard of so many.
    async fn put_into(&self, (shard, shards): (u32, u32), number: u64) {
        let entry = Entry {
            partition_key: Bytes::from_static(b"k"),
            explicit_hash_key: Some(u128::MAX / u128::from(shards) * u128::from(shard) + 1),
            headers: Bytes::new(),
            data: Bytes::from(json!({"symbol": "A", "n": number}).to_string()),
        };
        self.streams.put("in", &[entry]).await.unwrap();
    }
}

#[test]
fn a_part_of_an_input_that_is_read_later_begins_where_the_query_is_to() {
    let parts = ["S_001", "S_002"];
    let world = World::new();
    world.life(async |life| {
        life.make(2).await;
        life.queries.create(over_parts(&parts, &parts[..1])).await.unwrap();
        life.queries.start_query("q", None).await.unwrap();
        until("it runs", || life.queries.status("q").state == QueryState::Running).await;
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        life.put_into((0, 2), 1).await;
        life.put_into((1, 2), 100).await;
        until("the part that is read", || found(life, "out") == [1.0]).await;
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        life.update(over_parts(&parts, &parts)).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        life.put_into((1, 2), 2).await;
        until("both parts", || found(life, "out").contains(&2.0)).await;
        assert_eq!(found(life, "out"), [2.0], "what came before is not read, and nothing is there twice");
    });
}

#[test]
fn windows_wait_for_shards_that_another_division_brings() {
    let sql = "CREATE STREAM \"out\" (\"n\" BIGINT); CREATE PUMP \"P\" AS INSERT INTO \"out\" SELECT STREAM SUM(\"n\") FROM \"S_001\"
        GROUP BY STEP(\"S_001\".ROWTIME BY INTERVAL '10' SECOND);";
    let of_parts = |parts: &[&str]| NewQuery { sql: sql.to_owned(), ..over_parts(parts, &[]) };
    let world = World::new();
    world.life(async |life| {
        life.make(2).await;
        life.queries.create(of_parts(&["S_001", "S_002"])).await.unwrap();
        life.queries.start_query("q", None).await.unwrap();
        until("it runs", || life.queries.status("q").state == QueryState::Running).await;
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        life.put_into((0, 2), 1).await;
        life.until_read(1).await;
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        // The text is the same; the second shard is its input's now.
        life.update(of_parts(&["S_001"])).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        life.put_into((1, 2), 10).await;
        life.put_into((0, 2), 100).await;
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        world.clock.advance(20 * SECOND);
        until("the window is over", || !found(life, "out").is_empty()).await;
        assert_eq!(found(life, "out"), [111.0]);
    });
}
