//! Whether a request may pass: its key, the throttles that it stands under, its quota; and what is kept of it afterwards.
//!
//! The order: key → throttles (the plan's for the method, the plan's, the stage's for the method, all APIs' together) →
//! quota. A request that a throttle refuses takes nothing from any, and nothing from the quota.

use std::sync::Arc;

use millstream_catalog::{ApiKeyDefinition, Throttle, UsagePlanDefinition};
use millstream_types::{BoxFuture, Millis};

use super::Plans;
use super::usage::{allowance_of, counter_of};
use crate::error::{GatewayError, Refusal};
use crate::limit::quota::Exceeded;
use crate::metering::line::CALLER_GONE;
use crate::metering::{AccessLine, Charged, Ledger};
use crate::request::ApiRequest;
use crate::stages::Served;

/// The header that holds a caller's key.
const KEY_HEADER: &str = "x-api-key";

/// Who calls, by the key that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The key's id.
    pub key: String,
    /// What was sent.
    pub value: String,
    /// The usage plan that opens the stage.
    pub plan: String,
}

/// A request that was let through and has to be settled with its answer. One that is dropped, because its caller went away,
/// is kept as such: it was let through.
pub struct Metered {
    plans: Plans,
    kept: Option<(AccessLine, Option<Charged>)>,
}

impl Plans {
    /// Lets a request pass, or says why not. A method that needs no key has neither a caller nor anything to settle.
    pub(crate) async fn admit(
        &self,
        request: &ApiRequest,
        served: &Served<'_>,
    ) -> Result<Option<(Caller, Metered)>, Refusal> {
        let opened = if served.matched.method.api_key_required {
            let value = request.headers.get(KEY_HEADER).and_then(|value| value.to_str().ok());
            let value = value.ok_or(Refusal::KeyRefused)?;
            let (key, plan) = self.opened(value, request).ok_or(Refusal::KeyRefused)?;
            Some((value, key, plan))
        } else {
            None
        };
        let throttles = self.throttles(request, served, opened.as_ref().map(|(_, key, plan)| (&**key, &**plan)));
        if !throttles.is_empty() && self.shared.buckets.take(&throttles, self.shared.clock.now()).is_err() {
            return Err(Refusal::Throttled);
        }
        let Some((value, key, plan)) = opened else { return Ok(None) };
        if !self.shared.ledger.has_room() {
            return Err(Refusal::NotCounted("too many requests wait to be counted".to_owned()));
        }
        let (charged, quota_from) = self.charge(&key, &plan).await?.unzip();
        let line = AccessLine {
            request_id: request.id.clone(),
            time: request.now,
            hour: 0,
            key: key.id.clone(),
            plan: plan.id.clone(),
            product: plan.product_code.clone().unwrap_or_default(),
            customer: key.customer.clone(),
            quota_from,
            api: request.api.clone(),
            stage: request.stage.clone(),
            method: request.method.clone(),
            resource: served.matched.resource.path.clone(),
            status: CALLER_GONE,
            latency_ms: 0,
            request_bytes: request.body.len() as u64,
            response_bytes: 0,
        };
        self.shared.ledger.expect();
        let caller = Caller { key: key.id.clone(), value: value.to_owned(), plan: plan.id.clone() };
        Ok(Some((caller, Metered { plans: self.clone(), kept: Some((line, charged)) })))
    }

    /// The key of a value and the plan of it that opens the request's stage.
    fn opened(&self, value: &str, request: &ApiRequest) -> Option<(Arc<ApiKeyDefinition>, Arc<UsagePlanDefinition>)> {
        let key = self.key_of_value(value).filter(|key| key.enabled)?;
        let plans = key.plans.iter().filter_map(|plan| self.shared.catalog.usage_plans.get(plan));
        let plan = plans.into_iter().find(|plan| plan.stage(&request.api, &request.stage).is_some())?;
        Some((key, plan))
    }

    /// The throttles that a request stands under.
    fn throttles(
        &self,
        request: &ApiRequest,
        served: &Served<'_>,
        opened: Option<(&ApiKeyDefinition, &UsagePlanDefinition)>,
    ) -> Vec<(String, Throttle)> {
        let (api, stage, method) = (&request.api, &request.stage, &served.throttled_as);
        let mut throttles = Vec::with_capacity(4);
        if let Some((key, plan)) = opened {
            let of_method = plan.stage(api, stage).and_then(|open| open.throttles.get(method));
            let key = &key.id;
            throttles.extend(
                of_method.map(|found| ([&plan.id, api, stage, method, key].map(String::as_str).join("\n"), *found)),
            );
            throttles.extend(plan.throttle.map(|found| ([&plan.id, key].map(String::as_str).join("\n"), found)));
        }
        throttles.extend(served.throttle.map(|found| (["stage", api.as_str(), stage, method].join("\n"), found)));
        throttles.extend(self.shared.options.account.map(|found| ("account".to_owned(), found)));
        throttles
    }

    /// Counts a request in its quota; gives the counter and the begin of its period.
    async fn charge(
        &self,
        key: &ApiKeyDefinition,
        plan: &UsagePlanDefinition,
    ) -> Result<Option<(Charged, Millis)>, Refusal> {
        let now = self.shared.clock.now();
        let Some((allowance, limit)) = allowance_of(plan, now) else { return Ok(None) };
        let counter = counter_of(&plan.id, &key.id);
        let reserved = self.shared.quotas.reserve(&counter, allowance, now).await;
        match reserved.map_err(|error| Refusal::NotCounted(error.to_string()))? {
            Ok(from) => Ok(Some((Charged { counter, limit }, from))),
            Err(Exceeded::Calls(_) | Exceeded::Bytes(_)) => Err(Refusal::QuotaUsedUp),
        }
    }

    fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }
}

impl Metered {
    /// Keeps the request with its answer's status and the bytes of its body; durable when this resolves. The answer must
    /// not go out before.
    ///
    /// # Errors
    /// [`GatewayError::Storage`].
    pub fn settle(mut self, status: u16, bytes: u64) -> BoxFuture<'static, Result<(), GatewayError>> {
        Box::pin(async move {
            let Some((mut line, charged)) = self.kept.take() else { return Ok(()) };
            (line.status, line.response_bytes) = (status, bytes);
            line.latency_ms = u64::try_from(self.plans.shared.clock.now() - line.time).unwrap_or(0);
            Ok(self.plans.ledger().commit(line, charged).await?)
        })
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        let Some((mut line, charged)) = self.kept.take() else { return };
        line.latency_ms = u64::try_from(self.plans.shared.clock.now() - line.time).unwrap_or(0);
        self.plans.ledger().commit_later(line, charged);
    }
}
