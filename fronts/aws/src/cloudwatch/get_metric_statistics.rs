//! `GetMetricStatistics`

use millstream_insight::Minute;
use serde::Deserialize;

use super::document::Document;
use super::input::{Dimension, Real, Time, contradicting, invalid, metric, missing};
use super::statistic::{self, Statistic};
use super::{CloudWatch, names, unit};
use crate::json_protocol::ServiceError;

/// Points in an answer.
const POINTS_MAX: i64 = 1_440;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    namespace: Option<String>,
    metric_name: Option<String>,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    start_time: Option<Time>,
    end_time: Option<Time>,
    period: Option<Real>,
    #[serde(default)]
    statistics: Vec<String>,
    #[serde(default)]
    extended_statistics: Vec<String>,
    unit: Option<String>,
}

pub(super) fn call(front: &CloudWatch, input: Input) -> Result<Document, ServiceError> {
    let metric = metric(input.namespace.as_deref(), input.metric_name.as_deref(), &input.dimensions)?;
    let from = input.start_time.ok_or_else(|| missing("StartTime"))?.0;
    let to = input.end_time.ok_or_else(|| missing("EndTime"))?.0;
    let period = statistic::period(input.period.ok_or_else(|| missing("Period"))?.0)?;
    if from >= to {
        return Err(contradicting("The parameter StartTime must be less than the parameter EndTime."));
    }
    if (to - from) / period > POINTS_MAX {
        let message =
            format!("You have requested more than {POINTS_MAX} datapoints; shorten the time or lengthen the period.");
        return Err(contradicting(message));
    }
    if let Some(name) = input.extended_statistics.first() {
        return Err(invalid(format!("The extended statistic {name} is not supported by this node")));
    }
    if input.statistics.is_empty() {
        return Err(missing("Statistics"));
    }
    let statistics: Vec<Statistic> =
        input.statistics.iter().map(|name| Statistic::parse(name)).collect::<Result<_, _>>()?;
    let unit = unit::parse(input.unit.as_deref())?;
    let periods = names::periods(&front.insight.metrics, &metric, unit, (from, to), period);
    let point = |(unit, values): &(String, Minute)| {
        let mut members = vec![("Timestamp", Document::Time(values.start))];
        let told = statistics.iter().map(|statistic| (statistic.name(), Document::Number(statistic.of(values))));
        members.extend(told);
        members.push(("Unit", Document::text(unit)));
        Document::Structure(members)
    };
    Ok(Document::Structure(vec![
        ("Label", Document::Text(metric.name)),
        ("Datapoints", Document::List(periods.iter().map(point).collect())),
    ]))
}
