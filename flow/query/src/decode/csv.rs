//! Delimited text into columns: a line a row, values by their place.

use super::column::{Column, Value};
use crate::plan::{ColumnOrigin, SourcePlan};

/// Reads records of one source.
pub(super) struct CsvReader {
    delimiter: char,
    /// Per column: its place in a line.
    places: Vec<Option<usize>>,
}

impl CsvReader {
    pub(super) fn new(source: &SourcePlan, delimiter: &str) -> Self {
        let place = |origin: &ColumnOrigin| match origin {
            ColumnOrigin::Field { position, .. } => Some(*position),
            ColumnOrigin::Arrival => None,
        };
        let places = source.columns.iter().map(|column| place(&column.origin)).collect();
        Self { delimiter: delimiter.chars().next().unwrap_or(','), places }
    }

    /// Adds the rows of a record and says how many they are.
    pub(super) fn read(&mut self, data: &[u8], columns: &mut [Column]) -> Result<usize, String> {
        let text = std::str::from_utf8(data).map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?;
        let mut rows = 0;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let values = self.split(line)?;
            for (column, place) in columns.iter_mut().zip(&self.places) {
                let value = place.and_then(|place| values.get(place)).map(String::as_str);
                push(column, value).map_err(|reason| format!("line `{line}`: {reason}"))?;
            }
            rows += 1;
        }
        if rows == 0 { Err("the record is empty".to_owned()) } else { Ok(rows) }
    }

    /// The values of a line; quotes keep delimiters, doubled quotes stand for one.
    fn split(&self, line: &str) -> Result<Vec<String>, String> {
        let mut values = vec![String::new()];
        let mut chars = line.chars().peekable();
        let mut quoted = false;
        while let Some(char) = chars.next() {
            let value = values.last_mut().ok_or("a line without values")?;
            match char {
                '"' if quoted && chars.peek() == Some(&'"') => {
                    chars.next();
                    value.push('"');
                }
                '"' => quoted = !quoted,
                char if char == self.delimiter && !quoted => values.push(String::new()),
                char => value.push(char),
            }
        }
        if quoted { Err(format!("line `{line}`: a quote is not closed")) } else { Ok(values) }
    }
}

/// A value as its column's type; empty is null.
fn push(column: &mut Column, value: Option<&str>) -> Result<(), String> {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        column.push_null();
        return Ok(());
    };
    if column.is_text() {
        return column.push(&Value::Text(value));
    }
    let trimmed = value.trim();
    let found = match trimmed {
        "true" | "TRUE" | "True" => Value::Boolean(true),
        "false" | "FALSE" | "False" => Value::Boolean(false),
        number => match (number.parse::<i64>(), number.parse::<f64>()) {
            (Ok(int), _) => Value::Int(int),
            (Err(_), Ok(float)) => Value::Float(float),
            (Err(_), Err(_)) => Value::Text(number),
        },
    };
    column.push(&found)
}
