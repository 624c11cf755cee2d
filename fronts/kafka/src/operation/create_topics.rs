//! CreateTopics: a topic is a hub of the client's namespace, which every other protocol finds too.

use millstream_namespace::{NewHub, Right};

use super::later;
use super::settings::{Kept, Refusal};
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::service::Kafka;
use crate::session::Session;
use crate::topic::{self, NO_ID, TopicId};
use crate::wire::{DecodeError, Reader, Writer};

/// Partitions of a topic for which none are asked for.
pub const PARTITIONS: u32 = 1;

struct Wanted {
    name: String,
    partitions: i32,
    copies: i16,
    assigned: bool,
    settings: Vec<(String, Option<String>)>,
}

/// A topic's name, and what became of it.
type Made = (String, Result<(NewHub, TopicId), Refusal>);

pub fn begin(kafka: Kafka, session: Session, mut request: Request) -> Result<Answer, DecodeError> {
    let fields = &mut request.fields;
    let topics = fields.array(|fields| {
        let (name, partitions, copies) = (fields.string()?, fields.i32()?, fields.i16()?);
        let assigned = fields.array(|fields| {
            fields.i32()?;
            fields.array(Reader::i32)?;
            fields.tags()
        })?;
        let settings = fields.array(|fields| {
            let setting = (fields.string()?, fields.nullable_string()?);
            fields.tags()?;
            Ok(setting)
        })?;
        fields.tags()?;
        Ok(Wanted { name, partitions, copies, assigned: !assigned.is_empty(), settings })
    })?;
    fields.i32()?;
    let only_check = fields.bool()?;
    Ok(later(async move {
        let mut made = Vec::with_capacity(topics.len());
        for wanted in topics {
            let hub = check(&kafka, &session, &wanted);
            let one = match hub {
                Ok(hub) if only_check => Ok((hub, NO_ID)),
                Ok(hub) => create(&kafka, &session, hub.clone()).await.map(|()| {
                    let made = topic::find(&kafka, &session, Right::Any, &hub.name);
                    (hub, made.map_or(NO_ID, |stream| topic::id(&stream)))
                }),
                Err(refusal) => Err(refusal),
            };
            made.push((wanted.name, one));
        }
        answer(&request, &made)
    }))
}

/// Makes a topic.
pub async fn create(kafka: &Kafka, session: &Session, hub: NewHub) -> Result<(), Refusal> {
    if !session.allows(kafka, Right::Manage, &hub.name) {
        return Err((ErrorCode::TopicAuthorizationFailed, "the right to manage is missing".to_owned()));
    }
    let created = kafka.namespaces.create_hub(&session.namespace, hub).await;
    created.map(drop).map_err(|error| (ErrorCode::from(&error), error.to_string()))
}

fn exists(name: &str) -> Refusal {
    (ErrorCode::TopicAlreadyExists, format!("there is a topic `{name}` already"))
}

fn check(kafka: &Kafka, session: &Session, wanted: &Wanted) -> Result<NewHub, Refusal> {
    match topic::find(kafka, session, Right::Manage, &wanted.name) {
        Ok(_) => return Err(exists(&wanted.name)),
        Err(ErrorCode::UnknownTopicOrPartition) => {}
        Err(error) => return Err((error, format!("topic `{}` cannot be made", wanted.name))),
    }
    if wanted.assigned {
        let text = "there is one broker: partitions are not assigned to brokers";
        return Err((ErrorCode::InvalidReplicaAssignment, text.to_owned()));
    }
    if !matches!(wanted.copies, -1 | 1) {
        let text = format!("expected a replication factor of 1, found {}", wanted.copies);
        return Err((ErrorCode::InvalidReplicationFactor, text));
    }
    let partitions = match wanted.partitions {
        -1 => PARTITIONS,
        count => u32::try_from(count)
            .map_err(|_| (ErrorCode::InvalidPartitions, format!("expected a number of partitions, found {count}")))?,
    };
    let mut kept = Kept::default();
    for (name, value) in &wanted.settings {
        if let Some(value) = value {
            kept.set(name, value)?;
        }
    }
    Ok(kept.hub(wanted.name.clone(), partitions))
}

fn answer(request: &Request, made: &[Made]) -> Writer {
    let version = request.version;
    let mut out = request.answer();
    out.i32(0);
    out.array(made, |out, (name, made)| {
        out.string(name);
        if version >= 7 {
            out.uuid(made.as_ref().map_or(NO_ID, |(_, id)| *id));
        }
        out.i16(made.as_ref().err().map_or(ErrorCode::None, |(error, _)| *error).wire());
        out.nullable_string(made.as_ref().err().map(|(_, text)| text.as_str()));
        if version >= 5 {
            out.i32(made.as_ref().map_or(-1, |(hub, _)| hub.partitions.cast_signed()));
            out.i16(if made.is_ok() { 1 } else { -1 });
            // Clients read the settings of a topic that was made without looking whether there are any.
            let settings = made.as_ref().map_or_else(|_| Vec::new(), |(hub, _)| Vec::from(Kept::of_hub(hub).shown()));
            out.array(&settings, |out, (name, value, source)| {
                out.string(name);
                out.nullable_string(Some(value));
                out.bool(true);
                out.i8(*source);
                out.bool(false);
                out.tags();
            });
        }
        out.tags();
    });
    out.tags();
    out
}
