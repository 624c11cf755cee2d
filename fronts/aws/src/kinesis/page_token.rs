//! Tokens of listings: where the next page begins, sealed for the client and good for as long as an iterator.

use millstream_types::Millis;

use super::iterator::LIFETIME_MS;
use super::{Kinesis, invalid};
use crate::json_protocol::ServiceError;

/// A token; `purpose` is the listing's own.
pub(super) fn make(kinesis: &Kinesis, purpose: &str, content: &[u8]) -> String {
    let made = kinesis.clock.now().to_be_bytes();
    kinesis.seal.seal(purpose, &[&made[..], content].concat())
}

/// What a token was made of.
///
/// # Errors
/// `InvalidArgumentException` for other texts, `ExpiredNextTokenException` for old ones.
pub(super) fn open(kinesis: &Kinesis, purpose: &str, token: &str) -> Result<Vec<u8>, ServiceError> {
    let (made, content) = read(kinesis, purpose, token).ok_or_else(wrong)?;
    if kinesis.clock.now().saturating_sub(made) > LIFETIME_MS {
        let message = "NextToken is expired. A token is good for 300 seconds.";
        return Err(ServiceError::new("ExpiredNextTokenException", message));
    }
    Ok(content)
}

/// What a token was made of, however old it is.
pub(super) fn content(kinesis: &Kinesis, purpose: &str, token: &str) -> Option<Vec<u8>> {
    read(kinesis, purpose, token).map(|(_, content)| content)
}

/// A text that no listing gave.
pub(super) fn wrong() -> ServiceError {
    invalid("NextToken is invalid.")
}

fn read(kinesis: &Kinesis, purpose: &str, token: &str) -> Option<(Millis, Vec<u8>)> {
    let bytes = kinesis.seal.open_text(purpose, token)?;
    let (made, content) = bytes.split_first_chunk()?;
    Some((Millis::from_be_bytes(*made), content.to_vec()))
}
