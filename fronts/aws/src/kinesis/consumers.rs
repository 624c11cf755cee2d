//! `RegisterStreamConsumer`, `DeregisterStreamConsumer`, `DescribeStreamConsumer`, `ListStreamConsumers`.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::{StreamConsumer, StreamDefinition};
use millstream_stream::StreamError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Kinesis, invalid, list_shards, name_character, page_token, seconds, tags};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Consumers of a page of a listing, when it is not told.
const PAGE: usize = 100;

/// What tokens of the listing are sealed for. They hold the name of the last consumer of their page.
const PURPOSE: &str = "list stream consumers";

#[derive(Deserialize)]
struct Input {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "ConsumerName")]
    consumer_name: Option<String>,
    #[serde(rename = "ConsumerARN")]
    consumer_arn: Option<String>,
    #[serde(rename = "Tags")]
    tags: Option<BTreeMap<String, String>>,
    #[serde(rename = "NextToken")]
    next_token: Option<String>,
    #[serde(rename = "MaxResults")]
    max_results: Option<i64>,
    #[serde(rename = "StreamCreationTimestamp")]
    stream_creation_timestamp: Option<f64>,
}

/// A stream and one of its consumers.
pub(super) struct Found {
    pub(super) stream: Arc<StreamDefinition>,
    pub(super) consumer: StreamConsumer,
}

pub(super) async fn register(kinesis: &Kinesis, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let name = input.consumer_name.as_deref();
    let mut constraints = Constraints::new();
    constraints.required("streamARN", input.stream_arn.as_ref()).required("consumerName", name.as_ref());
    check_name(&mut constraints, name);
    constraints.finish()?;
    let labels = input.tags.unwrap_or_default();
    tags::check(&labels)?;
    let stream = kinesis.stream(None, input.stream_arn.as_deref())?;
    let made = kinesis.streams.add_consumer(&stream.name, name.unwrap_or_default(), labels).await;
    let made = made.map_err(|error| kinesis.error(&error))?;
    Ok(json!({ "Consumer": shown(kinesis, &stream, &made, false) }))
}

pub(super) async fn deregister(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    let Found { stream, consumer } = named(kinesis, request)?;
    let removed = kinesis.streams.remove_consumer(&stream.name, &consumer.name).await;
    removed.map_err(|error| kinesis.error(&error))?;
    Ok(Bytes::new())
}

pub(super) fn describe(kinesis: &Kinesis, request: &JsonRequest) -> Result<Value, ServiceError> {
    let Found { stream, consumer } = named(kinesis, request)?;
    Ok(json!({ "ConsumerDescription": shown(kinesis, &stream, &consumer, true) }))
}

pub(super) fn list(kinesis: &Kinesis, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    Constraints::new()
        .required("streamARN", input.stream_arn.as_ref())
        .range("maxResults", input.max_results, 1, 10_000)
        .length("nextToken", input.next_token.as_deref(), 1, list_shards::TOKEN_CHARS_MAX)
        .finish()?;
    let stream = kinesis.stream(None, input.stream_arn.as_deref())?;
    list_shards::check_creation(kinesis, &stream, input.stream_creation_timestamp)?;
    let after = match &input.next_token {
        None => None,
        Some(token) => {
            let last = page_token::open(kinesis, PURPOSE, token)?;
            Some(String::from_utf8(last).map_err(|_| page_token::wrong())?)
        }
    };
    let limit = input.max_results.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE);
    let mut consumers: Vec<&StreamConsumer> = stream.consumers.iter().collect();
    consumers.sort_by(|one, other| one.name.cmp(&other.name));
    consumers.retain(|consumer| after.as_ref().is_none_or(|after| consumer.name > *after));
    let page = &consumers[..consumers.len().min(limit)];
    let shown: Vec<Value> = page.iter().map(|consumer| shown(kinesis, &stream, consumer, false)).collect();
    let mut answer = json!({ "Consumers": shown });
    if let (true, Some(last)) = (consumers.len() > limit, page.last()) {
        answer["NextToken"] = json!(page_token::make(kinesis, PURPOSE, last.name.as_bytes()));
    }
    Ok(answer)
}

/// The consumer that a request names, by its ARN or by its stream and name. What is given beside the ARN has to agree with it.
fn named(kinesis: &Kinesis, request: &JsonRequest) -> Result<Found, ServiceError> {
    let input: Input = request.input()?;
    let mut constraints = Constraints::new();
    check_name(&mut constraints, input.consumer_name.as_deref());
    constraints.finish()?;
    match (&input.consumer_arn, &input.stream_arn, &input.consumer_name) {
        (Some(arn), stream, name) => {
            let found = of_arn(kinesis, arn)?;
            let is_of = |stream: &String| kinesis.arn(&found.stream.name) == *stream;
            let agrees =
                stream.as_ref().is_none_or(is_of) && name.as_ref().is_none_or(|name| *name == found.consumer.name);
            let told =
                || invalid("ConsumerARN does not agree with StreamARN or ConsumerName, which are given beside it.");
            if agrees { Ok(found) } else { Err(told()) }
        }
        (None, Some(stream), Some(name)) => {
            let stream = kinesis.stream(None, Some(stream))?;
            found(kinesis, stream, name)
        }
        _ => Err(invalid("Either ConsumerARN, or StreamARN and ConsumerName, must be provided.")),
    }
}

/// The consumer of an ARN: one of the same name that was made at another time is another one.
pub(super) fn of_arn(kinesis: &Kinesis, arn: &str) -> Result<Found, ServiceError> {
    let wrong = || invalid(format!("{arn} is not the ARN of a consumer."));
    let (stream, consumer) = arn.split_once("/consumer/").ok_or_else(wrong)?;
    let (name, created) = consumer.rsplit_once(':').ok_or_else(wrong)?;
    let found = found(kinesis, kinesis.stream(None, Some(stream))?, name)?;
    if (found.consumer.created / 1_000).to_string() != created {
        let error = StreamError::ConsumerNotFound { stream: found.stream.name.clone(), consumer: name.to_owned() };
        return Err(kinesis.error(&error));
    }
    Ok(found)
}

fn found(kinesis: &Kinesis, stream: Arc<StreamDefinition>, name: &str) -> Result<Found, ServiceError> {
    match stream.consumers.iter().find(|consumer| consumer.name == name).cloned() {
        Some(consumer) => Ok(Found { stream, consumer }),
        None => {
            let error = StreamError::ConsumerNotFound { stream: stream.name.clone(), consumer: name.to_owned() };
            Err(kinesis.error(&error))
        }
    }
}

/// A consumer's ARN: it ends with the second of its making.
fn arn(kinesis: &Kinesis, stream: &StreamDefinition, consumer: &StreamConsumer) -> String {
    format!("{}/consumer/{}:{}", kinesis.arn(&stream.name), consumer.name, consumer.created / 1_000)
}

impl Kinesis {
    /// The ARN of the consumer that a request names by its stream and name: what policies of consumers speak of. One that is not
    /// there was made at no time.
    pub(crate) fn consumer_arn(&self, stream_arn: &str, name: &str) -> String {
        let consumer = self.stream(None, Some(stream_arn)).and_then(|stream| found(self, stream, name));
        let created = consumer.map_or(0, |found| found.consumer.created / 1_000);
        format!("{stream_arn}/consumer/{name}:{created}")
    }
}

fn shown(kinesis: &Kinesis, stream: &StreamDefinition, consumer: &StreamConsumer, with_stream: bool) -> Value {
    let mut shown = json!({
        "ConsumerName": consumer.name,
        "ConsumerARN": arn(kinesis, stream, consumer),
        "ConsumerStatus": "ACTIVE",
        "ConsumerCreationTimestamp": seconds(consumer.created),
    });
    if with_stream {
        shown["StreamARN"] = json!(kinesis.arn(&stream.name));
    }
    shown
}

fn check_name(constraints: &mut Constraints, name: Option<&str>) {
    constraints.length("consumerName", name, 1, 128).characters(
        "consumerName",
        name,
        name_character,
        "[a-zA-Z0-9_.-]+",
    );
}
