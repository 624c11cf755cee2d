//! Calls that are signed as the SDKs sign them: a connection of a JSON service, and single calls of REST services.
//!
//! A signature is made again when the second changes, as is the
//! request when its body changes; within a second the same request is sent as it is, so that the generator costs little.

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use millstream_aws::sigv4::{Credentials, sign};
use millstream_types::{Clock, Millis, SystemClock};
use tokio::net::TcpStream;

use crate::http1::HttpClient;

/// A connection to an endpoint.
pub struct JsonClient {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
    service: &'static str,
    target: String,
    content_type: &'static str,
    signed: Option<(Millis, Bytes, HeaderMap)>,
}

impl JsonClient {
    /// Connects to `endpoint` (`http://127.0.0.1:4566`).
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(
        endpoint: &Uri,
        service: &'static str,
        target: &str,
        content_type: &'static str,
    ) -> anyhow::Result<Self> {
        let authority = endpoint.authority().context("expected an endpoint such as http://127.0.0.1:4566")?.to_string();
        let sender = dial(&authority).await?;
        Ok(Self { sender, authority, service, target: target.to_owned(), content_type, signed: None })
    }

    /// Sends a body and takes the whole answer. A peer that closes its connections gets new ones.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn call(&mut self, body: &Bytes) -> anyhow::Result<(StatusCode, Bytes)> {
        let headers = self.headers(body)?;
        let mut request = Request::builder().method(Method::POST).uri("/").body(Full::new(body.clone()))?;
        *request.headers_mut() = headers;
        if self.sender.ready().await.is_err() {
            self.sender = dial(&self.authority).await?;
        }
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }

    fn headers(&mut self, body: &Bytes) -> anyhow::Result<HeaderMap> {
        let now = SystemClock.now();
        if let Some((at, signed, headers)) = &self.signed
            && at / 1_000 == now / 1_000
            && signed == body
        {
            return Ok(headers.clone());
        }
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{}/", self.authority))
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, self.content_type)
            .header("x-amz-target", &self.target)
            .body(body.clone())?;
        let credentials = Credentials { access_key: "test".into(), secret: "test".into(), session_token: None };
        sign(&mut request, &credentials, "us-east-1", self.service, now)?;
        let headers = request.headers().clone();
        self.signed = Some((now, body.clone(), headers.clone()));
        Ok(headers)
    }
}

async fn dial(authority: &str) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(authority).await.with_context(|| format!("connecting to {authority}"))?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// One call of a REST service, on a connection of its own; gives the answer's document.
///
/// # Errors
/// When the service refuses.
pub async fn rest(
    endpoint: &Uri,
    service: &str,
    method: Method,
    path: &str,
    body: &serde_json::Value,
) -> anyhow::Result<serde_json::Value> {
    let authority = endpoint.authority().context("expected an endpoint such as http://127.0.0.1:4566")?.to_string();
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{authority}{path}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Bytes::from(body.to_string()))?;
    let credentials = Credentials { access_key: "test".into(), secret: "test".into(), session_token: None };
    sign(&mut request, &credentials, "us-east-1", service, SystemClock.now())?;
    *request.uri_mut() = path.parse()?;
    let (status, answer) = HttpClient::connect(endpoint).await?.call(request.map(Full::new)).await?;
    if !status.is_success() {
        anyhow::bail!("{path} answered {status}: {}", String::from_utf8_lossy(&answer));
    }
    Ok(serde_json::from_slice(&answer)?)
}
