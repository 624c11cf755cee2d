//! Plain HTTP: a connection that sends requests, a call of a management API, and a server for what is sent to it.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

/// A connection to an endpoint.
pub struct HttpClient {
    sender: SendRequest<Full<Bytes>>,
}

impl HttpClient {
    /// Connects to `endpoint` (`http://127.0.0.1:4566`).
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(endpoint: &Uri) -> anyhow::Result<Self> {
        let authority = endpoint.authority().context("expected an endpoint such as http://127.0.0.1:4566")?;
        let stream =
            TcpStream::connect(authority.as_str()).await.with_context(|| format!("connecting to {authority}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Sends a request, whose headers name the host, and takes the whole answer.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn call(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<(StatusCode, Bytes)> {
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}

/// Calls a management API as a development node takes it, with any token; gives the answer, null when it is empty.
///
/// # Errors
/// When the node refuses.
pub async fn manage(endpoint: &Uri, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
    let request = Request::builder()
        .method(method)
        .uri(format!("{path}?api-version=2024-05-01"))
        .header("host", endpoint.authority().context("expected an endpoint with a host")?.as_str())
        .header("authorization", "Bearer any")
        .header("content-type", "application/json")
        .body(Full::from(body.map(|body| body.to_string()).unwrap_or_default()))?;
    let (status, answer) = HttpClient::connect(endpoint).await?.call(request).await?;
    if !status.is_success() {
        bail!("{path} answered {status}: {}", String::from_utf8_lossy(&answer));
    }
    Ok(if answer.is_empty() { Value::Null } else { serde_json::from_slice(&answer)? })
}

/// Serves on a free port of this machine, until the process ends: every request is answered 200 with what `answer` makes of it.
///
/// # Errors
/// When no port is free.
pub async fn serve(
    answer: impl Fn(&HeaderMap, &Bytes) -> Bytes + Clone + Send + 'static,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = answer.clone();
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await?.to_bytes();
                    Ok::<_, hyper::Error>(Response::new(Full::new(answer(&head.headers, &body))))
                }
            });
            let _ = stream.set_nodelay(true);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(address)
}
