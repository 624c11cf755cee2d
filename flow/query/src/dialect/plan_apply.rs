//! `CROSS APPLY` and `OUTER APPLY`: a step that takes an array or a record of each row apart.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};

use super::plan_program::Planner;
use super::syntax::Apply as Syntax;
use crate::error::{PlanError, PlanErrorCode};
use crate::expression::scope::{RowScope, is_unknown};
use crate::expression::{Binder, Scope, types};
use crate::plan::{AppliedColumn, Apply, Operator, Parts, StepInput, VALUE, with_rowtime};

impl Planner<'_> {
    /// What is read, with what `APPLY` makes of it; `None`: with mistakes, which are reported.
    pub(super) fn applied(
        &mut self,
        (mut input, mut scope): (StepInput, RowScope),
        applies: &[Syntax],
    ) -> Option<(StepInput, RowScope)> {
        for syntax in applies {
            let (operator, after) = apply(self.sql, &scope, syntax).map_err(|error| self.errors.push(error)).ok()?;
            input = StepInput::Step(self.step(vec![input], operator, Arc::clone(&after.schema)));
            scope = after;
        }
        Some((input, scope))
    }
}

/// The operator of an `APPLY` over `rows`, and what its rows look like: the rows' columns, then `name` as a record and what is
/// in it, `name.ArrayIndex` and `name.ArrayValue`.
fn apply(sql: &str, rows: &RowScope, syntax: &Syntax) -> Result<(Operator, RowScope), PlanError> {
    let (parts, [key, part]) = match syntax.function.text.to_uppercase().as_str() {
        "GETARRAYELEMENTS" => (Parts::Elements, ["ArrayIndex", "ArrayValue"]),
        "GETRECORDPROPERTIES" => (Parts::Properties, ["PropertyName", "PropertyValue"]),
        _ => {
            let message = format!("`{}` cannot be applied", syntax.function.text);
            return Err(PlanError::new(PlanErrorCode::UnknownFunction, syntax.function.at, message)
                .hint("GetArrayElements(x) or GetRecordProperties(x)"));
        }
    };
    let binder = Binder { dialect: rows.dialect, sql, scope: Scope::Row(rows) };
    let value = binder.bind(&syntax.argument)?;
    if value.data_type != VALUE && !is_unknown(&value.data_type) {
        let found = types::name(rows.dialect, &value.data_type);
        let message = format!("{} takes apart what `{}` is not: it is {found}", syntax.function.text, value.text);
        return Err(PlanError::new(PlanErrorCode::Type, syntax.argument.at, message)
            .hint("a column that holds an array or a record"));
    }
    let name = &syntax.alias.text;
    if rows.schema.fields().iter().any(|field| field.name().eq_ignore_ascii_case(name)) {
        let message = format!("`{name}` is a column already");
        return Err(PlanError::new(PlanErrorCode::Duplicate, syntax.alias.at, message).hint("another name"));
    }
    let key_type = if parts == Parts::Elements { DataType::Int64 } else { DataType::Utf8 };
    let made = [
        (AppliedColumn::Part, Field::new(name, VALUE, true)),
        (AppliedColumn::Key, Field::new(format!("{name}.{key}"), key_type, true)),
        (AppliedColumn::Value, Field::new(format!("{name}.{part}"), VALUE, true)),
    ];
    let carried = |place: usize| (AppliedColumn::Carried(place), rows.schema.field(place).clone());
    let visible = rows.visible + made.len();
    // What `*` does not stand for stays behind.
    let behind = (rows.visible..rows.schema.fields().len() - 1).map(carried);
    let (columns, fields): (Vec<_>, Vec<_>) = (0..rows.visible).map(carried).chain(made).chain(behind).unzip();
    let value = types::convert(value, &VALUE, false);
    let operator = Operator::Apply(Box::new(Apply { value, parts, outer: syntax.outer, columns }));
    Ok((operator, RowScope { schema: with_rowtime(fields), visible, ..rows.clone() }))
}
