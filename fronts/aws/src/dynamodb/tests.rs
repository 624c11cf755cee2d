//! The service through its door, with bodies as clients send them.

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::Catalog;
use millstream_insight::{Insight, Step};
use millstream_storage::Storage;
use millstream_table::Tables;
use millstream_types::ManualClock;
use serde_json::{Value, json};

use super::{DynamoDb, answer};
use crate::json_protocol::{JsonRequest, ServiceError};
use crate::place::Place;

async fn send(service: &DynamoDb, operation: &str, body: &Value) -> Result<Value, ServiceError> {
    let mut headers = http::HeaderMap::new();
    headers.insert("x-amzn-trace-id", http::HeaderValue::from_static("Root=1-0-0;Sampled=0;Invocation=i-7"));
    let request = JsonRequest {
        operation: operation.to_owned(),
        body: Bytes::from(body.to_string()),
        request_id: "r".to_owned(),
        headers,
        scheme: "http",
        caller: millstream_access::Caller::Root,
    };
    service.call(&request).await.map(|answer| serde_json::from_slice(&answer).unwrap())
}

async fn service() -> DynamoDb {
    let clock = Arc::new(ManualClock::at(1_500));
    let storage = Storage::in_memory(clock.clone());
    let tables = Tables::new(storage.clone(), Catalog::open(&storage).unwrap(), clock.clone());
    let service = DynamoDb::new(tables, Insight::open(&storage, clock).unwrap(), Place::new("us-east-1"));
    let table = json!({
        "TableName": "trades",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            { "AttributeName": "timestamp", "AttributeType": "S" },
            { "AttributeName": "symbol", "AttributeType": "S" },
        ],
        "KeySchema": [
            { "AttributeName": "timestamp", "KeyType": "HASH" },
            { "AttributeName": "symbol", "KeyType": "RANGE" },
        ],
    });
    let made = send(&service, "CreateTable", &table).await.unwrap();
    assert_eq!(made["TableDescription"]["TableStatus"], "ACTIVE");
    assert_eq!(made["TableDescription"]["CreationDateTime"], 1.5);
    let again = send(&service, "CreateTable", &table).await.unwrap_err();
    assert_eq!(
        (again.code.as_str(), again.message.as_str()),
        ("ResourceInUseException", "Table already exists: trades")
    );
    service
}

fn item(symbol: &str, change: i64) -> Value {
    json!({
        "timestamp": { "S": "2020-01-01 00:00" },
        "symbol": { "S": symbol },
        "shareChange": { "N": change.to_string() },
    })
}

#[tokio::test]
async fn items_are_written_read_and_marked() {
    let service = service().await;
    let put = json!({ "TableName": "trades", "Item": item("MSFT", 5), "ReturnConsumedCapacity": "TOTAL" });
    let written = send(&service, "PutItem", &put).await.unwrap();
    assert_eq!(written, json!({ "ConsumedCapacity": { "TableName": "trades", "CapacityUnits": 1.0 } }));
    let key = json!({ "timestamp": { "S": "2020-01-01 00:00" }, "symbol": { "S": "MSFT" } });
    let read = send(&service, "GetItem", &json!({ "TableName": "trades", "Key": key })).await.unwrap();
    assert_eq!(read["Item"], item("MSFT", 5));

    let update = json!({
        "TableName": "trades",
        "Key": key,
        "UpdateExpression": "ADD shareChange :change",
        "ExpressionAttributeValues": { ":change": { "N": "2.0" } },
        "ReturnValues": "UPDATED_NEW",
    });
    let updated = send(&service, "UpdateItem", &update).await.unwrap();
    assert_eq!(updated["Attributes"], json!({ "shareChange": { "N": "7" } }));

    let batch = json!({ "RequestItems": { "trades": [{ "PutRequest": { "Item": item("AMZN", 1) } }] } });
    assert_eq!(send(&service, "BatchWriteItem", &batch).await.unwrap(), json!({ "UnprocessedItems": {} }));
    let query = json!({
        "TableName": "trades",
        "KeyConditionExpression": "#t = :t",
        "ExpressionAttributeNames": { "#t": "timestamp" },
        "ExpressionAttributeValues": { ":t": { "S": "2020-01-01 00:00" } },
        "ScanIndexForward": false,
        "Limit": 1,
    });
    let page = send(&service, "Query", &query).await.unwrap();
    assert_eq!((&page["Items"], &page["LastEvaluatedKey"]), (&json!([item("MSFT", 7)]), &key));
    let count = json!({ "TableName": "trades", "Select": "COUNT" });
    assert_eq!(send(&service, "Scan", &count).await.unwrap(), json!({ "Count": 2, "ScannedCount": 2 }));
    let get = json!({ "RequestItems": { "trades": { "Keys": [key] } } });
    let found = send(&service, "BatchGetItem", &get).await.unwrap();
    assert_eq!(found, json!({ "Responses": { "trades": [item("MSFT", 7)] }, "UnprocessedKeys": {} }));

    let marks = service.insight.trail.find(|step| matches!(step, Step::ItemWritten { .. }));
    let Step::ItemWritten { key, invocation, .. } = &marks[0].step else { panic!("another mark") };
    assert_eq!((key.as_str(), invocation.as_deref()), ("timestamp=2020-01-01 00:00, symbol=MSFT", Some("i-7")));
    assert_eq!(service.insight.metrics.counter("items_written", "table/trades").value(), 3);
}

#[tokio::test]
async fn errors_are_in_the_services_words() {
    let service = service().await;
    send(&service, "PutItem", &json!({ "TableName": "trades", "Item": item("MSFT", 5) })).await.unwrap();
    let many: Vec<_> = (0..26).map(|at| json!({ "PutRequest": { "Item": item(&at.to_string(), 1) } })).collect();
    let twice = vec![json!({ "PutRequest": { "Item": item("A", 1) } }); 2];
    for (operation, body, code, message) in [
        (
            "GetItem",
            json!({ "TableName": "none", "Key": {} }),
            "ResourceNotFoundException",
            "Requested resource not found",
        ),
        (
            "DescribeTable",
            json!({ "TableName": "none" }),
            "ResourceNotFoundException",
            "Requested resource not found: Table: none not found",
        ),
        (
            "PutItem",
            json!({ "TableName": "a;", "Item": {} }),
            "ValidationException",
            "2 validation errors detected: Value 'a;' at 'tableName' failed to satisfy constraint: Member must have length \
             greater than or equal to 3; Value 'a;' at 'tableName' failed to satisfy constraint: Member must satisfy \
             regular expression pattern: [a-zA-Z0-9_.-]+",
        ),
        (
            "PutItem",
            json!({ "TableName": "trades", "Item": { "timestamp": { "S": "x" } } }),
            "ValidationException",
            "One or more parameter values were invalid: Missing the key symbol in the item",
        ),
        (
            "GetItem",
            json!({ "TableName": "trades", "Key": { "timestamp": { "N": "1" } } }),
            "ValidationException",
            "The provided key element does not match the schema",
        ),
        (
            "PutItem",
            json!({ "TableName": "trades", "Item": item("MSFT", 1), "ConditionExpression": "attribute_not_exists(symbol)" }),
            "ConditionalCheckFailedException",
            "The conditional request failed",
        ),
        (
            "PutItem",
            json!({ "TableName": "trades", "Item": item("MSFT", 1), "ConditionExpression": "timestamp = = :x" }),
            "ValidationException",
            "Invalid ConditionExpression: Attribute name is a reserved keyword; reserved keyword: timestamp",
        ),
        (
            "BatchWriteItem",
            json!({ "RequestItems": { "trades": twice } }),
            "ValidationException",
            "Provided list of item keys contains duplicates",
        ),
        (
            "PutItem",
            json!({ "TableName": 5 }),
            "SerializationException",
            "invalid type: integer `5`, expected a string",
        ),
        (
            "ExecuteStatement",
            json!({}),
            "UnknownOperationException",
            "DynamoDB operation `ExecuteStatement` is not supported by this node",
        ),
    ] {
        let error = send(&service, operation, &body).await.unwrap_err();
        assert_eq!((error.status, error.code.as_str(), error.message.as_str()), (400, code, message), "{operation}");
    }
    let error = send(&service, "BatchWriteItem", &json!({ "RequestItems": { "trades": many } })).await.unwrap_err();
    assert!(error.message.starts_with("1 validation error detected: Value '{trades=["), "{}", error.message);
    assert!(error.message.ends_with(
        "]}' at 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length \
         less than or equal to 25, Member must have length greater than or equal to 1]"
    ));
}

#[test]
fn answers_carry_their_checksum_and_errors_their_namespace() {
    let response = answer(Ok(Bytes::from_static(b"123456789")));
    assert_eq!(response.headers()["x-amz-crc32"], "3421780262");
    let response = answer(Err(ServiceError::new("ResourceNotFoundException", "m")));
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body["__type"], "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException");
}
