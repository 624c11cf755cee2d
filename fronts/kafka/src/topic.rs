//! Topics: the streams that a client sees, by name. In the default namespace all streams of users, which are its hubs too;
//! in another one its hubs.

use std::sync::Arc;

use millstream_catalog::{StreamDefinition, StreamOwner};
use millstream_namespace::name::stream_of;
use millstream_namespace::{DEFAULT_NAMESPACE, Right};
use millstream_types::LogId;

use crate::error::ErrorCode;
use crate::service::Kafka;
use crate::session::Session;

/// Bytes of a topic's name.
const NAME_BYTES_MAX: usize = 249;

/// Whether something may be called so.
pub fn is_name(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name != "." && name != ".." && name.bytes().all(good)
}

/// The stream of a topic that the client may use so.
pub fn find(kafka: &Kafka, session: &Session, right: Right, name: &str) -> Result<Arc<StreamDefinition>, ErrorCode> {
    if !is_name(name) {
        return Err(ErrorCode::InvalidTopic);
    }
    if !session.allows(kafka, right, name) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    let found = kafka.streams.get(&stream_of(&session.namespace, name));
    found.ok().filter(|stream| stream.owner == owner(session)).ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// All topics that the client may use in some way, by their names.
pub fn list(kafka: &Kafka, session: &Session) -> Vec<(String, Arc<StreamDefinition>)> {
    let prefix = stream_of(&session.namespace, "");
    let topics = kafka.streams.list().into_iter().filter(|stream| stream.owner == owner(session));
    let named = topics.filter_map(|stream| Some((stream.name.strip_prefix(&prefix)?.to_owned(), stream)));
    named.filter(|(name, _)| is_name(name) && session.allows(kafka, Right::Any, name)).collect()
}

/// The log of a topic's partition.
pub fn partition(stream: &StreamDefinition, index: i32) -> Result<LogId, ErrorCode> {
    let shard = u32::try_from(index).ok().and_then(|index| stream.shards.iter().find(|shard| shard.index == index));
    shard.map(millstream_catalog::ShardDefinition::log).ok_or(ErrorCode::UnknownTopicOrPartition)
}

fn owner(session: &Session) -> StreamOwner {
    if session.namespace == DEFAULT_NAMESPACE { StreamOwner::User } else { StreamOwner::Hub }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!(["a", "a.b-c_D", "0", &"a".repeat(249)].into_iter().all(is_name));
        assert!(!["", ".", "..", "a/b", "a b", "\u{e4}", &"a".repeat(250)].into_iter().any(is_name));
    }
}
