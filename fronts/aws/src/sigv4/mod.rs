//! AWS Signature Version 4: checking what clients sign, and signing as a client does.
//!
//! Source: the AWS IAM user guide, "Create a signed AWS API request". Read next: [`canonical`] (what is signed),
//! [`verify`] (how it is checked).

mod canonical;
mod sign;
mod verify;

pub use sign::{Credentials, sign};
pub use verify::{Claim, SignatureError};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// The one algorithm that is accepted.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What a key is derived for: a day, a region, a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// `20261121`
    pub date: String,
    /// `us-east-1`
    pub region: String,
    /// `kinesis`
    pub service: String,
}

impl Scope {
    fn text(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.date, self.region, self.service)
    }
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// The signature of a canonical request.
fn signature(secret: &str, scope: &Scope, time: &str, canonical_request: &str) -> String {
    let hashed = hex::encode(Sha256::digest(canonical_request.as_bytes()));
    let to_sign = format!("{ALGORITHM}\n{time}\n{}\n{hashed}", scope.text());
    let mut key = hmac(format!("AWS4{secret}").as_bytes(), scope.date.as_bytes());
    for part in [&scope.region, &scope.service, "aws4_request"] {
        key = hmac(&key, part.as_bytes());
    }
    hex::encode(hmac(&key, to_sign.as_bytes()))
}

/// `20261121T040506Z`
fn amz_time(millis: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Milliseconds of `20261121T040506Z`.
fn parse_amz_time(text: &str) -> Option<i64> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}
