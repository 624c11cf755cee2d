//! DeleteTopics: topics and their records go.

use std::collections::BTreeSet;

use millstream_namespace::Right;

use super::later;
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::service::Kafka;
use crate::session::Session;
use crate::topic;
use crate::wire::{DecodeError, Reader};

pub fn begin(kafka: Kafka, session: Session, mut request: Request) -> Result<Answer, DecodeError> {
    let version = request.version;
    let names: BTreeSet<String> = request.fields.array(Reader::string)?.into_iter().collect();
    request.fields.i32()?;
    Ok(later(async move {
        let mut deleted = Vec::with_capacity(names.len());
        for name in names {
            let error = delete(&kafka, &session, &name).await.err().unwrap_or(ErrorCode::None);
            deleted.push((name, error));
        }
        let mut out = request.answer();
        out.i32(0);
        out.array(&deleted, |out, (name, error)| {
            out.string(name);
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

async fn delete(kafka: &Kafka, session: &Session, name: &str) -> Result<(), ErrorCode> {
    topic::find(kafka, session, Right::Manage, name)?;
    let gone = kafka.namespaces.delete_stream(&session.namespace, name).await;
    gone.map_err(|error| ErrorCode::from(&error))
}
