//! How streams of changes, their shards and their records are named towards clients.
//!
//! A stream's label is the time of its making; a shard's id holds that time and its log; a sequence number holds the log and
//! the offset, so it rises within a shard: `1`, 18 digits of the log, 20 digits of the offset.

use millstream_types::{LogId, Millis};

use crate::place::{Place, resource};

const LOG_DIGITS: usize = 18;
const OFFSET_DIGITS: usize = 20;

/// `2026-11-21T11:23:10.123`
#[must_use]
pub fn label(created: Millis) -> String {
    let at = jiff::Timestamp::from_millisecond(created).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%S%.3f").to_string()
}

/// The time that a label tells; `None` for a text that is none.
#[must_use]
pub fn parse_label(label: &str) -> Option<Millis> {
    let at: jiff::civil::DateTime = label.parse().ok()?;
    let time = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond();
    Some(time).filter(|time| self::label(*time) == label)
}

/// The ARN of the stream of changes that a table made at a time.
#[must_use]
pub fn stream_arn(place: &Place, table: &str, created: Millis) -> String {
    place.arn("dynamodb", &format!("table/{table}/stream/{}", label(created)))
}

/// The table and the label that a stream's ARN names.
#[must_use]
pub fn parse_stream_arn(arn: &str) -> Option<(&str, &str)> {
    resource(arn, "dynamodb", "table/")?.split_once("/stream/")
}

/// `shardId-`, 20 digits of the stream's time, `-`, at least 8 hexadecimal digits of the shard's log.
#[must_use]
pub fn shard_id(created: Millis, log: LogId) -> String {
    format!("shardId-{created:020}-{:08x}", log.0)
}

/// A record's sequence number.
#[must_use]
pub fn sequence_number(log: LogId, offset: u64) -> String {
    format!("1{:0LOG_DIGITS$}{offset:0OFFSET_DIGITS$}", log.0)
}

/// The log and the offset of a sequence number; `None` for a text that is none.
#[must_use]
pub fn parse_sequence_number(text: &str) -> Option<(LogId, u64)> {
    let digits = text.strip_prefix('1').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let (log, offset) = digits.split_at_checked(LOG_DIGITS).filter(|(_, offset)| offset.len() == OFFSET_DIGITS)?;
    Some((LogId(log.parse().ok()?), offset.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        let place = Place::new("us-east-1");
        let arn = stream_arn(&place, "trades", 1_500);
        assert_eq!(arn, "arn:aws:dynamodb:us-east-1:000000000000:table/trades/stream/1970-01-01T00:00:01.500");
        assert_eq!(parse_stream_arn(&arn), Some(("trades", "1970-01-01T00:00:01.500")));
        assert_eq!(parse_stream_arn(&place.arn("dynamodb", "table/trades")), None);
        assert_eq!(parse_label(&label(1_500)), Some(1_500));
        assert_eq!((parse_label("latest"), parse_label(&format!("{}1", label(1_500)))), (None, None));
        assert_eq!(shard_id(1_500, LogId(300)), "shardId-00000000000000001500-0000012c");
        let number = sequence_number(LogId(7), 9);
        assert_eq!((number.len(), parse_sequence_number(&number)), (39, Some((LogId(7), 9))));
        for text in ["", "1", "2", &number[1..], &format!("{number}0"), &number.replace('7', "x")] {
            assert_eq!(parse_sequence_number(text), None, "{text}");
        }
    }
}
