//! The portal as an answer to requests of the HTTP listener: every page within its time, its body as a whole.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tower_service::Service as _;

use crate::{Front, router};

/// How long a page may take, with the form that it takes: a call that is tried may take 29 s.
const PAGE_TIMEOUT: Duration = Duration::from_secs(40);

/// The portal's pages. Cheap to clone.
#[derive(Clone)]
pub struct Pages {
    router: Router,
}

impl Pages {
    /// The pages of a front.
    #[must_use]
    pub fn new(front: Front) -> Self {
        Self { router: router(front) }
    }

    /// Answers a request, which carries its peer's address in its extensions.
    pub async fn answer(&self, request: http::Request<Incoming>) -> http::Response<Full<Bytes>> {
        let mut router = self.router.clone();
        let Ok(response) = router.call(request.map(Body::new)).await;
        let (head, body) = response.into_parts();
        // Pages are drawn whole: their bodies cannot fail.
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        http::Response::from_parts(head, Full::new(body))
    }
}

/// Ends what takes too long: a form that trickles in, an engine that hangs.
pub async fn within_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(PAGE_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::GATEWAY_TIMEOUT, "this took too long; try again\n").into_response(),
    }
}
