//! What all pages share: the engine, the way to call an API, and how the portal is reached.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderMap, Response};
use millstream_portal::Portal;
use millstream_types::{BoxFuture, Clock, Millis};
use tokio::sync::Semaphore;

use crate::error::PageError;

/// Calls of visitors under way at once: each may hold a body and an answer.
const CALLS_MAX: usize = 32;

/// A call that a visitor tries in a page.
#[derive(Debug, Clone)]
pub struct ApiCall {
    /// The deployed API's id.
    pub api: String,
    /// Its stage.
    pub stage: String,
    /// The HTTP method.
    pub method: String,
    /// The path behind the stage, escaped.
    pub path: String,
    /// What follows the question mark, escaped; empty without.
    pub query: String,
    /// The headers, with the key.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Who tries it.
    pub from: IpAddr,
}

/// Answers a call as the API answers anybody: with its key checked, counted and limited.
pub type CallApi = Arc<dyn Fn(ApiCall) -> BoxFuture<'static, Response<Bytes>> + Send + Sync>;

/// Where callers find a stage of an API: its id and the stage to an address without a slash at its end.
pub type ApiAddress = Arc<dyn Fn(&str, &str) -> String + Send + Sync>;

/// What a front needs.
pub struct FrontParts {
    /// The engine.
    pub portal: Portal,
    /// How an API is called.
    pub call: CallApi,
    /// Where APIs are called.
    pub api_address: ApiAddress,
    /// The node's time.
    pub clock: Arc<dyn Clock>,
    /// Where visitors find the portal, when a proxy stands in front: `https://portal.example.org`.
    pub public_url: Option<String>,
    /// Where it listens: `127.0.0.1:8081`.
    pub listen: String,
    /// Whether all visitors come under TLS.
    pub secure: bool,
    /// Whether the log-in page names the published owner.
    pub development: bool,
}

/// The front. Cheap to clone.
#[derive(Clone)]
pub struct Front {
    shared: Arc<Shared>,
}

struct Shared {
    parts: FrontParts,
    calls: Semaphore,
}

impl Front {
    /// A front over the engine.
    #[must_use]
    pub fn new(parts: FrontParts) -> Self {
        Self { shared: Arc::new(Shared { parts, calls: Semaphore::new(CALLS_MAX) }) }
    }

    /// The engine.
    pub fn portal(&self) -> &Portal {
        &self.shared.parts.portal
    }

    /// Where visitors find the portal, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_for(self.shared.parts.secure)
    }

    /// Where those find it who come under TLS, or without.
    pub(crate) fn url_for(&self, secure: bool) -> String {
        let FrontParts { public_url, listen, .. } = &self.shared.parts;
        let public = public_url.as_ref().map(|url| url.trim_end_matches('/').to_owned());
        public.unwrap_or_else(|| format!("{}://{listen}", if secure { "https" } else { "http" }))
    }

    pub(crate) fn api_address(&self, api: &str, stage: &str) -> String {
        (self.shared.parts.api_address)(api, stage)
    }

    pub(crate) fn now(&self) -> Millis {
        self.shared.parts.clock.now()
    }

    pub(crate) fn development(&self) -> bool {
        self.shared.parts.development
    }

    /// Whether a browser's request came under TLS, as far as the browser can tell: a proxy in front may speak it for us.
    pub(crate) fn is_secure(&self, request: &http::Extensions) -> bool {
        let here = request.get::<Scheme>() == Some(&Scheme::HTTPS);
        here || self.shared.parts.public_url.as_ref().is_some_and(|url| url.starts_with("https://"))
    }

    /// The host of the portal's public address.
    pub(crate) fn hosts(&self) -> Vec<String> {
        let url = self.shared.parts.public_url.as_ref().and_then(|url| url.parse::<http::Uri>().ok());
        url.and_then(|url| url.host().map(str::to_owned)).into_iter().collect()
    }

    /// Calls an API.
    pub(crate) async fn call(&self, call: ApiCall) -> Result<Response<Bytes>, PageError> {
        let _place = self.shared.calls.try_acquire().map_err(|_| PageError::Busy)?;
        Ok((self.shared.parts.call)(call).await)
    }
}
