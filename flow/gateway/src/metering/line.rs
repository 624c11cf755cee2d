//! The access log: one JSON object a line, in the stream [`ACCESS_STREAM`], for SQL, tails and whoever checks a bill.

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

/// The stream of the access log.
pub const ACCESS_STREAM: &str = "gateway/access";

/// How long lines stay. The counts stay longer.
pub(crate) const RETENTION_HOURS: u32 = 168;

/// The status of a request whose caller went away before its answer.
pub(crate) const CALLER_GONE: u16 = 499;

/// A metered request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessLine {
    /// The id that the answer carried.
    pub request_id: String,
    /// When the request came, milliseconds since 1970.
    pub time: Millis,
    /// The begin of the hour that it is counted in, milliseconds since 1970.
    pub hour: Millis,
    /// The key's id.
    pub key: String,
    /// The usage plan's id.
    pub plan: String,
    /// The product at the marketplace that the plan is sold as; empty without.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub product: String,
    /// Whose the key is at the marketplace; empty without.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub customer: String,
    /// When the period of the plan's quota began that it is counted in, milliseconds since 1970; absent without a quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_from: Option<Millis>,
    /// The API's id.
    pub api: String,
    /// The stage.
    pub stage: String,
    /// The HTTP method.
    pub method: String,
    /// The resource's path, with its parameters' names.
    pub resource: String,
    /// The answer's status; 499 when the caller went away.
    pub status: u16,
    /// Milliseconds until the answer was there.
    pub latency_ms: u64,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
}
