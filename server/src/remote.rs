//! How commands speak to a running node: HTTP over the socket `millstream.sock` in its data folder.
//!
//! The folder's permissions decide who may: whoever can read the node's data can also ask it. No token, no port.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// The socket's name in the data folder.
pub const SOCKET: &str = "millstream.sock";

/// Why a node could not be asked, or what it refused.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// No node runs over that data folder.
    #[error("no node answers at {}: {error}\n  try: start one with `millstream serve --data {}`, or name its folder with --data", socket.display(), socket.parent().unwrap_or(Path::new(".")).display())]
    NoNode {
        /// The socket.
        socket: PathBuf,
        /// The system's words.
        error: std::io::Error,
    },
    /// The connection broke.
    #[error("the node ended the connection: {0}")]
    Broken(#[from] hyper::Error),
    /// The request could not be formed.
    #[error("{0}")]
    Request(#[from] http::Error),
    /// The node answered with an error.
    #[error("{0}")]
    Refused(String),
}

/// A node, seen from a command.
pub struct Remote {
    socket: PathBuf,
}

impl Remote {
    /// The node over a data folder.
    pub fn new(data: &Path) -> Self {
        Self { socket: data.join(SOCKET) }
    }

    /// Asks; answers other than 2xx are [`RemoteError::Refused`] with the answer's text.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>, RemoteError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|error| RemoteError::NoNode { socket: self.socket.clone(), error })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let response = sender.send_request(request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let text = response.into_body().collect().await?.to_bytes();
        Err(RemoteError::Refused(refusal(status, &text)))
    }

    /// Asks and takes the whole answer.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn ask_whole(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, RemoteError> {
        Ok(self.ask(method, path, body).await?.into_body().collect().await?.to_bytes())
    }

    /// Asks and hands over the answer line by line as it comes, until it ends or `line` gives `false`.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn follow(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        mut line: impl FnMut(&str) -> bool,
    ) -> Result<(), RemoteError> {
        let mut answer = self.ask(method, path, body).await?.into_body();
        let mut rest: Vec<u8> = Vec::new();
        while let Some(frame) = answer.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            rest.extend_from_slice(&data);
            while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
                let whole: Vec<u8> = rest.drain(..=end).collect();
                if !line(String::from_utf8_lossy(&whole).trim_end()) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// What a refusal says: the `message` of a JSON answer, else its text.
fn refusal(status: StatusCode, text: &[u8]) -> String {
    let message = serde_json::from_slice::<serde_json::Value>(text)
        .ok()
        .and_then(|answer| answer.get("message").and_then(|message| message.as_str()).map(str::to_owned))
        .unwrap_or_else(|| String::from_utf8_lossy(text).into_owned());
    if message.is_empty() { format!("the node answered {status}") } else { message }
}
