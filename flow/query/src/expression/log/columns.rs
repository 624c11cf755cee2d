//! Lines of columns: those that a delimiter parts, and those that stand at fixed places.
//!
//! Columns are a number, or a list of descriptions: `a TYPE VARCHAR(16), t TYPE TIMESTAMP 'dd/MMM/yyyy:HH:mm:ss' NOT NULL START 10
//! FOR 20`.

use arrow::datatypes::DataType;
use millstream_catalog::QueryDialect;

use super::{FIELD, Fields, Found};
use crate::dialect::syntax::TypeName;
use crate::error::Position;
use crate::expression::time::iso_text;
use crate::expression::time_pattern::TimePattern;
use crate::expression::types;
use crate::plan::TIMESTAMP;

/// The most columns of a line.
const COLUMNS_MAX: usize = 1_000;

/// A column of a line.
struct Column {
    name: String,
    data_type: DataType,
    /// How its times are written.
    pattern: Option<TimePattern>,
    required: bool,
    /// Where it begins in characters, from 0, and how long it is.
    place: Option<(usize, Option<usize>)>,
}

/// `VARIABLE_COLUMN_LOG_PARSE`: fields with delimiters between them.
pub(super) struct Variable {
    columns: Vec<Column>,
    delimiter: String,
    escape: Option<String>,
    /// What begins and ends a quoted part.
    quotes: Option<(char, char)>,
}

impl Variable {
    pub(super) fn new(constants: &[String]) -> Result<Self, String> {
        let [columns, delimiter, rest @ ..] = constants else {
            return Err("expected columns and a delimiter".to_owned());
        };
        let columns = match columns.trim().parse::<usize>() {
            Ok(count) if (1..=COLUMNS_MAX).contains(&count) => (1..=count).map(Column::text).collect(),
            Ok(count) => return Err(format!("expected 1 to {COLUMNS_MAX} columns, found {count}")),
            Err(_) => described(columns)?,
        };
        if let Some(column) = columns.iter().find(|column: &&Column| column.place.is_some()) {
            return Err(format!("the column `{}` begins at no fixed place, so it has no START", column.name));
        }
        if delimiter.is_empty() {
            return Err("expected a delimiter, found an empty text".to_owned());
        }
        let quotes = match rest.get(1).map(|quotes| quotes.chars().collect::<Vec<_>>()) {
            None => None,
            Some(quotes) => match quotes.as_slice() {
                [both] => Some((*both, *both)),
                [begin, end] => Some((*begin, *end)),
                _ => return Err("expected one or two characters as quotes".to_owned()),
            },
        };
        let escape = rest.first().filter(|escape| !escape.is_empty()).cloned();
        Ok(Self { columns, delimiter: delimiter.clone(), escape, quotes })
    }

    pub(super) fn fields(&self) -> Fields {
        self.columns.iter().map(Column::field).collect()
    }

    /// The fields of a line. Those that it has not are not there, those that are more than the columns are left out.
    pub(super) fn parse(&self, line: &str) -> Result<Found, String> {
        let mut fields = self.split(line).into_iter();
        self.columns.iter().map(|column| column.value(fields.next())).collect()
    }

    fn split(&self, line: &str) -> Vec<String> {
        let (mut fields, mut field, mut rest, mut quoted) = (Vec::new(), String::new(), line, false);
        while let Some(character) = rest.chars().next() {
            if let Some(behind) = self.escape.as_deref().and_then(|escape| rest.strip_prefix(escape)) {
                field.extend(behind.chars().next());
                rest = behind.get(behind.chars().next().map_or(0, char::len_utf8)..).unwrap_or_default();
                continue;
            }
            if !quoted && let Some(behind) = rest.strip_prefix(self.delimiter.as_str()) {
                fields.push(std::mem::take(&mut field));
                rest = behind;
                continue;
            }
            rest = &rest[character.len_utf8()..];
            match self.quotes {
                Some((begin, _)) if !quoted && character == begin => quoted = true,
                Some((_, end)) if quoted && character == end => quoted = false,
                _ => field.push(character),
            }
        }
        fields.push(field);
        fields
    }
}

/// `FIXED_COLUMN_LOG_PARSE`: fields at fixed places.
pub(super) struct Fixed {
    columns: Vec<Column>,
}

impl Fixed {
    pub(super) fn new(columns: &str) -> Result<Self, String> {
        let columns = described(columns)?;
        match columns.iter().find(|column| column.place.is_none()) {
            Some(column) => Err(format!("expected START behind the column `{}`: where it begins, from 0", column.name)),
            None => Ok(Self { columns }),
        }
    }

    pub(super) fn fields(&self) -> Fields {
        self.columns.iter().map(Column::field).collect()
    }

    /// The fields of a line; one that begins behind its end is not there.
    pub(super) fn parse(&self, line: &str) -> Result<Found, String> {
        let value = |column: &Column| {
            let (start, length) = column.place.unwrap_or_default();
            let behind = line.char_indices().nth(start).map(|(at, _)| &line[at..]);
            let field = behind.map(|behind| {
                let end = length.and_then(|length| behind.char_indices().nth(length));
                end.map_or(behind, |(end, _)| &behind[..end]).to_owned()
            });
            column.value(field)
        };
        self.columns.iter().map(value).collect()
    }
}

impl Column {
    /// The column of a number, from 1.
    fn text(number: usize) -> Self {
        let name = format!("{FIELD}{number}");
        Self { name, data_type: DataType::Utf8, pattern: None, required: false, place: None }
    }

    fn field(&self) -> (String, DataType) {
        (self.name.clone(), self.data_type.clone())
    }

    /// The value as it goes into the record: texts as they are, of others what is between blanks, times as ISO 8601.
    fn value(&self, field: Option<String>) -> Result<Option<String>, String> {
        let field = match field {
            Some(field) if self.data_type == DataType::Utf8 => Some(field),
            other => other.map(|field| field.trim().to_owned()).filter(|field| !field.is_empty()),
        };
        match (field, &self.pattern) {
            (None, _) if self.required => Err(format!("the column `{}` is NOT NULL, and the line has none", self.name)),
            (Some(field), Some(pattern)) => pattern.parse(&field).map(iso_text),
            (field, _) => Ok(field),
        }
    }
}

/// The columns of a list of descriptions.
fn described(list: &str) -> Result<Vec<Column>, String> {
    let mut rest = Words { rest: list };
    let mut columns: Vec<Column> = Vec::new();
    loop {
        let column = column(&mut rest)?;
        if columns.iter().any(|known| known.name == column.name) {
            return Err(format!("the column `{}` is there twice", column.name));
        }
        columns.push(column);
        match rest.take() {
            None => return Ok(columns),
            Some(",") if columns.len() < COLUMNS_MAX => {}
            Some(",") => return Err(format!("expected at most {COLUMNS_MAX} columns")),
            Some(other) => return Err(format!("expected `,` between columns, found `{other}`")),
        }
    }
}

/// `name TYPE type ['pattern'] [NOT NULL] [START n [FOR m]]`.
fn column(words: &mut Words) -> Result<Column, String> {
    let name = words.take().ok_or("expected a column's name, found the end")?;
    let name = match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(quoted) => quoted.to_owned(),
        None => name.to_uppercase(),
    };
    words.expect("TYPE", &name)?;
    let type_name = words.take().ok_or_else(|| format!("expected the type of `{name}`"))?.to_uppercase();
    let at = Position { line: 1, column: 1 };
    let data_type = types::of_name(QueryDialect::Kinesis, &TypeName { name: type_name, length: None, at });
    let data_type = data_type.map_err(|error| error.message)?;
    words.skip_parentheses();
    let pattern = match words.peek().and_then(|word| word.strip_prefix('\'')?.strip_suffix('\'')) {
        Some(pattern) if data_type == TIMESTAMP => {
            let pattern = TimePattern::new(pattern)?;
            words.take();
            Some(pattern)
        }
        Some(pattern) => return Err(format!("the pattern '{pattern}' stands behind `{name}`, which is no time")),
        None => None,
    };
    let required = words.is_next("NOT");
    if required {
        words.take();
        words.expect("NULL", &name)?;
    }
    let mut place = None;
    if words.is_next("START") {
        words.take();
        let start = words.number(&name)?;
        let length = if words.is_next("FOR") {
            words.take();
            Some(words.number(&name)?)
        } else {
            None
        };
        place = Some((start, length));
    }
    Ok(Column { name, data_type, pattern, required, place })
}

/// The words of a list: names, numbers, what stands in quotes, and single characters.
struct Words<'l> {
    rest: &'l str,
}

impl<'l> Words<'l> {
    fn peek(&self) -> Option<&'l str> {
        let rest = self.rest.trim_start();
        let first = rest.chars().next()?;
        let length = match first {
            '"' | '\'' => rest[1..].find(first).map_or(rest.len(), |end| end + 2),
            _ if first.is_alphanumeric() || first == '_' => {
                rest.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(rest.len())
            }
            _ => first.len_utf8(),
        };
        Some(&rest[..length])
    }

    fn take(&mut self) -> Option<&'l str> {
        let word = self.peek()?;
        self.rest = &self.rest.trim_start()[word.len()..];
        Some(word)
    }

    fn is_next(&self, word: &str) -> bool {
        self.peek().is_some_and(|next| next.eq_ignore_ascii_case(word))
    }

    fn expect(&mut self, word: &str, column: &str) -> Result<(), String> {
        match self.take() {
            Some(found) if found.eq_ignore_ascii_case(word) => Ok(()),
            found => {
                Err(format!("expected `{word}` behind the column `{column}`, found `{}`", found.unwrap_or("the end")))
            }
        }
    }

    fn number(&mut self, column: &str) -> Result<usize, String> {
        let found = self.take().unwrap_or("the end");
        found.parse().map_err(|_| format!("expected a number of characters behind `{column}`, found `{found}`"))
    }

    /// The length of a type, which does not bound what is read.
    fn skip_parentheses(&mut self) {
        if self.is_next("(") {
            while self.take().is_some_and(|word| word != ")") {}
        }
    }
}
