//! Members that this node does not have: what they ask for must not be left undone in silence.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::invalid;
use crate::json_protocol::{JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Unserved {
    stream_id: Option<IgnoredAny>,
    dry_run: Option<bool>,
    record_distribution_strategy: Option<String>,
}

/// Refuses a request that has one of them.
pub(super) fn check(request: &JsonRequest) -> Result<(), ServiceError> {
    let found: Unserved = request.input()?;
    refuse("StreamId", found.stream_id.is_some())?;
    refuse("DryRun", found.dry_run == Some(true))?;
    let strategy = found.record_distribution_strategy.as_deref();
    refuse("RecordDistributionStrategy", strategy.is_some_and(|strategy| strategy != "USER_PARTITION_KEY"))
}

/// Refuses a member by its name.
pub(super) fn refuse(member: &str, is_asked: bool) -> Result<(), ServiceError> {
    if is_asked { Err(invalid(format!("{member} is not supported by this node."))) } else { Ok(()) }
}
