//! DynamoDB and its change streams: tables, indexes, and every table of a batch or a transaction.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::members::Members;
use super::{ANY, Need, UNKNOWN};
use crate::place::Place;

/// `stream_of` gives the ARN of the stream that an iterator was made for.
pub(super) fn needs(
    place: &Place,
    operation: &str,
    members: &Members,
    stream_of: &dyn Fn(&str) -> Option<String>,
) -> Vec<Need> {
    let action = format!("dynamodb:{operation}");
    let table = |name: &str| match name.starts_with("arn:") {
        true => place.own_arn(name),
        false => place.arn("dynamodb", &format!("table/{name}")),
    };
    let many = match operation {
        "BatchGetItem" | "BatchWriteItem" => members
            .parsed::<BTreeMap<String, IgnoredAny>>("RequestItems")
            .map(|tables| tables.keys().map(|name| Need::new(action.as_str(), table(name))).collect()),
        "TransactGetItems" | "TransactWriteItems" => {
            let parts = members.parsed::<Vec<BTreeMap<String, Value>>>("TransactItems");
            // Members that are none of these are passed over by the operation, too.
            let need = |part: &BTreeMap<String, Value>| {
                let asked = ["Put", "Update", "Delete", "ConditionCheck", "Get"].into_iter().filter_map(|kind| {
                    let name = part.get(kind)?.get("TableName")?.as_str()?;
                    let action = if kind == "ConditionCheck" { "ConditionCheckItem" } else { &format!("{kind}Item") };
                    Some(Need::new(format!("dynamodb:{action}"), table(name)))
                });
                asked.collect::<Vec<_>>()
            };
            parts.map(|parts| parts.iter().flat_map(need).collect::<Vec<_>>())
        }
        _ => None,
    };
    if let Some(many) = many.filter(|many| !many.is_empty()) {
        return many;
    }
    vec![Need::new(action, resource(place, operation, members, stream_of, table))]
}

fn resource(
    place: &Place,
    operation: &str,
    members: &Members,
    stream_of: &dyn Fn(&str) -> Option<String>,
    table: impl Fn(&str) -> String,
) -> String {
    let found = match operation {
        "ListTables" | "ListStreams" | "DescribeLimits" | "DescribeEndpoints" => Some(ANY.to_owned()),
        "DescribeStream" | "GetShardIterator" => members.text("StreamArn").map(|arn| place.own_arn(&arn)),
        "GetRecords" => members.text("ShardIterator").and_then(|iterator| stream_of(&iterator)),
        "TagResource" | "UntagResource" | "ListTagsOfResource" => {
            members.text("ResourceArn").map(|arn| place.own_arn(&arn))
        }
        _ => members.text("TableName").map(|name| {
            let indexed = matches!(operation, "Query" | "Scan").then(|| members.text("IndexName")).flatten();
            let index = indexed.map(|index| format!("/index/{index}")).unwrap_or_default();
            table(&name) + &index
        }),
    };
    found.unwrap_or_else(|| UNKNOWN.to_owned())
}
