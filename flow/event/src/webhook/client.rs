//! The HTTP client: one connection pool for all webhooks, every request within a time and a size.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use millstream_types::address::is_public;
use tokio::sync::OnceCell;
use tower_service::Service;

use crate::outcome::Outcome;

/// How long an endpoint may take to answer, from the first byte of the connection to the last of the answer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of an answer that are read; the handshake's is below one KiB.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Connections to one host that are kept for the next delivery, and for how long.
const IDLE_CONNECTIONS_MAX: usize = 32;
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest address of a webhook, in bytes.
const URL_BYTES_MAX: usize = 2048;

type Tcp = HttpConnector<CheckedResolver>;
type TlsClient = Client<HttpsConnector<Tcp>, Full<Bytes>>;

/// Calls webhooks. Cheap to clone.
#[derive(Clone)]
pub(crate) struct WebhookClient {
    plain: Client<Tcp, Full<Bytes>>,
    tcp: Tcp,
    /// Made when it is first wanted.
    tls: Arc<OnceCell<TlsClient>>,
    private_allowed: bool,
}

/// What a webhook answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// At most 64 KiB of it.
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum WebhookError {
    #[error(
        "expected an http or https address with a host, without a user or a fragment, of at most {URL_BYTES_MAX} bytes"
    )]
    Address,
    #[error("the address is private; set `webhook_private_addresses` to call such ones")]
    Private,
    #[error("the system has no certificates to check others by; install its package of certificate authorities")]
    NoCertificates,
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    TimedOut,
    #[error("{0}")]
    Connection(String),
}

impl WebhookError {
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Address | Self::Private => Outcome::ResolutionError,
            Self::TimedOut => Outcome::TimedOut,
            Self::Connection(_) | Self::NoCertificates => Outcome::SocketError,
        }
    }
}

impl WebhookClient {
    pub(crate) fn new(private_allowed: bool) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(CheckedResolver { private_allowed });
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        Self { plain: pool().build(tcp.clone()), tcp, tls: Arc::default(), private_allowed }
    }

    /// The client for https. Its certificates are read from the disk once.
    async fn tls(&self) -> Result<&TlsClient, WebhookError> {
        let tcp = self.tcp.clone();
        let make = move || {
            let builder = HttpsConnectorBuilder::new().with_native_roots().map_err(|_| WebhookError::NoCertificates)?;
            Ok(pool().build(builder.https_only().enable_http1().wrap_connector(tcp)))
        };
        let stopping = |error: tokio::task::JoinError| WebhookError::Connection(error.to_string());
        self.tls.get_or_try_init(|| async { tokio::task::spawn_blocking(make).await.map_err(stopping)? }).await
    }

    /// Whether an address can be called, as far as its text tells.
    pub(crate) fn check(&self, url: &str) -> Result<Uri, WebhookError> {
        let uri: Uri = url.parse().map_err(|_| WebhookError::Address)?;
        let host = uri.host().unwrap_or_default();
        let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
        let user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if url.len() > URL_BYTES_MAX || url.contains('#') || !scheme || user || host.is_empty() {
            return Err(WebhookError::Address);
        }
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match literal {
            Ok(address) if !self.private_allowed && !is_public(address) => Err(WebhookError::Private),
            _ => Ok(uri),
        }
    }

    /// Sends a request. Redirects are answers like others.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, WebhookError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        // Addresses are not resolved by the connector, so they are looked at here, before each request.
        *request.uri_mut() = self.check(url)?;
        *request.headers_mut() = headers;
        let exchange = async {
            let answer = match request.uri().scheme_str() {
                Some("https") => self.tls().await?.request(request).await,
                _ => self.plain.request(request).await,
            };
            let answer = answer.map_err(|error| why(&error))?;
            let (head, body) = answer.into_parts();
            // A longer answer is cut by closing the connection; what it says beyond matters to nobody.
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map(|body| body.to_bytes());
            Ok(Answer { status: head.status, headers: head.headers, body: body.unwrap_or_default() })
        };
        tokio::time::timeout(TIMEOUT, exchange).await.map_err(|_| WebhookError::TimedOut)?
    }
}

fn pool() -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_TIMEOUT).pool_max_idle_per_host(IDLE_CONNECTIONS_MAX);
    builder
}

/// The innermost reason, which is the one that says something.
fn why(error: &hyper_util::client::legacy::Error) -> WebhookError {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    match innermost.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inner) if inner.is::<PrivateAddress>() => return WebhookError::Private,
        _ if innermost.is::<PrivateAddress>() => return WebhookError::Private,
        _ => {}
    }
    WebhookError::Connection(innermost.to_string())
}

/// All addresses of a name are private.
#[derive(Debug, thiserror::Error)]
#[error("all addresses of the name are private")]
struct PrivateAddress;

/// Resolves names to those addresses that may be called: what is checked is what is connected to.
#[derive(Clone)]
struct CheckedResolver {
    private_allowed: bool,
}

impl Service<Name> for CheckedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let private_allowed = self.private_allowed;
        Box::pin(async move {
            // The connector puts the port in.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed = |address: &SocketAddr| private_allowed || is_public(address.ip());
            let addresses: Vec<SocketAddr> = found.filter(allowed).collect();
            if addresses.is_empty() { Err(std::io::Error::other(PrivateAddress)) } else { Ok(addresses.into_iter()) }
        })
    }
}
