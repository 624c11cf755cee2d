//! Why a page cannot be shown, and the page that says so.

use askama::Template as _;
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use millstream_portal::PortalError;
use millstream_types::ErrorKind;

use crate::frame::{FailedPage, Frame};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The engine refused or failed.
    #[error(transparent)]
    Portal(#[from] PortalError),
    /// A form that no page of ours sends.
    #[error("the form cannot be read; go back and send it again")]
    Form,
    /// A form without the token of its page: too old, or from elsewhere.
    #[error("the page was open for too long; go back, reload it and send the form again")]
    Token,
    /// More calls are under way than may be.
    #[error("too many calls are under way; try again")]
    Busy,
    /// A template failed: a defect of ours.
    #[error("the page cannot be drawn")]
    Template(#[from] askama::Error),
}

impl PageError {
    /// There is no such thing.
    pub fn not_found(kind: &'static str, name: &str) -> Self {
        Self::Portal(PortalError::NotFound { kind, name: name.chars().take(100).collect() })
    }

    /// The status of the page that says it.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Portal(error) => status(error),
            Self::Form => StatusCode::BAD_REQUEST,
            Self::Token => StatusCode::FORBIDDEN,
            Self::Busy => StatusCode::TOO_MANY_REQUESTS,
            Self::Template(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// The status that says what the reader of an engine's error can do.
pub fn status(error: &PortalError) -> StatusCode {
    match error.kind() {
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        // Not 401, which asks for a credential of HTTP's own.
        ErrorKind::Unauthenticated | ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Exists | ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Throttled => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let status = self.status();
        // What broke inside is for the node's log, not for visitors.
        let message = if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = %self, "a page of the portal");
            "Something broke on our side. Try again in a moment.".to_owned()
        } else {
            sentence(&self.to_string())
        };
        let title = if status == StatusCode::NOT_FOUND { "Not here" } else { "That did not work" };
        let page = FailedPage { frame: Frame::plain(title), message };
        match page.render() {
            Ok(html) => (status, Html(html)).into_response(),
            Err(_) => (status, page.message).into_response(),
        }
    }
}

/// An engine's words as a sentence.
pub fn sentence(words: &str) -> String {
    let mut chars = words.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if words.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}
