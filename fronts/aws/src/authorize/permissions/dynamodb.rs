//! DynamoDB and its change streams: tables, indexes, and every table of a batch or a transaction.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::members::Members;
use super::{ANY, Need};
use crate::place::Place;

/// The one member of a transaction's parts that says where.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Part {
    table_name: String,
}

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
            let parts = members.parsed::<Vec<BTreeMap<String, Part>>>("TransactItems");
            let need = |(kind, part): (String, Part)| {
                let action =
                    if kind == "ConditionCheck" { "ConditionCheckItem".to_owned() } else { format!("{kind}Item") };
                Need::new(format!("dynamodb:{action}"), table(&part.table_name))
            };
            parts.map(|parts| parts.into_iter().flatten().map(need).collect::<Vec<_>>())
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
        "ListTables" | "ListStreams" | "DescribeLimits" | "DescribeEndpoints" => None,
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
    found.unwrap_or_else(|| ANY.to_owned())
}
