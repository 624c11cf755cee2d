//! Usage plans: who may pass, what is counted, what a restart leaves.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response};
use millstream_catalog::{
    Catalog, Integration, IntegrationResponse, Method, PlanQuota, PlanStage, QuotaPeriod, Throttle, UsagePlanDefinition,
};
use millstream_gateway::metering::line::ACCESS_STREAM;
use millstream_gateway::{
    AccessLine, ApiKeyChange, ApiRequest, BackendOptions, Backends, Called, Calls, Gateway, GatewayError, NewApiKey,
    PlanOptions, Plans, Refusal, Served, WholeRequest,
};
use millstream_insight::Insight;
use millstream_storage::Storage;
use millstream_stream::Streams;
use millstream_types::{
    BoxFuture, Clock, ErrorKind, Invocation, InvocationOutcome, Invoke, InvokeError, ManualClock, Millis,
};

/// 2026-11-21 10:30 UTC.
const NOW: Millis = 1_795_257_000_000;
const HOUR: Millis = 3_600_000;

struct Nobody;

impl Invoke for Nobody {
    fn invoke(&self, _: Invocation) -> BoxFuture<'_, Result<InvocationOutcome, InvokeError>> {
        Box::pin(async { Err(InvokeError { kind: ErrorKind::NotFound, message: "no functions here".into() }) })
    }
}

impl WholeRequest for Nobody {
    fn event(&self, _: &ApiRequest, _: &Served) -> Bytes {
        Bytes::new()
    }

    fn answer(&self, _: &[u8]) -> Option<Response<Bytes>> {
        None
    }
}

/// A node's gateway with an API whose one method needs a key.
struct World {
    storage: Storage,
    streams: Streams,
    clock: Arc<ManualClock>,
    plans: Plans,
    calls: Calls,
    api: String,
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        let storage = Storage::in_memory(Arc::clone(&clock) as Arc<dyn Clock>);
        Self::over(storage, clock).await
    }

    /// The node over a store, as after a restart.
    async fn over(storage: Storage, clock: Arc<ManualClock>) -> Self {
        let time = Arc::clone(&clock) as Arc<dyn Clock>;
        let catalog = Catalog::open(&storage).unwrap();
        let insight = Insight::open(&storage, Arc::clone(&time)).unwrap();
        let streams = Streams::new(storage.clone(), catalog.clone(), Arc::clone(&time));
        let gateway = Gateway::new(catalog.clone(), insight.clone(), Arc::clone(&time));
        let options = PlanOptions::default();
        let plans =
            Plans::open(storage.clone(), catalog, streams.clone(), &insight, Arc::clone(&time), options).await.unwrap();
        let known = gateway.list().first().map(|api| api.id.clone());
        let api = match known {
            Some(known) => known,
            None => define(&gateway).await,
        };
        let backends = Backends::new(BackendOptions::default());
        let calls = Calls::new(gateway, plans.clone(), Arc::new(Nobody), Arc::new(Nobody), backends, time);
        Self { storage, streams, clock, plans, calls, api }
    }

    async fn restarted(self) -> Self {
        self.plans.shutdown().await;
        Self::over(self.storage, self.clock).await
    }

    async fn plan(&self, throttle: Option<Throttle>, limit: Option<u64>) -> String {
        let stage = PlanStage { api: self.api.clone(), stage: "prod".into(), ..PlanStage::default() };
        let quota = limit.map(|limit| PlanQuota { limit, offset: 0, period: QuotaPeriod::Day });
        let plan = UsagePlanDefinition { name: "p".into(), stages: vec![stage], throttle, quota, ..Default::default() };
        self.plans.create_plan(plan).await.unwrap().id.clone()
    }

    /// A key's id and value.
    async fn key(&self, plan: &str) -> (String, String) {
        let new = NewApiKey { enabled: true, plans: [plan.to_owned()].into(), ..NewApiKey::default() };
        let made = self.plans.create_key(new).await.unwrap();
        (made.id.clone(), made.value.clone())
    }

    async fn called(&self, value: &str) -> Called {
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", value.parse().unwrap());
        let request = ApiRequest {
            id: "r".into(),
            api: self.api.clone(),
            stage: "prod".into(),
            method: "GET".into(),
            path: "/".into(),
            query: String::new(),
            headers,
            body: Bytes::new(),
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            domain: "localhost".into(),
            account: "0".into(),
            now: self.clock.now(),
        };
        self.calls.answer(&request).await
    }

    /// Calls and settles, as a front does.
    async fn call(&self, value: &str) -> Result<u16, Refusal> {
        let called = self.called(value).await;
        let status = called.result.map(|response| response.status().as_u16());
        if let Some(metered) = called.metered {
            metered.settle(*status.as_ref().unwrap_or(&500), 10).await.unwrap();
        }
        status
    }

    async fn used(&self, plan: &str, key: &str) -> u64 {
        let hours = self.plans.usage(plan, key, 0, NOW + 1_000 * HOUR).await.unwrap();
        hours.iter().map(|hour| hour.used.requests).sum()
    }

    async fn lines(&self) -> Vec<AccessLine> {
        let log = self.streams.get(ACCESS_STREAM).unwrap().shards[0].log();
        let read = self.streams.read(log, 0, 10 << 20).await.unwrap();
        let records = read.batches.iter().flat_map(|batch| batch.records().collect::<Vec<_>>());
        records.map(|record| serde_json::from_slice(&record.data).unwrap()).collect()
    }
}

async fn define(gateway: &Gateway) -> String {
    let api = gateway.create_api("paid", "").await.unwrap();
    let root = api.resources.keys().next().unwrap().clone();
    let integration = Integration {
        kind: "MOCK".into(),
        request_templates: [("application/json".to_owned(), r#"{"statusCode": 200}"#.to_owned())].into(),
        responses: [("200".to_owned(), IntegrationResponse::default())].into(),
        ..Integration::default()
    };
    let method = Method { api_key_required: true, integration: Some(integration), ..Method::default() };
    gateway.edit_method(&api.id, &root, "GET", |_| Ok(Some(method))).await.unwrap();
    gateway.deploy(&api.id, Some("prod"), "").await.unwrap();
    api.id.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_once_are_all_counted_and_no_more_than_the_quota() {
    let world = Arc::new(World::new().await);
    let plan = world.plan(None, Some(60)).await;
    let (key, value) = world.key(&plan).await;
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let (world, value) = (Arc::clone(&world), value.clone());
            tokio::spawn(async move { world.call(&value).await })
        })
        .collect();
    let mut ends = Vec::new();
    for call in calls {
        ends.push(call.await.unwrap());
    }
    assert_eq!(ends.iter().filter(|end| **end == Ok(200)).count(), 60);
    assert_eq!(ends.iter().filter(|end| **end == Err(Refusal::QuotaUsedUp)).count(), 40);
    assert_eq!(world.used(&plan, &key).await, 60);
    let lines = world.lines().await;
    assert_eq!(
        (lines.len(), lines[0].status, lines[0].key.as_str()),
        (60, 200, key.as_str()),
        "the counts are the lines"
    );
}

#[tokio::test]
async fn what_was_used_and_what_is_left_survive_a_restart() {
    let world = World::new().await;
    let plan = world.plan(None, Some(3)).await;
    let (key, value) = world.key(&plan).await;
    for _ in 0..2 {
        assert_eq!(world.call(&value).await, Ok(200));
    }
    let world = world.restarted().await;
    assert_eq!(world.plans.quota(&plan, &key).await.unwrap().unwrap().left, 1);
    assert_eq!(world.call(&value).await, Ok(200));
    assert_eq!(world.call(&value).await, Err(Refusal::QuotaUsedUp));
    assert_eq!(world.used(&plan, &key).await, 3);
    world.clock.advance(24 * HOUR);
    assert_eq!(world.call(&value).await, Ok(200), "a new day");
    let today = world.clock.now() / (24 * HOUR);
    let left = world.plans.left_by_day(&plan, &key, (today - 2, today + 1)).await.unwrap();
    assert_eq!(left, Some(vec![3, 0, 2]));
    assert_eq!(world.used(&plan, &key).await, 4);
}

#[tokio::test]
async fn what_a_node_that_crashed_has_not_counted_is_counted_again() {
    let crashed = World::new().await;
    let plan = crashed.plan(None, Some(3)).await;
    let (key, value) = crashed.key(&plan).await;
    for _ in 0..2 {
        assert_eq!(crashed.call(&value).await, Ok(200));
    }
    // It was let through, but never answered.
    let under_way = crashed.called(&value).await;
    for _ in 0..2 {
        let world = World::over(crashed.storage.clone(), Arc::clone(&crashed.clock)).await;
        assert_eq!(world.plans.quota(&plan, &key).await.unwrap().unwrap().left, 1);
        assert_eq!(world.used(&plan, &key).await, 2);
    }
    let world = World::over(crashed.storage.clone(), Arc::clone(&crashed.clock)).await;
    assert_eq!(world.call(&value).await, Ok(200));
    assert_eq!(world.call(&value).await, Err(Refusal::QuotaUsedUp));
    let world = world.restarted().await;
    assert_eq!((world.used(&plan, &key).await, world.lines().await.len()), (3, 3));
    std::mem::forget(under_way);
}

#[tokio::test]
async fn a_request_whose_caller_goes_away_is_counted() {
    let world = World::new().await;
    let plan = world.plan(None, None).await;
    let (key, value) = world.key(&plan).await;
    drop(world.called(&value).await);
    world.plans.settle().await.unwrap();
    assert_eq!(world.used(&plan, &key).await, 1);
    assert_eq!(world.lines().await[0].status, 499);
}

#[tokio::test]
async fn what_ends_with_its_thread_is_counted_and_holds_nobody_up() {
    let world = World::new().await;
    let plan = world.plan(None, None).await;
    let (key, value) = world.key(&plan).await;
    let under_way = world.called(&value).await;
    // A thread of connections that ends in the middle of a request.
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.spawn(async move {
            let _under_way = under_way;
            std::future::pending::<()>().await;
        });
        runtime.block_on(tokio::task::yield_now());
    });
    tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
    let settled = tokio::time::timeout(std::time::Duration::from_secs(60), world.plans.settle()).await;
    settled.expect("nobody waits for a thread that is gone").unwrap();
    assert_eq!(world.used(&plan, &key).await, 1);
    assert_eq!(world.lines().await[0].status, 499);
}

#[tokio::test]
async fn keys_are_rotated_without_a_gap() {
    let world = World::new().await;
    let plan = world.plan(None, None).await;
    let (key, first) = world.key(&plan).await;
    let second = world.plans.rotate_key(&key, None).await.unwrap().value.clone();
    assert_eq!((world.call(&first).await, world.call(&second).await), (Ok(200), Ok(200)));
    world.plans.revoke_former(&key).await.unwrap();
    assert_eq!((world.call(&first).await, world.call(&second).await), (Err(Refusal::KeyRefused), Ok(200)));
    let third = world.plans.rotate_key(&key, Some(NOW + HOUR)).await.unwrap().value.clone();
    assert_eq!(world.call(&second).await, Ok(200));
    let world = world.restarted().await;
    assert_eq!((world.call(&second).await, world.call(&third).await), (Ok(200), Ok(200)));
    world.clock.advance(HOUR);
    assert_eq!((world.call(&second).await, world.call(&third).await), (Err(Refusal::KeyRefused), Ok(200)));
    assert_eq!(world.used(&plan, &key).await, 7, "all of them are one key's");
}

#[tokio::test]
async fn a_throttled_request_is_not_counted() {
    let world = World::new().await;
    let plan = world.plan(Throttle::new(1.0, 2), Some(10)).await;
    let (key, value) = world.key(&plan).await;
    for expected in [Ok(200), Ok(200), Err(Refusal::Throttled)] {
        assert_eq!(world.call(&value).await, expected);
    }
    world.clock.advance(1_000);
    assert_eq!(world.call(&value).await, Ok(200));
    assert_eq!(world.plans.quota(&plan, &key).await.unwrap().unwrap().left, 7);
}

#[tokio::test]
async fn old_counts_are_let_go() {
    let world = World::new().await;
    let plan = world.plan(None, Some(5)).await;
    let (key, value) = world.key(&plan).await;
    assert_eq!(world.call(&value).await, Ok(200));
    world.clock.advance(300 * 24 * HOUR);
    assert_eq!(world.call(&value).await, Ok(200));
    world.plans.sweep().await.unwrap();
    let used = || async { world.plans.usage(&plan, &key, 0, NOW + 10_000 * 24 * HOUR).await.unwrap().len() };
    assert_eq!(used().await, 2);
    world.clock.advance(200 * 24 * HOUR);
    world.plans.sweep().await.unwrap();
    assert_eq!(used().await, 1);
    assert_eq!(world.plans.metered_keys(&plan, "", 10).await.unwrap(), [key.as_str()]);
}

#[tokio::test]
async fn a_key_has_one_plan_of_a_stage() {
    let world = World::new().await;
    let (one, two) = (world.plan(None, None).await, world.plan(None, None).await);
    let (key, _) = world.key(&one).await;
    assert!(matches!(world.plans.attach(&two, &key).await, Err(GatewayError::Conflict { .. })));
    assert!(matches!(world.plans.delete_plan(&one).await, Err(GatewayError::Invalid { .. })));
    world.plans.detach(&one, &key).await.unwrap();
    world.plans.attach(&two, &key).await.unwrap();
    let nowhere = world.plans.update_plan(&two, |plan| {
        plan.stages[0].stage = "nowhere".into();
        Ok(())
    });
    assert!(matches!(nowhere.await, Err(GatewayError::NotFound { kind: "API stage", .. })));
}

#[tokio::test]
async fn counts_say_whom_they_were_sold_to_though_the_key_and_the_plan_are_gone() {
    let world = World::new().await;
    let plan = world.plan(None, None).await;
    let (key, value) = world.key(&plan).await;
    assert_eq!(world.call(&value).await, Ok(200));
    let sold_as = |product: Option<&str>| {
        let product_code = product.map(str::to_owned);
        world.plans.update_plan(&plan, |plan| {
            plan.product_code = product_code;
            Ok(())
        })
    };
    assert!(sold_as(Some("two\nlines")).await.is_err());
    sold_as(Some("product")).await.unwrap();
    assert_eq!(world.call(&value).await, Ok(200));
    for customer in ["one", "two"] {
        let change = ApiKeyChange { customer: Some(customer.into()), ..ApiKeyChange::default() };
        world.plans.update_key(&key, change).await.unwrap();
        assert_eq!(world.call(&value).await, Ok(200));
    }
    world.plans.delete_key(&key).await.unwrap();
    let keys = world.plans.metered_keys(&plan, "", 10).await.unwrap();
    assert_eq!(keys, [key.as_str()]);
    let hours = world.plans.usage(&plan, &key, NOW - HOUR, NOW + HOUR).await.unwrap();
    let told: Vec<_> =
        hours.into_iter().map(|hour| (hour.sold.map(|sold| sold.customer), hour.used.requests)).collect();
    assert_eq!(told, [(None, 2), (Some("one".to_owned()), 1), (Some("two".to_owned()), 1)]);
}
