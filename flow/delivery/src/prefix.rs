//! Prefixes of object names: literal text with expressions `!{timestamp:PATTERN}` and `!{firehose:random-string}` that are
//! evaluated for each object. Pure.
//!
//! Source: the Firehose developer guide, "Custom prefixes for Amazon S3 objects".

use jiff::Zoned;
use uuid::Uuid;

use crate::time_pattern::TimePattern;

/// What follows a prefix that names no time.
const DEFAULT_TIME_PATH: &str = "yyyy/MM/dd/HH/";

/// Characters of a random string.
const RANDOM_CHARS: usize = 11;

/// A parsed prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prefix {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Time(TimePattern),
    RandomString,
}

impl Prefix {
    /// Parses a prefix and adds the default time path when it names no time.
    ///
    /// # Errors
    /// Says which expression cannot be evaluated and why.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, behind)) = rest.split_once("!{") {
            parts.push(Part::Literal(literal.to_owned()));
            let (expression, behind) =
                behind.split_once('}').ok_or_else(|| format!("expected `}}` behind `!{{{behind}`"))?;
            parts.push(Self::expression(expression)?);
            rest = behind;
        }
        parts.push(Part::Literal(rest.to_owned()));
        if !parts.iter().any(|part| matches!(part, Part::Time(_))) {
            parts.push(Part::Time(TimePattern::parse(DEFAULT_TIME_PATH)?));
        }
        Ok(Self { parts })
    }

    fn expression(expression: &str) -> Result<Part, String> {
        match expression.split_once(':') {
            Some(("timestamp", pattern)) => Ok(Part::Time(TimePattern::parse(pattern)?)),
            Some(("firehose", "random-string")) => Ok(Part::RandomString),
            _ => Err(format!(
                "expected `!{{timestamp:PATTERN}}` or `!{{firehose:random-string}}`, found `!{{{expression}}}`"
            )),
        }
    }

    /// The prefix of an object whose oldest record came at `at`. Random strings are taken from the object's own id, so
    /// that the same object has the same name.
    pub(crate) fn evaluate(&self, at: &Zoned, id: Uuid) -> String {
        let mut bits = id.as_u128();
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Time(pattern) => text.push_str(&pattern.format(at)),
                Part::RandomString => {
                    text.push_str(&random_string(bits));
                    bits = bits.rotate_left(61);
                }
            }
        }
        text
    }
}

fn random_string(mut bits: u128) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut next = || {
        let char = ALPHABET[(bits % 62) as usize];
        bits /= 62;
        char::from(char)
    };
    (0..RANDOM_CHARS).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluated(prefix: &str) -> String {
        let at = jiff::Timestamp::from_millisecond(1_531_146_605_999).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
        Prefix::parse(prefix).unwrap().evaluate(&at, Uuid::from_u128(u128::MAX / 3))
    }

    #[test]
    fn prefixes_are_evaluated_for_each_object() {
        assert_eq!(evaluated(""), "2018/07/09/14/");
        assert_eq!(evaluated("raw/"), "raw/2018/07/09/14/");
        assert_eq!(evaluated("raw-!{timestamp:yyyy/MM/dd}/x/"), "raw-2018/07/09/x/");
        assert_eq!(evaluated("y=!{timestamp:yyyy}/m=!{timestamp:MM}/"), "y=2018/m=07/");
        let random = evaluated("!{firehose:random-string}/!{firehose:random-string}/");
        let parts: Vec<&str> = random.splitn(3, '/').collect();
        assert_eq!((parts[0].len(), parts[1].len(), parts[2]), (11, 11, "2018/07/09/14/"));
        assert_ne!(parts[0], parts[1]);
    }

    #[test]
    fn what_cannot_be_evaluated_is_named() {
        for (prefix, word) in [
            ("a!{timestamp:yyyy", "`}`"),
            ("!{firehose:error-output-type}/", "error-output-type"),
            ("!{partitionKeyFromQuery:symbol}/", "partitionKeyFromQuery"),
            ("!{timestamp:yyyy-ww}/", "`w`"),
        ] {
            let reason = Prefix::parse(prefix).unwrap_err();
            assert!(reason.contains(word), "{prefix}: {reason}");
        }
    }
}
