//! AWS Signature Version 4: checking what clients sign, and signing as a client does.
//!
//! Source: the AWS IAM user guide, "Create a signed AWS API request". Read next: [`canonical`] (what is signed),
//! [`verify`] (how it is checked).

mod canonical;
mod keys;
mod sign;
mod time;
mod verify;

pub use keys::SigningKeys;
pub use sign::{Credentials, sign};
pub use verify::{Claim, SignatureError};

use ring::{digest, hmac};

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

/// The digest that bodies and canonical requests are signed by, in hexadecimal digits.
///
/// Bodies of records are large: of the two implementations that the project has anyway this one is the faster on processors
/// without instructions for it.
fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

/// The signature of a canonical request by a key derived for `scope`.
fn signature(key: &hmac::Key, scope: &Scope, time: &str, canonical_request: &str) -> String {
    let to_sign = format!("{ALGORITHM}\n{time}\n{}\n{}", scope.text(), sha256_hex(canonical_request.as_bytes()));
    hex::encode(hmac::sign(key, to_sign.as_bytes()))
}
