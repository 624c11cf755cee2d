//! Mappings of queues: what is deleted, what stays, and what becomes of messages when something breaks.

use bytes::Bytes;
use millstream_catalog::{EventSource, MappingSettings};
use millstream_mapping::{LastResult, NewMapping};
use millstream_types::ReceivedMessage;

use super::world::{Broken, NOW, Run, World, of_stream, until};

fn of_queue(settings: MappingSettings) -> NewMapping {
    NewMapping { source: EventSource::Queue { name: "q".into() }, start: None, ..of_stream(settings) }
}

fn received(id: &str, body: &str) -> ReceivedMessage {
    ReceivedMessage {
        id: id.into(),
        receipt: format!("r-{id}"),
        body: Bytes::copy_from_slice(body.as_bytes()),
        visible_at: NOW + 30_000,
        ..ReceivedMessage::default()
    }
}

#[tokio::test]
async fn messages_that_the_function_has_are_deleted_and_no_others() {
    let world = World::new(|batch| match batch[0].as_str() {
        "fail" => Run::Fail,
        "report" => Run::Answers("m1".to_owned()),
        "wrong" => Run::Answer("none"),
        _ => Run::Answer(""),
    })
    .await;
    let mappings = world.start();
    let settings = MappingSettings { batch_size: 2, reports_failures: true, ..Default::default() };
    let id = mappings.create(of_queue(settings)).await.unwrap().definition.id.clone();
    for (texts, deleted) in [
        (["a", "b"], vec!["r-m0", "r-m1"]),
        (["fail", "x"], vec![]),
        (["report", "x"], vec!["r-m0"]),
        (["wrong", "x"], vec![]),
    ] {
        let (before, had) = (world.batches().len(), world.queue.deleted.lock().unwrap().len());
        let messages = texts.iter().enumerate().map(|(n, text)| received(&format!("m{n}"), text));
        world.queue.messages.lock().unwrap().extend(messages);
        until(|| world.batches().len() > before && world.queue.deleted.lock().unwrap().len() >= had + deleted.len())
            .await;
        assert_eq!(world.queue.deleted.lock().unwrap()[had..], deleted);
    }
    assert_eq!(mappings.get(&id).unwrap().last, LastResult::Failed);
    // What cannot be brought while the node stops is for others at once.
    world.script(|_| Run::Throttled);
    world.queue.messages.lock().unwrap().push_back(received("m9", "later"));
    until(|| world.batches().concat().iter().any(|text| text == "later")).await;
    mappings.shutdown().await;
    assert_eq!(*world.queue.released.lock().unwrap(), ["r-m9"]);
}

#[tokio::test]
async fn what_was_gathered_before_an_error_is_brought() {
    let world = World::new(|_| Run::Answer("")).await;
    let mappings = world.start();
    let settings = MappingSettings { batch_size: 10, window_seconds: 300, ..Default::default() };
    world.queue.messages.lock().unwrap().push_back(received("m0", "a"));
    world.queue.broken.lock().unwrap().push_back(Broken::Error);
    mappings.create(of_queue(settings)).await.unwrap();
    until(|| world.batches() == [["a"]]).await;
    until(|| *world.queue.deleted.lock().unwrap() == ["r-m0"]).await;
    mappings.shutdown().await;
}

#[tokio::test]
async fn a_poller_that_breaks_begins_anew() {
    let world = World::new(|_| Run::Answer("")).await;
    world.queue.broken.lock().unwrap().push_back(Broken::Panic);
    let mappings = world.start();
    let settings = MappingSettings { batch_size: 1, ..Default::default() };
    let id = mappings.create(of_queue(settings)).await.unwrap().definition.id.clone();
    until(|| matches!(mappings.get(&id).unwrap().last, LastResult::Problem(why) if why.contains("broke"))).await;
    world.queue.messages.lock().unwrap().push_back(received("m0", "a"));
    until(|| world.batches() == [["a"]]).await;
    mappings.shutdown().await;
}
