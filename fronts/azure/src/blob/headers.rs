//! Objects in the words of the service's headers, both ways. Pure.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use millstream_object::{ByteRange, Conditions, EtagMatch, Lease, LeaseState, Object, ObjectKind, Properties, lease};
use millstream_types::Millis;

use super::sas::Overrides;
use crate::request::AzureRequest;
use crate::storage::error::ServiceError;
use crate::time;

/// Bytes of all names and values of one object's metadata.
const METADATA_BYTES_MAX: usize = 8 << 10;

/// The media type of a blob for which nobody told one.
pub(super) const CONTENT_TYPE: &str = "application/octet-stream";

const METADATA_PREFIX: &str = "x-ms-meta-";

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

/// Sets a header; a value that no header can hold is left out.
pub(super) fn set(headers: &mut HeaderMap, name: &'static str, value: impl AsRef<str>) {
    if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
        headers.insert(name, value);
    }
}

fn set_optional(headers: &mut HeaderMap, name: &'static str, value: Option<&str>) {
    if let Some(value) = value {
        set(headers, name, value);
    }
}

/// An ETag as headers have it.
pub(super) fn quoted(etag: &str) -> String {
    format!("\"0x{etag}\"")
}

/// Which state of the object an answer is about.
pub(super) fn set_state(headers: &mut HeaderMap, etag: &str, modified: Millis) {
    set(headers, "etag", quoted(etag));
    set(headers, "last-modified", time::rfc1123(modified));
}

/// Everything that is told of an object besides its content and length.
pub(super) fn set_object(headers: &mut HeaderMap, object: &Object, overrides: &Overrides, now: Millis) {
    let properties = &object.properties;
    set_state(headers, &object.etag, object.modified);
    set(headers, "x-ms-creation-time", time::rfc1123(object.created));
    set(headers, "x-ms-blob-type", blob_type(object.kind));
    // Snapshots cannot be leased.
    if object.snapshot.is_none() {
        set_lease(headers, object.lease.as_ref(), now);
    }
    if !properties.tags.is_empty() {
        set(headers, "x-ms-tag-count", properties.tags.len().to_string());
    }
    set(headers, "x-ms-server-encrypted", "false");
    set(headers, "accept-ranges", "bytes");
    let either = |first: &'_ Option<String>, second: &'_ Option<String>| first.clone().or_else(|| second.clone());
    let content_type = either(&overrides.content_type, &properties.content_type);
    set(headers, "content-type", content_type.as_deref().unwrap_or(CONTENT_TYPE));
    for (name, first, second) in [
        ("content-encoding", &overrides.content_encoding, &properties.content_encoding),
        ("content-language", &overrides.content_language, &properties.content_language),
        ("content-disposition", &overrides.content_disposition, &properties.content_disposition),
        ("cache-control", &overrides.cache_control, &properties.cache_control),
    ] {
        set_optional(headers, name, either(first, second).as_deref());
    }
    if object.kind == ObjectKind::Append {
        set(headers, "x-ms-blob-committed-block-count", object.append_blocks.to_string());
    }
    if let Some(copy) = &object.copy {
        set(headers, "x-ms-copy-id", &copy.id);
        set(headers, "x-ms-copy-status", "success");
        set(headers, "x-ms-copy-source", &copy.source);
        set(headers, "x-ms-copy-progress", format!("{0}/{0}", object.length));
        set(headers, "x-ms-copy-completion-time", time::rfc1123(copy.done));
    }
    set_metadata(headers, &properties.metadata);
}

pub(super) fn set_lease(headers: &mut HeaderMap, lease: Option<&Lease>, now: Millis) {
    let words = LeaseWords::of(lease, now);
    set(headers, "x-ms-lease-status", words.status);
    set(headers, "x-ms-lease-state", words.state);
    set_optional(headers, "x-ms-lease-duration", words.duration);
}

/// A lease of a blob or a container in the service's words.
pub(super) struct LeaseWords {
    pub(super) status: &'static str,
    pub(super) state: &'static str,
    /// Only while somebody holds it.
    pub(super) duration: Option<&'static str>,
}

impl LeaseWords {
    pub(super) fn of(lease: Option<&Lease>, now: Millis) -> Self {
        let state = lease::state(lease, now);
        let duration = lease.map(|lease| if lease.seconds.is_some() { "fixed" } else { "infinite" });
        let (status, state, held) = match state {
            LeaseState::Available => ("unlocked", "available", false),
            LeaseState::Leased => ("locked", "leased", true),
            LeaseState::Expired => ("unlocked", "expired", false),
            LeaseState::Breaking => ("locked", "breaking", false),
            LeaseState::Broken => ("unlocked", "broken", false),
        };
        Self { status, state, duration: duration.filter(|_| held) }
    }
}

/// The word for how a blob is written.
pub(super) fn blob_type(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Whole => "BlockBlob",
        ObjectKind::Append => "AppendBlob",
    }
}

pub(super) fn set_metadata(headers: &mut HeaderMap, metadata: &BTreeMap<String, String>) {
    for (name, value) in metadata {
        let name = HeaderName::try_from(format!("{METADATA_PREFIX}{name}"));
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
}

/// The user's own pairs in a request. Names come in lower case: headers are told apart without it, and the server that takes
/// them hands them on so.
pub(super) fn metadata(request: &AzureRequest) -> Result<BTreeMap<String, String>, ServiceError> {
    let invalid = || {
        ServiceError::bad_request(
            "InvalidMetadata",
            "The metadata specified is invalid. It has characters that are not permitted.",
        )
    };
    let mut metadata = BTreeMap::new();
    let mut bytes = 0;
    for (name, value) in &request.headers {
        let Some(name) = name.as_str().strip_prefix(METADATA_PREFIX) else { continue };
        if name.is_empty() {
            let message = "The key for one of the metadata key-value pairs is empty.";
            return Err(ServiceError::bad_request("EmptyMetadataKey", message));
        }
        let value = value.to_str().map_err(|_| invalid())?;
        if !is_identifier(name) {
            return Err(invalid());
        }
        bytes += name.len() + value.len();
        metadata.insert(name.to_owned(), value.to_owned());
    }
    if bytes > METADATA_BYTES_MAX {
        let message = "The size of the specified metadata exceeds the maximum size permitted.";
        return Err(ServiceError::bad_request("MetadataTooLarge", message));
    }
    Ok(metadata)
}

/// Names of metadata are those of variables in C#.
pub(super) fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// What a request says of the blob that it makes or changes.
pub(super) fn properties(request: &AzureRequest) -> Result<Properties, ServiceError> {
    let text = |name: &str| request.header(name).filter(|value| !value.is_empty()).map(str::to_owned);
    Ok(Properties {
        content_type: text("x-ms-blob-content-type"),
        content_encoding: text("x-ms-blob-content-encoding"),
        content_language: text("x-ms-blob-content-language"),
        content_disposition: text("x-ms-blob-content-disposition"),
        cache_control: text("x-ms-blob-cache-control"),
        md5: md5(request, "x-ms-blob-content-md5")?,
        metadata: BTreeMap::new(),
        tags: BTreeMap::new(),
    })
}

/// An MD5 in a header.
pub(super) fn md5(request: &AzureRequest, name: &str) -> Result<Option<[u8; 16]>, ServiceError> {
    let Some(text) = request.header(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let bytes = BASE64.decode(text).ok().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    let message = "The MD5 value specified in the request is invalid. MD5 value must be 128 bits and base64-encoded.";
    bytes.map(Some).ok_or_else(|| ServiceError::bad_request("InvalidMd5", message))
}

/// The conditions of a request.
pub(super) fn conditions(request: &AzureRequest) -> Result<Conditions, ServiceError> {
    let names = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];
    let lease_id = request.header("x-ms-lease-id").map(str::to_owned);
    Ok(Conditions { lease_id, ..conditions_of(request, names)? })
}

/// The conditions that a copy sets for its source.
pub(super) fn source_conditions(request: &AzureRequest) -> Result<Conditions, ServiceError> {
    conditions_of(
        request,
        [
            "x-ms-source-if-match",
            "x-ms-source-if-none-match",
            "x-ms-source-if-modified-since",
            "x-ms-source-if-unmodified-since",
        ],
    )
}

fn conditions_of(request: &AzureRequest, names: [&str; 4]) -> Result<Conditions, ServiceError> {
    let etags = |name| request.header(name).map(etag_match);
    let since = |name| match request.header(name) {
        None => Ok(None),
        Some(text) => match time::parse_rfc1123(text) {
            Some(millis) => Ok(Some(millis)),
            None => Err(ServiceError::invalid_header(name, text)),
        },
    };
    Ok(Conditions {
        if_match: etags(names[0]),
        if_none_match: etags(names[1]),
        if_modified_since: since(names[2])?,
        if_unmodified_since: since(names[3])?,
        lease_id: None,
    })
}

fn etag_match(text: &str) -> EtagMatch {
    if text.trim() == "*" {
        return EtagMatch::Any;
    }
    let etag = |one: &str| one.trim().trim_matches('"').strip_prefix("0x").unwrap_or_default().to_owned();
    EtagMatch::OneOf(text.split(',').map(etag).collect())
}

/// The range of a request: the service's own header wins over HTTP's.
pub(super) fn range(request: &AzureRequest) -> Result<ByteRange, ServiceError> {
    let own = request.header("x-ms-range").map(|text| ("x-ms-range", text));
    let Some((name, text)) = own.or_else(|| request.header("range").map(|text| ("range", text))) else {
        return Ok(ByteRange::All);
    };
    let parse = || {
        let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
        let first: u64 = first.parse().ok()?;
        let last = if last.is_empty() { None } else { Some(last.parse::<u64>().ok()?) };
        last.is_none_or(|last| last >= first).then_some(ByteRange::From(first, last))
    };
    parse().ok_or_else(|| ServiceError::invalid_header(name, text))
}

/// An MD5 as headers and documents have it.
pub(super) fn md5_text(md5: [u8; 16]) -> String {
    BASE64.encode(md5)
}

/// A number of a header.
pub(super) fn number(request: &AzureRequest, name: &str) -> Result<Option<u64>, ServiceError> {
    let parse = |text: &str| text.parse().map_err(|_| ServiceError::invalid_header(name, text));
    request.header(name).map(parse).transpose()
}

/// Sets the length of a body that is not sent.
pub(super) fn set_length(headers: &mut HeaderMap, length: u64) {
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn request(headers: &[(&str, &str)]) -> AzureRequest {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        AzureRequest {
            peer: std::net::Ipv4Addr::LOCALHOST.into(),
            method: Method::GET,
            path: String::new(),
            query: String::new(),
            headers: headers.iter().map(pair).collect(),
            host: String::new(),
            scheme: "http",
            body: Bytes::new(),
            request_id: String::new(),
        }
    }

    #[test]
    fn ranges_are_read_strictly() {
        for (text, expected) in [
            ("bytes=0-9", Some(ByteRange::From(0, Some(9)))),
            ("bytes=5-", Some(ByteRange::From(5, None))),
            ("bytes=9-5", None),
            ("bytes=-5", None),
            ("bytes=0-1,3-4", None),
            ("lines=0-1", None),
        ] {
            assert_eq!(range(&request(&[("range", text)])).ok(), expected, "{text}");
        }
        let both = request(&[("range", "bytes=0-1"), ("x-ms-range", "bytes=2-3")]);
        assert_eq!(range(&both).unwrap(), ByteRange::From(2, Some(3)));
        assert_eq!(range(&request(&[])).unwrap(), ByteRange::All);
    }

    #[test]
    fn conditions_know_the_etags_that_were_given_out() {
        let of = |text: &str| conditions(&request(&[("if-match", text)])).unwrap().if_match.unwrap();
        assert_eq!(of("*"), EtagMatch::Any);
        assert_eq!(of(&quoted("AB")), EtagMatch::OneOf(vec!["AB".into()]));
        assert_eq!(of("0xAB, \"0xCD\""), EtagMatch::OneOf(vec!["AB".into(), "CD".into()]));
        assert!(conditions(&request(&[("if-modified-since", "yesterday")])).is_err());
    }

    #[test]
    fn metadata_have_the_names_of_variables() {
        let of = |name: &str| metadata(&request(&[(name, "v")])).map_err(|error| error.code);
        assert_eq!(of("x-ms-meta-a_1").unwrap().get("a_1").map(String::as_str), Some("v"));
        assert_eq!(of("x-ms-meta-"), Err("EmptyMetadataKey"));
        assert_eq!(of("x-ms-meta-1a"), Err("InvalidMetadata"));
        assert_eq!(of("x-ms-meta-a-b"), Err("InvalidMetadata"));
        let long = "v".repeat(METADATA_BYTES_MAX);
        assert!(metadata(&request(&[("x-ms-meta-a", &long)])).is_err());
    }
}
