//! `ListStreams`

use millstream_catalog::TableOwner;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{DynamoDbStreams, name};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Streams of one answer.
const STREAMS_MAX: i64 = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    table_name: Option<String>,
    limit: Option<i64>,
    exclusive_start_stream_arn: Option<String>,
}

pub(super) fn call(service: &DynamoDbStreams, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    Constraints::new()
        .length("tableName", input.table_name.as_deref(), 3, 255)
        .range("limit", input.limit, 1, STREAMS_MAX)
        .length("exclusiveStartStreamArn", input.exclusive_start_stream_arn.as_deref(), 37, 1_024)
        .finish()?;
    let limit = input.limit.unwrap_or(STREAMS_MAX) as usize;
    // Tables come in the order of their names, each with one stream.
    let after = input.exclusive_start_stream_arn.as_deref().and_then(name::parse_stream_arn).map(|(table, _)| table);
    let tables = service.tables.list();
    let told = tables
        .iter()
        .filter(|table| table.owner == TableOwner::User)
        .filter(|table| input.table_name.as_ref().is_none_or(|name| *name == table.name))
        .filter(|table| after.is_none_or(|after| *table.name > *after))
        .filter_map(|table| Some((table, table.changes.as_ref()?)));
    let mut streams: Vec<Value> = told
        .map(|(table, changes)| {
            json!({
                "StreamArn": name::stream_arn(&service.place, &table.name, changes.created),
                "StreamLabel": name::label(changes.created),
                "TableName": table.name,
            })
        })
        .collect();
    let more = streams.len() > limit;
    streams.truncate(limit);
    let mut answer = json!({ "Streams": streams });
    if more && let Some(last) = streams.last() {
        answer["LastEvaluatedStreamArn"] = last["StreamArn"].clone();
    }
    Ok(answer)
}
