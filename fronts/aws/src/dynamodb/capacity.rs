//! Capacity units that an operation counted for, told when asked.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Members that say whether to tell.
pub(super) const WANTED: [&str; 3] = ["INDEXES", "TOTAL", "NONE"];

/// What transactions name their units besides the total.
#[derive(Clone, Copy)]
pub(super) enum Transacted {
    /// `ReadCapacityUnits`
    Read,
    /// `WriteCapacityUnits`
    Write,
}

/// Whether it is to be told.
pub(super) fn is_wanted(wanted: Option<&str>) -> bool {
    matches!(wanted, Some("TOTAL" | "INDEXES"))
}

/// Adds `ConsumedCapacity` of one table to an answer if it was asked for.
pub(super) fn tell(answer: &mut Value, wanted: Option<&str>, table: &str, units: f64) {
    if is_wanted(wanted) {
        answer["ConsumedCapacity"] = of_table(wanted, table, units, None);
    }
}

/// Adds `ConsumedCapacity` of each table to an answer if it was asked for.
pub(super) fn tell_all(
    answer: &mut Value,
    wanted: Option<&str>,
    units: &BTreeMap<String, f64>,
    transacted: Option<Transacted>,
) {
    if is_wanted(wanted) {
        let each = units.iter().map(|(table, units)| of_table(wanted, table, *units, transacted));
        answer["ConsumedCapacity"] = each.collect();
    }
}

fn of_table(wanted: Option<&str>, table: &str, units: f64, transacted: Option<Transacted>) -> Value {
    let mut shown = json!({ "TableName": table, "CapacityUnits": units });
    let kind = transacted.map(|transacted| match transacted {
        Transacted::Read => "ReadCapacityUnits",
        Transacted::Write => "WriteCapacityUnits",
    });
    if let Some(kind) = kind {
        shown[kind] = json!(units);
    }
    if wanted == Some("INDEXES") {
        shown["Table"] = json!({ "CapacityUnits": units });
        if let Some(kind) = kind {
            shown["Table"][kind] = json!(units);
        }
    }
    shown
}
