//! OffsetFetch: how far groups have read.

use std::collections::BTreeMap;

use millstream_catalog::ShardDefinition;
use millstream_group::Committed;
use millstream_namespace::Right;
use millstream_types::LogId;

use super::of_topic::OfTopic;
use super::{GROUPS_BYTES_MAX, LEADER_EPOCH, held};
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::service::Kafka;
use crate::session::Session;
use crate::topic;
use crate::wire::{DecodeError, Writer};

struct OfGroup {
    group: String,
    topics: Vec<OfTopic<Found>>,
    error: ErrorCode,
}

struct Found {
    index: i32,
    error: ErrorCode,
    committed: Option<Committed>,
}

pub fn begin(kafka: Kafka, session: Session, mut request: Request) -> Result<Answer, DecodeError> {
    let version = request.version;
    let fields = &mut request.fields;
    // Each group once, however often it is asked for.
    let mut groups = BTreeMap::new();
    if version < 8 {
        groups.insert(fields.string()?, OfTopic::read_numbers_or_null(fields)?);
    } else {
        groups.extend(fields.array(|fields| {
            let group = (fields.string()?, OfTopic::read_numbers_or_null(fields)?);
            fields.tags()?;
            Ok(group)
        })?);
    }
    Ok(held(async move {
        let mut found = Vec::with_capacity(groups.len());
        let mut room = GROUPS_BYTES_MAX;
        for (group, topics) in groups {
            found.push(match kafka.groups.committed(&session.group(&group)).await {
                Ok(committed) => {
                    let committed = Within { committed, room: &mut room };
                    OfGroup { group, topics: of_group(&kafka, &session, topics, committed), error: ErrorCode::None }
                }
                Err(error) => OfGroup { group, topics: Vec::new(), error: ErrorCode::from(&error) },
            });
        }
        request.held(&kafka, |out| answer(out, version, &found)).await
    }))
}

/// A group's offsets, as long as there is room for what consumers said of them.
struct Within<'r> {
    committed: BTreeMap<LogId, Committed>,
    room: &'r mut usize,
}

impl Within<'_> {
    fn find(&mut self, index: i32, log: LogId) -> Found {
        let Some(committed) = self.committed.get(&log) else {
            return Found { index, error: ErrorCode::None, committed: None };
        };
        match self.room.checked_sub(committed.metadata.len()) {
            Some(left) => {
                *self.room = left;
                Found { index, error: ErrorCode::None, committed: Some(committed.clone()) }
            }
            None => Found { index, error: ErrorCode::MessageTooLarge, committed: None },
        }
    }
}

fn of_group(
    kafka: &Kafka,
    session: &Session,
    wanted: Option<Vec<OfTopic<i32>>>,
    mut committed: Within<'_>,
) -> Vec<OfTopic<Found>> {
    let Some(wanted) = wanted else { return all(kafka, session, committed) };
    let mut found = Vec::with_capacity(wanted.len());
    for OfTopic { name, partitions } in wanted {
        let stream = topic::find(kafka, session, Right::Listen, &name);
        let mut one = |index: i32| match stream.clone().and_then(|stream| topic::partition(&stream, index)) {
            Ok(log) => committed.find(index, log),
            // A topic that is not there has no offset; that is no error here.
            Err(ErrorCode::UnknownTopicOrPartition) => Found { index, error: ErrorCode::None, committed: None },
            Err(error) => Found { index, error, committed: None },
        };
        let partitions = partitions.into_iter().map(&mut one).collect();
        found.push(OfTopic { name, partitions });
    }
    found
}

/// All offsets of topics that are there.
fn all(kafka: &Kafka, session: &Session, mut committed: Within<'_>) -> Vec<OfTopic<Found>> {
    let mut found = Vec::new();
    if committed.committed.is_empty() {
        return found;
    }
    for (name, stream) in topic::list(kafka, session) {
        if !session.allows(kafka, Right::Listen, &name) {
            continue;
        }
        let found_of = |shard: &ShardDefinition| committed.find(shard.index.cast_signed(), shard.log());
        let is_kept = |found: &Found| found.committed.is_some() || found.error != ErrorCode::None;
        let partitions: Vec<Found> = stream.shards.iter().map(found_of).filter(is_kept).collect();
        if !partitions.is_empty() {
            found.push(OfTopic { name, partitions });
        }
    }
    found
}

fn answer(out: &mut Writer, version: i16, groups: &[OfGroup]) {
    if version >= 3 {
        out.i32(0);
    }
    if version >= 8 {
        out.array(groups, |out, of_group| {
            out.string(&of_group.group);
            topics(out, version, &of_group.topics);
            out.i16(of_group.error.wire());
            out.tags();
        });
    } else if let Some(of_group) = groups.first() {
        topics(out, version, &of_group.topics);
        if version >= 2 {
            out.i16(of_group.error.wire());
        }
    }
    out.tags();
}

fn topics(out: &mut Writer, version: i16, topics: &[OfTopic<Found>]) {
    OfTopic::write(topics, out, |out, found| {
        out.i32(found.index);
        out.i64(found.committed.as_ref().map_or(-1, |committed| committed.offset.cast_signed()));
        if version >= 5 {
            out.i32(if found.committed.is_some() { LEADER_EPOCH } else { -1 });
        }
        out.nullable_string(Some(found.committed.as_ref().map_or("", |committed| committed.metadata.as_str())));
        out.i16(found.error.wire());
    });
}
