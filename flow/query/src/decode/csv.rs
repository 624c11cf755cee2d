//! Delimited text into columns: a line a row; values by their place or, where the text begins with a line of names, by them.
//!
//! A line that is no row is told and left out; the others of its record are rows all the same.

use super::column::{Column, Value};
use crate::plan::{ColumnOrigin, SourcePlan};

/// Reads records of one source.
pub(super) struct CsvReader {
    delimiter: char,
    /// Whether each record begins with a line of names.
    header: bool,
    /// Per column: its name; `None` for one whose value is not in the record.
    names: Vec<Option<String>>,
    /// Per column: its place in a line.
    places: Vec<Option<usize>>,
    /// The line of names that the places are from.
    known: Option<String>,
}

impl CsvReader {
    pub(super) fn new(source: &SourcePlan, delimiter: &str, header: bool) -> Self {
        let place = |origin: &ColumnOrigin| match origin {
            ColumnOrigin::Field { position, .. } => Some(*position),
            _ => None,
        };
        let name = |origin: &ColumnOrigin| match origin {
            ColumnOrigin::Field { path, .. } => Some(path.join(".")),
            _ => None,
        };
        let places = source.columns.iter().map(|column| place(&column.origin)).collect();
        let names = source.columns.iter().map(|column| name(&column.origin)).collect();
        Self { delimiter: char_of(delimiter), header, names, places, known: None }
    }

    /// Adds the rows of a record and says how many they are; `wrong` gets lines that are none, and what is wrong with them.
    pub(super) fn read<'d>(
        &mut self,
        data: &'d [u8],
        columns: &mut [Column],
        wrong: &mut Vec<(&'d str, String)>,
    ) -> Result<usize, String> {
        let mut lines = lines(data)?;
        if self.header {
            self.take_names(lines.next().ok_or("the record is empty")?)?;
        }
        let before = columns.first().map_or(0, Column::len);
        let (mut rows, mut found) = (0, self.header);
        for line in lines {
            found = true;
            match self.row(line, columns) {
                Ok(()) => rows += 1,
                Err(reason) => {
                    columns.iter_mut().for_each(|column| column.truncate(before + rows));
                    wrong.push((line, reason));
                }
            }
        }
        if found { Ok(rows) } else { Err("the record is empty".to_owned()) }
    }

    /// Finds the columns in a line of names.
    fn take_names(&mut self, line: &str) -> Result<(), String> {
        if self.known.as_deref() == Some(line) {
            return Ok(());
        }
        let found = names(line, self.delimiter)?;
        let place = |name: &Option<String>| {
            let name = name.as_deref()?;
            found.iter().position(|found| found.eq_ignore_ascii_case(name))
        };
        let places: Vec<Option<usize>> = self.names.iter().map(place).collect();
        let wanted: Vec<&str> = self.names.iter().flatten().map(String::as_str).collect();
        if !wanted.is_empty() && places.iter().all(Option::is_none) {
            let wanted = wanted.join(", ");
            return Err(format!("expected a first line that names the columns {wanted}, found `{line}`"));
        }
        (self.places, self.known) = (places, Some(line.to_owned()));
        Ok(())
    }

    fn row(&self, line: &str, columns: &mut [Column]) -> Result<(), String> {
        let values = split(line, self.delimiter)?;
        for (column, place) in columns.iter_mut().zip(&self.places) {
            let value = place.and_then(|place| values.get(place)).map(String::as_str);
            push(column, value).map_err(|reason| format!("line `{line}`: {reason}"))?;
        }
        Ok(())
    }
}

/// The character between values.
pub(super) fn char_of(delimiter: &str) -> char {
    delimiter.chars().next().unwrap_or(',')
}

/// The lines of a record that are not blank.
pub(super) fn lines(data: &[u8]) -> Result<impl Iterator<Item = &str>, String> {
    let text = std::str::from_utf8(data).map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?;
    Ok(text.lines().filter(|line| !line.trim().is_empty()))
}

/// The names in a line of names.
pub(super) fn names(line: &str, delimiter: char) -> Result<Vec<String>, String> {
    let names = split(line.trim_start_matches('\u{feff}'), delimiter)?;
    Ok(names.iter().map(|name| name.trim().to_owned()).collect())
}

/// The values of a line; quotes keep delimiters, doubled quotes stand for one.
pub(super) fn split(line: &str, delimiter: char) -> Result<Vec<String>, String> {
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
            char if char == delimiter && !quoted => values.push(String::new()),
            char => value.push(char),
        }
    }
    if quoted { Err(format!("line `{line}`: a quote is not closed")) } else { Ok(values) }
}

/// A text as what it looks like.
pub(super) fn value_of(text: &str) -> Value<'_> {
    match text {
        "true" | "TRUE" | "True" => Value::Boolean(true),
        "false" | "FALSE" | "False" => Value::Boolean(false),
        number => match (number.parse::<i64>(), number.parse::<f64>()) {
            (Ok(int), _) => Value::Int(int),
            (Err(_), Ok(float)) => Value::Float(float),
            (Err(_), Err(_)) => Value::Text(number),
        },
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
    column.push(&value_of(value.trim()))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;
    use crate::plan::{Fit, SourceColumn, TimeSource, with_rowtime};

    /// Reads a record of the columns `symbol` and `shares`: rows, and what is wrong with lines that are none.
    fn read(header: bool, record: &str) -> (Result<usize, String>, Vec<String>) {
        let types = [("symbol", DataType::Utf8), ("shares", DataType::Int64)];
        let column = |(position, (name, data_type)): (usize, &(&str, DataType))| SourceColumn {
            name: (*name).to_owned(),
            data_type: data_type.clone(),
            origin: ColumnOrigin::Field { path: vec![(*name).to_owned()], position },
            fit: Fit::Converted,
        };
        let columns = types.iter().enumerate().map(column).collect();
        let source = SourcePlan {
            name: "i".into(),
            columns,
            schema: with_rowtime([]),
            time: TimeSource::Arrival,
            watermark_ms: None,
            timelines: Vec::new(),
            rows_within: None,
        };
        let mut columns: Vec<Column> =
            types.iter().map(|(_, data_type)| Column::new(data_type, Fit::Converted)).collect();
        let mut wrong = Vec::new();
        let rows = CsvReader::new(&source, ",", header).read(record.as_bytes(), &mut columns, &mut wrong);
        if let Ok(rows) = rows {
            assert!(columns.iter().all(|column| column.len() == rows), "each column has a value a row: {record}");
        }
        (rows, wrong.into_iter().map(|(_, reason)| reason).collect())
    }

    #[test]
    fn a_line_that_is_no_row_takes_none_with_it() {
        for (header, record, rows) in [
            (false, "A,1\nB,x\n\nC,3\n", 2),
            (true, "symbol,shares\nA,1\nB,x\nC,3", 2),
            (true, "shares,other,SYMBOL\n1,2,A\n\"2,2,B\n", 1),
        ] {
            let (read, wrong) = read(header, record);
            assert_eq!((read, wrong.len()), (Ok(rows), 1), "{record}: {wrong:?}");
        }
    }

    #[test]
    fn columns_are_found_by_the_line_of_names() {
        for (record, rows) in [("shares\n1\n2\n", 2), ("symbol,shares\n", 0), ("\u{feff}symbol,x\nA,1", 1)] {
            assert_eq!(read(true, record), (Ok(rows), Vec::new()), "{record}");
        }
        let (missing, _) = read(true, "A,1\nB,2\n");
        let missing = missing.unwrap_err();
        assert!(missing.contains("names the columns symbol, shares, found `A,1`"), "{missing}");
        assert!(read(true, " \n").0.is_err() && read(false, "").0.is_err());
    }
}
