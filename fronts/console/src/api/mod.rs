//! The JSON that the command line asks for. Shows what pages show; nothing here changes anything.
//!
//! Long answers are one JSON object a line (`application/x-ndjson`), sent as they come.

pub mod invocations;
pub mod logs;
pub mod query;
pub mod status;
pub mod tail;
pub mod trace;
pub mod trial;
pub mod usage;

use std::convert::Infallible;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::header;

/// An answer of lines.
pub(crate) fn lines(lines: impl Stream<Item = serde_json::Value> + Send + 'static) -> Response {
    let bytes = lines.map(|line| Ok::<_, Infallible>(Bytes::from(format!("{line}\n"))));
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(bytes)).into_response()
}
