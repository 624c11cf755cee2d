//! From TOML to the file's tables: what does not fit them is told and left out, so that one mistake does not hide the next one.
//!
//! The reader of TOML stops at the first value that does not fit; here that value is taken out of the text's tree and the
//! rest is read again, until all of it fits. Read next: `resolve.rs`.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::file::PipelineFile;
use super::source::{Mistake, Source, nearest};

/// Mistakes of the shape that are told of one file: whoever has more of them looks at these first.
const MISTAKES_MAX: usize = 100;

/// What fits of a file.
pub(super) struct Shaped {
    pub(super) file: PipelineFile,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) left_out: LeftOut,
}

/// What was left out and may be referred to.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// Kinds and names of resources.
    names: BTreeSet<(String, String)>,
    /// Queries whose inputs are not all there.
    pub(super) queries: BTreeSet<String>,
}

/// Reads a file's text.
///
/// # Errors
/// Its mistakes when it is no TOML, or has too many.
pub(super) fn shape(source: &Source<'_>) -> Result<Shaped, Vec<Mistake>> {
    let (mut tree, errors) = DeTable::parse_recoverable(source.text());
    if !errors.is_empty() {
        return Err(errors.iter().map(|error| source.syntax(error)).collect());
    }
    let (mut mistakes, mut left_out) = (Vec::new(), LeftOut::default());
    // Fields that were taken out, by the place of their table: they are not missing.
    let mut taken = BTreeSet::new();
    loop {
        let error = match PipelineFile::deserialize(Deserializer::from(tree.clone())) {
            Ok(file) => return Ok(Shaped { file, mistakes, left_out }),
            Err(error) => error,
        };
        let place = error.span().unwrap_or_default();
        let missing = quoted(error.message(), "missing field").map(|field| (place.start, field.to_owned()));
        if !missing.is_some_and(|missing| taken.contains(&missing)) {
            mistakes.push(mistake(source, &error));
        }
        let way = way_in_table(tree.get_ref(), &place).unwrap_or_default();
        if way.is_empty() || mistakes.len() >= MISTAKES_MAX {
            return Err(mistakes);
        }
        if quoted(error.message(), "unknown field").is_none() {
            left_out.note(tree.get_ref(), &way);
        }
        if let (Some(Step::Key(key)), table) = (way.last(), &way[..way.len() - 1]) {
            taken.insert((value_at(tree.get_ref(), table).map_or(0, |table| table.span().start), key.clone()));
        }
        take_out(tree.get_mut(), &way);
    }
}

impl LeftOut {
    /// Names of a kind, as the file names the kind: `stream`.
    pub(super) fn names<'l>(&'l self, kind: &'l str) -> impl Iterator<Item = String> + 'l {
        self.names.iter().filter(move |(of, _)| of == kind).map(|(_, name)| name.clone())
    }

    /// Notes what is about to be taken out.
    fn note(&mut self, tree: &DeTable<'_>, way: &[Step]) {
        let name_at = |way: &[Step]| value_at(tree, way)?.get_ref().get("name")?.get_ref().as_str().map(str::to_owned);
        let keys = |way: &[Step]| way.iter().filter_map(Step::key).collect::<Vec<_>>().join(".");
        let name = match way {
            // `[plans.gold]` has its name in its header.
            [before @ .., Step::Key(key)] => Some((keys(before), key.clone())),
            _ => name_at(way).map(|name| (keys(way), name)),
        };
        self.names.extend(name);
        if ["query.input", "query.function"].iter().any(|part| keys(way).starts_with(part)) {
            self.queries.extend(name_at(&way[..2]));
        }
    }
}

/// A step on the way to a value of a tree.
enum Step {
    Key(String),
    Index(usize),
}

impl Step {
    fn key(&self) -> Option<&str> {
        match self {
            Self::Key(key) => Some(key),
            Self::Index(_) => None,
        }
    }
}

/// The way to the innermost value that stands at a place, or whose key does; empty for the value itself.
fn way_in(value: &Spanned<DeValue<'_>>, place: &Range<usize>) -> Option<Vec<Step>> {
    let inside = match value.get_ref() {
        DeValue::Table(table) => way_in_table(table, place),
        DeValue::Array(elements) => elements
            .iter()
            .enumerate()
            .find_map(|(index, element)| way_in(element, place).map(|way| behind(Step::Index(index), way))),
        _ => None,
    };
    inside.or_else(|| (value.span() == *place).then(Vec::new))
}

fn way_in_table(table: &DeTable<'_>, place: &Range<usize>) -> Option<Vec<Step>> {
    table.iter().find_map(|(key, value)| {
        let way = way_in(value, place).or_else(|| (key.span() == *place).then(Vec::new))?;
        Some(behind(Step::Key(key.get_ref().to_string()), way))
    })
}

fn behind(step: Step, mut way: Vec<Step>) -> Vec<Step> {
    way.insert(0, step);
    way
}

fn value_at<'v, 't>(tree: &'v DeTable<'t>, way: &[Step]) -> Option<&'v Spanned<DeValue<'t>>> {
    let (first, rest) = way.split_first()?;
    rest.iter().try_fold(tree.get(first.key()?)?, |value, step| match (value.get_ref(), step) {
        (DeValue::Table(table), Step::Key(key)) => table.get(key.as_str()),
        (DeValue::Array(elements), Step::Index(index)) => elements.get(*index),
        _ => None,
    })
}

fn take_out(table: &mut DeTable<'_>, way: &[Step]) {
    match way {
        [Step::Key(key)] => {
            table.remove(key.as_str());
        }
        [Step::Key(key), Step::Index(index), rest @ ..] => {
            let Some(DeValue::Array(elements)) = table.get_mut(key.as_str()).map(Spanned::get_mut) else { return };
            match (rest, elements.get_mut(*index).map(Spanned::get_mut)) {
                ([], _) => *elements = without(elements, *index),
                (rest, Some(DeValue::Table(inner))) => take_out(inner, rest),
                _ => {}
            }
        }
        [Step::Key(key), rest @ ..] => {
            if let Some(DeValue::Table(inner)) = table.get_mut(key.as_str()).map(Spanned::get_mut) {
                take_out(inner, rest);
            }
        }
        _ => {}
    }
}

fn without<'t>(elements: &DeArray<'t>, index: usize) -> DeArray<'t> {
    let mut left = DeArray::new();
    let kept = elements.iter().enumerate().filter(|(at, _)| *at != index);
    kept.for_each(|(_, element)| left.push(element.clone()));
    left
}

/// What did not fit, in words of the file, and what to write instead.
fn mistake(source: &Source<'_>, error: &toml::de::Error) -> Mistake {
    let line = error.span().map_or(0, |span| source.line(&span));
    let found = error.message().trim();
    let (found, expected) = found.rsplit_once(", expected ").unwrap_or((found, ""));
    let (kind, advice) = match expected {
        "u8" | "u16" | "u32" | "u64" => ("a whole number from 0 on", "write it without quotes"),
        "i8" | "i16" | "i32" | "i64" => ("a whole number", "write it without quotes"),
        "f32" | "f64" => ("a number", "write it without quotes"),
        "a boolean" => ("true or false", "write it without quotes"),
        "a string" => ("a text", "write it in quotes"),
        "a sequence" => ("a list", "write it in brackets: [ … ]"),
        "a map" => ("a table", "write it in braces: { … }"),
        other if other.starts_with("struct ") => ("a table", "write it in braces: { … }"),
        other => (other, ""),
    };
    let message = if kind.is_empty() { found.to_owned() } else { format!("{found}, expected {kind}") };
    let wrong = quoted(found, "unknown field").or_else(|| quoted(found, "unknown variant"));
    let hint = match (wrong, quoted(found, "missing field")) {
        // The names that were expected stand between backticks.
        (Some(wrong), _) => match nearest(wrong, expected.split('`').skip(1).step_by(2)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if found.starts_with("unknown field") => "remove the field or correct its name".to_owned(),
            None => "write one of them".to_owned(),
        },
        (None, Some(field)) => format!("add it: {field} = …"),
        (None, None) => advice.to_owned(),
    };
    source.mistake(line, message, hint)
}

/// What stands between backticks behind some words: of "missing field `name`" the name.
fn quoted<'m>(message: &'m str, words: &str) -> Option<&'m str> {
    message.strip_prefix(words)?.trim_start().strip_prefix('`')?.split('`').next()
}
