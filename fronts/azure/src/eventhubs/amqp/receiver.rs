//! Links that read a partition: from a position on, as far as there is credit, and then as events come.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use millstream_amqp::codec::performative::{Attach, Source};
use millstream_amqp::{AmqpError, Connection, LinkId, Value, condition};
use millstream_insight::Counter;
use millstream_namespace::{Lease, Meter, Refused};
use millstream_types::{LogId, Record};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::ingress::partition_of;
use super::selector::{self, Position};
use crate::eventhubs::address::Address;
use crate::eventhubs::{EventHubs, error, record};

/// Bytes that are read from the log at once and wait for credit.
const READ_BYTES: usize = 256 << 10;

/// Bytes that wait for the client before nothing more is sent.
const OUTPUT_BYTES_MAX: usize = 256 << 10;

const EPOCH: &str = "com.microsoft:epoch";
const RUNTIME_METRICS: &str = "com.microsoft:enable-receiver-runtime-metric";

/// A link that reads.
pub struct Receiver {
    log: LogId,
    next: u64,
    /// Read and not sent yet.
    pending: VecDeque<Record>,
    /// How far the partition reaches.
    end: watch::Receiver<u64>,
    lease: Lease,
    level: Option<i64>,
    name: String,
    runtime_metrics: bool,
    sent: Counter,
    sent_bytes: Counter,
    meter: Arc<Meter>,
    wake: Arc<Notify>,
    follow: AbortHandle,
    /// Wakes the link when its namespace may give more.
    pause: Option<AbortHandle>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.follow.abort();
        if let Some(pause) = &self.pause {
            pause.abort();
        }
    }
}

impl Receiver {
    /// The link for an address of a partition; `wake` is told when there is something to do for it.
    ///
    /// # Errors
    /// No such hub, group or partition; a position that cannot be; a reader that shuts this one out.
    pub async fn open(
        hubs: &EventHubs,
        namespace: &str,
        (address, text): (&Address, &str),
        attach: &Attach,
        wake: &Arc<Notify>,
    ) -> Result<Self, AmqpError> {
        let hub = hubs.namespaces.hub_or_stream(namespace, &address.hub).map_err(|_| error::not_found(text))?;
        let stream = hubs.namespaces.stream(&hub).map_err(|_| error::not_found(text))?;
        let (Some(group), Some(partition)) = (&address.group, &address.partition) else {
            let text = format!("expected an address HUB/ConsumerGroups/GROUP/Partitions/NUMBER, found '{text}'");
            return Err(AmqpError::new(error::ARGUMENT_ERROR, text));
        };
        if !hub.consumer_groups.iter().any(|found| found.name.eq_ignore_ascii_case(group)) {
            return Err(error::not_found(text));
        }
        let partition = partition_of(partition, stream.numbers())?;
        let Some(shard) = stream.shards.iter().find(|shard| shard.index == partition) else {
            return Err(error::not_found(text));
        };
        let source = Source::decode(attach.source.clone())?;
        let next = first_offset(hubs, shard.log(), selector::position(&source)?).await?;
        let level = attach.properties.get(EPOCH).and_then(Value::integer);
        let name = attach.properties.get("com.microsoft:receiver-name").and_then(Value::text).unwrap_or("nil");
        let lease = hubs
            .namespaces
            .readers()
            .take((&hub.stream, group, partition), level, Arc::clone(wake))
            .map_err(|refused| refusal(refused, level))?;
        let end = hubs.streams.watch(shard.log());
        let meter = hubs.namespaces.meter(namespace).map_err(|_| error::not_found(text))?;
        let counter = |name| hubs.insight.metrics.counter(name, &format!("stream/{}", hub.stream));
        Ok(Self {
            log: shard.log(),
            next,
            pending: VecDeque::new(),
            follow: follow(end.clone(), Arc::clone(wake)),
            end,
            lease,
            level,
            name: name.to_owned(),
            runtime_metrics: attach.desired_capabilities.iter().any(|wish| *wish == RUNTIME_METRICS),
            sent: counter("records_out"),
            sent_bytes: counter("bytes_out"),
            meter,
            wake: Arc::clone(wake),
            pause: None,
        })
    }

    /// Why the link has to end, when another reader took its place.
    pub fn displaced(&self) -> Option<AmqpError> {
        let level = self.lease.displaced_by()?;
        let (name, own) = (&self.name, self.level.map(|level| level.to_string()).unwrap_or_default());
        let text = format!(
            "New receiver 'nil' with higher epoch of '{level}' is created hence current receiver '{name}' with epoch '{own}' is getting disconnected. If you are recreating the receiver, make sure a higher epoch is used."
        );
        Some(AmqpError::new(condition::STOLEN, text))
    }

    /// Sends what the link's credit and the client's pace allow.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn pump(&mut self, hubs: &EventHubs, connection: &mut Connection, id: LinkId) -> Result<(), AmqpError> {
        let mut head = BytesMut::new();
        while connection.credit(id) > 0 && connection.output().len() < OUTPUT_BYTES_MAX {
            let closed_ms = self.meter.out_opens_in();
            if closed_ms > 0 {
                self.pause(Duration::from_millis(closed_ms));
                break;
            }
            let Some(event) = self.pending.pop_front() else {
                if self.next >= *self.end.borrow_and_update() {
                    break;
                }
                self.read(hubs).await?;
                continue;
            };
            head.clear();
            let metrics = self.runtime_metrics.then(|| self.metrics(hubs));
            let [body, footer] = record::encode(&event, metrics.as_ref(), &mut head);
            connection.send(id, &[&head, &body, &footer]);
            let bytes = (head.len() + body.len() + footer.len()) as u64;
            self.meter.take_out(1, bytes);
            self.sent.add(1);
            self.sent_bytes.add(bytes);
        }
        let ready = !self.pending.is_empty() || self.next < *self.end.borrow();
        if connection.is_draining(id) && !ready {
            connection.drained(id);
        }
        Ok(())
    }

    /// Lets the connection look again after a while.
    fn pause(&mut self, time: Duration) {
        if self.pause.as_ref().is_some_and(|pause| !pause.is_finished()) {
            return;
        }
        let wake = Arc::clone(&self.wake);
        let task = tokio::spawn(async move {
            tokio::time::sleep(time).await;
            wake.notify_one();
        });
        self.pause = Some(task.abort_handle());
    }

    async fn read(&mut self, hubs: &EventHubs) -> Result<(), AmqpError> {
        let read = hubs.streams.read(self.log, self.next, READ_BYTES).await;
        let read = read.map_err(|error| AmqpError::new(condition::INTERNAL_ERROR, error.to_string()))?;
        let from = self.next;
        let mut bytes = 0;
        for record in read.batches.iter().flat_map(millstream_types::RecordBatch::records) {
            // A batch of the log may hold more than is to wait here: the rest of it is read again later.
            if record.offset < from || bytes >= READ_BYTES {
                continue;
            }
            bytes += record.data.len() + record.headers.len();
            self.next = record.offset + 1;
            self.pending.push_back(record);
        }
        if self.pending.is_empty() {
            // Retention took what there was.
            self.next = self.next.max(read.next);
        }
        Ok(())
    }

    fn metrics(&self, hubs: &EventHubs) -> Value {
        let bounds = hubs.streams.bounds(self.log);
        let last = bounds.next.cast_signed() - 1;
        let entries = [
            ("last_enqueued_sequence_number", Value::Long(last)),
            ("last_enqueued_offset", Value::string(last.to_string())),
            ("last_enqueued_time_utc", Value::Timestamp(bounds.last_append_time)),
            ("runtime_info_retrieval_time_utc", Value::Timestamp(hubs.clock.now())),
        ];
        Value::Map(entries.into_iter().map(|(name, value)| (Value::symbol(name), value)).collect())
    }
}

/// Wakes the connection whenever the partition grows.
fn follow(mut end: watch::Receiver<u64>, wake: Arc<Notify>) -> AbortHandle {
    let task = tokio::spawn(async move {
        while end.changed().await.is_ok() {
            wake.notify_one();
        }
    });
    task.abort_handle()
}

async fn first_offset(hubs: &EventHubs, log: LogId, position: Position) -> Result<u64, AmqpError> {
    let bounds = hubs.streams.bounds(log);
    match position {
        Position::Start => Ok(bounds.first),
        Position::Latest => Ok(bounds.next),
        Position::Offset(offset) if offset <= bounds.next => Ok(offset.max(bounds.first)),
        Position::Offset(offset) => {
            let text = format!(
                "The supplied offset '{offset}' is invalid. The last offset in the system is '{}'.",
                bounds.next.cast_signed() - 1
            );
            Err(AmqpError::new(error::ARGUMENT_ERROR, text))
        }
        Position::Time(time) => {
            let found = hubs.streams.offset_at_time(log, time).await;
            found.map_err(|error| AmqpError::new(condition::INTERNAL_ERROR, error.to_string()))
        }
    }
}

fn refusal(refused: Refused, level: Option<i64>) -> AmqpError {
    match (refused, level) {
        (Refused::Owned { current }, Some(level)) => {
            let text = format!(
                "Receiver 'nil' with a higher epoch of '{current}' already exists. Receiver 'nil' with epoch {level} cannot be created. Make sure you are creating receiver with increasing epoch value to ensure connectivity, or ensure all old epoch receivers are closed or disconnected."
            );
            AmqpError::new(condition::STOLEN, text)
        }
        (Refused::Owned { current }, None) => {
            let text = format!(
                "Non-epoch receiver is not allowed: a receiver with epoch '{current}' exists. Make sure that all receivers of the partition have an epoch or none has."
            );
            AmqpError::new(condition::STOLEN, text)
        }
        (Refused::TooMany, _) => {
            let text = format!(
                "Exceeded the maximum number of allowed receivers per partition in a consumer group which is {}.",
                millstream_namespace::reader::SHARED_READERS_MAX
            );
            AmqpError::new(condition::RESOURCE_LIMIT_EXCEEDED, text)
        }
    }
}
