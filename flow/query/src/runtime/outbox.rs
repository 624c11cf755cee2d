//! Results that are more than one transaction holds (the pattern of the transactional outbox).
//!
//! They are written ahead, in parts, before the transaction that has the query's positions and state; that one says up to which part they
//! count, so they are all there with it or none is. From then on they are handed on part by part: a part's records come into their
//! streams in the transaction in which the part is removed. So a crash at any point leaves each result once. Read next:
//! [`super::commit`].

use std::ops::Range;

use bytes::Bytes;
use millstream_storage::{Keyspace, Storage, StorageError, Transaction};
use millstream_stream::Entry;

use super::encoded::Encoded;
use super::numbered::{Numbered, blocking};
use crate::executor::state::{Reader, StateError, Writer};

/// Where results wait.
#[derive(Clone)]
pub(super) struct Outbox {
    storage: Storage,
    /// Under the query's name up to which part they count.
    keyspace: Keyspace,
    pub(super) parts: Numbered,
}

impl Outbox {
    pub(super) fn new(storage: Storage) -> Self {
        let parts = Numbered::new(storage.clone(), Keyspace::new("query/results"));
        Self { storage, keyspace: Keyspace::new("query/counted"), parts }
    }

    /// The numbers of the parts that count and are not handed on. Removes what a crash left of others.
    pub(super) async fn load(&self, query: &str) -> Result<Range<u64>, StorageError> {
        let (outbox, name) = (self.clone(), query.to_owned());
        let next = blocking(move || outbox.storage.get(&outbox.keyspace, name.as_bytes())).await?;
        let next = next.and_then(|bytes| bytes.as_ref().try_into().ok()).map_or(0, u64::from_be_bytes);
        self.parts.remove_from(query, next).await?;
        Ok(self.parts.first(query).await?.unwrap_or(next)..next)
    }

    /// Writes a part of results that do not count yet.
    pub(super) async fn write_ahead(&self, query: &str, number: u64, part: &[Encoded]) -> Result<(), StorageError> {
        let mut transaction = Transaction::new();
        self.parts.put(query, number, encode(part), &mut transaction);
        self.storage.commit(transaction).await?;
        Ok(())
    }

    /// Lets all parts before a number count, once the transaction is durable.
    pub(super) fn count_before(&self, query: &str, next: u64, transaction: &mut Transaction) {
        transaction.put(&self.keyspace, query.as_bytes().to_vec(), next.to_be_bytes().to_vec());
    }

    /// A part, unless it is handed on.
    pub(super) async fn part(&self, query: &str, number: u64) -> Result<Option<Vec<Encoded>>, StorageError> {
        let found = self.parts.get(query, number).await?;
        let damaged = |error: StateError| StorageError::Damaged {
            file: format!("results of query {query}"),
            position: number,
            detail: error.to_string(),
        };
        found.map(|bytes| decode(&bytes).map_err(damaged)).transpose()
    }

    /// Removes a part, in the transaction that has its records.
    pub(super) fn done(&self, query: &str, number: u64, transaction: &mut Transaction) {
        self.parts.delete(query, number, transaction);
    }

    /// Lets no part of a query count any more.
    pub(super) fn forget(&self, query: &str, transaction: &mut Transaction) {
        transaction.delete(&self.keyspace, query.as_bytes().to_vec());
    }
}

fn encode(part: &[Encoded]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.count(part.len());
    for encoded in part {
        writer.bytes(encoded.output.as_bytes());
        writer.int(encoded.window_ms);
        writer.bytes(encoded.stream.as_bytes());
        writer.count(encoded.entries.len());
        for ((entry, label), time) in encoded.entries.iter().zip(&encoded.labels).zip(&encoded.times) {
            writer.bytes(&entry.partition_key);
            writer.bytes(&entry.headers);
            writer.bytes(&entry.data);
            // A label is nearly always the key, and may be long.
            match entry.partition_key == label.as_bytes() {
                true => writer.int(1),
                false => {
                    writer.int(0);
                    writer.bytes(label.as_bytes());
                }
            }
            writer.int(*time);
        }
    }
    writer.0
}

fn decode(bytes: &[u8]) -> Result<Vec<Encoded>, StateError> {
    let mut reader = Reader(bytes);
    let mut part = Vec::new();
    for _ in 0..reader.count()? {
        let (output, window_ms, stream) = (text(reader.bytes()?)?, reader.int()?, text(reader.bytes()?)?);
        let (mut entries, mut labels, mut times) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..reader.count()? {
            let mut next = || reader.bytes().map(Bytes::copy_from_slice);
            let (partition_key, headers, data) = (next()?, next()?, next()?);
            labels.push(match reader.int()? {
                1 => text(&partition_key)?,
                _ => text(reader.bytes()?)?,
            });
            times.push(reader.int()?);
            entries.push(Entry { partition_key, explicit_hash_key: None, headers, data });
        }
        part.push(Encoded { output, window_ms, stream, entries, labels, times });
    }
    if reader.0.is_empty() { Ok(part) } else { Err(StateError) }
}

fn text(bytes: &[u8]) -> Result<String, StateError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| StateError)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millstream_types::SystemClock;

    use super::*;

    fn part(data: &'static str) -> Vec<Encoded> {
        let entry = |key: &'static str| Entry {
            partition_key: Bytes::from(key),
            explicit_hash_key: None,
            headers: Bytes::from_static(&[1]),
            data: Bytes::from(data),
        };
        vec![Encoded {
            output: "o".into(),
            window_ms: 60_000,
            stream: "query/q/o".into(),
            entries: vec![entry("k"), entry("other")],
            labels: vec!["k".into(), "label".into()],
            times: vec![5, -6],
        }]
    }

    fn shown(part: &[Encoded]) -> String {
        format!("{part:?}")
    }

    #[test]
    fn parts_come_back_and_other_bytes_do_not() {
        let bytes = encode(&part("{}"));
        assert_eq!(shown(&decode(&bytes).unwrap()), shown(&part("{}")));
        assert!(decode(&bytes[..bytes.len() - 1]).is_err() && decode(&[1]).is_err());
    }

    #[tokio::test]
    async fn only_parts_that_count_are_there_after_a_crash() {
        let outbox = Outbox::new(Storage::in_memory(Arc::new(SystemClock)));
        assert_eq!(outbox.load("q").await.unwrap(), 0..0);
        for number in 0..4 {
            outbox.write_ahead("q", number, &part("{}")).await.unwrap();
        }
        outbox.write_ahead("q2", 7, &part("{}")).await.unwrap();
        let mut transaction = Transaction::new();
        outbox.count_before("q", 3, &mut transaction);
        outbox.done("q", 0, &mut transaction);
        outbox.storage.commit(transaction).await.unwrap();
        assert_eq!(outbox.load("q").await.unwrap(), 1..3);
        assert!(outbox.part("q", 0).await.unwrap().is_none() && outbox.part("q", 3).await.unwrap().is_none());
        assert_eq!(shown(&outbox.part("q", 2).await.unwrap().unwrap()), shown(&part("{}")));
        let mut transaction = Transaction::new();
        outbox.forget("q", &mut transaction);
        outbox.storage.commit(transaction).await.unwrap();
        assert_eq!(outbox.load("q").await.unwrap(), 0..0, "nothing counts of a query that was removed");
        assert!(outbox.part("q2", 7).await.unwrap().is_some(), "another query's stay");
    }
}
