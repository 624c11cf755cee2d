//! Queries that are edited, or taken over by another binary, while windows are open: nothing is lost, nothing is there twice.

use std::hash::BuildHasher as _;
use std::ops::Bound;

use millstream_catalog::{ColumnType, OutputTarget};
use millstream_query::{NewQuery, QueryError};
use millstream_storage::{Keyspace, Transaction};
use serde_json::{Value, json};

use crate::world::{Life, World, output, query, until};

/// Windows end at seconds 0, 10, 20, …; the world begins at second 7.
pub const SECOND: i64 = 1_000;

pub const SUMS: &str = "SELECT SUM(n) AS n INTO out FROM src GROUP BY TumblingWindow(second, 10)";

fn job(sql: &str) -> NewQuery {
    NewQuery { sql: sql.to_owned(), ..query(vec![output("out", OutputTarget::Keep)]) }
}

pub async fn define(life: &Life, sql: &str) {
    life.define(vec![output("out", OutputTarget::Keep)]).await;
    life.update(job(sql)).await.unwrap();
}

/// Puts rows and waits until the query has them.
async fn put(life: &Life, numbers: &[u64]) {
    let before = life.queries.status("q").counts.rows_in;
    life.put_rows(numbers.iter().map(|number| json!({"symbol": "A", "n": number})).collect()).await;
    let expected = before + numbers.len() as u64;
    until("rows are read", || life.queries.status("q").counts.rows_in == expected).await;
    // What was read is kept, too.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
}

/// The column `n` of the rows that the query gave since it last began.
pub fn found(life: &Life, name: &str) -> Vec<f64> {
    let rows = life.queries.recent_rows("q").into_iter().filter(|row| row.output == name);
    rows.map(|row| serde_json::from_slice::<Value>(&row.data).unwrap()["n"].as_f64().unwrap()).collect()
}

async fn until_found(life: &Life, expected: &[f64]) {
    until("a window's row", || found(life, "out").len() >= expected.len()).await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(found(life, "out"), expected);
    let told = life.queries.recent_errors("q");
    assert!(told.is_empty() && life.queries.status("q").last_error.is_none(), "{told:?}");
}

#[test]
fn the_open_window_is_whole_whatever_is_edited() {
    let mut wider = job(SUMS);
    wider.inputs[0].columns[1].column_type = ColumnType::Double;
    let mut patient = job(SUMS);
    patient.event_order.late_tolerance_ms = 60 * SECOND;
    let longer = SUMS.replace("second, 10", "second, 30");
    let hopping = SUMS.replace("TumblingWindow(second, 10)", "HoppingWindow(second, 20, 10)");
    for (edited, expected) in [
        (job(&format!("-- why\n{}", SUMS.replace(' ', "  "))), vec![13.0]),
        (job(&SUMS.replace("SUM(n)", "SUM(n * 10)")), vec![130.0]),
        (wider, vec![13.0]),
        (patient, vec![13.0]),
        // The window that ended before the edit is part of the new plan's.
        (job(&longer), vec![18.0]),
        (job(&hopping), vec![18.0, 13.0]),
    ] {
        let world = World::new();
        world.life(async |life| {
            define(life, SUMS).await;
            put(life, &[5]).await;
            world.clock.advance(5 * SECOND);
            until_found(life, &[5.0]).await;
            put(life, &[1, 2]).await;
            life.update(edited.clone()).await.unwrap();
            put(life, &[10]).await;
            world.clock.advance(30 * SECOND);
            until_found(life, &expected).await;
        });
    }
}

#[test]
fn rows_that_pass_through_are_not_there_twice_and_not_missing() {
    let world = World::new();
    let both = format!("{SUMS}; SELECT n INTO singles FROM src");
    world.life(async |life| {
        define(life, &both).await;
        put(life, &[1, 2]).await;
        assert_eq!(found(life, "singles"), [1.0, 2.0]);
        life.queries.stop_query("q").await.unwrap();
        life.put_rows(vec![json!({"symbol": "A", "n": 3})]).await;
        life.update(job(&both.replace("SUM(n)", "SUM(n) * 10"))).await.unwrap();
        life.queries.start_query("q", None).await.unwrap();
        life.put_rows(vec![json!({"symbol": "A", "n": 10})]).await;
        until("rows are read", || found(life, "singles") == [3.0, 10.0]).await;
        world.clock.advance(10 * SECOND);
        until_found(life, &[160.0]).await;
    });
}

#[test]
fn windows_over_windows_that_were_over_are_whole() {
    let world = World::new();
    let nested = "WITH sums AS (SELECT SUM(n) AS n FROM src GROUP BY TumblingWindow(second, 10))
        SELECT SUM(n) AS n INTO out FROM sums GROUP BY TumblingWindow(minute, 1);
        SELECT n INTO parts FROM sums";
    world.life(async |life| {
        define(life, nested).await;
        put(life, &[5]).await;
        world.clock.advance(5 * SECOND);
        until("the inner window is over", || found(life, "parts") == [5.0]).await;
        put(life, &[1]).await;
        life.update(job(&nested.replace("SELECT SUM(n) AS n INTO", "SELECT SUM(n * 10) AS n INTO"))).await.unwrap();
        put(life, &[2]).await;
        world.clock.advance(60 * SECOND);
        until_found(life, &[80.0]).await;
        assert_eq!(found(life, "parts"), [3.0], "what was handed on before is not again");
    });
}

#[test]
fn an_edit_that_a_crash_cuts_off_and_another_binarys_checkpoint_lose_nothing() {
    let world = World::new();
    world.life(async |life| {
        define(life, SUMS).await;
        put(life, &[1, 2]).await;
        life.update(job(&SUMS.replace("SUM(n)", "SUM(n) * 10"))).await.unwrap();
    });
    let keyspace = Keyspace::new("query/checkpoint");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let all = (Bound::Unbounded, Bound::Unbounded);
    let kept = world.storage.scan(&keyspace, all, false, usize::MAX).unwrap();
    let (key, checkpoint) = kept.into_iter().find(|(key, _)| key[..] == *b"q").unwrap();
    let mut checkpoint = checkpoint.to_vec();
    // A later version of another plan: its state means nothing here.
    checkpoint[0] += 1;
    checkpoint[1] ^= 1;
    let mut transaction = Transaction::new();
    transaction.put(&keyspace, key.to_vec(), checkpoint);
    runtime.block_on(world.storage.commit(transaction)).unwrap();
    world.life(async |life| {
        put(life, &[10]).await;
        world.clock.advance(20 * SECOND);
        until_found(life, &[130.0]).await;
    });
}

#[test]
fn state_of_the_first_version_is_not_taken_for_values_without_a_type() {
    let world = World::new();
    let sql = "SELECT symbol, SUM(n) AS n INTO out FROM src GROUP BY symbol, TumblingWindow(second, 10)";
    let with = |symbol_type| {
        let mut job = job(sql);
        job.inputs[0].columns[0].column_type = symbol_type;
        job
    };
    world.life(async |life| {
        life.define(vec![output("out", OutputTarget::Keep)]).await;
        life.update(with(ColumnType::Text)).await.unwrap();
        put(life, &[1, 2]).await;
        life.queries.stop_query("q").await.unwrap();
        life.update(with(ColumnType::Value)).await.unwrap();
    });
    let keyspace = Keyspace::new("query/checkpoint");
    let all = (Bound::Unbounded, Bound::Unbounded);
    let kept = world.storage.scan(&keyspace, all, false, usize::MAX).unwrap();
    let (key, checkpoint) = kept.into_iter().find(|(key, _)| key[..] == *b"q").unwrap();
    // The same as the first version had it: the text and not the plan, one list of positions, the state.
    let count = |at: usize| i64::from_be_bytes(checkpoint[at..at + 8].try_into().unwrap()) as usize;
    let positions = 17..25 + 16 * count(17);
    let begun_end = positions.end + 8 + 16 * count(positions.end);
    let handed_end = begun_end + 8 + 16 * count(begun_end);
    let text = foldhash::fast::FixedState::with_seed(0).hash_one(sql);
    let first = [&[1][..], &text.to_be_bytes(), &checkpoint[positions], &checkpoint[handed_end..]].concat();
    let mut transaction = Transaction::new();
    transaction.put(&keyspace, key.to_vec(), first);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(world.storage.commit(transaction)).unwrap();
    world.life(async |life| {
        life.queries.start_query("q", None).await.unwrap();
        life.put_rows(vec![json!({"symbol": "A", "n": 10})]).await;
        world.clock.advance(20 * SECOND);
        // The texts of its keys are no values: the open window is read again, and is one group.
        until_found(life, &[13.0]).await;
    });
}

#[test]
fn of_two_changes_of_what_was_seen_one_is_made() {
    World::new().life(async |life| {
        define(life, SUMS).await;
        let seen = life.queries.get("q").unwrap();
        let changes = ["SUM(n) * 10", "SUM(n) * 20"].map(|sum| job(&SUMS.replace("SUM(n)", sum)));
        let [first, second] = changes.map(|new| life.queries.update(&seen, new));
        let (first, second) = tokio::join!(first, second);
        let refused = [&first, &second].map(|done| matches!(done, Err(QueryError::Changed { .. })));
        assert_eq!(refused.iter().filter(|refused| **refused).count(), 1, "{first:?} {second:?}");
        assert_eq!(life.queries.get("q").unwrap().version, seen.version + 1);
    });
}

#[test]
fn labels_of_two_callers_are_both_there() {
    World::new().life(async |life| {
        define(life, SUMS).await;
        let [first, second] = ["a", "b"]
            .map(|label| life.queries.change_tags("q", move |tags| drop(tags.insert(label.to_owned(), String::new()))));
        let (first, second) = tokio::join!(first, second);
        first.and(second).unwrap();
        let query = life.queries.get("q").unwrap();
        assert_eq!(query.resource.as_ref().unwrap().tags.keys().collect::<Vec<_>>(), ["a", "b"]);
    });
}

#[test]
fn a_query_is_started_once_by_two_who_start_it() {
    World::new().life(async |life| {
        define(life, SUMS).await;
        life.queries.stop_query("q").await.unwrap();
        let (first, second) = tokio::join!(life.queries.start_query("q", None), life.queries.start_query("q", None));
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    });
}
