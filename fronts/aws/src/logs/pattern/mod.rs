//! Filter patterns. Source: the CloudWatch Logs user guide, "Filter and pattern syntax". Patterns over columns and regular
//! expressions are refused.

mod json;
mod text;

use self::json::Condition;
use self::text::Words;
use super::invalid;
use crate::json_protocol::ServiceError;

/// A pattern.
#[derive(Debug)]
pub(super) enum Pattern {
    /// Over lines as texts.
    Words(Words),
    /// Over lines that are JSON objects.
    Json(Condition),
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, ServiceError> {
        let text = text.trim();
        if text.starts_with(['[', '%']) {
            return Err(unsupported(text));
        }
        if let Some(inner) = text.strip_prefix('{') {
            let inner = inner.strip_suffix('}').ok_or_else(|| wrong("a brace is not closed"))?;
            return Ok(Self::Json(json::parse(inner)?));
        }
        Ok(Self::Words(text::parse(text)?))
    }

    pub(super) fn matches(&self, line: &str) -> bool {
        match self {
            Self::Words(words) => words.matches(line),
            Self::Json(condition) => {
                serde_json::from_str::<serde_json::Value>(line).is_ok_and(|document| condition.holds(&document))
            }
        }
    }
}

fn unsupported(text: &str) -> ServiceError {
    invalid(format!("the filter pattern `{text}` over columns or regular expressions is not supported by this node"))
}

fn wrong(reason: &str) -> ServiceError {
    invalid(format!("Invalid filter pattern: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_served_or_not_right_is_refused() {
        for pattern in [
            "[a, b]",
            "%ERR%",
            "\"open",
            "{ $.a = 1",
            "{ $.a }",
            "{ a = 1 }",
            "{ $.a = }",
            "{ $.a = %x% }",
            "{ $.a > b }",
            "{ ($.a = 1 }",
            "{ $.a = 1 && }",
            "{ $.a = 1 $.b = 2 }",
            "{ $.a[x] = 1 }",
            "{}",
        ] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
        let deep = format!("{{ {}$.a = 1{} }}", "(".repeat(1_000), ")".repeat(1_000));
        assert!(Pattern::parse(&deep).is_err());
    }
}
