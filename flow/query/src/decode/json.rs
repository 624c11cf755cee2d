//! JSON records into columns: one object, several one after the other, or an array of them.
//!
//! One pass over the bytes, checked in full, without a document in between. Which field comes next is guessed from the record
//! before, so that records of one shape are read without looking names up.

use super::column::{Column, Value};
use super::json_text::Cursor;
use crate::plan::{ColumnOrigin, SourcePlan};
use crate::value::json;

/// Nesting of a record: deeper ones are refused before they exhaust the stack.
const DEPTH_MAX: usize = 64;
/// Names of an object's fields that are known again, wanted or not: more than most records have.
const SEEN_MAX: usize = 32;
/// Bytes of such a name, with its quotes.
const SEEN_BYTES_MAX: usize = 128;

/// Reads records of one source.
pub(super) struct JsonReader {
    root: Object,
    ignore_case: bool,
}

/// The fields of an object that are wanted.
#[derive(Default)]
struct Object {
    fields: Vec<Field>,
    /// Names as records have them.
    seen: Vec<Seen>,
    /// Which of them the last record began with.
    first: usize,
}

/// A field's name as it was written, with quotes and colon: whoever has the same bytes need not be looked up.
struct Seen {
    text: String,
    /// The wanted field, if it is one.
    field: Option<usize>,
    /// The name that was found behind it last time.
    next: usize,
}

struct Field {
    name: String,
    column: Option<usize>,
    inner: Object,
}

impl Object {
    fn add(&mut self, path: &[String], column: usize) {
        let Some((name, rest)) = path.split_first() else { return };
        let index = self.fields.iter().position(|field| field.name == *name).unwrap_or_else(|| {
            self.fields.push(Field { name: name.clone(), column: None, inner: Self::default() });
            self.fields.len() - 1
        });
        if rest.is_empty() {
            self.fields[index].column = Some(column);
        } else {
            self.fields[index].inner.add(rest, column);
        }
    }

    fn find(&self, name: &str, ignore_case: bool) -> Option<usize> {
        let same = |field: &Field| field.name == name || (ignore_case && field.name.eq_ignore_ascii_case(name));
        self.fields.iter().position(same)
    }

    /// The name that a text begins with, if it is one that was seen.
    fn seen(&self, rest: &[u8], guess: usize) -> Option<usize> {
        let begins = |seen: &Seen| rest.starts_with(seen.text.as_bytes());
        if self.seen.get(guess).is_some_and(begins) { Some(guess) } else { self.seen.iter().position(begins) }
    }

    /// Keeps a name, as long as there is room; gives its place.
    fn remember(&mut self, text: &str, field: Option<usize>) -> usize {
        if self.fields.is_empty() || self.seen.len() == SEEN_MAX || text.len() > SEEN_BYTES_MAX {
            return usize::MAX;
        }
        self.seen.push(Seen { text: text.to_owned(), field, next: self.seen.len() + 1 });
        self.seen.len() - 1
    }

    /// Notes that one name was behind another one, or came first.
    fn follow(&mut self, last: Option<usize>, place: usize) {
        match last.map(|last| self.seen.get_mut(last)) {
            None => self.first = place,
            Some(Some(last)) => last.next = place,
            Some(None) => {}
        }
    }
}

impl JsonReader {
    pub(super) fn new(source: &SourcePlan, ignore_case: bool) -> Self {
        let mut root = Object::default();
        for (index, column) in source.columns.iter().enumerate() {
            if let ColumnOrigin::Field { path, .. } = &column.origin {
                root.add(path, index);
            }
        }
        Self { root, ignore_case }
    }

    /// Adds the rows of a record and says how many they are. On an error the columns may hold a part of a row.
    pub(super) fn read(&mut self, data: &[u8], columns: &mut [Column]) -> Result<usize, String> {
        let text = std::str::from_utf8(data).map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?;
        let mut cursor = Cursor::new(text);
        cursor.ignore_case = self.ignore_case;
        let mut rows = 0;
        loop {
            match cursor.peek() {
                None if rows == 0 => return Err("the record is empty".to_owned()),
                None => return Ok(rows),
                Some(b'{') => {
                    cursor.row(&mut self.root, columns)?;
                    rows += 1;
                }
                Some(b'[') => {
                    cursor.at += 1;
                    rows += cursor.array_of_rows(&mut self.root, columns)?;
                }
                Some(_) => return Err(cursor.expected("a JSON object")),
            }
        }
    }
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
    fn array_of_rows(&mut self, root: &mut Object, columns: &mut [Column]) -> Result<usize, String> {
        let mut rows = 0;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(0);
        }
        loop {
            self.row(root, columns)?;
            rows += 1;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(rows);
                }
                _ => return Err(self.expected("`,` or `]`")),
            }
        }
    }

    /// One object as one row: columns whose field is not there are null.
    fn row(&mut self, root: &mut Object, columns: &mut [Column]) -> Result<(), String> {
        let before = columns.first().map_or(0, Column::len);
        self.object(root, columns, before, 0)?;
        for column in columns.iter_mut().filter(|column| column.len() == before) {
            column.push_null();
        }
        Ok(())
    }

    fn object(
        &mut self,
        wanted: &mut Object,
        columns: &mut [Column],
        before: usize,
        depth: usize,
    ) -> Result<(), String> {
        self.take(b'{', "`{`")?;
        if depth == DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX}"));
        }
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        let mut guess = wanted.first;
        let mut last = None;
        loop {
            let (field, place) = self.name(wanted, guess)?;
            if place != guess {
                wanted.follow(last, place);
            }
            last = Some(place);
            guess = wanted.seen.get(place).map_or(usize::MAX, |seen| seen.next);
            match field {
                Some(index) => self.wanted(&mut wanted.fields[index], columns, before, depth)?,
                None => self.skip(depth + 1)?,
            }
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

    /// A field's name and the colon: the wanted field, and the name's place among those that are known again.
    fn name(&mut self, wanted: &mut Object, guess: usize) -> Result<(Option<usize>, usize), String> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a name in quotes"));
        }
        let start = self.at;
        if let Some(place) = wanted.seen(&self.text.as_bytes()[start..], guess) {
            let seen = &wanted.seen[place];
            self.at += seen.text.len();
            return Ok((seen.field, place));
        }
        let name = self.string()?;
        self.take(b':', "`:`")?;
        let field = wanted.find(&name, self.ignore_case);
        Ok((field, wanted.remember(&self.text[start..self.at], field)))
    }

    fn wanted(&mut self, field: &mut Field, columns: &mut [Column], before: usize, depth: usize) -> Result<(), String> {
        if !field.inner.fields.is_empty() && self.peek() == Some(b'{') {
            let start = self.at;
            self.object(&mut field.inner, columns, before, depth + 1)?;
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
    fn skip(&mut self, depth: usize) -> Result<(), String> {
        if depth >= DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX}"));
        }
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.skip_number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(b'{') => self.object(&mut Object::default(), &mut [], 0, depth),
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

/// Adds a value unless its column has one from an earlier field of the same name.
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
