//! Which rows of an output were expected and came, which did not come, and which came besides.
//!
//! What a query promises of the order of its rows is their time: rows of an earlier time come first, those of one time in any order.
//! So rows are compared instant by instant. Two rows are the same when their members are, in any order; numbers by their value.

use std::collections::VecDeque;

use millstream_query::TrialRow;
use serde_json::Value;

use super::rows::by_time;

/// A row in a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    /// It was expected and came.
    Same(String),
    /// It was expected and did not come.
    Missing(String),
    /// It came and was not expected.
    Besides(String),
}

/// Compares rows with those expected, which are JSON texts in the order of their times.
pub fn compare(expected: &[String], found: &[TrialRow]) -> Vec<Compared> {
    let mut expected: VecDeque<(&String, Value)> = expected.iter().map(|text| (text, value(text))).collect();
    let found = by_time(found);
    let mut instants: VecDeque<Vec<(&TrialRow, Value)>> = found
        .chunk_by(|left, right| left.time == right.time)
        .map(|rows| rows.iter().map(|row| (*row, value(&row.text))).collect())
        .collect();
    let mut compared = Vec::new();
    while let Some(mut rows) = instants.pop_front() {
        while let Some((text, wanted)) = expected.pop_front() {
            if let Some(place) = rows.iter().position(|(_, row)| same(row, &wanted)) {
                compared.push(Compared::Same(rows.remove(place).0.text.clone()));
            } else if instants.iter().flatten().any(|(_, row)| same(row, &wanted)) {
                expected.push_front((text, wanted));
                break;
            } else {
                compared.push(Compared::Missing(text.clone()));
            }
        }
        compared.extend(rows.into_iter().map(|(row, _)| Compared::Besides(row.text.clone())));
    }
    compared.extend(expected.into_iter().map(|(text, _)| Compared::Missing(text.clone())));
    compared
}

/// Compares what was refused with what was expected to be, in any order; what is expected may be the beginning of what is told.
pub fn compare_refused(expected: &[String], mut found: Vec<String>) -> Vec<Compared> {
    let mut compared = Vec::new();
    for wanted in expected {
        match found.iter().position(|told| told.starts_with(wanted.as_str())) {
            Some(place) => compared.push(Compared::Same(found.remove(place))),
            None => compared.push(Compared::Missing(wanted.clone())),
        }
    }
    compared.extend(found.into_iter().map(Compared::Besides));
    compared
}

/// A row's value; what is no JSON (a number beyond floating point) is compared as the text that it is.
fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| same(left, right)))
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        // Whole numbers are compared as they are: beyond 2^53 floating point would take different ones for the same.
        (Value::Number(left), Value::Number(right)) if left.is_f64() || right.is_f64() => {
            left.as_f64() == right.as_f64()
        }
        (left, right) => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::Compared::{Besides, Missing, Same};
    use super::*;

    fn compared(expected: &[&str], found: &[(i64, &str)]) -> Vec<Compared> {
        let expected: Vec<String> = expected.iter().map(|text| (*text).to_owned()).collect();
        let found: Vec<TrialRow> =
            found.iter().map(|(time, text)| TrialRow { time: *time, text: (*text).to_owned() }).collect();
        compare(&expected, &found)
    }

    #[test]
    fn rows_of_one_time_come_in_any_order_and_those_of_others_do_not() {
        let found = [(1, r#"{"a":1}"#), (1, r#"{"a":2}"#), (2, r#"{"a":3}"#)];
        let all = |rows: Vec<Compared>| rows.iter().all(|row| matches!(row, Same(_)));
        assert!(all(compared(&[r#"{"a":2}"#, r#"{"a":1}"#, r#"{"a":3}"#], &found)));
        assert!(!all(compared(&[r#"{"a":3}"#, r#"{"a":1}"#, r#"{"a":2}"#], &found)));
        assert!(!all(compared(&[r#"{"a":1}"#, r#"{"a":3}"#], &found)), "each row counts");
        assert!(!all(compared(&[r#"{"a":1}"#, r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#], &found)));
    }

    #[test]
    fn what_differs_stands_where_it_belongs() {
        let found = [(1, r#"{"a":1}"#), (2, r#"{"a":9}"#), (3, r#"{"a":3}"#)];
        let rows = compared(&[r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#], &found);
        let text = |a: i64| format!("{{\"a\":{a}}}");
        assert_eq!(rows, [Same(text(1)), Missing(text(2)), Besides(text(9)), Same(text(3))]);
        assert_eq!(compared(&[], &[(1, "{}")]), [Besides("{}".to_owned())]);
        assert_eq!(compared(&["{}"], &[]), [Missing("{}".to_owned())]);
    }

    #[test]
    fn values_are_compared_not_texts() {
        let one = |expected: &str, found: &str| matches!(compared(&[expected], &[(1, found)])[..], [Same(_)]);
        assert!(one(r#"{ "b": [1, null], "a": 3.0 }"#, r#"{"a":3,"b":[1,null]}"#));
        assert!(!one(r#"{"a":null}"#, "{}"));
        assert!(!one(r#"{"a":"3"}"#, r#"{"a":3}"#));
        assert!(!one(r#"{"a":9007199254740993}"#, r#"{"a":9007199254740992}"#));
        assert!(one(r#"{"a":1e400}"#, r#"{"a":1e400}"#));
    }

    #[test]
    fn refusals_are_expected_by_how_they_begin() {
        let told = || vec!["late: by an hour".to_owned(), "failed: 1/0".to_owned()];
        let expected = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert!(compare_refused(&expected(&["failed", "late"]), told()).iter().all(|row| matches!(row, Same(_))));
        assert_eq!(compare_refused(&expected(&["late"]), told())[1], Besides("failed: 1/0".to_owned()));
        assert_eq!(compare_refused(&expected(&["early"]), Vec::new()), [Missing("early".to_owned())]);
    }
}
