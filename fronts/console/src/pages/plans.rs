//! `/plans`: usage plans.

use askama::Template;
use millstream_catalog::{QuotaPeriod, UsagePlanDefinition};

use super::{Frame, ListPage};
use crate::Console;
use crate::error::ConsoleError;
use crate::format;
use crate::live::Fragments;
use crate::page::Page;
use crate::partials::{Cell, Grid, page_of};

pub(super) fn page(frame: Frame, live: Fragments) -> Result<String, ConsoleError> {
    Ok(ListPage { frame, live, more: "" }.render()?)
}

pub(super) fn fragments(console: &Console, after: &str) -> Result<Fragments, ConsoleError> {
    let (plans, next) = page_of(console.plans().plans(), after, |plan| &plan.id);
    let empty = "No usage plans. Define one in a pipeline file, or create one with any API Gateway client.";
    let mut grid = Grid::new(&["name", "id", "throttle", "quota", "product", "#stages", "#keys", "made (UTC)"], empty);
    grid.next = next.map(|id| Page::Plans(id).href());
    for plan in plans {
        grid.rows.push(vec![
            Cell::link(&plan.name, &Page::plan(&plan.id)),
            plan.id.clone().into(),
            throttle(&plan).into(),
            quota(&plan).into(),
            plan.product_code.clone().unwrap_or_default().into(),
            plan.stages.len().to_string().into(),
            format::count(console.plans().keys_of(&plan.id).len() as u64).into(),
            format::date_time(plan.created).into(),
        ]);
    }
    let mut fragments = Fragments::default();
    fragments.add("list", &grid)?;
    Ok(fragments)
}

/// A plan's throttle in words.
pub(super) fn throttle(plan: &UsagePlanDefinition) -> String {
    plan.throttle.map_or("none".to_owned(), |found| format!("{}/s, {} at once", found.rate(), found.burst))
}

/// A plan's quota in words.
pub(super) fn quota(plan: &UsagePlanDefinition) -> String {
    let period = |period| match period {
        QuotaPeriod::Day => "day",
        QuotaPeriod::Week => "week",
        QuotaPeriod::Month => "month",
    };
    plan.quota.map_or("none".to_owned(), |quota| format!("{} a {}", format::count(quota.limit), period(quota.period)))
}
