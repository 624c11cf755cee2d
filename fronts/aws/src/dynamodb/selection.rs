//! What `Query` and `Scan` share: which index they look into, and what they show of what they find.

use millstream_catalog::{IndexProjection, TableDefinition, TableIndex};
use millstream_table::expression::{Condition, Projection};
use millstream_table::{index, key};

use super::{error, validation};
use crate::json_protocol::ServiceError;

/// Values of `Select`, in the order that the service lists them.
pub(super) const SELECT: [&str; 4] = ["SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"];

/// What of found items is shown, and the parameter that says so.
pub(super) struct Shown {
    pub(super) projection: Projection,
    parameter: &'static str,
}

impl Shown {
    /// By an expression or by the older parameter.
    pub(super) fn of(expression: Option<Projection>, older: Option<Projection>) -> Option<Self> {
        let shown = |parameter| move |projection| Self { projection, parameter };
        expression.map(shown("ProjectionExpression")).or(older.map(shown("AttributesToGet")))
    }
}

/// The index that a request names.
pub(super) fn find_index<'t>(
    table: &'t TableDefinition,
    name: Option<&str>,
    consistent: bool,
) -> Result<Option<&'t TableIndex>, ServiceError> {
    let Some(name) = name else { return Ok(None) };
    let index = index::find(table, name).map_err(error::of_table)?;
    if consistent && !index.local {
        return Err(validation("Consistent reads are not supported on global secondary indexes"));
    }
    Ok(Some(index))
}

/// Refuses a `Select` that contradicts the projection or the index. Gives whether the items behind an index's entries are
/// needed: a local index gives what its entries lack, any other does not.
pub(super) fn check_select(
    select: Option<&str>,
    shown: Option<&Shown>,
    (table, index): (&TableDefinition, Option<&TableIndex>),
) -> Result<bool, ServiceError> {
    match (select, shown, index) {
        (Some("ALL_PROJECTED_ATTRIBUTES"), _, None) => {
            Err(invalid("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"))
        }
        (Some("SPECIFIC_ATTRIBUTES"), None, _) => Err(invalid(
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES",
        )),
        (Some(select @ ("COUNT" | "ALL_ATTRIBUTES" | "ALL_PROJECTED_ATTRIBUTES")), Some(shown), _) => {
            Err(validation(format!("Cannot specify the {} when choosing to get {select}", shown.parameter)))
        }
        (Some("ALL_ATTRIBUTES"), None, Some(index)) => {
            let whole = index.projection != IndexProjection::All;
            if whole && !index.local {
                return Err(invalid(&format!(
                    "Select type ALL_ATTRIBUTES is not supported for global secondary index {} because its projection type \
                     is not ALL",
                    index.name
                )));
            }
            Ok(whole)
        }
        (_, Some(Shown { projection, .. }), Some(index)) => {
            let lacking: Vec<&str> =
                projection.attributes().filter(|attribute| !index::holds(table, index, attribute)).collect();
            if !lacking.is_empty() && !index.local {
                return Err(invalid(&format!(
                    "Global secondary index {} does not project [{}]",
                    index.name,
                    lacking.join(", ")
                )));
            }
            Ok(!lacking.is_empty())
        }
        _ => Ok(false),
    }
}

/// Refuses filters of queries, given by that parameter, that name a key attribute of what is queried.
pub(super) fn check_filter(
    (parameter, filter): (&str, Option<&Condition>),
    table: &TableDefinition,
    index: Option<&TableIndex>,
) -> Result<(), ServiceError> {
    let is_key = |attribute: &str| match index {
        Some(index) => index::attributes(index).any(|key| key.name == attribute),
        None => key::attributes(table).any(|key| key.name == attribute),
    };
    let mut named = None;
    if let Some(filter) = filter {
        filter.each_path(&mut |path| {
            if named.is_none() && is_key(&path.attribute) {
                named = Some(path.attribute.clone());
            }
        });
    }
    match named {
        Some(attribute) => {
            Err(error::of_expression(parameter, millstream_table::ExpressionError::FilterOnKey { attribute }))
        }
        None => Ok(()),
    }
}

fn invalid(detail: &str) -> ServiceError {
    validation(format!("One or more parameter values were invalid: {detail}"))
}
