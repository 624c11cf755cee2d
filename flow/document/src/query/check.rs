//! What a query may not say although it parses: unknown names, aggregates in the wrong place, columns outside of groups.

use super::NESTING_MAX;
use super::error::QueryError;
use super::parser::unsupported;
use super::syntax::{Expression, Projection, Query};

/// Expressions on the way from a tree's root to a leaf: brackets inside each other, and chains of operators in them.
const HEIGHT_MAX: usize = 2 * NESTING_MAX;

pub(super) fn check(query: &Query) -> Result<(), QueryError> {
    check_height(query)?;
    let mut aliases: Vec<&str> = Vec::new();
    for source in &query.sources {
        if let Some(path) = &source.path {
            check_names(path, &aliases)?;
        }
        if aliases.contains(&source.alias.as_str()) {
            return Err(QueryError::RepeatedName { name: source.alias.clone() });
        }
        aliases.push(&source.alias);
    }
    let projected: Vec<&Expression> = match &query.projection {
        Projection::Star if query.sources.len() != 1 => return Err(QueryError::StarWithoutSource),
        Projection::Star => Vec::new(),
        Projection::Value(value) => vec![value],
        Projection::Columns(columns) => {
            for (at, (name, _)) in columns.iter().enumerate() {
                if columns[..at].iter().any(|(earlier, _)| earlier == name) {
                    return Err(QueryError::RepeatedName { name: name.clone() });
                }
            }
            columns.iter().map(|(_, column)| column).collect()
        }
    };
    projected.iter().try_for_each(|expression| check_names(expression, &aliases))?;
    let arguments = query.aggregates.iter().map(|aggregate| &aggregate.argument);
    let plain = query.filter.iter().chain(&query.group_by).chain(query.order_by.iter().map(|sort| &sort.by));
    for expression in plain.chain(arguments) {
        if has_aggregate(expression) {
            return Err(QueryError::MisplacedAggregate);
        }
        check_names(expression, &aliases)?;
    }
    check_groups(query, &projected)
}

/// Refuses trees that evaluating would need too much of the stack for. Itself without recursion.
fn check_height(query: &Query) -> Result<(), QueryError> {
    let projected: Vec<&Expression> = match &query.projection {
        Projection::Star => Vec::new(),
        Projection::Value(value) => vec![value],
        Projection::Columns(columns) => columns.iter().map(|(_, column)| column).collect(),
    };
    let roots = projected.into_iter().chain(&query.filter).chain(&query.group_by);
    let roots = roots.chain(query.order_by.iter().map(|sort| &sort.by));
    let roots = roots.chain(query.aggregates.iter().map(|aggregate| &aggregate.argument));
    let mut open: Vec<(&Expression, usize)> = roots.map(|root| (root, 1)).collect();
    while let Some((expression, height)) = open.pop() {
        if height > HEIGHT_MAX {
            return Err(QueryError::TooDeep);
        }
        expression.each_child(&mut |child| open.push((child, height + 1)));
    }
    Ok(())
}

fn check_groups(query: &Query, projected: &[&Expression]) -> Result<(), QueryError> {
    if query.group_by.is_empty() && query.aggregates.is_empty() {
        return Ok(());
    }
    if query.projection == Projection::Star {
        return Err(QueryError::NotGrouped { property: "*".to_owned() });
    }
    if !query.order_by.is_empty() {
        return Err(unsupported("ORDER BY together with GROUP BY or an aggregate"));
    }
    projected.iter().try_for_each(|expression| check_grouped(expression, &query.group_by))
}

/// Whatever names a source must be one of the groups as a whole.
fn check_grouped(expression: &Expression, groups: &[Expression]) -> Result<(), QueryError> {
    if groups.contains(expression) {
        return Ok(());
    }
    if let Expression::Name(_) | Expression::Member(..) = expression {
        let property = expression.natural_name().unwrap_or("[…]").to_owned();
        return Err(QueryError::NotGrouped { property });
    }
    each_child(expression, |child| check_grouped(child, groups))
}

fn check_names(expression: &Expression, aliases: &[&str]) -> Result<(), QueryError> {
    match expression {
        Expression::Name(name) if !aliases.contains(&name.as_str()) => {
            Err(QueryError::UnknownName { name: name.clone() })
        }
        Expression::Exists(subquery) => {
            let mut inner = aliases.to_vec();
            for source in &subquery.sources {
                if let Some(path) = &source.path {
                    check_names(path, &inner)?;
                }
                if inner.contains(&source.alias.as_str()) {
                    return Err(QueryError::RepeatedName { name: source.alias.clone() });
                }
                inner.push(&source.alias);
            }
            subquery.filter.iter().chain(&subquery.value).try_for_each(|expression| check_names(expression, &inner))
        }
        other => each_child(other, |child| check_names(child, aliases)),
    }
}

fn has_aggregate(expression: &Expression) -> bool {
    let inside = || {
        each_child(expression, |child| if has_aggregate(child) { Err(QueryError::MisplacedAggregate) } else { Ok(()) })
    };
    matches!(expression, Expression::Aggregate(_)) || inside().is_err()
}

/// The first error that `check` finds in an expression's parts.
fn each_child(
    expression: &Expression,
    mut check: impl FnMut(&Expression) -> Result<(), QueryError>,
) -> Result<(), QueryError> {
    let mut result = Ok(());
    expression.each_child(&mut |child| {
        if result.is_ok() {
            result = check(child);
        }
    });
    result
}
