//! Usage that is metered: once for each product, customer, dimension and hour.
//!
//! The same record again is the same record; another quantity for what was metered already is refused. A record's key is
//! `PRODUCT\nCUSTOMER\nDIMENSION\n` and the hour as eight bytes.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::Arc;

use millstream_catalog::{
    MarketplaceProductDefinition, MarketplaceSubscriptionDefinition, MarketplaceSubscriptionState as State,
};
use millstream_storage::{StorageError, Transaction};
use millstream_types::{BoxFuture, Millis};
use serde::{Deserialize, Serialize};

use crate::subscriptions::Customer;
use crate::{Marketplace, MarketplaceError};

/// An hour, milliseconds.
const HOUR: Millis = 3_600_000;

/// How old usage may be: the service's own bound.
const PAST_MAX: Millis = 24 * HOUR;

/// How far clocks may differ.
const FUTURE_MAX: Millis = 5 * 60_000;

/// Records that one call meters: far more than a front takes at once, and a small journal frame.
pub const BATCH_MAX: usize = 1_000;

/// Records of one page.
pub const PAGE_MAX: usize = 10_000;

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

/// Some of what is metered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MeteredPage {
    /// By customer, dimension and hour.
    pub records: Vec<MeteredRecord>,
    /// What the next page is asked for with; `None`: this was the last.
    pub next: Option<Vec<u8>>,
}

impl Marketplace {
    /// Refuses records that no batch may hold: with one of them nothing is metered.
    ///
    /// # Errors
    /// [`MarketplaceError::UnknownProduct`], [`MarketplaceError::UnknownDimension`],
    /// [`MarketplaceError::TimeOutOfBounds`], [`MarketplaceError::UnknownCustomer`],
    /// [`MarketplaceError::UnknownLicense`].
    pub fn check(&self, product: &str, records: &[UsageRecord]) -> Result<(), MarketplaceError> {
        let bounds = self.bounds(product)?;
        let all = self.subscriptions();
        let known = Known::of(&all, records);
        records.iter().try_for_each(|record| bounds.customer_of(record, &known).map(drop))
    }

    /// Meters one record of a product; durable when this resolves.
    ///
    /// # Errors
    /// As [`Marketplace::check`], and [`MarketplaceError::Storage`].
    pub fn meter<'a>(
        &'a self,
        product: &'a str,
        record: &'a UsageRecord,
    ) -> BoxFuture<'a, Result<Metered, MarketplaceError>> {
        Box::pin(async move {
            let metered = self.meter_all(product, std::slice::from_ref(record)).await?.pop();
            metered.unwrap_or(Err(MarketplaceError::Storage(StorageError::Closed)))
        })
    }

    /// Meters records of a product as one transaction, at most [`BATCH_MAX`]: what became of each, or why it is refused, in
    /// their order; durable when this resolves.
    ///
    /// # Errors
    /// Nothing is metered: [`MarketplaceError::UnknownProduct`], [`MarketplaceError::Invalid`] for too many records,
    /// [`MarketplaceError::Storage`].
    pub fn meter_all<'a>(
        &'a self,
        product: &'a str,
        records: &'a [UsageRecord],
    ) -> BoxFuture<'a, Result<Vec<Result<Metered, MarketplaceError>>, MarketplaceError>> {
        Box::pin(async move {
            if records.len() > BATCH_MAX {
                let reason = format!("expected at most {BATCH_MAX} records, found {}", records.len());
                return Err(MarketplaceError::Invalid { reason });
            }
            let bounds = self.bounds(product)?;
            // Read and submitted in turn: of two who meter the same at once the second sees the first. The disk is waited for
            // outside, so that both wait for one sync.
            let turn = self.edits.lock().await;
            let all = self.subscriptions();
            let subscribed = Known::of(&all, records);
            let customers: Vec<_> = records.iter().map(|record| bounds.customer_of(record, &subscribed)).collect();
            let keys = records.iter().zip(&customers);
            let keys = keys
                .filter_map(|(record, customer)| Some(record_key(product, customer.as_ref().ok()?.as_ref()?, record)));
            let mut metering = Metering { known: self.records(keys.collect()).await?, transaction: Transaction::new() };
            let of_each = records.iter().zip(customers);
            let outcomes = of_each.map(|(record, customer)| Ok(self.decide(&mut metering, product, record, customer?)));
            let outcomes: Vec<_> = outcomes.collect();
            let ticket = self.storage.submit(metering.transaction)?;
            drop(turn);
            // What was known before may still be on its way to the disk: it is waited for too.
            ticket.durable().await?;
            Ok(outcomes)
        })
    }

    /// What records of a product are held to now.
    fn bounds(&self, product: &str) -> Result<Bounds, MarketplaceError> {
        let now = self.clock.now();
        Ok(Bounds { product: self.product(product)?, from: now - PAST_MAX, to: now + FUTURE_MAX })
    }

    /// What is metered already under some keys.
    async fn records(&self, keys: Vec<Vec<u8>>) -> Result<HashMap<Vec<u8>, MeteredRecord>, MarketplaceError> {
        let (storage, keyspace) = (self.storage.clone(), self.records.clone());
        let read = tokio::task::spawn_blocking(move || {
            let mut known = HashMap::new();
            for key in keys {
                let found = storage.get_submitted(&keyspace, &key)?;
                known.extend(found.and_then(|bytes| serde_json::from_slice(&bytes).ok()).map(|record| (key, record)));
            }
            Ok::<_, StorageError>(known)
        });
        Ok(read.await.map_err(|_| StorageError::Closed)??)
    }

    /// What becomes of a record, which joins the transaction when it is new. `customer`: `None` for nobody who is
    /// subscribed.
    fn decide(
        &self,
        metering: &mut Metering,
        product: &str,
        record: &UsageRecord,
        customer: Option<String>,
    ) -> Metered {
        let Some(customer) = customer else { return Metered { outcome: Outcome::NotSubscribed, id: None } };
        let key = record_key(product, &customer, record);
        if let Some(known) = metering.known.get(&key) {
            let outcome = if known.quantity == record.quantity { Outcome::Metered } else { Outcome::Differs };
            return Metered { outcome, id: Some(known.id.clone()) };
        }
        let made = MeteredRecord {
            id: uuid::Uuid::new_v4().to_string(),
            product: product.to_owned(),
            customer,
            dimension: record.dimension.clone(),
            hour: hour_of(record.time),
            quantity: record.quantity,
            time: self.clock.now(),
        };
        metering.transaction.put(&self.records, key.clone(), serde_json::to_vec(&made).unwrap_or_default());
        let id = made.id.clone();
        metering.known.insert(key, made);
        Metered { outcome: Outcome::Metered, id: Some(id) }
    }

    /// A page of what is metered for a product: the first, or the one that another named.
    ///
    /// # Errors
    /// [`MarketplaceError::Storage`].
    pub fn metered<'a>(
        &'a self,
        product: &'a str,
        page: Option<Vec<u8>>,
        limit: usize,
    ) -> BoxFuture<'a, Result<MeteredPage, MarketplaceError>> {
        Box::pin(async move {
            let (storage, keyspace) = (self.storage.clone(), self.records.clone());
            let (first, to) = (format!("{product}\n").into_bytes(), format!("{product}\u{b}").into_bytes());
            // A page of another product is none of this one.
            let from = page.filter(|from| *from > first && *from < to).unwrap_or(first);
            let read = tokio::task::spawn_blocking(move || {
                storage.scan(&keyspace, (Bound::Included(&from), Bound::Excluded(&to)), false, limit + 1)
            });
            let mut rows = read.await.map_err(|_| StorageError::Closed)??;
            let next = (rows.len() > limit).then(|| rows.pop()).flatten().map(|(key, _)| key.to_vec());
            let records = rows.iter().filter_map(|(_, value)| serde_json::from_slice(value).ok()).collect();
            Ok(MeteredPage { records, next })
        })
    }
}

/// A call that meters.
struct Metering {
    /// What is metered for its hours, before or by it.
    known: HashMap<Vec<u8>, MeteredRecord>,
    transaction: Transaction,
}

/// What records are held to.
struct Bounds {
    product: Arc<MarketplaceProductDefinition>,
    from: Millis,
    to: Millis,
}

impl Bounds {
    /// Whose a record is, by the name towards the seller: empty for the seller's own account, `None` for somebody who is
    /// not subscribed.
    fn customer_of(&self, record: &UsageRecord, known: &Known<'_>) -> Result<Option<String>, MarketplaceError> {
        let Self { product, from, to } = self;
        if !product.dimensions.contains(&record.dimension) {
            let dimension = record.dimension.clone();
            return Err(MarketplaceError::UnknownDimension { product: product.code.clone(), dimension });
        }
        if !(*from..=*to).contains(&record.time) {
            return Err(MarketplaceError::TimeOutOfBounds { time: record.time, from: *from, to: *to });
        }
        let Some(customer) = &record.customer else { return Ok(Some(String::new())) };
        let found = known.subscription(&product.code, customer)?;
        Ok(found.filter(|known| known.state != State::Ended).map(|known| known.customer.clone()))
    }
}

/// Subscriptions of the customers that some records name, by how they are named: looked through once for all of them.
struct Known<'a> {
    identifiers: BySomeName<'a>,
    accounts: BySomeName<'a>,
    licenses: BySomeName<'a>,
}

type BySomeName<'a> = HashMap<&'a str, Vec<&'a MarketplaceSubscriptionDefinition>>;

impl<'a> Known<'a> {
    fn of(all: &'a [Arc<MarketplaceSubscriptionDefinition>], records: &'a [UsageRecord]) -> Self {
        let mut known = Self { identifiers: HashMap::new(), accounts: HashMap::new(), licenses: HashMap::new() };
        for customer in records.iter().filter_map(|record| record.customer.as_ref()) {
            let (names, name) = known.names(customer);
            names.entry(name).or_default();
        }
        for one in all {
            for (names, name) in [
                (&mut known.identifiers, &one.customer),
                (&mut known.accounts, &one.account),
                (&mut known.licenses, &one.id),
            ] {
                if let Some(found) = names.get_mut(name.as_str()) {
                    found.push(one);
                }
            }
        }
        known
    }

    fn names(&mut self, customer: &'a Customer) -> (&mut BySomeName<'a>, &'a str) {
        match customer {
            Customer::Identifier(name) => (&mut self.identifiers, name),
            Customer::Account(account) => (&mut self.accounts, account),
            Customer::License(license) => (&mut self.licenses, license),
        }
    }

    /// A customer's subscription to a product, the newest; `None`: there never was one.
    fn subscription(
        &self,
        product: &str,
        customer: &Customer,
    ) -> Result<Option<&'a MarketplaceSubscriptionDefinition>, MarketplaceError> {
        let found = match customer {
            Customer::Identifier(name) => self.identifiers.get(name.as_str()),
            Customer::Account(account) => self.accounts.get(account.as_str()),
            Customer::License(license) => self.licenses.get(license.as_str()),
        };
        let found = found.filter(|found| !found.is_empty()).ok_or_else(|| customer.unknown())?;
        let of_product = found.iter().copied().filter(|known| known.product == product);
        Ok(of_product.max_by_key(|known| (known.state != State::Ended, known.created)))
    }
}

/// Whether a text may name a dimension.
pub(crate) fn is_dimension(name: &str) -> bool {
    (1..=255).contains(&name.chars().count()) && !name.contains(char::is_control)
}

fn hour_of(time: Millis) -> Millis {
    time.div_euclid(HOUR) * HOUR
}

fn record_key(product: &str, customer: &str, record: &UsageRecord) -> Vec<u8> {
    let mut key = format!("{product}\n{customer}\n{}\n", record.dimension).into_bytes();
    key.extend_from_slice(&hour_of(record.time).to_be_bytes());
    key
}
