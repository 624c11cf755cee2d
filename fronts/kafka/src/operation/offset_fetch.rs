//! OffsetFetch: how far groups have read.

use std::collections::BTreeMap;

use millstream_group::Committed;
use millstream_namespace::Right;
use millstream_types::LogId;

use super::of_topic::OfTopic;
use super::{LEADER_EPOCH, later};
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::service::Kafka;
use crate::session::Session;
use crate::topic;
use crate::wire::{DecodeError, Writer};

struct OfGroup<T> {
    group: String,
    topics: T,
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
    let groups: Vec<OfGroup<Option<Vec<OfTopic<i32>>>>> = if version < 8 {
        let group = fields.string()?;
        vec![OfGroup { group, topics: OfTopic::read_numbers_or_null(fields)?, error: ErrorCode::None }]
    } else {
        fields.array(|fields| {
            let group = fields.string()?;
            let topics = OfTopic::read_numbers_or_null(fields)?;
            fields.tags()?;
            Ok(OfGroup { group, topics, error: ErrorCode::None })
        })?
    };
    Ok(later(async move {
        let mut found = Vec::with_capacity(groups.len());
        for OfGroup { group, topics, .. } in groups {
            found.push(match kafka.groups.committed(&session.group(&group)).await {
                Ok(committed) => {
                    let topics = of_group(&kafka, &session, topics, &committed);
                    OfGroup { group, topics, error: ErrorCode::None }
                }
                Err(error) => OfGroup { group, topics: Vec::new(), error: ErrorCode::from(&error) },
            });
        }
        answer(&request, &found)
    }))
}

fn of_group(
    kafka: &Kafka,
    session: &Session,
    wanted: Option<Vec<OfTopic<i32>>>,
    committed: &BTreeMap<LogId, Committed>,
) -> Vec<OfTopic<Found>> {
    let Some(wanted) = wanted else { return all(kafka, session, committed) };
    let mut found = Vec::with_capacity(wanted.len());
    for OfTopic { name, partitions } in wanted {
        let stream = topic::find(kafka, session, Right::Listen, &name);
        let one = |index: i32| match stream.clone().and_then(|stream| topic::partition(&stream, index)) {
            Ok(log) => Found { index, error: ErrorCode::None, committed: committed.get(&log).cloned() },
            // A topic that is not there has no offset; that is no error here.
            Err(ErrorCode::UnknownTopicOrPartition) => Found { index, error: ErrorCode::None, committed: None },
            Err(error) => Found { index, error, committed: None },
        };
        let partitions = partitions.into_iter().map(one).collect();
        found.push(OfTopic { name, partitions });
    }
    found
}

/// All offsets of topics that are there.
fn all(kafka: &Kafka, session: &Session, committed: &BTreeMap<LogId, Committed>) -> Vec<OfTopic<Found>> {
    let mut found = Vec::new();
    for (name, stream) in topic::list(kafka, session) {
        if !session.allows(kafka, Right::Listen, &name) {
            continue;
        }
        let of_shard = |shard: &millstream_catalog::ShardDefinition| {
            let committed = committed.get(&shard.log())?.clone();
            Some(Found { index: shard.index.cast_signed(), error: ErrorCode::None, committed: Some(committed) })
        };
        let partitions: Vec<Found> = stream.shards.iter().filter_map(of_shard).collect();
        if !partitions.is_empty() {
            found.push(OfTopic { name, partitions });
        }
    }
    found
}

fn answer(request: &Request, groups: &[OfGroup<Vec<OfTopic<Found>>>]) -> Writer {
    let version = request.version;
    let mut out = request.answer();
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
        topics(&mut out, version, &of_group.topics);
        if version >= 2 {
            out.i16(of_group.error.wire());
        }
    }
    out.tags();
    out
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
