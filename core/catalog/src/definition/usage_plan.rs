//! Usage plans: which stages of APIs their keys open, how fast and how often.

use std::collections::BTreeMap;

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::collection::Definition;

/// What a throttle's rates are counted in: thousandths of a call a second, so that counting stays exact.
const THOUSANDTHS: f64 = 1_000.0;

/// The fastest throttle, calls a second: far beyond what a node answers.
const RATE_MAX: f64 = 1e9;

/// A plan that keys are sold under.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsagePlanDefinition {
    /// Unique: ten letters and digits.
    pub id: String,
    /// For people; need not be unique.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// What its keys open.
    #[serde(default)]
    pub stages: Vec<PlanStage>,
    /// How fast each of its keys may call, over all its stages; `None`: no limit of the plan's.
    #[serde(default)]
    pub throttle: Option<Throttle>,
    /// How often each of its keys may call in a period; `None`: no limit.
    #[serde(default)]
    pub quota: Option<PlanQuota>,
    /// The product at the marketplace that its usage is sold as.
    #[serde(default)]
    pub product_code: Option<String>,
    /// Labels.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// When it was made.
    pub created: Millis,
    /// When it was last changed.
    #[serde(default)]
    pub updated: Millis,
}

impl UsagePlanDefinition {
    /// The stage of an API, when the plan opens it.
    #[must_use]
    pub fn stage(&self, api: &str, stage: &str) -> Option<&PlanStage> {
        self.stages.iter().find(|open| open.api == api && open.stage == stage)
    }
}

/// A stage that a plan opens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStage {
    /// The API's id.
    pub api: String,
    /// The stage's name.
    pub stage: String,
    /// How fast each key may call single methods of it, by resource path and method: `/orders/GET`.
    #[serde(default)]
    pub throttles: BTreeMap<String, Throttle>,
}

/// So many calls a second for long, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// Thousandths of a call a second.
    pub rate_thousandths: u64,
    /// Calls at once after a pause.
    pub burst: u32,
}

impl Throttle {
    /// A throttle of `rate` calls a second; `None` for a rate that is negative, no number or beyond 10⁹.
    #[must_use]
    pub fn new(rate: f64, burst: u32) -> Option<Self> {
        let allowed = (0.0..=RATE_MAX).contains(&rate);
        allowed.then(|| Self { rate_thousandths: (rate * THOUSANDTHS).round() as u64, burst })
    }

    /// Calls a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate_thousandths as f64 / THOUSANDTHS
    }
}

/// So many calls in each period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanQuota {
    /// Calls.
    pub limit: u64,
    /// Days by which the period begins later than the calendar's.
    #[serde(default)]
    pub offset: u32,
    /// How long.
    pub period: QuotaPeriod,
}

/// A period of the calendar, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaPeriod {
    /// From midnight.
    Day,
    /// From Sunday.
    Week,
    /// From the first day.
    Month,
}

impl Definition for UsagePlanDefinition {
    const KIND: &'static str = "usage plan";

    fn key(&self) -> &str {
        &self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_kept_in_thousandths() {
        for (rate, thousandths) in [(0.0, 0), (0.5, 500), (10.0, 10_000), (33.333, 33_333)] {
            assert_eq!(Throttle::new(rate, 1).map(|made| made.rate_thousandths), Some(thousandths));
        }
        assert_eq!(Throttle::new(0.5, 1).map(|made| made.rate().to_string()), Some("0.5".to_owned()));
        for rate in [-0.1, f64::NAN, f64::INFINITY, 2e9] {
            assert_eq!(Throttle::new(rate, 1), None, "{rate}");
        }
    }
}
