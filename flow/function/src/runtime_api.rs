//! The Lambda Runtime API of one process, on a port of its own. Source: the Lambda developer guide, "Using the Lambda runtime
//! API" (`/2018-06-01/runtime/…`).

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// The largest answer of a function: the service's limit.
const RESPONSE_BYTES_MAX: usize = 6_291_556;

/// An invocation on its way into a process.
pub(crate) struct Work {
    pub(crate) id: String,
    pub(crate) payload: Bytes,
    pub(crate) deadline: i64,
    pub(crate) arn: String,
    pub(crate) trace: String,
    pub(crate) client_context: Option<String>,
    pub(crate) reply: oneshot::Sender<Answer>,
}

/// What a process posted.
#[derive(Debug)]
pub(crate) enum Answer {
    /// What the handler returned.
    Response(Bytes),
    /// The error document.
    Error(Bytes),
    /// The error document of a process that ends with it.
    Fatal(Bytes),
}

/// The API of one process; it ends when this is dropped.
pub(crate) struct RuntimeApi {
    pub(crate) address: SocketAddr,
    pub(crate) work: mpsc::Sender<Work>,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    next: tokio::sync::Mutex<mpsc::Receiver<Work>>,
    current: Mutex<Option<(String, oneshot::Sender<Answer>)>>,
    init_error: Mutex<Option<Bytes>>,
    /// Whether the process has asked for an invocation yet.
    asked: watch::Sender<bool>,
}

impl RuntimeApi {
    pub(crate) async fn listen() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (work, next) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            next: tokio::sync::Mutex::new(next),
            current: Mutex::default(),
            init_error: Mutex::default(),
            asked: watch::Sender::new(false),
        });
        let server = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self { address, work, shared, server })
    }

    /// Resolves when the process has asked for its first invocation.
    pub(crate) async fn ready(&self) {
        let mut asked = self.shared.asked.subscribe();
        // The sender lives as long as this.
        let _ = asked.wait_for(|asked| *asked).await;
    }

    /// The error with which the process could not begin, if it said one.
    pub(crate) fn init_error(&self) -> Option<Bytes> {
        lock(&self.shared.init_error).clone()
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // Connections end with the listener: a process that outlives its API finds nobody there.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, std::convert::Infallible>(answer(&shared, request).await) }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path().strip_prefix("/2018-06-01/runtime/").unwrap_or_default().to_owned();
    let parts: Vec<&str> = path.split('/').collect();
    match (request.method(), parts.as_slice()) {
        (&Method::GET, ["invocation", "next"]) => next(shared).await,
        (&Method::POST, ["invocation", id, "response"]) => posted(shared, id, request, Answer::Response).await,
        (&Method::POST, ["invocation", id, "error"]) => {
            // An error of the runtime, not of the function: what posts it does not ask for more.
            let kind = request.headers().get("lambda-runtime-function-error-type");
            let fatal = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"Runtime."));
            posted(shared, id, request, if fatal { Answer::Fatal } else { Answer::Error }).await
        }
        (&Method::POST, ["init", "error"]) => {
            if let Ok(body) = Limited::new(request.into_body(), RESPONSE_BYTES_MAX).collect().await {
                *lock(&shared.init_error) = Some(body.to_bytes());
            }
            accepted()
        }
        _ => refused(StatusCode::NOT_FOUND, "UnknownPath", "the runtime API has no such path"),
    }
}

async fn next(shared: &Shared) -> Response<Full<Bytes>> {
    shared.asked.send_replace(true);
    let work = shared.next.lock().await.recv().await;
    let Some(work) = work else {
        return refused(StatusCode::INTERNAL_SERVER_ERROR, "Stopping", "there is nothing more to do");
    };
    let mut response = Response::new(Full::new(work.payload));
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", work.id.clone()),
        ("lambda-runtime-deadline-ms", work.deadline.to_string()),
        ("lambda-runtime-invoked-function-arn", work.arn),
        ("lambda-runtime-trace-id", work.trace),
        ("lambda-runtime-client-context", work.client_context.unwrap_or_default()),
    ];
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value)
            && !value.is_empty()
        {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    *lock(&shared.current) = Some((work.id, work.reply));
    response
}

async fn posted(
    shared: &Shared,
    id: &str,
    request: Request<Incoming>,
    kind: fn(Bytes) -> Answer,
) -> Response<Full<Bytes>> {
    let body = Limited::new(request.into_body(), RESPONSE_BYTES_MAX).collect().await;
    let reply = {
        let mut current = lock(&shared.current);
        match current.take() {
            Some((expected, reply)) if expected == id => reply,
            other => {
                *current = other;
                return refused(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID");
            }
        }
    };
    match body {
        Ok(body) => {
            // Nobody waits any more when the invocation timed out a moment ago.
            let _ = reply.send(kind(body.to_bytes()));
            accepted()
        }
        Err(_) => {
            let message =
                format!("Response payload size exceeded maximum allowed payload size ({RESPONSE_BYTES_MAX} bytes).");
            let document = json!({ "errorType": "Function.ResponseSizeTooLarge", "errorMessage": message });
            let _ = reply.send(Answer::Error(Bytes::from(document.to_string())));
            let message = format!("Exceeded maximum allowed payload size ({RESPONSE_BYTES_MAX} bytes).");
            refused(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message)
        }
    }
}

fn accepted() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from("{\"status\":\"OK\"}\n"));
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

fn refused(status: StatusCode, kind: &str, message: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(json!({ "errorType": kind, "errorMessage": message }).to_string()));
    *response.status_mut() = status;
    response
}
