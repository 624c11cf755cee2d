//! The part of JSONPath that mappings are written in: `$`, `.name`, `['name']`, `[0]`, `[*]` and `.*`.
//!
//! Filters, slices and `..` are not part of it: they are refused when a mapping is defined.

use serde_json::Value;

/// Steps of one path: nobody nests deeper, and each may visit every child.
const STEPS_MAX: usize = 64;

/// A path that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(String),
    Index(usize),
    All,
}

impl JsonPath {
    /// Reads a path; a missing `$` in front is added.
    ///
    /// # Errors
    /// What was not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text.trim().strip_prefix('$').unwrap_or(text.trim());
        if !rest.is_empty() && !rest.starts_with(['.', '[']) {
            return Err(format!("expected a path like `$.name`, found `{text}`"));
        }
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, behind) = step(rest).ok_or_else(|| format!("`{rest}` in the path `{text}` is not supported"))?;
            steps.push(step);
            rest = behind;
            if steps.len() > STEPS_MAX {
                return Err(format!("the path has more than {STEPS_MAX} steps"));
            }
        }
        Ok(Self(steps))
    }

    /// What the path leads to; `None` when it leads nowhere. Paths with `*` give the list of what they lead to.
    #[must_use]
    pub fn find<'v>(&self, value: &'v Value) -> Option<std::borrow::Cow<'v, Value>> {
        use std::borrow::Cow;
        if !self.0.contains(&Step::All) {
            return self.0.iter().try_fold(value, |at, step| child(at, step)).map(Cow::Borrowed);
        }
        let mut found = vec![value];
        for step in &self.0 {
            found = match step {
                Step::All => found.into_iter().flat_map(children).collect(),
                one => found.into_iter().filter_map(|at| child(at, one)).collect(),
            };
        }
        Some(Cow::Owned(Value::Array(found.into_iter().cloned().collect())))
    }
}

fn step(rest: &str) -> Option<(Step, &str)> {
    if let Some(rest) = rest.strip_prefix('.') {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        let step = if name == "*" { Step::All } else { Step::Member(name.to_owned()) };
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '@' | ':' | '$' | ' ');
        return (name == "*" || (!name.is_empty() && name.chars().all(allowed))).then_some((step, behind));
    }
    let rest = rest.strip_prefix('[')?;
    if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '\'' | '"')) {
        let (name, behind) = rest[1..].split_once(quote)?;
        return Some((Step::Member(name.to_owned()), behind.strip_prefix(']')?));
    }
    let (index, behind) = rest.split_once(']')?;
    let step = if index.trim() == "*" { Step::All } else { Step::Index(index.trim().parse().ok()?) };
    Some((step, behind))
}

fn child<'v>(value: &'v Value, step: &Step) -> Option<&'v Value> {
    match step {
        Step::Member(name) => value.get(name.as_str()),
        Step::Index(index) => value.get(*index),
        Step::All => None,
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(members) => members.values().collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_lead_to_what_they_name() {
        let value = json!({"a": {"b": [1, {"c": 2}]}, "with space": 3, "l": [{"n": 1}, {"n": 2}, {}]});
        for (path, expected) in [
            ("$", Some(value.clone())),
            ("$.a.b[0]", Some(json!(1))),
            ("$.a.b[1].c", Some(json!(2))),
            ("$['with space']", Some(json!(3))),
            ("$.l[*].n", Some(json!([1, 2]))),
            ("$.a.*", Some(json!([[1, {"c": 2}]]))),
            ("$.nothing", None),
            ("$.a.b[7]", None),
        ] {
            let found = JsonPath::parse(path).unwrap().find(&value).map(std::borrow::Cow::into_owned);
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn what_is_not_part_of_it_is_refused() {
        for path in ["$..a", "$.a[?(@.b)]", "$.a[1:2]", "a.b", "$.a[", "$."] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }
}
