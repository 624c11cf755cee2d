//! Streams that Kinesis' language declares, and which value of a pump goes into which of their columns.

use super::plan_select::Target;
use super::syntax::{Ident, Statement, TypeName};
use crate::error::{PlanError, PlanErrorCode};
use crate::expression::suggest::nearest;

/// The columns a stream is declared with; `Some(None)`: it is declared without.
pub(super) fn declared<'s>(statements: &'s [Statement], stream: &str) -> Option<Option<&'s [(Ident, TypeName)]>> {
    statements.iter().find_map(|statement| match statement {
        Statement::CreateStream { name, columns } if name.text == stream => Some(columns.as_deref()),
        _ => None,
    })
}

/// Which value goes into which column of a stream.
pub(super) fn target(columns: &[(Ident, TypeName)], list: Option<&[Ident]>, into: &Ident) -> Result<Target, PlanError> {
    let Some(list) = list else {
        let values = (0..columns.len()).map(Some).collect();
        return Ok(Target { columns: owned(columns), values, count: columns.len() });
    };
    if let Some(unknown) = list.iter().find(|name| columns.iter().all(|column| column.0.text != name.text)) {
        let message = format!("the stream `{}` has no column `{}`", into.text, unknown.text);
        let error = PlanError::new(PlanErrorCode::UnknownColumn, unknown.at, message);
        let near = nearest(&unknown.text, columns.iter().map(|column| column.0.text.as_str()));
        return Err(match near {
            Some(near) => error.hint(format!("\"{near}\"")),
            None => error,
        });
    }
    let values = columns.iter().map(|(column, _)| list.iter().position(|name| name.text == column.text)).collect();
    Ok(Target { columns: owned(columns), values, count: list.len() })
}

fn owned(columns: &[(Ident, TypeName)]) -> Vec<(String, TypeName)> {
    columns.iter().map(|(name, column_type)| (name.text.clone(), column_type.clone())).collect()
}
