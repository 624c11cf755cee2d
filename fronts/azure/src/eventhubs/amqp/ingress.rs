//! Links that send: which hub, which partition, and what a delivery holds.

use millstream_amqp::{AmqpError, Delivery};

use crate::eventhubs::address::Address;
use crate::eventhubs::ingest::Ingest;
use crate::eventhubs::{EventHubs, error, record};

/// Deliveries that may wait on a link to one partition; the service's own number.
const PARTITION_CREDIT: u32 = 1_000;
/// As above, on a link to a hub.
const HUB_CREDIT: u32 = 300;

/// A link that sends.
#[derive(Debug)]
pub struct Ingress {
    stream: String,
    partitions: u32,
    partition: Option<u32>,
    /// The key of all its events, when it is a publisher's.
    publisher: Option<String>,
}

impl Ingress {
    /// The link for an address of a hub that is there.
    ///
    /// # Errors
    /// No such hub or partition.
    pub fn open(hubs: &EventHubs, namespace: &str, address: &Address, text: &str) -> Result<Self, AmqpError> {
        let hub = hubs.namespaces.hub(namespace, &address.hub).map_err(|_| error::not_found(text))?;
        let stream = hubs.namespaces.stream(&hub).map_err(|_| error::not_found(text))?;
        let partitions = u32::try_from(stream.shards.len()).unwrap_or(u32::MAX);
        let partition =
            address.partition.as_deref().map(|partition| partition_of(partition, partitions)).transpose()?;
        Ok(Self { stream: hub.stream.clone(), partitions, partition, publisher: address.publisher.clone() })
    }

    /// Deliveries that may wait.
    pub fn credit(&self) -> u32 {
        if self.partition.is_some() { PARTITION_CREDIT } else { HUB_CREDIT }
    }

    /// Adds a delivery's events to those that wait for a commit.
    ///
    /// # Errors
    /// What is no message.
    pub fn take(&self, hubs: &EventHubs, delivery: &Delivery, ingest: &mut Ingest) -> Result<(), AmqpError> {
        let mut batch = record::decode(delivery.format, delivery.message.clone())?;
        if let Some(publisher) = &self.publisher {
            for entry in &mut batch.entries {
                entry.partition_key = publisher.clone().into();
            }
            batch.partition_key = Some(publisher.clone());
        }
        let partition =
            self.partition.unwrap_or_else(|| hubs.partition(batch.partition_key.as_deref(), self.partitions));
        ingest.add(&self.stream, partition, batch.entries);
        Ok(())
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
