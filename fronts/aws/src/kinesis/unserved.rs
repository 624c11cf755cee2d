//! What the service has and this node does not: what is asked for must not be left undone in silence.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::invalid;
use crate::json_protocol::{JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Unserved {
    stream_id: Option<IgnoredAny>,
}

/// Refuses a request that has a member of this kind.
pub(super) fn check(request: &JsonRequest) -> Result<(), ServiceError> {
    let found: Unserved = request.input()?;
    refuse("StreamId", found.stream_id.is_some())
}

/// Refuses a member by its name.
pub(super) fn refuse(member: &str, is_asked: bool) -> Result<(), ServiceError> {
    if is_asked { Err(invalid(format!("{member} is not supported by this node."))) } else { Ok(()) }
}

/// The refusal of an operation that is not served: by the name of the product that it belongs to, where there is one.
pub(super) fn operation(name: &str) -> ServiceError {
    let products = [("Channel", "Channels are"), ("Queue", "Queues of streams are")];
    match products.into_iter().find(|(word, _)| name.contains(word)) {
        Some((_, product)) => invalid(format!("{product} not supported by this node, so {name} is not either.")),
        None => ServiceError::unknown_operation("Kinesis", name),
    }
}
