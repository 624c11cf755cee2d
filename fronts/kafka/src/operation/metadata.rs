//! Metadata: the broker, and topics with their partitions.

use std::collections::BTreeSet;
use std::sync::Arc;

use millstream_catalog::StreamDefinition;
use millstream_namespace::Right;

use super::settings::Kept;
use super::{CLUSTER, LEADER_EPOCH, NO_OPERATIONS, NODE, create_topics, held};
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::service::Kafka;
use crate::session::Session;
use crate::topic::{self, NO_ID, TopicId, TopicKey};
use crate::wire::{DecodeError, Writer};

struct Topic {
    /// `None`: asked for by an id that nobody may know.
    name: Option<String>,
    id: TopicId,
    found: Result<Arc<StreamDefinition>, ErrorCode>,
}

impl Topic {
    fn new(name: Option<String>, found: Result<Arc<StreamDefinition>, ErrorCode>) -> Self {
        let id = found.as_ref().map_or(NO_ID, |stream| topic::id(stream));
        Self { name, id, found }
    }
}

pub fn begin(kafka: Kafka, session: Session, mut request: Request) -> Result<Answer, DecodeError> {
    let version = request.version;
    let fields = &mut request.fields;
    let wanted = fields.nullable_array(|fields| {
        let id = if version >= 10 { fields.uuid()? } else { NO_ID };
        let name = if version >= 10 { fields.nullable_string()? } else { Some(fields.string()?) };
        fields.tags()?;
        Ok((name.unwrap_or_default(), id))
    })?;
    // The first version has no null: no topics are all topics.
    let wanted = wanted
        .map(BTreeSet::from_iter)
        .filter(|wanted: &BTreeSet<(String, TopicId)>| version > 0 || !wanted.is_empty());
    let may_create = if version >= 4 { fields.bool()? } else { true };
    Ok(held(async move {
        let topics = match wanted {
            None => topic::list(&kafka, &session)
                .into_iter()
                .map(|(name, stream)| Topic::new(Some(name), Ok(stream)))
                .collect(),
            Some(wanted) => {
                let mut topics = Vec::with_capacity(wanted.len());
                for (name, id) in wanted {
                    topics.push(match id {
                        NO_ID => {
                            let found = find(&kafka, &session, &name, may_create).await;
                            Topic::new(Some(name), found)
                        }
                        id => find_by_id(&kafka, &session, id),
                    });
                }
                topics
            }
        };
        request.held(&kafka, |out| answer(out, &session, version, &topics)).await
    }))
}

fn find_by_id(kafka: &Kafka, session: &Session, id: TopicId) -> Topic {
    let found = topic::find_by(kafka, session, Right::Any, &TopicKey::Id(id));
    let name = found.as_ref().ok().map(|stream| topic::name(session, stream).to_owned());
    Topic { name, id, found }
}

/// The topic, which is made when that is wanted of this node and the client wants it.
async fn find(
    kafka: &Kafka,
    session: &Session,
    name: &str,
    may_create: bool,
) -> Result<Arc<StreamDefinition>, ErrorCode> {
    match topic::find(kafka, session, Right::Any, name) {
        Err(ErrorCode::UnknownTopicOrPartition) if may_create && kafka.options.create_topics => {
            let new = Kept::default().hub(name.to_owned(), create_topics::PARTITIONS);
            match create_topics::create(kafka, session, new).await {
                Ok(()) => topic::find(kafka, session, Right::Any, name),
                // Made by another client since, or there in another case of letters: then it can never be.
                Err((ErrorCode::TopicAlreadyExists, _)) => {
                    topic::find(kafka, session, Right::Any, name).map_err(|_| ErrorCode::InvalidTopic)
                }
                Err((error, _)) => Err(error),
            }
        }
        found => found,
    }
}

fn answer(out: &mut Writer, session: &Session, version: i16, topics: &[Topic]) {
    if version >= 3 {
        out.i32(0);
    }
    out.array(&[&session.own], |out, (host, port)| {
        out.i32(NODE);
        out.string(host);
        out.i32(i32::from(*port));
        if version >= 1 {
            out.nullable_string(None);
        }
        out.tags();
    });
    if version >= 2 {
        out.nullable_string(Some(CLUSTER));
    }
    if version >= 1 {
        out.i32(NODE);
    }
    out.array(topics, |out, topic| one(out, version, topic));
    if (8..=10).contains(&version) {
        out.i32(NO_OPERATIONS);
    }
    out.tags();
}

fn one(out: &mut Writer, version: i16, topic: &Topic) {
    let error = topic.found.as_ref().err().copied().unwrap_or(ErrorCode::None);
    out.i16(error.wire());
    if version >= 12 {
        out.nullable_string(topic.name.as_deref());
    } else {
        out.string(topic.name.as_deref().unwrap_or_default());
    }
    if version >= 10 {
        out.uuid(topic.id);
    }
    if version >= 1 {
        out.bool(false);
    }
    // Clients take it that partitions are numbered without gaps: those that are no more are there without a leader.
    let partitions = topic.found.as_ref().map_or(0, |stream| stream.numbers());
    let shards = topic.found.as_ref().map_or(&[][..], |stream| &stream.shards);
    let is_there = |index: u32| shards.binary_search_by_key(&index, |shard| shard.index).is_ok();
    let partitions: Vec<u32> = (0..partitions).collect();
    out.array(&partitions, |out, &index| {
        let (error, leader) =
            if is_there(index) { (ErrorCode::None, NODE) } else { (ErrorCode::LeaderNotAvailable, -1) };
        out.i16(error.wire());
        out.i32(index.cast_signed());
        out.i32(leader);
        if version >= 7 {
            out.i32(LEADER_EPOCH);
        }
        out.array(&[NODE], |out, node| out.i32(*node));
        out.array(&[NODE], |out, node| out.i32(*node));
        if version >= 5 {
            out.array(&[], |out, node| out.i32(*node));
        }
        out.tags();
    });
    if version >= 8 {
        out.i32(NO_OPERATIONS);
    }
    out.tags();
}
