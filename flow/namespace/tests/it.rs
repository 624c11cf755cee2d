//! The namespace engine over the storage model.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use millstream_catalog::{AccessRights, Catalog, StreamOwner};
use millstream_namespace::policy::{DEVELOPMENT_KEY, ROOT_POLICY};
use millstream_namespace::token::signature;
use millstream_namespace::{
    Announced, DEFAULT_NAMESPACE, KeyName, NamespaceError, Namespaces, NewHub, Producer, Right, Scope, Sequenced,
    Token, Verdict,
};
use millstream_storage::{Storage, Transaction};
use millstream_stream::{Entry, Streams};
use millstream_types::ManualClock;

fn engine(development: bool) -> (Namespaces, Streams) {
    let clock = Arc::new(ManualClock::at(1_000));
    let storage = Storage::in_memory(clock.clone());
    let catalog = Catalog::open(&storage).unwrap();
    let streams = Streams::new(storage.clone(), catalog.clone(), clock.clone());
    let calls = AtomicU8::new(0);
    let random = Arc::new(move || [calls.fetch_add(1, Ordering::Relaxed); 32]);
    (Namespaces::new(storage, catalog, streams.clone(), clock, random, development), streams)
}

fn hub(name: &str, partitions: u32) -> NewHub {
    NewHub { name: name.into(), partitions, retention_hours: 24 }
}

fn token(hub: &str, policy: &str, key: &str) -> Token {
    let resource = format!("sb://host/{hub}");
    let signature = signature(key, &resource, "60").unwrap();
    Token { resource, path: vec![hub.into()], expiry: "60".into(), signature, policy: policy.into() }
}

#[tokio::test]
async fn a_hub_is_the_stream_of_its_name() {
    let (namespaces, streams) = engine(false);
    namespaces.ensure_default().await.unwrap();
    namespaces.ensure_default().await.unwrap();
    namespaces.create_namespace("other").await.unwrap();
    namespaces.put_hub(DEFAULT_NAMESPACE, hub("trades", 3)).await.unwrap();
    namespaces.put_hub("other", hub("trades", 2)).await.unwrap();
    assert_eq!(streams.get("trades").unwrap().shards.len(), 3);
    assert_eq!(streams.get("trades").unwrap().owner, StreamOwner::User);
    assert_eq!(streams.get("other/trades").unwrap().owner, StreamOwner::Hub);
    assert_eq!(namespaces.hub(DEFAULT_NAMESPACE, "TRADES").unwrap().name, "trades");
    assert_eq!(namespaces.of_host("other.servicebus.windows.net"), "other");
    assert_eq!(namespaces.of_host("localhost:5672"), DEFAULT_NAMESPACE);

    let changed = namespaces.put_hub("other", hub("trades", 3)).await;
    assert!(matches!(changed, Err(NamespaceError::PartitionsFixed { partitions: 2, .. })));
    let many = namespaces.put_hub("other", hub("many", 33)).await;
    assert!(matches!(many, Err(NamespaceError::PartitionCount { .. })));
    assert!(matches!(namespaces.delete_namespace("other").await, Err(NamespaceError::NotEmpty(_))));
    namespaces.delete_hub("other", "trades").await.unwrap();
    assert!(streams.get("other/trades").is_err());
    namespaces.delete_namespace("other").await.unwrap();
}

#[tokio::test]
async fn consumer_groups_are_found_in_any_case_and_one_stays() {
    let (namespaces, _) = engine(false);
    namespaces.ensure_default().await.unwrap();
    namespaces.put_hub(DEFAULT_NAMESPACE, hub("trades", 1)).await.unwrap();
    namespaces.put_group(DEFAULT_NAMESPACE, "trades", "Audit", "mine").await.unwrap();
    let changed = namespaces.put_group(DEFAULT_NAMESPACE, "trades", "audit", "yours").await.unwrap();
    let names: Vec<&str> = changed.consumer_groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["$Default", "Audit"]);
    assert_eq!(changed.consumer_groups[1].metadata, "yours");
    let fixed = namespaces.delete_group(DEFAULT_NAMESPACE, "trades", "$default").await;
    assert!(matches!(fixed, Err(NamespaceError::Fixed { .. })));
    namespaces.delete_group(DEFAULT_NAMESPACE, "trades", "AUDIT").await.unwrap();
}

#[tokio::test]
async fn policies_hold_for_their_hub_or_for_all_and_keys_can_be_changed() {
    let (namespaces, _) = engine(false);
    namespaces.ensure_default().await.unwrap();
    namespaces.put_hub(DEFAULT_NAMESPACE, hub("a", 1)).await.unwrap();
    namespaces.put_hub(DEFAULT_NAMESPACE, hub("b", 1)).await.unwrap();
    let scope = Scope { namespace: DEFAULT_NAMESPACE.into(), hub: Some("a".into()) };
    let send = AccessRights { send: true, ..AccessRights::default() };
    let policy = namespaces.put_policy(&scope, "sender", send).await.unwrap();
    let verify = |token: &Token| namespaces.verify(DEFAULT_NAMESPACE, token);
    let claims = verify(&token("a", "sender", &policy.primary_key)).unwrap();
    assert!(claims.allow(Right::Send, &["a"], 1_000) && !claims.allow(Right::Listen, &["a"], 1_000));
    assert!(verify(&token("b", "sender", &policy.primary_key)).is_err());

    let changed = namespaces.regenerate(&scope, "sender", KeyName::Primary).await.unwrap();
    assert!(verify(&token("a", "sender", &policy.primary_key)).is_err());
    assert!(verify(&token("a", "sender", &changed.primary_key)).is_ok());
    assert!(verify(&token("a", "sender", &policy.secondary_key)).is_ok());

    let manage = AccessRights { manage: true, ..AccessRights::default() };
    assert!(matches!(namespaces.put_policy(&scope, "m", manage).await, Err(NamespaceError::Rights)));
    namespaces.delete_policy(&scope, "sender").await.unwrap();
    assert!(verify(&token("a", "sender", &changed.primary_key)).is_err());
}

#[tokio::test]
async fn the_published_key_opens_development_nodes_only() {
    for development in [true, false] {
        let (namespaces, _) = engine(development);
        namespaces.ensure_default().await.unwrap();
        let token = token("any", ROOT_POLICY, DEVELOPMENT_KEY);
        assert_eq!(namespaces.verify(DEFAULT_NAMESPACE, &token).is_ok(), development);
    }
}

fn sequenced(producer: &Producer, first: i32, texts: &[&str]) -> Sequenced {
    let entry = |text: &&str| Entry {
        partition_key: Bytes::new(),
        explicit_hash_key: None,
        headers: Bytes::new(),
        data: Bytes::copy_from_slice(text.as_bytes()),
    };
    Sequenced {
        stream: "trades".into(),
        partition: 0,
        producer: producer.id,
        epoch: producer.epoch,
        first,
        entries: texts.iter().map(entry).collect(),
    }
}

#[tokio::test]
async fn what_a_producer_sends_again_is_kept_once() {
    let (namespaces, streams) = engine(false);
    namespaces.ensure_default().await.unwrap();
    namespaces.put_hub(DEFAULT_NAMESPACE, hub("trades", 1)).await.unwrap();
    let producers = namespaces.producers();
    let first = producers.announce("trades", 0, Announced::default()).await.unwrap();
    assert_eq!((first.epoch, first.sequence), (0, 0));
    let sent = vec![
        sequenced(&first, 1, &["a", "b"]),
        sequenced(&first, 1, &["a", "b"]),
        sequenced(&first, 4, &["d"]),
        sequenced(&first, 3, &["c"]),
    ];
    let (_, outcomes) = producers.commit(Transaction::new(), 0, sent).await.unwrap();
    let verdicts: Vec<Verdict> = outcomes.iter().map(|(verdict, _)| *verdict).collect();
    let gap = Verdict::OutOfOrder { expected: 3 };
    assert_eq!(verdicts, [Verdict::Taken, Verdict::Repeated, gap, Verdict::Taken]);
    let log = streams.get("trades").unwrap().shards[0].log();
    assert_eq!(streams.bounds(log).next, 3);
    let other = Announced { id: Some(first.id), epoch: Some(1), sequence: None };
    let second = producers.announce("trades", 0, other).await.unwrap();
    assert_eq!((second.epoch, second.sequence), (1, 3));
    let (_, outcomes) = producers.commit(Transaction::new(), 0, vec![sequenced(&first, 4, &["d"])]).await.unwrap();
    assert_eq!(outcomes[0].0, Verdict::Displaced { current: 1 });
    let stranger = Producer { id: 1, epoch: 0, sequence: 0 };
    let (_, outcomes) = producers.commit(Transaction::new(), 0, vec![sequenced(&stranger, 1, &["d"])]).await.unwrap();
    assert_eq!(outcomes[0].0, Verdict::Unknown);
}

#[tokio::test]
async fn a_namespace_has_the_units_it_is_given_and_grows_when_it_may() {
    let (namespaces, _) = engine(false);
    namespaces.create_namespace("shop-one").await.unwrap();
    let meter = namespaces.meter("shop-one").unwrap();
    assert!(meter.take_in(5_000, 0) && meter.take_in(5_000, 0));
    namespaces.set_throughput("shop-one", 1, 2).await.unwrap();
    assert!(meter.take_in(5_000, 0) && !meter.take_in(1, 0));
    namespaces.inflate("shop-one").await.unwrap();
    namespaces.inflate("shop-one").await.unwrap();
    assert_eq!(namespaces.namespace("shop-one").unwrap().throughput_units, 2);
    for (units, units_max) in [(41, 0), (1, 41), (3, 2)] {
        let refused = namespaces.set_throughput("shop-one", units, units_max).await;
        assert!(matches!(refused, Err(NamespaceError::Units { .. })), "{units} {units_max}");
    }
}
