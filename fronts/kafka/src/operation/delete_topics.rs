//! DeleteTopics: topics and their records go, by name or by id.

use std::collections::BTreeSet;

use millstream_namespace::Right;

use super::later;
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::service::Kafka;
use crate::session::Session;
use crate::topic::{self, NO_ID, TopicId, TopicKey};
use crate::wire::{DecodeError, Reader};

/// The first version that knows ids.
const WITH_IDS: i16 = 6;

pub fn begin(kafka: Kafka, session: Session, mut request: Request) -> Result<Answer, DecodeError> {
    let version = request.version;
    let named = request.fields.array(|fields| named(version, fields))?;
    let named: BTreeSet<(Option<String>, TopicId)> = named.into_iter().collect();
    request.fields.i32()?;
    Ok(later(async move {
        let mut deleted = Vec::with_capacity(named.len());
        for (name, id) in named {
            let (name, error) = match delete(&kafka, &session, name.as_deref(), id).await {
                Ok(name) => (Some(name), ErrorCode::None),
                Err(error) => (name, error),
            };
            deleted.push((name, id, error));
        }
        let mut out = request.answer();
        out.i32(0);
        out.array(&deleted, |out, (name, id, error)| {
            if version >= WITH_IDS {
                out.nullable_string(name.as_deref());
                out.uuid(*id);
            } else {
                out.string(name.as_deref().unwrap_or_default());
            }
            out.i16(error.wire());
            if version >= 5 {
                out.nullable_string(None);
            }
            out.tags();
        });
        out.tags();
        out
    }))
}

fn named(version: i16, fields: &mut Reader) -> Result<(Option<String>, TopicId), DecodeError> {
    if version < WITH_IDS {
        return Ok((Some(fields.string()?), NO_ID));
    }
    let named = (fields.nullable_string()?, fields.uuid()?);
    fields.tags()?;
    Ok(named)
}

/// Removes a topic; gives its name.
async fn delete(kafka: &Kafka, session: &Session, name: Option<&str>, id: TopicId) -> Result<String, ErrorCode> {
    let stream = match (name, id) {
        (Some(name), NO_ID) => topic::find(kafka, session, Right::Manage, name)?,
        (None, id) => topic::find_by(kafka, session, Right::Manage, &TopicKey::Id(id))?,
        (Some(_), _) => return Err(ErrorCode::InvalidRequest),
    };
    let name = topic::name(session, &stream);
    let gone = kafka.namespaces.delete_stream(&session.namespace, name).await;
    gone.map(|()| name.to_owned()).map_err(|error| ErrorCode::from(&error))
}
