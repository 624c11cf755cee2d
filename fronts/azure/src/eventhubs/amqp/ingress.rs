//! Links that send: which hub, which partition, and what a delivery holds.

use std::sync::Arc;

use millstream_amqp::codec::performative::Attach;
use millstream_amqp::{AmqpError, Delivery, Value, condition};
use millstream_namespace::{Meter, partition};
use millstream_stream::{Announced, Sequence};

use crate::eventhubs::address::Address;
use crate::eventhubs::ingest::Ingest;
use crate::eventhubs::{EventHubs, error, record};

/// Deliveries that may wait on a link to one partition; the service's own number.
const PARTITION_CREDIT: u32 = 1_000;
/// As above, on a link to a hub.
const HUB_CREDIT: u32 = 300;

/// The wish of producers that number what they send.
pub const NUMBERING: &str = "com.microsoft:idempotent-producer";
const PRODUCER: &str = "com.microsoft:producer-id";
const EPOCH: &str = "com.microsoft:producer-epoch";
const SEQUENCE: &str = "com.microsoft:producer-sequence-number";

/// A producer that numbers its events, as both sides know it now.
struct Producer {
    id: u64,
    epoch: i16,
    /// It goes on behind this number.
    last: i32,
}

/// A link that sends.
pub struct Ingress {
    namespace: String,
    stream: String,
    partition: Option<u32>,
    /// The key of all its events, when it is a publisher's.
    publisher: Option<String>,
    /// Who numbers the link's events.
    producer: Option<Producer>,
    meter: Arc<Meter>,
}

impl Ingress {
    /// The link for an address of a hub that is there.
    ///
    /// # Errors
    /// No such hub or partition; numbered events without a partition, or under an epoch that is over.
    pub async fn open(
        hubs: &EventHubs,
        namespace: &str,
        (address, text): (&Address, &str),
        attach: &Attach,
    ) -> Result<Self, AmqpError> {
        let hub = hubs.namespaces.hub_or_stream(namespace, &address.hub).map_err(|_| error::not_found(text))?;
        let stream = hubs.namespaces.stream(&hub).map_err(|_| error::not_found(text))?;
        let partition =
            address.partition.as_deref().map(|partition| partition_of(partition, stream.numbers())).transpose()?;
        if let Some(closed) = partition.filter(|partition| !stream.is_open(*partition)) {
            return Err(error::closed(closed));
        }
        let meter = hubs.namespaces.meter(namespace).map_err(|_| error::not_found(text))?;
        let numbers = attach.desired_capabilities.iter().any(|wish| *wish == NUMBERING);
        let producer = match (numbers, partition) {
            (false, _) => None,
            (true, Some(partition)) => Some(announce(hubs, &hub.stream, partition, &attach.properties).await?),
            (true, None) => {
                let text = "A producer that numbers its events has to send to a partition of the hub.";
                return Err(AmqpError::new(error::ARGUMENT_ERROR, text));
            }
        };
        Ok(Self {
            namespace: namespace.to_owned(),
            stream: hub.stream.clone(),
            partition,
            publisher: address.publisher.clone(),
            producer,
            meter,
        })
    }

    /// What a producer that numbers its events is told of itself.
    pub fn told(&self) -> Vec<(Value, Value)> {
        let told = self.producer.iter().flat_map(|producer| {
            [
                (PRODUCER, Value::Long(producer.id.cast_signed())),
                (EPOCH, Value::Short(producer.epoch)),
                (SEQUENCE, Value::Int(producer.last)),
            ]
        });
        told.map(|(name, value)| (Value::symbol(name), value)).collect()
    }

    /// Deliveries that may wait.
    pub fn credit(&self) -> u32 {
        if self.partition.is_some() { PARTITION_CREDIT } else { HUB_CREDIT }
    }

    /// Adds a delivery's events to those that wait for a commit; gives their place among its outcomes.
    ///
    /// # Errors
    /// What is no message; more than the namespace takes at once.
    pub fn take(&self, hubs: &EventHubs, delivery: &Delivery, ingest: &mut Ingest) -> Result<usize, AmqpError> {
        let mut batch = record::decode(delivery.format, delivery.message.clone())?;
        let (records, bytes) = (batch.entries.len() as u64, delivery.message.len() as u64);
        if !hubs.admits(&self.meter, (&self.namespace, &self.stream), records, bytes) {
            return Err(error::throttled(&self.namespace));
        }
        if let Some(publisher) = &self.publisher {
            for entry in &mut batch.entries {
                entry.partition_key = publisher.clone().into();
            }
            batch.partition_key = Some(publisher.clone());
        }
        for entry in &batch.entries {
            let key = String::from_utf8_lossy(&entry.partition_key);
            partition::check_key(&key).map_err(|error| AmqpError::new(error::ARGUMENT_ERROR, error.to_string()))?;
        }
        let stream = hubs.streams.get(&self.stream).map_err(|error| error::not_taken(&error))?;
        let partition = match self.partition {
            Some(fixed) if stream.is_open(fixed) => fixed,
            Some(fixed) => return Err(error::closed(fixed)),
            None => hubs.partition(batch.partition_key.as_deref(), &stream),
        };
        let Some(producer) = &self.producer else {
            return Ok(ingest.add(&self.stream, partition, batch.entries, None));
        };
        let (Some(first), false) = (batch.sequence, batch.entries.is_empty()) else {
            let text = format!("Expected events with the annotation {SEQUENCE} on this link.");
            return Err(AmqpError::new(error::ARGUMENT_ERROR, text));
        };
        let sequence = Sequence { producer: producer.id, epoch: producer.epoch, first, announced: true };
        Ok(ingest.add(&self.stream, partition, batch.entries, Some(sequence)))
    }
}

/// Announces a producer as it describes itself.
async fn announce(hubs: &EventHubs, stream: &str, partition: u32, properties: &Value) -> Result<Producer, AmqpError> {
    let number = |name: &str| properties.get(name).and_then(Value::integer);
    let internal = |text: String| AmqpError::new(condition::INTERNAL_ERROR, text);
    let log = hubs.streams.shard_log(stream, partition).map_err(|error| error::not_taken(&error))?;
    let id = match number(PRODUCER) {
        Some(id) => id.cast_unsigned(),
        None => hubs.namespaces.new_producer_id().await.map_err(|error| internal(error.to_string()))?,
    };
    let announced = Announced {
        producer: id,
        epoch: number(EPOCH).and_then(|epoch| i16::try_from(epoch).ok()),
        last: number(SEQUENCE).and_then(|sequence| i32::try_from(sequence).ok()),
    };
    match hubs.producers.announce(log, announced).await {
        Ok(welcome) => Ok(Producer { id, epoch: welcome.epoch, last: welcome.last }),
        Err(refused) => Err(error::not_next(&refused).unwrap_or_else(|| internal(refused.to_string()))),
    }
}

/// A partition's number.
///
/// # Errors
/// A number that the hub does not have, or none at all.
pub fn partition_of(text: &str, partitions: u32) -> Result<u32, AmqpError> {
    text.parse().ok().filter(|partition| *partition < partitions).ok_or_else(|| {
        let text = format!(
            "The specified partition is invalid for an EventHub partition sender or receiver. It should be between 0 and {}, found '{text}'.",
            partitions.saturating_sub(1)
        );
        AmqpError::new(error::ARGUMENT_OUT_OF_RANGE, text)
    })
}
