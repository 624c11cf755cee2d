//! `ListMetrics`

use millstream_insight::CustomMetric;
use serde::Deserialize;

use super::document::Document;
use super::input::{Dimension, invalid};
use super::{CloudWatch, names, token};
use crate::json_protocol::ServiceError;

/// Metrics in a page.
const PAGE: usize = 500;

/// Filters by dimensions.
const FILTERS_MAX: usize = 10;

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
    include_linked_accounts: Option<serde_json::Value>,
    owning_account: Option<String>,
}

/// The last metric of a page: namespace, name, dimensions.
type Place = (String, String, Vec<(String, String)>);

pub(super) fn call(front: &CloudWatch, input: Input) -> Result<Document, ServiceError> {
    let since = match input.recently_active.as_deref() {
        None => 0,
        Some("PT3H") => front.clock.now() - RECENT,
        Some(other) => return Err(invalid(format!("The value {other} for parameter RecentlyActive is invalid."))),
    };
    if input.include_linked_accounts.as_ref().is_some_and(|flag| flag == true || flag == "true") {
        return Err(invalid("IncludeLinkedAccounts is not supported by this node: it has one account"));
    }
    if input.owning_account.is_some() {
        return Err(invalid("OwningAccount is not supported by this node: it has one account"));
    }
    if input.dimensions.len() > FILTERS_MAX {
        return Err(invalid(format!("The collection Dimensions must not have a size greater than {FILTERS_MAX}.")));
    }
    let no_token = || invalid("The value of parameter NextToken is invalid.");
    let after = input.next_token.as_deref().map(|text| token::decode::<Place>(text).ok_or_else(no_token));
    let after = after.transpose()?.map(|(namespace, name, dimensions)| CustomMetric { namespace, name, dimensions });
    let mut found = names::list(&front.insight.metrics, since);
    found.retain(|metric| matches(&input, metric) && after.as_ref().is_none_or(|after| metric > after));
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let last = found.last().filter(|_| more);
    let last = last.map(|last| token::encode(&(&last.namespace, &last.name, &last.dimensions)));
    let mut members = vec![("Metrics", Document::List(found.into_iter().map(document).collect()))];
    members.extend(last.map(|last| ("NextToken", Document::Text(last))));
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
