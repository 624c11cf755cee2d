//! JSON records into columns: one object, several one after the other, or an array of them.
//!
//! One pass over the bytes, checked in full, without a document in between. Which field comes next is guessed from the record
//! before, so that records of one shape are read without looking names up.

use std::borrow::Cow;
use std::ops::Range;

use super::column::{Column, Value};
use crate::plan::{ColumnOrigin, SourcePlan};
use crate::value::json;

/// Nesting of a record: deeper ones are refused before they exhaust the stack.
const DEPTH_MAX: usize = 64;

/// Reads records of one source.
pub(super) struct JsonReader {
    root: Object,
    ignore_case: bool,
}

/// The fields of an object that are wanted.
#[derive(Default)]
struct Object {
    fields: Vec<Field>,
    /// The field that was found behind field `i` last time: where the guess begins.
    next: Vec<usize>,
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
            self.next.push(0);
            self.fields.len() - 1
        });
        if rest.is_empty() {
            self.fields[index].column = Some(column);
        } else {
            self.fields[index].inner.add(rest, column);
        }
    }

    fn find(&self, name: &str, guess: usize, ignore_case: bool) -> Option<usize> {
        if self.fields.get(guess).is_some_and(|field| field.name == name) {
            return Some(guess);
        }
        let same = |field: &Field| field.name == name || (ignore_case && field.name.eq_ignore_ascii_case(name));
        self.fields.iter().position(same)
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
        let mut cursor = Cursor { ignore_case: self.ignore_case, ..Cursor::new(text) };
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

struct Cursor<'t> {
    text: &'t str,
    at: usize,
    ignore_case: bool,
    /// Where numbers stand that floating point does not hold.
    beyond: Vec<Range<usize>>,
}

impl<'t> Cursor<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, at: 0, ignore_case: false, beyond: Vec::new() }
    }

    /// The text of the value that was passed over since, with null for numbers beyond floating point, as columns of numbers
    /// have it: readers of JSON refuse them.
    fn raw(&self, start: usize) -> Cow<'t, str> {
        let beyond = &self.beyond[self.beyond.partition_point(|number| number.start < start)..];
        if beyond.is_empty() {
            return Cow::Borrowed(&self.text[start..self.at]);
        }
        let (mut made, mut from) = (String::new(), start);
        for number in beyond {
            made.push_str(&self.text[from..number.start]);
            made.push_str("null");
            from = number.end;
        }
        made.push_str(&self.text[from..self.at]);
        Cow::Owned(made)
    }

    /// The next byte that is no blank.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    fn expected(&self, what: &str) -> String {
        let rest: String = self.text[self.at..].chars().take(20).collect();
        let found = if rest.is_empty() { "the end".to_owned() } else { format!("`{rest}`") };
        format!("not JSON at byte {}: expected {what}, found {found}", self.at)
    }

    fn take(&mut self, byte: u8, what: &str) -> Result<(), String> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(self.expected(what))
    }

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
        let mut guess = 0;
        let mut last = None;
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.expected("a name in quotes"));
            }
            let name = self.string()?;
            self.take(b':', "`:`")?;
            match wanted.find(&name, guess, self.ignore_case) {
                Some(index) => {
                    if let Some(last) = last {
                        wanted.next[last] = index;
                    }
                    self.wanted(&mut wanted.fields[index], columns, before, depth)?;
                    last = Some(index);
                    guess = wanted.next[index];
                }
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
            Some(b'-' | b'0'..=b'9') => {
                let start = self.at;
                let value = self.number()?;
                let value = if text { Value::Raw(&self.text[start..self.at]) } else { value };
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
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
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

    fn word(&mut self, word: &str) -> Result<(), String> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        Err(self.expected(word))
    }

    /// A string; only one with escapes is copied.
    fn string(&mut self) -> Result<Cow<'t, str>, String> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut at = start;
        loop {
            match bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(Cow::Borrowed(&self.text[start..at]));
                }
                Some(b'\\') => break,
                Some(0..0x20) => {
                    self.at = at;
                    return Err(self.expected("an escaped control character"));
                }
                Some(_) => at += 1,
                None => {
                    self.at = bytes.len();
                    return Err(self.expected("`\"`"));
                }
            }
        }
        let mut text = self.text[start..at].to_owned();
        self.at = at;
        self.escaped(&mut text)?;
        Ok(Cow::Owned(text))
    }

    /// The rest of a string from its first escape on.
    fn escaped(&mut self, text: &mut String) -> Result<(), String> {
        loop {
            let rest = &self.text[self.at..];
            let Some(char) = rest.chars().next() else { return Err(self.expected("`\"`")) };
            match char {
                '"' => {
                    self.at += 1;
                    return Ok(());
                }
                '\\' => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                char if char < ' ' => return Err(self.expected("an escaped control character")),
                char => {
                    text.push(char);
                    self.at += char.len_utf8();
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let byte = self.text.as_bytes().get(self.at).copied();
        self.at += usize::from(byte.is_some_and(|byte| byte.is_ascii()));
        Ok(match byte {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.expected("an escape")),
        })
    }

    fn unicode(&mut self) -> Result<char, String> {
        let first = self.hex()?;
        let code = match first {
            0xd800..=0xdbff if self.text[self.at..].starts_with("\\u") => {
                self.at += 2;
                let second = self.hex()?;
                if !(0xdc00..=0xdfff).contains(&second) {
                    return Err(self.expected("the second half of a surrogate pair"));
                }
                0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(|| self.expected("both halves of a surrogate pair"))
    }

    fn hex(&mut self) -> Result<u32, String> {
        let digits =
            self.text.get(self.at..self.at + 4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let value = digits
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| self.expected("four hex digits"))?;
        self.at += 4;
        Ok(value)
    }

    /// A number in JSON's own form. Integers that do not fit 64 bits are floating point.
    fn number(&mut self) -> Result<Value<'t>, String> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut at = start + usize::from(bytes[start] == b'-');
        let integer = digits(bytes, at);
        if integer == at || (bytes[at] == b'0' && integer - at > 1) {
            return Err(self.expected("a number"));
        }
        at = integer;
        let mut whole = true;
        if bytes.get(at) == Some(&b'.') {
            whole = false;
            let end = digits(bytes, at + 1);
            if end == at + 1 {
                return Err(self.expected("a number"));
            }
            at = end;
        }
        if let Some(b'e' | b'E') = bytes.get(at) {
            whole = false;
            let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let end = digits(bytes, at + 1 + sign);
            if end == at + 1 + sign {
                return Err(self.expected("a number"));
            }
            at = end;
        }
        let text = &bytes[start..at];
        let value = match lexical_core::parse::<i64>(text) {
            Ok(int) if whole => Value::Int(int),
            _ => Value::Float(lexical_core::parse(text).map_err(|_| self.expected("a number"))?),
        };
        self.at = at;
        if matches!(value, Value::Float(float) if float.is_infinite()) {
            self.beyond.push(start..at);
        }
        Ok(value)
    }
}

/// Where a run of digits ends.
fn digits(bytes: &[u8], from: usize) -> usize {
    bytes[from.min(bytes.len())..]
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .map_or(bytes.len(), |length| from + length)
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
