//! Letting go of old records: a log begins at its first record that is young enough, or later where its stream limits the bytes
//! of a shard. What is before it takes no part in anything; its room on the disk is given back by whole segments.

use millstream_storage::{Storage, Transaction};
use millstream_types::Millis;

use crate::engine::Streams;
use crate::error::StreamError;

pub(crate) async fn enforce(streams: &Streams, storage: &Storage, now: Millis) -> Result<(), StreamError> {
    let mut transaction = Transaction::new();
    for stream in streams.list() {
        let oldest = now - stream.retention_ms();
        for shard in &stream.shards {
            let bounds = storage.bounds(shard.log());
            if bounds.first < bounds.next {
                let young = streams.offset_at_time(shard.log(), oldest).await?;
                let first = match stream.settings.retention_bytes {
                    Some(bytes) => young.max(streams.offset_within(shard.log(), bytes).await?),
                    None => young,
                };
                if first > bounds.first {
                    transaction.trim_log(shard.log(), first);
                }
            }
        }
    }
    if !transaction.is_empty() {
        storage.commit(transaction).await?;
    }
    for stream in streams.list().iter().filter(|stream| stream.shards.iter().any(|shard| !shard.is_open())) {
        streams.forget_closed_shards(stream).await?;
    }
    Ok(())
}
