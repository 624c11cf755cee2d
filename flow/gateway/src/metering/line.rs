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

impl AccessLine {
    /// Writes it as it is logged: what `serde_json` would write, at a fraction of what that costs for each request.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut line = Members { out };
        line.text("{\"request_id\":", &self.request_id);
        line.number(",\"time\":", self.time);
        line.number(",\"hour\":", self.hour);
        line.text(",\"key\":", &self.key);
        line.text(",\"plan\":", &self.plan);
        if !self.product.is_empty() {
            line.text(",\"product\":", &self.product);
        }
        if !self.customer.is_empty() {
            line.text(",\"customer\":", &self.customer);
        }
        if let Some(from) = self.quota_from {
            line.number(",\"quota_from\":", from);
        }
        line.text(",\"api\":", &self.api);
        line.text(",\"stage\":", &self.stage);
        line.text(",\"method\":", &self.method);
        line.text(",\"resource\":", &self.resource);
        line.number(",\"status\":", self.status);
        line.number(",\"latency_ms\":", self.latency_ms);
        line.number(",\"request_bytes\":", self.request_bytes);
        line.number(",\"response_bytes\":", self.response_bytes);
        out.push(b'}');
    }
}

/// The members of a JSON object while they are written; each comes with what stands before its value.
struct Members<'o> {
    out: &'o mut Vec<u8>,
}

impl Members<'_> {
    fn text(&mut self, before: &str, value: &str) {
        self.out.extend_from_slice(before.as_bytes());
        if value.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
            self.out.push(b'"');
            self.out.extend_from_slice(value.as_bytes());
            self.out.push(b'"');
        } else {
            // A vector takes everything, and there is no text that JSON cannot say.
            let _ = serde_json::to_writer(&mut *self.out, value);
        }
    }

    fn number(&mut self, before: &str, value: impl itoa::Integer) {
        self.out.extend_from_slice(before.as_bytes());
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_as_serde_writes_them() {
        let least = AccessLine::default();
        let most = AccessLine {
            request_id: "4f7c".to_owned(),
            time: 1_760_000_000_123,
            hour: -3_600_000,
            key: "k1".to_owned(),
            plan: "p1".to_owned(),
            product: "prod\\1".to_owned(),
            customer: "two\nlines".to_owned(),
            quota_from: Some(7),
            api: "a1".to_owned(),
            stage: "s\"1\"".to_owned(),
            method: "GET".to_owned(),
            resource: "/\u{fc}/{id}\u{7f}".to_owned(),
            status: 499,
            latency_ms: u64::MAX,
            request_bytes: 1,
            response_bytes: 2,
        };
        for line in [least, most] {
            let mut written = Vec::new();
            line.write(&mut written);
            assert_eq!(String::from_utf8(written), Ok(serde_json::to_string(&line).unwrap()));
        }
    }
}
