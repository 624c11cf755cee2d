//! What keys used, and what is left to them.

use millstream_catalog::{PlanQuota, UsagePlanDefinition};
use millstream_types::{BoxFuture, Millis};

use super::Plans;
use crate::error::GatewayError;
use crate::limit::period;
use crate::limit::quota::{Allowance, Period};
use crate::metering::UsageHour;

/// What the counters of plans' quotas begin with; a managed service's name has no such character.
const COUNTERS: &str = "plan/";

/// Where a key stands in its quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaState {
    /// Calls of a period.
    pub limit: u64,
    /// Calls that are left.
    pub left: u64,
    /// When the period began.
    pub begin: Millis,
    /// When it ends.
    pub end: Millis,
}

impl Plans {
    /// What a key of a plan used in the hours `from..to`: by hour, API and stage, in this order; without those in which
    /// it used nothing. Everything that was answered before the question is in it. Keys that are gone are answered too.
    ///
    /// # Errors
    /// [`GatewayError::Storage`].
    pub fn usage<'a>(
        &'a self,
        plan: &'a str,
        key: &'a str,
        from: Millis,
        to: Millis,
    ) -> BoxFuture<'a, Result<Vec<UsageHour>, GatewayError>> {
        Box::pin(async move {
            self.settle().await?;
            Ok(self.shared.usage.hours((plan, key), from, to).await?)
        })
    }

    /// The ids of keys that ever used a plan, those that are gone too: behind `after`, in their order, at most `limit`.
    ///
    /// # Errors
    /// [`GatewayError::Storage`].
    pub fn metered_keys<'a>(
        &'a self,
        plan: &'a str,
        after: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, GatewayError>> {
        Box::pin(async move {
            self.settle().await?;
            Ok(self.shared.usage.keys(plan, after, limit).await?)
        })
    }

    /// The ids of plans that were ever used, those that are gone too, in their order.
    ///
    /// # Errors
    /// [`GatewayError::Storage`].
    pub fn metered_plans(&self) -> BoxFuture<'_, Result<Vec<String>, GatewayError>> {
        Box::pin(async move {
            self.settle().await?;
            Ok(self.shared.usage.plans().await?)
        })
    }

    /// Where a key stands in a plan's quota now; `None`: the plan has none.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], [`GatewayError::Storage`].
    pub fn quota<'a>(&'a self, plan: &'a str, key: &'a str) -> BoxFuture<'a, Result<Option<QuotaState>, GatewayError>> {
        Box::pin(async move {
            let Some(quota) = self.plan(plan)?.quota else { return Ok(None) };
            let now = self.shared.clock.now();
            let (begin, end) = period::bounds(&quota, now);
            let left = self.shared.quotas.left(&counter_of(plan, key), allowance(&quota, now), now).await?;
            Ok(Some(QuotaState { limit: quota.limit, left: left.unwrap_or(quota.limit), begin, end }))
        })
    }

    /// Leaves a key so many calls of the current period, more or fewer than there were.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`] when the key does not use the plan, [`GatewayError::Invalid`] when the plan has no
    /// quota, [`GatewayError::Storage`].
    pub fn grant<'a>(&'a self, plan: &'a str, key: &'a str, left: u64) -> BoxFuture<'a, Result<(), GatewayError>> {
        Box::pin(async move {
            let definition = self.plan(plan)?;
            if !self.key(key)?.plans.contains(plan) {
                return Err(GatewayError::NotFound { kind: "usage plan key", name: key.to_owned() });
            }
            let no_quota = || GatewayError::Invalid { reason: format!("Usage Plan {plan} has no quota") };
            let quota = definition.quota.ok_or_else(no_quota)?;
            let now = self.shared.clock.now();
            let allowance = (allowance(&quota, now), quota.limit);
            Ok(self.shared.quotas.grant(&counter_of(plan, key), allowance, left, now).await?)
        })
    }

    /// What was left of a plan's quota to a key at the end of each day of `from..to` (days since 1970): for today and later,
    /// what is left now. `None`: the plan has no quota.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], [`GatewayError::Storage`].
    pub fn left_by_day<'a>(
        &'a self,
        plan: &'a str,
        key: &'a str,
        (from, to): (i64, i64),
    ) -> BoxFuture<'a, Result<Option<Vec<u64>>, GatewayError>> {
        Box::pin(async move {
            let definition = self.plan(plan)?;
            let (Some(quota), Some(state)) = (definition.quota, self.quota(plan, key).await?) else { return Ok(None) };
            let today = period::day(self.shared.clock.now());
            // A day without calls ends as the last one before it in the same period.
            let first = period::day(period::bounds(&quota, from * period::DAY).0).min(from);
            self.settle().await?;
            let known = self.shared.usage.left((plan, key), first, to).await?;
            let of = |day: i64| {
                if day >= today {
                    return state.left;
                }
                let begin = period::day(period::bounds(&quota, day * period::DAY).0);
                let last = known.iter().rev().find(|(noted, _)| *noted <= day);
                last.filter(|(noted, _)| *noted >= begin).map_or(quota.limit, |(_, left)| *left)
            };
            Ok(Some((from..to).map(of).collect()))
        })
    }

    /// Waits until everything that was answered is counted on the disk: hours that are over do not change afterwards.
    ///
    /// # Errors
    /// [`GatewayError::Storage`].
    pub fn settle(&self) -> BoxFuture<'_, Result<(), GatewayError>> {
        Box::pin(async move { Ok(self.shared.ledger.flush().await?) })
    }

    /// Removes counts that are older than they are kept, and counters of quotas whose periods are over.
    ///
    /// # Errors
    /// [`GatewayError::Storage`].
    pub fn sweep(&self) -> BoxFuture<'_, Result<(), GatewayError>> {
        Box::pin(async move {
            let now = self.shared.clock.now();
            self.shared.usage.sweep(now).await?;
            Ok(self.shared.quotas.sweep(now, is_counter_of_plan).await?)
        })
    }
}

/// The counter of a key's quota in a plan.
pub(super) fn counter_of(plan: &str, key: &str) -> String {
    [COUNTERS, plan, "\n", key].concat()
}

/// Whether a counter is one of plans: managed services count in the same place.
pub(crate) fn is_counter_of_plan(counter: &[u8]) -> bool {
    counter.starts_with(COUNTERS.as_bytes())
}

/// What a plan's quota allows at a time; `None` without one.
pub(super) fn allowance_of(plan: &UsagePlanDefinition, now: Millis) -> Option<(Allowance, u64)> {
    plan.quota.as_ref().map(|quota| (allowance(quota, now), quota.limit))
}

fn allowance(quota: &PlanQuota, now: Millis) -> Allowance {
    let (begin, end) = period::bounds(quota, now);
    Allowance { calls: Some(quota.limit), bytes: None, period: Period::Fixed { begin, end } }
}
