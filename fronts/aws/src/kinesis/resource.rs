//! What a `ResourceARN` names: a stream, or one of its consumers.

use std::sync::Arc;

use millstream_catalog::{StreamConsumer, StreamDefinition};

use super::{Kinesis, consumers};
use crate::json_protocol::ServiceError;

/// A stream, or one of its consumers.
pub(super) struct Resource {
    pub(super) stream: Arc<StreamDefinition>,
    /// `None`: the stream itself.
    pub(super) consumer: Option<StreamConsumer>,
}

impl Resource {
    /// The resource of an ARN.
    ///
    /// # Errors
    /// `ResourceNotFoundException`, or `InvalidArgumentException` for what is no ARN.
    pub(super) fn of_arn(kinesis: &Kinesis, arn: &str) -> Result<Self, ServiceError> {
        if arn.contains("/consumer/") {
            let found = consumers::of_arn(kinesis, arn)?;
            return Ok(Self { stream: found.stream, consumer: Some(found.consumer) });
        }
        Ok(Self { stream: kinesis.stream(None, Some(arn))?, consumer: None })
    }
}
