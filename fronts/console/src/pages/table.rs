//! `/tables/{name}`: items, page by page in the order of their keys' hashes, and what was written last.
//!
//! Never counts items: that would read the whole table.

use askama::Template;
use millstream_catalog::{KeyAttribute, KeyType, TableDefinition};
use millstream_insight::trail::Step;
use millstream_table::{AttributeValue, Item, Scan};

use super::Frame;
use crate::Console;
use crate::chart;
use crate::error::ConsoleError;
use crate::format;
use crate::live::Fragments;
use crate::measure::Measures;
use crate::page::Page;
use crate::partials::{Chart, Charts, Figure, Figures};

/// Items on a page.
const ITEMS_MAX: usize = 50;
/// Columns of attributes.
const COLUMNS_MAX: usize = 14;
/// Characters of a value.
const VALUE_CHARS: usize = 80;
/// Writes that the page shows.
const WRITES_MAX: usize = 10;

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
        hash_key: key_words(&table.hash_key),
        sort_key: table.sort_key.as_ref().map(key_words),
        created: format::date_time(table.created),
    };
    Ok(page.render()?)
}

fn key_words(attribute: &KeyAttribute) -> String {
    let key_type = match attribute.key_type {
        KeyType::String => "string",
        KeyType::Number => "number",
        KeyType::Binary => "binary",
    };
    format!("{} ({key_type})", attribute.name)
}

pub(super) async fn fragments(console: &Console, name: &str, after: &str) -> Result<Fragments, ConsoleError> {
    let table = console.table(name)?;
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
    fragments.add("writes", &writes(console, name))?;
    fragments.add("items", &items(console, &table, after).await?)?;
    Ok(fragments)
}

#[derive(Template)]
#[template(path = "partials/writes.html")]
struct Writes {
    rows: Vec<WriteRow>,
}

struct WriteRow {
    time: String,
    key: String,
    invocation: String,
}

/// What was written last, as the trail has it.
fn writes(console: &Console, name: &str) -> Writes {
    let written = |step: &Step| matches!(step, Step::ItemWritten { table, .. } if table == name);
    let marks = console.insight().trail.find(written).into_iter().rev().take(WRITES_MAX);
    let row = |mark: millstream_insight::Mark| match mark.step {
        Step::ItemWritten { key, invocation, .. } => Some(WriteRow {
            time: format::clock(mark.time),
            key: format::cut(&key, VALUE_CHARS * 2),
            invocation: invocation.unwrap_or_default(),
        }),
        _ => None,
    };
    Writes { rows: marks.filter_map(row).collect() }
}

#[derive(Template)]
#[template(path = "partials/items.html")]
struct Items {
    columns: Vec<ItemColumn>,
    rows: Vec<Vec<ItemCell>>,
    first: Option<String>,
    next: Option<String>,
}

struct ItemColumn {
    name: String,
    number: bool,
}

struct ItemCell {
    text: String,
    number: bool,
}

async fn items(console: &Console, table: &TableDefinition, after: &str) -> Result<Items, ConsoleError> {
    let start = if after.is_empty() { None } else { Some(position::read(table, after)?) };
    let scan = Scan { limit: Some(ITEMS_MAX), start, ..Scan::default() };
    let page = console.tables().scan(&table.name, scan).await?;
    let keys = [Some(&table.hash_key), table.sort_key.as_ref()];
    let mut columns: Vec<String> = keys.into_iter().flatten().map(|key| key.name.clone()).collect();
    for name in page.items.iter().flat_map(Item::keys) {
        if columns.len() < COLUMNS_MAX && !columns.contains(name) {
            columns.push(name.clone());
        }
    }
    let row = |item: &Item| columns.iter().map(|column| cell(item.get(column))).collect();
    let is_number =
        |name: &String| page.items.iter().any(|item| matches!(item.get(name), Some(AttributeValue::Number(_))));
    let column = |name: &String| ItemColumn { number: is_number(name), name: name.clone() };
    let address = |after: String| Page::Table(table.name.clone(), after).href();
    Ok(Items {
        columns: columns.iter().map(column).collect(),
        rows: page.items.iter().map(row).collect(),
        first: (!after.is_empty()).then(|| address(String::new())),
        next: page.last_key.and_then(|key| position::write(table, &key)).map(address),
    })
}

fn cell(value: Option<&AttributeValue>) -> ItemCell {
    let number = matches!(value, Some(AttributeValue::Number(_)));
    ItemCell { text: value.map_or_else(String::new, |value| format::cut(&words(value), VALUE_CHARS)), number }
}

/// A value for people: documents as JSON would write them, without their types.
fn words(value: &AttributeValue) -> String {
    let list = |parts: Vec<String>| format!("[{}]", parts.join(", "));
    match value {
        AttributeValue::List(values) => list(values.iter().map(words).collect()),
        AttributeValue::StringSet(values) => list(values.iter().cloned().collect()),
        AttributeValue::NumberSet(values) => list(values.iter().map(ToString::to_string).collect()),
        AttributeValue::Map(values) => {
            let parts: Vec<String> = values.iter().map(|(name, value)| format!("{name}: {}", words(value))).collect();
            format!("{{{}}}", parts.join(", "))
        }
        other => other.to_string(),
    }
}

/// A key as text in an address, and back: a JSON array of its parts, bytes as hexadecimal.
mod position {
    use bytes::Bytes;
    use millstream_catalog::{KeyAttribute, KeyType, TableDefinition};
    use millstream_table::{AttributeValue, Item};

    use crate::error::ConsoleError;

    pub(super) fn write(table: &TableDefinition, key: &Item) -> Option<String> {
        let names = [Some(&table.hash_key), table.sort_key.as_ref()];
        let part = |attribute: &KeyAttribute| key.get(&attribute.name).map(ToString::to_string);
        let parts: Option<Vec<String>> = names.into_iter().flatten().map(part).collect();
        serde_json::to_string(&parts?).ok()
    }

    pub(super) fn read(table: &TableDefinition, text: &str) -> Result<Item, ConsoleError> {
        let wrong = || ConsoleError::Invalid(format!("`{text}` is no position in this table; begin at its first page"));
        let parts: Vec<String> = serde_json::from_str(text).map_err(|_| wrong())?;
        let names: Vec<&KeyAttribute> =
            [Some(&table.hash_key), table.sort_key.as_ref()].into_iter().flatten().collect();
        if parts.len() != names.len() {
            return Err(wrong());
        }
        let value = |key: &KeyAttribute, part: String| match key.key_type {
            KeyType::String => Some(AttributeValue::String(part)),
            KeyType::Number => part.parse().ok().map(AttributeValue::Number),
            KeyType::Binary => bytes_of(&part).map(AttributeValue::Binary),
        };
        let named = names.into_iter().zip(parts).map(|(key, part)| Some((key.name.clone(), value(key, part)?)));
        named.collect::<Option<Item>>().ok_or_else(wrong)
    }

    fn bytes_of(hexadecimal: &str) -> Option<Bytes> {
        let digits = hexadecimal.as_bytes().chunks(2);
        digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect::<Option<Vec<u8>>>()
            .map(Bytes::from)
    }
}
