//! `ListMetrics`

use millstream_insight::CustomMetric;
use serde::Deserialize;

use super::document::Document;
use super::input::{Dimension, invalid};
use super::{CloudWatch, names};
use crate::json_protocol::ServiceError;

/// Metrics in a page.
const PAGE: usize = 500;

/// How far back `PT3H` looks, in milliseconds.
const RECENT: i64 = 3 * 3_600_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    namespace: Option<String>,
    metric_name: Option<String>,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    next_token: Option<String>,
    recently_active: Option<String>,
}

pub(super) fn call(front: &CloudWatch, input: Input) -> Result<Document, ServiceError> {
    let since = match input.recently_active.as_deref() {
        None => 0,
        Some("PT3H") => front.clock.now() - RECENT,
        Some(other) => return Err(invalid(format!("The value {other} for parameter RecentlyActive is invalid."))),
    };
    // A token is where the page begins; a metric that comes in between moves it by one.
    let begin: usize = match input.next_token.as_deref().map(str::parse) {
        None => 0,
        Some(Ok(begin)) => begin,
        Some(Err(_)) => return Err(invalid("The value of parameter NextToken is invalid.")),
    };
    let mut found = names::list(&front.metrics, since);
    found.retain(|metric| matches(&input, metric));
    let more = found.len() > begin.saturating_add(PAGE);
    let page = found.into_iter().skip(begin).take(PAGE).map(document).collect();
    let mut members = vec![("Metrics", Document::List(page))];
    if more {
        members.push(("NextToken", Document::Text((begin + PAGE).to_string())));
    }
    Ok(Document::Structure(members))
}

fn matches(input: &Input, metric: &CustomMetric) -> bool {
    let has = |wanted: &Dimension| {
        metric
            .dimensions
            .iter()
            .any(|(name, value)| *name == wanted.name && wanted.value.as_ref().is_none_or(|wanted| wanted == value))
    };
    input.namespace.as_ref().is_none_or(|namespace| *namespace == metric.namespace)
        && input.metric_name.as_ref().is_none_or(|name| *name == metric.name)
        && input.dimensions.iter().all(has)
}

fn document(metric: CustomMetric) -> Document {
    let dimension = |(name, value): (String, String)| {
        Document::Structure(vec![("Name", Document::Text(name)), ("Value", Document::Text(value))])
    };
    Document::Structure(vec![
        ("Namespace", Document::Text(metric.namespace)),
        ("MetricName", Document::Text(metric.name)),
        ("Dimensions", Document::List(metric.dimensions.into_iter().map(dimension).collect())),
    ])
}
