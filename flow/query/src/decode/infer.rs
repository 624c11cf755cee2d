//! Columns from samples: what an input without declared columns, and schema discovery, go by.

use millstream_catalog::{ColumnDefinition, ColumnType};
use serde_json::Value;

use super::timestamp;

/// Finds the columns of JSON records: fields in the order of their first appearance, values of objects by their path
/// (`Location.Lat`), each with the type that fits all samples. Records that are no JSON objects are passed over.
#[must_use]
pub fn infer_columns<'r>(records: impl IntoIterator<Item = &'r [u8]>) -> Vec<ColumnDefinition> {
    let mut columns: Vec<(String, Option<ColumnType>)> = Vec::new();
    for record in records {
        for value in serde_json::Deserializer::from_slice(record).into_iter::<Value>().map_while(Result::ok) {
            match value {
                Value::Array(items) => items.iter().for_each(|item| fields(item, "", &mut columns)),
                other => fields(&other, "", &mut columns),
            }
        }
    }
    let definition = |(name, column_type): (String, Option<ColumnType>)| ColumnDefinition {
        mapping: Some(format!("$.{name}")),
        name,
        column_type: column_type.unwrap_or(ColumnType::Text),
        declared: None,
    };
    columns.into_iter().map(definition).collect()
}

fn fields(value: &Value, prefix: &str, columns: &mut Vec<(String, Option<ColumnType>)>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let name = format!("{prefix}{name}");
        if value.is_object() {
            fields(value, &format!("{name}."), columns);
            continue;
        }
        let found = type_of(value);
        match columns.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = both(*known, found),
            None => columns.push((name, found)),
        }
    }
}

fn type_of(value: &Value) -> Option<ColumnType> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some(ColumnType::Boolean),
        Value::Number(number) if number.is_i64() => Some(ColumnType::BigInt),
        Value::Number(_) => Some(ColumnType::Double),
        Value::String(text) if text.len() >= 19 && timestamp::parse(text).is_some() => Some(ColumnType::Timestamp),
        Value::String(_) | Value::Array(_) | Value::Object(_) => Some(ColumnType::Text),
    }
}

/// The type that holds what either holds.
fn both(left: Option<ColumnType>, right: Option<ColumnType>) -> Option<ColumnType> {
    match (left, right) {
        (None, other) | (other, None) => other,
        (Some(left), Some(right)) if left == right => Some(left),
        (Some(ColumnType::BigInt | ColumnType::Double), Some(ColumnType::BigInt | ColumnType::Double)) => {
            Some(ColumnType::Double)
        }
        (Some(_), Some(_)) => Some(ColumnType::Text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_fit_all_samples() {
        let records: [&[u8]; 3] = [
            br#"{"symbol":"MSFT","shares":1,"price":2,"at":"2018-07-09T14:30:05Z","where":{"lat":47}}"#,
            br#"{"symbol":"AMZN","shares":null,"price":2.5,"at":"2018-07-09T14:30:06Z"}"#,
            b"no json",
        ];
        let found = infer_columns(records);
        let shown: Vec<(&str, ColumnType)> =
            found.iter().map(|column| (column.name.as_str(), column.column_type)).collect();
        assert_eq!(
            shown,
            [
                ("symbol", ColumnType::Text),
                ("shares", ColumnType::BigInt),
                ("price", ColumnType::Double),
                ("at", ColumnType::Timestamp),
                ("where.lat", ColumnType::BigInt),
            ]
        );
    }
}
