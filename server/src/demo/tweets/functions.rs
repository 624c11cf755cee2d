//! The example's functions as part of the binary: what `functions/decode`, `functions/save` and `functions/save-fixed` do in
//! Node.js.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millstream_types::Clock;
use serde_json::{Map, Value, json};

use super::super::functions::{DemoFunction, Error, Invocation, variable};
use super::tweet::Tweet;

/// What one call of the table takes.
const ITEMS_A_CALL: usize = 25;

/// Decodes a batch of the stream and hands it, as items, to the function that saves them.
pub(in crate::demo) async fn decode(
    function: &DemoFunction,
    invocation: &Invocation,
    event: &[u8],
    clock: &dyn Clock,
) -> Result<Value, Error> {
    let event: Value = serde_json::from_slice(event)?;
    let records = event.get("Records").and_then(Value::as_array).ok_or("the event has no records")?;
    println!("Beginning to process {} records...", records.len());
    let items: Vec<Value> = records.iter().map(item).collect::<Result<_, _>>()?;
    function.invoke_later(invocation, &variable("SAVE")?, &json!({ "items": items }), clock).await?;
    Ok(Value::Null)
}

fn item(record: &Value) -> Result<Value, Error> {
    let data = record.pointer("/kinesis/data").and_then(Value::as_str).ok_or("a record without data")?;
    let Tweet { id, username, topic, time, text } = serde_json::from_slice(&STANDARD.decode(data)?)?;
    Ok(json!({ "TwitterID": id, "TwitterUser": username, "TwitterTime": time, "Tweet": text, "TweetTopic": topic }))
}

/// Writes all items in one call: the flaw.
pub(in crate::demo) async fn save(
    function: &DemoFunction,
    invocation: &Invocation,
    event: &[u8],
    clock: &dyn Clock,
) -> Result<Value, Error> {
    write(function, invocation, &items(event)?, clock).await
}

/// Writes as many items a call as the table takes.
pub(in crate::demo) async fn save_fixed(
    function: &DemoFunction,
    invocation: &Invocation,
    event: &[u8],
    clock: &dyn Clock,
) -> Result<Value, Error> {
    for items in items(event)?.chunks(ITEMS_A_CALL) {
        write(function, invocation, items, clock).await?;
    }
    Ok(Value::Null)
}

fn items(event: &[u8]) -> Result<Vec<Value>, Error> {
    let event: Value = serde_json::from_slice(event)?;
    let items = event.get("items").and_then(Value::as_array).ok_or("the event has no items")?;
    let put = |item: &Value| {
        let attributes = item.as_object().ok_or("an item is an object")?;
        let typed: Map<_, _> = attributes.iter().map(|(name, text)| (name.clone(), json!({ "S": text }))).collect();
        Ok(json!({ "PutRequest": { "Item": typed } }))
    };
    items.iter().map(put).collect()
}

async fn write(
    function: &DemoFunction,
    invocation: &Invocation,
    puts: &[Value],
    clock: &dyn Clock,
) -> Result<Value, Error> {
    let request = json!({ "RequestItems": { variable("TABLE")?: puts } });
    let target = "DynamoDB_20120810.BatchWriteItem";
    let answer = function.call(invocation, "dynamodb", target, &request, clock).await?;
    match answer.get("UnprocessedItems").and_then(Value::as_object) {
        Some(left) if !left.is_empty() => Err("the table had no capacity for some items".into()),
        _ => Ok(Value::Null),
    }
}
