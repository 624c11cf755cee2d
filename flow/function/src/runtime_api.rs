//! The Lambda Runtime API of one process, on a port of its own that answers nobody else. Source: the Lambda developer guide,
//! "Using the Lambda runtime API" (`/2018-06-01/runtime/…`).

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::process::Pid;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::peer::is_of_tree;

/// The largest answer of a function: the service's limit.
const RESPONSE_BYTES_MAX: usize = 6_291_556;

/// The largest error document of a process that cannot begin: traces of calls, not data.
const INIT_ERROR_BYTES_MAX: usize = 256 << 10;

/// Connections of a process at once: runtimes need one or two.
const CONNECTIONS_MAX: usize = 16;

/// How long no connection is taken after the system had none to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

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

/// A port for a process that is still to be started.
pub(crate) struct Port {
    listener: TcpListener,
    /// Where the process will find its API.
    pub(crate) address: SocketAddr,
}

/// The API of one process; it ends when this is dropped.
pub(crate) struct RuntimeApi {
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

impl Port {
    /// Takes a port. Who connects waits until it is served.
    pub(crate) async fn take() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Serves a process and what it starts. Other processes of this machine get no answer: work is for its function only.
    pub(crate) fn serve(self, process: Pid) -> RuntimeApi {
        let (work, next) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            next: tokio::sync::Mutex::new(next),
            current: Mutex::default(),
            init_error: Mutex::default(),
            asked: watch::Sender::new(false),
        });
        let server = tokio::spawn(serve(self, process.as_raw_nonzero().get(), Arc::clone(&shared)));
        RuntimeApi { work, shared, server }
    }
}

impl RuntimeApi {
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

impl Shared {
    /// Takes the right to answer an invocation.
    fn take(&self, id: &str) -> Option<oneshot::Sender<Answer>> {
        let mut current = lock(&self.current);
        current.take_if(|(expected, _)| expected == id).map(|(_, reply)| reply)
    }

    /// Gives it back, unless another invocation has begun.
    fn put_back(&self, id: &str, reply: oneshot::Sender<Answer>) {
        lock(&self.current).get_or_insert((id.to_owned(), reply));
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

async fn serve(port: Port, process: i32, shared: Arc<Shared>) {
    let Port { listener, address } = port;
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Connections end with the listener: a process that outlives its API finds nobody there.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let own = tokio::task::spawn_blocking(move || is_of_tree(peer, address, process)).await;
        if !own.unwrap_or(false) {
            tracing::warn!(%peer, "a process that is not the function's own wanted its work, and is refused");
            continue;
        }
        // One more than it may have is closed at once.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let _place = place;
            let service = service_fn(move |request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, std::convert::Infallible>(answer(&shared, request).await) }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
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
            if let Ok(body) = Limited::new(request.into_body(), INIT_ERROR_BYTES_MAX).collect().await {
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
    // Before the body is taken: who does not run the invocation shall not fill memory.
    let Some(reply) = shared.take(id) else {
        return refused(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID");
    };
    match Limited::new(request.into_body(), RESPONSE_BYTES_MAX).collect().await {
        Ok(body) => {
            // Nobody waits any more when the invocation timed out a moment ago.
            let _ = reply.send(kind(body.to_bytes()));
            accepted()
        }
        Err(error) if error.is::<LengthLimitError>() => {
            let message =
                format!("Response payload size exceeded maximum allowed payload size ({RESPONSE_BYTES_MAX} bytes).");
            let document = json!({ "errorType": "Function.ResponseSizeTooLarge", "errorMessage": message });
            let _ = reply.send(Answer::Error(Bytes::from(document.to_string())));
            let message = format!("Exceeded maximum allowed payload size ({RESPONSE_BYTES_MAX} bytes).");
            refused(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message)
        }
        Err(_) => {
            // The connection broke: the process may say it again, or end, which says something too.
            shared.put_back(id, reply);
            refused(StatusCode::BAD_REQUEST, "InvalidRequest", "the body did not come to its end")
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
