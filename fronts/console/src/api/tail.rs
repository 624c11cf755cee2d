//! `GET /api/streams/{name}/tail?from=latest|trim_horizon&limit=`: records as they become durable, one a line.

use std::collections::VecDeque;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use futures_util::future::select_all;
use millstream_stream::{SequenceNumber, ShardId, StreamError};
use millstream_types::{LogId, time::rfc3339};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::Console;
use crate::error::ConsoleError;

/// Bytes that one read of a shard asks for.
const READ_BYTES: usize = 256 << 10;

/// Where to begin and when to end.
#[derive(Debug, Deserialize)]
pub struct Options {
    #[serde(default)]
    from: From,
    /// Records to send; without it the answer ends when the asker goes.
    limit: Option<u64>,
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
    let stream = console.streams().get(&name)?;
    let place = console.follower()?;
    let shards = stream.shards.iter().map(|shard| {
        let bounds = console.streams().bounds(shard.log());
        let next = if options.from == From::TrimHorizon { bounds.first } else { bounds.next };
        Shard { index: shard.index, log: shard.log(), next, end: console.streams().watch(shard.log()) }
    });
    let follower = Follower {
        shards: shards.collect(),
        ready: VecDeque::new(),
        left: options.limit.unwrap_or(u64::MAX),
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
    shards: Vec<Shard>,
    ready: VecDeque<Value>,
    left: u64,
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
            if !self.read().await.ok()? {
                let changes = self.shards.iter_mut().map(|shard| Box::pin(shard.end.changed()));
                select_all(changes).await.0.ok()?;
            }
        }
        self.left -= 1;
        self.ready.pop_front()
    }

    /// Reads each shard once; whether there was anything.
    async fn read(&mut self) -> Result<bool, StreamError> {
        for shard in &mut self.shards {
            shard.end.borrow_and_update();
            let from = shard.next;
            let read = self.console.streams().read(shard.log, from, READ_BYTES).await?;
            shard.next = read.next;
            for record in read.batches.iter().flat_map(|batch| batch.records()).filter(|record| record.offset >= from) {
                let data = match std::str::from_utf8(&record.data) {
                    Ok(text) => json!({ "data": text }),
                    Err(_) => json!({ "data_hex": hex(&record.data) }),
                };
                let mut line = json!({
                    "sequence_number": SequenceNumber { log: shard.log, offset: record.offset }.to_string(),
                    "shard": ShardId(shard.index).to_string(),
                    "arrived": rfc3339(record.append_time),
                    "partition_key": String::from_utf8_lossy(&record.partition_key),
                });
                if let (Value::Object(line), Value::Object(data)) = (&mut line, data) {
                    line.extend(data);
                }
                self.ready.push_back(line);
            }
        }
        Ok(!self.ready.is_empty())
    }
}

/// Bytes that are no text.
fn hex(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}
