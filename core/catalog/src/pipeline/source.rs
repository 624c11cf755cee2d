//! Places in the file, and mistakes that name them.

use std::fmt;
use std::ops::Range;

/// A value and the line of the file on which it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Counted from 1.
    pub line: usize,
}

/// Something wrong in the file: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file.
    pub file: String,
    /// Counted from 1; 0 when it concerns the file as a whole.
    pub line: usize,
    /// What was expected and what was found.
    pub message: String,
    /// What to do; empty when the message says it.
    pub hint: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.file, self.line, self.message)?;
        if !self.hint.is_empty() {
            write!(formatter, "\n  try: {}", self.hint)?;
        }
        Ok(())
    }
}

/// The text, for turning byte positions into lines.
pub(super) struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text }
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// The line of a byte position.
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.as_bytes().get(..span.start).unwrap_or(self.text.as_bytes());
        1 + before.iter().filter(|&&byte| byte == b'\n').count()
    }

    /// The line on which a string's text begins: a line break right behind the opening quotes is not part of it.
    pub(super) fn text_line(&self, span: &Range<usize>) -> usize {
        let value = self.text.get(span.clone()).unwrap_or_default();
        let quotes = value.strip_prefix("\"\"\"").or_else(|| value.strip_prefix("'''"));
        let broken = quotes.is_some_and(|text| text.starts_with('\n') || text.starts_with("\r\n"));
        self.line(span) + usize::from(broken)
    }

    pub(super) fn locate<T>(&self, value: T, span: &Range<usize>) -> Located<T> {
        Located { value, line: self.line(span) }
    }

    pub(super) fn mistake(&self, line: usize, message: String, hint: impl Into<String>) -> Mistake {
        Mistake { file: self.file.to_owned(), line, message, hint: hint.into() }
    }

    /// What is no TOML.
    pub(super) fn syntax(&self, error: &toml::de::Error) -> Mistake {
        let line = error.span().map_or(0, |span| self.line(&span));
        self.mistake(line, error.message().trim().to_owned(), "write it as TOML: KEY = VALUE, texts in quotes")
    }
}

/// The name that is nearest to a wrong one, if one is near: for "did you mean".
pub(super) fn nearest<'n>(wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    names
        .into_iter()
        .map(|name| (edit_distance(&wrong.to_lowercase(), &name.to_lowercase()), name))
        .filter(|&(distance, name)| distance <= 1 + name.chars().count() / 3)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein distance over characters.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}
