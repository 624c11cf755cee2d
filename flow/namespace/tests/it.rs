//! The namespace engine over the storage model.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use futures_util::FutureExt as _;
use millstream_catalog::{AccessRights, Catalog, StreamOwner};
use millstream_namespace::policy::{DEVELOPMENT_KEY, ROOT_POLICY};
use millstream_namespace::token::signature;
use millstream_namespace::{DEFAULT_NAMESPACE, KeyName, NamespaceError, Namespaces, NewHub, Right, Scope, Token};
use millstream_storage::Storage;
use millstream_stream::{NewStream, Streams};
use millstream_types::ManualClock;

fn engine(development: bool) -> (Namespaces, Streams) {
    let clock = Arc::new(ManualClock::at(1_000));
    let storage = Storage::in_memory(clock.clone());
    let catalog = Catalog::open(&storage).unwrap();
    let streams = Streams::new(storage, catalog.clone(), clock.clone());
    let calls = AtomicU8::new(0);
    let random = Arc::new(move || [calls.fetch_add(1, Ordering::Relaxed); 32]);
    (Namespaces::new(catalog, streams.clone(), clock, random, development), streams)
}

fn hub(name: &str, partitions: u32) -> NewHub {
    NewHub { name: name.into(), partitions, retention_hours: 24, retention_bytes: None }
}

fn stream(name: &str) -> NewStream {
    NewStream { name: name.into(), owner: StreamOwner::User, shards: 1, retention_hours: 24 }
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
async fn a_hub_that_is_made_or_removed_by_its_exact_name_leaves_others_alone() {
    let (namespaces, streams) = engine(false);
    namespaces.ensure_default().await.unwrap();
    namespaces.put_hub(DEFAULT_NAMESPACE, NewHub { retention_hours: 900, ..hub("orders", 1) }).await.unwrap();
    for name in ["orders", "Orders"] {
        let made = namespaces.create_hub(DEFAULT_NAMESPACE, hub(name, 1)).await;
        assert!(matches!(made, Err(NamespaceError::Exists { name, .. }) if name == "orders"), "{name}");
    }
    assert_eq!(streams.get("orders").unwrap().retention_hours, 900);

    streams.create(stream("Orders")).await.unwrap();
    for name in ["orders", "Orders"] {
        let found = namespaces.hub_or_stream(DEFAULT_NAMESPACE, name).unwrap();
        assert_eq!(found.stream, "orders", "who has a key of the hub does not come to another stream with it");
    }
    namespaces.delete_stream(DEFAULT_NAMESPACE, "Orders").await.unwrap();
    assert!(streams.get("Orders").is_err());
    assert!(streams.get("orders").is_ok() && namespaces.hub(DEFAULT_NAMESPACE, "orders").is_ok());
    namespaces.delete_stream(DEFAULT_NAMESPACE, "orders").await.unwrap();
    assert!(streams.get("orders").is_err() && namespaces.hub(DEFAULT_NAMESPACE, "orders").is_err());
}

#[tokio::test]
async fn a_stream_that_nobody_made_a_hub_is_found_as_one_by_its_exact_name() {
    let (namespaces, streams) = engine(false);
    namespaces.ensure_default().await.unwrap();
    namespaces.create_namespace("other").await.unwrap();
    streams.create(stream("trades")).await.unwrap();
    streams.create(NewStream { owner: StreamOwner::Query, ..stream("query/q/s") }).await.unwrap();
    let found = namespaces.hub_or_stream(DEFAULT_NAMESPACE, "trades").unwrap();
    assert_eq!((found.stream.as_str(), found.consumer_groups.len(), found.policies.len()), ("trades", 1, 0));
    for (namespace, name) in [(DEFAULT_NAMESPACE, "TRADES"), (DEFAULT_NAMESPACE, "query/q/s"), ("other", "trades")] {
        assert!(namespaces.hub_or_stream(namespace, name).is_err(), "{namespace} {name}");
    }
    assert!(
        namespaces.hub(DEFAULT_NAMESPACE, "trades").is_err() && namespaces.hubs(DEFAULT_NAMESPACE).unwrap().is_empty()
    );
    let (_, made) = namespaces.put_hub(DEFAULT_NAMESPACE, hub("trades", 1)).await.unwrap();
    assert!(made && namespaces.hub_or_stream(DEFAULT_NAMESPACE, "TRADES").is_ok(), "who makes it a hub makes it one");
}

#[tokio::test]
async fn a_hub_whose_stream_is_gone_is_made_anew() {
    let (namespaces, streams) = engine(false);
    namespaces.ensure_default().await.unwrap();
    namespaces.create_hub(DEFAULT_NAMESPACE, hub("orders", 1)).await.unwrap();
    streams.delete("orders").await.unwrap();
    let other = namespaces.create_hub(DEFAULT_NAMESPACE, hub("Orders", 1)).await;
    assert!(matches!(other, Err(NamespaceError::Exists { .. })));
    namespaces.create_hub(DEFAULT_NAMESPACE, hub("orders", 2)).await.unwrap();
    assert_eq!(streams.get("orders").unwrap().shards.len(), 2);
}

#[tokio::test]
async fn a_change_goes_on_to_its_end_without_its_caller() {
    let (namespaces, streams) = engine(false);
    namespaces.ensure_default().await.unwrap();
    // Asked once, then given up.
    assert!(namespaces.create_hub(DEFAULT_NAMESPACE, hub("orders", 3)).now_or_never().is_none());
    // The next change waits for its turn, which the first one takes along to its end.
    let again = namespaces.create_hub(DEFAULT_NAMESPACE, hub("orders", 3)).await;
    assert!(matches!(again, Err(NamespaceError::Exists { .. })));
    assert_eq!(streams.get("orders").unwrap().shards.len(), 3);
    assert!(namespaces.delete_hub(DEFAULT_NAMESPACE, "orders").now_or_never().is_none());
    assert!(matches!(
        namespaces.put_group(DEFAULT_NAMESPACE, "orders", "late", "").await,
        Err(NamespaceError::NotFound { .. })
    ));
    assert!(streams.get("orders").is_err());
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
