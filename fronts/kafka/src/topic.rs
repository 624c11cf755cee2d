//! Topics: the streams that a client sees, by name. In the default namespace all streams of users, which are its hubs too;
//! in another one its hubs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use millstream_catalog::{StreamDefinition, StreamOwner};
use millstream_namespace::name::stream_of;
use millstream_namespace::{DEFAULT_NAMESPACE, Right};
use millstream_stream::{Streams, hash_key};
use millstream_types::LogId;

use crate::error::ErrorCode;
use crate::service::Kafka;
use crate::session::Session;

/// Bytes of a topic's name.
const NAME_BYTES_MAX: usize = 249;

/// What a request names a topic by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TopicKey {
    /// Its name.
    Name(Arc<str>),
    /// Its id: another one when it is made anew.
    Id(TopicId),
}

/// A topic's id, as clients that know ids name it.
pub type TopicId = [u8; 16];

/// "No topic", where an id would stand.
pub const NO_ID: TopicId = [0; 16];

/// The id of a stream's topic: it follows from its name and the time of its making, so nothing has to be kept. Its form is that of
/// UUIDs whose makers decide what is in them (RFC 9562, version 8).
pub fn id(stream: &StreamDefinition) -> TopicId {
    let mut named = stream.name.clone().into_bytes();
    named.push(0);
    named.extend(stream.created.to_be_bytes());
    let mut id = hash_key::of_partition_key(&named).to_be_bytes();
    id[6] = (id[6] & 0x0f) | 0x80;
    id[8] = (id[8] & 0x3f) | 0x80;
    id
}

/// The streams of topics by their ids, as they were when streams changed last.
#[derive(Default)]
pub struct TopicIds(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Which change of streams it was.
    change: Option<u64>,
    names: HashMap<TopicId, Arc<str>>,
}

impl TopicIds {
    /// The name of the stream whose topic has an id.
    fn stream(&self, streams: &Streams, id: &TopicId) -> Option<Arc<str>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at before the list is: what changes meanwhile is found out the next time.
        let change = *streams.changes().borrow();
        if known.change != Some(change) {
            let topics = streams.list().into_iter();
            let topics = topics.filter(|stream| matches!(stream.owner, StreamOwner::User | StreamOwner::Hub));
            known.names = topics.map(|stream| (self::id(&stream), Arc::from(stream.name.as_str()))).collect();
            known.change = Some(change);
        }
        known.names.get(id).cloned()
    }
}

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

/// As [`find`], for who names a topic in either way. An id that the client may not know is unknown to it.
pub fn find_by(
    kafka: &Kafka,
    session: &Session,
    right: Right,
    key: &TopicKey,
) -> Result<Arc<StreamDefinition>, ErrorCode> {
    match key {
        TopicKey::Name(name) => find(kafka, session, right, name),
        TopicKey::Id(id) => {
            let unknown = ErrorCode::UnknownTopicId;
            let stream = kafka.topic_ids.stream(&kafka.streams, id).ok_or(unknown)?;
            let name = stream.strip_prefix(&*stream_of(&session.namespace, "")).ok_or(unknown)?;
            match find(kafka, session, right, name) {
                // One that was made anew since has another id.
                Ok(stream) if self::id(&stream) == *id => Ok(stream),
                Err(error @ ErrorCode::TopicAuthorizationFailed) if session.allows(kafka, Right::Any, name) => {
                    Err(error)
                }
                _ => Err(unknown),
            }
        }
    }
}

/// The name by which a client knows a stream.
pub fn name<'s>(session: &Session, stream: &'s StreamDefinition) -> &'s str {
    stream.name.strip_prefix(&*stream_of(&session.namespace, "")).unwrap_or(&stream.name)
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
