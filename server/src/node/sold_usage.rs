//! The usage of plans that are sold as products at the marketplace: metered hour by hour, once an hour is over.
//!
//! The counts say whose usage they are, so that it is metered though its key or its plan is gone, and what a customer used
//! of several plans of one product is one quantity. Who leaves is metered up to the end, in the middle of an hour.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use millstream_catalog::MarketplaceSubscriptionDefinition;
use millstream_gateway::{Plans, Sold, UsageHour};
use millstream_marketplace::metering::BATCH_MAX;
use millstream_marketplace::{API_DIMENSION, Customer, Marketplace, MarketplaceError, Metered, Outcome, UsageRecord};
use millstream_types::Millis;

/// An hour, milliseconds.
const HOUR: Millis = 3_600_000;

/// Hours that are looked at again: as many as the marketplace takes.
const HOURS: Millis = 23;

/// Millionths in a unit.
const MILLIONTHS: u64 = 1_000_000;

/// Keys of a plan that are asked for at once.
const KEYS: usize = 500;

/// Requests by what is sold to whom in which hour.
type Used = BTreeMap<(Sold, Millis), u64>;

/// What was metered last.
#[derive(Debug, Default)]
pub struct SoldUsage {
    /// The hour that was under way when all hours before were metered; 0: not since the node started.
    metered_to: AtomicI64,
}

impl SoldUsage {
    /// Meters the hours that are over, if there is one more than the last time, and the hour under way of those who
    /// leave. What is metered already stays as it is.
    ///
    /// # Errors
    /// The store's: some may not be metered, and are the next time.
    pub async fn meter(
        &self,
        plans: &Plans,
        market: &Marketplace,
        leaving: &[Arc<MarketplaceSubscriptionDefinition>],
        now: Millis,
    ) -> anyhow::Result<()> {
        let this_hour = now.div_euclid(HOUR) * HOUR;
        if leaving.is_empty() && self.metered_to.load(Ordering::Acquire) == this_hour {
            return Ok(());
        }
        plans.settle().await?;
        let leaving: BTreeSet<Sold> = leaving
            .iter()
            .map(|left| Sold { product: left.product.clone(), customer: left.customer.clone() })
            .collect();
        let mut used = Used::new();
        for plan in plans.metered_plans().await? {
            let mut after = String::new();
            loop {
                let keys = plans.metered_keys(&plan, &after, KEYS).await?;
                let Some(last) = keys.last().cloned() else { break };
                for key in keys {
                    let hours = plans.usage(&plan, &key, this_hour - HOURS * HOUR, this_hour + HOUR).await?;
                    add(&mut used, hours, this_hour, &leaving);
                }
                after = last;
            }
        }
        commit(market, used, this_hour).await?;
        self.metered_to.store(this_hour, Ordering::Release);
        Ok(())
    }
}

/// Adds the hours of a key that are to be metered.
fn add(used: &mut Used, hours: Vec<UsageHour>, this_hour: Millis, leaving: &BTreeSet<Sold>) {
    for hour in hours {
        let Some(sold) = hour.sold else { continue };
        if hour.hour < this_hour || leaving.contains(&sold) {
            *used.entry((sold, hour.hour)).or_default() += hour.used.requests;
        }
    }
}

/// Meters, many records as one transaction.
async fn commit(market: &Marketplace, used: Used, this_hour: Millis) -> anyhow::Result<()> {
    let mut by_product: BTreeMap<String, Vec<UsageRecord>> = BTreeMap::new();
    for ((Sold { product, customer }, hour), requests) in used {
        by_product.entry(product).or_default().push(UsageRecord {
            time: hour,
            customer: Some(Customer::Identifier(customer)),
            dimension: API_DIMENSION.to_owned(),
            quantity: requests.saturating_mul(MILLIONTHS),
        });
    }
    for (product, records) in by_product {
        for records in records.chunks(BATCH_MAX) {
            match market.meter_all(&product, records).await {
                Ok(metered) => {
                    for (record, metered) in records.iter().zip(metered) {
                        tell(&product, record, metered, this_hour);
                    }
                }
                Err(MarketplaceError::UnknownProduct { .. }) => {
                    tracing::warn!(product, "usage is not metered: its product is gone");
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Says what is not metered, once: when its hour is just over.
fn tell(product: &str, record: &UsageRecord, metered: Result<Metered, MarketplaceError>, this_hour: Millis) {
    let (customer, hour, quantity) = (&record.customer, record.time, record.quantity);
    match metered {
        Ok(Metered { outcome: Outcome::Metered, .. }) => {}
        _ if record.time < this_hour - HOUR => {}
        Ok(Metered { outcome, .. }) => {
            tracing::warn!(product, ?customer, hour, quantity, ?outcome, "usage is not metered");
        }
        Err(error) => tracing::warn!(product, ?customer, hour, quantity, %error, "usage is not metered"),
    }
}

#[cfg(test)]
mod tests;
