//! Plans: made, changed, attached to keys.

use std::collections::BTreeSet;
use std::sync::Arc;

use millstream_catalog::{ApiKeyDefinition, PlanStage, QuotaPeriod, UsagePlanDefinition};
use millstream_storage::Transaction;
use millstream_types::BoxFuture;

use super::Plans;
use super::usage::counter_of;
use crate::engine::new_id;
use crate::error::GatewayError;

/// Plans of a node: the service's own quota.
pub const PLANS_MAX: usize = 300;

/// Plans that a key belongs to: the service's own quota.
pub const PLANS_OF_KEY_MAX: usize = 10;

/// Stages of a plan: all of some hundred APIs.
const STAGES_MAX: usize = 600;

/// Throttles of methods of one stage: one for each resource that an API may have.
const THROTTLES_MAX: usize = 300;

/// Labels of a plan or a key: the service's own quota.
pub(super) const TAGS_MAX: usize = 50;

/// Characters of a plan's texts.
const TEXT_CHARS_MAX: usize = 1_024;

impl Plans {
    /// Makes a plan. Its id and times are given here.
    ///
    /// # Errors
    /// [`GatewayError::Invalid`], [`GatewayError::NotFound`] for a stage, [`GatewayError::TooMany`],
    /// [`GatewayError::Catalog`].
    pub fn create_plan(
        &self,
        new: UsagePlanDefinition,
    ) -> BoxFuture<'_, Result<Arc<UsagePlanDefinition>, GatewayError>> {
        Box::pin(async move {
            let _turn = self.shared.edits.lock().await;
            if self.shared.catalog.usage_plans.list().len() >= PLANS_MAX {
                return Err(GatewayError::TooMany { what: "usage plans", limit: PLANS_MAX });
            }
            let now = self.shared.clock.now();
            let plan = UsagePlanDefinition { id: new_id(), created: now, updated: now, ..new };
            self.check_plan(&plan, &[])?;
            Ok(self.shared.catalog.usage_plans.create(plan).await?)
        })
    }

    /// A plan.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`].
    pub fn plan(&self, id: &str) -> Result<Arc<UsagePlanDefinition>, GatewayError> {
        Ok(self.shared.catalog.usage_plans.require(id)?)
    }

    /// All plans in the order of their ids.
    #[must_use]
    pub fn plans(&self) -> Vec<Arc<UsagePlanDefinition>> {
        self.shared.catalog.usage_plans.list()
    }

    /// Changes a plan. Its id and the time of its making stay. Throttles and quotas hold for the next request.
    ///
    /// # Errors
    /// As [`Plans::create_plan`], what `edit` refuses, [`GatewayError::Conflict`] when a key of it belongs to another
    /// plan of a stage that is added.
    pub async fn update_plan(
        &self,
        id: &str,
        edit: impl FnOnce(&mut UsagePlanDefinition) -> Result<(), GatewayError>,
    ) -> Result<Arc<UsagePlanDefinition>, GatewayError> {
        let _turn = self.shared.edits.lock().await;
        let before = self.plan(id)?;
        let mut plan = (*before).clone();
        edit(&mut plan)?;
        (plan.id, plan.created) = (before.id.clone(), before.created);
        plan.updated = self.shared.clock.now();
        self.check_plan(&plan, &before.stages)?;
        for key in self.keys_of(id) {
            for other in key.plans.iter().filter(|other| *other != id).filter_map(|other| self.plan(other).ok()) {
                refuse_same_stage(&key.id, &plan, &other)?;
            }
        }
        Ok(self.shared.catalog.usage_plans.put(plan).await?)
    }

    /// Removes a plan that opens no stage any more; its keys stay.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], [`GatewayError::Invalid`] when it opens stages, [`GatewayError::Catalog`],
    /// [`GatewayError::Storage`].
    pub fn delete_plan<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), GatewayError>> {
        Box::pin(async move {
            let keys = self.keys_of(id);
            for key in &keys {
                if !self.plan(id)?.stages.is_empty() {
                    break;
                }
                self.detach(id, &key.id).await?;
            }
            let _turn = self.shared.edits.lock().await;
            if let Some(stage) = self.plan(id)?.stages.first() {
                let reason = format!(
                    "Cannot delete Usage Plan {id} because there is an API stage {}:{} associated",
                    stage.api, stage.stage
                );
                return Err(GatewayError::Invalid { reason });
            }
            self.shared.catalog.usage_plans.delete(id, Transaction::new()).await?;
            Ok(())
        })
    }

    /// Lets a key use a plan. A key that uses it already stays as it is.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], [`GatewayError::Conflict`] when another plan of the key opens a stage of this one,
    /// [`GatewayError::TooMany`], [`GatewayError::Catalog`].
    pub fn attach<'a>(
        &'a self,
        plan: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Arc<ApiKeyDefinition>, GatewayError>> {
        Box::pin(async move {
            let added = self.plan(plan)?;
            self.edit_key(key, |key| {
                key.plans.insert(added.id.clone());
                self.check_plans(&key.plans)
            })
            .await
        })
    }

    /// Takes a plan from a key.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`] also when the key does not use it; [`GatewayError::Catalog`],
    /// [`GatewayError::Storage`].
    pub fn detach<'a>(&'a self, plan: &'a str, key: &'a str) -> BoxFuture<'a, Result<(), GatewayError>> {
        Box::pin(async move {
            self.edit_key(key, |key| match key.plans.remove(plan) {
                true => Ok(()),
                false => Err(GatewayError::NotFound { kind: "usage plan key", name: key.id.clone() }),
            })
            .await?;
            Ok(self.shared.quotas.remove(&[counter_of(plan, key)]).await?)
        })
    }

    /// The keys of a plan in the order of their ids.
    #[must_use]
    pub fn keys_of(&self, plan: &str) -> Vec<Arc<ApiKeyDefinition>> {
        self.keys().into_iter().filter(|key| key.plans.contains(plan)).collect()
    }

    /// Whether a key may belong to these plans.
    pub(super) fn check_plans(&self, plans: &BTreeSet<String>) -> Result<(), GatewayError> {
        if plans.len() > PLANS_OF_KEY_MAX {
            return Err(GatewayError::TooMany { what: "usage plans of an API key", limit: PLANS_OF_KEY_MAX });
        }
        let plans = plans.iter().map(|plan| self.plan(plan)).collect::<Result<Vec<_>, _>>()?;
        for (index, plan) in plans.iter().enumerate() {
            for other in &plans[..index] {
                refuse_same_stage("this key", plan, other)?;
            }
        }
        Ok(())
    }

    /// `known`: stages that it opened before; those may have gone in the meantime.
    fn check_plan(&self, plan: &UsagePlanDefinition, known: &[PlanStage]) -> Result<(), GatewayError> {
        let texts = plan.name.chars().count().max(plan.description.chars().count());
        if plan.name.trim().is_empty() || texts > TEXT_CHARS_MAX {
            return Err(invalid(format!("Usage Plan name should be 1 to {TEXT_CHARS_MAX} characters")));
        }
        if plan.tags.len() > TAGS_MAX {
            return Err(GatewayError::TooMany { what: "tags of a usage plan", limit: TAGS_MAX });
        }
        // Counts are kept by product, one to a line.
        if plan.product_code.as_deref().is_some_and(|code| code.contains(char::is_control)) {
            return Err(invalid("Usage Plan product code should be without control characters".to_owned()));
        }
        if plan.stages.len() > STAGES_MAX {
            return Err(GatewayError::TooMany { what: "stages of a usage plan", limit: STAGES_MAX });
        }
        for (index, stage) in plan.stages.iter().enumerate() {
            let place = format!("{}:{}", stage.api, stage.stage);
            if plan.stages[..index].iter().any(|other| (&other.api, &other.stage) == (&stage.api, &stage.stage)) {
                return Err(GatewayError::Exists { kind: "API stage of the usage plan", name: place });
            }
            let was_open = known.iter().any(|open| (&open.api, &open.stage) == (&stage.api, &stage.stage));
            let is_there =
                || self.shared.catalog.apis.get(&stage.api).is_some_and(|api| api.stages.contains_key(&stage.stage));
            if !was_open && !is_there() {
                return Err(GatewayError::NotFound { kind: "API stage", name: place });
            }
            if stage.throttles.len() > THROTTLES_MAX {
                return Err(GatewayError::TooMany { what: "method throttles of a stage", limit: THROTTLES_MAX });
            }
        }
        let Some(quota) = &plan.quota else { return Ok(()) };
        let most = match quota.period {
            QuotaPeriod::Day => 0,
            QuotaPeriod::Week => 6,
            QuotaPeriod::Month => 27,
        };
        if quota.offset > most {
            let period = format!("{:?}", quota.period).to_uppercase();
            return Err(invalid(format!("Usage Plan quota offset must be 0 to {most} in the {period} period")));
        }
        Ok(())
    }
}

fn refuse_same_stage(key: &str, plan: &UsagePlanDefinition, other: &UsagePlanDefinition) -> Result<(), GatewayError> {
    match plan.stages.iter().find(|stage| other.stage(&stage.api, &stage.stage).is_some()) {
        None => Ok(()),
        Some(stage) => Err(GatewayError::Conflict {
            reason: format!(
                "API key {key} may belong to one usage plan of an API stage only: {} and {} both open {}:{}",
                other.id, plan.id, stage.api, stage.stage
            ),
        }),
    }
}

fn invalid(reason: String) -> GatewayError {
    GatewayError::Invalid { reason }
}
