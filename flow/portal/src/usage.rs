//! What subscriptions used and what that costs: one of them, and all of them together for the owner.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use millstream_catalog::{
    Money, PlanQuota, PortalAccountDefinition, PortalSubscription, PortalSubscriptionState as State,
};
use millstream_types::{BoxFuture, Millis};

use crate::bill::{Line, Month, bill, date_of};
use crate::error::PortalError;
use crate::portal::Portal;

/// Calls by day and API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Days with calls: those of each API, by its id.
    pub days: BTreeMap<Date, BTreeMap<String, u64>>,
}

impl Usage {
    /// All calls of each day.
    #[must_use]
    pub fn calls_by_day(&self) -> BTreeMap<Date, u64> {
        self.days.iter().map(|(day, apis)| (*day, apis.values().sum())).collect()
    }
}

/// What is left of a quota.
#[derive(Debug, Clone, Copy)]
pub struct QuotaLeft {
    /// The quota.
    pub quota: PlanQuota,
    /// Calls that are left.
    pub calls: u64,
    /// When counting begins anew.
    pub renewed: Millis,
}

/// A month of all subscriptions.
#[derive(Debug, Clone, Default)]
pub struct Sums {
    /// By plan, the one with most revenue first.
    pub plans: Vec<PlanSum>,
    /// By account, the one that costs most first.
    pub accounts: Vec<AccountSum>,
}

/// A month of a plan.
#[derive(Debug, Clone, Default)]
pub struct PlanSum {
    /// The plan's name.
    pub name: String,
    /// Active subscriptions.
    pub active: u64,
    /// Calls.
    pub calls: u64,
    /// What they cost.
    pub revenue: Money,
}

/// A month of an account.
#[derive(Debug, Clone)]
pub struct AccountSum {
    /// The account.
    pub account: Arc<PortalAccountDefinition>,
    /// Calls.
    pub calls: u64,
    /// What they cost.
    pub cost: Money,
}

impl Sums {
    /// Active subscriptions.
    #[must_use]
    pub fn active(&self) -> u64 {
        self.plans.iter().map(|plan| plan.active).sum()
    }

    /// Calls.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.plans.iter().map(|plan| plan.calls).sum()
    }

    /// What they cost.
    #[must_use]
    pub fn revenue(&self) -> Money {
        self.plans.iter().fold(Money::default(), |sum, plan| sum.plus(plan.revenue))
    }
}

impl Portal {
    /// What a subscription used from one day to another, both included.
    ///
    /// # Errors
    /// [`PortalError::Gateway`].
    pub fn usage<'a>(
        &'a self,
        subscription: &'a PortalSubscription,
        from: Date,
        to: Date,
    ) -> BoxFuture<'a, Result<Usage, PortalError>> {
        Box::pin(async move {
            let mut usage = Usage::default();
            let Some(key) = &subscription.key else { return Ok(usage) };
            let end = to.checked_add(1.days()).unwrap_or(to);
            let hours = self.shared.plans.usage(&subscription.plan, key, begin_of(from), begin_of(end)).await?;
            for hour in hours {
                let day = usage.days.entry(date_of(hour.hour)).or_default();
                *day.entry(hour.api).or_default() += hour.used.requests;
            }
            Ok(usage)
        })
    }

    /// What is left of a subscription's quota; `None` without a quota or when it is not active.
    ///
    /// # Errors
    /// [`PortalError::Gateway`].
    pub fn quota_left<'a>(
        &'a self,
        subscription: &'a PortalSubscription,
    ) -> BoxFuture<'a, Result<Option<QuotaLeft>, PortalError>> {
        Box::pin(async move {
            let Some(key) = subscription.key.as_ref().filter(|_| subscription.state == State::Active) else {
                return Ok(None);
            };
            let Some(quota) = self.plan(&subscription.plan).ok().and_then(|plan| plan.quota) else { return Ok(None) };
            let state = self.shared.plans.quota(&subscription.plan, key).await?;
            Ok(state.map(|state| QuotaLeft { quota, calls: state.left, renewed: state.end }))
        })
    }

    /// The months of a subscription, the latest first; none when it never began.
    #[must_use]
    pub fn bill(&self, subscription: &PortalSubscription, calls: &BTreeMap<Date, u64>) -> Vec<Line> {
        let Some(began) = subscription.began else { return Vec::new() };
        bill(&subscription.price, began, subscription.ended, self.now(), calls)
    }

    /// One month of a subscription; `None` when it was not there in that month.
    ///
    /// # Errors
    /// [`PortalError::Gateway`].
    pub fn month<'a>(
        &'a self,
        subscription: &'a PortalSubscription,
        month: Month,
    ) -> BoxFuture<'a, Result<Option<Line>, PortalError>> {
        Box::pin(async move {
            let there = subscription.began.is_some_and(|began| Month::of(began) <= month)
                && subscription.ended.is_none_or(|ended| Month::of(ended) >= month);
            if !there {
                return Ok(None);
            }
            let calls = self.usage(subscription, month.first(), month.last()).await?.calls_by_day();
            Ok(self.bill(subscription, &calls).into_iter().find(|line| line.month == month))
        })
    }

    /// A month of everybody.
    ///
    /// # Errors
    /// [`PortalError::Gateway`].
    pub fn sums(&self, month: Month) -> BoxFuture<'_, Result<Sums, PortalError>> {
        Box::pin(async move {
            let (mut plans, mut accounts): (BTreeMap<String, PlanSum>, Vec<AccountSum>) = Default::default();
            for account in self.accounts() {
                let (mut calls, mut cost) = (0, Money::default());
                for subscription in account.subscriptions.values() {
                    let Some(line) = self.month(subscription, month).await? else { continue };
                    let plan = plans.entry(subscription.plan.clone()).or_default();
                    plan.name.clone_from(&subscription.plan_name);
                    plan.active += u64::from(subscription.state == State::Active);
                    plan.calls += line.calls;
                    plan.revenue = plan.revenue.plus(line.total);
                    calls += line.calls;
                    cost = cost.plus(line.total);
                }
                if calls > 0 || cost.0 > 0 {
                    accounts.push(AccountSum { account, calls, cost });
                }
            }
            let mut plans: Vec<PlanSum> = plans.into_values().collect();
            plans.sort_by(|a, b| (b.revenue, b.calls, &a.name).cmp(&(a.revenue, a.calls, &b.name)));
            accounts.sort_by_key(|sum| std::cmp::Reverse((sum.cost, sum.calls)));
            Ok(Sums { plans, accounts })
        })
    }

    /// Who waits for the owner's answer, the longest first.
    #[must_use]
    pub fn requests(&self) -> Vec<(Arc<PortalAccountDefinition>, PortalSubscription)> {
        let mut waiting: Vec<_> = Vec::new();
        for account in self.accounts() {
            let asked = account.subscriptions.values().filter(|known| known.state == State::Requested);
            waiting.extend(asked.map(|known| (Arc::clone(&account), known.clone())));
        }
        waiting.sort_by_key(|(_, known)| known.requested);
        waiting
    }
}

/// The begin of a day, in UTC.
fn begin_of(date: Date) -> Millis {
    date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp().as_millisecond()).unwrap_or_default()
}
