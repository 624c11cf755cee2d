//! Mappings over the storage model, with functions and queues that are scripts.

#![allow(clippy::unwrap_used)]

#[path = "it/queues.rs"]
mod queues;
#[path = "it/windows.rs"]
mod windows;
#[path = "it/world.rs"]
mod world;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use millstream_catalog::{EventSource, MappingSettings, MappingState};
use millstream_mapping::{DiscardReason, LastResult, MappingError, NewMapping, Phase};
use millstream_storage::Transaction;
use millstream_types::ErrorKind;
use world::{Run, World, change, of_stream, told, until};

/// Fails every batch that holds a text which begins with `bad`.
fn fails_bad(batch: &[String]) -> Run {
    if batch.iter().any(|text| text.starts_with("bad")) { Run::Fail } else { Run::Answer("") }
}

#[tokio::test]
async fn a_batch_that_fails_is_not_tried_more_often_because_the_node_starts_again() {
    let world = World::new(fails_bad).await;
    world.put(&["a", "bad", "b"]).await;
    let settings = MappingSettings { retries_max: Some(6), on_failure: told(), ..Default::default() };
    let mut mappings = world.start();
    mappings.create(of_stream(settings)).await.unwrap();
    for attempts in [2, 4] {
        until(|| world.batches().len() >= attempts).await;
        mappings.shutdown().await;
        mappings = world.start();
    }
    until(|| !world.discarded().is_empty()).await;
    // An invocation that a stop cut off is not counted.
    assert!((7..=9).contains(&world.batches().len()), "{}", world.batches().len());
    let discarded = &world.discarded()[0];
    assert_eq!((discarded.records, discarded.reason, discarded.offsets), (3, DiscardReason::Attempts, (0, 2)));
    assert_eq!(discarded.invocations, 7);
    world.put(&["c"]).await;
    until(|| world.batches().last().unwrap() == &["c"]).await;
    mappings.shutdown().await;
}

#[tokio::test]
async fn a_target_that_refuses_holds_up_nothing_and_the_log_says_why() {
    let world = World::new(fails_bad).await;
    world.put(&["a", "bad", "b", "c"]).await;
    let settings = MappingSettings { retries_max: Some(0), on_failure: told(), ..Default::default() };
    let mappings = world.start();
    mappings.create(of_stream(settings)).await.unwrap();
    until(|| !world.discarded().is_empty()).await;
    world.put(&["d"]).await;
    until(|| world.batches().last().unwrap() == &["d"]).await;
    let events = world.insight.logs.events("log of f", None, (0, i64::MAX), 0, 10).unwrap();
    assert!(events[0].1.message.contains("4 records are given up and nobody is told: it may not"), "{events:?}");
    mappings.shutdown().await;
}

#[tokio::test]
async fn what_is_left_of_a_split_batch_goes_on_after_a_start() {
    let world = World::new(fails_bad).await;
    world.put(&["a", "b", "bad", "c", "d", "e"]).await;
    let settings = MappingSettings {
        bisect: true,
        batch_size: 6,
        retries_max: Some(1_000),
        on_failure: told(),
        ..Default::default()
    };
    let mappings = world.start();
    let id = mappings.create(of_stream(settings)).await.unwrap().definition.id.clone();
    until(|| world.batches().iter().filter(|batch| **batch == ["bad"]).count() > 3).await;
    mappings.shutdown().await;
    let before = world.batches().len();
    let mappings = world.start();
    until(|| world.batches().len() > before + 3).await;
    assert!(world.batches()[before..].iter().all(|batch| batch == &["bad"]), "only what is left is tried");
    change(&mappings, &id, |definition| definition.settings.retries_max = Some(0)).await;
    until(|| world.batches().last().unwrap().contains(&"e".to_owned())).await;
    let done =
        world.batches().into_iter().filter(|batch| !batch.contains(&"bad".to_owned())).collect::<Vec<_>>().concat();
    assert_eq!(done, ["a", "b", "c", "d", "e"]);
    assert_eq!(world.discarded().len(), 1);
    mappings.shutdown().await;
}

#[tokio::test]
async fn what_does_not_run_is_no_attempt_and_old_records_are_given_up() {
    let world = World::new(|_| Run::Throttled).await;
    world.put(&["a", "b"]).await;
    let settings = MappingSettings {
        retries_max: Some(0),
        record_age_max_seconds: Some(60),
        on_failure: told(),
        ..Default::default()
    };
    let mappings = world.start();
    let id = mappings.create(of_stream(settings)).await.unwrap().definition.id.clone();
    until(|| world.batches().len() > 3).await;
    assert!(world.discarded().is_empty());
    assert_eq!(mappings.get(&id).unwrap().last, LastResult::Problem("too many".into()));
    world.clock.advance(60_001);
    world.put(&["c"]).await;
    world.script(|_| Run::Answer(""));
    until(|| world.batches().last().unwrap() == &["c"]).await;
    let discarded = &world.discarded()[0];
    assert_eq!((discarded.records, discarded.reason, discarded.invocations), (2, DiscardReason::Age, 0));
    until(|| mappings.get(&id).unwrap().lag.is_some_and(|lag| lag.records == 0)).await;
    mappings.shutdown().await;
}

#[tokio::test]
async fn reports_move_the_place_to_the_first_record_that_failed() {
    let world = World::new(|batch| match batch.first().map(String::as_str) {
        Some("a") => Run::Answer("3,2"),
        Some("c") => Run::Answer("7"),
        _ => Run::Answer(""),
    })
    .await;
    world.put(&["a", "b", "c", "d"]).await;
    let settings =
        MappingSettings { reports_failures: true, retries_max: Some(1), on_failure: told(), ..Default::default() };
    let mappings = world.start();
    mappings.create(of_stream(settings)).await.unwrap();
    until(|| !world.discarded().is_empty()).await;
    let batches = world.batches();
    assert_eq!(batches, [vec!["a", "b", "c", "d"], vec!["c", "d"]], "7 is none of its records: all of it failed");
    assert_eq!(world.discarded()[0].offsets, (2, 3));
    mappings.shutdown().await;
}

#[tokio::test]
async fn batches_are_bounded_in_bytes_and_skip_what_is_not_wanted_or_cannot_be_read() {
    let world = World::new(|_| Run::Answer("")).await;
    let large = format!("x{}", "y".repeat(1 << 20));
    let texts: Vec<&str> = [large.as_str(); 8].into_iter().chain(["unreadable", "no", "x"]).collect();
    world.put(&texts).await;
    let mappings = world.start();
    let settings = MappingSettings { filters: vec!["x".into()], ..Default::default() };
    let id = mappings.create(of_stream(settings)).await.unwrap().definition.id.clone();
    until(|| world.batches().concat().iter().any(|text| text == "x")).await;
    assert_eq!(world.batches().iter().map(Vec::len).collect::<Vec<_>>(), [5, 4]);
    until(|| mappings.get(&id).unwrap().lag.is_some_and(|lag| lag.records == 0)).await;
    mappings.shutdown().await;
    // Even what was skipped is not looked at again.
    let mappings = world.start();
    world.put(&["xx"]).await;
    until(|| world.batches().last().unwrap() == &["xx"]).await;
    mappings.shutdown().await;
}

#[tokio::test]
async fn records_that_retention_took_are_passed() {
    let world = World::new(|_| Run::Fail).await;
    world.put(&["a", "b"]).await;
    let mappings = world.start();
    mappings.create(of_stream(MappingSettings::default())).await.unwrap();
    until(|| world.batches().len() > 2).await;
    let mut transaction = Transaction::new();
    let log = world.streams.get("s").unwrap().shards[0].log();
    transaction.trim_log(log, 2);
    world.storage.commit(transaction).await.unwrap();
    world.put(&["c"]).await;
    until(|| world.batches().last().unwrap() == &["c"]).await;
    mappings.shutdown().await;
}

#[tokio::test]
async fn a_stream_that_is_made_anew_is_read_from_its_beginning() {
    let world = World::new(|_| Run::Answer("")).await;
    world.put(&["a"]).await;
    let mappings = world.start();
    let id = mappings.create(of_stream(MappingSettings::default())).await.unwrap().definition.id.clone();
    until(|| world.batches() == [["a"]]).await;
    world.streams.delete("s").await.unwrap();
    until(|| matches!(mappings.get(&id).unwrap().last, LastResult::Problem(_))).await;
    world.stream(2).await;
    world.put(&["b"]).await;
    until(|| world.batches() == [["a"], ["b"]]).await;
    mappings.shutdown().await;
}

#[tokio::test]
async fn a_lane_that_breaks_begins_anew_beside_the_others() {
    let broken = Arc::new(AtomicBool::new(false));
    let breaks = Arc::clone(&broken);
    let world = World::new(move |batch| {
        if batch[0] == "a" && !breaks.swap(true, Ordering::Relaxed) {
            panic!("a defect");
        }
        Run::Answer("")
    })
    .await;
    let mappings = world.start();
    let settings = MappingSettings { parallelization: 8, batch_size: 1, ..Default::default() };
    mappings.create(of_stream(settings)).await.unwrap();
    world.put(&["a"]).await;
    until(|| broken.load(Ordering::Relaxed)).await;
    world.put(&["b", "c", "d"]).await;
    until(|| {
        let mut done = world.batches().concat();
        done.sort();
        done == ["a", "b", "c", "d"]
    })
    .await;
    mappings.shutdown().await;
}

#[tokio::test]
async fn a_stop_does_not_make_a_target_miss_what_is_given_up() {
    let world = World::new(fails_bad).await;
    world.put(&["bad"]).await;
    world.failures.down.store(true, Ordering::Relaxed);
    let mappings = world.start_waiting((Duration::from_secs(60), Duration::from_secs(60)));
    let settings = MappingSettings { retries_max: Some(0), on_failure: told(), ..Default::default() };
    mappings.create(of_stream(settings)).await.unwrap();
    until(|| world.discarded().len() == 1).await;
    mappings.shutdown().await;
    world.failures.down.store(false, Ordering::Relaxed);
    let mappings = world.start();
    until(|| world.discarded().len() == 2).await;
    world.put(&["c"]).await;
    until(|| world.batches().last().unwrap() == &["c"]).await;
    assert!(world.insight.logs.events("log of f", None, (0, i64::MAX), 0, 10).unwrap_or_default().is_empty());
    mappings.shutdown().await;
}

#[tokio::test]
async fn a_mapping_runs_though_its_maker_went_away() {
    let world = World::new(|_| Run::Answer("")).await;
    world.put(&["a"]).await;
    let mappings = world.start();
    {
        let created = mappings.create(of_stream(MappingSettings::default()));
        tokio::pin!(created);
        let _ = poll_fn(|context| Poll::Ready(created.as_mut().poll(context))).await;
    }
    until(|| world.batches() == [["a"]]).await;
    mappings.shutdown().await;
}

#[tokio::test]
async fn mappings_are_checked_changed_and_removed() {
    let world = World::new(|_| Run::Answer("")).await;
    let mappings = world.start();
    let made = mappings.create(of_stream(MappingSettings::default())).await.unwrap();
    assert_eq!(made.phase, Phase::Creating);
    let id = made.definition.id.clone();
    until(|| mappings.get(&id).unwrap().phase == Phase::Enabled).await;
    let twice = mappings.create(of_stream(MappingSettings::default())).await;
    assert!(matches!(twice, Err(MappingError::Exists { .. })), "{twice:?}");
    let queue = EventSource::Queue { name: "q".into() };
    for (new, expected) in [
        (NewMapping { function: "g".into(), ..of_stream(Default::default()) }, "no function `g`"),
        (NewMapping { start: None, ..of_stream(Default::default()) }, "needs a starting position"),
        (
            NewMapping { source: queue.clone(), ..of_stream(MappingSettings { batch_size: 1, ..Default::default() }) },
            "a starting position says nothing",
        ),
        (of_stream(MappingSettings { batch_size: 0, ..Default::default() }), "a batch size from 1 to 10000, found 0"),
        (of_stream(MappingSettings { record_age_max_seconds: Some(9), ..Default::default() }), "from 60 to"),
        (of_stream(MappingSettings { filters: vec!["bad".into()], ..Default::default() }), "cannot be read: bad"),
        (of_stream(MappingSettings { filters: vec![String::new(); 6], ..Default::default() }), "at most 5 filters"),
    ] {
        let error = mappings.create(NewMapping { enabled: false, ..new }).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.kind() == ErrorKind::NotFound, expected.starts_with("no "), "{error}");
    }
    change(&mappings, &id, |definition| definition.state = MappingState::Disabled).await;
    until(|| mappings.get(&id).unwrap().phase == Phase::Disabled).await;
    world.put(&["a"]).await;
    assert_eq!(mappings.delete(&id).await.unwrap().phase, Phase::Deleting);
    until(|| mappings.get(&id).is_err()).await;
    assert!(matches!(mappings.delete(&id).await, Err(MappingError::NotFound { .. })));
    assert!(world.batches().is_empty());
    let again = mappings.create(of_stream(MappingSettings::default())).await.unwrap();
    assert_ne!(again.definition.id, id);
    until(|| world.batches() == [["a"]]).await;
    mappings.shutdown().await;
}
