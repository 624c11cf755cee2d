//! JSON records into columns: one object, several one after the other, or an array of them.
//!
//! One pass over the bytes, checked in full, without a document in between. Rows that are shaped like those before are left to
//! [`super::shape`]; this reads all others, and decides what is wrong with a record.

use super::column::{Column, Value};
use super::json_text::Cursor;
use super::shape::{Row, Shapes};
use crate::plan::{ColumnOrigin, SourcePlan};
use crate::value::json;

/// Nesting of a record: deeper ones are refused before they exhaust the stack.
const DEPTH_MAX: usize = 64;

/// Reads records of one source.
pub(super) struct JsonReader {
    root: Object,
    shapes: Shapes,
}

/// The fields of an object that are wanted.
#[derive(Default)]
pub(super) struct Object {
    pub(super) fields: Vec<Field>,
    /// Whether their names are compared without case.
    ignore_case: bool,
}

pub(super) struct Field {
    name: String,
    pub(super) column: Option<usize>,
    pub(super) inner: Object,
}

impl Object {
    fn new(ignore_case: bool) -> Self {
        Self { fields: Vec::new(), ignore_case }
    }

    fn add(&mut self, path: &[String], column: usize) {
        let Some((name, rest)) = path.split_first() else { return };
        let index = self.fields.iter().position(|field| field.name == *name).unwrap_or_else(|| {
            self.fields.push(Field { name: name.clone(), column: None, inner: Self::new(self.ignore_case) });
            self.fields.len() - 1
        });
        if rest.is_empty() {
            self.fields[index].column = Some(column);
        } else {
            self.fields[index].inner.add(rest, column);
        }
    }

    /// The wanted field of a name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let same = |field: &Field| field.name == name || (self.ignore_case && field.name.eq_ignore_ascii_case(name));
        self.fields.iter().position(same)
    }
}

impl JsonReader {
    /// A reader of a source's records, which may compare names of fields without case.
    pub(super) fn new(source: &SourcePlan, ignore_case: bool) -> Self {
        let mut root = Object::new(ignore_case);
        for (index, column) in source.columns.iter().enumerate() {
            if let ColumnOrigin::Field { path, .. } = &column.origin {
                root.add(path, index);
            }
        }
        Self { root, shapes: Shapes::default() }
    }

    #[cfg(test)]
    pub(super) fn root(&self) -> &Object {
        &self.root
    }

    /// Adds the rows of a record and says how many they are. On an error the columns may hold a part of a row.
    pub(super) fn read(&mut self, data: &[u8], columns: &mut [Column]) -> Result<usize, String> {
        // Nearly every record is one row of a known shape, for which nobody has to know that all of it is a text.
        let before = rows_of(columns);
        let one = self.shapes.read(Row { data, at: 0, text: None, before }, &self.root, columns);
        if one.is_some_and(|end| data[end..].iter().all(is_blank)) {
            return Ok(1);
        }
        columns.iter_mut().for_each(|column| column.truncate(before));
        let text = std::str::from_utf8(data).map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?;
        let mut cursor = Cursor::new(text);
        let mut rows = 0;
        loop {
            match cursor.peek() {
                None if rows == 0 => return Err("the record is empty".to_owned()),
                None => return Ok(rows),
                Some(b'{') => {
                    self.row(&mut cursor, columns)?;
                    rows += 1;
                }
                Some(b'[') => {
                    cursor.at += 1;
                    rows += self.array_of_rows(&mut cursor, columns)?;
                }
                Some(_) => return Err(cursor.expected("a JSON object")),
            }
        }
    }

    fn array_of_rows(&mut self, cursor: &mut Cursor<'_>, columns: &mut [Column]) -> Result<usize, String> {
        let mut rows = 0;
        if cursor.peek() == Some(b']') {
            cursor.at += 1;
            return Ok(0);
        }
        loop {
            cursor.peek();
            self.row(cursor, columns)?;
            rows += 1;
            match cursor.peek() {
                Some(b',') => cursor.at += 1,
                Some(b']') => {
                    cursor.at += 1;
                    return Ok(rows);
                }
                _ => return Err(cursor.expected("`,` or `]`")),
            }
        }
    }

    /// One object, which begins here, as one row: columns whose field is not there are null.
    fn row(&mut self, cursor: &mut Cursor<'_>, columns: &mut [Column]) -> Result<(), String> {
        let (before, start) = (rows_of(columns), cursor.at);
        let row = Row { data: cursor.text.as_bytes(), at: start, text: Some(cursor.text), before };
        if let Some(end) = self.shapes.read(row, &self.root, columns) {
            cursor.at = end;
            return Ok(());
        }
        columns.iter_mut().for_each(|column| column.truncate(before));
        cursor.object(&self.root, columns, before, 0)?;
        for column in columns.iter_mut().filter(|column| column.len() == before) {
            column.push_null();
        }
        self.shapes.learn(&cursor.text[start..cursor.at], &self.root);
        Ok(())
    }
}

/// The rows that columns hold; those without columns are counted by nobody.
fn rows_of(columns: &[Column]) -> usize {
    columns.first().map_or(0, Column::len)
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// A text that is JSON as a value without a fixed type is kept: on one line, without blanks around it, and without numbers that
/// nobody can read. `None`: it is none, or is nested too deep.
pub(crate) fn parse(text: &str) -> Option<String> {
    let mut cursor = Cursor::new(text);
    cursor.peek();
    let start = cursor.at;
    cursor.skip(0).ok()?;
    let value = json::one_line(&cursor.raw(start)).into_owned();
    cursor.peek().is_none().then_some(value)
}

impl Cursor<'_> {
    fn object(&mut self, wanted: &Object, columns: &mut [Column], before: usize, depth: usize) -> Result<(), String> {
        self.take(b'{', "`{`")?;
        if depth == DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX}"));
        }
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.expected("a name in quotes"));
            }
            let name = self.string()?;
            self.take(b':', "`:`")?;
            let field = wanted.find(&name).map(|field| &wanted.fields[field]);
            self.value(field, columns, before, depth)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.expected("`,` or `}`")),
            }
        }
    }

    /// The value of a field that an object has so deep, or of one that nobody wants.
    pub(super) fn value(
        &mut self,
        field: Option<&Field>,
        columns: &mut [Column],
        before: usize,
        depth: usize,
    ) -> Result<(), String> {
        let Some(field) = field else { return self.skip(depth + 1) };
        if !field.inner.fields.is_empty() && self.peek() == Some(b'{') {
            let start = self.at;
            self.object(&field.inner, columns, before, depth + 1)?;
            let Some(column) = field.column else { return Ok(()) };
            return push(columns, column, before, &Value::Raw(&self.raw(start)), &field.name);
        }
        let Some(column) = field.column else { return self.skip(depth + 1) };
        if columns[column].is_json() && self.peek() != Some(b'n') {
            let start = self.at;
            self.skip(depth + 1)?;
            return push(columns, column, before, &Value::Raw(&self.raw(start)), &field.name);
        }
        let text = columns[column].is_text();
        match self.peek() {
            Some(b'"') => {
                let value = self.string()?;
                push(columns, column, before, &Value::Text(&value), &field.name)
            }
            Some(b'-' | b'0'..=b'9') if text => {
                let start = self.at;
                self.skip_number()?;
                push(columns, column, before, &Value::Raw(&self.text[start..self.at]), &field.name)
            }
            Some(b'-' | b'0'..=b'9') => {
                let value = self.number()?;
                push(columns, column, before, &value, &field.name)
            }
            Some(b't') => {
                self.word("true")?;
                push(columns, column, before, &Value::Boolean(true), &field.name)
            }
            Some(b'f') => {
                self.word("false")?;
                push(columns, column, before, &Value::Boolean(false), &field.name)
            }
            Some(b'n') => {
                self.word("null")?;
                push(columns, column, before, &Value::Null, &field.name)
            }
            _ => {
                let start = self.at;
                self.skip(depth + 1)?;
                push(columns, column, before, &Value::Raw(&self.raw(start)), &field.name)
            }
        }
    }

    /// A value that nobody wants, checked all the same.
    pub(super) fn skip(&mut self, depth: usize) -> Result<(), String> {
        if depth >= DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX}"));
        }
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.skip_number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(b'{') => self.object(&Object::default(), &mut [], 0, depth),
            Some(b'[') => {
                self.at += 1;
                if self.peek() == Some(b']') {
                    self.at += 1;
                    return Ok(());
                }
                loop {
                    self.skip(depth + 1)?;
                    match self.peek() {
                        Some(b',') => self.at += 1,
                        Some(b']') => {
                            self.at += 1;
                            return Ok(());
                        }
                        _ => return Err(self.expected("`,` or `]`")),
                    }
                }
            }
            _ => Err(self.expected("a value")),
        }
    }
}

/// Adds a value, in place of one from an earlier field of the same name.
fn push(columns: &mut [Column], column: usize, before: usize, value: &Value<'_>, name: &str) -> Result<(), String> {
    let column = &mut columns[column];
    if column.len() > before {
        column.truncate(before);
    }
    column.push(value).map_err(|reason| format!("field `{name}`: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_json_that_everybody_reads() {
        assert_eq!(parse(" {\"a\":\n[1.50]} ").as_deref(), Some("{\"a\": [1.50]}"));
        assert_eq!(
            parse(r#"{"a":[1e400,"1e400",-2e999 ],"b":1e3}"#).as_deref(),
            Some(r#"{"a":[null,"1e400",null ],"b":1e3}"#)
        );
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(64)).is_some());
        let lone = [r#"{"a":"\ud800"}"#, r#"{"\udc00":1}"#, r#"["\ud800\u0061"]"#];
        for none in ["", "{", "{\"a\"}", "1 2", "nope", &nested(65), &nested(1_000_000)].iter().chain(&lone) {
            assert_eq!(parse(none), None, "{none:.20}");
        }
    }
}
