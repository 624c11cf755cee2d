//! The service through its door, over changes that tables tell.

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::{Catalog, ChangeView, KeyAttribute, KeyType};
use millstream_storage::Storage;
use millstream_stream::{Entry, Streams};
use millstream_table::{AttributeValue, Change, Item, NewTable, Put, Tables};
use millstream_types::ManualClock;
use serde_json::{Value, json};

use super::{DynamoDbStreams, record};
use crate::json_protocol::{JsonRequest, ServiceError};
use crate::place::Place;
use crate::seal::Seal;

struct World {
    clock: Arc<ManualClock>,
    tables: Tables,
    streams: Streams,
    service: DynamoDbStreams,
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(1_700_000_000_500));
        let storage = Storage::in_memory(clock.clone());
        let catalog = Catalog::open(&storage).unwrap();
        let streams = Streams::new(storage.clone(), catalog.clone(), clock.clone());
        let tables = Tables::new(storage, catalog, clock.clone());
        let place = Place::new("us-east-1");
        let service = DynamoDbStreams::new(tables.clone(), streams.clone(), clock.clone(), place, Seal::random());
        for name in ["plain", "trades"] {
            let new = NewTable {
                name: name.into(),
                hash_key: KeyAttribute { name: "id".into(), key_type: KeyType::String },
                sort_key: None,
                provisioned: None,
                changes: (name == "trades").then_some(ChangeView::NewImage),
                indexes: Vec::new(),
                tags: Default::default(),
                owner: Default::default(),
                item_bytes_max: millstream_catalog::TABLE_ITEM_BYTES_MAX,
            };
            tables.create(new).await.unwrap();
        }
        for id in ["a", "b", "c"] {
            let item = Item::from([("id".into(), AttributeValue::String(id.into()))]);
            tables.put("trades", Put { item, condition: None, return_old: false }).await.unwrap();
        }
        Self { clock, tables, streams, service }
    }

    async fn send(&self, operation: &str, body: Value) -> Result<Value, ServiceError> {
        let request = JsonRequest {
            operation: operation.to_owned(),
            body: Bytes::from(body.to_string()),
            request_id: "r".to_owned(),
            headers: http::HeaderMap::new(),
            scheme: "http",
            caller: millstream_access::Caller::Root,
        };
        self.service.call(&request).await.map(|answer| serde_json::from_slice(&answer).unwrap())
    }

    async fn arn(&self) -> String {
        let listed = self.send("ListStreams", json!({})).await.unwrap();
        assert_eq!(listed["Streams"].as_array().unwrap().len(), 1);
        listed["Streams"][0]["StreamArn"].as_str().unwrap().to_owned()
    }

    async fn shard(&self, arn: &str) -> Value {
        let described = self.send("DescribeStream", json!({ "StreamArn": arn })).await.unwrap();
        described["StreamDescription"]["Shards"][0].clone()
    }

    async fn iterator(&self, arn: &str, kind: &str, number: Option<&str>) -> Result<Value, ServiceError> {
        let shard = self.shard(arn).await["ShardId"].clone();
        let mut body = json!({ "StreamArn": arn, "ShardId": shard, "ShardIteratorType": kind });
        if let Some(number) = number {
            body["SequenceNumber"] = json!(number);
        }
        Ok(self.send("GetShardIterator", body).await?["ShardIterator"].clone())
    }

    async fn ids(&self, iterator: &Value) -> Vec<String> {
        let got = self.send("GetRecords", json!({ "ShardIterator": iterator })).await.unwrap();
        let id = |record: &Value| record["dynamodb"]["Keys"]["id"]["S"].as_str().unwrap().to_owned();
        got["Records"].as_array().unwrap().iter().map(id).collect()
    }
}

#[tokio::test]
async fn changes_are_found_described_and_read() {
    let world = World::new().await;
    let arn = world.arn().await;
    assert_eq!(arn, "arn:aws:dynamodb:us-east-1:000000000000:table/trades/stream/2023-11-14T22:13:20.500");
    let described =
        world.send("DescribeStream", json!({ "StreamArn": arn })).await.unwrap()["StreamDescription"].clone();
    assert_eq!((&described["StreamStatus"], &described["StreamViewType"]), (&json!("ENABLED"), &json!("NEW_IMAGE")));
    let start = world.iterator(&arn, "TRIM_HORIZON", None).await.unwrap();
    let got = world.send("GetRecords", json!({ "ShardIterator": start, "Limit": 1 })).await.unwrap();
    let shown = &got["Records"][0];
    assert_eq!(shown["eventName"], "INSERT");
    assert_eq!(shown["dynamodb"]["NewImage"], json!({ "id": { "S": "a" } }));
    assert_eq!(shown["dynamodb"]["ApproximateCreationDateTime"], 1_700_000_000);
    assert_eq!(shown["dynamodb"]["SizeBytes"], 6);
    assert_eq!(world.ids(&got["NextShardIterator"]).await, ["b", "c"]);

    let number = shown["dynamodb"]["SequenceNumber"].as_str().unwrap();
    let at = world.iterator(&arn, "AT_SEQUENCE_NUMBER", Some(number)).await.unwrap();
    assert_eq!(world.ids(&at).await, ["a", "b", "c"]);
    let after = world.iterator(&arn, "AFTER_SEQUENCE_NUMBER", Some(number)).await.unwrap();
    assert_eq!(world.ids(&after).await, ["b", "c"]);
    let latest = world.iterator(&arn, "LATEST", None).await.unwrap();
    assert!(world.ids(&latest).await.is_empty());
}

#[tokio::test]
async fn a_disabled_stream_has_an_end() {
    let world = World::new().await;
    let arn = world.arn().await;
    let start = world.iterator(&arn, "TRIM_HORIZON", None).await.unwrap();
    world.tables.set_changes("trades", None).await.unwrap();
    let got = world.send("GetRecords", json!({ "ShardIterator": start })).await.unwrap();
    assert_eq!((got["Records"].as_array().unwrap().len(), got.get("NextShardIterator")), (3, None));
    let last = &got["Records"][2]["dynamodb"]["SequenceNumber"];
    assert_eq!(&world.shard(&arn).await["SequenceNumberRange"]["EndingSequenceNumber"], last);

    world.tables.set_changes("trades", Some(ChangeView::KeysOnly)).await.unwrap();
    let gone = world.send("GetRecords", json!({ "ShardIterator": start })).await.unwrap_err();
    assert_eq!(gone.code, "ResourceNotFoundException");
    assert_ne!(world.arn().await, arn);
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let world = World::new().await;
    let arn = world.arn().await;
    let code = |result: Result<Value, ServiceError>| result.unwrap_err().code;
    assert_eq!(code(world.iterator(&arn, "LATEST", Some(&"1".repeat(39))).await), "ValidationException");
    assert_eq!(code(world.iterator(&arn, "AT_SEQUENCE_NUMBER", None).await), "ValidationException");
    assert_eq!(code(world.iterator(&arn, "AT_SEQUENCE_NUMBER", Some(&"1".repeat(39))).await), "ValidationException");
    let other = arn.replace("trades", "plain");
    assert_eq!(code(world.send("DescribeStream", json!({ "StreamArn": other })).await), "ResourceNotFoundException");
    assert_eq!(code(world.send("GetRecords", json!({ "ShardIterator": "made up" })).await), "ValidationException");
    let old = world.iterator(&arn, "TRIM_HORIZON", None).await.unwrap();
    world.clock.advance(900_001);
    assert_eq!(code(world.send("GetRecords", json!({ "ShardIterator": old })).await), "ExpiredIteratorException");
    assert_eq!(code(world.send("PutRecord", json!({})).await), "UnknownOperationException");
}

#[tokio::test]
async fn functions_get_the_record_with_its_source() {
    let world = World::new().await;
    let arn = world.arn().await;
    let log = world.streams.get(&Change::stream("trades")).unwrap().shards[0].log();
    let read = world.streams.read(log, 0, 1 << 20).await.unwrap();
    let first = read.batches[0].records().next().unwrap();
    let event = record::event(log, &first, &arn, &Place::new("us-east-1")).unwrap();
    assert_eq!((&event["eventSourceARN"], &event["eventSource"]), (&json!(arn), &json!("aws:dynamodb")));
    assert_eq!(event["eventID"].as_str().unwrap().len(), 32);
}

#[tokio::test]
async fn a_change_that_cannot_be_read_holds_up_nobody() {
    let world = World::new().await;
    let arn = world.arn().await;
    let entry = Entry { partition_key: "k".into(), explicit_hash_key: None, headers: Bytes::new(), data: "?".into() };
    world.streams.put(&Change::stream("trades"), &[entry]).await.unwrap();
    let item = Item::from([("id".into(), AttributeValue::String("d".into()))]);
    world.tables.put("trades", Put { item, condition: None, return_old: false }).await.unwrap();
    let start = world.iterator(&arn, "TRIM_HORIZON", None).await.unwrap();
    assert_eq!(world.ids(&start).await, ["a", "b", "c", "d"]);
    // What is left out alone is passed too.
    let got = world.send("GetRecords", json!({ "ShardIterator": start, "Limit": 3 })).await.unwrap();
    let got = world.send("GetRecords", json!({ "ShardIterator": got["NextShardIterator"], "Limit": 1 })).await.unwrap();
    assert_eq!(got["Records"][0]["dynamodb"]["Keys"]["id"]["S"], "d");
}
