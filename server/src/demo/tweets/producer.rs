//! Puts tweets into the stream as any client would, with signed requests, at a rate or in the pace of a file.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use millstream_access::DEVELOPMENT_KEY;
use millstream_aws::sigv4::{Credentials, sign};
use millstream_types::{Clock as _, Millis, SystemClock};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::producer::{Feed, Sent};
use super::tweet::{RandomTweets, Tweet, read};

/// The stream of the example.
const STREAM: &str = "tweets";

/// What one call takes.
const RECORDS_MAX: usize = 500;

/// How often the producer looks at what is due.
const TICK: Duration = Duration::from_millis(100);

/// Tweets of a file that are read ahead.
const AHEAD: usize = 1_024;

/// Sends tweets until the feed ends or the task is dropped.
pub async fn produce(endpoint: String, region: String, feed: Feed, sent: Arc<Sent>) {
    let stream = Stream { client: Client::builder(TokioExecutor::new()).build_http(), endpoint, region, sent };
    match feed {
        Feed::Random { rate, seed } => stream.at_rate(rate, seed).await,
        Feed::Replay { file, speed } => stream.replay(file, speed).await,
    }
}

struct Stream {
    client: Client<HttpConnector, Full<Bytes>>,
    endpoint: String,
    region: String,
    sent: Arc<Sent>,
}

impl Stream {
    async fn at_rate(&self, rate: u32, seed: u64) {
        let mut tweets = RandomTweets::new(seed);
        let (start, mut made) = (Instant::now(), 0u64);
        loop {
            let due = (start.elapsed().as_secs_f64() * f64::from(rate)) as u64;
            while made < due {
                let count = (due - made).min(RECORDS_MAX as u64);
                let batch: Vec<Tweet> = (0..count).map(|_| tweets.next(SystemClock.now())).collect();
                self.put(&batch).await;
                made += count;
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// Sends a file's tweets: the first at once, the others as much later as their times say, divided by `speed`.
    async fn replay(&self, file: PathBuf, speed: f64) {
        let mut tweets = read_ahead(file);
        let start = Instant::now();
        let mut first: Option<Millis> = None;
        let mut batch = Vec::new();
        while let Some(next) = tweets.recv().await {
            let (time, tweet) = match next {
                Ok(next) => next,
                Err(error) => {
                    self.sent.fail(1, error);
                    continue;
                }
            };
            let behind = (time - *first.get_or_insert(time)).max(0) as f64;
            let at = start + Duration::from_secs_f64(behind / 1_000.0 / speed.max(0.001));
            if at > Instant::now() || batch.len() == RECORDS_MAX {
                self.put(&std::mem::take(&mut batch)).await;
                tokio::time::sleep_until(at).await;
            }
            batch.push(tweet);
        }
        self.put(&batch).await;
        self.sent.ended.store(true, Ordering::Relaxed);
    }

    async fn put(&self, tweets: &[Tweet]) {
        if tweets.is_empty() {
            return;
        }
        match self.put_records(tweets).await {
            Ok(failed) => {
                self.sent.accepted.fetch_add(tweets.len() as u64 - failed, Ordering::Relaxed);
                if failed > 0 {
                    self.sent.fail(failed, "the stream took not all tweets of a call".to_owned());
                }
            }
            Err(error) => self.sent.fail(tweets.len() as u64, error),
        }
    }

    /// Gives how many were refused.
    async fn put_records(&self, tweets: &[Tweet]) -> Result<u64, String> {
        let record = |tweet: &Tweet| {
            let data = serde_json::to_vec(tweet).map_err(|error| error.to_string())?;
            Ok(json!({ "Data": STANDARD.encode(data), "PartitionKey": tweet.username }))
        };
        let records: Vec<Value> = tweets.iter().map(record).collect::<Result<_, String>>()?;
        let body = Bytes::from(json!({ "StreamName": STREAM, "Records": records }).to_string());
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/", self.endpoint))
            .header(header::CONTENT_TYPE, "application/x-amz-json-1.1")
            .header("x-amz-target", "Kinesis_20131202.PutRecords")
            .body(body)
            .map_err(|error| error.to_string())?;
        let (access_key, secret) = DEVELOPMENT_KEY;
        let credentials =
            Credentials { access_key: access_key.to_owned(), secret: secret.to_owned(), session_token: None };
        sign(&mut request, &credentials, &self.region, "kinesis", SystemClock.now())
            .map_err(|error| error.to_string())?;
        let response = self.client.request(request.map(Full::new)).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let answer = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        if !status.is_success() {
            return Err(format!("PutRecords answered {status}: {}", String::from_utf8_lossy(&answer)));
        }
        let answer: Value = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
        Ok(answer.get("FailedRecordCount").and_then(Value::as_u64).unwrap_or(0))
    }
}

/// Reads a file on a thread that may block, a bounded number of tweets ahead.
fn read_ahead(file: PathBuf) -> mpsc::Receiver<Result<(Millis, Tweet), String>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let tweets = match read(&file) {
            Ok(tweets) => tweets,
            Err(error) => {
                let _ = sender.blocking_send(Err(error));
                return;
            }
        };
        for tweet in tweets {
            if sender.blocking_send(tweet).is_err() {
                return;
            }
        }
    });
    receiver
}
