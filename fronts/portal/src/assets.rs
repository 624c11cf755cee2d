//! The style sheet and the icon, embedded; their addresses carry a fingerprint, so browsers may keep them.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header;

use crate::error::PageError;

const STYLE: &str = include_str!("../assets/portal.css");
const ICON: &str = include_str!("../assets/icon.svg");

/// What a page links to.
#[derive(Debug)]
pub struct Links {
    /// The style sheet.
    pub style: String,
    /// The icon.
    pub icon: String,
}

/// The addresses of this build's files.
pub static LINKS: LazyLock<Links> = LazyLock::new(|| {
    let link = |name: &str, text: &str| {
        let mut hasher = DefaultHasher::new();
        hasher.write(text.as_bytes());
        format!("/assets/{name}?v={:016x}", hasher.finish())
    };
    Links { style: link("portal.css", STYLE), icon: link("icon.svg", ICON) }
});

/// `GET /assets/{name}`
pub async fn serve(Path(name): Path<String>) -> Result<Response, PageError> {
    let (kind, text) = match name.as_str() {
        "portal.css" => ("text/css; charset=utf-8", STYLE),
        "icon.svg" => ("image/svg+xml", ICON),
        _ => return Err(PageError::not_found("file", &name)),
    };
    let keep = "public, max-age=31536000, immutable";
    Ok(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, keep)], text).into_response())
}
