//! Names of objects: `PREFIX NAME-VERSION-YYYY-MM-DD-HH-MM-SS-UUID EXTENSION`, and which names may be.
//!
//! Source: the Firehose developer guide, "Amazon S3 object name format". Read next: [`crate::prefix`].

use jiff::tz::TimeZone;
use millstream_catalog::{Compression, DeliveryStreamDefinition};
use millstream_types::Millis;
use uuid::Uuid;

use crate::error::DeliveryError;
use crate::prefix::Prefix;

/// Bytes of an evaluated prefix: the service's limit.
const PREFIX_BYTES_MAX: usize = 512;

/// Bytes of one part of a name between slashes: what folders take, less what an unfinished object adds.
const PART_BYTES_MAX: usize = 240;

/// How one delivery stream names its objects.
pub(crate) struct Naming {
    prefix: Prefix,
    zone: TimeZone,
    delivery_stream: String,
    version: u32,
    extension: String,
}

impl Naming {
    /// Reads a definition. May read the system's time zones from the disk: not for an async worker.
    ///
    /// # Errors
    /// [`DeliveryError::BadNaming`] when names could not be made or would lead out of the bucket.
    pub(crate) fn of(definition: &DeliveryStreamDefinition) -> Result<Self, DeliveryError> {
        let destination = &definition.destination;
        let prefix = Prefix::parse(&destination.prefix).map_err(|reason| bad("prefix", &destination.prefix, reason))?;
        let by_compression = match destination.compression {
            Compression::None => "",
            Compression::Gzip => ".gz",
        };
        let own = destination.file_extension.as_str();
        let naming = Self {
            prefix,
            zone: zone(&destination.time_zone)?,
            delivery_stream: definition.name.clone(),
            version: definition.version,
            extension: if own.is_empty() { by_compression } else { own }.to_owned(),
        };
        check(&naming.object(definition.created, Uuid::max()))
            .map_err(|reason| bad("prefix", &destination.prefix, reason))?;
        Ok(naming)
    }

    /// The name of an object whose oldest record came at `first`.
    pub(crate) fn object(&self, first: Millis, id: Uuid) -> String {
        let at = jiff::Timestamp::from_millisecond(first).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let at = at.to_zoned(self.zone.clone());
        let Self { delivery_stream, version, extension, .. } = self;
        let (prefix, time) = (self.prefix.evaluate(&at, id), at.strftime("%Y-%m-%d-%H-%M-%S"));
        format!("{prefix}{delivery_stream}-{version}-{time}-{id}{extension}")
    }
}

fn zone(name: &str) -> Result<TimeZone, DeliveryError> {
    if matches!(name, "" | "UTC") {
        return Ok(TimeZone::UTC);
    }
    let unknown = |_| bad("time zone", name, "this machine's time zone database does not have it".to_owned());
    TimeZone::get(name).map_err(unknown)
}

/// Whether an object may have this name in a folder and in an object store, in its bucket and nowhere else.
fn check(object: &str) -> Result<(), String> {
    let (prefix, _) = object.rsplit_once('/').unwrap_or_default();
    if prefix.len() > PREFIX_BYTES_MAX {
        return Err(format!("expected at most {PREFIX_BYTES_MAX} bytes once evaluated, found {}", prefix.len()));
    }
    if object.chars().any(char::is_control) {
        return Err("expected no control characters".to_owned());
    }
    for part in object.split('/') {
        if matches!(part, "" | "." | "..") {
            return Err(format!("it gives the name `{object}`, whose part `{part}` is no folder inside the bucket"));
        }
        if part.len() > PART_BYTES_MAX {
            return Err(format!("expected at most {PART_BYTES_MAX} bytes between slashes, found {}", part.len()));
        }
    }
    Ok(())
}

fn bad(what: &'static str, found: &str, reason: String) -> DeliveryError {
    DeliveryError::BadNaming { what, found: found.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use millstream_catalog::{DeliverySource, ObjectDestination};

    use super::*;

    fn definition(destination: ObjectDestination) -> DeliveryStreamDefinition {
        DeliveryStreamDefinition {
            name: "trades".into(),
            created: 0,
            source: DeliverySource::DirectPut,
            source_role: String::new(),
            destination,
            version: 2,
            modified: None,
            tags: Default::default(),
        }
    }

    fn name(destination: ObjectDestination) -> String {
        Naming::of(&definition(destination)).unwrap().object(1_531_146_605_999, Uuid::nil())
    }

    #[test]
    fn names_are_the_services_own() {
        let prefix = || "raw/".to_owned();
        let expected = "raw/2018/07/09/14/trades-2-2018-07-09-14-30-05-00000000-0000-0000-0000-000000000000";
        let plain = ObjectDestination { prefix: prefix(), ..Default::default() };
        assert_eq!(name(plain.clone()), expected);
        let packed = ObjectDestination { compression: Compression::Gzip, ..plain };
        assert_eq!(name(packed.clone()), format!("{expected}.gz"));
        let extended = ObjectDestination { file_extension: ".json.gz".into(), ..packed };
        assert_eq!(name(extended), format!("{expected}.json.gz"));
        let by_day = ObjectDestination { prefix: "day=!{timestamp:yyyy-MM-dd}/".into(), ..Default::default() };
        assert!(name(by_day).starts_with("day=2018-07-09/trades-2-2018-07-09-14-30-05-"));
        let utc = ObjectDestination { time_zone: "UTC".into(), ..Default::default() };
        assert!(name(utc).starts_with("2018/07/09/14/trades-2-2018-07-09-14-30-05-"));
    }

    #[test]
    fn names_that_lead_elsewhere_or_nowhere_are_refused() {
        for prefix in
            ["../", "a/../../b/", "/etc/", "a//b/", "./", "!{timestamp:'../'yyyy}/", "a\n/", &"x".repeat(300), "!{a:b}"]
        {
            let definition = definition(ObjectDestination { prefix: prefix.to_owned(), ..Default::default() });
            let refused = Naming::of(&definition);
            assert!(matches!(refused, Err(DeliveryError::BadNaming { what: "prefix", .. })), "{prefix}");
        }
        let nowhere = ObjectDestination { time_zone: "Mars/Olympus".into(), ..Default::default() };
        let refused = Naming::of(&definition(nowhere));
        assert!(matches!(refused, Err(DeliveryError::BadNaming { what: "time zone", .. })));
    }
}
