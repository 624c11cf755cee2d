//! Patterns over JSON: `{ $.level = "ERROR" && ($.latency > 100 || $.user NOT EXISTS) }`.
//!
//! A comparison holds only for a property that is there. `*` in a text stands for any characters; `[*]` for any element.

use serde_json::Value;

use super::{unsupported, wrong};
use crate::json_protocol::ServiceError;

/// Parentheses within parentheses.
const DEPTH_MAX: usize = 32;

/// What must hold of a document.
#[derive(Debug)]
pub(in super::super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Of(Vec<Step>, Test),
    /// Whether there is a value at the end of these steps.
    Exists(Vec<Step>, bool),
}

/// A step into a document.
#[derive(Debug)]
pub(in super::super) enum Step {
    Member(String),
    Element(usize),
    AnyElement,
}

/// What must hold of a value.
#[derive(Debug)]
pub(in super::super) enum Test {
    Is(Text),
    IsNot(Text),
    Number(Comparison, f64),
    IsNull,
    IsBoolean(bool),
}

#[derive(Debug, Clone, Copy)]
pub(in super::super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A text, cut where a `*` stands.
#[derive(Debug)]
pub(in super::super) struct Text(Vec<String>);

/// Reads what stands between the braces.
pub(super) fn parse(text: &str) -> Result<Condition, ServiceError> {
    let mut parser = Parser { rest: text, whole: text };
    let condition = parser.any(0)?;
    if parser.rest.trim().is_empty() { Ok(condition) } else { Err(parser.unexpected()) }
}

struct Parser<'a> {
    rest: &'a str,
    whole: &'a str,
}

impl<'a> Parser<'a> {
    fn any(&mut self, depth: usize) -> Result<Condition, ServiceError> {
        let mut conditions = vec![self.all(depth)?];
        while self.take("||") {
            conditions.push(self.all(depth)?);
        }
        Ok(Condition::Any(conditions))
    }

    fn all(&mut self, depth: usize) -> Result<Condition, ServiceError> {
        let mut conditions = vec![self.one(depth)?];
        while self.take("&&") {
            conditions.push(self.one(depth)?);
        }
        Ok(Condition::All(conditions))
    }

    fn one(&mut self, depth: usize) -> Result<Condition, ServiceError> {
        if self.take("(") {
            if depth == DEPTH_MAX {
                return Err(wrong(&format!("expected at most {DEPTH_MAX} parentheses within each other")));
            }
            let inner = self.any(depth + 1)?;
            return if self.take(")") { Ok(inner) } else { Err(wrong("a parenthesis is not closed")) };
        }
        let selector = self.word();
        let steps =
            steps(selector).ok_or_else(|| wrong(&format!("expected a selector `$.name`, found `{selector}`")))?;
        if self.take("NOT") {
            return if self.take("EXISTS") { Ok(Condition::Exists(steps, false)) } else { Err(self.unexpected()) };
        }
        if self.take("EXISTS") {
            return Ok(Condition::Exists(steps, true));
        }
        Ok(Condition::Of(steps, self.test()?))
    }

    fn test(&mut self) -> Result<Test, ServiceError> {
        if self.take("IS") {
            return match self.word() {
                "NULL" => Ok(Test::IsNull),
                "TRUE" => Ok(Test::IsBoolean(true)),
                "FALSE" => Ok(Test::IsBoolean(false)),
                other => Err(wrong(&format!("expected NULL, TRUE or FALSE behind IS, found `{other}`"))),
            };
        }
        let symbols = [
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("=", Comparison::Equal),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        let found = symbols.into_iter().find(|(symbol, _)| self.take(symbol));
        let Some((symbol, comparison)) = found else { return Err(self.unexpected()) };
        self.rest = self.rest.trim_start();
        if self.rest.starts_with('%') {
            return Err(unsupported(self.whole));
        }
        if let Some(quoted) = self.rest.strip_prefix('"') {
            let (text, behind) = quoted.split_once('"').ok_or_else(|| wrong("a quote is not closed"))?;
            self.rest = behind;
            return of_text(comparison, text).ok_or_else(|| wrong(&format!("expected a number behind {symbol}")));
        }
        let word = self.word();
        if let Some(number) = word.parse::<f64>().ok().filter(|number| number.is_finite()) {
            return Ok(Test::Number(comparison, number));
        }
        let test = if word.is_empty() { None } else { of_text(comparison, word) };
        test.ok_or_else(|| wrong(&format!("expected a value behind {symbol}, found `{word}`")))
    }

    /// Takes a symbol or a keyword if it comes next.
    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start();
        let Some(behind) = rest.strip_prefix(token) else { return false };
        let keyword = token.starts_with(|char: char| char.is_ascii_alphabetic());
        if keyword && behind.starts_with(|char: char| char.is_ascii_alphanumeric()) {
            return false;
        }
        self.rest = behind;
        true
    }

    /// What comes next up to a blank or a symbol.
    fn word(&mut self) -> &'a str {
        let rest = self.rest.trim_start();
        let symbol = |char: char| char.is_whitespace() || matches!(char, '=' | '!' | '<' | '>' | '&' | '|' | '(' | ')');
        let (word, behind) = rest.split_at(rest.find(symbol).unwrap_or(rest.len()));
        self.rest = behind;
        word
    }

    fn unexpected(&self) -> ServiceError {
        wrong(&format!("`{}` was not expected", self.rest.trim()))
    }
}

fn of_text(comparison: Comparison, text: &str) -> Option<Test> {
    let text = Text(text.split('*').map(str::to_owned).collect());
    match comparison {
        Comparison::Equal => Some(Test::Is(text)),
        Comparison::NotEqual => Some(Test::IsNot(text)),
        _ => None,
    }
}

/// `$.a.b[0].c`, `$.a[*]`, `$['a.b']`
fn steps(selector: &str) -> Option<Vec<Step>> {
    let mut rest = selector.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix('.') {
            let (name, behind) = behind.split_at(behind.find(['.', '[']).unwrap_or(behind.len()));
            steps.push(Step::Member(Some(name).filter(|name| !name.is_empty())?.to_owned()));
            rest = behind;
        } else {
            let (inner, behind) = rest.strip_prefix('[')?.split_once(']')?;
            steps.push(match inner {
                "*" => Step::AnyElement,
                quoted if quoted.starts_with('\'') => {
                    Step::Member(quoted.strip_prefix('\'')?.strip_suffix('\'')?.to_owned())
                }
                number => Step::Element(number.parse().ok()?),
            });
            rest = behind;
        }
    }
    (!steps.is_empty()).then_some(steps)
}

impl Condition {
    pub(super) fn holds(&self, document: &Value) -> bool {
        match self {
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(document)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.holds(document)),
            Self::Exists(steps, expected) => any_value(document, steps, &|_| true) == *expected,
            Self::Of(steps, test) => any_value(document, steps, &|value| test.holds(value)),
        }
    }
}

/// Whether a value at the end of these steps is as wanted.
fn any_value(value: &Value, steps: &[Step], wanted: &dyn Fn(&Value) -> bool) -> bool {
    match steps.split_first() {
        None => wanted(value),
        Some((Step::Member(name), rest)) => value.get(name).is_some_and(|next| any_value(next, rest, wanted)),
        Some((Step::Element(index), rest)) => value.get(index).is_some_and(|next| any_value(next, rest, wanted)),
        Some((Step::AnyElement, rest)) => {
            value.as_array().is_some_and(|elements| elements.iter().any(|next| any_value(next, rest, wanted)))
        }
    }
}

impl Test {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Is(text) => shown(value).is_some_and(|shown| text.matches(&shown)),
            Self::IsNot(text) => shown(value).is_some_and(|shown| !text.matches(&shown)),
            Self::Number(comparison, number) => value.as_f64().is_some_and(|found| comparison.holds(found, *number)),
            Self::IsNull => value.is_null(),
            Self::IsBoolean(expected) => value.as_bool() == Some(*expected),
        }
    }
}

/// A value as a text; objects and arrays are none.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

impl Comparison {
    fn holds(self, found: f64, number: f64) -> bool {
        match self {
            Self::Equal => found == number,
            Self::NotEqual => found != number,
            Self::Less => found < number,
            Self::LessOrEqual => found <= number,
            Self::Greater => found > number,
            Self::GreaterOrEqual => found >= number,
        }
    }
}

impl Text {
    /// Whether the parts stand in this order, the first at the begin and the last at the end.
    fn matches(&self, text: &str) -> bool {
        let (Some(first), Some(last)) = (self.0.first(), self.0.last()) else { return false };
        if self.0.len() == 1 {
            return text == first;
        }
        let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
        for part in &self.0[1..self.0.len() - 1] {
            let Some(at) = rest.find(part.as_str()) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_found_by_their_members() {
        let line = r#"{"level":"ERROR","latency":120.5,"user":{"ip":"10.1.2.3","name":null},"ok":true,
                       "list":[{"x":1},{"x":2}],"a.b":"dotted","code":7}"#;
        let document = serde_json::from_str(line).unwrap();
        for (pattern, expected) in [
            (r#"$.level = "ERROR""#, true),
            ("$.level = ERROR", true),
            (r#"$.level = "ERR*""#, true),
            (r#"$.level = "*R*O*""#, true),
            (r#"$.level = "*x*""#, false),
            (r#"$.level != "INFO""#, true),
            (r#"$.missing != "INFO""#, false),
            ("$.latency > 100 && $.latency <= 120.5", true),
            ("$.latency < 1e2", false),
            ("$.code=7", true),
            ("$.code != 7", false),
            ("$.user.ip = 10.1.*", true),
            ("$.user.name IS NULL", true),
            ("$.ok IS TRUE", true),
            ("$.ok IS FALSE", false),
            ("$.missing NOT EXISTS", true),
            ("$.level NOT EXISTS", false),
            ("$.list[1].x = 2", true),
            ("$.list[*].x = 1", true),
            ("$.list[5].x = 1", false),
            ("$['a.b'] = dotted", true),
            (r#"$.level = "INFO" || $.code = 7"#, true),
            (r#"$.level = "INFO" && ($.code = 7 || $.ok IS TRUE)"#, false),
            (r#"($.level = "ERROR") && ($.code = 8 || $.ok IS TRUE)"#, true),
        ] {
            assert_eq!(parse(pattern).unwrap().holds(&document), expected, "{pattern}");
        }
    }
}
