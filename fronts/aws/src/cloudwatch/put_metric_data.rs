//! `PutMetricData`

use millstream_insight::{CustomValues, MetricError, Minute};
use millstream_types::{ErrorKind, Millis};
use serde::Deserialize;

use super::input::{Dimension, Real, Time, contradicting, invalid, metric, missing};
use super::{CloudWatch, unit};
use crate::json_protocol::ServiceError;

/// Metrics in a call.
const DATA_MAX: usize = 1_000;

/// Values of one metric in a call.
const VALUES_MAX: usize = 150;

/// How old a value may be, and how far ahead.
const AGE_MAX: Millis = 14 * 24 * 3_600_000;
const AHEAD_MAX: Millis = 2 * 3_600_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    namespace: Option<String>,
    #[serde(default)]
    metric_data: Vec<Datum>,
    entity_metric_data: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Datum {
    metric_name: Option<String>,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    timestamp: Option<Time>,
    value: Option<Real>,
    statistic_values: Option<StatisticSet>,
    #[serde(default)]
    values: Vec<Real>,
    #[serde(default)]
    counts: Vec<Real>,
    unit: Option<String>,
    storage_resolution: Option<Real>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StatisticSet {
    sample_count: Real,
    sum: Real,
    minimum: Real,
    maximum: Real,
}

pub(super) async fn call(front: &CloudWatch, input: Input) -> Result<(), ServiceError> {
    if input.entity_metric_data.is_some() {
        return Err(invalid("EntityMetricData is not supported by this node"));
    }
    if input.namespace.as_deref().is_some_and(|namespace| namespace.starts_with("AWS/")) {
        return Err(invalid("The value AWS/ for parameter Namespace is invalid."));
    }
    if input.metric_data.is_empty() {
        return Err(missing("MetricData"));
    }
    if input.metric_data.len() > DATA_MAX {
        return Err(invalid(format!("The collection MetricData must not have a size greater than {DATA_MAX}.")));
    }
    let now = front.clock.now();
    // All is checked before any is taken.
    let read = |datum: &Datum| read(input.namespace.as_deref(), datum, now);
    let all: Vec<CustomValues> = input.metric_data.iter().map(read).collect::<Result<_, _>>()?;
    front.insight.put_metrics(&all).await.map_err(|error| match error {
        MetricError::TooMany(_) => ServiceError::new("LimitExceededFault", error.to_string()),
        MetricError::Storage(_) if error.kind() == ErrorKind::Throttled => {
            ServiceError::new("ThrottlingException", error.to_string())
        }
        MetricError::Storage(_) => ServiceError::internal("InternalServiceFault", error.to_string()),
    })
}

fn read(namespace: Option<&str>, datum: &Datum, now: Millis) -> Result<CustomValues, ServiceError> {
    let metric = metric(namespace, datum.metric_name.as_deref(), &datum.dimensions)?;
    let time = datum.timestamp.map_or(now, |time| time.0);
    if !(now - AGE_MAX..=now + AHEAD_MAX).contains(&time) {
        return Err(invalid("Timestamp must not be more than two weeks in the past or two hours in the future."));
    }
    let given = [datum.value.is_some(), datum.statistic_values.is_some(), !datum.values.is_empty()];
    if given.iter().filter(|given| **given).count() != 1 {
        return Err(contradicting("Exactly one of Value, StatisticValues and Values must be given."));
    }
    Ok(CustomValues {
        metric,
        unit: unit::parse(datum.unit.as_deref())?.unwrap_or(unit::NONE).to_owned(),
        high_resolution: unit::is_high_resolution(datum.storage_resolution)?,
        values: values(datum, time)?,
    })
}

fn values(datum: &Datum, start: Millis) -> Result<Vec<Minute>, ServiceError> {
    let weighted = |value: f64, count| Minute { start, count, sum: value * count, min: value, max: value };
    if let Some(value) = datum.value {
        return Ok(vec![weighted(value.0, 1.0)]);
    }
    if let Some(StatisticSet { sample_count, sum, minimum, maximum }) = &datum.statistic_values {
        if sample_count.0 <= 0.0 || minimum.0 > maximum.0 {
            return Err(invalid(
                "StatisticValues need a SampleCount above 0 and a Minimum that is no more than the Maximum.",
            ));
        }
        return Ok(vec![Minute { start, count: sample_count.0, sum: sum.0, min: minimum.0, max: maximum.0 }]);
    }
    if datum.values.len() > VALUES_MAX || !(datum.counts.is_empty() || datum.counts.len() == datum.values.len()) {
        return Err(invalid(format!("Values must be at most {VALUES_MAX}, with as many Counts or none.")));
    }
    if datum.counts.iter().any(|count| count.0 <= 0.0) {
        return Err(invalid("Counts must be above 0."));
    }
    let counts = datum.counts.iter().map(|count| count.0).chain(std::iter::repeat(1.0));
    Ok(datum.values.iter().zip(counts).map(|(value, count)| weighted(value.0, count)).collect())
}
