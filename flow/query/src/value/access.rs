//! What is inside of records and arrays: `a.b.c`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, LargeStringArray};
use arrow::error::ArrowError;
use datafusion_common::ScalarValue;

use super::json::member;
use crate::expression::kernel::call;
use crate::expression::scope::literal;
use crate::plan::{ScalarExpr, VALUE};

type Result<T> = std::result::Result<T, ArrowError>;

/// A record's field, and a field of that: NULL where there is none, or no record.
pub(crate) fn path(record: ScalarExpr, names: &[&str]) -> ScalarExpr {
    let name = |name: &&str| literal(ScalarValue::Utf8(Some((*name).to_owned())));
    let arguments: Vec<ScalarExpr> = std::iter::once(record).chain(names.iter().map(name)).collect();
    call("field", field, &arguments, VALUE)
}

fn field(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let (records, names) = (arguments[0].as_string::<i64>(), &arguments[1..]);
    let found = records.iter().enumerate().map(|(row, record)| {
        let step = |json, names: &ArrayRef| member(json, names.as_string::<i32>().value(row));
        names.iter().try_fold(record?, step).filter(|json| *json != "null")
    });
    Ok(Arc::new(found.collect::<LargeStringArray>()))
}
