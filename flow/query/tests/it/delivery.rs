//! Rows on their way to objects and documents that fail, hang or are cut off.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_catalog::{ObjectOutput, OutputTarget, QueryOutput, RecordFormat};
use serde_json::{Value, json};

use crate::world::{HOUR, Mood, World, documents, objects, output, query, until};

fn numbers(range: std::ops::Range<u64>) -> Vec<u64> {
    range.collect()
}

#[test]
fn each_row_is_in_one_object_once_whatever_is_interrupted() {
    let world = World::new();
    world.life(async |life| life.define(vec![output("out", objects("b", "by/{symbol}"))]).await);
    let moods = [Mood::Hangs, Mood::KeepsAndHangs(0), Mood::KeepsAndHangs(1), Mood::Refuses(4), Mood::KeepsAndHangs(2)];
    for (round, mood) in (0..).zip(moods) {
        let begin = round * 100;
        world.bucket.set(Mood::Takes);
        world.life(async |life| {
            life.put(begin..begin + 40).await;
            until("rows are written", || world.bucket.rows() == numbers(0..begin + 40)).await;
            world.bucket.set(mood);
            life.put(begin + 40..begin + 100).await;
            if let Mood::Refuses(_) = mood {
                until("the refusal is told", || life.queries.status("q").last_error.is_some()).await;
            } else {
                until("an object hangs", || world.bucket.hangs()).await;
            }
        });
    }
    world.bucket.set(Mood::Takes);
    world.life(async |_| until("all rows", || world.bucket.rows() == numbers(0..500)).await);
}

#[test]
fn a_closed_object_is_not_touched_and_the_next_rows_are_in_a_new_one() {
    let world = World::new();
    world.life(async |life| {
        life.define(vec![output("out", objects("b", "all"))]).await;
        life.put(0..10).await;
        until("rows are written", || world.bucket.rows() == numbers(0..10)).await;
        // It rests, so it is closed.
        tokio::time::sleep(Duration::from_secs(70)).await;
        life.put(10..20).await;
        until("rows are written", || world.bucket.rows() == numbers(0..20)).await;
        assert_eq!(world.bucket.texts().len(), 2);
    });
    world.life(async |life| {
        life.put(20..30).await;
        until("rows are written", || world.bucket.rows() == numbers(0..30)).await;
        assert_eq!(world.bucket.texts().len(), 2, "after the crash the second one grows on");
        life.queries.shutdown().await;
    });
    world.life(async |life| {
        life.put(30..40).await;
        until("rows are written", || world.bucket.rows() == numbers(0..40)).await;
        assert_eq!(world.bucket.texts().len(), 3, "an orderly stop closes it");
    });
}

#[test]
fn a_hanging_object_is_written_again() {
    let world = World::new();
    world.life(async |life| {
        life.define(vec![output("out", objects("b", ""))]).await;
        world.bucket.set(Mood::Hangs);
        life.put(0..10).await;
        until("an object hangs", || world.bucket.hangs()).await;
        world.bucket.set(Mood::Takes);
        until("rows are written", || world.bucket.rows() == numbers(0..10)).await;
    });
}

#[test]
fn objects_lie_where_time_and_columns_say_in_the_form_that_is_asked_for() {
    let world = World::new();
    let (bucket, path) = ("b".to_owned(), "arrays/{date}/{time}/{symbol}".to_owned());
    let array = OutputTarget::Objects(ObjectOutput {
        bucket,
        path,
        date_format: "yyyy-MM-dd".into(),
        time_format: "HH-mm".into(),
        array: true,
    });
    let cells = QueryOutput {
        format: RecordFormat::Csv { delimiter: ";".into() },
        ..output("cells", objects("b", "cells/{datetime:yyyy}"))
    };
    world.life(async |life| {
        life.define(vec![output("arrays", array), cells]).await;
        life.put(0..4).await;
        until("all objects", || world.bucket.texts().len() == 4).await;
    });
    let texts = world.bucket.texts();
    let found: Vec<(String, &str)> =
        texts.iter().map(|(key, text)| (key.rsplit_once('/').unwrap().0.to_owned(), text.as_str())).collect();
    assert_eq!(
        found,
        [
            ("b/arrays/2026-03-04/05-06/A".into(), "[{\"symbol\":\"A\",\"n\":0},\n{\"symbol\":\"A\",\"n\":3}]\n"),
            ("b/arrays/2026-03-04/05-06/B".into(), "[{\"symbol\":\"B\",\"n\":1}]\n"),
            ("b/arrays/2026-03-04/05-06/C".into(), "[{\"symbol\":\"C\",\"n\":2}]\n"),
            ("b/cells/2026".into(), "symbol;n\nA;0\nB;1\nC;2\nA;3\n"),
        ]
    );
}

#[test]
fn an_output_that_moves_to_another_bucket_leaves_no_row_behind_and_takes_none_twice() {
    let world = World::new();
    let moved = |bucket: &str| query(vec![output("out", objects(bucket, "{symbol}"))]);
    world.life(async |life| {
        life.define(vec![output("out", objects("first", "{symbol}"))]).await;
        life.put(0..30).await;
        until("rows are written", || world.bucket.rows() == numbers(0..30)).await;
        life.put(30..40).await;
        life.update(moved("second")).await.unwrap();
        life.put(40..60).await;
        until("rows are written", || world.bucket.rows() == numbers(0..60)).await;
        // The definition is kept, then the node dies before the delivery was stopped.
        world.bucket.set(Mood::Refuses(u32::MAX));
    });
    world.bucket.set(Mood::Takes);
    world.life(async |life| {
        life.update(query(vec![output("out", documents("n"))])).await.unwrap();
        life.put(60..70).await;
        until("documents are written", || world.container.numbers().len() >= 10).await;
        assert_eq!(world.bucket.rows(), numbers(0..60));
        let late: Vec<u64> = world.container.numbers().into_values().collect();
        assert_eq!(late, numbers(60..70), "documents begin where objects ended");
        life.update(moved("third")).await.unwrap();
        life.put(70..80).await;
        until("rows are written", || world.bucket.rows().len() >= 70).await;
        let expected: Vec<u64> = (0..60).chain(70..80).collect();
        assert_eq!(world.bucket.rows(), expected, "objects begin where documents ended");
    });
}

#[test]
fn rows_that_retention_took_are_told_and_written_ones_are_not_written_again() {
    let world = World::new();
    world.life(async |life| {
        life.define(vec![output("out", objects("b", ""))]).await;
        life.put(0..10).await;
        until("rows are written", || world.bucket.rows() == numbers(0..10)).await;
        // Half an hour apart: the first rows go, the others stay.
        world.clock.advance(HOUR / 2);
        life.put(10..20).await;
        until("rows are written", || world.bucket.rows() == numbers(0..20)).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    });
    world.clock.advance(24 * HOUR - HOUR / 4);
    world.life(async |life| {
        life.streams.enforce_retention().await.unwrap();
        life.put(20..30).await;
        until("rows are written", || world.bucket.rows() == numbers(0..30)).await;
        assert_eq!(life.errors(), []);
        world.bucket.set(Mood::Refuses(u32::MAX));
        life.put(30..31).await;
        until("the refusal is told", || life.queries.status("q").last_error.is_some()).await;
        life.put(31..40).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        world.clock.advance(25 * HOUR);
        life.streams.enforce_retention().await.unwrap();
        world.bucket.set(Mood::Takes);
        life.put(40..50).await;
        until("rows are written", || world.bucket.rows().last() == Some(&49)).await;
        assert_eq!(life.errors().into_iter().map(|(kind, _)| kind).collect::<Vec<_>>(), ["lost"]);
    });
    let expected: Vec<u64> = (0..31).chain(40..50).collect();
    assert_eq!(world.bucket.rows(), expected);
}

#[test]
fn nothing_is_left_of_a_query_and_one_of_its_name_begins_anew() {
    let world = World::new();
    world.life(async |life| {
        // The query's text and its definition write the name differently.
        let outputs = vec![output("out", objects("b", "")), output("gone", objects("b", "gone"))];
        life.define(outputs).await;
        life.put(0..10).await;
        until("rows are written", || world.bucket.rows().len() == 20).await;
        tokio::time::sleep(Duration::from_secs(70)).await;
        let mut fewer = query(vec![output("OUT", objects("b", ""))]);
        fewer.sql = "SELECT symbol, n INTO out FROM src".into();
        life.update(fewer).await.unwrap();
        assert_eq!(world.places(), 3);
        life.queries.delete("q").await.unwrap();
        assert_eq!(world.places(), 0);
        assert_eq!(life.streams.list().len(), 1, "only the input");
        let before = world.bucket.texts();
        life.define(vec![output("out", objects("b", ""))]).await;
        until("rows are written", || world.bucket.rows().len() == 30).await;
        assert!(before.iter().all(|(key, text)| world.bucket.texts().get(key) == Some(text)), "no object is replaced");
    });
}

#[test]
fn documents_that_are_none_are_told_others_tried_again_and_the_last_of_an_id_stays() {
    let world = World::new();
    let row = |symbol: Value, number: u64| json!({"symbol": symbol, "n": number});
    world.container.refuses.lock().unwrap().extend([(1, 2), (4, 1)]);
    world.life(async |life| {
        life.define(vec![output("out", documents("symbol"))]).await;
        let rows = vec![
            row("A".into(), 1),
            row("A".into(), 2),
            row(Value::Null, 3),
            row("B".into(), 4),
            row("BAD".into(), 5),
            row("B".into(), 6),
        ];
        life.put_rows(rows).await;
        let expected = BTreeMap::from([("A".to_owned(), 2), ("B".to_owned(), 6)]);
        until("documents are written", || world.container.numbers() == expected).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(world.container.numbers(), expected);
        let told: Vec<String> = life.errors().into_iter().map(|(_, detail)| detail).collect();
        assert!(told[0].contains("`symbol` is empty") && told[1].contains("\"n\":5"), "{told:?}");
        assert_eq!(life.queries.status("q").last_error, None);
    });
}

#[test]
fn documents_of_rows_have_the_same_ids_after_a_crash() {
    let world = World::new();
    world.container.refuses.lock().unwrap().insert(150, u32::MAX);
    world.life(async |life| {
        life.define(vec![output("out", documents(""))]).await;
        life.put(0..200).await;
        until("the first batch is written", || world.container.numbers().len() == 199).await;
    });
    world.container.refuses.lock().unwrap().clear();
    world.life(async |_| until("all documents", || world.container.numbers().len() == 200).await);
    let mut found: Vec<u64> = world.container.numbers().into_values().collect();
    found.sort_unstable();
    assert_eq!(found, numbers(0..200));
}

#[test]
fn an_output_that_fails_is_told_although_another_is_well() {
    let world = World::new();
    world.container.refuses.lock().unwrap().insert(0, u32::MAX);
    world.life(async |life| {
        life.define(vec![output("out", objects("b", "")), output("docs", documents("n"))]).await;
        life.put(0..10).await;
        until("rows are written", || world.bucket.rows() == numbers(0..10)).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let told = life.queries.status("q").last_error.unwrap();
        assert!(told.starts_with("container d/c has not taken 10 documents: refused"), "{told}");
        // Stopping does not wait for what will not be.
        life.queries.stop_query("q").await.unwrap();
    });
}
