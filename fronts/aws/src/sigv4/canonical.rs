//! The canonical form of a request: what both sides sign.

use http::{HeaderMap, Method, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986 is escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The parts of a request that are signed.
pub(super) struct Parts<'r> {
    pub(super) method: &'r Method,
    /// As sent.
    pub(super) path: &'r str,
    /// As sent; empty when there is none.
    pub(super) query: &'r str,
    pub(super) headers: &'r HeaderMap,
    /// For requests without a `host` header.
    pub(super) authority: &'r str,
}

/// The canonical request over some headers (lower case, sorted). `None` when one of them is not there.
///
/// S3 signs the path as sent; all others escape it once more.
pub(super) fn request(parts: &Parts<'_>, service: &str, signed: &[&str], payload_hash: &str) -> Option<String> {
    let mut headers = String::new();
    for name in signed {
        headers.push_str(name);
        headers.push(':');
        push_value(&mut headers, parts, name)?;
        headers.push('\n');
    }
    let path = if service == "s3" { parts.path.to_owned() } else { escaped_path(parts.path) };
    Some(format!(
        "{}\n{path}\n{}\n{headers}\n{}\n{payload_hash}",
        parts.method,
        sorted_query(parts.query),
        signed.join(";"),
    ))
}

/// Adds a header's values joined by commas, each without outer and with single inner spaces; `None` when there is none.
fn push_value(into: &mut String, parts: &Parts<'_>, name: &str) -> Option<()> {
    let mut values = parts.headers.get_all(name).iter().peekable();
    if values.peek().is_none() {
        into.push_str(Some(parts.authority).filter(|own| name == header::HOST.as_str() && !own.is_empty())?);
    }
    for (at, value) in values.enumerate() {
        into.push_str(if at == 0 { "" } else { "," });
        let text = String::from_utf8_lossy(value.as_bytes());
        for (at, word) in text.split(' ').filter(|word| !word.is_empty()).enumerate() {
            into.push_str(if at == 0 { "" } else { " " });
            into.push_str(word);
        }
    }
    Some(())
}

fn escaped_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let escaped: Vec<String> =
        segments.iter().map(|segment| utf8_percent_encode(segment, ESCAPED).to_string()).collect();
    let slash = if path.len() > 1 && path.ends_with('/') && !escaped.is_empty() { "/" } else { "" };
    format!("/{}{slash}", escaped.join("/"))
}

/// The parameters escaped anew and sorted; the signature itself, in a presigned address, is left out.
fn sorted_query(query: &str) -> String {
    let mut parameters: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (escape_again(name), escape_again(value)))
        .filter(|(name, _)| name != "X-Amz-Signature")
        .collect();
    parameters.sort();
    let joined: Vec<String> = parameters.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    joined.join("&")
}

fn escape_again(text: &str) -> String {
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    percent_encoding::percent_encode(&bytes, ESCAPED).to_string()
}
