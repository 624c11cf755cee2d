//! `DeleteStream`

use bytes::Bytes;
use serde::Deserialize;

use super::Kinesis;
use crate::json_protocol::{JsonRequest, ServiceError};

#[derive(Deserialize)]
struct Input {
    #[serde(rename = "StreamName")]
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
}

pub(super) async fn call(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    let input: Input = request.input()?;
    let stream = kinesis.stream(input.stream_name.as_deref(), input.stream_arn.as_deref())?;
    kinesis.streams.delete(&stream.name).await.map_err(|error| kinesis.error(&error))?;
    Ok(Bytes::new())
}
