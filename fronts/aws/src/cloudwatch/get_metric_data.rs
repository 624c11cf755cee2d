//! `GetMetricData`

use std::collections::BTreeSet;

use millstream_insight::{CustomMetric, Metrics, Minute};
use millstream_types::Millis;
use serde::Deserialize;

use super::document::Document;
use super::input::{Dimension, Real, Time, contradicting, invalid, metric, missing};
use super::statistic::{self, Statistic};
use super::{CloudWatch, names, token, unit};
use crate::json_protocol::ServiceError;

/// Queries in a call.
const QUERIES_MAX: usize = 500;

/// Points of a page: the service's own bound.
const POINTS_MAX: usize = 100_800;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    #[serde(default)]
    metric_data_queries: Vec<Query>,
    start_time: Option<Time>,
    end_time: Option<Time>,
    scan_by: Option<String>,
    next_token: Option<String>,
    max_datapoints: Option<Real>,
    label_options: Option<LabelOptions>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LabelOptions {
    timezone: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Query {
    id: Option<String>,
    metric_stat: Option<MetricStat>,
    expression: Option<String>,
    label: Option<String>,
    return_data: Option<serde_json::Value>,
    period: Option<Real>,
    account_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricStat {
    metric: Metric,
    period: Real,
    stat: String,
    unit: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    namespace: Option<String>,
    metric_name: Option<String>,
    #[serde(default)]
    dimensions: Vec<Dimension>,
}

/// What a query asks for, checked.
struct Asked {
    id: String,
    label: String,
    statistic: Statistic,
    metric: CustomMetric,
    unit: Option<&'static str>,
    period: Millis,
}

/// What all queries of a call share.
struct Span {
    from: Millis,
    to: Millis,
    ascending: bool,
}

/// A point with its unit.
type Point = (String, Minute);

/// The last point of a page: which query's, its time and unit.
type Place = (usize, Millis, String);

pub(super) fn call(front: &CloudWatch, input: Input) -> Result<Document, ServiceError> {
    let from = input.start_time.ok_or_else(|| missing("StartTime"))?.0;
    let to = input.end_time.ok_or_else(|| missing("EndTime"))?.0;
    if from >= to {
        return Err(contradicting("The parameter StartTime must be less than the parameter EndTime."));
    }
    let no_token = || ServiceError::new("InvalidNextToken", "The value of parameter NextToken is invalid.");
    let after = input.next_token.as_deref().map(|text| token::decode::<Place>(text).ok_or_else(no_token));
    let after = after.transpose()?;
    if input.metric_data_queries.is_empty() || input.metric_data_queries.len() > QUERIES_MAX {
        return Err(invalid(format!("MetricDataQueries must have between 1 and {QUERIES_MAX} members.")));
    }
    let ascending = match input.scan_by.as_deref() {
        Some("TimestampAscending") => true,
        None | Some("TimestampDescending") => false,
        Some(other) => return Err(invalid(format!("ScanBy {other} is neither of both orders."))),
    };
    let most = most_points(input.max_datapoints)?;
    check_labels(input.label_options.as_ref())?;
    check_ids(&input.metric_data_queries)?;
    let mut asked = Vec::with_capacity(input.metric_data_queries.len());
    for query in input.metric_data_queries {
        let hidden = query.return_data.as_ref().is_some_and(|flag| flag == false || flag == "false");
        let one = read(query)?;
        if !hidden {
            asked.push(one);
        }
    }
    let span = Span { from, to, ascending };
    Ok(page(asked, after, most, |one, after| points(&front.insight.metrics, one, after, &span)))
}

/// Results until there are as many points as a page holds. Points are looked up for what is on the page alone: `points` gives
/// those of a query behind a point's time and unit, in the order of the answer.
fn page(
    asked: Vec<Asked>,
    after: Option<Place>,
    most: usize,
    points: impl Fn(&Asked, Option<(Millis, &str)>) -> Vec<Point>,
) -> Document {
    let (mut results, mut left, mut last) = (Vec::new(), most, None);
    let first = after.as_ref().map_or(0, |(query, ..)| *query);
    let mut more = false;
    for (query, one) in asked.into_iter().enumerate().skip(first) {
        let behind = after.as_ref().filter(|(of, ..)| *of == query).map(|(_, time, unit)| (*time, unit.as_str()));
        let mut found = points(&one, behind);
        // A query without points is told with the page that it is reached in.
        if left == 0 && !found.is_empty() {
            more = true;
            break;
        }
        more = found.len() > left;
        found.truncate(left);
        left -= found.len();
        last = found.last().map(|(unit, minute)| (query, minute.start, unit.clone())).or(last);
        results.push(document(one, &found, more));
        if more {
            break;
        }
    }
    let mut members = vec![("MetricDataResults", Document::List(results)), ("Messages", Document::List(Vec::new()))];
    if let Some(last) = last.filter(|_| more) {
        members.push(("NextToken", Document::Text(token::encode(&last))));
    }
    Document::Structure(members)
}

/// The points of a query, in the order of the answer; only those behind a point's time and unit.
fn points(metrics: &Metrics, asked: &Asked, after: Option<(Millis, &str)>, span: &Span) -> Vec<Point> {
    let Span { mut from, mut to, ascending } = *span;
    // The period of the last point is looked at again: it may have values in other units.
    match after {
        Some((time, _)) if ascending => from = from.max(time),
        Some((time, _)) => to = to.min(time.saturating_add(asked.period)),
        None => {}
    }
    let mut found = names::periods(metrics, &asked.metric, asked.unit, (from, to), asked.period);
    if !ascending {
        found.reverse();
    }
    if let Some((time, unit)) = after {
        found.retain(|(of, minute)| match ascending {
            true => (minute.start, of.as_str()) > (time, unit),
            false => (minute.start, of.as_str()) < (time, unit),
        });
    }
    found
}

fn document(asked: Asked, points: &[Point], cut: bool) -> Document {
    let Asked { id, label, statistic, .. } = asked;
    Document::Structure(vec![
        ("Id", Document::Text(id)),
        ("Label", Document::Text(label)),
        ("Timestamps", Document::List(points.iter().map(|(_, minute)| Document::Time(minute.start)).collect())),
        ("Values", Document::List(points.iter().map(|(_, minute)| Document::Number(statistic.of(minute))).collect())),
        ("StatusCode", Document::text(if cut { "PartialData" } else { "Complete" })),
    ])
}

fn read(query: Query) -> Result<Asked, ServiceError> {
    let id = query.id.unwrap_or_default();
    if query.expression.is_some() {
        return Err(invalid(format!("Expression of {id} is not supported by this node: expected MetricStat")));
    }
    if query.account_id.is_some() {
        return Err(invalid(format!("AccountId of {id} is not supported by this node: it has one account")));
    }
    let stat = query.metric_stat.ok_or_else(|| missing("MetricDataQueries.member.MetricStat"))?;
    if query.period.is_some() {
        return Err(contradicting(format!("Period of {id} belongs to an Expression: MetricStat has one of its own.")));
    }
    let metric = metric(stat.metric.namespace.as_deref(), stat.metric.metric_name.as_deref(), &stat.metric.dimensions)?;
    let statistic = Statistic::parse(&stat.stat)?;
    let (unit, period) = (unit::parse(stat.unit.as_deref())?, statistic::period(stat.period.0)?);
    let label = query.label.unwrap_or_else(|| metric.name.clone());
    if label.contains("${") {
        return Err(invalid(format!("The dynamic label of {id} is not supported by this node: expected plain text")));
    }
    Ok(Asked { id, label, statistic, metric, unit, period })
}

fn most_points(given: Option<Real>) -> Result<usize, ServiceError> {
    let Some(Real(points)) = given else { return Ok(POINTS_MAX) };
    if points.fract() != 0.0 || !(1.0..=POINTS_MAX as f64).contains(&points) {
        return Err(invalid(format!("MaxDatapoints must be between 1 and {POINTS_MAX}, got {points}.")));
    }
    Ok(points as usize)
}

/// A time zone is of the times in dynamic labels alone: one that makes sense changes nothing here.
fn check_labels(options: Option<&LabelOptions>) -> Result<(), ServiceError> {
    let Some(zone) = options.and_then(|options| options.timezone.as_deref()) else { return Ok(()) };
    let digits = zone.strip_prefix(['+', '-']).filter(|digits| digits.len() == 4);
    match digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit())) {
        Some(_) => Ok(()),
        None => Err(invalid(format!("LabelOptions.Timezone must be + or - and four digits, got {zone}."))),
    }
}

fn check_ids(queries: &[Query]) -> Result<(), ServiceError> {
    let mut seen = BTreeSet::new();
    for query in queries {
        let id =
            query.id.as_deref().filter(|id| !id.is_empty()).ok_or_else(|| missing("MetricDataQueries.member.Id"))?;
        let allowed = |char: char| char.is_ascii_alphanumeric() || char == '_';
        if id.len() > 255 || !id.starts_with(|char: char| char.is_ascii_lowercase()) || !id.chars().all(allowed) {
            return Err(invalid(format!(
                "The id {id} must be 1 to 255 letters, digits and underscores that begin with a lowercase letter."
            )));
        }
        if !seen.insert(id) {
            return Err(invalid(format!("The values for parameter id in MetricDataQueries are not unique: {id}.")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn asked(id: &str) -> Asked {
        let metric = CustomMetric { namespace: "n".into(), name: "m".into(), dimensions: Vec::new() };
        Asked { id: id.into(), label: id.into(), statistic: Statistic::Sum, metric, unit: None, period: 60_000 }
    }

    #[test]
    fn points_are_looked_up_for_what_is_on_the_page_alone() {
        let looked = RefCell::new(Vec::new());
        let three = |one: &Asked, after: Option<(Millis, &str)>| -> Vec<Point> {
            let behind = after.map(|(time, _)| time);
            looked.borrow_mut().push((one.id.clone(), behind));
            let starts = (0..3).map(|minute| minute * 60_000).filter(|start| behind.is_none_or(|time| *start > time));
            starts.map(|start| ("None".to_owned(), Minute::of(start, 1.0))).collect()
        };
        let all = || ["a", "b", "c"].map(asked).into();
        page(all(), None, 2, three);
        assert_eq!(looked.take(), [("a".to_owned(), None)]);
        page(all(), Some((1, 60_000, "None".into())), 2, three);
        assert_eq!(looked.take(), [("b".to_owned(), Some(60_000)), ("c".to_owned(), None)]);
    }
}
