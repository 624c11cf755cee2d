//! `x IN (1, 'a', …)` of a value without a fixed type and constants: a look into a set, however long the list is.
//!
//! Gives what comparing with one after the other would: true where one is equal, unknown where one is of another type than the value, or
//! the value is no scalar.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::ColumnarValue;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::Literal;

use super::json::{Value, canonical, quoted};
use crate::plan::ScalarExpr;

/// What values are compared as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Number,
    Text,
    Boolean,
}

/// The constants of a list, in an order: plans are told apart by how they are written.
#[derive(Debug)]
struct List {
    /// In the one spelling of those that are equal.
    known: BTreeSet<String>,
    kinds: BTreeSet<Kind>,
}

#[derive(Debug)]
struct OneOf {
    value: Arc<dyn PhysicalExpr>,
    list: Arc<List>,
}

/// Whether a value is one of a list; `None`: not all of the list are constants that values are compared with as they are.
pub(crate) fn one_of(value: &ScalarExpr, list: &[ScalarExpr]) -> Option<ScalarExpr> {
    let (mut known, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    for item in list {
        let (text, kind) = constant(item.physical.downcast_ref::<Literal>()?.value())?;
        known.insert(canonical(&text).into_owned());
        kinds.insert(kind);
    }
    let physical = OneOf { value: Arc::clone(&value.physical), list: Arc::new(List { known, kinds }) };
    let text = physical.to_string();
    Some(ScalarExpr { physical: Arc::new(physical), data_type: DataType::Boolean, nullable: true, text })
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

impl PartialEq for OneOf {
    fn eq(&self, other: &Self) -> bool {
        let same_list = self.list.known == other.list.known && self.list.kinds == other.list.kinds;
        same_list && self.value.as_ref() == other.value.as_ref()
    }
}

impl Eq for OneOf {}

impl Hash for OneOf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
        self.list.known.len().hash(state);
    }
}

impl fmt::Display for OneOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<&str> = self.list.known.iter().map(String::as_str).collect();
        write!(f, "{} IN ({})", self.value, known.join(", "))
    }
}

impl PhysicalExpr for OneOf {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let values = self.value.evaluate(batch)?.into_array(batch.num_rows())?;
        let rows = values.as_string::<i64>().iter().map(|json| self.list.has(json?));
        Ok(ColumnarValue::Array(Arc::new(rows.collect::<BooleanArray>())))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.value]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let value = children.pop().unwrap_or_else(|| Arc::clone(&self.value));
        Ok(Arc::new(Self { value, list: Arc::clone(&self.list) }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
