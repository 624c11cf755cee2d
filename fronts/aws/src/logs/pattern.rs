//! Filter patterns over lines: words that must be there, `?word` of which one must, `-word` that must not, `"exact texts"`.
//!
//! Source: the CloudWatch Logs user guide, "Filter and pattern syntax". Patterns over JSON and columns are refused.

use crate::json_protocol::ServiceError;

/// A pattern.
#[derive(Debug, Default)]
pub(super) struct Pattern {
    all: Vec<String>,
    any: Vec<String>,
    none: Vec<String>,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, ServiceError> {
        let text = text.trim();
        if text.starts_with(['{', '[', '%']) {
            let message = format!(
                "the filter pattern `{text}` over JSON, columns or regular expressions is not supported by this node"
            );
            return Err(ServiceError::new("InvalidParameterException", message));
        }
        let mut pattern = Self::default();
        let mut rest = text;
        while let Some(start) = rest.find(|char: char| !char.is_whitespace()) {
            rest = &rest[start..];
            let list = match rest.as_bytes()[0] {
                b'?' => &mut pattern.any,
                b'-' => &mut pattern.none,
                _ => &mut pattern.all,
            };
            rest = rest.trim_start_matches(['?', '-']);
            let (term, behind) = match rest.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').ok_or_else(|| {
                    ServiceError::new("InvalidParameterException", "Invalid filter pattern: a quote is not closed")
                })?,
                None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
            };
            if !term.is_empty() {
                list.push(term.to_owned());
            }
            rest = behind;
        }
        Ok(pattern)
    }

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
            assert_eq!(Pattern::parse(pattern).unwrap().matches(line), expected, "{pattern}");
        }
        assert!(Pattern::parse("{ $.x = 1 }").is_err());
        assert!(Pattern::parse("\"open").is_err());
    }
}
