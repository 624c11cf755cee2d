//! When a document's time is over. Pure.
//!
//! A container says whether documents end at all, and after how long those do that do not say it themselves. Time counts
//! from the last write. Whose time is over is seen by nobody, and removed when the node gets to it.

use millstream_catalog::DocumentContainerDefinition;
use millstream_table::{AttributeValue, Item};
use millstream_types::Millis;
use serde_json::{Map, Value};

use crate::document::{LIFETIME, SECONDS};
use crate::error::DocumentError;

/// The property with which a document says how long it stays, in seconds.
const PROPERTY: &str = "ttl";
/// For a container or a document: it stays.
const FOREVER: i64 = -1;

/// Which documents of a container are over at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expiry {
    /// How long those stay that do not say it; `None`: nothing ends here.
    lifetime: Option<i64>,
    now: i64,
}

impl Expiry {
    pub fn of(container: &DocumentContainerDefinition, now: Millis) -> Self {
        Self { lifetime: container.default_ttl, now: now.div_euclid(1_000) }
    }

    /// Whether documents end in this container.
    pub fn is_on(self) -> bool {
        self.lifetime.is_some()
    }

    pub fn is_over(self, item: &Item) -> bool {
        let Some(default) = self.lifetime else { return false };
        let number = |name: &str| match item.get(name) {
            Some(AttributeValue::Number(number)) => number.to_string().parse::<i64>().ok(),
            _ => None,
        };
        let lifetime = number(LIFETIME).unwrap_or(default);
        let written = number(SECONDS).unwrap_or(i64::MAX);
        lifetime != FOREVER && written.saturating_add(lifetime) <= self.now
    }
}

/// How long a document says that it stays.
///
/// # Errors
/// [`DocumentError::Lifetime`].
pub(crate) fn of_document(body: &Map<String, Value>) -> Result<Option<i64>, DocumentError> {
    match body.get(PROPERTY) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let lifetime = value.as_i64().ok_or_else(|| DocumentError::Lifetime { found: value.to_string() })?;
            check(lifetime).map(Some)
        }
    }
}

/// Refuses what is no time to live: it is -1 or at least a second, and no longer than 68 years.
///
/// # Errors
/// [`DocumentError::Lifetime`].
pub(crate) fn check(lifetime: i64) -> Result<i64, DocumentError> {
    let good = lifetime == FOREVER || (1..=i64::from(i32::MAX)).contains(&lifetime);
    if good { Ok(lifetime) } else { Err(DocumentError::Lifetime { found: lifetime.to_string() }) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_end_as_they_or_their_container_say() {
        let number = |number: i64| AttributeValue::Number(number.to_string().parse().unwrap());
        for (container, own, expected) in [
            (None, None, false),
            (None, Some(1), false),
            (Some(-1), None, false),
            (Some(-1), Some(5), true),
            (Some(-1), Some(60), false),
            (Some(5), None, true),
            (Some(5), Some(-1), false),
            (Some(5), Some(60), false),
        ] {
            let mut item = Item::from([(SECONDS.to_owned(), number(100))]);
            item.extend(own.map(|own| (LIFETIME.to_owned(), number(own))));
            let expiry = Expiry { lifetime: container, now: 105 };
            assert_eq!(expiry.is_over(&item), expected, "{container:?} {own:?}");
            assert!(!Expiry { now: 104, ..expiry }.is_over(&item));
        }
    }

    #[test]
    fn only_whole_seconds_are_a_time_to_live() {
        let of = |value: Value| of_document(json!({ "ttl": value }).as_object().unwrap());
        assert_eq!(of(json!(10)).unwrap(), Some(10));
        assert_eq!(of(json!(-1)).unwrap(), Some(-1));
        assert_eq!(of(Value::Null).unwrap(), None);
        for bad in [json!(0), json!(-2), json!("10"), json!(1.5), json!(1_i64 << 31)] {
            assert!(of(bad.clone()).is_err(), "{bad}");
        }
    }
}
