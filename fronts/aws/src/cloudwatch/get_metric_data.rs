//! `GetMetricData`

use serde::Deserialize;

use super::document::Document;
use super::input::{Dimension, Real, Time, contradicting, invalid, metric, missing};
use super::statistic::{self, Statistic};
use super::{CloudWatch, names};
use crate::json_protocol::ServiceError;

/// Queries in a call.
const QUERIES_MAX: usize = 500;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    #[serde(default)]
    metric_data_queries: Vec<Query>,
    start_time: Option<Time>,
    end_time: Option<Time>,
    scan_by: Option<String>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Query {
    id: Option<String>,
    metric_stat: Option<MetricStat>,
    expression: Option<String>,
    label: Option<String>,
    return_data: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricStat {
    metric: Metric,
    period: Real,
    stat: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    namespace: Option<String>,
    metric_name: Option<String>,
    #[serde(default)]
    dimensions: Vec<Dimension>,
}

/// All points come in one page: a day of minutes is far below the service's own bound of a page.
pub(super) fn call(front: &CloudWatch, input: Input) -> Result<Document, ServiceError> {
    let from = input.start_time.ok_or_else(|| missing("StartTime"))?.0;
    let to = input.end_time.ok_or_else(|| missing("EndTime"))?.0;
    if from >= to {
        return Err(contradicting("The parameter StartTime must be less than the parameter EndTime."));
    }
    if input.next_token.is_some() {
        return Err(ServiceError::new("InvalidNextToken", "this node gives no tokens: all points come in one answer"));
    }
    if input.metric_data_queries.is_empty() || input.metric_data_queries.len() > QUERIES_MAX {
        return Err(invalid(format!("MetricDataQueries must have between 1 and {QUERIES_MAX} members.")));
    }
    let ascending = match input.scan_by.as_deref() {
        Some("TimestampAscending") => true,
        None | Some("TimestampDescending") => false,
        Some(other) => return Err(invalid(format!("ScanBy {other} is neither of both orders."))),
    };
    let mut results = Vec::with_capacity(input.metric_data_queries.len());
    for query in input.metric_data_queries {
        let hidden = query.return_data.as_ref().is_some_and(|flag| flag == false || flag == "false");
        let result = answer(front, query, (from, to), ascending)?;
        if !hidden {
            results.push(result);
        }
    }
    Ok(Document::Structure(vec![
        ("MetricDataResults", Document::List(results)),
        ("Messages", Document::List(Vec::new())),
    ]))
}

fn answer(front: &CloudWatch, query: Query, span: (i64, i64), ascending: bool) -> Result<Document, ServiceError> {
    let id = query.id.filter(|id| !id.is_empty()).ok_or_else(|| missing("MetricDataQueries.member.Id"))?;
    if query.expression.is_some() {
        return Err(invalid(format!("Expression of {id} is not supported by this node: expected MetricStat")));
    }
    let stat = query.metric_stat.ok_or_else(|| missing("MetricDataQueries.member.MetricStat"))?;
    let metric = metric(stat.metric.namespace.as_deref(), stat.metric.metric_name.as_deref(), &stat.metric.dimensions)?;
    let statistic = Statistic::parse(&stat.stat)?;
    let (mut periods, _) = names::periods(&front.metrics, &metric, span, statistic::period(stat.period.0)?);
    if !ascending {
        periods.reverse();
    }
    let label = query.label.unwrap_or(metric.name);
    Ok(Document::Structure(vec![
        ("Id", Document::Text(id)),
        ("Label", Document::Text(label)),
        ("Timestamps", Document::List(periods.iter().map(|minute| Document::Time(minute.start)).collect())),
        ("Values", Document::List(periods.iter().map(|minute| Document::Number(statistic.of(minute))).collect())),
        ("StatusCode", Document::text("Complete")),
    ]))
}
