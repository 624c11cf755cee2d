//! The functions of the dialect: their names, how many arguments they take, and what they make of them.
//!
//! An argument of the wrong type makes the result undefined, except for the type checks, which are always true or false.

use std::borrow::Cow;

use serde_json::Value;

use super::error::QueryError;
use super::value::{Defined, canonical, equal, float, number, weight, within_bounds};

/// A function of the table below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Abs,
    ArrayConcat,
    ArrayContains,
    ArrayLength,
    ArraySlice,
    Ceiling,
    Concat,
    Contains,
    EndsWith,
    Floor,
    IndexOf,
    IsArray,
    IsBool,
    IsDefined,
    IsNull,
    IsNumber,
    IsObject,
    IsPrimitive,
    IsString,
    Left,
    Length,
    Lower,
    LeftTrim,
    Power,
    Replace,
    Reverse,
    Right,
    Round,
    RightTrim,
    Sign,
    SquareRoot,
    StartsWith,
    StringEquals,
    StringToBoolean,
    StringToNumber,
    Substring,
    ToString,
    Trim,
    Truncate,
    Upper,
}

use Function as F;

/// Name, function, fewest and most arguments.
const FUNCTIONS: [(&str, Function, usize, usize); 40] = [
    ("ABS", F::Abs, 1, 1),
    ("ARRAY_CONCAT", F::ArrayConcat, 2, ARGUMENTS_MAX),
    ("ARRAY_CONTAINS", F::ArrayContains, 2, 3),
    ("ARRAY_LENGTH", F::ArrayLength, 1, 1),
    ("ARRAY_SLICE", F::ArraySlice, 2, 3),
    ("CEILING", F::Ceiling, 1, 1),
    ("CONCAT", F::Concat, 2, ARGUMENTS_MAX),
    ("CONTAINS", F::Contains, 2, 3),
    ("ENDSWITH", F::EndsWith, 2, 3),
    ("FLOOR", F::Floor, 1, 1),
    ("INDEX_OF", F::IndexOf, 2, 3),
    ("IS_ARRAY", F::IsArray, 1, 1),
    ("IS_BOOL", F::IsBool, 1, 1),
    ("IS_DEFINED", F::IsDefined, 1, 1),
    ("IS_NULL", F::IsNull, 1, 1),
    ("IS_NUMBER", F::IsNumber, 1, 1),
    ("IS_OBJECT", F::IsObject, 1, 1),
    ("IS_PRIMITIVE", F::IsPrimitive, 1, 1),
    ("IS_STRING", F::IsString, 1, 1),
    ("LEFT", F::Left, 2, 2),
    ("LENGTH", F::Length, 1, 1),
    ("LOWER", F::Lower, 1, 1),
    ("LTRIM", F::LeftTrim, 1, 1),
    ("POWER", F::Power, 2, 2),
    ("REPLACE", F::Replace, 3, 3),
    ("REVERSE", F::Reverse, 1, 1),
    ("RIGHT", F::Right, 2, 2),
    ("ROUND", F::Round, 1, 1),
    ("RTRIM", F::RightTrim, 1, 1),
    ("SIGN", F::Sign, 1, 1),
    ("SQRT", F::SquareRoot, 1, 1),
    ("STARTSWITH", F::StartsWith, 2, 3),
    ("STRINGEQUALS", F::StringEquals, 2, 3),
    ("STRINGTOBOOLEAN", F::StringToBoolean, 1, 1),
    ("STRINGTONUMBER", F::StringToNumber, 1, 1),
    ("SUBSTRING", F::Substring, 3, 3),
    ("TOSTRING", F::ToString, 1, 1),
    ("TRIM", F::Trim, 1, 1),
    ("TRUNC", F::Truncate, 1, 1),
    ("UPPER", F::Upper, 1, 1),
];

/// Arguments of a function that takes as many as one likes.
const ARGUMENTS_MAX: usize = 1000;

impl Function {
    pub fn of_name(name: &str) -> Option<Self> {
        FUNCTIONS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name)).map(|(_, function, ..)| *function)
    }

    pub fn check_arguments(self, found: usize) -> Result<(), QueryError> {
        match FUNCTIONS.iter().find(|(_, function, ..)| *function == self) {
            Some((name, _, fewest, most)) if found < *fewest || found > *most => {
                let expected = if fewest == most { fewest.to_string() } else { format!("{fewest} to {most}") };
                Err(QueryError::ArgumentCount { name, expected, found })
            }
            _ => Ok(()),
        }
    }

    pub fn call(self, arguments: &[Option<Cow<'_, Value>>]) -> Defined {
        let value = |at: usize| arguments.get(at)?.as_deref();
        if let Some(truth) = self.type_check(value(0)) {
            return Some(Value::Bool(truth));
        }
        let text = |at: usize| value(at)?.as_str();
        let count = |at: usize| value(at)?.as_f64();
        let list = |at: usize| value(at)?.as_array();
        // An optional flag that is there must be a boolean.
        let flag = |at: usize| if arguments.len() > at { value(at)?.as_bool() } else { Some(false) };
        let of_text = |made: &str| Some(Value::String(made.to_owned()));
        match self {
            F::Abs => number(count(0)?.abs()),
            F::Ceiling => number(count(0)?.ceil()),
            F::Floor => number(count(0)?.floor()),
            F::Round => number(count(0)?.round()),
            F::Truncate => number(count(0)?.trunc()),
            F::Sign => number(count(0).map(|value| if value == 0.0 { 0.0 } else { value.signum() })?),
            F::SquareRoot => number(count(0)?.sqrt()),
            F::Power => number(count(0)?.powf(count(1)?)),
            F::Contains => compare_texts(text(0)?, text(1)?, flag(2)?, |whole, part| whole.contains(part)),
            F::StartsWith => compare_texts(text(0)?, text(1)?, flag(2)?, |whole, part| whole.starts_with(part)),
            F::EndsWith => compare_texts(text(0)?, text(1)?, flag(2)?, |whole, part| whole.ends_with(part)),
            F::StringEquals => compare_texts(text(0)?, text(1)?, flag(2)?, |left, right| left == right),
            F::Lower => Some(Value::String(text(0)?.to_lowercase())),
            F::Upper => Some(Value::String(text(0)?.to_uppercase())),
            F::Trim => of_text(text(0)?.trim()),
            F::LeftTrim => of_text(text(0)?.trim_start()),
            F::RightTrim => of_text(text(0)?.trim_end()),
            F::Reverse => Some(Value::String(text(0)?.chars().rev().collect())),
            F::Length => Some(text(0)?.chars().count().into()),
            F::Left => Some(slice(text(0)?, 0.0, count(1)?)),
            F::Right => {
                let length = text(0)?.chars().count() as f64;
                let wanted = count(1)?.min(length);
                Some(slice(text(0)?, length - wanted, wanted))
            }
            F::Substring => Some(slice(text(0)?, count(1)?, count(2)?)),
            F::IndexOf => index_of(text(0)?, text(1)?, if arguments.len() > 2 { count(2)? } else { 0.0 }),
            F::Replace => replace(text(0)?, text(1)?, text(2)?),
            F::Concat => {
                let parts = (0..arguments.len()).map(text).collect::<Option<Vec<_>>>()?;
                within_bounds(parts.iter().map(|part| part.len()).sum())?;
                Some(Value::String(parts.concat()))
            }
            F::ToString => Some(Value::String(to_text(value(0)?))),
            F::StringToNumber => {
                let parsed: Value = serde_json::from_str(text(0)?.trim()).ok()?;
                parsed.is_number().then_some(parsed)
            }
            F::StringToBoolean => match text(0)?.trim() {
                "true" => Some(Value::Bool(true)),
                "false" => Some(Value::Bool(false)),
                _ => None,
            },
            F::ArrayLength => Some(list(0)?.len().into()),
            F::ArrayContains => {
                let (list, wanted, partial) = (list(0)?, value(1)?, flag(2)?);
                Some(list.iter().any(|part| equal(part, wanted) || partial && has_all(part, wanted)).into())
            }
            F::ArrayConcat => {
                let parts = (0..arguments.len()).map(list).collect::<Option<Vec<_>>>()?;
                within_bounds(parts.iter().flat_map(|part| part.iter()).map(weight).sum())?;
                Some(Value::Array(parts.into_iter().flatten().cloned().collect()))
            }
            F::ArraySlice => {
                let (list, from) = (list(0)?, count(1)?);
                let from = if from < 0.0 { (list.len() as f64 + from).max(0.0) } else { from } as usize;
                let length = if arguments.len() > 2 { count(2)?.max(0.0) as usize } else { usize::MAX };
                Some(Value::Array(list.iter().skip(from).take(length).cloned().collect()))
            }
            // Answered by `type_check`.
            F::IsArray
            | F::IsBool
            | F::IsDefined
            | F::IsNull
            | F::IsNumber
            | F::IsObject
            | F::IsPrimitive
            | F::IsString => None,
        }
    }

    /// Whether a value is of the type that the function asks for; `None` when it asks for none.
    fn type_check(self, value: Option<&Value>) -> Option<bool> {
        let is = |check: fn(&Value) -> bool| Some(value.is_some_and(check));
        match self {
            F::IsDefined => is(|_| true),
            F::IsNull => is(Value::is_null),
            F::IsBool => is(Value::is_boolean),
            F::IsNumber => is(Value::is_number),
            F::IsString => is(Value::is_string),
            F::IsArray => is(Value::is_array),
            F::IsObject => is(Value::is_object),
            F::IsPrimitive => is(|value| !value.is_array() && !value.is_object()),
            _ => None,
        }
    }
}

fn compare_texts(left: &str, right: &str, ignore_case: bool, compare: fn(&str, &str) -> bool) -> Defined {
    let truth = if ignore_case { compare(&left.to_lowercase(), &right.to_lowercase()) } else { compare(left, right) };
    Some(Value::Bool(truth))
}

/// Characters of a text: `from` counts from 0; what lies outside is left out.
fn slice(text: &str, from: f64, length: f64) -> Value {
    // Negative numbers and fractions become what is nearest inside.
    Value::String(text.chars().skip(from as usize).take(length as usize).collect())
}

/// The place of a part in characters, -1 when it is not there.
fn index_of(text: &str, part: &str, from: f64) -> Defined {
    let start = text.char_indices().nth(from as usize).map_or(text.len(), |(at, _)| at);
    Some(match text[start..].find(part) {
        Some(at) => text[..start + at].chars().count().into(),
        None => Value::from(-1),
    })
}

fn replace(text: &str, old: &str, new: &str) -> Defined {
    if old.is_empty() {
        return Some(Value::String(text.to_owned()));
    }
    within_bounds(text.len() + text.matches(old).count() * new.len())?;
    Some(Value::String(text.replace(old, new)))
}

/// Texts as they are, the rest as JSON.
fn to_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.as_i64().is_none() => {
            let mut out = String::new();
            canonical(Some(&Value::from(float(number))), &mut out);
            out
        }
        other => other.to_string(),
    }
}

/// Whether an object has all members of another.
fn has_all(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(name, value)| whole.get(name).is_some_and(|found| equal(found, value) || has_all(found, value))),
        _ => false,
    }
}
