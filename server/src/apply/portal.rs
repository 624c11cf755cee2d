//! Carrying out what a pipeline file says of usage plans, the developer portal and the marketplace.

use std::collections::BTreeMap;

use anyhow::Context as _;
use millstream_catalog::pipeline::{
    ApiSpec, Located, MarketplaceProductSpec, PlanSpec, PortalApiSpec, PortalOfferSpec,
};
use millstream_catalog::{
    MarketplaceProductDefinition, PlanStage, PortalDefinition, PortalOfferDefinition, UsagePlanDefinition,
};
use millstream_portal::{NewPortalApi, Put};

use super::carry_out::Outcome;
use crate::node::Engines;

/// Makes a usage plan, or makes the one of that name so; throttles of methods stay, and its product unless the file
/// says one.
pub(super) async fn plan(engines: &Engines, spec: &PlanSpec, apis: &[Located<ApiSpec>]) -> anyhow::Result<Outcome> {
    let known = engines.plans.plans().into_iter().find(|plan| plan.name == spec.name);
    let mut stages = Vec::with_capacity(spec.apis.len());
    for name in &spec.apis {
        let (api, stage) = deployed(engines, name, apis)?;
        let before = known.as_ref().and_then(|plan| plan.stage(&api, &stage));
        stages.push(before.cloned().unwrap_or(PlanStage { api, stage, throttles: BTreeMap::new() }));
    }
    let described = |plan: UsagePlanDefinition| UsagePlanDefinition {
        name: spec.name.clone(),
        description: spec.description.clone(),
        stages: stages.clone(),
        throttle: spec.throttle,
        quota: spec.quota,
        product_code: spec.product_code.clone().or_else(|| plan.product_code.clone()),
        ..plan
    };
    match known {
        None => {
            engines.plans.create_plan(described(UsagePlanDefinition::default())).await?;
            Ok(Outcome::Created)
        }
        Some(known) if described((*known).clone()) == *known => Ok(Outcome::Unchanged),
        Some(known) => {
            let edit = |plan: &mut UsagePlanDefinition| {
                *plan = described(plan.clone());
                Ok(())
            };
            engines.plans.update_plan(&known.id, edit).await?;
            Ok(Outcome::Updated)
        }
    }
}

/// Defines a product of the marketplace.
pub(super) async fn product(engines: &Engines, spec: &MarketplaceProductSpec) -> anyhow::Result<Outcome> {
    let known = engines.catalog.marketplace_products.get(&spec.code);
    let product = MarketplaceProductDefinition {
        code: spec.code.clone(),
        dimensions: spec.dimensions.clone(),
        topic: spec.topic.clone(),
        ..MarketplaceProductDefinition::default()
    };
    let made = engines.marketplace.put_product(product).await?;
    Ok(match known {
        None => Outcome::Created,
        Some(known) if *known == *made => Outcome::Unchanged,
        Some(_) => Outcome::Updated,
    })
}

/// Lets the portal present itself as described.
pub(super) async fn present(engines: &Engines, definition: &PortalDefinition) -> anyhow::Result<Outcome> {
    if *engines.portal.definition() == *definition {
        return Ok(Outcome::Unchanged);
    }
    engines.portal.present(definition.clone()).await?;
    Ok(Outcome::Updated)
}

/// Publishes an API.
pub(super) async fn publish(
    engines: &Engines,
    spec: &PortalApiSpec,
    apis: &[Located<ApiSpec>],
    documents: &BTreeMap<String, String>,
) -> anyhow::Result<Outcome> {
    let (api, stage) = deployed(engines, &spec.api, apis)?;
    let document = match &spec.openapi {
        Some(file) => {
            let name = file.value.display().to_string();
            Some(documents.get(&name).cloned().with_context(|| format!("the text of {name} was not sent"))?)
        }
        None => None,
    };
    let new = NewPortalApi { name: spec.name.clone(), api, stage, document, published: spec.published };
    Ok(match engines.portal.put_api(new).await? {
        Put::Created => Outcome::Created,
        Put::Updated => Outcome::Updated,
        Put::Unchanged => Outcome::Unchanged,
    })
}

/// Offers a plan.
pub(super) async fn offer(engines: &Engines, spec: &PortalOfferSpec) -> anyhow::Result<Outcome> {
    let plan = engines.plans.plans().into_iter().find(|plan| plan.name == spec.plan);
    let plan = plan.with_context(|| format!("there is no usage plan `{}`", spec.plan))?.id.clone();
    let PortalOfferSpec { offered, approval, price, .. } = spec.clone();
    let changed = engines.portal.offer(PortalOfferDefinition { plan, offered, approval, price }).await?;
    Ok(if changed { Outcome::Updated } else { Outcome::Unchanged })
}

/// The id and the stage of an API: the stage that the file says, else the one that the node has.
fn deployed(engines: &Engines, name: &str, apis: &[Located<ApiSpec>]) -> anyhow::Result<(String, String)> {
    let found = engines.gateway.list().into_iter().find(|api| api.name == name);
    let found = found.with_context(|| format!("there is no api `{name}`"))?;
    if let Some(api) = apis.iter().find(|api| api.value.name == name) {
        return Ok((found.id.clone(), api.value.stage.clone()));
    }
    let mut stages = found.stages.keys();
    match (stages.next(), stages.next()) {
        (Some(stage), None) => Ok((found.id.clone(), stage.clone())),
        (None, _) => anyhow::bail!("api `{name}` has no stage; deploy it"),
        (Some(_), Some(_)) => anyhow::bail!("api `{name}` has several stages; describe it in the same file"),
    }
}
