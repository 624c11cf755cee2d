//! `/tables`: tables.

use askama::Template;
use millstream_catalog::TableDefinition;

use super::{Frame, ListPage};
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
    let (tables, next) = page_of(console.catalog().tables.list(), after, |table| &table.name);
    let mut fragments = Fragments::default();
    fragments.add(
        "list",
        &Listing {
            columns: &["key", "items written", "items read"],
            rows: tables.iter().map(|table| row(console, table)).collect(),
            empty: "No tables. Define one in a pipeline file, or create one with any DynamoDB client.",
            next: next.map(|name| Page::Tables(name).href()),
        },
    )?;
    Ok(fragments)
}

fn row(console: &Console, table: &TableDefinition) -> ListRow {
    let measures = Measures::of(&console.insight().metrics, format!("table/{}", table.name));
    let key = match &table.sort_key {
        Some(sort_key) => format!("{}, {}", table.hash_key.name, sort_key.name),
        None => table.hash_key.name.clone(),
    };
    ListRow {
        href: Page::table(&table.name).href(),
        name: table.name.clone(),
        note: String::new(),
        spark: chart::spark("items written per second", &measures.series("items_written")),
        cells: vec![
            key.into(),
            Figure::rate("items written", measures.rate("items_written")).into(),
            Figure::rate("items read", measures.rate("items_read")).into(),
        ],
    }
}
