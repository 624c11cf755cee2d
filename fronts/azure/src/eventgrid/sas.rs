//! Who may publish: whoever has one of the topic's keys, or a token signed with one.
//!
//! A token is `r=RESOURCE&e=EXPIRY&s=SIGNATURE`, each value percent-encoded; the signature is the HMAC-SHA256, under the
//! decoded key, of what precedes `&s=` as it was sent. Source: "Authenticate publishing clients using access keys or SAS".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use millstream_types::Millis;
use percent_encoding::percent_decode_str;
use subtle::ConstantTimeEq as _;

use super::error::EventGridError;
use crate::request::AzureRequest;
use crate::signing::is_signed;

/// The longest token: an address of 2 KiB, encoded, and two short values.
const TOKEN_BYTES_MAX: usize = 8 << 10;

/// Checks what a request proves itself with.
pub(super) fn check(request: &AzureRequest, keys: &[String; 2], now: Millis) -> Result<(), EventGridError> {
    let authorization = request.header("authorization").and_then(|value| value.strip_prefix("SharedAccessSignature "));
    if let Some(key) = request.header("aeg-sas-key") {
        return check_key(key, keys);
    }
    match request.header("aeg-sas-token").or(authorization) {
        Some(token) => check_token(token.trim_start_matches("SharedAccessSignature "), &request.path, keys, now),
        None => Err(EventGridError::unauthorized(
            "Request must contain one of the following authorization signature: aeg-sas-token, aeg-sas-key.",
        )),
    }
}

fn check_key(key: &str, keys: &[String; 2]) -> Result<(), EventGridError> {
    // Both are compared to their ends, so that the time tells nothing.
    let [first, second] = keys.each_ref().map(|expected| expected.as_bytes().ct_eq(key.as_bytes()));
    if bool::from(first | second) {
        return Ok(());
    }
    Err(EventGridError::unauthorized("The request authorization key is not authorized for this topic."))
}

fn check_token(token: &str, path: &str, keys: &[String; 2], now: Millis) -> Result<(), EventGridError> {
    let malformed = || EventGridError::unauthorized("The SAS token is malformed: expected r=…&e=…&s=….");
    if token.len() > TOKEN_BYTES_MAX {
        return Err(malformed());
    }
    let (signed, signature) = token.rsplit_once("&s=").ok_or_else(malformed)?;
    let (resource, expiry) = signed.strip_prefix("r=").and_then(|rest| rest.split_once("&e=")).ok_or_else(malformed)?;
    let signature = decode(signature);
    if STANDARD.decode(&signature).is_err() {
        return Err(malformed());
    }
    if !keys.iter().any(|key| is_signed(key, signed, &signature)) {
        return Err(EventGridError::unauthorized("The SAS token's signature is not valid for this topic."));
    }
    let expiry = decode(expiry);
    let expires = expiry_of(&expiry)
        .ok_or_else(|| EventGridError::unauthorized(format!("The SAS token's expiry is no time: {expiry}.")))?;
    if expires.as_millisecond() <= now {
        return Err(EventGridError::unauthorized(format!("The SAS token has expired at {expires}.")));
    }
    // The host is not compared: a gateway or proxy in front has another name. The key is this topic's alone.
    if !covers(&decode(resource), path) {
        return Err(EventGridError::unauthorized("The SAS token is for another resource."));
    }
    Ok(())
}

/// A value as it was before it was encoded; some clients write blanks as `+`.
fn decode(value: &str) -> String {
    percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// Whether the path of an address is a path or above it.
fn covers(resource: &str, path: &str) -> bool {
    let behind_scheme = resource.split_once("://").map_or(resource, |(_, rest)| rest);
    let resource = behind_scheme.split(['?', '#']).next().unwrap_or_default();
    let own = resource.find('/').map_or("", |slash| &resource[slash..]).trim_end_matches('/');
    let begins = path.get(..own.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(own));
    begins && matches!(path.as_bytes().get(own.len()), None | Some(b'/'))
}

/// The time of an expiry, in the formats of the official clients: `2026-11-21 04:39:06.945081+00:00` (Python),
/// `11/21/2026 4:39:08 AM` (JavaScript and .NET, UTC), RFC 3339.
fn expiry_of(text: &str) -> Option<Timestamp> {
    // Newer JavaScript runtimes put a narrow blank before AM and PM.
    let text = text.replace(',', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let civil = text.parse::<DateTime>().or_else(|_| DateTime::strptime("%m/%d/%Y %I:%M:%S %p", &text)).ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    use super::*;
    use crate::signing::sign;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const PATH: &str = "/eventgrid/orders/api/events";

    fn token(resource: &str, expiry: &str) -> String {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let signed = format!("r={}&e={}", encode(resource), encode(expiry));
        format!("{signed}&s={}", encode(&sign(KEY, &signed)))
    }

    /// What is said of a token at 2026-11-21T04:00:00Z; empty when it is good.
    fn complaint(token: &str) -> String {
        let keys = ["AAAA".to_owned(), KEY.to_owned()];
        check_token(token, PATH, &keys, 1_795_233_600_000).map_or_else(|error| error.message, |()| String::new())
    }

    #[test]
    fn tokens_of_every_client_are_taken() {
        let resource = format!("http://127.0.0.1:4566{PATH}?apiVersion=2018-01-01");
        for expiry in [
            "2026-11-21 04:39:06.945081+00:00",
            "2026-11-21T04:39:06Z",
            "2026-11-21T06:39:06+02:00",
            "11/21/2026 4:39:08 AM",
            "11/21/2026, 4:39:08\u{202f}AM",
        ] {
            assert_eq!(complaint(&token(&resource, expiry)), "", "{expiry}");
        }
        let blanks = token(&resource, "11/21/2026 4:39:08 AM").replace("%20", "+");
        assert!(complaint(&blanks).contains("signature"), "what was sent is what was signed");
        assert_eq!(complaint(&token("https://gateway.example.org/eventgrid/orders", "2027-01-01T00:00:00Z")), "");
    }

    #[test]
    fn other_tokens_are_refused_with_the_reason() {
        let resource = format!("http://127.0.0.1:4566{PATH}");
        let good = token(&resource, "2026-11-21T04:39:06Z");
        for (token, expected) in [
            (String::new(), "malformed"),
            ("r=a&e=b".to_owned(), "malformed"),
            ("r=a&e=b&s=!".to_owned(), "malformed"),
            (good.replace("r=http", "r=https"), "signature"),
            (good.replace("04%3A39", "05%3A39"), "signature"),
            (token(&resource, "2026-11-21T03:39:06Z"), "expired"),
            (token(&resource, "11/20/2026 11:59:59 PM"), "expired"),
            (token(&resource, "tomorrow"), "no time"),
            (token("http://127.0.0.1:4566/eventgrid/other/api/events", "2027-01-01T00:00:00Z"), "another resource"),
            (token("http://127.0.0.1:4566/eventgrid/ord", "2027-01-01T00:00:00Z"), "another resource"),
            ("x".repeat(TOKEN_BYTES_MAX + 1), "malformed"),
        ] {
            assert!(complaint(&token).contains(expected), "{token}: {}", complaint(&token));
        }
    }

    #[test]
    fn either_key_is_taken() {
        let keys = [KEY.to_owned(), "c2Vjb25k".to_owned()];
        assert!(check_key(KEY, &keys).is_ok() && check_key("c2Vjb25k", &keys).is_ok());
        assert!(check_key("c2Vjb25", &keys).is_err() && check_key("", &keys).is_err());
    }
}
