//! The marketplace over the storage model.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use millstream_catalog::{Catalog, MarketplaceProductDefinition, MarketplaceSubscriptionState};
use millstream_marketplace::metering::BATCH_MAX;
use millstream_marketplace::subscriptions::{ENDING_TIME, TOKEN_TIME};
use millstream_marketplace::{
    Customer, Marketplace, MarketplaceError, Notice, NoticeShape, Outcome, Outside, UsageRecord,
};
use millstream_storage::Storage;
use millstream_types::{BoxFuture, Clock, ErrorKind, ManualClock, Millis, PublishMessage, PublishMessageError};

const NOW: Millis = 1_000 * 3_600_000;

/// A topic that takes messages, or not.
#[derive(Default)]
struct Topic {
    closed: Mutex<bool>,
    /// A topic that takes nothing.
    broken: Mutex<Option<String>>,
    messages: Mutex<Vec<(String, String)>>,
}

impl PublishMessage for Topic {
    fn publish_message(&self, topic: String, message: Bytes) -> BoxFuture<'_, Result<(), PublishMessageError>> {
        Box::pin(async move {
            if *self.closed.lock().unwrap() || *self.broken.lock().unwrap() == Some(topic.clone()) {
                return Err(PublishMessageError { kind: ErrorKind::Unavailable, message: "closed".into() });
            }
            self.messages.lock().unwrap().push((topic, String::from_utf8_lossy(&message).into_owned()));
            Ok(())
        })
    }
}

struct Words;

impl NoticeShape for Words {
    fn message(&self, notice: &Notice) -> Bytes {
        Bytes::from(format!("{:?} {}", notice.kind, notice.customer))
    }
}

struct World {
    market: Marketplace,
    topic: Arc<Topic>,
    clock: Arc<ManualClock>,
    storage: Storage,
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        let storage = Storage::in_memory(Arc::clone(&clock) as Arc<dyn Clock>);
        let topic = Arc::new(Topic::default());
        let world = Self { market: over(&storage, &topic, &clock), topic, clock, storage };
        let dimensions = ["users".to_owned()].into();
        let product =
            MarketplaceProductDefinition { code: "p".into(), dimensions, topic: Some("t".into()), created: 0 };
        world.market.put_product(product).await.unwrap();
        world
    }

    fn record(&self, customer: &str, quantity: u64) -> UsageRecord {
        let customer = Some(Customer::Identifier(customer.to_owned()));
        UsageRecord { time: self.clock.now(), customer, dimension: "users".into(), quantity }
    }
}

impl World {
    /// What is metered for the product, read in pages of so many records.
    async fn quantities(&self, limit: usize) -> Vec<u64> {
        let (mut quantities, mut next) = (Vec::new(), None);
        loop {
            let page = self.market.metered("p", next, limit).await.unwrap();
            assert!(page.records.len() <= limit);
            quantities.extend(page.records.iter().map(|record| record.quantity));
            next = page.next;
            if next.is_none() {
                return quantities;
            }
        }
    }
}

fn over(storage: &Storage, topic: &Arc<Topic>, clock: &Arc<ManualClock>) -> Marketplace {
    let publish: Arc<dyn PublishMessage> = Arc::clone(topic) as Arc<dyn PublishMessage>;
    let outside = Outside { publish: Some(publish), notices: Arc::new(Words) };
    let catalog = Catalog::open(storage).unwrap();
    Marketplace::new(storage.clone(), catalog, outside, Arc::clone(clock) as Arc<dyn Clock>)
}

#[tokio::test]
async fn customers_come_and_leave_and_the_topic_is_told() {
    let world = World::new().await;
    let made = world.market.subscribe("p", "123456789012").await.unwrap();
    let again = world.market.subscribe("p", "123456789012").await;
    assert!(matches!(again, Err(MarketplaceError::Subscribed { .. })));
    *world.topic.closed.lock().unwrap() = true;
    world.market.deliver_notices().await.unwrap();
    *world.topic.closed.lock().unwrap() = false;
    let market = over(&world.storage, &world.topic, &world.clock);
    market.deliver_notices().await.unwrap();
    market.deliver_notices().await.unwrap();
    world.clock.advance(1_000);
    market.unsubscribe(&made.id).await.unwrap();
    assert_eq!(market.meter("p", &world.record(&made.customer, 1)).await.unwrap().outcome, Outcome::Metered);
    assert_eq!(market.due(), []);
    world.clock.advance(ENDING_TIME);
    let due = market.due();
    assert_eq!(due.len(), 1);
    let last = market.meter("p", &world.record(&made.customer, 2)).await.unwrap();
    assert_eq!(last.outcome, Outcome::Metered, "who is due is metered for the last time");
    market.end(&due).await.unwrap();
    assert_eq!(market.due(), []);
    assert_eq!(market.subscription(&made.id).unwrap().state, MarketplaceSubscriptionState::Ended);
    assert_eq!(market.meter("p", &world.record(&made.customer, 1)).await.unwrap().outcome, Outcome::NotSubscribed);
    market.deliver_notices().await.unwrap();
    let told: Vec<String> = world.topic.messages.lock().unwrap().iter().map(|(_, message)| message.clone()).collect();
    let of = |what: &str| format!("{what} {}", made.customer);
    assert_eq!(
        told,
        [of("Subscribed"), of("Leaving"), of("Left")],
        "each once, though the topic was closed for a while"
    );
    let back = market.subscribe("p", "123456789012").await.unwrap();
    assert_eq!(back.customer, made.customer, "a customer keeps the name");
}

#[tokio::test]
async fn tokens_end() {
    let world = World::new().await;
    let made = world.market.subscribe("p", "123456789012").await.unwrap();
    let token = world.market.registration_token(&made.id).await.unwrap();
    assert_eq!(world.market.resolve(&token).await.unwrap().id, made.id);
    world.clock.advance(TOKEN_TIME);
    assert!(matches!(world.market.resolve(&token).await, Err(MarketplaceError::ExpiredToken)));
    world.clock.advance(TOKEN_TIME);
    world.market.sweep_tokens().await.unwrap();
    assert!(matches!(world.market.resolve(&token).await, Err(MarketplaceError::UnknownToken)));
}

#[tokio::test]
async fn an_hour_is_metered_once() {
    let world = World::new().await;
    let made = world.market.subscribe("p", "123456789012").await.unwrap();
    let first = world.market.meter("p", &world.record(&made.customer, 5)).await.unwrap();
    world.clock.advance(60_000);
    assert_eq!(world.market.meter("p", &world.record(&made.customer, 5)).await.unwrap(), first);
    let differs = world.market.meter("p", &world.record(&made.customer, 6)).await.unwrap();
    assert_eq!((differs.outcome, &differs.id), (Outcome::Differs, &first.id));
    world.clock.advance(3_600_000);
    assert_eq!(world.market.meter("p", &world.record(&made.customer, 6)).await.unwrap().outcome, Outcome::Metered);
    assert_eq!(world.quantities(10).await, [5, 6]);
    let old = UsageRecord { time: world.clock.now() - 25 * 3_600_000, ..world.record(&made.customer, 1) };
    assert!(matches!(world.market.meter("p", &old).await, Err(MarketplaceError::TimeOutOfBounds { .. })));
    let unknown = world.market.meter("p", &world.record("nobody", 1)).await;
    assert!(matches!(unknown, Err(MarketplaceError::UnknownCustomer { .. })));
}

#[tokio::test]
async fn batches_are_metered_whole_and_read_in_pages() {
    let world = World::new().await;
    let one = world.market.subscribe("p", "123456789012").await.unwrap().customer.clone();
    let two = world.market.subscribe("p", "123456789013").await.unwrap().customer.clone();
    let records: Vec<UsageRecord> = (0..8)
        .map(|hour| UsageRecord { time: world.clock.now() - hour * 3_600_000, ..world.record(&one, 1) })
        .chain([world.record(&two, 7), world.record(&two, 7), world.record(&two, 8)])
        .collect();
    let metered: Result<Vec<_>, _> = world.market.meter_all("p", &records).await.unwrap().into_iter().collect();
    let metered = metered.unwrap();
    assert!(metered[..10].iter().all(|metered| metered.outcome == Outcome::Metered));
    assert_eq!((metered[9].id.clone(), metered[10].id.clone()), (metered[8].id.clone(), metered[8].id.clone()));
    assert_eq!(metered[10].outcome, Outcome::Differs);
    let mut quantities = world.quantities(2).await;
    quantities.sort_unstable();
    assert_eq!(quantities, [1, 1, 1, 1, 1, 1, 1, 1, 7]);
    let some_refused = [world.record("nobody", 1), world.record(&one, 1)];
    assert!(world.market.check("p", &some_refused).is_err());
    let told = world.market.meter_all("p", &some_refused).await.unwrap();
    assert!(matches!(told[0], Err(MarketplaceError::UnknownCustomer { .. })) && told[1].is_ok());
    assert!(world.market.meter_all("p", &vec![world.record(&two, 9); BATCH_MAX + 1]).await.is_err());
    assert_eq!(world.quantities(100).await.len(), 9);
}

#[tokio::test]
async fn a_topic_that_takes_nothing_keeps_its_own_notices_waiting_only() {
    let world = World::new().await;
    for (code, topic) in [("broken", "gone"), ("whole", "there")] {
        let topic = Some(topic.to_owned());
        let product = MarketplaceProductDefinition { code: code.into(), topic, ..Default::default() };
        world.market.put_product(product).await.unwrap();
    }
    *world.topic.broken.lock().unwrap() = Some("gone".into());
    for account in 0..150 {
        world.market.subscribe("broken", &format!("{account:012}")).await.unwrap();
    }
    world.clock.advance(1);
    let made = world.market.subscribe("whole", "999999999999").await.unwrap();
    world.market.deliver_notices().await.unwrap();
    let told = || world.topic.messages.lock().unwrap().clone();
    assert_eq!(told(), [("there".to_owned(), format!("Subscribed {}", made.customer))]);
    *world.topic.broken.lock().unwrap() = None;
    world.market.deliver_notices().await.unwrap();
    assert_eq!(told().len(), 151);
}
