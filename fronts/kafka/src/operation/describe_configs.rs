//! DescribeConfigs: the settings of topics and of the broker, as far as they exist here.

use millstream_namespace::Right;

use super::create_topics::{OF_TOPIC, RETENTION};
use super::{NODE, later};
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::record::RECORD_BYTES_MAX;
use crate::service::Kafka;
use crate::session::Session;
use crate::topic;
use crate::wire::{DecodeError, Reader, Writer};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Says of a setting's value that nobody said another.
const DEFAULT: i8 = 5;

/// Types of values.
const BOOLEAN: i8 = 1;
const TEXT: i8 = 2;
const INT: i8 = 3;
const LONG: i8 = 5;
const LIST: i8 = 7;

struct Wanted {
    kind: i8,
    name: String,
    keys: Option<Vec<String>>,
}

struct Setting {
    name: &'static str,
    value: String,
    source: i8,
    kind: i8,
}

pub fn begin(kafka: Kafka, session: Session, mut request: Request) -> Result<Answer, DecodeError> {
    let resources = request.fields.array(|fields| {
        let wanted =
            Wanted { kind: fields.i8()?, name: fields.string()?, keys: fields.nullable_array(Reader::string)? };
        fields.tags()?;
        Ok(wanted)
    })?;
    Ok(later(async move {
        let describe = |wanted: Wanted| {
            let settings = settings(&kafka, &session, &wanted).map(|mut settings| {
                settings.retain(|setting| {
                    wanted.keys.as_ref().is_none_or(|keys| keys.iter().any(|key| key == setting.name))
                });
                settings
            });
            (wanted, settings)
        };
        let described: Vec<_> = resources.into_iter().map(describe).collect();
        answer(&request, &described)
    }))
}

fn settings(kafka: &Kafka, session: &Session, wanted: &Wanted) -> Result<Vec<Setting>, ErrorCode> {
    let setting = |name, value: &str, source, kind| Setting { name, value: value.to_owned(), source, kind };
    match wanted.kind {
        TOPIC => {
            let stream = topic::find(kafka, session, Right::Any, &wanted.name)?;
            let retention_ms = u64::from(stream.retention_hours) * 3_600_000;
            Ok(vec![
                setting("cleanup.policy", "delete", DEFAULT, LIST),
                setting("compression.type", "uncompressed", DEFAULT, TEXT),
                setting("max.message.bytes", &RECORD_BYTES_MAX.to_string(), DEFAULT, INT),
                setting("message.timestamp.type", "CreateTime", DEFAULT, TEXT),
                setting("min.insync.replicas", "1", DEFAULT, INT),
                setting(RETENTION, &retention_ms.to_string(), OF_TOPIC, LONG),
            ])
        }
        BROKER if wanted.name.parse() == Ok(NODE) || wanted.name.is_empty() => {
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

fn answer(request: &Request, described: &[(Wanted, Result<Vec<Setting>, ErrorCode>)]) -> Writer {
    let version = request.version;
    let mut out = request.answer();
    out.i32(0);
    out.array(described, |out, (wanted, settings)| {
        out.i16(settings.as_ref().err().copied().unwrap_or(ErrorCode::None).wire());
        out.nullable_string(None);
        out.i8(wanted.kind);
        out.string(&wanted.name);
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
    out
}
