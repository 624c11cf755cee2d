//! The engine over a store in memory and on disk.
#![allow(missing_docs, clippy::unwrap_used)]

use std::future::poll_fn;
use std::ops::Bound;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{Catalog, QueueDefinition, QueueSettings, Redrive, RedriveSources};
use millstream_queue::{Counts, Message, NewMessage, NewQueue, QueueError, Queues, Receive, RedriveState, Update};
use millstream_storage::{Keyspace, Storage};
use millstream_types::{ManualClock, SystemClock};

const NOW: Receive = Receive { max: 10, hidden: None, wait: Some(Duration::ZERO) };

struct Bench {
    storage: Storage,
    clock: Arc<ManualClock>,
    queues: Queues,
}

async fn open(storage: &Storage, clock: &Arc<ManualClock>) -> Queues {
    Queues::open(storage.clone(), Catalog::open(storage).unwrap(), clock.clone()).await.unwrap()
}

async fn bench() -> Bench {
    let clock = Arc::new(ManualClock::at(1_000_000));
    let storage = Storage::in_memory(clock.clone());
    let queues = open(&storage, &clock).await;
    Bench { queues, storage, clock }
}

async fn create(queues: &Queues, name: &str, settings: QueueSettings) {
    queues.create(NewQueue { name: name.into(), settings, ..NewQueue::default() }).await.unwrap();
}

fn message(body: &str) -> NewMessage {
    NewMessage { body: Bytes::copy_from_slice(body.as_bytes()), ..NewMessage::default() }
}

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| std::str::from_utf8(&message.body).unwrap()).collect()
}

#[tokio::test]
async fn what_is_in_flight_survives_the_next_start() {
    let Bench { storage, clock, queues } = bench().await;
    create(&queues, "q", QueueSettings::default()).await;
    queues.send("q", vec![message("a"), message("b"), message("c")]).await.unwrap();
    let first = queues.receive("q", Receive { max: 2, ..NOW }).await.unwrap();
    assert_eq!(bodies(&first), ["a", "b"]);
    queues.delete_message("q", first[0].receipt).await.unwrap();

    let queues = open(&storage, &clock).await;
    assert_eq!(queues.counts("q").unwrap(), Counts { visible: 1, in_flight: 1, delayed: 0 });
    assert_eq!(bodies(&queues.receive("q", NOW).await.unwrap()), ["c"]);
    clock.advance(30_000);
    let again = queues.receive("q", NOW).await.unwrap();
    assert_eq!(bodies(&again), ["b", "c"]);
    assert_eq!(again[0].receives, 2);
    let old = queues.delete_message("q", first[1].receipt).await;
    assert!(matches!(old, Err(QueueError::OldReceipt { .. })));
    queues.delete_message("q", again[0].receipt).await.unwrap();
    let gone = queues.delete_message("q", again[0].receipt).await;
    assert!(matches!(gone, Err(QueueError::MessageNotFound { .. })));
}

#[tokio::test]
async fn messages_received_too_often_move_to_the_dead_letter_queue() {
    let Bench { storage, clock, queues } = bench().await;
    create(&queues, "dead", QueueSettings::default()).await;
    let redrive = Some(Redrive { queue: "dead".into(), receives_max: 2 });
    create(&queues, "q", QueueSettings { redrive, visibility_seconds: 1, ..QueueSettings::default() }).await;
    queues.send("q", vec![message("poison")]).await.unwrap();
    for _ in 0..2 {
        assert_eq!(queues.receive("q", NOW).await.unwrap().len(), 1);
        clock.advance(1_000);
    }
    assert_eq!(queues.receive("q", NOW).await.unwrap(), []);
    queues.delete("q").await.unwrap();
    let queues = open(&storage, &clock).await;
    assert_eq!(bodies(&queues.receive("dead", NOW).await.unwrap()), ["poison"]);
}

#[tokio::test]
async fn messages_change_expire_and_are_purged() {
    let Bench { clock, queues, .. } = bench().await;
    create(&queues, "q", QueueSettings { retention_seconds: 60, ..QueueSettings::default() }).await;
    queues.send("q", vec![message("a"), NewMessage { delay: Some(5_000), ..message("later") }]).await.unwrap();
    assert_eq!(queues.counts("q").unwrap(), Counts { visible: 1, in_flight: 0, delayed: 1 });
    let taken = queues.receive("q", NOW).await.unwrap();
    let update = Update { hidden: 0, body: Some(Bytes::from_static(b"changed")), renew: true };
    let changed = queues.update("q", taken[0].receipt, update.clone()).await.unwrap();
    assert!(matches!(queues.update("q", taken[0].receipt, update).await, Err(QueueError::OldReceipt { .. })));
    assert_eq!(bodies(&queues.peek("q", 10).await.unwrap()), ["changed"]);
    assert_eq!(changed.visible_at, 1_000_000);
    clock.advance(5_000);
    assert_eq!(bodies(&queues.receive("q", NOW).await.unwrap()), ["changed", "later"]);
    clock.advance(60_000);
    queues.enforce_retention().await.unwrap();
    assert_eq!(queues.counts("q").unwrap().all(), 0);
    queues.send("q", vec![message("b")]).await.unwrap();
    queues.purge("q").await.unwrap();
    assert_eq!(queues.receive("q", NOW).await.unwrap(), []);
}

#[tokio::test]
async fn a_receiver_waits_for_a_message_and_for_one_that_is_hidden() {
    let storage = Storage::in_memory(Arc::new(SystemClock));
    let queues = Queues::open(storage.clone(), Catalog::open(&storage).unwrap(), Arc::new(SystemClock)).await.unwrap();
    create(&queues, "q", QueueSettings::default()).await;
    let waiting = Receive { max: 1, hidden: Some(20), wait: Some(Duration::from_secs(20)) };
    let receiver = tokio::spawn({
        let queues = queues.clone();
        async move { queues.receive("q", waiting).await }
    });
    queues.send("q", vec![message("a")]).await.unwrap();
    assert_eq!(bodies(&receiver.await.unwrap().unwrap()), ["a"]);
    assert_eq!(bodies(&queues.receive("q", waiting).await.unwrap()), ["a"]);
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let Bench { queues, .. } = bench().await;
    create(&queues, "q", QueueSettings::default()).await;
    let refused = async |name: &str, settings| {
        let new = NewQueue { name: name.into(), settings, ..NewQueue::default() };
        queues.create(new).await.unwrap_err().to_string()
    };
    let redrive = |queue: &str| {
        let redrive = Some(Redrive { queue: queue.into(), receives_max: 1 });
        QueueSettings { redrive, ..QueueSettings::default() }
    };
    let hours = QueueSettings { visibility_seconds: 43_201, ..QueueSettings::default() };
    for (name, settings, expected) in [
        ("q", QueueSettings::default(), "there is a queue `q` already"),
        (
            "a.b",
            QueueSettings::default(),
            "expected a name of 1 to 80 letters, digits, `-` and `_` for a queue, found `a.b`",
        ),
        ("new", hours, "expected seconds of hiding from 0 to 43200, found 43201"),
        ("new", redrive("new"), "`new` cannot take dead letters: it is the queue itself"),
        ("new", redrive("none"), "`none` cannot take dead letters: there is no such queue"),
    ] {
        assert_eq!(refused(name, settings).await, expected);
    }
    let large = message(&"x".repeat((1 << 20) + 1));
    assert!(matches!(queues.send("q", vec![large]).await, Err(QueueError::MessageTooLarge { .. })));
    assert!(matches!(queues.send("none", vec![]).await, Err(QueueError::QueueNotFound { .. })));
}

#[tokio::test]
async fn dead_letters_go_back_to_where_they_came_from() {
    let Bench { storage, clock, queues } = bench().await;
    create(&queues, "dead", QueueSettings::default()).await;
    let redrive = Some(Redrive { queue: "dead".into(), receives_max: 1 });
    create(&queues, "q", QueueSettings { visibility_seconds: 0, redrive, ..QueueSettings::default() }).await;
    queues.send("q", vec![message("a"), message("b")]).await.unwrap();
    queues.receive("q", NOW).await.unwrap();
    assert_eq!(queues.receive("q", NOW).await.unwrap(), []);
    let queues = open(&storage, &clock).await;
    let letter = queues.peek("dead", 1).await.unwrap().remove(0);
    assert_eq!(letter.dead_from.as_deref(), Some("q"));
    assert_eq!(queues.dead_letter_sources("dead"), ["q"]);
    assert!(matches!(queues.start_redrive("q", None, None), Err(QueueError::NotDeadLetters { .. })));
    assert!(matches!(queues.start_redrive("dead", None, Some(0)), Err(QueueError::OutOfRange { .. })));
    queues.start_redrive("dead", None, None).unwrap();
    while queues.redrives("dead").unwrap()[0].state == RedriveState::Running {
        tokio::task::yield_now().await;
    }
    let task = queues.redrives("dead").unwrap().remove(0);
    assert_eq!((task.state, task.moved, task.to_move), (RedriveState::Completed, 2, 2));
    let back = queues.receive("q", NOW).await.unwrap();
    assert_eq!((bodies(&back), back[0].receives, &back[0].dead_from), (vec!["a", "b"], 1, &None));
    queues.send("dead", vec![message("from nowhere")]).await.unwrap();
    let id = queues.start_redrive("dead", None, None).unwrap();
    while queues.redrives("dead").unwrap()[0].state == RedriveState::Running {
        tokio::task::yield_now().await;
    }
    assert!(
        matches!(&queues.redrives("dead").unwrap()[0].state, RedriveState::Failed(why) if why.contains("not known"))
    );
    assert!(matches!(queues.cancel_redrive(&id), Err(QueueError::NoRedrive)));
}

#[tokio::test]
async fn what_is_not_hidden_cannot_be_hidden_longer_and_purges_keep_apart() {
    let Bench { clock, queues, .. } = bench().await;
    create(&queues, "q", QueueSettings::default()).await;
    let traced = NewMessage { trace: Some("Root=1".into()), group: Some("tenant".into()), ..message("a") };
    queues.send("q", vec![traced]).await.unwrap();
    let taken = queues.receive("q", NOW).await.unwrap().remove(0);
    assert_eq!((taken.trace.as_deref(), taken.group.as_deref()), (Some("Root=1"), Some("tenant")));
    queues.hide("q", taken.receipt, 60_000).await.unwrap();
    clock.advance(60_000);
    assert!(matches!(queues.hide("q", taken.receipt, 1).await, Err(QueueError::NotInFlight { .. })));
    queues.purge_apart("q", 60_000).await.unwrap();
    assert_eq!(queues.counts("q").unwrap().all(), 0);
    clock.advance(59_999);
    assert!(matches!(queues.purge_apart("q", 60_000).await, Err(QueueError::PurgedLately { .. })));
    clock.advance(1);
    queues.purge_apart("q", 60_000).await.unwrap();
}

#[tokio::test]
async fn a_large_queue_is_removed_to_the_end_though_who_asked_went_away() {
    let Bench { storage, queues, .. } = bench().await;
    create(&queues, "q", QueueSettings::default()).await;
    for _ in 0..3 {
        queues.send("q", (0..1_000).map(|_| message("x")).collect()).await.unwrap();
    }
    {
        let deleted = queues.delete("q");
        tokio::pin!(deleted);
        let _ = poll_fn(|context| Poll::Ready(deleted.as_mut().poll(context))).await;
    }
    let all = (Bound::Unbounded, Bound::Unbounded);
    let emptied = async {
        while !storage.scan(&Keyspace::new("queue/states"), all, false, 1).unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), emptied).await.unwrap();
    assert!(matches!(queues.counts("q"), Err(QueueError::QueueNotFound { .. })));
}

#[tokio::test]
async fn changes_of_one_queue_do_not_lose_each_other() {
    let Bench { queues, .. } = bench().await;
    create(&queues, "q", QueueSettings::default()).await;
    let mut changes = tokio::task::JoinSet::new();
    for number in 0..20 {
        let queues = queues.clone();
        changes.spawn(async move {
            let change = |queue: &mut QueueDefinition| {
                queue.tags.insert(number.to_string(), String::new());
                Ok::<_, QueueError>(())
            };
            queues.change("q", change).await.map(drop)
        });
    }
    assert!(changes.join_all().await.into_iter().all(|changed| changed.is_ok()));
    assert_eq!(queues.get("q").unwrap().tags.len(), 20);
    let refused = |queue: &mut QueueDefinition| {
        queue.tags.clear();
        Err(QueueError::NoRedrive)
    };
    assert!(queues.change("q", refused).await.is_err());
    assert_eq!(queues.get("q").unwrap().tags.len(), 20, "what is refused changes nothing");
}

#[tokio::test]
async fn a_queue_says_whose_dead_letters_it_takes() {
    let Bench { queues, .. } = bench().await;
    let settings = |sources| QueueSettings { sources, ..QueueSettings::default() };
    create(&queues, "none", settings(RedriveSources::None)).await;
    create(&queues, "some", settings(RedriveSources::Queues(vec!["a".into()]))).await;
    let to = |queue: &str| {
        let redrive = Some(Redrive { queue: queue.into(), receives_max: 1 });
        QueueSettings { redrive, ..QueueSettings::default() }
    };
    for (name, target, fine) in [("a", "none", false), ("b", "some", false), ("a", "some", true)] {
        let made = queues.create(NewQueue { name: name.into(), settings: to(target), ..NewQueue::default() }).await;
        assert_eq!(made.is_ok(), fine, "{name} to {target}: {made:?}");
    }
}
