//! The gateway engine over the storage model.

#![allow(clippy::unwrap_used)]

#[path = "it/plans.rs"]
mod plans;

use std::sync::Arc;

use millstream_catalog::{
    Catalog, Integration, ManagedApi, ManagedOperation, ManagedSubscriptionState, Method, Product, SubscriptionScope,
};
use millstream_gateway::managed::definitions::NewSubscription;
use millstream_gateway::managed::{Failure, PolicyScope};
use millstream_gateway::{
    BackendOptions, Backends, Gateway, GatewayError, Managed, ManagedRequest, Route, Served, StageChange,
};
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
    assert!(Served::of(&gateway.get(&api.id).unwrap(), "prod", "GET", "/orders").is_err(), "no stage yet");
    gateway.deploy(&api.id, Some("prod"), "").await.unwrap();
    assert!(Served::of(&gateway.get(&api.id).unwrap(), "prod", "GET", "/orders").unwrap().is_some());
    gateway.edit_method(&api.id, &orders.id, "PUT", |_| Ok(Some(mock()))).await.unwrap();
    assert!(Served::of(&gateway.get(&api.id).unwrap(), "prod", "PUT", "/orders").unwrap().is_none(), "not deployed");
    gateway.deploy(&api.id, Some("prod"), "").await.unwrap();
    assert!(Served::of(&gateway.get(&api.id).unwrap(), "prod", "PUT", "/orders").unwrap().is_some());
    let again = gateway.create_resource(&api.id, &root, "orders").await;
    assert!(matches!(again, Err(GatewayError::Exists { .. })));
    assert!(matches!(gateway.create_resource(&api.id, &root, "a/b").await, Err(GatewayError::Invalid { .. })));
}

#[tokio::test]
async fn a_pipeline_files_api_keeps_its_address_and_changes_only_when_described_anew() {
    let gateway = engine();
    let route = |path: &str| Route {
        method: "POST".to_owned(),
        path: path.to_owned(),
        function: "Save".to_owned(),
        whole_request: false,
        key_required: false,
    };
    let (first, changed) = gateway.apply_api("trades", "prod", &[route("/")]).await.unwrap();
    assert!(changed);
    let (again, changed) = gateway.apply_api("trades", "prod", &[route("/")]).await.unwrap();
    assert_eq!((again.id.as_str(), changed), (first.id.as_str(), false));
    let (third, changed) = gateway.apply_api("trades", "prod", &[route("/"), route("/a/{b}")]).await.unwrap();
    assert_eq!((third.id.as_str(), changed), (first.id.as_str(), true));
    let definition = gateway.get(&first.id).unwrap();
    let found = Served::of(&definition, "prod", "POST", "/a/7").unwrap().unwrap();
    assert_eq!(found.matched.parameters["b"], "7");
    assert_eq!(found.matched.method.integration.as_ref().unwrap().function.as_deref(), Some("Save"));
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

#[tokio::test]
async fn stages_change_deployments_and_keep_them_from_being_removed() {
    let gateway = engine();
    let api = gateway.create_api("orders", "").await.unwrap();
    let root = api.resources.keys().next().unwrap().clone();
    gateway.edit_method(&api.id, &root, "GET", |_| Ok(Some(mock()))).await.unwrap();
    let first = gateway.deploy(&api.id, Some("prod"), "").await.unwrap();
    let second = gateway.deploy(&api.id, None, "").await.unwrap();
    assert!(matches!(gateway.delete_deployment(&api.id, &first.id).await, Err(GatewayError::Invalid { .. })));
    let variables = [("a".to_owned(), Some("1".to_owned()))].into();
    let change = StageChange { deployment: Some(second.id.clone()), variables, ..StageChange::default() };
    gateway.update_stage(&api.id, "prod", change).await.unwrap();
    let definition = gateway.get(&api.id).unwrap();
    let served = Served::of(&definition, "prod", "GET", "/").unwrap().unwrap();
    assert_eq!(served.variables["a"], "1");
    gateway.delete_deployment(&api.id, &first.id).await.unwrap();
    gateway.delete_stage(&api.id, "prod").await.unwrap();
    assert!(Served::of(&gateway.get(&api.id).unwrap(), "prod", "GET", "/").is_err());
}

#[tokio::test]
async fn mappings_that_are_not_understood_are_not_kept() {
    let gateway = engine();
    let api = gateway.create_api("orders", "").await.unwrap();
    let root = api.resources.keys().next().unwrap().clone();
    let mut method = mock();
    let integration = method.integration.as_mut().unwrap();
    integration.request_templates.insert("application/json".into(), "\n#if(true)".into());
    let refused = gateway.edit_method(&api.id, &root, "GET", |_| Ok(Some(method))).await.unwrap_err();
    assert!(refused.to_string().contains("line 2"), "{refused}");
    assert!(gateway.get(&api.id).unwrap().resources[&root].methods.is_empty());
}

/// A service `shop` with an API `orders` at `v1/orders` whose answers are mocked, in a product `gold`.
async fn managed() -> Managed {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(1));
    let storage = Storage::in_memory(Arc::clone(&clock));
    let catalog = Catalog::open(&storage).unwrap();
    let insight = Insight::open(&storage, Arc::clone(&clock)).unwrap();
    let managed = Managed::new(storage, catalog, insight, Backends::new(BackendOptions::default()), clock);
    managed.put_service("shop").await.unwrap();
    let api = |name: &str, path: &str| ManagedApi {
        name: name.into(),
        path: path.into(),
        subscription_required: true,
        key_header: "x-key".into(),
        key_query: "key".into(),
        ..ManagedApi::default()
    };
    let operation =
        ManagedOperation { name: "get".into(), method: "GET".into(), template: "/{id}".into(), ..Default::default() };
    for (name, path) in [("orders", "/v1/orders/"), ("all", "v1")] {
        managed.put_api("shop", api(name, path)).await.unwrap();
        managed.put_operation("shop", name, operation.clone()).await.unwrap();
    }
    managed
        .put_product("shop", Product { name: "gold".into(), subscription_required: true, ..Product::default() })
        .await
        .unwrap();
    managed.link_api("shop", "gold", "orders", true).await.unwrap();
    let subscription = NewSubscription {
        name: "one".into(),
        display_name: String::new(),
        owner: None,
        scope: SubscriptionScope::Product("gold".into()),
        state: ManagedSubscriptionState::Active,
        primary_key: Some("k1".into()),
        secondary_key: None,
    };
    managed.put_subscription("shop", subscription).await.unwrap();
    managed
}

async fn called(managed: &Managed, path: &str, key: &str) -> millstream_gateway::managed::Answered {
    let mut headers = http::HeaderMap::new();
    headers.insert("x-key", key.parse().unwrap());
    let request = ManagedRequest {
        id: "r1".into(),
        service: None,
        method: http::Method::GET,
        path: path.into(),
        query: String::new(),
        headers,
        body: bytes::Bytes::new(),
        peer: std::net::IpAddr::from([127, 0, 0, 1]),
    };
    managed.call(&request, true).await
}

#[tokio::test]
async fn policies_of_all_scopes_run_where_inner_ones_have_their_base() {
    let managed = managed().await;
    let note = |name: &str| format!("<set-header name='X' exists-action='append'><value>{name}</value></set-header>");
    let document = |policies: String| Some(format!("<policies><inbound>{policies}</inbound></policies>"));
    let operation = PolicyScope::Operation("orders".into(), "get".into());
    for (scope, policies) in [
        (PolicyScope::Service, note("global")),
        (PolicyScope::Product("gold".into()), format!("<base/>{}", note("product"))),
        (PolicyScope::Api("orders".into()), format!("{}<base/>", note("api"))),
        (operation.clone(), "<base/><mock-response status-code='201'/>".to_owned()),
    ] {
        managed.set_policy("shop", &scope, document(policies)).await.unwrap();
    }
    let answered = called(&managed, "/v1/orders/7", "k1").await;
    assert_eq!((answered.response.status().as_u16(), answered.failure), (201, None));
    let scopes: Vec<_> =
        answered.trace.iter().filter(|step| step.section == "inbound").map(|step| step.scope.as_str()).collect();
    assert_eq!(scopes, ["api orders", "global", "product gold", "operation orders/get"]);
    managed.set_policy("shop", &operation, document("<mock-response/>".to_owned())).await.unwrap();
    let alone = called(&managed, "/v1/orders/7", "k1").await;
    assert_eq!(
        alone.trace.iter().filter(|step| step.section == "inbound").count(),
        1,
        "without its base nothing outer runs"
    );
}

#[tokio::test]
async fn paths_that_lead_elsewhere_find_no_operation() {
    let managed = managed().await;
    for path in ["/v1/orders/..", "/v1/orders/%2e%2e", "/v1/orders/x/%2e%2e/7", "/v1/../v1/orders/7"] {
        assert_eq!(called(&managed, path, "k1").await.failure, Some(Failure::NotFound), "{path}");
    }
}

#[tokio::test]
async fn requests_find_the_longest_path_and_keys_open_what_they_are_for() {
    let managed = managed().await;
    let failure = |path: &'static str, key: &'static str| {
        let managed = &managed;
        async move { called(managed, path, key).await.failure }
    };
    assert_eq!(failure("/v1/orders/7", "k2").await, Some(Failure::KeyInvalid));
    assert_eq!(failure("/v1/orders/7", "").await, Some(Failure::KeyMissing));
    assert_eq!(failure("/v1/7", "k1").await, Some(Failure::KeyInvalid), "the key is for the product's API only");
    assert_eq!(failure("/v1/orders/7/8", "k1").await, Some(Failure::NotFound));
    assert_eq!(failure("/v1/ordersx", "k1").await, Some(Failure::KeyInvalid), "that is the other API");
    let no_backend = failure("/v1/orders/7", "k1").await;
    assert!(matches!(no_backend, Some(Failure::Internal(_))), "{no_backend:?}");
    managed.delete_product("shop", "gold").await.unwrap();
    assert_eq!(failure("/v1/orders/7", "k1").await, Some(Failure::KeyInvalid), "subscriptions go with their product");
}
