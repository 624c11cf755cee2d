//! Rows of JSON as a table of text: columns in the order of their first appearance.

use serde_json::Value;

use crate::format;

/// Columns that a table shows.
const COLUMNS_MAX: usize = 16;
/// Characters of a cell.
const CELL_CHARS: usize = 60;

/// A table.
pub(super) struct RowsTable {
    pub(super) columns: Vec<ResultColumn>,
    pub(super) rows: Vec<Vec<ResultCell>>,
}

pub(super) struct ResultColumn {
    pub(super) name: String,
    pub(super) number: bool,
}

pub(super) struct ResultCell {
    pub(super) text: String,
    pub(super) number: bool,
}

impl RowsTable {
    /// The table of rows; one that is no JSON object is a single cell, `raw` of its place.
    pub(super) fn of(parsed: &[Value], raw: impl Fn(usize) -> String) -> Self {
        let mut names: Vec<&String> = Vec::new();
        for key in parsed.iter().filter_map(Value::as_object).flat_map(|row| row.keys()) {
            if names.len() < COLUMNS_MAX && !names.contains(&key) {
                names.push(key);
            }
        }
        let row = |(index, row): (usize, &Value)| match row.as_object() {
            Some(row) => names.iter().map(|name| cell(row.get(*name))).collect(),
            None => vec![ResultCell { text: format::cut(&raw(index), CELL_CHARS * 4), number: false }],
        };
        let rows: Vec<Vec<ResultCell>> = parsed.iter().enumerate().map(row).collect();
        let column = |(index, name): (usize, &&String)| ResultColumn {
            name: (*name).clone(),
            number: rows.iter().any(|row| row.get(index).is_some_and(|cell| cell.number)),
        };
        let mut columns: Vec<ResultColumn> = names.iter().enumerate().map(column).collect();
        if columns.is_empty() {
            columns.push(ResultColumn { name: "row".to_owned(), number: false });
        }
        Self { columns, rows }
    }
}

fn cell(value: Option<&Value>) -> ResultCell {
    let text = match value {
        None => String::new(),
        Some(Value::Null) => "null".to_owned(),
        Some(Value::String(text)) => format::cut(text, CELL_CHARS),
        Some(other) => format::cut(&other.to_string(), CELL_CHARS),
    };
    ResultCell { text, number: value.is_some_and(Value::is_number) }
}
