//! `x IN (1, 'a', …)` of a value without a fixed type and constants: a look into a set, however long the list is.
//!
//! Gives what comparing with one after the other would: true where one is equal, unknown where one is of another type than the value, or
//! the value is no scalar.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, BooleanArray};
use arrow::datatypes::DataType;
use datafusion_common::ScalarValue;
use datafusion_physical_expr::expressions::Literal;

use super::json::{Value, canonical, quoted};
use crate::expression::kernel::call;
use crate::plan::ScalarExpr;

/// What values are compared as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Number,
    Text,
    Boolean,
}

/// The constants of a list.
#[derive(Debug, Default)]
struct List {
    /// In the one spelling of those that are equal.
    known: BTreeSet<String>,
    kinds: BTreeSet<Kind>,
}

/// Whether a value is one of a list; `None`: not all of the list are constants that values are compared with as they are.
pub(crate) fn one_of(value: &ScalarExpr, items: &[ScalarExpr]) -> Option<ScalarExpr> {
    let mut list = List::default();
    for item in items {
        let (text, kind) = constant(item.physical.downcast_ref::<Literal>()?.value())?;
        list.known.insert(canonical(&text).into_owned());
        list.kinds.insert(kind);
    }
    let known: Vec<&str> = list.known.iter().map(String::as_str).collect();
    let name = format!("one of ({})", known.join(", "));
    let kernel = move |values: &[ArrayRef]| {
        let rows = values[0].as_string::<i64>().iter().map(|json| list.has(json?));
        Ok(Arc::new(rows.collect::<BooleanArray>()) as ArrayRef)
    };
    Some(call(name, kernel, std::slice::from_ref(value), DataType::Boolean))
}

/// A constant as JSON.
fn constant(value: &ScalarValue) -> Option<(String, Kind)> {
    Some(match value {
        ScalarValue::Int64(Some(int)) => (int.to_string(), Kind::Number),
        ScalarValue::Float64(Some(float)) if float.is_finite() => {
            (serde_json::Value::from(*float).to_string(), Kind::Number)
        }
        ScalarValue::Utf8(Some(text)) => (quoted(text), Kind::Text),
        ScalarValue::Boolean(Some(boolean)) => (boolean.to_string(), Kind::Boolean),
        _ => return None,
    })
}

impl List {
    fn has(&self, json: &str) -> Option<bool> {
        if self.known.contains(canonical(json).as_ref()) {
            return Some(true);
        }
        let kind = match Value::of(json) {
            Value::Int(_) | Value::Float(_) => Kind::Number,
            Value::Text(_) => Kind::Text,
            Value::Boolean(_) => Kind::Boolean,
            Value::Null | Value::Array(_) | Value::Record(_) => return None,
        };
        self.kinds.iter().all(|known| *known == kind).then_some(false)
    }
}
