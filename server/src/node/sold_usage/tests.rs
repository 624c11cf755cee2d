//! The metering over a gateway and a marketplace in memory.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use http::{HeaderMap, Response};
use millstream_catalog::{
    Catalog, Integration, IntegrationResponse, MarketplaceSubscriptionState, Method, PlanStage, UsagePlanDefinition,
};
use millstream_gateway::{
    ApiRequest, BackendOptions, Backends, Calls, Gateway, NewApiKey, PlanOptions, Served, UsageTotals, WholeRequest,
};
use millstream_insight::Insight;
use millstream_marketplace::subscriptions::ENDING_TIME;
use millstream_marketplace::{Notice, NoticeShape, Outside};
use millstream_storage::Storage;
use millstream_stream::Streams;
use millstream_types::{BoxFuture, Clock, ErrorKind, Invocation, InvocationOutcome, Invoke, InvokeError, ManualClock};

use super::*;

/// Half past an hour.
const NOW: Millis = 498_682 * HOUR + HOUR / 2;

/// Functions that are not there, and notices that nobody reads.
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

impl NoticeShape for Nobody {
    fn message(&self, _: &Notice) -> Bytes {
        Bytes::new()
    }
}

struct World {
    clock: Arc<ManualClock>,
    plans: Plans,
    calls: Calls,
    market: Marketplace,
    api: String,
    sold: SoldUsage,
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        let time: Arc<dyn Clock> = clock.clone();
        let storage = Storage::in_memory(Arc::clone(&time));
        let catalog = Catalog::open(&storage).unwrap();
        let insight = Insight::open(&storage, Arc::clone(&time)).unwrap();
        let streams = Streams::new(storage.clone(), catalog.clone(), Arc::clone(&time));
        let gateway = Gateway::new(catalog.clone(), insight.clone(), Arc::clone(&time));
        let options = PlanOptions::default();
        let plans = Plans::open(storage.clone(), catalog.clone(), streams, &insight, Arc::clone(&time), options);
        let plans = plans.await.unwrap();
        let outside = Outside { publish: None, notices: Arc::new(Nobody) };
        let market = Marketplace::new(storage, catalog, outside, Arc::clone(&time));
        let api = deployed(&gateway).await;
        let backends = Backends::new(BackendOptions::default());
        let calls = Calls::new(gateway, plans.clone(), Arc::new(Nobody), Arc::new(Nobody), backends, time);
        Self { clock, plans, calls, market, api, sold: SoldUsage::default() }
    }

    /// A plan that is sold as the product `p`.
    async fn plan(&self) -> String {
        let stage = PlanStage { api: self.api.clone(), stage: "prod".into(), ..PlanStage::default() };
        let plan = UsagePlanDefinition {
            name: "sold".into(),
            stages: vec![stage],
            product_code: Some("p".into()),
            ..UsagePlanDefinition::default()
        };
        self.plans.create_plan(plan).await.unwrap().id.clone()
    }

    /// A customer's key of a plan: its id and value.
    async fn key(&self, plan: &str, customer: &str) -> (String, String) {
        let (enabled, customer) = (true, customer.to_owned());
        let new = NewApiKey { enabled, customer, plans: [plan.to_owned()].into(), ..NewApiKey::default() };
        let made = self.plans.create_key(new).await.unwrap();
        (made.id.clone(), made.value.clone())
    }

    async fn call(&self, value: &str, times: usize) {
        for _ in 0..times {
            let request = ApiRequest {
                id: "r".into(),
                api: self.api.clone(),
                stage: "prod".into(),
                method: "GET".into(),
                path: "/".into(),
                query: String::new(),
                headers: HeaderMap::from_iter([("x-api-key".parse().unwrap(), value.parse().unwrap())]),
                body: Bytes::new(),
                peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
                domain: "localhost".into(),
                account: "0".into(),
                now: self.clock.now(),
            };
            let called = self.calls.answer(&request).await;
            assert_eq!(called.result.unwrap().status(), 200);
            called.metered.unwrap().settle(200, 0).await.unwrap();
        }
    }

    /// What the clock does, and what is metered then: hours since the first, and requests.
    async fn metered(&self) -> Vec<(Millis, u64)> {
        let leaving = self.market.due();
        self.sold.meter(&self.plans, &self.market, &leaving, self.clock.now()).await.unwrap();
        self.market.end(&leaving).await.unwrap();
        let page = self.market.metered("p", None, 100).await.unwrap();
        page.records
            .iter()
            .map(|record| ((record.hour - NOW).div_euclid(HOUR) + 1, record.quantity / MILLIONTHS))
            .collect()
    }
}

async fn deployed(gateway: &Gateway) -> String {
    let api = gateway.create_api("sold", "").await.unwrap();
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

#[tokio::test]
async fn all_of_a_customers_usage_is_metered_to_the_end() {
    let world = World::new().await;
    let (one, two) = (world.plan().await, world.plan().await);
    let subscription = world.market.subscribe("p", "123456789012").await.unwrap();
    let (_, kept) = world.key(&one, &subscription.customer).await;
    let (gone_id, gone) = world.key(&two, &subscription.customer).await;
    let (_, strangers) = world.key(&two, "").await;
    world.call(&kept, 2).await;
    world.call(&gone, 3).await;
    world.call(&strangers, 7).await;
    world.plans.delete_key(&gone_id).await.unwrap();
    assert_eq!(world.metered().await, [], "the hour is not over");
    world.clock.advance(HOUR);
    world.call(&kept, 1).await;
    assert_eq!(world.metered().await, [(0, 5)], "both plans, and the key that is gone");

    world.market.unsubscribe(&subscription.id).await.unwrap();
    world.clock.advance(ENDING_TIME);
    world.call(&kept, 4).await;
    assert_eq!(world.metered().await, [(0, 5), (1, 1), (2, 4)], "the hour under way, before the end");
    let ended = world.market.subscription(&subscription.id).unwrap();
    assert_eq!(ended.state, MarketplaceSubscriptionState::Ended);
    world.call(&kept, 1).await;
    world.clock.advance(HOUR);
    assert_eq!(world.metered().await.len(), 3, "what comes afterwards is nobody's");
}

fn hour(key: &str, hour: Millis, customer: Option<&str>, requests: u64) -> UsageHour {
    let sold = customer.map(|customer| Sold { product: "p".into(), customer: customer.into() });
    let (plan, api, stage) = ("plan".into(), "api".into(), "stage".into());
    UsageHour { plan, key: key.into(), api, stage, hour: hour * HOUR, sold, used: UsageTotals { requests, bytes: 1 } }
}

#[test]
fn hours_that_are_over_are_metered_and_the_last_one_of_who_leaves() {
    let mut used = Used::new();
    let leaving = BTreeSet::from([Sold { product: "p".into(), customer: "leaves".into() }]);
    let hours = |key| {
        vec![
            hour(key, 7, None, 100),
            hour(key, 7, Some("stays"), 1),
            hour(key, 7, Some("leaves"), 2),
            hour(key, 8, Some("stays"), 4),
            hour(key, 8, Some("leaves"), 8),
        ]
    };
    add(&mut used, hours("one"), 8 * HOUR, &leaving);
    add(&mut used, hours("two"), 8 * HOUR, &leaving);
    let told: Vec<(String, Millis, u64)> =
        used.into_iter().map(|((sold, hour), requests)| (sold.customer, hour / HOUR, requests)).collect();
    let expected = [("leaves", 7, 4), ("leaves", 8, 16), ("stays", 7, 2)];
    assert_eq!(told, expected.map(|(customer, hour, requests)| (customer.to_owned(), hour, requests)));
}
