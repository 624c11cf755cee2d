//! Patterns over texts: words that must be there, `?word` of which one must, `-word` that must not, `"exact texts"`.

use super::wrong;
use crate::json_protocol::ServiceError;

/// Which words a line has.
#[derive(Debug, Default)]
pub(in super::super) struct Words {
    all: Vec<String>,
    any: Vec<String>,
    none: Vec<String>,
}

pub(super) fn parse(text: &str) -> Result<Words, ServiceError> {
    let mut words = Words::default();
    let mut rest = text;
    while let Some(start) = rest.find(|char: char| !char.is_whitespace()) {
        rest = &rest[start..];
        let list = match rest.as_bytes()[0] {
            b'?' => &mut words.any,
            b'-' => &mut words.none,
            _ => &mut words.all,
        };
        rest = rest.trim_start_matches(['?', '-']);
        let (term, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or_else(|| wrong("a quote is not closed"))?,
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        if !term.is_empty() {
            list.push(term.to_owned());
        }
        rest = behind;
    }
    Ok(words)
}

impl Words {
    pub(super) fn matches(&self, line: &str) -> bool {
        let has = |term: &String| line.contains(term.as_str());
        self.all.iter().all(has) && !self.none.iter().any(has) && (self.any.is_empty() || self.any.iter().any(has))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_their_words() {
        for (pattern, line, expected) in [
            ("", "anything", true),
            ("ERROR", "an ERROR here", true),
            ("ERROR write", "an ERROR here", false),
            ("\"ERROR here\"", "an ERROR here", true),
            ("?WARN ?ERROR", "an ERROR here", true),
            ("ERROR -here", "an ERROR here", false),
        ] {
            assert_eq!(parse(pattern).unwrap().matches(line), expected, "{pattern}");
        }
    }
}
