//! The portal engine over the storage model and a gateway whose API answers by itself.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response};
use millstream_catalog::{
    Catalog, Integration, IntegrationResponse, Method, Money, PlanQuota, PlanStage, PortalOfferDefinition, PortalRole,
    PortalSubscriptionState as State, Price, QuotaPeriod, UsagePlanDefinition,
};
use millstream_gateway::{
    ApiRequest, BackendOptions, Backends, Calls, Gateway, PlanOptions, Plans, Refusal, Served, WholeRequest,
};
use millstream_insight::Insight;
use millstream_portal::bill::{Month, date_of};
use millstream_portal::{DEVELOPMENT_OWNER, NewPortalApi, Portal, PortalError, Put};
use millstream_storage::Storage;
use millstream_stream::Streams;
use millstream_types::{BoxFuture, Clock, Invocation, InvocationOutcome, Invoke, InvokeError, ManualClock, Millis};

const EMAIL: &str = "dev@example.org";
const PASSWORD: &str = "correct horse battery";
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// 2026-11-21, in the afternoon.
const NOW: Millis = 1_795_270_000_000;
const DAY: Millis = 86_400_000;

struct NoFunctions;

impl Invoke for NoFunctions {
    fn invoke(&self, _: Invocation) -> BoxFuture<'_, Result<InvocationOutcome, InvokeError>> {
        unreachable!("the API answers by itself")
    }
}

impl WholeRequest for NoFunctions {
    fn event(&self, _: &ApiRequest, _: &Served) -> Bytes {
        Bytes::new()
    }

    fn answer(&self, _: &[u8]) -> Option<Response<Bytes>> {
        None
    }
}

struct World {
    clock: Arc<ManualClock>,
    storage: Storage,
    catalog: Catalog,
    gateway: Gateway,
    plans: Plans,
    calls: Calls,
    portal: Portal,
    api: String,
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
        let backends = Backends::new(BackendOptions { private: false, own: Vec::new() });
        let (functions, whole) = (Arc::new(NoFunctions), Arc::new(NoFunctions));
        let calls = Calls::new(gateway.clone(), plans.clone(), functions, whole, backends, Arc::clone(&time));
        let api = deployed(&gateway).await;
        let portal =
            Portal::open(storage.clone(), catalog.clone(), gateway.clone(), plans.clone(), time, false).unwrap();
        Self { clock, storage, catalog, gateway, plans, calls, portal, api }
    }

    /// The engine after a restart; on a development node or not.
    fn again(&self, development: bool) -> Portal {
        let (storage, catalog) = (self.storage.clone(), self.catalog.clone());
        let (gateway, plans) = (self.gateway.clone(), self.plans.clone());
        Portal::open(storage, catalog, gateway, plans, self.clock.clone(), development).unwrap()
    }

    async fn offered(&self, name: &str, approval: bool, quota: Option<u64>, price: Price) -> String {
        let stage = PlanStage { api: self.api.clone(), stage: "prod".into(), throttles: BTreeMap::new() };
        let quota = quota.map(|limit| PlanQuota { limit, offset: 0, period: QuotaPeriod::Day });
        let plan =
            UsagePlanDefinition { name: name.into(), stages: vec![stage], quota, ..UsagePlanDefinition::default() };
        let plan = self.plans.create_plan(plan).await.unwrap().id.clone();
        let offer = PortalOfferDefinition { plan: plan.clone(), offered: true, approval, price };
        assert!(self.portal.offer(offer.clone()).await.unwrap());
        assert!(!self.portal.offer(offer).await.unwrap(), "unchanged");
        plan
    }

    async fn member(&self) -> String {
        self.portal.sign_up("Dev", EMAIL, PASSWORD.into(), HERE).await.unwrap();
        self.portal.log_in(EMAIL, PASSWORD.into(), HERE).await.unwrap()
    }

    /// Calls the API with a key as a client does.
    async fn call(&self, key: &str) -> Result<u16, Refusal> {
        let request = ApiRequest {
            id: "r".into(),
            api: self.api.clone(),
            stage: "prod".into(),
            method: "GET".into(),
            path: "/".into(),
            query: String::new(),
            headers: HeaderMap::from_iter([("x-api-key".parse().unwrap(), key.parse().unwrap())]),
            body: Bytes::new(),
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            domain: "localhost".into(),
            account: "0".into(),
            now: self.clock.now(),
        };
        let called = self.calls.answer(&request).await;
        let status = called.result?.status().as_u16();
        if let Some(metered) = called.metered {
            metered.settle(status, 2).await.unwrap();
        }
        Ok(status)
    }

    fn value(&self, subscription: &str) -> String {
        self.portal.key_value(EMAIL, subscription).unwrap()
    }
}

/// An API whose one method needs a key and answers 200 by itself.
async fn deployed(gateway: &Gateway) -> String {
    let api = gateway.create_api("quotes", "Prices.").await.unwrap();
    let root = api.resources.keys().next().unwrap().clone();
    let integration = Integration {
        kind: "MOCK".into(),
        request_templates: BTreeMap::from([("application/json".into(), "{\"statusCode\": 200}".into())]),
        responses: BTreeMap::from([("200".into(), IntegrationResponse::default())]),
        ..Integration::default()
    };
    let method = Method { api_key_required: true, integration: Some(integration), ..Method::default() };
    gateway.edit_method(&api.id, &root, "GET", |_| Ok(Some(method))).await.unwrap();
    gateway.deploy(&api.id, Some("prod"), "").await.unwrap();
    api.id.clone()
}

fn price(month: &str, included_calls: u64, call: &str) -> Price {
    Price { month: Money::parse(month).unwrap(), included_calls, call: Money::parse(call).unwrap() }
}

#[tokio::test]
async fn a_key_is_rotated_without_a_call_that_fails() {
    let world = World::new().await;
    let plan = world.offered("free", false, Some(5), Price::default()).await;
    world.member().await;
    let id = world.portal.subscribe(EMAIL, &plan).await.unwrap();
    let old = world.value(&id);
    assert_eq!(world.call(&old).await, Ok(200));
    assert_eq!(world.call("no key at all, though long").await, Err(Refusal::KeyRefused));
    assert!(matches!(world.portal.revoke_former(EMAIL, &id).await, Err(PortalError::State { .. })));

    world.portal.rotate(EMAIL, &id).await.unwrap();
    let new = world.value(&id);
    assert_ne!(old, new);
    assert_eq!((world.call(&old).await, world.call(&new).await), (Ok(200), Ok(200)));
    assert!(matches!(world.portal.rotate(EMAIL, &id).await, Err(PortalError::State { .. })), "two at most");

    world.portal.revoke_former(EMAIL, &id).await.unwrap();
    assert_eq!(world.call(&old).await, Err(Refusal::KeyRefused));
    // Both values count as one: three of five calls are used.
    assert_eq!((world.call(&new).await, world.call(&new).await), (Ok(200), Ok(200)));
    assert_eq!(world.call(&new).await, Err(Refusal::QuotaUsedUp));
    let subscription = world.portal.subscription(EMAIL, &id).unwrap();
    assert_eq!(world.portal.quota_left(&subscription).await.unwrap().unwrap().calls, 0);
}

#[tokio::test]
async fn who_asks_gets_a_key_when_the_owner_agrees() {
    let world = World::new().await;
    let plan = world.offered("pro", true, None, price("29", 0, "0")).await;
    world.member().await;
    let id = world.portal.subscribe(EMAIL, &plan).await.unwrap();
    assert!(world.portal.key_value(EMAIL, &id).is_err());
    assert!(matches!(world.portal.subscribe(EMAIL, &plan).await, Err(PortalError::State { .. })), "asked already");
    let waiting = world.portal.requests();
    assert_eq!((waiting.len(), waiting[0].0.email.as_str(), waiting[0].1.id.as_str()), (1, EMAIL, id.as_str()));

    world.portal.decide(EMAIL, &id, true).await.unwrap();
    assert_eq!(world.call(&world.value(&id)).await, Ok(200));
    assert!(matches!(world.portal.decide(EMAIL, &id, false).await, Err(PortalError::State { .. })));
    assert!(world.portal.requests().is_empty());

    let other = world.offered("other", true, None, Price::default()).await;
    let refused = world.portal.subscribe(EMAIL, &other).await.unwrap();
    world.portal.decide(EMAIL, &refused, false).await.unwrap();
    assert_eq!(world.portal.subscription(EMAIL, &refused).unwrap().state, State::Rejected);
    world.portal.subscribe(EMAIL, &other).await.unwrap();
}

#[tokio::test]
async fn what_is_used_is_what_is_paid() {
    let world = World::new().await;
    let plan = world.offered("pay", false, None, price("10", 2, "0.25")).await;
    world.member().await;
    let id = world.portal.subscribe(EMAIL, &plan).await.unwrap();
    for _ in 0..3 {
        world.call(&world.value(&id)).await.unwrap();
    }
    world.clock.advance(DAY);
    world.call(&world.value(&id)).await.unwrap();
    // New prices are for new subscriptions.
    let dear = PortalOfferDefinition { plan: plan.clone(), offered: true, approval: false, price: price("99", 0, "1") };
    world.portal.offer(dear).await.unwrap();

    let subscription = world.portal.subscription(EMAIL, &id).unwrap();
    let today = date_of(world.clock.now());
    let usage = world.portal.usage(&subscription, date_of(NOW), today).await.unwrap();
    let days = usage.calls_by_day();
    assert_eq!((days[&date_of(NOW)], days[&today], usage.days[&today][&world.api]), (3, 1, 1));
    let month = Month::of(world.clock.now());
    let line = world.portal.month(&subscription, month).await.unwrap().unwrap();
    assert_eq!((line.calls, line.paid_calls, line.total.to_string()), (4, 2, "10.50".into()));
    let sums = world.portal.sums(month).await.unwrap();
    assert_eq!((sums.active(), sums.calls(), sums.revenue()), (1, 4, line.total));
    assert_eq!(sums.accounts[0].account.email, EMAIL);
    assert!(world.portal.month(&subscription, month.before()).await.unwrap().is_none());
}

#[tokio::test]
async fn nobody_gets_a_period_twice_by_subscribing_again() {
    let world = World::new().await;
    let plan = world.offered("free", false, Some(1), Price::default()).await;
    world.member().await;
    let id = world.portal.subscribe(EMAIL, &plan).await.unwrap();
    let key = world.value(&id);
    world.call(&key).await.unwrap();
    world.portal.end(EMAIL, &id).await.unwrap();
    assert_eq!(world.call(&key).await, Err(Refusal::KeyRefused));
    assert!(matches!(world.portal.end(EMAIL, &id).await, Err(PortalError::State { .. })));
    assert!(matches!(world.portal.subscribe(EMAIL, &plan).await, Err(PortalError::TooEarly { .. })));
    world.clock.advance(DAY);
    let again = world.portal.subscribe(EMAIL, &plan).await.unwrap();
    assert_eq!(world.call(&world.value(&again)).await, Ok(200));
}

#[tokio::test]
async fn who_is_blocked_is_out_with_all_keys() {
    let world = World::new().await;
    let plan = world.offered("free", false, None, Price::default()).await;
    let session = world.member().await;
    let id = world.portal.subscribe(EMAIL, &plan).await.unwrap();
    let key = world.value(&id);
    world.portal.block(EMAIL, true).await.unwrap();
    assert!(world.portal.logged_in(&session).is_none());
    assert!(matches!(world.portal.log_in(EMAIL, PASSWORD.into(), HERE).await, Err(PortalError::Blocked)));
    assert!(matches!(world.portal.log_in(EMAIL, "a wrong one".into(), HERE).await, Err(PortalError::Credentials)));
    assert_eq!(world.call(&key).await, Err(Refusal::KeyRefused));
    world.portal.block(EMAIL, false).await.unwrap();
    assert_eq!(world.call(&key).await, Ok(200));
    assert!(world.portal.log_in(EMAIL, PASSWORD.into(), HERE).await.is_ok());
}

#[tokio::test]
async fn keys_and_subscriptions_come_together_after_a_crash() {
    let world = World::new().await;
    let plan = world.offered("free", false, None, Price::default()).await;
    world.member().await;
    let id = world.portal.subscribe(EMAIL, &plan).await.unwrap();
    let key = world.value(&id);
    // A key that no subscription came to have, and an account that was blocked without its key.
    let mut account = (*world.portal.account(EMAIL).unwrap()).clone();
    account.blocked = true;
    world.catalog.portal_accounts.put(account.clone()).await.unwrap();
    let portal = world.again(false);
    portal.settle().await.unwrap();
    assert_eq!(world.call(&key).await, Err(Refusal::KeyRefused));
    account.blocked = false;
    world.catalog.portal_accounts.put(account.clone()).await.unwrap();
    portal.settle().await.unwrap();
    assert_eq!(world.call(&key).await, Ok(200));
    account.subscriptions.clear();
    world.catalog.portal_accounts.put(account).await.unwrap();
    portal.settle().await.unwrap();
    assert!(world.plans.keys().is_empty());
}

#[tokio::test]
async fn nobody_learns_who_has_an_account() {
    let world = World::new().await;
    world.member().await;
    world.portal.sign_up("Other", EMAIL, "another password".into(), HERE).await.unwrap();
    assert!(world.portal.log_in(EMAIL, PASSWORD.into(), HERE).await.is_ok(), "the account is as it was");
    for (email, password) in [(EMAIL, "wrong"), ("nobody@example.org", "wrong"), ("no address", "wrong")] {
        let refused = world.portal.log_in(email, password.into(), HERE).await;
        assert!(matches!(refused, Err(PortalError::Credentials)), "{email}: {refused:?}");
    }
    for _ in 0..9 {
        assert!(matches!(world.portal.log_in(EMAIL, "wrong".into(), HERE).await, Err(PortalError::Credentials)));
    }
    let right = world.portal.log_in(EMAIL, PASSWORD.into(), HERE).await;
    assert!(matches!(right, Err(PortalError::Attempts { seconds }) if seconds > 0 && seconds <= 900), "{right:?}");
    world.clock.advance(15 * 60 * 1_000);
    assert!(world.portal.log_in(EMAIL, PASSWORD.into(), HERE).await.is_ok());
}

#[tokio::test]
async fn an_owner_chooses_the_password_by_a_link_once() {
    let world = World::new().await;
    let link = world.portal.invite_owner(EMAIL).await.unwrap();
    assert!(matches!(world.portal.log_in(EMAIL, String::new(), HERE).await, Err(PortalError::Credentials)));
    let short = world.portal.accept_invitation(&link, "short".into(), HERE).await;
    assert!(matches!(short, Err(PortalError::Field { .. })));
    let session = world.portal.accept_invitation(&link, PASSWORD.into(), HERE).await.unwrap();
    assert_eq!(world.portal.logged_in(&session).unwrap().role, PortalRole::Owner);
    let again = world.portal.accept_invitation(&link, PASSWORD.into(), HERE).await;
    assert!(matches!(again, Err(PortalError::Invitation)));
    for made_up in ["", ".", "a.b", &link[..link.len() - 1], &"x".repeat(2_000)] {
        assert_eq!(world.portal.invited(made_up), None);
    }
    assert!(matches!(world.portal.block(EMAIL, true).await, Err(PortalError::State { .. })), "the only owner");
    let late = world.portal.invite(EMAIL).await.unwrap();
    world.clock.advance(DAY);
    assert_eq!(world.portal.invited(&late), None);

    let other = world.portal.log_in(EMAIL, PASSWORD.into(), HERE).await.unwrap();
    let wrong = world.portal.change_password(EMAIL, "wrong".into(), "a new password".into(), &other).await;
    assert!(matches!(wrong, Err(PortalError::CurrentPassword)));
    world.portal.change_password(EMAIL, PASSWORD.into(), "a new password".into(), &other).await.unwrap();
    assert!(world.portal.logged_in(&other).is_some() && world.portal.logged_in(&session).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_begins_with_a_password_that_is_changed() {
    let world = World::new().await;
    let session = world.member().await;
    let portal = world.portal.clone();
    let old = PASSWORD.to_owned();
    let logins: Vec<_> = (0..6)
        .map(|_| {
            let (portal, old) = (portal.clone(), old.clone());
            tokio::spawn(async move { portal.log_in(EMAIL, old, HERE).await.ok() })
        })
        .collect();
    world.portal.change_password(EMAIL, old, "a new password".into(), &session).await.unwrap();
    for login in logins {
        let begun = login.await.unwrap();
        assert!(begun.is_none_or(|secret| world.portal.logged_in(&secret).is_none()));
    }
    assert_eq!(world.portal.sessions(EMAIL), 1);
    assert!(world.portal.logged_in(&session).is_some());
}

#[tokio::test]
async fn the_published_owner_is_somebody_on_development_nodes_only() {
    let world = World::new().await;
    let (email, password) = DEVELOPMENT_OWNER;
    assert!(world.portal.log_in(email, password.into(), HERE).await.is_err());
    let development = world.again(true);
    let session = development.log_in(email, password.into(), HERE).await.unwrap();
    assert_eq!(development.logged_in(&session).unwrap().role, PortalRole::Owner);
    let again = world.again(false);
    assert!(again.logged_in(&session).is_none() && again.log_in(email, password.into(), HERE).await.is_err());
}

#[tokio::test]
async fn apis_are_published_with_their_own_document_or_what_the_gateway_knows() {
    let world = World::new().await;
    let new = |document: Option<&str>| NewPortalApi {
        name: "quotes".into(),
        api: world.api.clone(),
        stage: "prod".into(),
        document: document.map(str::to_owned),
        published: true,
    };
    assert_eq!(world.portal.put_api(new(None)).await.unwrap(), Put::Created);
    assert_eq!(world.portal.put_api(new(None)).await.unwrap(), Put::Unchanged);
    let read = |portal: &Portal| portal.document(&portal.api("quotes").unwrap()).unwrap();
    assert_eq!((read(&world.portal).title.as_str(), read(&world.portal).operations.len()), ("quotes", 1));
    let yaml = "openapi: 3.0.3\ninfo: {title: Quotes, version: '1'}\npaths: {}\n";
    assert_eq!(world.portal.put_api(new(Some(yaml))).await.unwrap(), Put::Updated);
    assert_eq!(read(&world.portal).title, "Quotes");
    assert!(matches!(world.portal.put_api(new(Some("{"))).await, Err(PortalError::Document { .. })));
    let large = "x".repeat(2 << 20);
    assert!(matches!(world.portal.put_api(new(Some(&large))).await, Err(PortalError::DocumentTooLarge { .. })));
    let nowhere = NewPortalApi { stage: "test".into(), ..new(None) };
    assert!(matches!(world.portal.put_api(nowhere).await, Err(PortalError::NotFound { .. })));
    assert_eq!(read(&world.again(false)).title, "Quotes");
    world.portal.remove_api("quotes").await.unwrap();
    assert!(world.portal.apis().is_empty());
}
