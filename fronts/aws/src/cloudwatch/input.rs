//! Members that come as numbers in JSON and CBOR and as texts in forms. Pure.

use jiff::Timestamp;
use millstream_insight::CustomMetric;
use millstream_types::Millis;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use crate::json_protocol::ServiceError;

/// A time in milliseconds: seconds since 1970, or an ISO 8601 text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time(pub(super) Millis);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Number(number) => {
                let seconds = number.as_f64().filter(|seconds| seconds.abs() < 1e11);
                seconds.map(|seconds| Self((seconds * 1_000.0).round() as Millis))
            }
            Value::String(text) => text.parse::<Timestamp>().ok().map(|time| Self(time.as_millisecond())),
            _ => None,
        }
        .ok_or_else(|| de::Error::custom("expected a time"))
    }
}

/// A number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Real(pub(super) f64);

impl<'de> Deserialize<'de> for Real {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
        .filter(|number: &f64| number.is_finite())
        .map(Self)
        .ok_or_else(|| de::Error::custom("expected a number"))
    }
}

/// A dimension of a metric; in filters the value may be missing.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Dimension {
    pub(super) name: String,
    pub(super) value: Option<String>,
}

/// The most dimensions of a metric.
const DIMENSIONS_MAX: usize = 30;

/// What a metric is found by, its dimensions sorted.
pub(super) fn metric(
    namespace: Option<&str>,
    name: Option<&str>,
    dimensions: &[Dimension],
) -> Result<CustomMetric, ServiceError> {
    let namespace = bounded("Namespace", namespace)?;
    let name = bounded("MetricName", name)?;
    if dimensions.len() > DIMENSIONS_MAX {
        return Err(invalid(format!("The collection Dimensions must not have a size greater than {DIMENSIONS_MAX}.")));
    }
    let mut pairs = Vec::with_capacity(dimensions.len());
    for dimension in dimensions {
        let value = bounded("Dimensions.member.Value", dimension.value.as_deref())?;
        pairs.push((bounded("Dimensions.member.Name", Some(&dimension.name))?, value));
    }
    pairs.sort();
    Ok(CustomMetric { namespace, name, dimensions: pairs })
}

fn bounded(member: &str, text: Option<&str>) -> Result<String, ServiceError> {
    /// Characters of a name or a dimension's value.
    const CHARACTERS_MAX: usize = 1_024;
    let Some(text) = text else { return Err(missing(member)) };
    if text.is_empty() || text.chars().count() > CHARACTERS_MAX {
        let message = format!("The parameter {member} must have a length between 1 and {CHARACTERS_MAX}.");
        return Err(invalid(message));
    }
    Ok(text.to_owned())
}

pub(super) fn missing(member: &str) -> ServiceError {
    ServiceError::new("MissingRequiredParameterException", format!("The parameter {member} is required."))
}

pub(super) fn invalid(message: impl Into<String>) -> ServiceError {
    ServiceError::new("InvalidParameterValueException", message)
}

pub(super) fn contradicting(message: impl Into<String>) -> ServiceError {
    ServiceError::new("InvalidParameterCombinationException", message)
}
