//! Capacity units that an operation counts for, told when asked. Nothing is throttled by them.

use serde_json::{Value, json};

/// Members that say whether to tell.
pub(super) const WANTED: [&str; 3] = ["INDEXES", "TOTAL", "NONE"];

/// Units of writing items of `bytes`: one for each started kilobyte.
pub(super) fn write_units(bytes: usize) -> f64 {
    bytes.div_ceil(1024).max(1) as f64
}

/// Units of reading `bytes`: one for each started four kilobytes, half when the read may be stale.
pub(super) fn read_units(bytes: usize, consistent: bool) -> f64 {
    let units = bytes.div_ceil(4096).max(1) as f64;
    if consistent { units } else { units / 2.0 }
}

/// Adds `ConsumedCapacity` to an answer if it was asked for.
pub(super) fn tell(answer: &mut Value, wanted: Option<&str>, table: &str, units: f64) {
    match wanted {
        Some("TOTAL") => answer["ConsumedCapacity"] = json!({ "TableName": table, "CapacityUnits": units }),
        Some("INDEXES") => {
            answer["ConsumedCapacity"] =
                json!({ "TableName": table, "CapacityUnits": units, "Table": { "CapacityUnits": units } });
        }
        _ => {}
    }
}
