//! `BatchWriteItem`

use std::collections::BTreeMap;

use millstream_table::{BATCH_WRITE_MAX, BatchWrite};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::value::{self, WireItem};
use super::{DynamoDb, capacity, error, input, table_name, validation};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    request_items: Option<Map<String, Value>>,
    return_consumed_capacity: Option<String>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct WriteRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    put_request: Option<PutRequest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_request: Option<DeleteRequest>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PutRequest {
    item: WireItem,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteRequest {
    key: WireItem,
}

pub(super) async fn call(dynamodb: &DynamoDb, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = input(request)?;
    let mut constraints = Constraints::new();
    constraints.required("requestItems", input.request_items.as_ref()).one_of(
        "returnConsumedCapacity",
        input.return_consumed_capacity.as_deref(),
        &capacity::WANTED,
    );
    let mut requests: Vec<(String, Vec<WriteRequest>)> = Vec::new();
    for (table, list) in input.request_items.unwrap_or_default() {
        let list = serde_json::from_value(list).map_err(|error| ServiceError::serialization(&error.to_string()))?;
        requests.push((table, list));
    }
    check_sizes(&mut constraints, &requests);
    constraints.finish()?;
    if requests.iter().map(|(_, list)| list.len()).sum::<usize>() > BATCH_WRITE_MAX {
        return Err(validation("Too many items requested for the BatchWriteItem call"));
    }
    let (mut writes, mut wires) = (Vec::new(), Vec::new());
    for (table, list) in requests {
        let mut constraints = Constraints::new();
        let name = table_name(&mut constraints, Some(&table)).to_owned();
        constraints.finish()?;
        for one in list {
            wires.push((table.clone(), one.clone()));
            writes.push((name.clone(), decode(one)?));
        }
    }
    let written = dynamodb.tables.batch_write(&writes).await.map_err(error::of_table)?;
    let done = |at: usize| written.unprocessed.binary_search(&at).is_err();
    for (_, (table, write)) in writes.iter().enumerate().filter(|(at, _)| done(*at)) {
        let (BatchWrite::Put(item) | BatchWrite::Delete(item)) = write;
        if let Ok(table) = dynamodb.tables.table(table) {
            dynamodb.written(&table, [item], request);
        }
    }
    // Told as it came, under the name that it came with: clients send it again as it is.
    let mut unprocessed: BTreeMap<String, Vec<WriteRequest>> = BTreeMap::new();
    for (at, (table, request)) in wires.into_iter().enumerate() {
        if !done(at) {
            unprocessed.entry(table).or_default().push(request);
        }
    }
    let mut answer = json!({ "UnprocessedItems": unprocessed });
    capacity::tell_all(&mut answer, input.return_consumed_capacity.as_deref(), &written.units, None);
    Ok(answer)
}

/// Each table's list has 1 to 25 requests. The service shows them as its own classes print.
fn check_sizes(constraints: &mut Constraints, requests: &[(String, Vec<WriteRequest>)]) {
    let fits = |list: &Vec<WriteRequest>| (1..=BATCH_WRITE_MAX).contains(&list.len());
    if !requests.is_empty() && requests.iter().all(|(_, list)| fits(list)) {
        return;
    }
    let shown = |(table, list): &(String, Vec<WriteRequest>)| {
        let objects = (0..list.len()).map(|at| format!("com.amazonaws.dynamodb.v20120810.WriteRequest@{at:x}"));
        format!("{table}=[{}]", objects.collect::<Vec<_>>().join(", "))
    };
    let value = format!("{{{}}}", requests.iter().map(shown).collect::<Vec<_>>().join(", "));
    let constraint = if requests.is_empty() {
        "Member must have length greater than or equal to 1"
    } else {
        "Map value must satisfy constraint: [Member must have length less than or equal to 25, Member must have length \
         greater than or equal to 1]"
    };
    constraints.broken("requestItems", Some(&value), constraint);
}

fn decode(request: WriteRequest) -> Result<BatchWrite, ServiceError> {
    match (request.put_request, request.delete_request) {
        (Some(put), None) => Ok(BatchWrite::Put(value::decode_item(put.item)?)),
        (None, Some(delete)) => Ok(BatchWrite::Delete(value::decode_item(delete.key)?)),
        _ => Err(validation("Supplied WriteRequest must contain exactly one of PutRequest and DeleteRequest")),
    }
}
