//! IncrementalAlterConfigs: how long and how much a topic keeps is changed, setting by setting.

use millstream_namespace::Right;

use super::later;
use super::settings::{Kept, Refusal, TOPIC};
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::service::Kafka;
use crate::session::Session;
use crate::topic;
use crate::wire::DecodeError;

/// What is done to a setting. Those that add to a list and take from it are refused: no list can be changed.
const SET: i8 = 0;
const DELETE: i8 = 1;

struct Wanted {
    kind: i8,
    name: String,
    changes: Vec<(String, i8, Option<String>)>,
}

pub fn begin(kafka: Kafka, session: Session, mut request: Request) -> Result<Answer, DecodeError> {
    let fields = &mut request.fields;
    let wanted = fields.array(|fields| {
        let (kind, name) = (fields.i8()?, fields.string()?);
        let changes = fields.array(|fields| {
            let change = (fields.string()?, fields.i8()?, fields.nullable_string()?);
            fields.tags()?;
            Ok(change)
        })?;
        fields.tags()?;
        Ok(Wanted { kind, name, changes })
    })?;
    let only_check = fields.bool()?;
    Ok(later(async move {
        let mut done = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            let refused = alter(&kafka, &session, &wanted, only_check).await.err();
            done.push((wanted, refused));
        }
        let mut out = request.answer();
        out.i32(0);
        out.array(&done, |out, (wanted, refused)| {
            out.i16(refused.as_ref().map_or(ErrorCode::None, |(error, _)| *error).wire());
            out.nullable_string(refused.as_ref().map(|(_, text)| text.as_str()));
            out.i8(wanted.kind);
            out.string(&wanted.name);
            out.tags();
        });
        out.tags();
        out
    }))
}

/// All changes of a topic, or none.
async fn alter(kafka: &Kafka, session: &Session, wanted: &Wanted, only_check: bool) -> Result<(), Refusal> {
    if wanted.kind != TOPIC {
        let text = "only settings of topics can be changed; those of the node are in its own settings file";
        return Err((ErrorCode::InvalidRequest, text.to_owned()));
    }
    let found = topic::find(kafka, session, Right::Manage, &wanted.name);
    let stream = found.map_err(|error| (error, format!("topic `{}` cannot be changed", wanted.name)))?;
    let there = Kept::of(&stream);
    let mut kept = there;
    for (name, operation, value) in &wanted.changes {
        match (*operation, value) {
            (SET, Some(value)) => kept.set(name, value)?,
            (DELETE, _) => kept.unset(name)?,
            _ => {
                let text = format!("expected {name} to be set to a value or deleted; it is no list");
                return Err((ErrorCode::InvalidConfig, text));
            }
        }
    }
    if only_check || kept == there {
        return Ok(());
    }
    // What was not asked for is left as it is when its turn comes: somebody else may be changing it.
    let hours = (kept.hours != there.hours).then_some(kept.hours);
    let bytes = (kept.bytes != there.bytes).then(|| kept.bytes.unwrap_or(0));
    let changed = kafka.streams.set_kept(&stream.name, hours, bytes).await;
    changed.map_err(|error| (ErrorCode::from(&error), error.to_string()))
}
