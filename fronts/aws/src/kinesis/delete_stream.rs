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
    #[serde(rename = "EnforceConsumerDeletion")]
    enforce_consumer_deletion: Option<bool>,
}

pub(super) async fn call(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    let input: Input = request.input()?;
    let stream = kinesis.stream(input.stream_name.as_deref(), input.stream_arn.as_deref())?;
    if !stream.consumers.is_empty() && input.enforce_consumer_deletion != Some(true) {
        let message = format!(
            "Stream {} under account {} has registered consumers: deregister them first, or set EnforceConsumerDeletion.",
            stream.name, kinesis.place.account
        );
        return Err(ServiceError::new("ResourceInUseException", message));
    }
    kinesis.streams.delete(&stream.name).await.map_err(|error| kinesis.error(&error))?;
    Ok(Bytes::new())
}
