//! From filled-in fields to the pipeline file's section, and from a line of it back to the field. Pure.

use std::collections::BTreeMap;

use super::{Entry, Field, Form, Part, REPEATS_MAX};
use crate::pipeline::source::nearest;

/// A section, and which field each of its lines came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The TOML.
    pub text: String,
    /// The first line of each field, counted from 1, in rising order; empty names for headers.
    lines: Vec<(usize, String)>,
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldMistake {
    /// The field's name in the form.
    pub field: String,
    /// What was expected and what was found.
    pub message: String,
}

impl Section {
    /// The field that a line came from; `None` for a header.
    #[must_use]
    pub fn field_at(&self, line: usize) -> Option<&str> {
        let before = self.lines.iter().rev().find(|(first, _)| *first <= line);
        before.map(|(_, field)| field.as_str()).filter(|field| !field.is_empty())
    }

    /// The line of a header, or the first of a field.
    fn begin(&mut self, field: &str) {
        let line = 1 + self.text.bytes().filter(|byte| *byte == b'\n').count();
        self.lines.push((line, field.to_owned()));
    }
}

impl Form {
    /// How often a part is there in what was filled in: up to the last repetition with anything in it.
    #[must_use]
    pub fn repeats(&self, part: &Part, given: &BTreeMap<String, String>) -> usize {
        if !part.repeats {
            return 1;
        }
        (1..=REPEATS_MAX).rev().find(|index| is_given(part, *index, given)).unwrap_or(0)
    }

    /// The section of what was filled in: values by the fields' names, all as text.
    ///
    /// # Errors
    /// What is missing, unknown or not of its kind, by field; never empty.
    pub fn section(&self, given: &BTreeMap<String, String>) -> Result<Section, Vec<FieldMistake>> {
        let mut section = Section { text: String::new(), lines: Vec::new() };
        let mut mistakes = self.unknown(given);
        for part in self.parts {
            for index in 1..=self.repeats(part, given) {
                if part.repeats && !is_given(part, index, given) {
                    continue;
                }
                if !section.text.is_empty() {
                    section.text.push('\n');
                }
                section.begin("");
                section.text.push_str(part.header);
                section.text.push('\n');
                write_part(&mut section, part, index, given, &mut mistakes);
            }
        }
        if mistakes.is_empty() { Ok(section) } else { Err(mistakes) }
    }

    /// Fields that the form does not have.
    fn unknown(&self, given: &BTreeMap<String, String>) -> Vec<FieldMistake> {
        let names: Vec<String> = self.field_names();
        let unknown = given.keys().filter(|name| !names.contains(name));
        let mistake = |name: &String| {
            let near = nearest(name, names.iter().map(String::as_str));
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            FieldMistake { field: name.clone(), message: format!("a {} has no `{name}`{hint}", self.kind) }
        };
        unknown.map(mistake).collect()
    }

    /// The names of all fields, of repeated parts in each repetition.
    fn field_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for part in self.parts {
            for index in 1..=if part.repeats { REPEATS_MAX } else { 1 } {
                names.extend(part.fields.iter().map(|field| part.field_name(index, field)));
            }
        }
        names
    }
}

/// Whether anything but a choice was filled in: a choice stands at something from the first.
fn is_given(part: &Part, index: usize, given: &BTreeMap<String, String>) -> bool {
    let entered = part.fields.iter().filter(|field| !matches!(field.entry, Entry::Choice(_) | Entry::Switch));
    entered.into_iter().any(|field| !value(part, index, field, given).is_empty())
}

fn value<'g>(part: &Part, index: usize, field: &Field, given: &'g BTreeMap<String, String>) -> &'g str {
    given.get(&part.field_name(index, field)).map(|text| text.trim()).unwrap_or_default()
}

/// Writes a line for each field that has a value; fields of one inline table share theirs.
fn write_part(
    section: &mut Section,
    part: &Part,
    index: usize,
    given: &BTreeMap<String, String>,
    mistakes: &mut Vec<FieldMistake>,
) {
    let table = |field: &Field| field.key.split_once('.').map(|(table, _)| table);
    for group in part.fields.chunk_by(|one, other| table(one).is_some() && table(one) == table(other)) {
        let mut written = Vec::new();
        let mut first = None;
        for field in group {
            let (name, text) = (part.field_name(index, field), value(part, index, field, given));
            if text.is_empty() {
                if field.required {
                    mistakes.push(FieldMistake { field: name, message: "expected a value here".to_owned() });
                }
                continue;
            }
            let key = field.key.rsplit('.').next().unwrap_or(field.key);
            match written_value(field, text) {
                Ok(value) => written.push(format!("{key} = {value}")),
                Err(message) => mistakes.push(FieldMistake { field: name.clone(), message }),
            }
            first.get_or_insert(name);
        }
        let (Some(name), false) = (first, written.is_empty()) else { continue };
        section.begin(&name);
        match group.first().and_then(table) {
            Some(table) => section.text.push_str(&format!("{table} = {{ {} }}", written.join(", "))),
            None => section.text.push_str(&written.join("\n")),
        }
        section.text.push('\n');
    }
}

/// A field's value as TOML.
fn written_value(field: &Field, text: &str) -> Result<String, String> {
    match field.entry {
        Entry::Text | Entry::Code => Ok(quoted(text)),
        Entry::Number => match text.parse::<i64>() {
            Ok(number) => Ok(number.to_string()),
            Err(_) => Err(format!("expected a whole number, found `{text}`")),
        },
        Entry::Choice(words) if words.contains(&text) => Ok(quoted(text)),
        Entry::Choice(words) => {
            let words: Vec<&str> = words.iter().copied().filter(|word| !word.is_empty()).collect();
            Err(format!("expected one of {}, found `{text}`", words.join(", ")))
        }
        Entry::Switch => match text {
            "true" | "on" | "yes" => Ok("true".to_owned()),
            "false" | "no" => Ok("false".to_owned()),
            other => Err(format!("expected true or false, found `{other}`")),
        },
        Entry::Words => {
            let words = text.split([',', '\n']).map(str::trim).filter(|word| !word.is_empty()).map(quoted);
            Ok(format!("[{}]", words.collect::<Vec<_>>().join(", ")))
        }
        Entry::Lines => Ok(lines(text)),
        Entry::Columns => columns(text),
        Entry::Pairs => pairs(text),
    }
}

/// `NAME TYPE [PATH]`, one a line.
fn columns(text: &str) -> Result<String, String> {
    let mut columns = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let (Some(name), Some(column_type), path, None) = (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(format!("expected a column as `NAME TYPE` or `NAME TYPE PATH`, found `{line}`"));
        };
        let path = path.map(|path| format!(", path = {}", quoted(path))).unwrap_or_default();
        columns.push(format!("{{ name = {}, type = {}{path} }}", quoted(name), quoted(column_type)));
    }
    Ok(format!("[{}]", columns.join(", ")))
}

/// `NAME=VALUE`, one a line.
fn pairs(text: &str) -> Result<String, String> {
    let mut pairs = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once('=') else {
            return Err(format!("expected `NAME=VALUE`, found `{line}`"));
        };
        pairs.push(format!("{} = {}", quoted(name.trim()), quoted(value.trim())));
    }
    Ok(format!("{{ {} }}", pairs.join(", ")))
}

/// Text of several lines: literal when it can be, so that it reads as it was typed.
fn lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let literal = !text.contains("'''") && text.chars().all(|char| !char.is_control() || matches!(char, '\n' | '\t'));
    if literal { format!("'''\n{text}\n'''") } else { quoted(&text) }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{Known, Pipeline};

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// What every form has filled in for it to be whole.
    fn example(kind: &str) -> BTreeMap<String, String> {
        given(match kind {
            "delivery-stream" => &[("name", "d"), ("bucket", "b"), ("gzip", "on")],
            "table" => {
                &[("name", "table"), ("hash_key.name", "id"), ("hash_key.type", "string"), ("sort_key.type", "")]
            }
            "function" => &[
                ("name", "f"),
                ("runtime", "python3.12"),
                ("handler", "index.handler"),
                ("code", "functions/f"),
                ("environment", "A=1\nB = x=\"y\""),
            ],
            "query" => &[
                ("name", "q"),
                ("dialect", "stream-analytics"),
                ("sql", "SELECT a\r\nINTO o FROM i"),
                ("input.1.name", "i"),
                ("input.1.event_hub", "hub"),
                ("input.1.columns", "a bigint\nb nvarchar(max) $.c"),
                ("output.1.name", "o"),
                ("output.1.blob.container", "c"),
                ("output.1.blob.path", "x/{date}"),
                ("output.3.name", "p"),
                ("output.3.cosmos.database", "d"),
                ("output.3.cosmos.container", "c"),
            ],
            "api" => &[("name", "a"), ("route.1.method", "POST"), ("route.1.path", "/"), ("route.1.function", "save")],
            "cosmos-database" => &[("name", "d"), ("container.1.name", "c"), ("container.1.partition_key", "/k")],
            "event-grid-topic" => &[
                ("name", "topic"),
                ("subscription.1.name", "s"),
                ("subscription.1.function", "save"),
                ("subscription.1.event_types", "A, B"),
                ("subscription.1.dead_letter.container", "dead"),
            ],
            "api-management" => &[
                ("name", "shop"),
                ("api.name", "orders"),
                ("api.path", "orders"),
                ("operation.1.name", "publish"),
                ("operation.1.method", "post"),
                ("operation.1.template", "/"),
                ("operation.1.policy", "<policies>\n</policies>"),
                ("product.1.name", "p"),
                ("product.1.apis", "orders"),
            ],
            _ => &[("name", "n")],
        })
    }

    #[test]
    fn every_form_makes_a_section_that_the_pipeline_file_takes() {
        let known = Known {
            functions: ["save".to_owned()].into(),
            hubs: [("hub".to_owned(), "hub".to_owned())].into(),
            ..Known::default()
        };
        for form in Form::all() {
            let section = form.section(&example(form.kind)).unwrap_or_else(|wrong| panic!("{}: {wrong:?}", form.kind));
            let parsed = Pipeline::parse_onto(form.kind, &section.text, &known);
            assert!(parsed.is_ok(), "{}: {parsed:?}\n{}", form.kind, section.text);
            assert_eq!(
                section.text.matches("[[").count(),
                1 + section.text.matches("\n\n[[").count(),
                "{}",
                section.text
            );
        }
    }

    #[test]
    fn a_line_leads_back_to_its_field() {
        let section = Form::of("query").unwrap().section(&example("query")).unwrap();
        let line = |text: &str| 1 + section.text.lines().position(|line| line.starts_with(text)).unwrap();
        for (text, field) in [
            ("name = \"q\"", Some("name")),
            ("INTO o", Some("sql")),
            ("columns", Some("input.1.columns")),
            ("cosmos", Some("output.3.cosmos.database")),
            ("[[query.input]]", None),
        ] {
            assert_eq!(section.field_at(line(text)), field, "{text}\n{}", section.text);
        }
    }

    #[test]
    fn what_is_wrong_is_said_at_its_field() {
        for (kind, pairs, field, words) in [
            ("stream", &[][..], "name", "expected a value"),
            ("stream", &[("name", "a"), ("shards", "two")], "shards", "whole number"),
            ("stream", &[("name", "a"), ("shard", "2")], "shard", "did you mean `shards`?"),
            (
                "table",
                &[("name", "a"), ("hash_key.name", "k"), ("hash_key.type", "text")],
                "hash_key.type",
                "one of string",
            ),
            ("api", &[("name", "a"), ("route.2.path", "/")], "route.2.method", "expected a value"),
            ("function", &[("environment", "A")], "environment", "NAME=VALUE"),
        ] {
            let mistakes = Form::of(kind).unwrap().section(&given(pairs)).unwrap_err();
            let found = mistakes.iter().find(|mistake| mistake.field == field);
            assert!(found.is_some_and(|mistake| mistake.message.contains(words)), "{kind} {field}: {mistakes:?}");
        }
    }

    #[test]
    fn what_is_typed_cannot_leave_its_place() {
        let name = "a\"\n[[table]]";
        let section = Form::of("stream").unwrap().section(&given(&[("name", name)])).unwrap();
        let parsed: toml::Table = section.text.parse().unwrap();
        assert_eq!(parsed.keys().collect::<Vec<_>>(), ["stream"]);
        assert_eq!(parsed["stream"][0]["name"].as_str(), Some(name));
        let sql = given(&[("name", "q"), ("dialect", "kinesis"), ("sql", "'''\n[[stream]]"), ("input.1.name", "i")]);
        let section = Form::of("query").unwrap().section(&sql).unwrap();
        assert_eq!(section.text.parse::<toml::Table>().unwrap().keys().collect::<Vec<_>>(), ["query"]);
    }
}
