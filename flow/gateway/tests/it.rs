//! The gateway engine over the storage model.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use millstream_catalog::{Catalog, Integration, Method};
use millstream_gateway::{Gateway, GatewayError};
use millstream_insight::Insight;
use millstream_storage::Storage;
use millstream_types::{Clock, ManualClock};

fn engine() -> Gateway {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(1));
    let storage = Storage::in_memory(Arc::clone(&clock));
    Gateway::new(Catalog::open(&storage).unwrap(), Insight::open(&storage, Arc::clone(&clock)).unwrap(), clock)
}

fn mock() -> Method {
    Method { integration: Some(Integration { kind: "MOCK".into(), ..Integration::default() }), ..Method::default() }
}

#[tokio::test]
async fn what_is_edited_is_live_once_it_is_deployed() {
    let gateway = engine();
    let api = gateway.create_api("orders", "").await.unwrap();
    let root = api.resources.keys().next().unwrap().clone();
    assert!(matches!(gateway.deploy(&api.id, Some("prod"), "").await, Err(GatewayError::Invalid { .. })));
    let orders = gateway.create_resource(&api.id, &root, "orders").await.unwrap();
    gateway.edit_method(&api.id, &orders.id, "GET", |_| Ok(Some(mock()))).await.unwrap();
    assert!(gateway.route(&api.id, "prod", "GET", "/orders").is_err(), "no stage yet");
    gateway.deploy(&api.id, Some("prod"), "").await.unwrap();
    assert!(gateway.route(&api.id, "prod", "GET", "/orders").unwrap().is_some());
    gateway.edit_method(&api.id, &orders.id, "PUT", |_| Ok(Some(mock()))).await.unwrap();
    assert!(gateway.route(&api.id, "prod", "PUT", "/orders").unwrap().is_none(), "not deployed");
    gateway.deploy(&api.id, Some("prod"), "").await.unwrap();
    assert!(gateway.route(&api.id, "prod", "PUT", "/orders").unwrap().is_some());
    let again = gateway.create_resource(&api.id, &root, "orders").await;
    assert!(matches!(again, Err(GatewayError::Exists { .. })));
    assert!(matches!(gateway.create_resource(&api.id, &root, "a/b").await, Err(GatewayError::Invalid { .. })));
}

#[tokio::test]
async fn a_pipeline_files_api_keeps_its_address_and_changes_only_when_described_anew() {
    let gateway = engine();
    let route = |path: &str| ("POST".to_owned(), path.to_owned(), "Save".to_owned(), false);
    let (first, changed) = gateway.apply_api("trades", "prod", &[route("/")]).await.unwrap();
    assert!(changed);
    let (again, changed) = gateway.apply_api("trades", "prod", &[route("/")]).await.unwrap();
    assert_eq!((again.id.as_str(), changed), (first.id.as_str(), false));
    let (third, changed) = gateway.apply_api("trades", "prod", &[route("/"), route("/a/{b}")]).await.unwrap();
    assert_eq!((third.id.as_str(), changed), (first.id.as_str(), true));
    let found = gateway.route(&first.id, "prod", "POST", "/a/7").unwrap().unwrap();
    assert_eq!(found.matched.parameters["b"], "7");
    assert_eq!(found.matched.method.integration.unwrap().function.as_deref(), Some("Save"));
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_at_once_are_all_kept() {
    let gateway = engine();
    let api = gateway.create_api("orders", "").await.unwrap();
    let root = api.resources.keys().next().unwrap().clone();
    let edits: Vec<_> = (0..40)
        .map(|n| {
            let (gateway, api, root) = (gateway.clone(), api.id.clone(), root.clone());
            tokio::spawn(async move { gateway.create_resource(&api, &root, &format!("r{n}")).await })
        })
        .collect();
    for edit in edits {
        edit.await.unwrap().unwrap();
    }
    assert_eq!(gateway.get(&api.id).unwrap().resources.len(), 41);
}

#[tokio::test]
async fn a_method_without_an_integration_is_not_deployed() {
    let gateway = engine();
    let api = gateway.create_api("orders", "").await.unwrap();
    let root = api.resources.keys().next().unwrap().clone();
    gateway.edit_method(&api.id, &root, "GET", |_| Ok(Some(Method::default()))).await.unwrap();
    assert!(matches!(gateway.deploy(&api.id, Some("prod"), "").await, Err(GatewayError::Invalid { .. })));
}
