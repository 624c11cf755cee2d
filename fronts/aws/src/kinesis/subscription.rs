//! What a subscription pushes: records as they become durable, a sign of life while there are none, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{ShardDefinition, StreamConsumer, StreamDefinition};
use millstream_insight::Insight;
use millstream_stream::{SequenceNumber, StreamError, Streams};
use millstream_types::Clock;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::get_records::{Records, children};
use super::{Kinesis, event_stream};
use crate::cbor_body;
use crate::json_protocol::ServiceError;

/// How long it is silent at most: an event without records tells how far it is.
const SILENCE: Duration = Duration::from_secs(5);
/// Bytes of records of one event, about; one record may be larger.
const EVENT_BYTES: usize = 1 << 20;

const EVENT: &str = "SubscribeToShardEvent";

/// Who reads what, and from where on.
pub(super) struct Subscribed {
    pub(super) stream: String,
    pub(super) consumer: StreamConsumer,
    pub(super) shard: ShardDefinition,
    pub(super) next: u64,
}

/// A subscription at work.
pub(super) struct Subscription {
    streams: Streams,
    insight: Insight,
    clock: Arc<dyn Clock>,
    subscribed: Subscribed,
    /// Whether events are CBOR, else JSON.
    cbor: bool,
    state: State,
    ends: Instant,
    /// Tells of records.
    end: watch::Receiver<u64>,
    /// Tells of streams that change.
    changes: watch::Receiver<u64>,
    /// Tells of another subscription that takes over.
    over: oneshot::Receiver<()>,
    stopped: watch::Receiver<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Begins,
    Runs,
    Ended,
}

/// Why a subscription ends before its time.
enum End {
    Quietly,
    With(ServiceError),
}

impl Subscription {
    pub(super) fn new(kinesis: &Kinesis, subscribed: Subscribed, over: oneshot::Receiver<()>, cbor: bool) -> Self {
        Self {
            streams: kinesis.streams.clone(),
            insight: kinesis.insight.clone(),
            clock: Arc::clone(&kinesis.clock),
            end: kinesis.streams.watch(subscribed.shard.log()),
            changes: kinesis.streams.changes(),
            subscribed,
            cbor,
            state: State::Begins,
            ends: Instant::now() + kinesis.subscription_time,
            over,
            stopped: kinesis.stopped.clone(),
        }
    }

    /// The next message; `None` when there are no more.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        match self.state {
            State::Ended => return None,
            State::Begins => {
                self.state = State::Runs;
                return Some(event_stream::event(
                    "initial-response",
                    self.content_type(),
                    &self.payload(Bytes::from_static(b"{}")),
                ));
            }
            State::Runs => {}
        }
        match self.event().await {
            Ok(event) => Some(event_stream::event(EVENT, self.content_type(), &self.payload(event))),
            Err(end) => {
                self.state = State::Ended;
                match end {
                    End::Quietly => None,
                    End::With(error) => {
                        let payload = self.payload(error.body());
                        Some(event_stream::exception(&error.code, self.content_type(), &payload))
                    }
                }
            }
        }
    }

    /// The next event's document: waits until there is something to tell.
    async fn event(&mut self) -> Result<Bytes, End> {
        let silent_until = Instant::now() + SILENCE;
        loop {
            self.end.borrow_and_update();
            self.changes.borrow_and_update();
            let (stream, shard) = self.look()?;
            let records = self.read(&stream).await?;
            if self.streams.has_ended(&shard, self.subscribed.next) {
                self.state = State::Ended;
                let last = format!("\"MillisBehindLatest\":0,\"ChildShards\":{}", children(&stream, &shard));
                return Ok(records.finish(&last));
            }
            if records.count > 0 || Instant::now() >= silent_until {
                return Ok(self.document(records));
            }
            self.wait(silent_until).await?;
        }
    }

    /// The stream and the shard as they are, unless the subscription is over.
    fn look(&mut self) -> Result<(Arc<StreamDefinition>, ShardDefinition), End> {
        if Instant::now() >= self.ends || *self.stopped.borrow() {
            return Err(End::Quietly);
        }
        if self.over.try_recv().is_ok() {
            return Err(taken_over());
        }
        let gone =
            |what: &str| End::With(ServiceError::new("ResourceNotFoundException", format!("The {what} is gone.")));
        let stream = self.streams.get(&self.subscribed.stream).map_err(|_| gone("stream"))?;
        let is_ours = |consumer: &StreamConsumer| {
            (&consumer.name, consumer.created) == (&self.subscribed.consumer.name, self.subscribed.consumer.created)
        };
        if !stream.consumers.iter().any(is_ours) {
            return Err(gone("consumer"));
        }
        let shard = stream.shards.iter().find(|shard| shard.log == self.subscribed.shard.log).cloned();
        Ok((stream, shard.ok_or_else(|| gone("shard"))?))
    }

    async fn read(&mut self, stream: &StreamDefinition) -> Result<Records, End> {
        let (log, from) = (self.subscribed.shard.log(), self.subscribed.next);
        let read = self.streams.read(log, from, EVENT_BYTES).await.map_err(|error| unreadable(&error))?;
        let mut records = Records::of(stream);
        self.subscribed.next = read.next;
        for record in read.batches.iter().flat_map(|batch| batch.iter()).filter(|record| record.offset >= from) {
            if records.count > 0 && records.payload + record.data.len() > EVENT_BYTES {
                self.subscribed.next = record.offset;
                break;
            }
            records.push(SequenceNumber { log, offset: record.offset }, &record);
        }
        let subject = format!("stream/{}", stream.name);
        self.insight.metrics.counter("records_out", &subject).add(records.count);
        Ok(records)
    }

    /// An event's document: its records, behind which number to go on, and how far behind it is.
    fn document(&self, records: Records) -> Bytes {
        let Subscribed { shard, next, .. } = &self.subscribed;
        let log = shard.log();
        let continuation = match next.checked_sub(1) {
            Some(offset) => SequenceNumber { log, offset },
            None => SequenceNumber::before(log),
        };
        let at_end = *next >= self.streams.bounds(log).next;
        let age = records.last_time.map_or(0, |last| (self.clock.now() - last).max(0));
        let behind = if at_end { 0 } else { age };
        records.finish(&format!("\"ContinuationSequenceNumber\":\"{continuation}\",\"MillisBehindLatest\":{behind}"))
    }

    /// Waits for records or a change, but not longer than until a time.
    async fn wait(&mut self, until: Instant) -> Result<(), End> {
        let Self { end, changes, over, stopped, ends, .. } = self;
        let more = async {
            if end.changed().await.is_err() {
                // The shard is gone, which a change of its stream tells.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = more => {}
            _ = changes.changed() => {}
            () = sleep_until(until.min(*ends)) => {}
            // Who stops the node need not tell.
            _ = stopped.wait_for(|stopped| *stopped) => return Err(End::Quietly),
            told = over => return Err(if told.is_ok() { taken_over() } else { End::Quietly }),
        }
        Ok(())
    }

    fn content_type(&self) -> &'static str {
        if self.cbor { cbor_body::CONTENT_TYPE } else { "application/json" }
    }

    fn payload(&self, json: Bytes) -> Bytes {
        if self.cbor { cbor_body::write(&json) } else { json }
    }
}

fn taken_over() -> End {
    let message = "Another subscription of the same consumer to the same shard took over.";
    End::With(ServiceError::new("ResourceInUseException", message))
}

fn unreadable(error: &StreamError) -> End {
    End::With(ServiceError::new("InternalFailureException", error.to_string()))
}
