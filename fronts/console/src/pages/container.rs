//! `/documents/{database}/{name}?sql=…`: a container's documents page by page, or the rows of a query over them.
//!
//! Drawn when it is asked for only: each page reads documents.

use askama::Template;
use millstream_document::{DocumentError, Feed, PageRequest};
use millstream_types::ErrorKind;
use serde_json::Value;

use super::Frame;
use crate::Console;
use crate::error::ConsoleError;
use crate::format;
use crate::page::Page;
use crate::partials::{Cell, Column, Grid};

/// Rows on a page.
const ROWS_MAX: usize = 50;
/// Columns of properties.
const COLUMNS_MAX: usize = 14;
/// Characters of a value.
const VALUE_CHARS: usize = 80;
/// What is asked when the box is empty.
const ALL: &str = "SELECT * FROM c";

#[derive(Template)]
#[template(path = "pages/container.html")]
struct ContainerPage<'a> {
    frame: Frame,
    database: &'a str,
    name: &'a str,
    href: String,
    partition_key: String,
    created: String,
    sql: &'a str,
    mistake: Option<String>,
    rows: Grid,
}

pub(super) async fn page(
    console: &Console,
    (database, name): (&str, &str),
    sql: &str,
    after: &str,
    frame: Frame,
) -> Result<String, ConsoleError> {
    let container = console.container(database, name)?;
    let text = if sql.trim().is_empty() { ALL } else { sql };
    let continuation = (!after.is_empty()).then(|| after.to_owned());
    let request = PageRequest { rows_max: Some(ROWS_MAX), continuation, ..PageRequest::default() };
    let (feed, mistake) = match console.documents().query(&container, text, &[], request).await {
        Ok(feed) => (feed, None),
        Err(error) => (Feed::default(), Some(mistake(error)?)),
    };
    let mut rows = grid(&feed.rows);
    let next = |after| Page::Container { database: database.into(), name: name.into(), sql: sql.into(), after };
    rows.next = feed.continuation.map(|after| next(after).href());
    let page = ContainerPage {
        frame,
        database,
        name,
        href: Page::container(&container.path).href(),
        partition_key: container.partition_key_paths.join(", "),
        created: format::date_time(container.created),
        sql: sql.trim(),
        mistake,
        rows,
    };
    Ok(page.render()?)
}

/// What the asker did wrong is said beside the box; anything else is an error of the page.
fn mistake(error: DocumentError) -> Result<String, ConsoleError> {
    match error.kind() {
        ErrorKind::Invalid => Ok(error.to_string()),
        _ => Err(error.into()),
    }
}

/// Rows as a table: the properties of objects in the order of their first appearance, else one column. What the node
/// itself adds to documents (`_rid`, `_etag`, …) comes last.
fn grid(rows: &[Value]) -> Grid {
    let mut names: Vec<&String> = Vec::new();
    for name in rows.iter().filter_map(Value::as_object).flat_map(|row| row.keys()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.sort_by_key(|name| (name.starts_with('_'), *name != "id"));
    names.truncate(COLUMNS_MAX);
    let bare = rows.iter().any(|row| !row.is_object());
    let number = |name: &str| rows.iter().any(|row| row.get(name).is_some_and(Value::is_number));
    let mut grid = Grid::new(&[], "No documents.");
    grid.columns = names.iter().map(|name| Column { name: (*name).clone(), number: number(name) }).collect();
    if bare {
        grid.columns.push(Column { name: "value".to_owned(), number: rows.iter().all(Value::is_number) });
    }
    grid.rows = rows
        .iter()
        .map(|row| {
            let mut cells: Vec<Cell> = names.iter().map(|name| cell(row.get(name.as_str()))).collect();
            if bare {
                cells.push(cell((!row.is_object()).then_some(row)));
            }
            cells
        })
        .collect();
    grid
}

fn cell(value: Option<&Value>) -> Cell {
    match value {
        None => Cell::default(),
        Some(Value::String(text)) => format::cut(text, VALUE_CHARS).into(),
        Some(other) => format::cut(&other.to_string(), VALUE_CHARS).into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_a_table_with_the_ids_first() {
        let grid = grid(&[json!({ "_ts": 1, "n": 2, "id": "a" }), json!({ "id": "b", "s": [1] })]);
        let heads: Vec<(&str, bool)> = grid.columns.iter().map(|found| (found.name.as_str(), found.number)).collect();
        assert_eq!(heads, [("id", false), ("n", true), ("s", false), ("_ts", true)]);
        let texts: Vec<Vec<&str>> = grid.rows.iter().map(|row| row.iter().map(|cell| &*cell.text).collect()).collect();
        assert_eq!(texts, [["a", "2", "", "1"], ["b", "", "[1]", ""]]);
    }

    #[test]
    fn values_alone_are_one_column() {
        let grid = grid(&[json!(3), json!("x")]);
        assert_eq!((grid.columns[0].name.as_str(), grid.columns[0].number), ("value", false));
        assert_eq!(grid.rows[1][0].text, "x");
    }
}
