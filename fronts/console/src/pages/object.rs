//! `/buckets/{bucket}/{key}`: an object's properties, the beginning of its content when it is text, and the way to take
//! all of it.

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use millstream_object::{ByteRange, Conditions, EtagMatch, Object, ObjectError};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Frame;
use crate::Console;
use crate::error::ConsoleError;
use crate::format;
use crate::page::Page;

/// Bytes of the content that the page shows.
const SHOWN_BYTES_MAX: u64 = 64 << 10;
/// Bytes of a download that are read at a time.
const PIECE_BYTES: u64 = 4 << 20;

#[derive(Template)]
#[template(path = "pages/object.html")]
struct ObjectPage<'a> {
    frame: Frame,
    bucket: &'a str,
    bucket_href: String,
    key: &'a str,
    facts: Vec<(String, String)>,
    content_href: String,
    text: Option<String>,
    /// Whether there is more of it.
    cut: bool,
    no_text: &'static str,
}

pub(super) async fn page(console: &Console, bucket: &str, key: &str, frame: Frame) -> Result<String, ConsoleError> {
    let object = console.objects().head(bucket, key, &Conditions::default()).await?;
    let page = ObjectPage {
        frame,
        bucket,
        bucket_href: folder_of(bucket, key).href(),
        key,
        facts: facts(&object),
        content_href: Page::content_of(bucket, key),
        text: beginning(console, bucket, &object).await?,
        cut: object.length > SHOWN_BYTES_MAX,
        no_text: if object.length == 0 { "It is empty." } else { "It is no text." },
    };
    Ok(page.render()?)
}

/// The page that lists an object.
fn folder_of(bucket: &str, key: &str) -> Page {
    let prefix = key.rfind('/').map_or("", |end| &key[..=end]).to_owned();
    Page::Bucket { name: bucket.to_owned(), prefix, after: String::new() }
}

/// What is known of it: word and value.
fn facts(object: &Object) -> Vec<(String, String)> {
    let properties = &object.properties;
    let mut facts = vec![
        ("size".to_owned(), format::size(object.length)),
        ("written as".to_owned(), object.kind.to_string()),
        ("made".to_owned(), format!("{} UTC", format::date_time(object.created))),
        ("changed".to_owned(), format!("{} UTC", format::date_time(object.modified))),
        ("etag".to_owned(), object.etag.clone()),
    ];
    let told = [
        ("type", &properties.content_type),
        ("encoding", &properties.content_encoding),
        ("language", &properties.content_language),
        ("disposition", &properties.content_disposition),
        ("cache control", &properties.cache_control),
    ];
    let told = told.into_iter().filter_map(|(word, value)| Some((word.to_owned(), value.clone()?)));
    facts.extend(told);
    facts.extend(object.copy.iter().map(|copy| ("copied from".to_owned(), copy.source.clone())));
    facts.extend(properties.metadata.iter().map(|(name, value)| (format!("metadata {name}"), value.clone())));
    facts
}

/// The beginning of its content; `None` when it is no text or empty.
async fn beginning(console: &Console, bucket: &str, object: &Object) -> Result<Option<String>, ConsoleError> {
    if object.length == 0 {
        return Ok(None);
    }
    let range = ByteRange::From(0, Some(SHOWN_BYTES_MAX - 1));
    let reading = console.objects().read(bucket, &object.key, range, &Conditions::default()).await?;
    Ok(text(&reading.content))
}

/// Bytes as text, without a last character that is cut in two; `None` when they are something else.
fn text(bytes: &[u8]) -> Option<String> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    let odd = |sign: char| sign.is_control() && !matches!(sign, '\n' | '\r' | '\t');
    (!text.is_empty() && !text.contains(odd)).then(|| text.to_owned())
}

/// `GET /buckets/{bucket}/{key}/content`: all of an object, to be saved and never to be shown.
///
/// # Errors
/// The object engine's.
pub async fn download(
    State(console): State<Console>,
    Path((bucket, key)): Path<(String, String)>,
) -> Result<Response, ConsoleError> {
    let object = console.objects().head(&bucket, &key, &Conditions::default()).await?;
    let length = object.length;
    let disposition = disposition(&key);
    let unchanged = EtagMatch::OneOf(vec![object.etag]);
    let conditions = Conditions { if_match: Some(unchanged), ..Conditions::default() };
    let pieces = Pieces { console, bucket, key, conditions, next: 0, length };
    let body = futures_util::stream::unfold(pieces, |mut pieces| async move {
        let piece = pieces.next().await?;
        Some((piece, pieces))
    });
    let mut response = Body::from_stream(body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CONTENT_DISPOSITION, disposition);
    Ok(response)
}

/// The name under which browsers save an object: the last part of its key. Source: RFC 6266.
fn disposition(key: &str) -> HeaderValue {
    let name = key.trim_end_matches('/').rsplit('/').next().unwrap_or(key);
    let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC);
    HeaderValue::try_from(format!("attachment; filename*=UTF-8''{encoded}"))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

/// A download on its way.
struct Pieces {
    console: Console,
    bucket: String,
    key: String,
    /// That the object is still the one that the download began with.
    conditions: Conditions,
    next: u64,
    length: u64,
}

impl Pieces {
    /// The next piece; an error ends the answer early, which browsers notice by its length.
    async fn next(&mut self) -> Option<Result<Bytes, ObjectError>> {
        if self.next >= self.length {
            return None;
        }
        let range = ByteRange::From(self.next, Some(self.next + PIECE_BYTES - 1));
        let read = self.console.objects().read(&self.bucket, &self.key, range, &self.conditions).await;
        self.next = read.as_ref().map_or(self.length, |read| self.next + read.content.len() as u64);
        Some(read.map(|read| read.content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_is_shown() {
        assert_eq!(text("ä\n".as_bytes()), Some("ä\n".into()));
        assert_eq!(text(&"aä".as_bytes()[..2]), Some("a".into()), "a character that the end cuts in two");
        for bytes in [&[0xff, b'a'][..], &[0][..], &[]] {
            assert_eq!(text(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn an_object_is_saved_under_the_last_part_of_its_key() {
        assert_eq!(disposition("raw/a b\".json"), "attachment; filename*=UTF-8''a%20b%22%2Ejson");
        assert_eq!(disposition("raw/"), "attachment; filename*=UTF-8''raw");
    }
}
