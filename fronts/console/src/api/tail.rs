//! `GET /api/streams/{name}/tail?from=latest|trim_horizon&limit=`: records as they become durable, one a line, and
//! `GET /api/streams/{name}/sample`: the same records as events for trials, with when they arrived and in which shard.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use futures_util::future::select_all;
use http::{HeaderValue, header};
use millstream_catalog::{ShardDefinition, StreamDefinition};
use millstream_query::{SAMPLE_ARRIVAL, SAMPLE_SHARD, SAMPLE_TEXT};
use millstream_stream::{SequenceNumber, ShardId, StreamError};
use millstream_types::{LogId, Record, time::rfc3339};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use crate::Console;
use crate::error::ConsoleError;

/// Bytes that one read of a shard asks for.
const READ_BYTES: usize = 256 << 10;

/// The longest that an answer with an end runs.
const SECONDS_MAX: u64 = 24 * 60 * 60;

/// Where to begin and when to end.
#[derive(Debug, Deserialize)]
pub struct Options {
    #[serde(default)]
    from: From,
    /// Records to send; without it the answer ends when the asker goes.
    limit: Option<u64>,
    /// Seconds after which the answer ends; without it it does not.
    seconds: Option<u64>,
}

/// How a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The record and its place.
    Placed,
    /// The record's events alone, each with when it arrived and in which shard.
    Sample,
}

/// Where to begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// With the records that come from now on.
    #[default]
    Latest,
    /// With the oldest record there is.
    TrimHorizon,
}

/// Follows a stream.
///
/// # Errors
/// [`ConsoleError::NotFound`], [`ConsoleError::Busy`].
pub async fn follow(
    State(console): State<Console>,
    Path(name): Path<String>,
    Query(options): Query<Options>,
) -> Result<Response, ConsoleError> {
    lines(&console, &name, &options, Form::Placed)
}

/// Takes a sample of a stream, to be kept as a file.
///
/// # Errors
/// [`ConsoleError::NotFound`], [`ConsoleError::Busy`].
pub async fn sample(
    State(console): State<Console>,
    Path(name): Path<String>,
    Query(options): Query<Options>,
) -> Result<Response, ConsoleError> {
    let mut response = lines(&console, &name, &options, Form::Sample)?;
    let file = name.replace(|char: char| !char.is_ascii_alphanumeric() && char != '-' && char != '_', "_");
    if let Ok(disposition) = HeaderValue::try_from(format!("attachment; filename=\"{file}.jsonl\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

fn lines(console: &Console, name: &str, options: &Options, form: Form) -> Result<Response, ConsoleError> {
    let stream = console.streams().get(name)?;
    let place = console.follower()?;
    let changes = console.streams().changes();
    let shards = stream.shards.iter().map(|shard| {
        let bounds = console.streams().bounds(shard.log());
        let next = if options.from == From::TrimHorizon { bounds.first } else { bounds.next };
        Shard { index: shard.index, log: shard.log(), next, end: console.streams().watch(shard.log()) }
    });
    let follower = Follower {
        shards: shards.collect(),
        changes,
        stream,
        ready: VecDeque::new(),
        left: options.limit.unwrap_or(u64::MAX),
        form,
        ends: options.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds.min(SECONDS_MAX))),
        console: console.clone(),
        _place: place,
    };
    Ok(super::lines(futures_util::stream::unfold(follower, |mut follower| async move {
        let line = follower.next().await?;
        Some((line, follower))
    })))
}

struct Follower {
    console: Console,
    stream: Arc<StreamDefinition>,
    /// Tells of shards that come.
    changes: watch::Receiver<u64>,
    shards: Vec<Shard>,
    ready: VecDeque<Value>,
    left: u64,
    form: Form,
    ends: Option<Instant>,
    _place: OwnedSemaphorePermit,
}

struct Shard {
    index: u32,
    log: LogId,
    next: u64,
    end: watch::Receiver<u64>,
}

impl Follower {
    /// The next record; `None` at the limit or when the stream is gone.
    async fn next(&mut self) -> Option<Value> {
        if self.left == 0 {
            return None;
        }
        while self.ready.is_empty() {
            if self.ends.is_some_and(|ends| Instant::now() >= ends) {
                return None;
            }
            if !self.read().await.ok()? {
                let Self { shards, changes, ends, .. } = self;
                let more = async {
                    tokio::select! {
                        (more, ..) = select_all(shards.iter_mut().map(|shard| Box::pin(shard.end.changed()))) => more,
                        changed = changes.changed() => changed,
                    }
                };
                match *ends {
                    Some(ends) => tokio::time::timeout_at(ends, more).await.ok()?.ok()?,
                    None => more.await.ok()?,
                }
                self.look();
            }
        }
        self.left -= 1;
        self.ready.pop_front()
    }

    /// Adds shards that the stream has got, to be read from their first record on.
    fn look(&mut self) {
        let streams = self.console.streams();
        // One that is gone is told by its shards.
        let Ok(stream) = streams.get(&self.stream.name) else { return };
        if Arc::ptr_eq(&stream, &self.stream) {
            return;
        }
        for shard in &stream.shards {
            if !self.shards.iter().any(|known| known.log == shard.log()) {
                let (index, log) = (shard.index, shard.log());
                self.shards.push(Shard { index, log, next: 0, end: streams.watch(log) });
            }
        }
        self.stream = stream;
    }

    /// The logs of shards that may be read: what came of a split or a merge waits until all that was before it is read.
    fn readable(&self) -> Vec<LogId> {
        let next = |log| self.shards.iter().find(|shard| shard.log == log).map_or(0, |shard| shard.next);
        let is_read = |shard: &ShardDefinition| self.console.streams().has_ended(shard, next(shard.log()));
        self.stream.readable(is_read).into_iter().map(ShardDefinition::log).collect()
    }

    /// Reads each shard once that may be read; whether there was anything.
    async fn read(&mut self) -> Result<bool, StreamError> {
        let readable = self.readable();
        for shard in self.shards.iter_mut().filter(|shard| readable.contains(&shard.log)) {
            shard.end.borrow_and_update();
            let from = shard.next;
            let read = self.console.streams().read(shard.log, from, READ_BYTES).await?;
            shard.next = read.next;
            for record in read.batches.iter().flat_map(|batch| batch.records()).filter(|record| record.offset >= from) {
                match self.form {
                    Form::Placed => self.ready.push_back(placed(shard, &record)),
                    Form::Sample => self.ready.extend(events(shard.index, &record)),
                }
            }
        }
        Ok(!self.ready.is_empty())
    }
}

/// A record and its place.
fn placed(shard: &Shard, record: &Record) -> Value {
    let mut line = json!({
        "sequence_number": SequenceNumber { log: shard.log, offset: record.offset }.to_string(),
        "shard": ShardId(shard.index).to_string(),
        "arrived": rfc3339(record.append_time),
        "partition_key": String::from_utf8_lossy(&record.partition_key),
    });
    match std::str::from_utf8(&record.data) {
        Ok(text) => line["data"] = json!(text),
        Err(_) => line["data_hex"] = json!(hex(&record.data)),
    }
    line
}

/// The events of a record; one that holds none is kept as its text, if it is one: an input may read it in another format.
pub(crate) fn events(shard: u32, record: &Record) -> Vec<Value> {
    let values = serde_json::Deserializer::from_slice(&record.data).into_iter::<Value>().map_while(Result::ok);
    let mut events: Vec<Value> = values
        .flat_map(|value| if let Value::Array(events) = value { events } else { vec![value] })
        .filter(Value::is_object)
        .collect();
    if let (true, Ok(text)) = (events.is_empty(), std::str::from_utf8(&record.data)) {
        events.push(json!({ SAMPLE_TEXT: text }));
    }
    let added = |mut event: Value| {
        if let Value::Object(event) = &mut event {
            event.insert(SAMPLE_ARRIVAL.to_owned(), json!(rfc3339(record.append_time)));
            event.insert(SAMPLE_SHARD.to_owned(), json!(shard));
        }
        event
    };
    events.into_iter().map(added).collect()
}

/// Bytes that are no text.
fn hex(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}
