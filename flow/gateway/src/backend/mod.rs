//! HTTP backends: requests to them, bounded in time, in what is taken back and in where they may go.
//!
//! Read next: [`reach`] (where requests may go), [`connection`] (how one is sent), [`idle`] (what is kept for the next).

mod connection;
mod idle;
mod reach;

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;
use millstream_types::address::is_public;
use tokio::sync::Semaphore;

use millstream_types::BoxFuture;
use reach::Reach;

/// The largest answer that is taken, bytes: the service's own limit.
const ANSWER_BYTES_MAX: usize = 10 << 20;

/// Requests to backends at once: each may hold a whole answer.
const REQUESTS_MAX: usize = 512;

/// How often a request may come through gateways of this kind.
const HOPS_MAX: usize = 8;

/// What this gateway calls itself in the header that proxies leave behind.
const VIA: HeaderValue = HeaderValue::from_static("1.1 millstream");

/// Headers that are for one connection only, besides those that `Connection` names.
static ONE_CONNECTION: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Why a backend gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// The address is none.
    #[error("expected an http:// or https:// address, found `{0}`")]
    Address(String),
    /// It lies where requests may not go.
    #[error("`{0}` is not a public address; allow private backends in the node's settings")]
    Private(String),
    /// It was not reached, or the connection broke.
    #[error("the backend was not reached: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error("the backend did not answer within {0} ms")]
    TimedOut(u128),
    /// The request has come through this gateway too often.
    #[error(
        "the request came through a gateway of this kind {HOPS_MAX} times; does a backend lead back to its own API?"
    )]
    Loop,
    /// Its answer is too large.
    #[error("the backend's answer has more than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
}

/// Where backends may be.
#[derive(Debug, Clone, Default)]
pub struct BackendOptions {
    /// Whether loopback and private addresses are allowed.
    pub private: bool,
    /// `host:port` of the node's own services, which are always allowed.
    pub own: Vec<String>,
}

/// The client. Cheap to clone.
#[derive(Clone)]
pub struct Backends {
    options: Arc<BackendOptions>,
    public: Reach,
    anywhere: Reach,
    slots: Arc<Semaphore>,
}

impl Backends {
    /// The client. Reads the system's certificates: not for an async worker.
    #[must_use]
    pub fn new(options: BackendOptions) -> Self {
        Self {
            options: Arc::new(options),
            public: Reach::new(false),
            anywhere: Reach::new(true),
            slots: Arc::new(Semaphore::new(REQUESTS_MAX)),
        }
    }

    /// Sends a request and takes the whole answer.
    ///
    /// # Errors
    /// [`BackendError`].
    pub fn send(
        &self,
        request: Request<Bytes>,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Response<Bytes>, BackendError>> {
        Box::pin(async move {
            let late = |_| BackendError::TimedOut(timeout.as_millis());
            let sent = pin!(self.sent(request));
            tokio::time::timeout(timeout, sent).await.map_err(late)?
        })
    }

    async fn sent(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, BackendError> {
        let (reach, secure, authority) = self.reach(request.uri())?;
        let headers = request.headers_mut();
        if headers.get_all(header::VIA).iter().filter(|via| **via == VIA).count() >= HOPS_MAX {
            return Err(BackendError::Loop);
        }
        end_to_end(headers);
        headers.append(header::VIA, VIA);
        headers.insert(header::HOST, host(secure, &authority)?);
        headers.remove(header::CONTENT_LENGTH);
        *request.uri_mut() = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")).into();
        let _slot = self.slots.acquire().await.map_err(|closed| BackendError::Unreachable(closed.to_string()))?;
        reach.exchange((secure, authority), request.map(Full::new)).await
    }

    /// The way to an address, if requests may go there, whether with TLS, and to whom. Names are checked again when they are
    /// resolved.
    fn reach(&self, uri: &Uri) -> Result<(&Reach, bool, Authority), BackendError> {
        let wrong = || BackendError::Address(uri.to_string());
        let authority = uri.authority().ok_or_else(wrong)?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        if self.options.private || self.options.own.iter().any(|own| own == authority.as_str()) {
            return Ok((&self.anywhere, secure, authority.clone()));
        }
        let host = authority.host().trim_matches(['[', ']']);
        match host.parse::<IpAddr>() {
            Ok(address) if !is_public(address) => Err(BackendError::Private(host.to_owned())),
            _ => Ok((&self.public, secure, authority.clone())),
        }
    }
}

/// What the header `Host` says: whom the request is for, without the port that goes without saying.
fn host(secure: bool, authority: &Authority) -> Result<HeaderValue, BackendError> {
    let usual = if secure { 443 } else { 80 };
    let host = match authority.port_u16() {
        // Whoever the address names before an `@` is not part of it.
        Some(port) if port != usual => authority.as_str().rsplit('@').next().unwrap_or_default(),
        _ => authority.host(),
    };
    HeaderValue::from_str(host).map_err(|_| BackendError::Address(authority.to_string()))
}

/// The innermost cause, which is what people understand.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}

/// Removes headers that are for one connection only.
pub(crate) fn end_to_end(headers: &mut HeaderMap) {
    let named = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok());
    // Few requests have any: looking through what they have costs less than asking for each of these.
    let known = headers.keys().filter(|name| ONE_CONNECTION.contains(name)).cloned();
    for name in named.chain(known).collect::<Vec<_>>() {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests;
