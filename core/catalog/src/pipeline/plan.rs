//! What a pipeline file says of usage plans and keys.

use std::collections::BTreeSet;

use serde::Deserialize;
use toml::Spanned;

use super::resolve::Resolver;
use super::source::Located;
use crate::definition::{PlanQuota, QuotaPeriod, Throttle};

/// The fastest plan, calls a second.
const RATE_MAX: f64 = 1e6;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanTable {
    #[serde(default)]
    description: String,
    /// The APIs of the file that its keys open.
    #[serde(default)]
    apis: Vec<Spanned<String>>,
    /// Calls a second for long; without it there is no limit.
    rate: Option<Spanned<f64>>,
    /// Calls at once after a pause; as many as a second allows unless it is said.
    burst: Option<u32>,
    /// Calls of a period; without it there is no limit.
    quota: Option<u64>,
    #[serde(default = "month")]
    quota_period: QuotaPeriod,
    /// The product at the marketplace that its usage is sold as.
    product_code: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiKeyTable {
    /// What callers send; made when the key is, unless it is said.
    value: Option<Spanned<String>>,
    /// The plans of the file that it belongs to.
    plans: Vec<Spanned<String>>,
    /// Whose it is at the marketplace.
    #[serde(default)]
    customer: String,
}

/// A key to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeySpec {
    /// Its name.
    pub name: String,
    /// What callers send; `None`: made when the key is.
    pub value: Option<String>,
    /// The plans that it belongs to, by name.
    pub plans: BTreeSet<String>,
    /// Whose it is at the marketplace; empty without.
    pub customer: String,
}

/// A usage plan to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanSpec {
    /// Its name.
    pub name: String,
    /// For people.
    pub description: String,
    /// The APIs that its keys open, by name.
    pub apis: Vec<String>,
    /// How fast each key may call.
    pub throttle: Option<Throttle>,
    /// How often each key may call in a period.
    pub quota: Option<PlanQuota>,
    /// The product that it is sold as; `None`: as before.
    pub product_code: Option<String>,
}

impl Resolver<'_> {
    pub(super) fn plan(&mut self, (name, table): (String, Spanned<PlanTable>)) -> Located<PlanSpec> {
        let line = self.line(&table);
        let table = table.into_inner();
        for api in &table.apis {
            let apis = self.apis.clone();
            self.refers("api", &apis, api);
        }
        let rate = table.rate.as_ref().map_or(0.0, |rate| *rate.get_ref());
        if let Some(given) = table.rate.as_ref().filter(|_| !(0.0..=RATE_MAX).contains(&rate)) {
            let line = self.line(given);
            let message = format!("expected rate from 0 to {RATE_MAX} calls a second, found {rate}");
            self.wrong(line, message, "write it as calls a second: rate = 10");
        }
        if table.rate.is_none() && table.burst.is_some() {
            self.wrong(line, "`burst` says nothing without `rate`".to_owned(), "add it: rate = 10");
        }
        // A rate within its bounds, so its whole part fits.
        let burst = table.burst.unwrap_or(rate.ceil().max(1.0) as u32);
        let value = PlanSpec {
            name,
            description: table.description,
            apis: table.apis.into_iter().map(Spanned::into_inner).collect(),
            throttle: table.rate.and_then(|_| Throttle::new(rate, burst)),
            quota: table.quota.map(|limit| PlanQuota { limit, offset: 0, period: table.quota_period }),
            product_code: table.product_code,
        };
        Located { value, line }
    }

    pub(super) fn api_key(&mut self, (name, table): (String, Spanned<ApiKeyTable>)) -> Located<ApiKeySpec> {
        let line = self.line(&table);
        let table = table.into_inner();
        for plan in &table.plans {
            if !self.plans.contains(plan.get_ref()) {
                let (line, plan) = (self.line(plan), plan.get_ref());
                self.wrong(
                    line,
                    format!("there is no plan `{plan}` in this file"),
                    format!("define it: [plans.{plan}]"),
                );
            }
        }
        if let Some(value) = &table.value {
            let line = self.line(value);
            self.range(line, "characters of `value`", value.get_ref().chars().count() as u64, (20, 128));
        }
        let value = ApiKeySpec {
            name,
            value: table.value.map(Spanned::into_inner),
            plans: table.plans.into_iter().map(Spanned::into_inner).collect(),
            customer: table.customer,
        };
        Located { value, line }
    }
}

fn month() -> QuotaPeriod {
    QuotaPeriod::Month
}
