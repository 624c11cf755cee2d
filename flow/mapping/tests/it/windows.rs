//! Tumbling windows: states that functions hand from batch to batch.

use millstream_catalog::MappingSettings;
use millstream_mapping::MappingError;

use super::world::{Run, World, change, of_stream, until};

/// The window that the world's time is in, of one minute.
const WINDOW: &str = "999960000..1000020000";

/// A function that hands on the texts that it got, one behind the other.
fn appends(batch: &[String]) -> Run {
    let state = batch[0].split(' ').nth(1).unwrap().trim_matches(|char| char == '{' || char == '}').to_owned();
    Run::Answers(format!("state {state}{}", batch[1..].concat()))
}

fn settings() -> MappingSettings {
    MappingSettings { tumbling_window_seconds: Some(60), batch_size: 2, ..Default::default() }
}

fn event(state: &str, last: &str, records: &[&str]) -> Vec<String> {
    let window = format!("{WINDOW} {state} {last}");
    std::iter::once(window.as_str()).chain(records.iter().copied()).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_state_goes_from_batch_to_batch_through_starts_and_ends_with_its_window() {
    let world = World::new(appends).await;
    world.put(&["a", "b", "c"]).await;
    let mappings = world.start();
    mappings.create(of_stream(settings())).await.unwrap();
    until(|| world.batches().len() == 2).await;
    mappings.shutdown().await;
    let mappings = world.start();
    world.put(&["d"]).await;
    until(|| world.batches().len() == 3).await;
    world.clock.advance(20_000);
    until(|| world.batches().len() == 4).await;
    world.put(&["e"]).await;
    until(|| world.batches().len() == 5).await;
    let batches = world.batches();
    let expected = [
        event("{}", "false false", &["a", "b"]),
        event("ab", "false false", &["c"]),
        event("abc", "false false", &["d"]),
        event("abcd", "true false", &[]),
    ];
    assert_eq!(batches[..4], expected);
    assert_eq!(batches[4], ["1000020000..1000080000 {} false false", "e"]);
    mappings.shutdown().await;
}

#[tokio::test]
async fn records_of_a_later_window_end_the_one_before_and_a_failure_keeps_its_state() {
    let world = World::new(|batch| match batch[0].contains("true") {
        // The end is tried again like any batch.
        true => Run::Fail,
        false => appends(batch),
    })
    .await;
    world.put(&["a"]).await;
    world.clock.advance(20_000);
    world.put(&["b"]).await;
    let mappings = world.start();
    let id = mappings.create(of_stream(settings())).await.unwrap().definition.id.clone();
    until(|| world.batches().len() >= 4).await;
    assert_eq!(world.batches()[0], event("{}", "false false", &["a"]));
    assert!(world.batches()[1..].iter().all(|batch| *batch == event("a", "true false", &[])));
    change(&mappings, &id, |definition| definition.settings.retries_max = Some(0)).await;
    until(|| world.batches().last().unwrap().contains(&"b".to_owned())).await;
    let lines = world.insight.logs.events("log of f", None, (0, i64::MAX), 0, 10).unwrap();
    assert!(lines.iter().any(|(_, line)| line.message.contains("is lost: the function did not take its end")));
    mappings.shutdown().await;
}

#[tokio::test]
async fn an_answer_without_a_state_is_a_failure_and_a_large_one_ends_the_window_early() {
    let world = World::new(|_| Run::Answer("")).await;
    world.put(&["a"]).await;
    let mappings = world.start();
    mappings.create(of_stream(settings())).await.unwrap();
    until(|| world.batches().len() >= 3).await;
    assert!(world.batches().iter().all(|batch| *batch == event("{}", "false false", &["a"])));
    world.script(|batch| match batch[0].contains("true") {
        true => Run::Answer(""),
        false => Run::Answers(format!("state {}", "x".repeat((1 << 20) + 1))),
    });
    until(|| world.batches().last().unwrap()[0].ends_with("true true")).await;
    mappings.shutdown().await;
}

#[tokio::test]
async fn windows_need_one_batch_at_once() {
    let world = World::new(appends).await;
    let mappings = world.start();
    let refused = mappings.create(of_stream(MappingSettings { parallelization: 2, ..settings() })).await;
    assert!(matches!(refused, Err(MappingError::WindowsInParallel { parallelization: 2 })));
    for seconds in [0, 901] {
        let settings = MappingSettings { tumbling_window_seconds: Some(seconds), ..settings() };
        assert!(matches!(mappings.create(of_stream(settings)).await, Err(MappingError::OutOfRange { .. })));
    }
    mappings.shutdown().await;
}
