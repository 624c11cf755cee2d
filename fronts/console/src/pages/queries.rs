//! `/queries`: continuous queries.

use askama::Template;
use millstream_catalog::{QueryDefinition, QueryDialect};

use super::{Frame, ListPage, query};
use crate::Console;
use crate::chart;
use crate::error::ConsoleError;
use crate::live::Fragments;
use crate::measure::Measures;
use crate::page::Page;
use crate::partials::{Figure, ListRow, Listing, page_of};

pub(super) fn page(frame: Frame, live: Fragments) -> Result<String, ConsoleError> {
    Ok(ListPage { frame, live, more: "" }.render()?)
}

pub(super) fn fragments(console: &Console, after: &str) -> Result<Fragments, ConsoleError> {
    let (queries, next) = page_of(console.catalog().queries.list(), after, |query| &query.name);
    let mut fragments = Fragments::default();
    fragments.add(
        "list",
        &Listing {
            columns: &["state", "rows in", "rows out", "watermark lag", "errors in 10 min"],
            rows: queries.iter().map(|query| row(console, query)).collect(),
            empty: "No queries. Define one in a pipeline file.",
            next: next.map(|name| Page::Queries(name).href()),
        },
    )?;
    Ok(fragments)
}

fn row(console: &Console, query: &QueryDefinition) -> ListRow {
    let measures = Measures::of(&console.insight().metrics, format!("query/{}", query.name));
    ListRow {
        href: Page::Query(query.name.clone()).href(),
        name: query.name.clone(),
        note: dialect(query.dialect).to_owned(),
        spark: chart::spark("rows in per second", &measures.series("rows_in")),
        cells: vec![
            query::state(console, query).into(),
            Figure::rate("rows in", measures.rate("rows_in")).into(),
            Figure::rate("rows out", measures.rate("rows_out")).into(),
            query::watermark_lag(&measures).into(),
            Figure::trouble("errors", measures.recent("errors"), "").into(),
        ],
    }
}

/// A dialect's name for people.
pub(super) fn dialect(dialect: QueryDialect) -> &'static str {
    match dialect {
        QueryDialect::Kinesis => "Kinesis Analytics SQL",
        QueryDialect::StreamAnalytics => "Stream Analytics SQL",
        QueryDialect::Standard => "Standard SQL",
    }
}
