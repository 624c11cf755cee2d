//! A call of a query's own function as a node of an expression.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _, LargeStringArray, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use datafusion_common::{DataFusionError, Result};
use datafusion_expr::ColumnarValue;
use datafusion_physical_expr::PhysicalExpr;

use super::{ScriptError, UserFunction};
use crate::plan::{ScalarExpr, VALUE};

/// A call.
#[derive(Debug)]
struct ScriptExpr {
    function: Arc<UserFunction>,
    /// Each of type [`VALUE`].
    arguments: Vec<Arc<dyn PhysicalExpr>>,
    /// Which of them are times, in milliseconds.
    times: Vec<usize>,
}

/// A call of a function over values without a fixed type; those at `times` are milliseconds of points in time.
pub(crate) fn call(function: &Arc<UserFunction>, arguments: &[ScalarExpr], times: Vec<usize>) -> ScalarExpr {
    let arguments = arguments.iter().map(|argument| Arc::clone(&argument.physical)).collect();
    ScalarExpr {
        physical: Arc::new(ScriptExpr { function: Arc::clone(function), arguments, times }),
        data_type: VALUE,
        nullable: true,
        text: function.called(),
    }
}

impl PartialEq for ScriptExpr {
    fn eq(&self, other: &Self) -> bool {
        self.function == other.function && self.arguments == other.arguments && self.times == other.times
    }
}

impl Eq for ScriptExpr {}

impl Hash for ScriptExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.print.hash(state);
        self.arguments.hash(state);
        self.times.hash(state);
    }
}

impl fmt::Display for ScriptExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments: Vec<String> = self.arguments.iter().map(ToString::to_string).collect();
        write!(f, "{:?}({})", self.function, arguments.join(", "))
    }
}

impl PhysicalExpr for ScriptExpr {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(VALUE)
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let evaluate = |argument: &Arc<dyn PhysicalExpr>| argument.evaluate(batch)?.into_array(batch.num_rows());
        let arguments = self.arguments.iter().map(evaluate).collect::<Result<Vec<_>>>()?;
        let columns: Vec<&LargeStringArray> = arguments.iter().map(|array| array.as_string::<i64>()).collect();
        let row = |row: usize| {
            let value =
                |column: &&LargeStringArray| if column.is_null(row) { "null" } else { column.value(row) }.to_owned();
            format!("[{}]", columns.iter().map(value).collect::<Vec<_>>().join(","))
        };
        let results = self.function.call((0..batch.num_rows()).map(row).collect(), self.times.clone());
        match results {
            Ok(results) => Ok(ColumnarValue::Array(Arc::new(results.into_iter().collect::<LargeStringArray>()))),
            Err(ScriptError::Row(reason)) => Err(DataFusionError::Execution(reason)),
            Err(ScriptError::Query(reason)) => Err(DataFusionError::ResourcesExhausted(reason)),
        }
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.arguments.iter().collect()
    }

    fn with_new_children(self: Arc<Self>, arguments: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Self { function: Arc::clone(&self.function), arguments, times: self.times.clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
