//! An expression's value on a row. Whatever an operator cannot work with makes it undefined, never an error.

use std::borrow::Cow;
use std::cell::Cell;

use serde_json::{Map, Value};

use super::pattern;
use super::syntax::{Binary, Expression};
use super::value::{Defined, compare, equal, float, number, same_type, weight, within_bounds};

/// What expressions can name on a row.
#[derive(Clone)]
pub(super) struct Row<'q, 'd> {
    pub document: &'d Value,
    /// Sources by their aliases.
    pub sources: Vec<(&'q str, &'d Value)>,
    /// The values of the query's aggregates, once they are known.
    pub aggregates: Vec<Defined>,
    /// Values that subqueries may still look at in this document.
    pub work_left: Cell<usize>,
}

/// A value out of the row, or one made.
type Evaluated<'a> = Option<Cow<'a, Value>>;

impl<'d> Row<'_, 'd> {
    pub fn value(&self, expression: &Expression) -> Defined {
        self.evaluate(expression).map(Cow::into_owned)
    }

    /// Whether a filter passes the row: only what is true does.
    pub fn passes(&self, filter: &Expression) -> bool {
        self.truth(filter) == Some(true)
    }

    /// The place in the document that a source's path leads to.
    pub fn place(&self, path: &Expression) -> Option<&'d Value> {
        match path {
            Expression::Document => Some(self.document),
            Expression::Name(name) => self.source(name),
            Expression::Member(inner, step) => match step.as_ref() {
                Expression::Constant(step) => member(self.place(inner)?, step),
                _ => None,
            },
            _ => None,
        }
    }

    fn source(&self, name: &str) -> Option<&'d Value> {
        self.sources.iter().find(|(alias, _)| *alias == name).map(|(_, value)| *value)
    }

    fn truth(&self, expression: &Expression) -> Option<bool> {
        match self.evaluate(expression)?.as_ref() {
            Value::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    pub fn evaluate<'a>(&'a self, expression: &'a Expression) -> Evaluated<'a> {
        match expression {
            Expression::Undefined => None,
            Expression::Constant(value) => Some(Cow::Borrowed(value)),
            Expression::Document => Some(Cow::Borrowed(self.document)),
            Expression::Name(name) => self.source(name).map(Cow::Borrowed),
            Expression::Member(object, step) => self.member(object, step),
            Expression::Aggregate(at) => self.aggregates.get(*at)?.as_ref().map(Cow::Borrowed),
            Expression::Object(members) => self.object(members).map(Cow::Owned),
            Expression::List(parts) => self.list(parts).map(Cow::Owned),
            Expression::All(parts) => truth_value(self.joined(parts, false)),
            Expression::Any(parts) => truth_value(self.joined(parts, true)),
            Expression::Not(inner) => truth_value(self.truth(inner).map(|truth| !truth)),
            Expression::Negate(inner) => self.number(inner).and_then(|value| number(-value)).map(Cow::Owned),
            Expression::BitNot(inner) => self.integer(inner).map(|value| Cow::Owned(Value::from(!value))),
            Expression::Binary(operator, left, right) => self.binary(*operator, left, right),
            Expression::In(value, choices) => {
                let value = self.evaluate(value)?;
                let equals = |choice: &Expression| Some(equal(&value, self.evaluate(choice)?.as_ref()));
                truth_value(Some(choices.iter().any(|choice| equals(choice) == Some(true))))
            }
            Expression::Between(value, low, high) => {
                let (value, low, high) = (self.evaluate(value)?, self.evaluate(low)?, self.evaluate(high)?);
                let ordered = ordered(&low, &value)? && ordered(&value, &high)?;
                truth_value(Some(ordered))
            }
            Expression::Like(text, pattern, escape) => {
                let (text, pattern) = (self.evaluate(text)?, self.evaluate(pattern)?);
                truth_value(pattern::matches(text.as_str()?, pattern.as_str()?, *escape))
            }
            Expression::Coalesce(value, otherwise) => self.evaluate(value).or_else(|| self.evaluate(otherwise)),
            Expression::Conditional(condition, then, otherwise) => {
                self.evaluate(if self.passes(condition) { then } else { otherwise })
            }
            Expression::Exists(subquery) => truth_value(Some(self.exists(subquery))),
            Expression::Call(function, arguments) => {
                let arguments: Vec<Evaluated<'_>> = arguments.iter().map(|argument| self.evaluate(argument)).collect();
                function.call(&arguments).map(Cow::Owned)
            }
        }
    }

    /// An object of what its members are; undefined ones are left out.
    pub fn object(&self, members: &[(String, Expression)]) -> Defined {
        let (mut object, mut bytes) = (Map::new(), 0);
        for (name, member) in members {
            if let Some(value) = self.value(member) {
                bytes += weight(&value);
                within_bounds(bytes)?;
                object.insert(name.clone(), value);
            }
        }
        Some(Value::Object(object))
    }

    fn list(&self, parts: &[Expression]) -> Defined {
        let (mut list, mut bytes) = (Vec::new(), 0);
        for value in parts.iter().filter_map(|part| self.value(part)) {
            bytes += weight(&value);
            within_bounds(bytes)?;
            list.push(value);
        }
        Some(Value::Array(list))
    }

    fn member<'a>(&'a self, object: &'a Expression, step: &'a Expression) -> Evaluated<'a> {
        let object = self.evaluate(object)?;
        let found = |object: &Value, step: &Value| member(object, step).cloned().map(Cow::<'a, Value>::Owned);
        match (object, step) {
            (Cow::Borrowed(object), Expression::Constant(step)) => member(object, step).map(Cow::Borrowed),
            (Cow::Borrowed(object), step) => member(object, self.evaluate(step)?.as_ref()).map(Cow::Borrowed),
            (Cow::Owned(object), Expression::Constant(step)) => found(&object, step),
            (Cow::Owned(object), step) => found(&object, self.evaluate(step)?.as_ref()),
        }
    }

    /// AND (`decides` false) and OR (`decides` true): one part that decides is enough, else all must be known.
    fn joined(&self, parts: &[Expression], decides: bool) -> Option<bool> {
        let mut known = true;
        for part in parts {
            match self.truth(part) {
                Some(truth) if truth == decides => return Some(decides),
                Some(_) => {}
                None => known = false,
            }
        }
        known.then_some(!decides)
    }

    fn binary<'a>(&'a self, operator: Binary, left: &'a Expression, right: &'a Expression) -> Evaluated<'a> {
        let (left, right) = (self.evaluate(left)?, self.evaluate(right)?);
        if let Some(truth) = comparison(operator, &left, &right) {
            return truth_value(truth);
        }
        let made = match operator {
            Binary::Concatenate => {
                let parts = [left.as_str()?, right.as_str()?];
                within_bounds(parts.iter().map(|part| part.len()).sum())?;
                Some(Value::String(parts.concat()))
            }
            Binary::BitAnd | Binary::BitOr | Binary::BitXor | Binary::ShiftLeft | Binary::ShiftRight => {
                let (left, right) = (integer(&left)?, integer(&right)?);
                let shift = u32::try_from(right).ok();
                Some(Value::from(match operator {
                    Binary::BitAnd => left & right,
                    Binary::BitOr => left | right,
                    Binary::BitXor => left ^ right,
                    Binary::ShiftLeft => left.checked_shl(shift?)?,
                    _ => left.checked_shr(shift?)?,
                }))
            }
            _ => arithmetic(operator, &left, &right),
        };
        made.map(Cow::Owned)
    }

    fn number(&self, expression: &Expression) -> Option<f64> {
        self.evaluate(expression)?.as_ref().as_number().map(float)
    }

    fn integer(&self, expression: &Expression) -> Option<i64> {
        integer(self.evaluate(expression)?.as_ref())
    }
}

fn truth_value<'a>(truth: Option<bool>) -> Evaluated<'a> {
    truth.map(|truth| Cow::Owned(Value::Bool(truth)))
}

fn integer(value: &Value) -> Option<i64> {
    let value = value.as_f64()?;
    (value.fract() == 0.0 && value.abs() < 9.0e18).then_some(value as i64)
}

/// What an object has under a name, or a list at a place.
fn member<'v>(object: &'v Value, step: &Value) -> Option<&'v Value> {
    match step {
        Value::String(name) => object.as_object()?.get(name),
        Value::Number(index) => object.as_array()?.get(usize::try_from(index.as_u64()?).ok()?),
        _ => None,
    }
}

/// Whether `low` is at most `high`; undefined when they have no common order.
fn ordered(low: &Value, high: &Value) -> Option<bool> {
    let comparable = same_type(low, high) && !low.is_array() && !low.is_object();
    comparable.then(|| compare(Some(low), Some(high)).is_le())
}

/// A comparison's truth, itself maybe undefined; `None` when the operator is no comparison.
fn comparison(operator: Binary, left: &Value, right: &Value) -> Option<Option<bool>> {
    let same = || same_type(left, right).then(|| equal(left, right));
    Some(match operator {
        Binary::Equal => same(),
        Binary::NotEqual => same().map(|same| !same),
        Binary::LessOrEqual => ordered(left, right),
        Binary::GreaterOrEqual => ordered(right, left),
        Binary::Less => ordered(right, left).map(|other| !other),
        Binary::Greater => ordered(left, right).map(|other| !other),
        _ => return None,
    })
}

fn arithmetic(operator: Binary, left: &Value, right: &Value) -> Defined {
    let (left, right) = (left.as_f64()?, right.as_f64()?);
    number(match operator {
        Binary::Add => left + right,
        Binary::Subtract => left - right,
        Binary::Multiply => left * right,
        Binary::Divide => left / right,
        _ => left % right,
    })
}
