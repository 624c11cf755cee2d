//! One `SELECT` as one step: a projection, or a windowed aggregation.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion_common::ScalarValue;
use millstream_catalog::QueryDialect;

use super::plan_listing::listing;
use super::plan_partition::check_groups;
use super::standard::window_table::not_grouped;
use super::syntax::{Call, Expr, ExprKind, Ident, Select, SelectItem, TypeName};
use super::window::{Grouping, bound_hint, grouping};
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::expression::bind_call::aggregates;
use crate::expression::scope::{GroupScope, RowScope, column, is_unknown, literal};
use crate::expression::{Binder, Scope, cast, function, types};
use crate::plan::{
    AggregateCall, AggregateFunction, Operator, ScalarExpr, TIMESTAMP, VALUE, WindowAggregate, WindowKind, with_rowtime,
};

/// The columns a pump writes: the stream's, and for each the place of its value among those selected.
pub(super) struct Target {
    pub columns: Vec<(String, TypeName)>,
    /// For each column of the stream the index of the value that goes into it; `None`: NULL.
    pub values: Vec<Option<usize>>,
    /// How many values the `SELECT` has to have.
    pub count: usize,
}

/// A `SELECT` at work: its operator and the schema of its rows.
pub(super) struct Selected {
    pub operator: Operator,
    pub schema: SchemaRef,
}

/// One value of the select list.
pub(super) struct Item {
    pub(super) name: String,
    /// Whether the name was given with AS.
    named: bool,
    pub(super) value: ScalarExpr,
    at: Position,
}

/// Plans a `SELECT` over `rows`, with what it is ordered by as more columns behind its own. `None` when it has mistakes, which then
/// are in `errors`.
pub(super) fn select(
    sql: &str,
    select: &Select,
    order: &[Expr],
    rows: &RowScope,
    target: Option<&Target>,
    errors: &mut Vec<PlanError>,
) -> Option<Selected> {
    let before = errors.len();
    let keys = order.iter().map(|key| SelectItem::Column { value: key.clone(), alias: None });
    let items = select.items.iter().cloned().chain(keys).collect();
    let select = &Select { items, ..select.clone() };
    let binder = Binder { dialect: rows.dialect, sql, scope: Scope::Row(rows) };
    let predicate = select.predicate.as_ref().and_then(|predicate| keep(binder.predicate(predicate), errors));
    let mut calls = Vec::new();
    for item in &select.items {
        if let SelectItem::Column { value, .. } = item {
            aggregates(rows.dialect, value, &mut calls);
        }
    }
    if let Some(having) = &select.having {
        aggregates(rows.dialect, having, &mut calls);
    }
    if calls.is_empty() && select.group_by.is_empty() && select.stagger.is_none() {
        return project(&binder, select, order.len(), rows, predicate, target, errors)
            .filter(|_| errors.len() == before);
    }
    let grouping = grouping(&binder, rows, select, errors);
    let named = select.group_by.first().map_or(select.at, |key| key.at);
    errors.extend(check_groups(sql, rows, &grouping, named).err());
    let aggregate = window_aggregate(&binder, select, rows, grouping, &calls, errors)?;
    let (aggregate, mut items) = aggregate;
    let keys = split_keys(&mut items, order.len(), errors)?;
    let (mut columns, rowtime) = finish(rows.dialect, items, target, select.at, errors)?;
    columns.extend(keys);
    if rowtime.is_some() && matches!(aggregate.window.kind, WindowKind::Stagger { .. }) {
        let message = "not supported yet: another ROWTIME beside STAGGER";
        let error = PlanError::new(PlanErrorCode::NotSupported, select.at, message);
        errors.push(error.hint("a pump that sets it first"));
    }
    let schema = schema(&columns);
    let aggregate = WindowAggregate { predicate, columns, ..aggregate };
    let operator = Operator::WindowAggregate(Box::new(aggregate));
    (errors.len() == before).then_some(Selected { operator, schema })
}

fn project(
    binder: &Binder,
    select: &Select,
    keys: usize,
    rows: &RowScope,
    predicate: Option<ScalarExpr>,
    target: Option<&Target>,
    errors: &mut Vec<PlanError>,
) -> Option<Selected> {
    errors.extend(select.from.windows.as_ref().map(not_grouped));
    if let Some(having) = &select.having {
        let message = "HAVING without GROUP BY: there are no groups it could choose from";
        errors.push(PlanError::new(PlanErrorCode::Syntax, having.at, message).hint("WHERE"));
    }
    let mut items = items(binder, &select.items, Some(rows), errors);
    let keys = split_keys(&mut items, keys, errors)?;
    let (mut columns, rowtime) = finish(rows.dialect, items, target, select.at, errors)?;
    columns.extend(keys);
    let schema = schema(&columns);
    Some(Selected { operator: Operator::Project { predicate, columns, rowtime }, schema })
}

/// The aggregation without its predicate and columns, and the values it selects.
fn window_aggregate(
    binder: &Binder,
    select: &Select,
    rows: &RowScope,
    grouping: Grouping,
    calls: &[(&Call, &Expr)],
    errors: &mut Vec<PlanError>,
) -> Option<(WindowAggregate, Vec<Item>)> {
    let (mut bound, mut places) = (Vec::<AggregateCall>::new(), Vec::new());
    for (call, expr) in calls {
        let name = call.full_name().to_uppercase();
        let bind = if function::is_listing(rows.dialect, &name) { listing } else { aggregate };
        let Some(aggregate) = keep(bind(binder, call, expr), errors) else { continue };
        let same = bound.iter().position(|other| same_aggregate(other, &aggregate));
        places.push((expr.span.clone(), same.unwrap_or(bound.len())));
        if same.is_none() {
            bound.push(aggregate);
        }
    }
    let Some(window) = grouping.window else {
        if !errors.iter().any(|error| matches!(error.code, PlanErrorCode::NotSupported | PlanErrorCode::Window)) {
            let at = select.group_by.first().map(|key| key.at).or(calls.first().map(|call| call.1.at));
            errors.push(unbounded(rows.dialect, at.unwrap_or(select.at)));
        }
        return None;
    };
    if places.len() != calls.len() {
        return None;
    }
    let group_schema = group_schema(&grouping.keys, &bound);
    let aliases = if rows.dialect == QueryDialect::StreamAnalytics { aliases(&select.items) } else { Vec::new() };
    let mut groups = GroupScope {
        rows: rows.clone(),
        keys: grouping.keys,
        window_start: window.start,
        window_id: select.window_id.clone(),
        depths: grouping.depths,
        aggregates: bound,
        calls: places,
        schema: Arc::clone(&group_schema),
        aliases: Vec::new(),
    };
    let group_binder = Binder { dialect: rows.dialect, sql: binder.sql, scope: Scope::Group(&groups) };
    let items = items(&group_binder, &select.items, None, errors);
    groups.aliases = aliases;
    let having_binder = Binder { dialect: rows.dialect, sql: binder.sql, scope: Scope::Group(&groups) };
    let having = select.having.as_ref().and_then(|having| keep(having_binder.predicate(having), errors));
    let (keys, aggregates) = (groups.keys, groups.aggregates);
    let (window, columns) = (window.spec, Vec::new());
    Some((WindowAggregate { predicate: None, window, keys, aggregates, group_schema, having, columns }, items))
}

fn unbounded(dialect: QueryDialect, at: Position) -> PlanError {
    let message = "an aggregate without a window never has a result: the stream has no end";
    PlanError::new(PlanErrorCode::Unbounded, at, message).hint(bound_hint(dialect))
}

/// An aggregate with its argument in the type it takes.
pub(super) fn aggregate(binder: &Binder, call: &Call, expr: &Expr) -> Result<AggregateCall, PlanError> {
    let text = binder.text(&expr.span);
    let name = call.full_name().to_uppercase();
    let unknown = || PlanError::new(PlanErrorCode::UnknownFunction, expr.at, format!("`{name}` is no aggregate"));
    let function = function::aggregate(binder.dialect, &name).ok_or_else(unknown)?;
    if call.star && function == AggregateFunction::Count {
        return Ok(AggregateCall {
            function,
            argument: None,
            distinct: false,
            script: None,
            data_type: DataType::Int64,
            text,
        });
    }
    let [argument] = call.arguments.as_slice() else {
        let message = format!(
            "{name} takes 1 argument, found {}",
            if call.star { "*".to_owned() } else { call.arguments.len().to_string() }
        );
        return Err(PlanError::new(PlanErrorCode::Syntax, expr.at, message));
    };
    let value = binder.bind(argument)?;
    let whole = value.data_type == DataType::Int64;
    let (argument, data_type) = aggregated(binder, function, value, argument.at)?;
    let spread = !matches!(function, AggregateFunction::Count | AggregateFunction::Sum | AggregateFunction::Avg);
    let extreme = matches!(function, AggregateFunction::Min | AggregateFunction::Max);
    if binder.dialect == QueryDialect::Standard && whole && spread && !extreme {
        let message = format!("not supported yet: {name} of whole numbers, which gives a whole number");
        let hint = format!("{name}(CAST(… AS DOUBLE))");
        return Err(PlanError::new(PlanErrorCode::NotSupported, expr.at, message).hint(hint));
    }
    if call.distinct && spread && !extreme {
        let message = format!("not supported yet: {name}(DISTINCT …)");
        return Err(PlanError::new(PlanErrorCode::NotSupported, expr.at, message));
    }
    let distinct = call.distinct && !extreme;
    Ok(AggregateCall { function, argument: Some(argument), distinct, script: None, data_type, text })
}

/// The argument as the function takes it, and the result's type.
pub(super) fn aggregated(
    binder: &Binder,
    function: AggregateFunction,
    value: ScalarExpr,
    at: Position,
) -> Result<(ScalarExpr, DataType), PlanError> {
    let kinesis = binder.dialect != QueryDialect::StreamAnalytics;
    let whole = value.data_type == DataType::Int64;
    match function {
        AggregateFunction::Count => Ok((value, DataType::Int64)),
        // Integers stay integers, as far as a row's values are.
        AggregateFunction::Sum | AggregateFunction::Min | AggregateFunction::Max if value.data_type == VALUE => {
            Ok((types::convert(value, &DataType::Float64, false), VALUE))
        }
        AggregateFunction::Sum if whole => Ok((value, DataType::Int64)),
        // In Kinesis' language the average of whole numbers is a whole number.
        AggregateFunction::Avg if whole && kinesis => Ok((value, DataType::Int64)),
        AggregateFunction::Min | AggregateFunction::Max => {
            // Stream Analytics compares text that was not cast as numbers.
            let text = value.data_type == DataType::Utf8 && !kinesis;
            let value = if text || is_unknown(&value.data_type) {
                types::convert(value, &DataType::Float64, false)
            } else {
                value
            };
            let data_type = value.data_type.clone();
            Ok((value, data_type))
        }
        _ => Ok((binder.typed(value, &DataType::Float64, at)?, DataType::Float64)),
    }
}

fn same_aggregate(left: &AggregateCall, right: &AggregateCall) -> bool {
    let arguments = match (&left.argument, &right.argument) {
        (Some(left), Some(right)) => left.same(right),
        (None, None) => true,
        _ => false,
    };
    arguments && left.function == right.function && left.script == right.script && left.distinct == right.distinct
}

fn group_schema(keys: &[ScalarExpr], aggregates: &[AggregateCall]) -> SchemaRef {
    let keys = keys.iter().map(|key| Field::new(&key.text, key.data_type.clone(), true));
    let aggregates = aggregates.iter().map(|call| Field::new(&call.text, call.data_type.clone(), true));
    with_rowtime(keys.chain(aggregates).chain([Field::new("$window_start", TIMESTAMP, false)]))
}

fn aliases(items: &[SelectItem]) -> Vec<(String, Expr)> {
    let aliased = items.iter().filter_map(|item| match item {
        SelectItem::Column { value, alias: Some(alias) } => Some((alias.text.clone(), value.clone())),
        _ => None,
    });
    aliased.collect()
}

/// The values of a select list. `rows`: what `*` stands for, where it may stand.
fn items(binder: &Binder, items: &[SelectItem], rows: Option<&RowScope>, errors: &mut Vec<PlanError>) -> Vec<Item> {
    let mut result = Vec::new();
    for (place, item) in items.iter().enumerate() {
        match (item, rows) {
            (SelectItem::Wildcard { prefix, at }, Some(rows)) => {
                result.extend(keep(expand(rows, prefix, *at), errors).unwrap_or_default());
            }
            (SelectItem::Wildcard { at, .. }, None) => {
                let message = "`*` cannot stand in a SELECT with GROUP BY: it would name columns that are not grouped";
                errors.push(PlanError::new(PlanErrorCode::NotGrouped, *at, message).hint("name the columns"));
            }
            (SelectItem::Column { value, alias }, _) => {
                let name = alias
                    .as_ref()
                    .map_or_else(|| default_name(binder.dialect, value, place), |alias| alias.text.clone());
                if let Some(bound) = keep(binder.bind(value), errors) {
                    result.push(Item { named: alias.is_some(), name, value: bound, at: value.at });
                }
            }
        }
    }
    result
}

/// What `*`, `source.*` and `source.record.*` stand for.
pub(super) fn expand(rows: &RowScope, prefix: &[Ident], at: Position) -> Result<Vec<Item>, PlanError> {
    if rows.sides.is_empty() {
        return expand_one(rows, rows, 0, prefix, at);
    }
    if let Some(side) = prefix.first().and_then(|first| rows.side(&first.text)) {
        return expand_one(rows, &side.rows, side.first, prefix, at);
    }
    if rows.dialect == QueryDialect::StreamAnalytics || !prefix.is_empty() {
        let names: Vec<String> = rows.sides.iter().map(|side| format!("{}.*", side.rows.name())).collect();
        let message = "`*` stands for the columns of one source, and a join has several";
        return Err(PlanError::new(PlanErrorCode::Syntax, at, message).hint(names.join(", ")));
    }
    let sides = rows.sides.iter().map(|side| expand_one(rows, &side.rows, side.first, prefix, at));
    Ok(sides.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// The columns of one source, which begin at a place among those of `rows`.
fn expand_one(
    rows: &RowScope,
    source: &RowScope,
    place: usize,
    prefix: &[Ident],
    at: Position,
) -> Result<Vec<Item>, PlanError> {
    let inner = match prefix {
        [first, rest @ ..] if source.is_qualifier(&first.text) => rest,
        all => all,
    };
    let path = inner.iter().map(|part| format!("{}.", part.text)).collect::<String>();
    let mut items = Vec::new();
    let mut records: Vec<String> = Vec::new();
    for index in place..place + source.visible {
        let value = column(&rows.schema, index);
        let same = value.text.get(..path.len()).is_some_and(|start| start.eq_ignore_ascii_case(&path));
        // A record stands for all that is in it.
        if same && !records.iter().any(|record| value.text.starts_with(record.as_str())) {
            if value.data_type == VALUE {
                records.push(format!("{}.", value.text));
            }
            items.push(Item { name: value.text[path.len()..].to_owned(), named: false, value, at });
        }
    }
    if items.is_empty() && !source.open {
        let record = if inner.is_empty() { None } else { source.resolve(inner).ok() };
        if record.is_some_and(|record| record.data_type == VALUE) {
            let message = format!("not supported yet: `{path}*` of a record whose fields only its rows know");
            return Err(PlanError::new(PlanErrorCode::NotSupported, at, message).hint("name the fields"));
        }
        let message = format!("`{path}*` stands for no column");
        return Err(PlanError::new(PlanErrorCode::UnknownColumn, at, message));
    }
    Ok(items)
}

/// What a value without an alias is called.
pub(super) fn default_name(dialect: QueryDialect, value: &Expr, place: usize) -> String {
    match (&value.kind, dialect) {
        (ExprKind::Name(parts), _) => parts.last().map_or_else(String::new, |part| part.text.clone()),
        (ExprKind::Call(call), QueryDialect::StreamAnalytics) => {
            call.name.last().map_or_else(String::new, |name| name.text.to_uppercase())
        }
        (_, QueryDialect::StreamAnalytics) => format!("Column{}", place + 1),
        (_, QueryDialect::Kinesis | QueryDialect::Standard) => format!("EXPR${place}"),
    }
}

type Columns = Vec<(String, ScalarExpr)>;

/// Takes the last items off a list, so many values that rows are ordered by. `None`: they have mistakes, which were reported.
fn split_keys(items: &mut Vec<Item>, count: usize, errors: &mut Vec<PlanError>) -> Option<Columns> {
    let own = items.len().checked_sub(count)?;
    let mut keys = Columns::new();
    for (place, item) in items.split_off(own).into_iter().enumerate() {
        if matches!(item.value.data_type, DataType::Duration(_)) {
            errors.push(PlanError::new(PlanErrorCode::Type, item.at, "an INTERVAL cannot be ordered by"));
            return None;
        }
        let known = !is_unknown(&item.value.data_type);
        let value = if known { item.value } else { types::convert(item.value, &DataType::Utf8, false) };
        keys.push((format!("$key{place}"), value));
    }
    Some(keys)
}

/// The result's columns, and its row time where the `SELECT` sets it (`… AS ROWTIME`).
fn finish(
    dialect: QueryDialect,
    items: Vec<Item>,
    target: Option<&Target>,
    at: Position,
    errors: &mut Vec<PlanError>,
) -> Option<(Columns, Option<ScalarExpr>)> {
    let mut rowtime = None;
    let mut kept: Vec<Item> = Vec::with_capacity(items.len());
    let count = items.len();
    for mut item in items {
        let named = item.named && item.name == "ROWTIME";
        let sets_time = target.map_or(named, |target| target.takes_time_from(&item, count));
        if dialect == QueryDialect::Kinesis && sets_time {
            rowtime = set_rowtime(item, errors);
            continue;
        }
        if matches!(item.value.data_type, DataType::Duration(_)) {
            let message = format!("`{}` is an INTERVAL, which no column holds", item.value.text);
            errors.push(PlanError::new(PlanErrorCode::Type, item.at, message).hint("TSDIFF(a, b), in milliseconds"));
            continue;
        }
        if target.is_none() && is_unknown(&item.value.data_type) {
            item.value = types::convert(item.value, &DataType::Utf8, false);
        }
        // Of equal names the left one wins.
        if target.is_some() || !kept.iter().any(|other| other.name.eq_ignore_ascii_case(&item.name)) {
            kept.push(item);
        }
    }
    let columns = match target {
        None => kept.into_iter().map(|item| (item.name, item.value)).collect(),
        Some(target) => assign(dialect, &kept, target, at, errors)?,
    };
    Some((columns, rowtime))
}

/// The row time of `… AS ROWTIME`; `None` for ROWTIME itself, which rows carry anyway.
fn set_rowtime(item: Item, errors: &mut Vec<PlanError>) -> Option<ScalarExpr> {
    if item.value.data_type != TIMESTAMP {
        let message = format!("ROWTIME is a TIMESTAMP, `{}` is not", item.value.text);
        errors.push(PlanError::new(PlanErrorCode::Type, item.at, message));
        return None;
    }
    let carried = item.value.physical.to_string().starts_with(crate::plan::ROWTIME);
    (!carried).then_some(item.value)
}

fn assign(
    dialect: QueryDialect,
    items: &[Item],
    target: &Target,
    at: Position,
    errors: &mut Vec<PlanError>,
) -> Option<Columns> {
    if items.len() != target.count {
        let names: Vec<&str> = items.iter().map(|item| item.name.as_str()).collect();
        let message =
            format!("the stream takes {} values, the SELECT has {} ({})", target.count, items.len(), names.join(", "));
        // Values that are missing for their own mistakes were reported already.
        if errors.is_empty() {
            errors.push(PlanError::new(PlanErrorCode::ColumnCount, at, message));
        }
        return None;
    }
    let mut columns = Vec::with_capacity(target.columns.len());
    for ((name, column_type), value) in target.columns.iter().zip(&target.values) {
        let assigned = match value {
            Some(index) => cast::assign(dialect, items[*index].value.clone(), column_type, items[*index].at),
            None => cast::assign(dialect, literal(ScalarValue::Null), column_type, at),
        };
        if let Some(assigned) = keep(assigned, errors) {
            columns.push((name.clone(), assigned));
        }
    }
    Some(columns)
}

impl Target {
    /// Whether a value is the row's time and goes into no column: `x AS ROWTIME`, or ROWTIME beside as many values
    /// as there are columns.
    fn takes_time_from(&self, item: &Item, count: usize) -> bool {
        let column = self.columns.iter().any(|(name, _)| name == "ROWTIME");
        item.name == "ROWTIME" && !column && (item.named || count != self.count)
    }
}

fn schema(columns: &Columns) -> SchemaRef {
    with_rowtime(columns.iter().map(|(name, value)| Field::new(name, value.data_type.clone(), true)))
}

/// The value, or its mistake on the list.
pub(super) fn keep<T>(result: Result<T, PlanError>, errors: &mut Vec<PlanError>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}
