//! One condition on a field: the tests and what they say of fields that are missing, of another type, or arrays.
//!
//! Source: "Understand event filtering for Event Grid subscriptions". A field that is missing, null or not of the type that a
//! test compares passes the `NotIn` tests only: there is nothing that could be in the list. The other negated tests ask
//! for a text. Arrays are looked into only where the filter says so: one element is enough for the positive tests, the
//! negated ones need all.

use millstream_catalog::{EventSchema, FieldCondition, FieldTest};
use serde_json::Value;

use super::error::FilterError;
use super::{Event, VALUE_CHARS_MAX};

/// Deepest path of a key: bounds the work for one event.
const KEY_PARTS_MAX: usize = 16;

/// A compiled condition.
#[derive(Debug)]
pub(super) struct Condition {
    path: Vec<String>,
    /// Its texts in lower case.
    test: FieldTest,
    arrays: bool,
}

impl Condition {
    pub(super) fn compile(condition: &FieldCondition, schema: EventSchema, arrays: bool) -> Result<Self, FilterError> {
        let path: Vec<String> = condition.key.split('.').map(str::to_owned).collect();
        check_key(&condition.key, &path, schema)?;
        check_values(&condition.key, &condition.test)?;
        Ok(Self { path, test: lower_case(&condition.test), arrays })
    }

    pub(super) fn holds(&self, event: &Event) -> bool {
        let value = event.at(&self.path).filter(|value| !value.is_null());
        match (&self.test, value) {
            (FieldTest::IsNullOrUndefined, value) => value.is_none(),
            (FieldTest::IsNotNull, value) => value.is_some(),
            (_, None) => self.without_value(),
            (_, Some(Value::Array(elements))) if self.arrays => match self.negated() {
                true => elements.iter().all(|element| self.holds_of(element)),
                false => elements.iter().any(|element| self.holds_of(element)),
            },
            (_, Some(value)) => self.holds_of(value),
        }
    }

    fn holds_of(&self, value: &Value) -> bool {
        use FieldTest as Test;
        let found = match (&self.test, value) {
            (Test::BoolEquals(expected), Value::Bool(found)) => Some(found == expected),
            (test, Value::Number(number)) => number.as_f64().and_then(|number| number_holds(test, number)),
            (test, Value::String(text)) => text_holds(test, &text.to_lowercase()),
            _ => None,
        };
        found.unwrap_or_else(|| self.without_value())
    }

    /// What the test says where there is nothing that it could compare.
    fn without_value(&self) -> bool {
        matches!(self.test, FieldTest::NumberNotIn(_) | FieldTest::NumberNotInRange(_) | FieldTest::StringNotIn(_))
    }

    fn negated(&self) -> bool {
        use FieldTest as Test;
        matches!(
            self.test,
            Test::NumberNotIn(_)
                | Test::NumberNotInRange(_)
                | Test::StringNotContains(_)
                | Test::StringNotBeginsWith(_)
                | Test::StringNotEndsWith(_)
                | Test::StringNotIn(_)
        )
    }
}

/// `None` when the test does not compare numbers.
fn number_holds(test: &FieldTest, number: f64) -> Option<bool> {
    use FieldTest as Test;
    let in_range = |ranges: &[(f64, f64)]| ranges.iter().any(|(from, to)| (*from..=*to).contains(&number));
    Some(match test {
        Test::NumberIn(values) => values.contains(&number),
        Test::NumberNotIn(values) => !values.contains(&number),
        Test::NumberLessThan(value) => number < *value,
        Test::NumberLessThanOrEquals(value) => number <= *value,
        Test::NumberGreaterThan(value) => number > *value,
        Test::NumberGreaterThanOrEquals(value) => number >= *value,
        Test::NumberInRange(ranges) => in_range(ranges),
        Test::NumberNotInRange(ranges) => !in_range(ranges),
        _ => return None,
    })
}

/// `None` when the test does not compare texts.
fn text_holds(test: &FieldTest, text: &str) -> Option<bool> {
    use FieldTest as Test;
    Some(match test {
        Test::StringContains(values) => values.iter().any(|value| text.contains(value)),
        Test::StringNotContains(values) => !values.iter().any(|value| text.contains(value)),
        Test::StringBeginsWith(values) => values.iter().any(|value| text.starts_with(value)),
        Test::StringNotBeginsWith(values) => !values.iter().any(|value| text.starts_with(value)),
        Test::StringEndsWith(values) => values.iter().any(|value| text.ends_with(value)),
        Test::StringNotEndsWith(values) => !values.iter().any(|value| text.ends_with(value)),
        Test::StringIn(values) => values.iter().any(|value| value == text),
        Test::StringNotIn(values) => !values.iter().any(|value| value == text),
        _ => return None,
    })
}

/// How many values a test compares with; a range counts as one.
pub(super) fn values(test: &FieldTest) -> usize {
    use FieldTest as Test;
    match test {
        Test::NumberIn(values) | Test::NumberNotIn(values) => values.len(),
        Test::NumberInRange(ranges) | Test::NumberNotInRange(ranges) => ranges.len(),
        Test::NumberLessThan(_)
        | Test::NumberLessThanOrEquals(_)
        | Test::NumberGreaterThan(_)
        | Test::NumberGreaterThanOrEquals(_)
        | Test::BoolEquals(_) => 1,
        Test::IsNullOrUndefined | Test::IsNotNull => 0,
        texts => texts_of(texts).map_or(0, <[String]>::len),
    }
}

fn texts_of(test: &FieldTest) -> Option<&[String]> {
    use FieldTest as Test;
    match test {
        Test::StringContains(values)
        | Test::StringNotContains(values)
        | Test::StringBeginsWith(values)
        | Test::StringNotBeginsWith(values)
        | Test::StringEndsWith(values)
        | Test::StringNotEndsWith(values)
        | Test::StringIn(values)
        | Test::StringNotIn(values) => Some(values),
        _ => None,
    }
}

fn lower_case(test: &FieldTest) -> FieldTest {
    use FieldTest as Test;
    let lower = |values: &[String]| values.iter().map(|value| value.to_lowercase()).collect();
    match test {
        Test::StringContains(values) => Test::StringContains(lower(values)),
        Test::StringNotContains(values) => Test::StringNotContains(lower(values)),
        Test::StringBeginsWith(values) => Test::StringBeginsWith(lower(values)),
        Test::StringNotBeginsWith(values) => Test::StringNotBeginsWith(lower(values)),
        Test::StringEndsWith(values) => Test::StringEndsWith(lower(values)),
        Test::StringNotEndsWith(values) => Test::StringNotEndsWith(lower(values)),
        Test::StringIn(values) => Test::StringIn(lower(values)),
        Test::StringNotIn(values) => Test::StringNotIn(lower(values)),
        other => other.clone(),
    }
}

/// What can be asked: the form's own members and whatever lies in its data. Any other member of a CloudEvent is an
/// extension.
fn check_key(key: &str, path: &[String], schema: EventSchema) -> Result<(), FilterError> {
    let (plain, expected): (&[&str], _) = match schema {
        EventSchema::EventGrid => (
            &["id", "topic", "subject", "eventType", "dataVersion"],
            "id, topic, subject, eventType, dataVersion and data.PATH",
        ),
        EventSchema::CloudEvents => (&[], "the attributes of a CloudEvent and data.PATH"),
        EventSchema::Message => (&["subject"], "subject; patterns ask for the rest of a message"),
    };
    let plain_name = |name: &str| match schema {
        EventSchema::EventGrid | EventSchema::Message => plain.iter().any(|known| known.eq_ignore_ascii_case(name)),
        EventSchema::CloudEvents => !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric()),
    };
    let known = match path {
        [name] => name.eq_ignore_ascii_case("data") || plain_name(name),
        [name, rest @ ..] => {
            name.eq_ignore_ascii_case("data") && path.len() <= KEY_PARTS_MAX && rest.iter().all(|part| !part.is_empty())
        }
        [] => false,
    };
    if !known || key.chars().count() > VALUE_CHARS_MAX {
        let key: String = key.chars().take(80).collect();
        return Err(FilterError::UnknownKey { key, expected });
    }
    Ok(())
}

fn check_values(key: &str, test: &FieldTest) -> Result<(), FilterError> {
    if values(test) == 0 && !matches!(test, FieldTest::IsNullOrUndefined | FieldTest::IsNotNull) {
        return Err(FilterError::NoValues { key: key.to_owned() });
    }
    if let FieldTest::NumberInRange(ranges) | FieldTest::NumberNotInRange(ranges) = test
        && let Some((from, to)) = ranges.iter().find(|(from, to)| from > to)
    {
        return Err(FilterError::EmptyRange { key: key.to_owned(), from: from.to_string(), to: to.to_string() });
    }
    texts_of(test).unwrap_or_default().iter().try_for_each(|value| check_length(&format!("a value for `{key}`"), value))
}

pub(super) fn check_length(what: &str, text: &str) -> Result<(), FilterError> {
    let found = text.chars().count();
    if found > VALUE_CHARS_MAX {
        return Err(FilterError::TooLong { what: what.to_owned(), found, max: VALUE_CHARS_MAX });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use FieldTest as Test;
    use serde_json::json;

    use super::*;
    use crate::filter::Filter;
    use crate::schema::tests::topic;
    use millstream_catalog::EventFilter;

    fn texts(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    fn filter(key: &str, test: Test, arrays: bool) -> EventFilter {
        let conditions = vec![FieldCondition { key: key.to_owned(), test }];
        EventFilter { arrays, conditions, ..EventFilter::default() }
    }

    /// Whether the test holds of `data.x` with that value; a missing value is a missing member.
    fn holds(test: Test, value: Option<Value>, arrays: bool) -> bool {
        let data = value.map_or_else(|| json!({}), |value| json!({ "x": value }));
        let published = json!({
            "id": "1", "subject": "s", "eventType": "t", "eventTime": "2026-11-21T04:05:06Z", "data": data, "dataVersion": "1",
        });
        let event = Event::accept(&topic(EventSchema::EventGrid), published, 0).unwrap();
        Filter::compile(&filter("data.x", test, arrays), EventSchema::EventGrid).unwrap().wants(&event)
    }

    #[test]
    fn every_test_on_plain_values() {
        let ab = || texts(&["aB", "cD"]);
        for (test, yes, no) in [
            (Test::NumberIn(vec![3.0, 21.5]), json!(21.5), json!(4)),
            (Test::NumberNotIn(vec![3.0]), json!(4), json!(3)),
            (Test::NumberLessThan(100.0), json!(99.9), json!(100)),
            (Test::NumberLessThanOrEquals(100.0), json!(100), json!(100.1)),
            (Test::NumberGreaterThan(20.0), json!(21), json!(20)),
            (Test::NumberGreaterThanOrEquals(20.0), json!(20), json!(-20)),
            (Test::NumberInRange(vec![(3.25, 999.95), (2000.0, 2001.0)]), json!(3.25), json!(1000)),
            (Test::NumberInRange(vec![(3.25, 999.95), (2000.0, 2001.0)]), json!(2001), json!(1999)),
            (Test::NumberNotInRange(vec![(3.0, 4.0)]), json!(5), json!(4)),
            (Test::BoolEquals(true), json!(true), json!(false)),
            (Test::StringContains(ab()), json!("xxABxx"), json!("ba")),
            (Test::StringNotContains(ab()), json!("b-a"), json!("xcdx")),
            (Test::StringBeginsWith(ab()), json!("Abc"), json!("xab")),
            (Test::StringNotBeginsWith(ab()), json!("xab"), json!("CDE")),
            (Test::StringEndsWith(ab()), json!("xxab"), json!("abx")),
            (Test::StringNotEndsWith(ab()), json!("abx"), json!("xCD")),
            (Test::StringIn(ab()), json!("AB"), json!("abc")),
            (Test::StringNotIn(ab()), json!("abc"), json!("cd")),
            (Test::IsNullOrUndefined, json!(null), json!("")),
            (Test::IsNotNull, json!([]), json!(null)),
        ] {
            assert!(holds(test.clone(), Some(yes.clone()), false), "{test:?} of {yes}");
            assert!(!holds(test.clone(), Some(no.clone()), false), "{test:?} of {no}");
        }
    }

    #[test]
    fn missing_null_and_other_types_pass_only_not_in() {
        let one = || texts(&["1"]);
        for (test, expected) in [
            (Test::NumberIn(vec![1.0]), false),
            (Test::NumberNotIn(vec![1.0]), true),
            (Test::NumberLessThan(1.0), false),
            (Test::NumberInRange(vec![(0.0, 1.0)]), false),
            (Test::NumberNotInRange(vec![(0.0, 1.0)]), true),
            (Test::BoolEquals(false), false),
            (Test::StringContains(one()), false),
            (Test::StringNotContains(one()), false),
            (Test::StringNotBeginsWith(one()), false),
            (Test::StringNotEndsWith(one()), false),
            (Test::StringIn(one()), false),
            (Test::StringNotIn(one()), true),
        ] {
            for value in [None, Some(json!(null)), Some(json!({}))] {
                assert_eq!(holds(test.clone(), value.clone(), false), expected, "{test:?} of {value:?}");
            }
        }
        assert!(!holds(Test::NumberIn(vec![1.0]), Some(json!("1")), false));
        assert!(!holds(Test::StringIn(one()), Some(json!(1)), false));
        assert!(!holds(Test::BoolEquals(true), Some(json!("true")), false));
        assert!(holds(Test::IsNullOrUndefined, None, false) && !holds(Test::IsNotNull, None, false));
    }

    #[test]
    fn arrays_are_looked_into_only_where_asked() {
        let one = || texts(&["a"]);
        for (test, value, without, with) in [
            (Test::StringIn(one()), json!(["b", "A"]), false, true),
            (Test::StringIn(one()), json!([]), false, false),
            (Test::StringNotIn(one()), json!(["b", "a"]), true, false),
            (Test::StringNotIn(one()), json!(["b", "c"]), true, true),
            (Test::StringNotContains(one()), json!(["xbx"]), false, true),
            (Test::StringNotContains(one()), json!(["xax", "b"]), false, false),
            (Test::NumberGreaterThan(5.0), json!([1, 9]), false, true),
            (Test::NumberNotIn(vec![1.0]), json!([1, 9]), true, false),
            (Test::BoolEquals(true), json!([false, true]), false, true),
        ] {
            assert_eq!(holds(test.clone(), Some(value.clone()), false), without, "{test:?} of {value}");
            assert_eq!(holds(test.clone(), Some(value.clone()), true), with, "{test:?} of {value} with arrays");
        }
    }

    #[test]
    fn what_is_over_a_limit_is_refused() {
        let refused = |filter: &EventFilter, schema| Filter::compile(filter, schema).unwrap_err().to_string();
        let check = |key: &str, test: Test, expected: &str| {
            assert_eq!(refused(&filter(key, test, false), EventSchema::EventGrid), expected);
        };
        check(
            "data.x",
            Test::NumberIn(vec![0.0; 26]),
            "expected at most 25 values in all conditions together, found 26",
        );
        check(
            "data.x",
            Test::StringIn(vec!["a".repeat(513)]),
            "expected a value for `data.x` of at most 512 characters, found 513",
        );
        check("data.x", Test::StringIn(vec![]), "expected a value for `data.x`, found none");
        check("data.x", Test::NumberInRange(vec![(2.0, 1.0)]), "expected the range of `data.x` to rise, found 2 to 1");
        let known = "expected a key among id, topic, subject, eventType, dataVersion and data.PATH";
        check("eventTime", Test::IsNotNull, &format!("{known}, found `eventTime`"));
        check("data..x", Test::IsNotNull, &format!("{known}, found `data..x`"));
        check("", Test::IsNotNull, &format!("{known}, found ``"));
        let many = EventFilter {
            conditions: vec![FieldCondition { key: "subject".into(), test: Test::IsNotNull }; 26],
            ..EventFilter::default()
        };
        assert_eq!(refused(&many, EventSchema::CloudEvents), "expected at most 25 conditions, found 26");
        let extension = filter("comexampleextension1", Test::IsNotNull, false);
        assert!(Filter::compile(&extension, EventSchema::CloudEvents).is_ok());
    }
}
