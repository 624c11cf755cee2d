//! What `rate-limit` and `quota` count of a request: under which names, when, and what callers are told.
//!
//! A call of which only its answer says whether, or as how many, it counts is let through first and counted when the answer is
//! there, so many of those at once may be more than the limit, as at the service.

use http::{HeaderName, HeaderValue};
use millstream_catalog::{ManagedApi, ManagedOperation};
use millstream_types::Millis;

use super::call::{Failure, Running};
use super::policies::Applied;
use crate::limit::quota::{Allowance, Exceeded, Period};
use crate::limit::rate::CallRate;
use crate::policy::condition::Condition;
use crate::policy::exchange::Flow;
use crate::policy::expression::Expression;
use crate::policy::limit::{Allowed, Counted, Part, Quota, Rate, RateLimit, Told};
use crate::policy::term::Value;

/// Characters of what a quota counts by: more is the same key.
const COUNTER_KEY_CHARS_MAX: usize = 256;

/// What is counted when the answer is there.
pub(super) struct Later {
    counter: String,
    undecided: Undecided,
    /// The stretch of a rate limit, milliseconds; `None`: it is a quota's.
    rate_period: Option<Millis>,
}

/// What only the answer decides of [`Counted`].
struct Undecided {
    /// `None`: it counts, whatever the answer is.
    when: Option<Condition>,
    by: Option<Expression>,
}

impl Running<'_> {
    /// A call against a rate limit and those of its parts.
    pub(super) fn limit(&mut self, applied: &Applied, limit: &RateLimit) -> Result<Flow, Failure> {
        let now = self.engine.clock.now();
        let counter = match &limit.counted.key {
            // The same key is one counter wherever it is counted with the same limit.
            Some(key) => {
                let Rate { calls, renewal_s } = limit.rate;
                format!("{}\n{calls}/{renewal_s}\n{}", self.compiled.service.name, self.exchange.value(key))
            }
            None => self.counter(applied, ""),
        };
        self.limited(counter, limit.rate, &limit.counted, &limit.told, now)?;
        for part in limit.parts.iter().filter(|part| is_meant(part, self.api, self.operation)) {
            let counter = self.counter(applied, &name_of(part));
            self.limited(counter, part.limit, &limit.counted, &limit.told, now)?;
        }
        Ok(Flow::Next(format!("within {} calls in {} s", limit.rate.calls, limit.rate.renewal_s)))
    }

    fn limited(
        &mut self,
        counter: String,
        rate: Rate,
        counted: &Counted,
        told: &Told,
        now: Millis,
    ) -> Result<(), Failure> {
        let period = Millis::from(rate.renewal_s) * 1_000;
        let (at_once, undecided) = self.split(counted);
        let taken = self.engine.rates.take(&counter, CallRate { calls: rate.calls, period }, at_once, now);
        self.tell_header(told.total_header.as_ref(), rate.calls.into());
        match taken {
            Ok(left) => self.tell(told.remaining_header.as_ref(), told.remaining_variable.as_ref(), left),
            Err(wait) => {
                let wait = seconds(wait);
                self.tell(told.remaining_header.as_ref(), told.remaining_variable.as_ref(), 0);
                self.tell(told.retry_header.as_ref(), told.retry_variable.as_ref(), wait);
                return Err(Failure::RateLimited(wait));
            }
        }
        if let Some(undecided) = undecided {
            self.later.push(Later { counter, undecided, rate_period: Some(period) });
        }
        Ok(())
    }

    /// A call against a quota and those of its parts.
    pub(super) async fn quota(&mut self, applied: &Applied, quota: &Quota) -> Result<Flow, Failure> {
        let counter = match &quota.counted.key {
            // The last line is empty: what subscriptions leave behind is found by theirs.
            Some(key) => {
                let key: String = self.exchange.value(key).chars().take(COUNTER_KEY_CHARS_MAX).collect();
                let (service, scope) = (&self.compiled.service.name, applied.scope.name());
                format!("{service}\n{scope}\n{}\nkey {}\n", applied.index, key.replace('\n', " "))
            }
            None => self.counter(applied, ""),
        };
        let now = self.engine.clock.now();
        self.within(counter, allowance(quota.allowed, quota.first_period, now), &quota.counted, now).await?;
        for part in quota.parts.iter().filter(|part| is_meant(part, self.api, self.operation)) {
            let counter = self.counter(applied, &name_of(part));
            self.within(counter, allowance(part.limit, None, now), &quota.counted, now).await?;
        }
        Ok(Flow::Next("within the quota".to_owned()))
    }

    async fn within(
        &mut self,
        counter: String,
        allowance: Allowance,
        counted: &Counted,
        now: Millis,
    ) -> Result<(), Failure> {
        let (at_once, undecided) = self.split(counted);
        let taken = self.engine.quotas.take(&counter, allowance, at_once.into(), now).await;
        let wait = |wait: Millis| (wait != Millis::MAX).then(|| seconds(wait));
        match taken.map_err(|error| Failure::Internal(error.to_string()))? {
            Ok(()) => {}
            Err(Exceeded::Calls(left)) => return Err(Failure::CallsUsedUp(wait(left))),
            Err(Exceeded::Bytes(left)) => return Err(Failure::BandwidthUsedUp(wait(left))),
        }
        if let Some(undecided) = undecided {
            self.later.push(Later { counter: counter.clone(), undecided, rate_period: None });
        }
        if allowance.bytes.is_some() {
            self.bandwidth.push(counter);
        }
        Ok(())
    }

    /// Counts what could not be counted before there was an answer.
    pub(super) async fn count_later(&mut self, bytes: u64) {
        let now = self.engine.clock.now();
        for Later { counter, undecided: Undecided { when, by }, rate_period } in std::mem::take(&mut self.later) {
            if when.is_some_and(|when| !when.holds(&self.exchange)) {
                continue;
            }
            let as_many = self.as_many(by.as_ref());
            match rate_period {
                Some(period) => self.engine.rates.add(&counter, period, as_many, now),
                None => self.add_to_quota(&counter, as_many.into(), 0).await,
            }
        }
        for counter in std::mem::take(&mut self.bandwidth) {
            self.add_to_quota(&counter, 0, bytes).await;
        }
    }

    async fn add_to_quota(&self, counter: &str, calls: u64, bytes: u64) {
        if let Err(error) = self.engine.quotas.add(counter, calls, bytes).await {
            tracing::warn!(%error, "a request is not counted");
        }
    }

    /// As how many calls this one counts, as far as is known by now.
    fn as_many(&self, by: Option<&Expression>) -> u32 {
        let Some(by) = by else { return 1 };
        match by.value(&self.exchange) {
            Value::Number(number) => number.clamp(0.0, f64::from(u32::MAX)) as u32,
            other => other.to_string().trim().parse().unwrap_or(1),
        }
    }

    /// As how many it counts at once, and what is left to its answer.
    fn split(&self, Counted { when, by, .. }: &Counted) -> (u32, Option<Undecided>) {
        match when {
            Some(when) if when.is_of_answer() => (0, Some(Undecided { when: Some(when.clone()), by: by.clone() })),
            Some(when) if !when.holds(&self.exchange) => (0, None),
            _ if by.as_ref().is_some_and(Expression::is_of_answer) => {
                (0, Some(Undecided { when: None, by: by.clone() }))
            }
            _ => (self.as_many(by.as_ref()), None),
        }
    }

    /// The name of a counter: what is counted for one policy, or a part of it, and one subscription, whose id is last.
    fn counter(&self, applied: &Applied, part: &str) -> String {
        let (service, scope) = (&self.compiled.service.name, applied.scope.name());
        format!("{service}\n{scope}\n{}{part}\n{}", applied.index, self.counted)
    }

    fn tell(&mut self, header: Option<&HeaderName>, variable: Option<&String>, number: u64) {
        self.tell_header(header, number);
        if let Some(name) = variable {
            self.exchange.variables.insert(name.clone(), Value::Number(number as f64));
        }
    }

    fn tell_header(&mut self, header: Option<&HeaderName>, number: u64) {
        if let Some(name) = header {
            self.exchange.response_headers.insert(name.clone(), HeaderValue::from(number));
        }
    }
}

fn is_meant<L>(part: &Part<L>, api: &ManagedApi, operation: &ManagedOperation) -> bool {
    let is = |text: &str, name: &str, display_name: &str| text == name || text == display_name;
    is(&part.api, &api.name, &api.display_name)
        && part.operation.as_ref().is_none_or(|part| is(part, &operation.name, &operation.display_name))
}

fn name_of<L>(part: &Part<L>) -> String {
    let operation = part.operation.as_deref().map(|operation| format!(" operation {operation}")).unwrap_or_default();
    format!(" api {}{operation}", part.api).replace('\n', " ")
}

fn allowance(allowed: Allowed, first_period: Option<Millis>, now: Millis) -> Allowance {
    let length = Millis::try_from(allowed.renewal_s.saturating_mul(1_000)).unwrap_or(0);
    let period = match (length, first_period) {
        (0, _) => Period::Forever,
        (length, None) => Period::FromFirstCall(length),
        (length, Some(first)) => {
            let begin = first.saturating_add(now.saturating_sub(first).div_euclid(length).saturating_mul(length));
            Period::Fixed { begin, end: begin.saturating_add(length) }
        }
    };
    let bytes = allowed.bandwidth_kb.map(|kilobytes| kilobytes.saturating_mul(1_024));
    Allowance { calls: allowed.calls, bytes, period }
}

/// Whole seconds, never too few.
fn seconds(wait: Millis) -> u64 {
    u64::try_from(wait.saturating_add(999) / 1_000).unwrap_or(0).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_reckoned_from_the_first_one() {
        let allowed = Allowed { calls: Some(1), bandwidth_kb: None, renewal_s: 10 };
        let period = |first, now| allowance(allowed, first, now).period;
        assert_eq!(period(None, 5), Period::FromFirstCall(10_000));
        assert_eq!(period(Some(3_000), 25_000), Period::Fixed { begin: 23_000, end: 33_000 });
        assert_eq!(period(Some(33_000), 25_000), Period::Fixed { begin: 23_000, end: 33_000 });
        assert_eq!(allowance(Allowed { renewal_s: 0, ..allowed }, Some(5), 7).period, Period::Forever);
    }
}
