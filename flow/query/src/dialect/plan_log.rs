//! Which columns of a query inside of `FROM` are records of log parsers, so that their fields have names and types.

use millstream_catalog::QueryDialect;

use super::plan_select::default_name;
use super::syntax::{ExprKind, Query, SelectItem};
use crate::error::{PlanError, PlanErrorCode};
use crate::expression::log::{self, Fields};

/// The records of a query: by the column's name the fields.
pub(super) fn records(query: &Query) -> Result<Vec<(String, Fields)>, PlanError> {
    let mut records = Vec::new();
    for select in &query.selects {
        for (place, item) in select.items.iter().enumerate() {
            let SelectItem::Column { value, alias } = item else { continue };
            let ExprKind::Call(call) = &value.kind else { continue };
            if !log::is_parser(&call.full_name()) {
                continue;
            }
            if query.selects.len() > 1 {
                let message = "not supported yet: a log parser beside UNION ALL";
                let error = PlanError::new(PlanErrorCode::NotSupported, value.at, message);
                return Err(error.hint("parse the lines behind the UNION ALL"));
            }
            let name = default_name(QueryDialect::Kinesis, value, place);
            records.push((alias.as_ref().map_or(name, |alias| alias.text.clone()), log::fields(call, value)?));
        }
    }
    Ok(records)
}
