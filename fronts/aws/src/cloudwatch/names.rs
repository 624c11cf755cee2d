//! The node's own metrics under the services' names.
//!
//! A metric is found by exactly the dimensions that it has; functions' metrics without any are those of all functions together.

use std::collections::BTreeMap;

use millstream_insight::{CustomMetric, Metrics, Minute};
use millstream_types::Millis;

/// How what the node keeps is told.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Each event is one value of 1.
    Events,
    /// Each event of the metric named is one value: 1 for those that are counted here, 0 for the others.
    Of(&'static str),
    /// The values are what the node keeps: a second's growth, a level, or each one observed.
    Values,
    /// The same, in another unit.
    Scaled(f64),
}

/// What metrics of a service are about.
struct Scope {
    namespace: &'static str,
    /// Its dimensions, sorted by name.
    dimensions: &'static [&'static str],
    /// What stands before their values, `/` between them, in the node's subjects: `function/`.
    subject: &'static str,
    /// Whether there are metrics of all subjects together.
    across: bool,
}

impl Scope {
    /// The subject of a metric with these dimensions; `None`: there is none of them.
    fn subject(&self, dimensions: &[(String, String)]) -> Option<String> {
        if !self.dimensions.iter().eq(dimensions.iter().map(|(name, _)| name)) {
            return None;
        }
        let values: Vec<&str> = dimensions.iter().map(|(_, value)| value.as_str()).collect();
        Some(format!("{}{}", self.subject, values.join("/")))
    }

    /// The dimensions of a subject; only the first value may hold a `/`.
    fn dimensions(&self, subject: &str) -> Option<Vec<(String, String)>> {
        let mut values: Vec<&str> = subject.strip_prefix(self.subject)?.rsplitn(self.dimensions.len(), '/').collect();
        values.reverse();
        let named = self.dimensions.iter().zip(values);
        Some(named.map(|(name, value)| ((*name).to_owned(), value.to_owned())).collect())
    }
}

/// A metric of a service.
struct Name {
    scope: &'static Scope,
    name: &'static str,
    /// The node's own name of it.
    own: &'static str,
    kind: Kind,
    unit: &'static str,
}

const fn name(scope: &'static Scope, name: &'static str, own: &'static str, kind: Kind, unit: &'static str) -> Name {
    Name { scope, name, own, kind, unit }
}

const fn scope(namespace: &'static str, dimensions: &'static [&'static str], subject: &'static str) -> Scope {
    Scope { namespace, dimensions, subject, across: false }
}

static LAMBDA: Scope = Scope { across: true, ..scope("AWS/Lambda", &["FunctionName"], "function/") };
static KINESIS: Scope = scope("AWS/Kinesis", &["StreamName"], "stream/");
static FIREHOSE: Scope = scope("AWS/Firehose", &["DeliveryStreamName"], "delivery/");
static DYNAMODB: Scope = scope("AWS/DynamoDB", &["TableName"], "table/");
static SQS: Scope = scope("AWS/SQS", &["QueueName"], "queue/");
static SNS: Scope = scope("AWS/SNS", &["TopicName"], "topic/");
static API: Scope = scope("AWS/ApiGateway", &["ApiName"], "api/");
static API_STAGE: Scope = scope("AWS/ApiGateway", &["ApiName", "Stage"], "api_stage/");

/// All metrics of services that are kept.
static NAMES: &[Name] = &[
    name(&LAMBDA, "Invocations", "invocations", Kind::Events, "Count"),
    name(&LAMBDA, "Errors", "errors", Kind::Of("invocations"), "Count"),
    name(&LAMBDA, "Throttles", "throttles", Kind::Of("invocations"), "Count"),
    name(&LAMBDA, "Duration", "duration_ms", Kind::Values, "Milliseconds"),
    name(&LAMBDA, "IteratorAge", "batch_age_ms", Kind::Values, "Milliseconds"),
    name(&LAMBDA, "ConcurrentExecutions", "concurrent", Kind::Values, "Count"),
    name(&LAMBDA, "AsyncEventsReceived", "async_received", Kind::Events, "Count"),
    name(&LAMBDA, "AsyncEventsDropped", "dropped_async", Kind::Events, "Count"),
    name(&LAMBDA, "DeadLetterErrors", "dead_letter_errors", Kind::Of("invocations"), "Count"),
    name(&LAMBDA, "DestinationDeliveryFailures", "destination_delivery_failures", Kind::Of("invocations"), "Count"),
    name(&KINESIS, "IncomingRecords", "records_in", Kind::Events, "Count"),
    name(&KINESIS, "IncomingBytes", "bytes_in", Kind::Values, "Bytes"),
    name(&KINESIS, "GetRecords.Records", "records_out", Kind::Events, "Count"),
    name(&KINESIS, "GetRecords.IteratorAgeMilliseconds", "iterator_age_ms", Kind::Values, "Milliseconds"),
    name(&FIREHOSE, "IncomingRecords", "records_in", Kind::Events, "Count"),
    name(&FIREHOSE, "IncomingBytes", "bytes_in", Kind::Values, "Bytes"),
    name(&FIREHOSE, "DeliveryToS3.Records", "delivered_records", Kind::Events, "Count"),
    name(&FIREHOSE, "DeliveryToS3.Bytes", "delivered_bytes", Kind::Values, "Bytes"),
    name(&FIREHOSE, "DeliveryToS3.Success", "delivery_success", Kind::Values, "Count"),
    name(&FIREHOSE, "DeliveryToS3.DataFreshness", "delivery_lag_ms", Kind::Scaled(0.001), "Seconds"),
    name(&DYNAMODB, "ConsumedReadCapacityUnits", "read_capacity_half_units", Kind::Scaled(0.5), "Count"),
    name(&DYNAMODB, "ConsumedWriteCapacityUnits", "write_capacity_half_units", Kind::Scaled(0.5), "Count"),
    name(&DYNAMODB, "ThrottledRequests", "throttled_requests", Kind::Events, "Count"),
    name(&SQS, "NumberOfMessagesSent", "sent", Kind::Events, "Count"),
    name(&SQS, "NumberOfMessagesReceived", "received", Kind::Events, "Count"),
    name(&SQS, "NumberOfMessagesDeleted", "deleted", Kind::Events, "Count"),
    name(&SQS, "NumberOfEmptyReceives", "empty", Kind::Events, "Count"),
    name(&SQS, "ApproximateNumberOfMessagesVisible", "visible", Kind::Values, "Count"),
    name(&SQS, "ApproximateNumberOfMessagesNotVisible", "in_flight", Kind::Values, "Count"),
    name(&SQS, "ApproximateNumberOfMessagesDelayed", "delayed", Kind::Values, "Count"),
    name(&SQS, "ApproximateAgeOfOldestMessage", "oldest_age_seconds", Kind::Values, "Seconds"),
    name(&SNS, "NumberOfMessagesPublished", "records_in", Kind::Events, "Count"),
    name(&SNS, "NumberOfNotificationsDelivered", "notifications_delivered", Kind::Events, "Count"),
    name(&SNS, "NumberOfNotificationsFailed", "notifications_failed", Kind::Events, "Count"),
    name(&API, "Count", "requests", Kind::Events, "Count"),
    name(&API, "4XXError", "errors_4xx", Kind::Of("requests"), "Count"),
    name(&API, "5XXError", "errors_5xx", Kind::Of("requests"), "Count"),
    name(&API, "Latency", "latency_ms", Kind::Values, "Milliseconds"),
    name(&API_STAGE, "Count", "requests", Kind::Events, "Count"),
    name(&API_STAGE, "4XXError", "errors_4xx", Kind::Of("requests"), "Count"),
    name(&API_STAGE, "5XXError", "errors_5xx", Kind::Of("requests"), "Count"),
    name(&API_STAGE, "Latency", "latency_ms", Kind::Values, "Milliseconds"),
];

/// The shortest period of the node's own metrics, milliseconds.
const MINUTE: Millis = 60_000;

/// Periods of a metric, the node's own or a client's, with their units, oldest first: of all units, or of one.
pub(super) fn periods(
    metrics: &Metrics,
    metric: &CustomMetric,
    unit: Option<&str>,
    span: (Millis, Millis),
    period: Millis,
) -> Vec<(String, Minute)> {
    let named: Vec<&Name> =
        NAMES.iter().filter(|name| name.scope.namespace == metric.namespace && name.name == metric.name).collect();
    let Some(own_unit) = named.first().map(|name| name.unit) else {
        return metrics.custom.periods(metric, unit, span, period);
    };
    if unit.is_some_and(|unit| unit != own_unit) || period < MINUTE {
        return Vec::new();
    }
    let mut found = BTreeMap::new();
    for name in named {
        for subject in name.subjects(metrics, &metric.dimensions, span.0) {
            gather(&mut found, name.of_subject(metrics, &subject, span, period));
        }
    }
    found.into_values().map(|minute| (own_unit.to_owned(), minute)).collect()
}

/// Puts periods together that begin at the same time.
fn gather(found: &mut BTreeMap<Millis, Minute>, periods: Vec<Minute>) {
    for period in periods {
        found.entry(period.start).and_modify(|known| known.merge(&period)).or_insert(period);
    }
}

impl Name {
    /// The node's metric that says when there are values.
    fn base(&self) -> &'static str {
        if let Kind::Of(base) = self.kind { base } else { self.own }
    }

    /// The subjects of these dimensions: one, or all that have values at `since` or later.
    fn subjects(&self, metrics: &Metrics, dimensions: &[(String, String)], since: Millis) -> Vec<String> {
        if self.scope.across && dimensions.is_empty() {
            let mut all = metrics.subjects(self.base(), since);
            all.retain(|subject| subject.starts_with(self.scope.subject));
            return all;
        }
        self.scope.subject(dimensions).into_iter().collect()
    }

    /// Periods of one subject.
    fn of_subject(&self, metrics: &Metrics, subject: &str, span: (Millis, Millis), period: Millis) -> Vec<Minute> {
        let mut found = metrics.periods(self.own, subject, span, period);
        match self.kind {
            Kind::Events => found.iter_mut().for_each(of_events),
            Kind::Scaled(factor) => found.iter_mut().for_each(|minute| scale(minute, factor)),
            Kind::Of(base) => found = out_of(&found, &metrics.periods(base, subject, span, period)),
            Kind::Values => {}
        }
        found
    }
}

/// As many values of 1 as there were events.
fn of_events(minute: &mut Minute) {
    *minute = Minute { count: minute.sum, min: 1.0, max: 1.0, ..*minute };
}

/// Values in another unit.
fn scale(minute: &mut Minute, factor: f64) {
    let Minute { sum, min, max, .. } = *minute;
    *minute = Minute { sum: sum * factor, min: min * factor, max: max * factor, ..*minute };
}

/// A value of 0 or 1 for each event of `all`, 1 for those that are counted. What is not in `all`, such as an invocation that
/// was not let in, counts all the same.
fn out_of(counted: &[Minute], all: &[Minute]) -> Vec<Minute> {
    let mut counts: BTreeMap<Millis, (f64, f64)> = all.iter().map(|minute| (minute.start, (0.0, minute.sum))).collect();
    for minute in counted {
        counts.entry(minute.start).or_default().0 = minute.sum;
    }
    let told = |(start, (sum, all)): (Millis, (f64, f64))| Minute {
        start,
        count: all.max(sum),
        sum,
        min: if sum < all { 0.0 } else { 1.0 },
        max: if sum > 0.0 { 1.0 } else { 0.0 },
    };
    counts.into_iter().map(told).collect()
}

/// All metrics that had a value at `since` or later.
pub(super) fn list(metrics: &Metrics, since: Millis) -> Vec<CustomMetric> {
    let own = NAMES.iter().flat_map(|name| {
        let mut subjects = metrics.subjects(name.base(), since);
        subjects.extend(metrics.subjects(name.own, since));
        let dimensions = subjects.into_iter().filter_map(|subject| name.scope.dimensions(&subject));
        dimensions.map(|dimensions| CustomMetric {
            namespace: name.scope.namespace.to_owned(),
            name: name.name.to_owned(),
            dimensions,
        })
    });
    let mut all: Vec<CustomMetric> = own.chain(metrics.custom.list(since)).collect();
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millstream_types::ManualClock;

    use super::*;

    fn metric(namespace: &str, name: &str, dimensions: &[(&str, &str)]) -> CustomMetric {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let dimensions = dimensions.iter().map(owned).collect();
        CustomMetric { namespace: namespace.to_owned(), name: name.to_owned(), dimensions }
    }

    fn measured() -> Metrics {
        let metrics = Metrics::new(Arc::new(ManualClock::at(60_000)));
        for (function, invocations, errors) in [("f", 3, 1), ("g", 2, 0)] {
            metrics.counter("invocations", &format!("function/{function}")).add(invocations);
            metrics.counter("errors", &format!("function/{function}")).add(errors);
        }
        metrics.counter("throttles", "function/f").add(1);
        metrics.counter("requests", "api_stage/a/b/prod").add(1);
        for age in [5.0, 9.0] {
            metrics.distribution("batch_age_ms", "function/f").observe(age);
        }
        metrics.gauge("delivery_lag_ms", "delivery/d").set(1_500);
        metrics.sample();
        metrics
    }

    #[test]
    fn metrics_are_found_by_their_dimensions() {
        let metrics = measured();
        let f = ("FunctionName", "f");
        for (namespace, name, dimensions, expected) in [
            ("AWS/Lambda", "Errors", &[f][..], Some((3.0, 1.0, 0.0, 1.0))),
            ("AWS/Lambda", "Errors", &[("FunctionName", "g")], Some((2.0, 0.0, 0.0, 0.0))),
            ("AWS/Lambda", "DeadLetterErrors", &[f], Some((3.0, 0.0, 0.0, 0.0))),
            ("AWS/Lambda", "Throttles", &[f], Some((3.0, 1.0, 0.0, 1.0))),
            ("AWS/Lambda", "Invocations", &[], Some((5.0, 5.0, 1.0, 1.0))),
            ("AWS/Lambda", "Errors", &[], Some((5.0, 1.0, 0.0, 1.0))),
            ("AWS/Lambda", "IteratorAge", &[f], Some((2.0, 14.0, 5.0, 9.0))),
            ("AWS/Lambda", "Errors", &[("Color", "red"), f], None),
            ("AWS/Firehose", "DeliveryToS3.DataFreshness", &[("DeliveryStreamName", "d")], Some((1.0, 1.5, 1.5, 1.5))),
            ("AWS/ApiGateway", "Count", &[("ApiName", "a/b"), ("Stage", "prod")], Some((1.0, 1.0, 1.0, 1.0))),
            ("AWS/Kinesis", "IncomingRecords", &[], None),
        ] {
            let found = periods(&metrics, &metric(namespace, name, dimensions), None, (0, 120_000), 60_000);
            let found = found.first().map(|(_, minute)| (minute.count, minute.sum, minute.min, minute.max));
            assert_eq!(found, expected, "{name} {dimensions:?}");
        }
    }

    #[test]
    fn what_has_values_is_listed_once_with_its_dimensions() {
        let listed = list(&measured(), 0);
        let throttles = metric("AWS/Lambda", "Throttles", &[("FunctionName", "f")]);
        assert_eq!(listed.iter().filter(|metric| **metric == throttles).count(), 1);
        assert!(listed.contains(&metric("AWS/ApiGateway", "5XXError", &[("ApiName", "a/b"), ("Stage", "prod")])));
    }
}
