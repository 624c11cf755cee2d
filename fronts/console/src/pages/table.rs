//! `/tables/{name}`: items, page by page.

use askama::Template;
use millstream_catalog::{KeyAttribute, KeyType};

use super::Frame;
use crate::Console;
use crate::chart;
use crate::error::ConsoleError;
use crate::format;
use crate::live::Fragments;
use crate::measure::Measures;
use crate::partials::{Chart, Charts, Figure, Figures};

#[derive(Template)]
#[template(path = "pages/table.html")]
struct TablePage<'a> {
    frame: Frame,
    live: Fragments,
    name: &'a str,
    hash_key: String,
    sort_key: Option<String>,
    created: String,
}

pub(super) fn page(console: &Console, name: &str, frame: Frame, live: Fragments) -> Result<String, ConsoleError> {
    let table = console.table(name)?;
    let page = TablePage {
        frame,
        live,
        name,
        hash_key: key(&table.hash_key),
        sort_key: table.sort_key.as_ref().map(key),
        created: format::date_time(table.created),
    };
    Ok(page.render()?)
}

fn key(attribute: &KeyAttribute) -> String {
    let key_type = match attribute.key_type {
        KeyType::String => "string",
        KeyType::Number => "number",
        KeyType::Binary => "binary",
    };
    format!("{} ({key_type})", attribute.name)
}

pub(super) async fn fragments(console: &Console, name: &str, _after: &str) -> Result<Fragments, ConsoleError> {
    console.table(name)?;
    let measures = Measures::of(&console.insight().metrics, format!("table/{name}"));
    let mut fragments = Fragments::default();
    let figures = vec![
        Figure::rate("items written", measures.rate("items_written")),
        Figure::rate("items read", measures.rate("items_read")),
    ];
    fragments.add("figures", &Figures { figures })?;
    let charts = vec![
        Chart::of("items written per second", &measures.series("items_written"), chart::per_second),
        Chart::of("items read per second", &measures.series("items_read"), chart::per_second),
    ];
    fragments.add("charts", &Charts { charts })?;
    Ok(fragments)
}
