//! Fetch: records from offsets on. Waits for enough of them, woken when a partition grows.
//! Read next: `fetch/gather.rs` (reading), [`crate::fetch_session`] (what is not asked and told again and again).

mod gather;

use std::sync::Arc;
use std::time::Duration;

use self::gather::{Got, Limits, gather};
use crate::connection::{Answer, Answered, Request};
use crate::error::ErrorCode;
use crate::fetch_session::{Asked, NO_SESSION, Told, Wanted};
use crate::service::Kafka;
use crate::session::Session;
use crate::throttle;
use crate::topic::{NO_ID, TopicKey};
use crate::wire::{DecodeError, Reader, Writer};

/// Bytes of one answer's records, whatever the client would take.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Bytes that an answer says of a partition beside its records, at most.
const PARTITION_BYTES: usize = 64;
/// The longest that a fetch waits, whatever the client would wait.
const WAIT_MAX: Duration = Duration::from_secs(60);

pub fn begin(kafka: Kafka, session: Session, mut request: Request) -> Result<Answer, DecodeError> {
    let (limits, asked) = read_request(request.version, &mut request.fields)?;
    Ok(Box::pin(async move {
        let fetching = match kafka.fetch_sessions.begin(&session.namespace, asked, kafka.clock.now()) {
            Ok(fetching) => fetching,
            Err(error) => return Some(Answered::new(answer(&request, error, NO_SESSION, &[], 0), None)),
        };
        throttle::may_go_out(&kafka, &session.namespace).await;
        let (held, mut got) = gather(&kafka, &session, &fetching.partitions, &limits).await;
        let throttle_ms = count(&kafka, &session, &got);
        let told: Vec<Told> = got.iter().map(Got::told).collect();
        let (id, news) = kafka.fetch_sessions.end(&session.namespace, fetching, &told, kafka.clock.now());
        let mut news = news.into_iter();
        got.retain(|_| news.next().unwrap_or(true));
        Some(Answered::new(answer(&request, ErrorCode::None, id, &got, throttle_ms), held))
    }))
}

fn read_request(version: i16, fields: &mut Reader) -> Result<(Limits, Asked), DecodeError> {
    if version < 15 {
        // Which broker asks: clients are none. Later versions say so among the tagged fields.
        fields.i32()?;
    }
    let wait = Duration::from_millis(u64::try_from(fields.i32()?).unwrap_or(0)).min(WAIT_MAX);
    let bytes_min = usize::try_from(fields.i32()?).unwrap_or(0);
    let bytes_max = usize::try_from(fields.i32()?).unwrap_or(0).clamp(1, ANSWER_BYTES_MAX);
    // Isolation: there are no transactions to be isolated from.
    fields.i8()?;
    let (session, epoch) = if version >= 7 { (fields.i32()?, fields.i32()?) } else { (NO_SESSION, -1) };
    let topics = fields.array(|fields| {
        let topic = topic_key(version, fields)?;
        let partitions = fields.array(|fields| partition(version, &topic, fields))?;
        fields.tags()?;
        Ok(partitions)
    })?;
    let forgotten = if version >= 7 { fields.array(|fields| forgotten(version, fields))? } else { Vec::new() };
    let (partitions, forgotten) = (topics.into_iter().flatten().collect(), forgotten.into_iter().flatten().collect());
    let asked = Asked { session, epoch, by_id: version >= 13, partitions, forgotten };
    Ok((Limits { wait, bytes_min: bytes_min.min(bytes_max), bytes_max }, asked))
}

fn topic_key(version: i16, fields: &mut Reader) -> Result<TopicKey, DecodeError> {
    Ok(if version >= 13 { TopicKey::Id(fields.uuid()?) } else { TopicKey::Name(Arc::from(fields.string()?)) })
}

fn partition(version: i16, topic: &TopicKey, fields: &mut Reader) -> Result<Wanted, DecodeError> {
    let index = fields.i32()?;
    let leader_epoch = if version >= 9 { fields.i32()? } else { -1 };
    let offset = fields.i64()?;
    if version >= 12 {
        // The epoch of what was read last: there is one only, so nothing is ever cut off behind a reader.
        fields.i32()?;
    }
    if version >= 5 {
        fields.i64()?;
    }
    let bytes_max = usize::try_from(fields.i32()?).unwrap_or(0);
    fields.tags()?;
    Ok(Wanted { topic: topic.clone(), index, offset, bytes_max, leader_epoch })
}

fn forgotten(version: i16, fields: &mut Reader) -> Result<Vec<(TopicKey, i32)>, DecodeError> {
    let topic = topic_key(version, fields)?;
    let partitions = fields.array(Reader::i32)?;
    fields.tags()?;
    Ok(partitions.into_iter().map(|index| (topic.clone(), index)).collect())
}

/// Counts what goes out; gives how long the client is told to wait, milliseconds.
fn count(kafka: &Kafka, session: &Session, got: &[Got]) -> i32 {
    let (mut records, mut bytes) = (0, 0);
    for of_topic in got.chunk_by(|one, next| one.topic == next.topic) {
        let count: u64 = of_topic.iter().map(|got| got.count).sum();
        if let Some(stream) = of_topic.iter().find_map(|got| got.stream.as_ref()).filter(|_| count > 0) {
            kafka.insight.metrics.counter("records_out", &format!("stream/{}", stream.name)).add(count);
        }
        records += count;
        bytes += of_topic.iter().map(|got| got.records.len() as u64).sum::<u64>();
    }
    throttle::went_out(kafka, &session.namespace, records, bytes)
}

/// A topic comes as often as its partitions do not follow each other: clients put them together.
fn answer(request: &Request, error: ErrorCode, session: i32, got: &[Got], throttle_ms: i32) -> Writer {
    let version = request.version;
    let mut out = request.answer();
    let topics: Vec<&[Got]> = got.chunk_by(|one, next| one.topic == next.topic).collect();
    let name = |topic: &TopicKey| if let TopicKey::Name(name) = topic { name.len() } else { NO_ID.len() };
    out.reserve(topics.iter().map(|of_topic| name(&of_topic[0].topic) + of_topic.len() * PARTITION_BYTES).sum());
    out.i32(throttle_ms);
    if version >= 7 {
        out.i16(error.wire());
        out.i32(session);
    }
    out.array(&topics, |out, of_topic| {
        match &of_topic[0].topic {
            TopicKey::Name(name) => out.string(name),
            TopicKey::Id(id) => out.uuid(*id),
        }
        out.array(of_topic, |out, got| write_partition(out, version, got));
        out.tags();
    });
    out.tags();
    out
}

fn write_partition(out: &mut Writer, version: i16, got: &Got) {
    let (first, next) = got.bounds.map_or((-1, -1), |(first, next)| (first.cast_signed(), next.cast_signed()));
    out.i32(got.index);
    out.i16(got.error.wire());
    out.i64(next);
    out.i64(next);
    if version >= 5 {
        out.i64(first);
    }
    out.null_array();
    if version >= 11 {
        out.i32(-1);
    }
    out.shared(got.records.clone());
    out.tags();
}
