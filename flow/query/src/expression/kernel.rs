//! A call of one of our own functions as a node of an expression: arguments in as arrays, a result out as one.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use datafusion_common::{DataFusionError, Result};
use datafusion_expr::ColumnarValue;
use datafusion_physical_expr::PhysicalExpr;

use crate::plan::ScalarExpr;

/// What a function does with its arguments, all of one length.
pub(crate) type Kernel = fn(&[ArrayRef]) -> std::result::Result<ArrayRef, ArrowError>;

/// A kernel, which may hold what was made of the call's constants once for all rows.
type Work = dyn Fn(&[ArrayRef]) -> std::result::Result<ArrayRef, ArrowError> + Send + Sync;

/// A call.
pub(crate) struct KernelExpr {
    /// Names what the kernel does, with what it holds.
    name: Cow<'static, str>,
    kernel: Arc<Work>,
    arguments: Vec<Arc<dyn PhysicalExpr>>,
    data_type: DataType,
}

/// A call of `kernel`, whose arguments have the types it takes already. Calls of one name do the same.
pub(crate) fn call(
    name: impl Into<Cow<'static, str>>,
    kernel: impl Fn(&[ArrayRef]) -> std::result::Result<ArrayRef, ArrowError> + Send + Sync + 'static,
    arguments: &[ScalarExpr],
    data_type: DataType,
) -> ScalarExpr {
    let (name, kernel) = (name.into(), Arc::new(kernel));
    let physical = arguments.iter().map(|argument| Arc::clone(&argument.physical)).collect();
    ScalarExpr {
        text: name.clone().into_owned(),
        physical: Arc::new(KernelExpr { name, kernel, arguments: physical, data_type: data_type.clone() }),
        data_type,
        nullable: true,
    }
}

// By name and arguments: names are unique, and comparing functions by address is not reliable.
impl PartialEq for KernelExpr {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.data_type == other.data_type && self.arguments == other.arguments
    }
}

impl Eq for KernelExpr {}

impl Hash for KernelExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.data_type.hash(state);
        self.arguments.hash(state);
    }
}

impl fmt::Debug for KernelExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for KernelExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments: Vec<String> = self.arguments.iter().map(ToString::to_string).collect();
        write!(f, "{}({})", self.name, arguments.join(", "))
    }
}

impl PhysicalExpr for KernelExpr {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(self.data_type.clone())
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let evaluate = |argument: &Arc<dyn PhysicalExpr>| argument.evaluate(batch)?.into_array(batch.num_rows());
        let arguments = self.arguments.iter().map(evaluate).collect::<Result<Vec<_>>>()?;
        match (self.kernel)(&arguments) {
            Ok(made) => Ok(ColumnarValue::Array(made)),
            Err(ArrowError::MemoryError(reason)) => Err(DataFusionError::ResourcesExhausted(reason)),
            Err(error) => Err(error.into()),
        }
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.arguments.iter().collect()
    }

    fn with_new_children(self: Arc<Self>, arguments: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let (name, kernel, data_type) = (self.name.clone(), Arc::clone(&self.kernel), self.data_type.clone());
        Ok(Arc::new(Self { name, kernel, arguments, data_type }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
