//! Sends events, a request each, to where a pipeline takes them over HTTP: trades at a rate or in the pace of a file, or what
//! another demo makes up.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use millstream_types::{Clock, Millis};
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::trades::{RandomTrades, Trade, TradeFileError, read_file};

/// Requests under way at once: enough to keep the rate while a function starts, few enough not to queue up for long.
const REQUESTS_MAX: usize = 16;

/// How often the producer looks at what is due.
const TICK: Duration = Duration::from_millis(20);

/// Where trades come from.
#[derive(Debug, Clone)]
pub enum Feed {
    /// Made up.
    Random {
        /// Trades a second.
        rate: u32,
        /// The seed of the walk.
        seed: u64,
    },
    /// Read from a file.
    Replay {
        /// The file.
        file: PathBuf,
        /// How many times faster than it happened.
        speed: f64,
    },
}

/// Where events are posted.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The address.
    pub url: http::Uri,
    /// What proves that the producer may; empty where nothing is asked.
    pub credentials: Vec<(HeaderName, String)>,
}

/// What was sent. Shared with the summary.
#[derive(Debug, Default)]
pub struct Sent {
    /// Trades, tweets or orders that the node took.
    pub accepted: AtomicU64,
    /// Those that it refused, or that did not reach it.
    pub failed: AtomicU64,
    /// Whether the feed has ended.
    pub ended: std::sync::atomic::AtomicBool,
    last_error: Mutex<Option<String>>,
}

impl Sent {
    /// The last failure's words.
    pub fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts what was not taken.
    pub(super) fn fail(&self, count: u64, error: String) {
        self.failed.fetch_add(count, Ordering::Relaxed);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// Sends trades until the feed ends or the task is dropped.
pub async fn produce(to: Destination, feed: Feed, clock: Arc<dyn Clock>, sent: Arc<Sent>) {
    let sender = Sender::new(to, sent);
    match feed {
        Feed::Random { rate, seed } => {
            let mut trades = RandomTrades::new(seed);
            sender.at_rate(rate, &*clock, |now| trades.next(now)).await;
        }
        Feed::Replay { file, speed } => sender.replay(file, speed).await,
    }
}

/// Posts events, some of them at once.
#[derive(Clone)]
pub(super) struct Sender {
    client: Client<HttpConnector, Full<Bytes>>,
    to: Destination,
    sent: Arc<Sent>,
    permits: Arc<Semaphore>,
}

impl Sender {
    pub(super) fn new(to: Destination, sent: Arc<Sent>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(REQUESTS_MAX).build(connector);
        Self { client, to, sent, permits: Arc::new(Semaphore::new(REQUESTS_MAX)) }
    }

    /// Sends so many events a second, each made when it is due, until it is dropped.
    pub(super) async fn at_rate<E: Serialize>(&self, rate: u32, clock: &dyn Clock, mut next: impl FnMut(Millis) -> E) {
        let (start, mut made) = (Instant::now(), 0u64);
        loop {
            let due = (start.elapsed().as_secs_f64() * f64::from(rate)) as u64;
            while made < due {
                self.send(&next(clock.now())).await;
                made += 1;
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// Sends a file's trades: the first at once, the others as much later as their times say, divided by `speed`.
    async fn replay(&self, file: PathBuf, speed: f64) {
        let mut trades = read_ahead(file);
        let start = Instant::now();
        let mut first: Option<Millis> = None;
        while let Some(next) = trades.recv().await {
            match next {
                Ok((time, trade)) => {
                    let behind = (time - *first.get_or_insert(time)).max(0) as f64;
                    let at = start + Duration::from_secs_f64(behind / 1_000.0 / speed.max(0.001));
                    tokio::time::sleep_until(at).await;
                    self.send(&trade).await;
                }
                Err(error) => self.sent.fail(1, error.to_string()),
            }
        }
        self.sent.ended.store(true, Ordering::Relaxed);
    }

    /// Sends one event in a task of its own; waits while too many are under way.
    async fn send(&self, event: &impl Serialize) {
        let body = match serde_json::to_vec(event) {
            Ok(body) => body,
            Err(error) => return self.sent.fail(1, error.to_string()),
        };
        let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else { return };
        let sender = self.clone();
        tokio::spawn(async move {
            match sender.post(body).await {
                Ok(()) => {
                    sender.sent.accepted.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => sender.sent.fail(1, error),
            }
            drop(permit);
        });
    }

    async fn post(&self, body: Vec<u8>) -> Result<(), String> {
        let url = &self.to.url;
        let mut request =
            Request::builder().method(Method::POST).uri(url.clone()).header(header::CONTENT_TYPE, "application/json");
        for (name, value) in &self.to.credentials {
            request = request.header(name, value);
        }
        let request = request.body(Full::from(Bytes::from(body))).map_err(|error| error.to_string())?;
        let response = self.client.request(request).await.map_err(|error| format!("POST {url}: {error}"))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        if matches!(status, StatusCode::OK | StatusCode::CREATED) {
            return Ok(());
        }
        Err(format!("POST {url} answered {status}: {}", String::from_utf8_lossy(&body)))
    }
}

/// Reads a file on a thread that may block, a bounded number of trades ahead.
fn read_ahead(file: PathBuf) -> mpsc::Receiver<Result<(Millis, Trade), TradeFileError>> {
    let (sender, receiver) = mpsc::channel(1_024);
    tokio::task::spawn_blocking(move || {
        let rows = match read_file(&file) {
            Ok(rows) => rows,
            Err(error) => {
                let _ = sender.blocking_send(Err(error));
                return;
            }
        };
        for row in rows {
            if sender.blocking_send(row).is_err() {
                return;
            }
        }
    });
    receiver
}
