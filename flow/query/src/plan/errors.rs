//! The error stream of Kinesis' language: what goes wrong in an application's records and pumps, as rows.
//!
//! Each application has one without creating it. Source: "Error Handling" of the developer guide, which names the columns.

use arrow::datatypes::{DataType, Field, SchemaRef};
use millstream_catalog::QueryDialect;

use super::{Operator, OutputPlan, Program, Step, StepInput, TIMESTAMP, visible, with_rowtime};

/// What the error stream is called; an unquoted name in SQL may have any case.
pub(crate) const ERROR_STREAM: &str = "error_stream";

/// The most characters of what the error stream says of an error.
pub(crate) const ERROR_MESSAGE_CHARS_MAX: usize = 4_096;

/// The most bytes of a record or row that the error stream tells; in its column each is two digits.
pub(crate) const ERROR_ROW_BYTES_MAX: usize = 49_152 / 2;

/// Whether a name is that of the error stream, in a language that has one.
pub(crate) fn is_error_stream(dialect: QueryDialect, name: &str) -> bool {
    dialect == QueryDialect::Kinesis && name.eq_ignore_ascii_case(ERROR_STREAM)
}

/// The columns of the error stream, the hidden row time last.
pub(crate) fn error_schema() -> SchemaRef {
    let columns = [
        ("ERROR_TIME", TIMESTAMP),
        ("ERROR_LEVEL", DataType::Utf8),
        ("ERROR_NAME", DataType::Utf8),
        ("MESSAGE", DataType::Utf8),
        ("DATA_ROWTIME", TIMESTAMP),
        ("DATA_ROW", DataType::Utf8),
        ("PUMP_NAME", DataType::Utf8),
    ];
    with_rowtime(columns.map(|(name, data_type)| Field::new(name, data_type, true)))
}

impl Program {
    /// The same with the error stream as an output, where one of the names of a query's outputs is its name and no stream of the
    /// query's own is called so.
    #[must_use]
    pub fn with_error_output<'n>(mut self, outputs: impl IntoIterator<Item = &'n str>) -> Self {
        let dialect = self.dialect;
        let asked = outputs.into_iter().find(|name| is_error_stream(dialect, name) && self.output(name).is_none());
        let Some(name) = asked else { return self };
        let step = self.error_step().unwrap_or_else(|| {
            let (id, inputs) = (self.steps.len(), (0..self.steps.len()).map(StepInput::Step).collect());
            let (name, schema) = (Some(ERROR_STREAM.to_owned()), error_schema());
            self.steps.push(Step { id, name, pump: None, inputs, operator: Operator::Errors, schema });
            id
        });
        let schema = visible(&self.steps[step].schema);
        self.outputs.push(OutputPlan { name: name.to_owned(), step: Some(step), schema });
        self
    }

    /// The step that holds what goes wrong, where something reads it.
    pub(crate) fn error_step(&self) -> Option<usize> {
        self.steps.iter().position(|step| matches!(step.operator, Operator::Errors))
    }
}
