//! Entity tags, and the conditions that requests make with them.

use http::header;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::Call;
use super::error::JobError;

/// The tag of a document, in the form of the service's ids: the same document, the same tag.
pub(super) fn fingerprint(document: &Value) -> String {
    let digest = Sha256::digest(document.to_string().as_bytes());
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Holds a request to its `If-Match` and `If-None-Match`; `current`: the tag of what is there.
pub(super) fn check(call: &Call, current: Option<&str>) -> Result<(), JobError> {
    let tags = |name: header::HeaderName| call.request.header(name.as_str());
    if let Some(wanted) = tags(header::IF_MATCH)
        && !matches(wanted, current)
    {
        let found = current.unwrap_or("nothing");
        return Err(JobError::precondition(format!("If-Match asks for {wanted}, found {found}")));
    }
    if let Some(unwanted) = tags(header::IF_NONE_MATCH)
        && matches(unwanted, current)
    {
        return Err(JobError::precondition("If-None-Match asks for a resource that is not there yet, and it is there"));
    }
    Ok(())
}

fn matches(tags: &str, current: Option<&str>) -> bool {
    let Some(current) = current else { return false };
    tags.split(',')
        .map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"'))
        .any(|tag| tag == "*" || tag == current)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_match_quoted_or_not_and_a_star_matches_what_is_there() {
        for (tags, current, expected) in [
            ("\"a\"", Some("a"), true),
            ("a", Some("a"), true),
            ("\"b\", W/\"a\"", Some("a"), true),
            ("\"b\"", Some("a"), false),
            ("*", Some("a"), true),
            ("*", None, false),
        ] {
            assert_eq!(matches(tags, current), expected, "{tags} {current:?}");
        }
    }
}
