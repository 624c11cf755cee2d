//! `SELECT DISTINCT` of Kinesis' language: of the rows of a stretch of time that are equal, the first.
//!
//! Source: "SELECT ALL and SELECT DISTINCT" of the SQL reference. Something in the list has to rise with ROWTIME, so that what is kept to
//! tell rows apart can be let go; ROWTIME itself does not tell them apart.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion_common::ScalarValue;
use datafusion_expr::Operator as Comparison;
use datafusion_physical_expr::expressions::{Column, binary};

use super::plan_order::time_key;
use super::plan_select::Selected;
use super::syntax::{Select, SelectItem};
use crate::error::{PlanError, PlanErrorCode};
use crate::expression::scope::{RowScope, column, literal};
use crate::expression::{Binder, Scope, internal};
use crate::plan::{
    Analytic, AnalyticCall, AnalyticFunction, Operator, ROWTIME, ScalarExpr, WindowBounds, with_rowtime,
};

/// The two steps behind a `SELECT DISTINCT`: one tells which rows are the first, one keeps these.
pub(super) fn distinct(
    sql: &str,
    select: &Select,
    rows: &RowScope,
    selected: &Selected,
) -> Result<[(Operator, SchemaRef); 2], PlanError> {
    let binder = Binder { dialect: rows.dialect, sql, scope: Scope::Row(rows) };
    let interval_ms = interval(&binder, select, rows)?;
    if matches!(&selected.operator, Operator::Project { rowtime: Some(_), .. }) {
        let message = "not supported yet: another ROWTIME beside DISTINCT";
        return Err(PlanError::new(PlanErrorCode::NotSupported, select.at, message).hint("a pump that sets it first"));
    }
    let schema = &selected.schema;
    let own = schema.fields().len() - 1;
    let columns: Vec<_> = (0..own).map(|place| column(schema, place)).collect();
    let named = |columns: &[ScalarExpr]| columns.iter().map(|value| (value.text.clone(), value.clone())).collect();
    let function = AnalyticFunction::IsFirst { interval_ms, bounds: WindowBounds::ClosedOpen };
    let partition_by = columns.iter().zip(is_rowtime(&selected.operator)).filter(|(_, is_time)| !is_time);
    let call = AnalyticCall {
        function,
        partition_by: partition_by.map(|(value, _)| value.clone()).collect(),
        when: None,
        data_type: DataType::Int64,
        text: "DISTINCT".to_owned(),
    };
    let fields = schema.fields().iter().take(own).map(|field| field.as_ref().clone());
    let told = with_rowtime(fields.chain([Field::new("$first", DataType::Int64, true)]));
    let analytic = Analytic { predicate: None, columns: named(&columns), calls: vec![call] };
    let one = literal(ScalarValue::Int64(Some(1)));
    let first = binary(column(&told, own).physical, Comparison::Eq, one.physical, &told);
    let predicate = ScalarExpr {
        physical: first.map_err(|error| internal(&error))?,
        data_type: DataType::Boolean,
        nullable: true,
        text: "the first of equal rows".to_owned(),
    };
    let kept: Vec<_> = (0..own).map(|place| column(&told, place)).collect();
    let project = Operator::Project { predicate: Some(predicate), columns: named(&kept), rowtime: None };
    Ok([(Operator::Analytic(Box::new(analytic)), told), (project, Arc::clone(schema))])
}

/// How long equal rows are told apart: as long as what rises with ROWTIME stays the same.
fn interval(binder: &Binder, select: &Select, rows: &RowScope) -> Result<i64, PlanError> {
    let values = select.items.iter().filter_map(|item| match item {
        SelectItem::Column { value, .. } => Some(value),
        SelectItem::Wildcard { .. } => None,
    });
    let keys = values.filter_map(|value| time_key(binder, rows, value).ok().flatten());
    // ROWTIME alone tells instants apart.
    let stretches: Vec<Option<i64>> = keys.map(|key| key.stretch_ms).collect();
    let shortest = stretches.iter().flatten().min().copied();
    shortest.or(if stretches.is_empty() { None } else { Some(1) }).ok_or_else(|| {
        let message = "SELECT DISTINCT would tell rows apart for ever: nothing in its list rises with ROWTIME";
        let hint = "SELECT STREAM DISTINCT FLOOR(s.ROWTIME TO MINUTE), …";
        PlanError::new(PlanErrorCode::Unbounded, select.at, message).hint(hint)
    })
}

/// By column whether it is the row's time.
fn is_rowtime(operator: &Operator) -> Vec<bool> {
    let columns = match operator {
        Operator::Project { columns, .. } => columns.as_slice(),
        Operator::WindowAggregate(aggregate) => aggregate.columns.as_slice(),
        _ => &[],
    };
    let is_time =
        |value: &ScalarExpr| value.physical.downcast_ref::<Column>().is_some_and(|column| column.name() == ROWTIME);
    columns.iter().map(|(_, value)| is_time(value)).collect()
}
