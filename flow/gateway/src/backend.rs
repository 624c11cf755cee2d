//! HTTP backends: one pooled client, bounded in time, in what it takes back and in where it may go.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use millstream_types::address::is_public;
use tokio::sync::Semaphore;

/// The largest answer that is taken, bytes: the service's own limit.
const ANSWER_BYTES_MAX: usize = 10 << 20;

/// Requests to backends at once: each may hold a whole answer.
const REQUESTS_MAX: usize = 512;

/// How often a request may come through gateways of this kind.
const HOPS_MAX: usize = 8;

/// What this gateway calls itself in the header that proxies leave behind.
const VIA: HeaderValue = HeaderValue::from_static("1.1 millstream");

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// Idle connections that are kept for one backend.
const IDLE_MAX: usize = 64;

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

/// Clients that reach the same addresses; without the system's certificates only plain HTTP.
#[derive(Clone)]
struct Reach {
    plain: Client<HttpConnector<Resolver>, Full<Bytes>>,
    tls: Option<Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>>,
}

impl Backends {
    /// The client. Reads the system's certificates: not for an async worker.
    #[must_use]
    pub fn new(options: BackendOptions) -> Self {
        Self {
            options: Arc::new(options),
            public: Reach::new(Resolver { private: false }),
            anywhere: Reach::new(Resolver { private: true }),
            slots: Arc::new(Semaphore::new(REQUESTS_MAX)),
        }
    }

    /// Sends a request and takes the whole answer.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn send(&self, request: Request<Bytes>, timeout: Duration) -> Result<Response<Bytes>, BackendError> {
        let late = |_| BackendError::TimedOut(timeout.as_millis());
        tokio::time::timeout(timeout, self.sent(request)).await.map_err(late)?
    }

    async fn sent(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, BackendError> {
        let reach = self.reach(request.uri())?;
        if request.headers().get_all(header::VIA).iter().filter(|via| **via == VIA).count() >= HOPS_MAX {
            return Err(BackendError::Loop);
        }
        request.headers_mut().append(header::VIA, VIA);
        let secure = request.uri().scheme_str() == Some("https");
        end_to_end(request.headers_mut());
        request.headers_mut().remove(header::HOST);
        request.headers_mut().remove(header::CONTENT_LENGTH);
        let _slot = self.slots.acquire().await.map_err(|closed| BackendError::Unreachable(closed.to_string()))?;
        let request = request.map(Full::new);
        let answered = match &reach.tls {
            Some(tls) if secure => tls.request(request).await,
            None if secure => return Err(BackendError::Unreachable("the system has no certificates".to_owned())),
            _ => reach.plain.request(request).await,
        };
        let (mut head, body) = answered.map_err(|error| BackendError::Unreachable(told(&error)))?.into_parts();
        end_to_end(&mut head.headers);
        head.headers.remove(header::CONTENT_LENGTH);
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                BackendError::TooLarge
            } else {
                BackendError::Unreachable(error.to_string())
            }
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    /// The client for an address, if requests may go there. Names are checked again when they are resolved.
    fn reach(&self, uri: &Uri) -> Result<&Reach, BackendError> {
        let wrong = || BackendError::Address(uri.to_string());
        let authority = uri.authority().ok_or_else(wrong)?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(wrong());
        }
        if self.options.private || self.options.own.iter().any(|own| own == authority.as_str()) {
            return Ok(&self.anywhere);
        }
        let host = authority.host().trim_matches(['[', ']']);
        match host.parse::<IpAddr>() {
            Ok(address) if !is_public(address) => Err(BackendError::Private(host.to_owned())),
            _ => Ok(&self.public),
        }
    }
}

/// The innermost cause, which is what people understand.
fn told(error: &dyn std::error::Error) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}

impl Reach {
    fn new(resolver: Resolver) -> Self {
        let connector = || {
            let mut connector = HttpConnector::new_with_resolver(resolver);
            connector.enforce_http(false);
            connector.set_nodelay(true);
            connector
        };
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_idle_timeout(IDLE).pool_max_idle_per_host(IDLE_MAX).pool_timer(TokioTimer::new());
        let tls = HttpsConnectorBuilder::new().with_native_roots().ok();
        let tls = tls.map(|tls| builder.build(tls.https_only().enable_http1().wrap_connector(connector())));
        Self { plain: builder.build(connector()), tls }
    }
}

/// The system's resolver, with addresses left out where requests may not go: a name that is public when it is checked
/// cannot become a private one when it is used.
#[derive(Debug, Clone, Copy)]
struct Resolver {
    private: bool,
}

impl tower_service::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let private = self.private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| private || is_public(address.ip())).collect();
            if allowed.is_empty() {
                let message = format!("`{name}` has no public address; allow private backends in the node's settings");
                return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, message));
            }
            Ok(allowed.into_iter())
        })
    }
}

/// Removes headers that are for one connection only.
pub(crate) fn end_to_end(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ] {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn private_addresses_are_refused_unless_allowed() {
        let closed = Backends::new(BackendOptions { private: false, own: vec!["127.0.0.1:1".into()] });
        for (uri, refused) in [
            ("http://127.0.0.1:2/", true),
            ("http://[::1]:2/", true),
            ("http://127.0.0.1:1/", false),
            ("http://example.org/", false),
        ] {
            assert_eq!(closed.reach(&uri.parse().unwrap()).is_err(), refused, "{uri}");
        }
        assert!(matches!(closed.reach(&"ftp://a/".parse().unwrap()), Err(BackendError::Address(_))));
        let request = Request::get("http://localhost:9/").body(Bytes::new()).unwrap();
        let error = closed.send(request, Duration::from_secs(5)).await.unwrap_err().to_string();
        assert!(error.contains("no public address"), "{error}");
    }

    #[test]
    fn headers_of_one_connection_are_not_handed_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("connection", "close, x-hop"), ("x-hop", "1"), ("te", "gzip"), ("x-kept", "1")] {
            headers.insert(name, value.parse().unwrap());
        }
        end_to_end(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-kept"]);
    }
}
