//! Master-key signatures: `type=master&ver=1.0&sig=…`, an HMAC-SHA256 over verb, kind of resource, link and date.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use millstream_types::Millis;
use percent_encoding::percent_decode_str;

use super::error::CosmosError;
use super::target::Target;
use crate::request::AzureRequest;
use crate::{signing, time};

/// How far a request's date may be off: the service's own 15 minutes.
const SKEW_MS: Millis = 15 * 60 * 1000;

/// Lets a request in, or says why not.
pub(super) fn check(request: &AzureRequest, target: &Target, key: &[u8], now: Millis) -> Result<(), CosmosError> {
    let Some(authorization) = request.header("authorization") else {
        return Err(unauthorized(
            "Required Header authorization is missing. Ensure a valid Authorization token is passed.",
        ));
    };
    let token = percent_decode_str(authorization).decode_utf8_lossy();
    let field = |name: &str| {
        let named = token.split('&').filter_map(|field| field.split_once('='));
        named.into_iter().find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
    };
    match (field("type").as_deref(), field("ver").as_deref()) {
        (Some("master"), Some("1.0")) => {}
        (Some("aad" | "resource"), _) => {
            return Err(unauthorized("Only master keys are supported by this node, not Entra ID or resource tokens."));
        }
        _ => return Err(unauthorized("Authorization header doesn't confirm to the required format.")),
    }
    let date = date(request)?;
    let near = time::parse_rfc1123(&date).is_some_and(|at| now.abs_diff(at) <= SKEW_MS.unsigned_abs());
    if !near {
        return Err(CosmosError::new(
            StatusCode::FORBIDDEN,
            "Forbidden",
            format!(
                "The authorization token is not valid at the current time. Please create another token and retry (date of the request: {date})."
            ),
        ));
    }
    let payload = payload(request, target, &date);
    let given = STANDARD.decode(field("sig").unwrap_or_default()).unwrap_or_default();
    if signing::is_signed_with(key, &payload, &given) {
        return Ok(());
    }
    Err(unauthorized(format!(
        "The input authorization token can't serve the request. The wrong key is being used or the expected payload is not built as per the protocol. Server used the following payload to sign: '{}'",
        payload.replace('\n', "\\n")
    )))
}

pub(super) fn payload(request: &AzureRequest, target: &Target, date: &str) -> String {
    let (kind, link) = target.signed();
    let verb = request.method.as_str().to_ascii_lowercase();
    // The second date is that of the header `date`, which is signed only where `x-ms-date` is not given.
    let (first, second) = if request.header("x-ms-date").is_some() { (date, "") } else { ("", date) };
    format!("{verb}\n{kind}\n{link}\n{}\n{}\n", first.to_ascii_lowercase(), second.to_ascii_lowercase())
}

fn date(request: &AzureRequest) -> Result<String, CosmosError> {
    let date = request.header("x-ms-date").or_else(|| request.header("date"));
    date.map(str::to_owned).ok_or_else(|| unauthorized("Required Header date is missing."))
}

fn unauthorized(message: impl Into<String>) -> CosmosError {
    CosmosError::new(StatusCode::UNAUTHORIZED, "Unauthorized", message)
}
