//! `/functions`: functions.

use askama::Template;
use millstream_catalog::FunctionDefinition;

use super::{Frame, ListPage};
use crate::Console;
use crate::chart;
use crate::error::ConsoleError;
use crate::format;
use crate::live::Fragments;
use crate::measure::{self, Measures};
use crate::page::Page;
use crate::partials::{Figure, ListRow, Listing, page_of};

pub(super) fn page(frame: Frame, live: Fragments) -> Result<String, ConsoleError> {
    Ok(ListPage { frame, live, more: "" }.render()?)
}

pub(super) fn fragments(console: &Console, after: &str) -> Result<Fragments, ConsoleError> {
    let (functions, next) = page_of(console.catalog().functions.list(), after, |function| &function.name);
    let mut fragments = Fragments::default();
    fragments.add(
        "list",
        &Listing {
            columns: &["invocations", "run time", "running", "throttles in 10 min", "errors in 10 min"],
            rows: functions.iter().map(|function| row(console, function)).collect(),
            empty: "No functions. Define one in a pipeline file, or create one with any Lambda client.",
            next: next.map(|name| Page::Functions(name).href()),
        },
    )?;
    Ok(fragments)
}

fn row(console: &Console, function: &FunctionDefinition) -> ListRow {
    let measures = Measures::of(&console.insight().metrics, format!("function/{}", function.name));
    ListRow {
        href: Page::Function(function.name.clone()).href(),
        name: function.name.clone(),
        note: function.runtime.clone(),
        spark: chart::spark("invocations per second", &measures.series("invocations")),
        cells: vec![
            Figure::rate("invocations", measures.rate("invocations")).into(),
            measure::run_time(&measures).map_or("–".to_owned(), chart::millis).into(),
            measures.level("concurrent").map_or("–".to_owned(), format::number).into(),
            Figure::trouble("throttles", measures.recent("throttles"), "").into(),
            Figure::trouble("errors", measures.recent("errors"), "").into(),
        ],
    }
}
