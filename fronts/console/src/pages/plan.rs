//! `/plans/{id}`: what a usage plan allows, and what its keys used. Values of keys are not shown.

use askama::Template;
use millstream_catalog::ApiKeyDefinition;
use millstream_gateway::UsageTotals;
use millstream_types::Millis;

use super::{Frame, plans};
use crate::Console;
use crate::error::ConsoleError;
use crate::format;
use crate::page::Page;
use crate::partials::{BAD, Cell, Grid, page_of};

const DAY: Millis = 86_400_000;
/// Days that usage is summed over.
const DAYS: Millis = 30;

#[derive(Template)]
#[template(path = "pages/plan.html")]
struct PlanPage {
    frame: Frame,
    id: String,
    name: String,
    description: String,
    throttle: String,
    quota: String,
    product: String,
    created: String,
    stages: String,
    keys: String,
}

pub(super) async fn page(console: &Console, id: &str, after: &str, frame: Frame) -> Result<String, ConsoleError> {
    let plan = console.plan(id)?;
    let mut stages = Grid::new(&["API", "stage", "throttles of methods"], "It opens no stage.");
    for open in &plan.stages {
        let api = console.catalog().apis.get(&open.api);
        let throttles = open
            .throttles
            .iter()
            .map(|(method, throttle)| format!("{method} {}/s, {} at once", throttle.rate(), throttle.burst));
        stages.rows.push(vec![
            api.map_or_else(|| open.api.clone(), |api| format!("{} ({})", api.name, api.id)).into(),
            open.stage.clone().into(),
            throttles.collect::<Vec<_>>().join("; ").into(),
        ]);
    }
    let (found, next) = page_of(console.plans().keys_of(id), after, |key| &key.id);
    let columns = ["name", "id", "#requests today", "#30 days", "bytes, 30 days", "#left", "customer"];
    let mut keys = Grid::new(&columns, "It has no keys.");
    keys.next = next.map(|key| Page::Plan(id.to_owned(), key).href());
    for key in found {
        keys.rows.push(row(console, id, &key).await?);
    }
    let page = PlanPage {
        frame,
        id: plan.id.clone(),
        name: plan.name.clone(),
        description: plan.description.clone(),
        throttle: plans::throttle(&plan),
        quota: plans::quota(&plan),
        product: plan.product_code.clone().unwrap_or_else(|| "none".to_owned()),
        created: format::date_time(plan.created),
        stages: askama::Template::render(&stages)?,
        keys: askama::Template::render(&keys)?,
    };
    Ok(page.render()?)
}

async fn row(console: &Console, plan: &str, key: &ApiKeyDefinition) -> Result<Vec<Cell>, ConsoleError> {
    let today = console.clock().now().div_euclid(DAY);
    let (mut all, mut of_today) = (UsageTotals::default(), UsageTotals::default());
    for hour in console.plans().usage(plan, &key.id, (today - DAYS + 1) * DAY, (today + 1) * DAY).await? {
        all.add(hour.used);
        if hour.hour.div_euclid(DAY) == today {
            of_today.add(hour.used);
        }
    }
    let quota = console.plans().quota(plan, &key.id).await?;
    let left = quota.map_or("–".to_owned(), |quota| format::count(quota.left));
    let tone = if quota.is_some_and(|quota| quota.left == 0) { BAD } else { "" };
    let disabled = if key.enabled { "" } else { " (disabled)" };
    Ok(vec![
        format!("{}{disabled}", key.name).into(),
        key.id.clone().into(),
        format::count(of_today.requests).into(),
        format::count(all.requests).into(),
        format::size(all.bytes).into(),
        Cell { tone, ..left.into() },
        key.customer.clone().into(),
    ])
}
