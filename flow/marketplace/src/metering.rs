//! Usage that is metered: once for each product, customer, dimension and hour.
//!
//! The same record again is the same record; another quantity for what was metered already is refused. A record's key is
//! `PRODUCT\nCUSTOMER\nDIMENSION\n` and the hour as eight bytes.

use std::ops::Bound;

use millstream_catalog::MarketplaceSubscriptionState;
use millstream_storage::{StorageError, Transaction};
use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::subscriptions::Customer;
use crate::{Marketplace, MarketplaceError};

/// An hour, milliseconds.
const HOUR: Millis = 3_600_000;

/// How old usage may be: the service's own bound.
const PAST_MAX: Millis = 24 * HOUR;

/// How far clocks may differ.
const FUTURE_MAX: Millis = 5 * 60_000;

/// Records that one question gives at most.
const RECORDS_MAX: usize = 100_000;

/// Usage to be metered.
#[derive(Debug, Clone)]
pub struct UsageRecord {
    /// When it was used; the hour counts.
    pub time: Millis,
    /// Who used it; `None`: the seller's own account.
    pub customer: Option<Customer>,
    /// In what it is metered.
    pub dimension: String,
    /// How much, in millionths.
    pub quantity: u64,
}

/// Usage that is metered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeteredRecord {
    /// Unique.
    pub id: String,
    /// The product's code.
    pub product: String,
    /// The customer's name towards the seller; empty: the seller's own account.
    pub customer: String,
    /// In what it is metered.
    pub dimension: String,
    /// The hour's begin.
    pub hour: Millis,
    /// How much, in millionths.
    pub quantity: u64,
    /// When it was metered.
    pub time: Millis,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is metered, now or before.
    Metered,
    /// The customer is not subscribed to the product.
    NotSubscribed,
    /// Another quantity is metered for the hour already.
    Differs,
}

/// A record's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metered {
    /// What became of it.
    pub outcome: Outcome,
    /// The id of what is metered; `None` when nothing is.
    pub id: Option<String>,
}

impl Marketplace {
    /// Refuses records that no batch may hold: with one of them nothing is metered.
    ///
    /// # Errors
    /// [`MarketplaceError::UnknownProduct`], [`MarketplaceError::UnknownDimension`],
    /// [`MarketplaceError::TimeOutOfBounds`], [`MarketplaceError::UnknownCustomer`],
    /// [`MarketplaceError::UnknownLicense`].
    pub fn check(&self, product: &str, records: &[UsageRecord]) -> Result<(), MarketplaceError> {
        let product = self.product(product)?;
        let now = self.clock.now();
        let (from, to) = (now - PAST_MAX, now + FUTURE_MAX);
        for record in records {
            if !product.dimensions.contains(&record.dimension) {
                let dimension = record.dimension.clone();
                return Err(MarketplaceError::UnknownDimension { product: product.code.clone(), dimension });
            }
            if !(from..=to).contains(&record.time) {
                return Err(MarketplaceError::TimeOutOfBounds { time: record.time, from, to });
            }
            if let Some(customer) = &record.customer {
                self.of_customer(&product.code, customer)?;
            }
        }
        Ok(())
    }

    /// Meters one record of a product; durable when this resolves.
    ///
    /// # Errors
    /// As [`Marketplace::check`], and [`MarketplaceError::Storage`].
    pub async fn meter(&self, product: &str, record: &UsageRecord) -> Result<Metered, MarketplaceError> {
        self.check(product, std::slice::from_ref(record))?;
        // Read and written in turn: of two who meter the same at once the second sees the first.
        let _turn = self.edits.lock().await;
        let customer = match &record.customer {
            None => String::new(),
            Some(customer) => match self.of_customer(product, customer)? {
                Some(known) if known.state != MarketplaceSubscriptionState::Ended => known.customer.clone(),
                Some(_) | None => return Ok(Metered { outcome: Outcome::NotSubscribed, id: None }),
            },
        };
        let hour = record.time.div_euclid(HOUR) * HOUR;
        let key = record_key(product, &customer, &record.dimension, hour);
        if let Some(known) = self.record(key.clone()).await? {
            let outcome = if known.quantity == record.quantity { Outcome::Metered } else { Outcome::Differs };
            return Ok(Metered { outcome, id: Some(known.id) });
        }
        let made = MeteredRecord {
            id: uuid::Uuid::new_v4().to_string(),
            product: product.to_owned(),
            customer,
            dimension: record.dimension.clone(),
            hour,
            quantity: record.quantity,
            time: self.clock.now(),
        };
        let mut transaction = Transaction::new();
        transaction.put(&self.records, key, serde_json::to_vec(&made).unwrap_or_default());
        self.storage.commit(transaction).await?;
        Ok(Metered { outcome: Outcome::Metered, id: Some(made.id) })
    }

    /// What is metered for a product, by customer, dimension and hour.
    ///
    /// # Errors
    /// [`MarketplaceError::Storage`].
    pub async fn metered(&self, product: &str) -> Result<Vec<MeteredRecord>, MarketplaceError> {
        let (storage, keyspace) = (self.storage.clone(), self.records.clone());
        let (from, to) = (format!("{product}\n").into_bytes(), format!("{product}\u{b}").into_bytes());
        let read = tokio::task::spawn_blocking(move || {
            storage.scan(&keyspace, (Bound::Included(&from), Bound::Excluded(&to)), false, RECORDS_MAX)
        });
        let rows = read.await.map_err(|_| StorageError::Closed)??;
        Ok(rows.iter().filter_map(|(_, value)| serde_json::from_slice(value).ok()).collect())
    }

    async fn record(&self, key: Vec<u8>) -> Result<Option<MeteredRecord>, MarketplaceError> {
        let (storage, keyspace) = (self.storage.clone(), self.records.clone());
        let read = tokio::task::spawn_blocking(move || storage.get_submitted(&keyspace, &key));
        let found = read.await.map_err(|_| StorageError::Closed)??;
        Ok(found.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }
}

/// Whether a text may name a dimension.
pub(crate) fn is_dimension(name: &str) -> bool {
    (1..=255).contains(&name.chars().count()) && !name.contains(char::is_control)
}

fn record_key(product: &str, customer: &str, dimension: &str, hour: Millis) -> Vec<u8> {
    let mut key = format!("{product}\n{customer}\n{dimension}\n").into_bytes();
    key.extend_from_slice(&hour.to_be_bytes());
    key
}
