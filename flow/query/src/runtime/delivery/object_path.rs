//! Where in a bucket a row's object lies: the path pattern of an output, filled with the row's time and columns.
//!
//! Source: the Stream Analytics documentation, "custom blob output partitioning" and "blob storage output". Pure.

use jiff::civil;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;
use millstream_types::Millis;
use serde_json::{Map, Value};

/// The longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 512;
/// The longest text that a column puts into a path, in characters.
const COLUMN_CHARS_MAX: usize = 128;

/// A path pattern that can be filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectPath {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A time in the row's time, as a `strftime` pattern.
    Time(String),
    Column(String),
}

impl ObjectPath {
    /// Reads a pattern. `{date}` and `{time}` are written in their formats (`yyyy/MM/dd` and `HH` when empty),
    /// `{datetime:yyyy}` in its own; any other name in braces is a column.
    ///
    /// # Errors
    /// What was expected and what was found, for people.
    pub(crate) fn parse(pattern: &str, date_format: &str, time_format: &str) -> Result<Self, String> {
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(format!("expected a path of at most {PATTERN_BYTES_MAX} bytes, found {}", pattern.len()));
        }
        let mut parts = Vec::new();
        let mut rest = pattern.trim_matches('/');
        while let Some(open) = rest.find('{') {
            text(&mut parts, &rest[..open])?;
            let close = rest[open..].find('}').ok_or_else(|| format!("`{{` without `}}` in the path `{pattern}`"))?;
            parts.push(token(&rest[open + 1..open + close], date_format, time_format)?);
            rest = &rest[open + close + 1..];
        }
        text(&mut parts, rest)?;
        Ok(Self { parts })
    }

    /// What all paths begin with.
    pub(crate) fn beginning(&self) -> &str {
        match self.parts.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    /// The time that a path says, in milliseconds; `None`: it is none of this pattern. Patterns with columns say none.
    pub(crate) fn time_of(&self, path: &str) -> Option<Millis> {
        let mut pattern = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => pattern.push_str(&text.replace('%', "%%")),
                Part::Time(format) => pattern.push_str(format),
                Part::Column(_) => return None,
            }
        }
        let read = BrokenDownTime::parse(&pattern, path).ok()?;
        let of = |part: Option<i8>, least: i8| part.unwrap_or(least);
        let date = civil::Date::new(read.year()?, of(read.month(), 1), of(read.day(), 1)).ok()?;
        let clock = civil::Time::new(of(read.hour(), 0), of(read.minute(), 0), of(read.second(), 0), 0).ok()?;
        let time = date.to_datetime(clock).to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
        // What stands in it twice has to be the same, in the pattern's own number of digits.
        (self.fill(time, &Map::new()) == path).then_some(time)
    }

    /// The path of a row; neither begins nor ends with `/`.
    pub(crate) fn fill(&self, time: Millis, row: &Map<String, Value>) -> String {
        let at = jiff::Timestamp::from_millisecond(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC);
        let mut path = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => path.push_str(text),
                Part::Time(format) => path.push_str(&at.strftime(format).to_string()),
                Part::Column(name) => path.push_str(&column(name, row)),
            }
        }
        path
    }
}

fn text(parts: &mut Vec<Part>, text: &str) -> Result<(), String> {
    if text.contains('}') || text.contains('\\') || text.split('/').any(|part| part == "..") {
        return Err(format!("expected a path without `}}`, `\\` and `..`, found `{text}`"));
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
    Ok(())
}

fn token(token: &str, date_format: &str, time_format: &str) -> Result<Part, String> {
    let or = |given: &str, usual: &str| if given.is_empty() { usual.to_owned() } else { given.to_owned() };
    match token.split_once(':') {
        None if token.eq_ignore_ascii_case("date") => Ok(Part::Time(format(&or(date_format, "yyyy/MM/dd"))?)),
        None if token.eq_ignore_ascii_case("time") => Ok(Part::Time(format(&or(time_format, "HH"))?)),
        None if !token.is_empty() && token.chars().all(|char| char.is_alphanumeric() || char == '_') => {
            Ok(Part::Column(token.to_owned()))
        }
        Some((name, specifier)) if name.eq_ignore_ascii_case("datetime") => Ok(Part::Time(format(specifier)?)),
        _ => {
            Err(format!("expected {{date}}, {{time}}, {{datetime:yyyy}} or the name of a column, found `{{{token}}}`"))
        }
    }
}

/// A `strftime` pattern from the letters that the service takes: `yyyy`, `MM`, `M`, `dd`, `d`, `HH`, `H`, `mm`, `m`, `ss`,
/// `s`; `YYYY` and `DD` as its forms write them.
fn format(specifier: &str) -> Result<String, String> {
    let mut made = String::new();
    let mut rest = specifier;
    while let Some(first) = rest.chars().next() {
        let run = rest.chars().take_while(|char| *char == first).count();
        let letters = if first.is_ascii_alphabetic() { run } else { 1 };
        made.push_str(match (first, letters) {
            ('y' | 'Y', 4) => "%Y",
            ('M', 2) => "%m",
            ('M', 1) => "%-m",
            ('d' | 'D', 2) => "%d",
            ('d' | 'D', 1) => "%-d",
            ('H', 2) => "%H",
            ('H', 1) => "%-H",
            ('m', 2) => "%M",
            ('m', 1) => "%-M",
            ('s', 2) => "%S",
            ('s', 1) => "%-S",
            ('/' | '-' | '_' | '.', 1) => &rest[..1],
            _ => {
                return Err(format!(
                    "expected yyyy, MM, dd, HH, mm or ss between `/`, `-`, `_`, `.`, found `{specifier}`"
                ));
            }
        });
        rest = &rest[letters * first.len_utf8()..];
    }
    Ok(made)
}

/// A column's text as one part of a path: what would lead out of its part is replaced.
fn column(name: &str, row: &Map<String, Value>) -> String {
    let value = row.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    let text = match value {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => "null".to_owned(),
        Some(other) => other.to_string(),
    };
    let safe: String = text
        .chars()
        .take(COLUMN_CHARS_MAX)
        .map(|char| if char.is_control() || matches!(char, '/' | '\\') { '_' } else { char })
        .collect();
    if safe.is_empty() || safe.chars().all(|char| char == '.') { "_".to_owned() } else { safe }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_filled_with_time_and_columns() {
        // 2026-03-04 05:06:07 UTC.
        let time = 1_772_600_767_000;
        let row: Map<String, Value> = serde_json::from_str(r#"{"Symbol":"MS/FT","n":5,"up":".."}"#).unwrap();
        let cases = [
            ("", "", "", ""),
            ("trades", "", "", "trades"),
            ("/trades/{date}/{time}", "", "", "trades/2026/03/04/05"),
            ("{date}", "YYYY-MM-DD", "", "2026-03-04"),
            ("{date}/{time}", "MM/dd/yyyy", "HH-mm", "03/04/2026/05-06"),
            ("y={datetime:yyyy}/m={datetime:MM}/d={datetime:d}", "", "", "y=2026/m=03/d=4"),
            ("by/{symbol}/{n}", "", "", "by/MS_FT/5"),
            ("{up}/{missing}", "", "", "_/null"),
        ];
        for (pattern, date, clock, expected) in cases {
            let path = ObjectPath::parse(pattern, date, clock).unwrap();
            assert_eq!(path.fill(time, &row), expected, "{pattern}");
        }
    }

    #[test]
    fn paths_say_their_times() {
        let time = |pattern: &str, date: &str, clock: &str, path: &str| {
            ObjectPath::parse(pattern, date, clock).unwrap().time_of(path)
        };
        // 2026-03-04 05:06:00 UTC.
        let (day, hour, minute) = (1_772_582_400_000, 1_772_600_400_000, 1_772_600_760_000);
        for (pattern, date, clock, path, expected) in [
            ("a/{date}/{time}/b.csv", "yyyy-MM-dd", "HH-mm", "a/2026-03-04/05-06/b.csv", Some(minute)),
            ("{date}/{time}", "", "", "2026/03/04/05", Some(hour)),
            ("{date}/x/{date}.csv", "MM/dd/yyyy", "", "03/04/2026/x/03/04/2026.csv", Some(day)),
            ("{date}/x/{date}.csv", "yyyy-MM-dd", "", "2026-03-04/x/2026-03-05.csv", None),
            ("100%/{date}", "yyyy-MM-dd", "", "100%/2026-03-04", Some(day)),
            ("a/{date}", "yyyy-MM-dd", "", "a/2026-3-4", None),
            ("a/{date}", "yyyy-MM-dd", "", "a/2026-13-04", None),
            ("a/{date}", "yyyy-MM-dd", "", "a/2026-03-04/c", None),
            ("a/{date}", "yyyy-MM-dd", "", "b/2026-03-04", None),
        ] {
            assert_eq!(time(pattern, date, clock, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn patterns_that_cannot_be_filled_are_refused() {
        let cases = [
            ("a/{date", "", "`{` without `}`"),
            ("a/../b", "", "without"),
            ("{datetime:xx}", "", "expected yyyy"),
            ("{date}", "yyyyy", "expected yyyy"),
            ("{a-b}", "", "the name of a column"),
            ("a}b", "", "without"),
        ];
        for (pattern, date, said) in cases {
            let error = ObjectPath::parse(pattern, date, "").unwrap_err();
            assert!(error.contains(said), "{pattern}: {error}");
        }
    }
}
