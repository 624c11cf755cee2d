//! Carrying out what a pipeline file says of keys. A plan and a key are known by their names.

use std::collections::BTreeSet;

use anyhow::Context as _;
use millstream_catalog::pipeline::ApiKeySpec;
use millstream_gateway::{ApiKeyChange, NewApiKey};

use super::carry_out::Outcome;
use crate::node::Engines;

/// Makes a key, or attaches the one of that name to the plans; gives its value.
pub(super) async fn api_key(engines: &Engines, spec: &ApiKeySpec) -> anyhow::Result<(Outcome, String)> {
    let plans = engines.plans.plans();
    let id = |name: &String| {
        let plan = plans.iter().find(|plan| plan.name == *name);
        plan.map(|plan| plan.id.clone()).with_context(|| format!("there is no usage plan `{name}`"))
    };
    let wanted: BTreeSet<String> = spec.plans.iter().map(id).collect::<anyhow::Result<_>>()?;
    let known = engines.plans.keys().into_iter().find(|key| key.name == spec.name);
    let Some(known) = known else {
        let new = NewApiKey {
            name: spec.name.clone(),
            value: spec.value.clone(),
            enabled: true,
            customer: spec.customer.clone(),
            plans: wanted,
            ..NewApiKey::default()
        };
        return Ok((Outcome::Created, engines.plans.create_key(new).await?.value.clone()));
    };
    if spec.value.as_ref().is_some_and(|value| *value != known.value) {
        anyhow::bail!(
            "the key has another value; a key's value is given once: name it otherwise, or leave `value` out"
        );
    }
    let mut outcome = Outcome::Unchanged;
    for plan in known.plans.difference(&wanted) {
        engines.plans.detach(plan, &known.id).await?;
        outcome = Outcome::Updated;
    }
    for plan in wanted.difference(&known.plans) {
        engines.plans.attach(plan, &known.id).await?;
        outcome = Outcome::Updated;
    }
    if known.customer != spec.customer {
        let change = ApiKeyChange { customer: Some(spec.customer.clone()), ..ApiKeyChange::default() };
        engines.plans.update_key(&known.id, change).await?;
        outcome = Outcome::Updated;
    }
    Ok((outcome, known.value.clone()))
}
