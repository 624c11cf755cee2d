//! Customers who subscribe and leave, and the tokens that tell the seller who stands at the door.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::{MarketplaceSubscriptionDefinition, MarketplaceSubscriptionState as State};
use millstream_storage::{StorageError, Transaction};
use millstream_types::{BoxFuture, Millis};
use serde::{Deserialize, Serialize};

use crate::notices::NoticeKind;
use crate::{Marketplace, MarketplaceError};

/// How long a token says who its bearer is: the service's own time.
pub const TOKEN_TIME: Millis = 4 * 3_600_000;

/// How long the last usage can be metered after a customer left: the service's own time.
pub const ENDING_TIME: Millis = 3_600_000;

/// Subscriptions of a node.
const SUBSCRIPTIONS_MAX: usize = 100_000;

/// Digits of an account.
const ACCOUNT_DIGITS: usize = 12;

/// How a customer is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Customer {
    /// By the name towards the seller.
    Identifier(String),
    /// By the account.
    Account(String),
    /// By a subscription's license.
    License(String),
}

impl Customer {
    pub(crate) fn unknown(&self) -> MarketplaceError {
        match self {
            Self::License(license) => MarketplaceError::UnknownLicense { license: license.clone() },
            Self::Identifier(name) | Self::Account(name) => {
                MarketplaceError::UnknownCustomer { customer: name.clone() }
            }
        }
    }
}

/// What is kept of a token.
#[derive(Debug, Serialize, Deserialize)]
struct StoredToken {
    subscription: String,
    until: Millis,
}

impl Marketplace {
    /// Subscribes an account to a product and tells the topic.
    ///
    /// # Errors
    /// [`MarketplaceError::UnknownProduct`], [`MarketplaceError::Invalid`] for an account that is not 12 digits,
    /// [`MarketplaceError::Subscribed`], [`MarketplaceError::Catalog`], [`MarketplaceError::Storage`].
    pub fn subscribe<'a>(
        &'a self,
        product: &'a str,
        account: &'a str,
    ) -> BoxFuture<'a, Result<Arc<MarketplaceSubscriptionDefinition>, MarketplaceError>> {
        Box::pin(async move {
            let _turn = self.edits.lock().await;
            let product = self.product(product)?;
            if account.len() != ACCOUNT_DIGITS || !account.bytes().all(|byte| byte.is_ascii_digit()) {
                let reason = format!("expected an account of {ACCOUNT_DIGITS} digits, found `{account}`");
                return Err(MarketplaceError::Invalid { reason });
            }
            let all = self.catalog.marketplace_subscriptions.list();
            if all.len() >= SUBSCRIPTIONS_MAX {
                let reason = format!("there are at most {SUBSCRIPTIONS_MAX} subscriptions");
                return Err(MarketplaceError::Invalid { reason });
            }
            let mut of_account = all.iter().filter(|known| known.account == account);
            if of_account.clone().any(|known| known.product == product.code && known.state != State::Ended) {
                let (customer, product) = (account.to_owned(), product.code.clone());
                return Err(MarketplaceError::Subscribed { customer, product });
            }
            let customer = of_account.next().map_or_else(|| new_name(11), |known| known.customer.clone());
            let now = self.clock.now();
            let subscription = MarketplaceSubscriptionDefinition {
                id: new_name(32).to_lowercase(),
                product: product.code.clone(),
                customer,
                account: account.to_owned(),
                state: State::Active,
                created: now,
                updated: now,
            };
            let notice = self.notice(&subscription, NoticeKind::Subscribed);
            Ok(self.catalog.marketplace_subscriptions.put_with(subscription, notice).await?)
        })
    }

    /// A token with which the seller learns who the customer is, once or more often, for [`TOKEN_TIME`].
    ///
    /// # Errors
    /// [`MarketplaceError::UnknownLicense`], [`MarketplaceError::Storage`].
    pub fn registration_token<'a>(&'a self, subscription: &'a str) -> BoxFuture<'a, Result<String, MarketplaceError>> {
        Box::pin(async move {
            let subscription = self.subscription(subscription)?.id.clone();
            let token = new_name(32) + &new_name(32);
            let stored = StoredToken { subscription, until: self.clock.now() + TOKEN_TIME };
            let mut transaction = Transaction::new();
            let value = serde_json::to_vec(&stored).unwrap_or_default();
            transaction.put(&self.tokens, token.as_bytes().to_vec(), value);
            self.storage.commit(transaction).await?;
            Ok(token)
        })
    }

    /// Whose a token is.
    ///
    /// # Errors
    /// [`MarketplaceError::UnknownToken`], [`MarketplaceError::ExpiredToken`], [`MarketplaceError::Storage`].
    pub fn resolve<'a>(
        &'a self,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Arc<MarketplaceSubscriptionDefinition>, MarketplaceError>> {
        Box::pin(async move {
            let (storage, keyspace, key) = (self.storage.clone(), self.tokens.clone(), token.as_bytes().to_vec());
            let read = tokio::task::spawn_blocking(move || storage.get(&keyspace, &key));
            let found = read.await.map_err(|_| StorageError::Closed)??.ok_or(MarketplaceError::UnknownToken)?;
            let stored: StoredToken = serde_json::from_slice(&found).map_err(|_| MarketplaceError::UnknownToken)?;
            if self.clock.now() >= stored.until {
                return Err(MarketplaceError::ExpiredToken);
            }
            self.subscription(&stored.subscription).map_err(|_| MarketplaceError::UnknownToken)
        })
    }

    /// Lets a customer leave a product: the last usage can be metered for [`ENDING_TIME`], then it is over.
    ///
    /// # Errors
    /// [`MarketplaceError::UnknownLicense`], [`MarketplaceError::Invalid`] when the customer has left already,
    /// [`MarketplaceError::Catalog`], [`MarketplaceError::Storage`].
    pub fn unsubscribe<'a>(
        &'a self,
        subscription: &'a str,
    ) -> BoxFuture<'a, Result<Arc<MarketplaceSubscriptionDefinition>, MarketplaceError>> {
        Box::pin(async move {
            let _turn = self.edits.lock().await;
            let known = self.subscription(subscription)?;
            if known.state != State::Active {
                let reason = format!("customer `{}` has left `{}` already", known.customer, known.product);
                return Err(MarketplaceError::Invalid { reason });
            }
            self.change(&known, State::Ending, NoticeKind::Leaving).await
        })
    }

    /// Subscriptions whose last usage had its time: what is still to be metered for them is metered before they are ended.
    #[must_use]
    pub fn due(&self) -> Vec<Arc<MarketplaceSubscriptionDefinition>> {
        let now = self.clock.now();
        let is_due = |known: &Arc<_>| is_due(known, now);
        self.subscriptions().into_iter().filter(is_due).collect()
    }

    /// Ends subscriptions that are due and tells their topics. Called by the clock.
    ///
    /// # Errors
    /// [`MarketplaceError::Catalog`], [`MarketplaceError::Storage`].
    pub fn end<'a>(
        &'a self,
        due: &'a [Arc<MarketplaceSubscriptionDefinition>],
    ) -> BoxFuture<'a, Result<(), MarketplaceError>> {
        Box::pin(async move {
            let _turn = self.edits.lock().await;
            let now = self.clock.now();
            for known in due.iter().filter_map(|due| self.subscription(&due.id).ok()) {
                if is_due(&known, now) {
                    self.change(&known, State::Ended, NoticeKind::Left).await?;
                }
            }
            Ok(())
        })
    }

    /// Forgets tokens that are long over. Called by the clock.
    ///
    /// # Errors
    /// [`MarketplaceError::Storage`].
    pub fn sweep_tokens(&self) -> BoxFuture<'_, Result<(), MarketplaceError>> {
        Box::pin(async move {
            let now = self.clock.now();
            let (storage, keyspace) = (self.storage.clone(), self.tokens.clone());
            let all = (Bound::Unbounded, Bound::Unbounded);
            let read = tokio::task::spawn_blocking(move || storage.scan(&keyspace, all, false, usize::MAX));
            let mut transaction = Transaction::new();
            for (key, value) in read.await.map_err(|_| StorageError::Closed)?? {
                if is_long_over(&value, now) {
                    transaction.delete(&self.tokens, key);
                }
            }
            if !transaction.is_empty() {
                self.storage.commit(transaction).await?;
            }
            Ok(())
        })
    }

    /// All subscriptions in the order of their licenses.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<Arc<MarketplaceSubscriptionDefinition>> {
        self.catalog.marketplace_subscriptions.list()
    }

    /// A subscription by its license.
    ///
    /// # Errors
    /// [`MarketplaceError::UnknownLicense`].
    pub fn subscription(&self, id: &str) -> Result<Arc<MarketplaceSubscriptionDefinition>, MarketplaceError> {
        let found = self.catalog.marketplace_subscriptions.get(id);
        found.ok_or_else(|| MarketplaceError::UnknownLicense { license: id.to_owned() })
    }

    async fn change(
        &self,
        known: &MarketplaceSubscriptionDefinition,
        state: State,
        notice: NoticeKind,
    ) -> Result<Arc<MarketplaceSubscriptionDefinition>, MarketplaceError> {
        let changed = MarketplaceSubscriptionDefinition { state, updated: self.clock.now(), ..known.clone() };
        let notice = self.notice(&changed, notice);
        Ok(self.catalog.marketplace_subscriptions.put_with(changed, notice).await?)
    }
}

fn is_due(known: &MarketplaceSubscriptionDefinition, now: Millis) -> bool {
    known.state == State::Ending && now >= known.updated + ENDING_TIME
}

/// Tokens are told to be over for as long again before they are forgotten.
fn is_long_over(value: &Bytes, now: Millis) -> bool {
    serde_json::from_slice::<StoredToken>(value).is_ok_and(|stored| now >= stored.until + TOKEN_TIME)
}

/// Letters and digits that nobody can guess; 32 at most.
fn new_name(characters: usize) -> String {
    let mut name = uuid::Uuid::new_v4().simple().to_string().to_uppercase();
    name.truncate(characters);
    name
}
