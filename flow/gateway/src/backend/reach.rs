//! Ways to backends: to public addresses only, or to any.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use millstream_types::address::is_public;
use tower_service::Service as _;

use super::connection::{Connection, Unanswered};
use super::idle::{Idle, Place};
use super::{BackendError, told};

/// Connections that reach the same addresses; without the system's certificates only plain HTTP. Cheap to clone.
#[derive(Clone)]
pub(super) struct Reach {
    plain: HttpConnector<Resolver>,
    tls: Option<HttpsConnector<HttpConnector<Resolver>>>,
    idle: Idle,
}

impl Reach {
    /// To public addresses, or to `private` ones too. Reads the system's certificates: not for an async worker.
    pub(super) fn new(private: bool) -> Self {
        let mut plain = HttpConnector::new_with_resolver(Resolver { private });
        plain.enforce_http(false);
        plain.set_nodelay(true);
        let tls = HttpsConnectorBuilder::new().with_native_roots().ok();
        let tls = tls.map(|tls| tls.https_only().enable_http1().wrap_connector(plain.clone()));
        Self { plain, tls, idle: Idle::default() }
    }

    /// Sends a request, in origin form with its host, to a place and takes the whole answer.
    pub(super) async fn exchange(
        &self,
        place: Place,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, BackendError> {
        while let Some(mut known) = self.idle.take(&place) {
            if !known.is_open() {
                continue;
            }
            match self.exchange_over(known, &place, request).await {
                // A backend may close a connection at any time.
                Err(Unanswered::Unsent(unsent)) => request = *unsent,
                Err(Unanswered::Failed(error)) => return Err(error),
                Ok(response) => return Ok(response),
            }
        }
        // On the heap: it is large and seldom needed.
        let new = Box::pin(self.connect(&place)).await?;
        self.exchange_over(new, &place, request).await.map_err(|unanswered| match unanswered {
            Unanswered::Unsent(_) => BackendError::Unreachable("the backend closed the connection".to_owned()),
            Unanswered::Failed(error) => error,
        })
    }

    async fn exchange_over(
        &self,
        mut connection: Connection,
        place: &Place,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, Unanswered> {
        let response = connection.exchange(request).await?;
        if connection.is_open() {
            self.idle.keep(place.clone(), connection);
        }
        Ok(response)
    }

    async fn connect(&self, (secure, authority): &Place) -> Result<Connection, BackendError> {
        let scheme = if *secure { "https" } else { "http" };
        let uri = Uri::builder().scheme(scheme).authority(authority.clone()).path_and_query("/").build();
        let uri = uri.map_err(|_| BackendError::Address(authority.to_string()))?;
        if !secure {
            let stream = self.plain.clone().call(uri).await;
            return Connection::over(stream.map_err(|error| BackendError::Unreachable(told(&error)))?).await;
        }
        let no_certificates = || BackendError::Unreachable("the system has no certificates".to_owned());
        let stream = self.tls.clone().ok_or_else(no_certificates)?.call(uri).await;
        Connection::over(stream.map_err(|error| BackendError::Unreachable(told(&*error)))?).await
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
