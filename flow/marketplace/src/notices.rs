//! Notices of customers who come and go, on their way to a product's topic.
//!
//! A notice waits in the store until its topic has it: at least once, in their order for each topic. A topic that does not
//! take one keeps its later ones waiting, and none of another's.

use std::collections::BTreeSet;
use std::ops::Bound;

use bytes::Bytes;
use millstream_catalog::MarketplaceSubscriptionDefinition;
use millstream_storage::{StorageError, Transaction};
use millstream_types::{BoxFuture, Millis, PublishMessage};
use serde::{Deserialize, Serialize};

use crate::{Marketplace, MarketplaceError};

/// How long a notice waits for its topic: longer than topics are out of order.
const WAIT_MAX: Millis = 24 * 3_600_000;

/// Notices that are read at once.
const PAGE: usize = 100;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A customer subscribed.
    Subscribed,
    /// A customer leaves; the last usage may be metered.
    Leaving,
    /// It is over.
    Left,
}

/// A notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What happened.
    pub kind: NoticeKind,
    /// The product's code.
    pub product: String,
    /// The customer's name towards the seller.
    pub customer: String,
    /// The customer's account.
    pub account: String,
    /// The subscription's license.
    pub license: String,
    /// Where it goes.
    pub topic: String,
    /// When it happened.
    pub time: Millis,
}

/// How a notice is worded: a wire shape that only a front knows.
pub trait NoticeShape: Send + Sync + 'static {
    /// The message for a topic.
    fn message(&self, notice: &Notice) -> Bytes;
}

impl Marketplace {
    /// A notice for the product's topic, if it has one: to be committed with what it tells of.
    pub(crate) fn notice(&self, subscription: &MarketplaceSubscriptionDefinition, kind: NoticeKind) -> Transaction {
        let mut transaction = Transaction::new();
        let topic = self.product(&subscription.product).ok().and_then(|product| product.topic.clone());
        let Some(topic) = topic else { return transaction };
        let notice = Notice {
            kind,
            product: subscription.product.clone(),
            customer: subscription.customer.clone(),
            account: subscription.account.clone(),
            license: subscription.id.clone(),
            topic,
            time: self.clock.now(),
        };
        let mut key = notice.time.to_be_bytes().to_vec();
        key.extend_from_slice(uuid::Uuid::new_v4().as_bytes());
        transaction.put(&self.notices, key, serde_json::to_vec(&notice).unwrap_or_default());
        transaction
    }

    /// Delivers the notices that wait; those of a topic that does not take one go on waiting. Called by the clock.
    ///
    /// # Errors
    /// [`MarketplaceError::Storage`].
    pub fn deliver_notices(&self) -> BoxFuture<'_, Result<(), MarketplaceError>> {
        Box::pin(async move {
            let Some(publish) = &self.outside.publish else { return Ok(()) };
            let mut broken = BTreeSet::new();
            let mut after = Bytes::new();
            loop {
                let page = self.notices_after(after).await?;
                let Some((last, _)) = page.last() else { return Ok(()) };
                after = last.clone();
                for (key, value) in page {
                    let Ok(notice) = serde_json::from_slice::<Notice>(&value) else {
                        tracing::error!("a notice that cannot be read is given up");
                        self.forget_notice(key).await?;
                        continue;
                    };
                    if broken.contains(&notice.topic) {
                        continue;
                    }
                    if self.deliver(publish.as_ref(), &notice).await {
                        self.forget_notice(key).await?;
                    } else {
                        broken.insert(notice.topic);
                    }
                }
            }
        })
    }

    /// Whether a notice need not wait any more.
    async fn deliver(&self, publish: &dyn PublishMessage, notice: &Notice) -> bool {
        let message = self.outside.notices.message(notice);
        let Err(error) = publish.publish_message(notice.topic.clone(), message).await else { return true };
        let (topic, customer) = (&notice.topic, &notice.customer);
        let over = self.clock.now() - notice.time > WAIT_MAX;
        if over {
            tracing::error!(%error, topic, customer, "a notice is given up");
        } else {
            tracing::warn!(%error, topic, customer, "a notice waits for its topic");
        }
        over
    }

    async fn notices_after(&self, after: Bytes) -> Result<Vec<(Bytes, Bytes)>, MarketplaceError> {
        let (storage, keyspace) = (self.storage.clone(), self.notices.clone());
        let read = tokio::task::spawn_blocking(move || {
            storage.scan(&keyspace, (Bound::Excluded(&after[..]), Bound::Unbounded), false, PAGE)
        });
        Ok(read.await.map_err(|_| StorageError::Closed)??)
    }

    async fn forget_notice(&self, key: Bytes) -> Result<(), MarketplaceError> {
        let mut transaction = Transaction::new();
        transaction.delete(&self.notices, key);
        self.storage.commit(transaction).await?;
        Ok(())
    }
}
