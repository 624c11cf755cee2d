//! Names of objects: `PREFIX YYYY/MM/DD/HH/ NAME-VERSION-YYYY-MM-DD-HH-MM-SS-UUID`, in UTC.
//!
//! Source: the Firehose developer guide, "Amazon S3 object name format".

use millstream_catalog::{Compression, DeliveryStreamDefinition};
use millstream_types::Millis;

/// The name of an object whose first record came at `first`.
pub(crate) fn object_name(definition: &DeliveryStreamDefinition, first: Millis, id: uuid::Uuid) -> String {
    let at = jiff::Timestamp::from_millisecond(first).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let at = at.to_zoned(jiff::tz::TimeZone::UTC);
    let destination = &definition.destination;
    let suffix = match destination.compression {
        Compression::None => "",
        Compression::Gzip => ".gz",
    };
    format!(
        "{}{}{}-{}-{}-{id}{suffix}",
        destination.prefix,
        at.strftime("%Y/%m/%d/%H/"),
        definition.name,
        definition.version,
        at.strftime("%Y-%m-%d-%H-%M-%S"),
    )
}

#[cfg(test)]
mod tests {
    use millstream_catalog::{DeliverySource, ObjectDestination};

    use super::*;

    #[test]
    fn names_are_the_services_own() {
        let mut definition = DeliveryStreamDefinition {
            name: "trades".into(),
            created: 0,
            source: DeliverySource::DirectPut,
            destination: ObjectDestination {
                bucket: "b".into(),
                prefix: "raw/".into(),
                buffer_bytes: 1,
                buffer_seconds: 1,
                compression: Compression::None,
                role: String::new(),
            },
            version: 2,
        };
        let id = uuid::Uuid::nil();
        let expected = "raw/2018/07/09/14/trades-2-2018-07-09-14-30-05-00000000-0000-0000-0000-000000000000";
        assert_eq!(object_name(&definition, 1_531_146_605_999, id), expected);
        definition.destination.compression = Compression::Gzip;
        assert_eq!(object_name(&definition, 1_531_146_605_999, id), format!("{expected}.gz"));
    }
}
