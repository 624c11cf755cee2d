//! The settings of a topic that can be set: how long and how much of its records it keeps.

use millstream_catalog::StreamDefinition;
use millstream_namespace::NewHub;

use crate::error::ErrorCode;

/// Kinds of what has settings.
pub const TOPIC: i8 = 2;
pub const BROKER: i8 = 4;

/// Says of a setting's value that it is the topic's own.
const OF_TOPIC: i8 = 1;
/// Says of a setting's value that nobody said another.
pub const DEFAULT: i8 = 5;

/// How long records stay, milliseconds.
const MS: &str = "retention.ms";
/// Bytes that each partition keeps; -1: as many as come.
const BYTES: &str = "retention.bytes";
/// What becomes of older records. They are deleted; nothing else can be set.
const POLICY: &str = "cleanup.policy";

/// Hours that records stay for which no time is asked for: a week, as elsewhere in the protocol's world.
const HOURS: u32 = 168;
/// The longest time that records may stay: a year, as long as streams of the other protocols may keep them.
const HOURS_MAX: i64 = 8_760;
const HOUR_MS: i64 = 3_600_000;

/// Why something is not done.
pub type Refusal = (ErrorCode, String);

/// What a topic keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    pub hours: u32,
    /// Of each partition; `None`: as many as come.
    pub bytes: Option<u64>,
}

impl Default for Kept {
    fn default() -> Self {
        Self { hours: HOURS, bytes: None }
    }
}

impl Kept {
    /// What a topic keeps that is there.
    pub fn of(stream: &StreamDefinition) -> Self {
        Self { hours: stream.retention_hours, bytes: stream.settings.retention_bytes }
    }

    /// What a topic keeps that is made.
    pub fn of_hub(hub: &NewHub) -> Self {
        Self { hours: hub.retention_hours, bytes: hub.retention_bytes.filter(|bytes| *bytes > 0) }
    }

    /// A topic that is to keep this.
    pub fn hub(self, name: String, partitions: u32) -> NewHub {
        let retention_bytes = Some(self.bytes.unwrap_or(0));
        NewHub { name, partitions, retention_hours: self.hours, retention_bytes }
    }

    /// Sets one by its name.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        match (name, value) {
            (MS, value) => self.hours = hours(value)?,
            (BYTES, value) => self.bytes = bytes(value)?,
            (POLICY, "delete") => {}
            _ => return Err(unknown(&format!("{name}={value}"))),
        }
        Ok(())
    }

    /// Gives one its usual value.
    pub fn unset(&mut self, name: &str) -> Result<(), Refusal> {
        match name {
            MS => self.hours = HOURS,
            BYTES => self.bytes = None,
            POLICY => {}
            _ => return Err(unknown(name)),
        }
        Ok(())
    }

    /// Names, values and where these come from.
    pub fn shown(&self) -> [(&'static str, String, i8); 2] {
        let bytes = self.bytes.map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string());
        let of_bytes = if self.bytes.is_some() { OF_TOPIC } else { DEFAULT };
        [(MS, (i64::from(self.hours) * HOUR_MS).to_string(), OF_TOPIC), (BYTES, bytes, of_bytes)]
    }
}

fn unknown(found: &str) -> Refusal {
    (ErrorCode::InvalidConfig, format!("expected {MS}, {BYTES} or {POLICY}=delete as settings, found {found}"))
}

/// Whole hours, rounded up, since streams keep records by the hour.
fn hours(text: &str) -> Result<u32, Refusal> {
    let parsed: Option<i64> = text.parse().ok();
    let hours = parsed.filter(|ms| *ms > 0).map(|ms| (ms - 1) / HOUR_MS + 1).filter(|hours| *hours <= HOURS_MAX);
    hours.and_then(|hours| u32::try_from(hours).ok()).ok_or_else(|| {
        let text = format!("expected {MS} from 1 to {}, found {text}", HOURS_MAX * HOUR_MS);
        (ErrorCode::InvalidConfig, text)
    })
}

fn bytes(text: &str) -> Result<Option<u64>, Refusal> {
    match text.parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(bytes) if bytes > 0 => Ok(Some(bytes.unsigned_abs())),
        _ => {
            Err((ErrorCode::InvalidConfig, format!("expected {BYTES} of 1 or more, or -1 for no limit, found {text}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_is_whole_hours_and_bytes() {
        let mut kept = Kept::default();
        for (text, expected) in [("1", 1), ("3600000", 1), ("3600001", 2), ("604800000", 168)] {
            kept.set(MS, text).unwrap();
            assert_eq!(kept.hours, expected, "{text}");
        }
        for (text, expected) in [("1", Some(1)), ("-1", None), ("9223372036854775807", Some(i64::MAX.unsigned_abs()))] {
            kept.set(BYTES, text).unwrap();
            assert_eq!((kept.bytes, kept.shown()[1].1.as_str()), (expected, text));
        }
        let bad = [(MS, &["0", "-1", "x", "99999999999999"][..]), (BYTES, &["0", "-2", "x", "9223372036854775808"])];
        for (name, text) in bad.into_iter().flat_map(|(name, texts)| texts.iter().map(move |text| (name, text))) {
            assert!(kept.set(name, text).is_err(), "{name}={text}");
        }
        assert!(kept.set(POLICY, "compact").is_err() && kept.set("segment.bytes", "1").is_err());
        kept.unset(MS).unwrap();
        kept.unset(BYTES).unwrap();
        assert_eq!(kept, Kept::default());
    }
}
