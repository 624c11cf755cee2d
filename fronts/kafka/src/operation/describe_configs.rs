//! DescribeConfigs: the settings of topics and of the broker, as far as they exist here.

use std::collections::BTreeMap;

use millstream_namespace::Right;

use super::settings::{BROKER, DEFAULT, Kept, TOPIC};
use super::{NODE, held};
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::record::RECORD_BYTES_MAX;
use crate::service::Kafka;
use crate::session::Session;
use crate::topic;
use crate::wire::{DecodeError, Reader, Writer};

/// Types of values.
const BOOLEAN: i8 = 1;
const TEXT: i8 = 2;
const INT: i8 = 3;
const LONG: i8 = 5;
const LIST: i8 = 7;

struct Described {
    kind: i8,
    name: String,
    settings: Result<Vec<Setting>, ErrorCode>,
}

struct Setting {
    name: &'static str,
    value: String,
    source: i8,
    kind: i8,
}

pub fn begin(kafka: Kafka, session: Session, mut request: Request) -> Result<Answer, DecodeError> {
    let version = request.version;
    let resources = request.fields.array(|fields| {
        let of = (fields.i8()?, fields.string()?);
        let keys = fields.nullable_array(Reader::string)?;
        fields.tags()?;
        Ok((of, keys))
    })?;
    // Each once, however often it is asked for.
    let resources: BTreeMap<(i8, String), Option<Vec<String>>> = resources.into_iter().collect();
    Ok(held(async move {
        let describe = |((kind, name), keys): ((i8, String), Option<Vec<String>>)| {
            let is_wanted =
                |setting: &Setting| keys.as_ref().is_none_or(|keys| keys.iter().any(|key| key == setting.name));
            let settings = settings(&kafka, &session, kind, &name);
            Described { settings: settings.map(|all| all.into_iter().filter(is_wanted).collect()), kind, name }
        };
        let described: Vec<Described> = resources.into_iter().map(describe).collect();
        request.held(&kafka, |out| answer(out, version, &described)).await
    }))
}

fn settings(kafka: &Kafka, session: &Session, kind: i8, of: &str) -> Result<Vec<Setting>, ErrorCode> {
    let setting = |name, value: &str, source, kind| Setting { name, value: value.to_owned(), source, kind };
    match kind {
        TOPIC => {
            let stream = topic::find(kafka, session, Right::Any, of)?;
            let kept = Kept::of(&stream).shown().map(|(name, value, source)| setting(name, &value, source, LONG));
            let fixed = [
                setting("cleanup.policy", "delete", DEFAULT, LIST),
                setting("compression.type", "uncompressed", DEFAULT, TEXT),
                setting("max.message.bytes", &RECORD_BYTES_MAX.to_string(), DEFAULT, INT),
                setting("message.timestamp.type", "CreateTime", DEFAULT, TEXT),
                setting("min.insync.replicas", "1", DEFAULT, INT),
            ];
            Ok(fixed.into_iter().chain(kept).collect())
        }
        BROKER if of.parse() == Ok(NODE) || of.is_empty() => {
            let create = if kafka.options.create_topics { "true" } else { "false" };
            Ok(vec![
                setting("auto.create.topics.enable", create, DEFAULT, BOOLEAN),
                setting("default.replication.factor", "1", DEFAULT, INT),
                setting("min.insync.replicas", "1", DEFAULT, INT),
                setting("num.partitions", "1", DEFAULT, INT),
            ])
        }
        _ => Err(ErrorCode::InvalidRequest),
    }
}

fn answer(out: &mut Writer, version: i16, described: &[Described]) {
    out.i32(0);
    out.array(described, |out, Described { kind, name, settings }| {
        out.i16(settings.as_ref().err().copied().unwrap_or(ErrorCode::None).wire());
        out.nullable_string(None);
        out.i8(*kind);
        out.string(name);
        out.array(settings.as_ref().map_or(&[][..], |settings| settings), |out, setting| {
            out.string(setting.name);
            out.nullable_string(Some(&setting.value));
            out.bool(true);
            out.i8(setting.source);
            out.bool(false);
            // Where else a value could come from.
            out.array::<()>(&[], |_, ()| {});
            if version >= 3 {
                out.i8(setting.kind);
                out.nullable_string(None);
            }
            out.tags();
        });
        out.tags();
    });
    out.tags();
}
