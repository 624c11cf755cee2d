//! The node's own metrics under the services' names.

use millstream_insight::{CustomMetric, Metrics, Minute};
use millstream_types::Millis;

/// How a counter's growth is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Each event is one value of 1.
    Events,
    /// The values are what the node keeps: a second's growth, a level, or each one observed.
    Values,
    /// The same, kept in halves of the unit.
    Halves,
}

/// A metric of a service.
struct Name {
    namespace: &'static str,
    name: &'static str,
    /// The dimension that names the resource.
    dimension: &'static str,
    /// What stands before the resource's name in the node's subjects: `function/`.
    subject: &'static str,
    /// The node's own name of it.
    own: &'static str,
    kind: Kind,
    unit: &'static str,
}

const fn name(
    (namespace, dimension, subject): (&'static str, &'static str, &'static str),
    name: &'static str,
    own: &'static str,
    kind: Kind,
    unit: &'static str,
) -> Name {
    Name { namespace, name, dimension, subject, own, kind, unit }
}

const LAMBDA: (&str, &str, &str) = ("AWS/Lambda", "FunctionName", "function/");
const KINESIS: (&str, &str, &str) = ("AWS/Kinesis", "StreamName", "stream/");
const FIREHOSE: (&str, &str, &str) = ("AWS/Firehose", "DeliveryStreamName", "delivery/");
const DYNAMODB: (&str, &str, &str) = ("AWS/DynamoDB", "TableName", "table/");
const SQS: (&str, &str, &str) = ("AWS/SQS", "QueueName", "queue/");
const SNS: (&str, &str, &str) = ("AWS/SNS", "TopicName", "topic/");
const API_GATEWAY: (&str, &str, &str) = ("AWS/ApiGateway", "ApiName", "api/");

/// All metrics of services that are kept.
const NAMES: &[Name] = &[
    name(LAMBDA, "Invocations", "invocations", Kind::Events, "Count"),
    name(LAMBDA, "Errors", "errors", Kind::Events, "Count"),
    name(LAMBDA, "Throttles", "throttles", Kind::Events, "Count"),
    name(LAMBDA, "Duration", "duration_ms", Kind::Values, "Milliseconds"),
    name(LAMBDA, "ConcurrentExecutions", "concurrent", Kind::Values, "Count"),
    name(LAMBDA, "AsyncEventsReceived", "async_received", Kind::Events, "Count"),
    name(LAMBDA, "AsyncEventsDropped", "dropped_async", Kind::Events, "Count"),
    name(LAMBDA, "DeadLetterErrors", "dead_letter_errors", Kind::Events, "Count"),
    name(LAMBDA, "DestinationDeliveryFailures", "destination_delivery_failures", Kind::Events, "Count"),
    name(KINESIS, "IncomingRecords", "records_in", Kind::Events, "Count"),
    name(KINESIS, "IncomingBytes", "bytes_in", Kind::Values, "Bytes"),
    name(KINESIS, "GetRecords.Records", "records_out", Kind::Events, "Count"),
    name(FIREHOSE, "IncomingRecords", "records_in", Kind::Events, "Count"),
    name(FIREHOSE, "IncomingBytes", "bytes_in", Kind::Values, "Bytes"),
    name(DYNAMODB, "ConsumedReadCapacityUnits", "read_capacity_half_units", Kind::Halves, "Count"),
    name(DYNAMODB, "ConsumedWriteCapacityUnits", "write_capacity_half_units", Kind::Halves, "Count"),
    name(DYNAMODB, "ThrottledRequests", "throttled_requests", Kind::Events, "Count"),
    name(SQS, "NumberOfMessagesSent", "sent", Kind::Events, "Count"),
    name(SQS, "NumberOfMessagesReceived", "received", Kind::Events, "Count"),
    name(SQS, "NumberOfMessagesDeleted", "deleted", Kind::Events, "Count"),
    name(SQS, "NumberOfEmptyReceives", "empty", Kind::Events, "Count"),
    name(SQS, "ApproximateNumberOfMessagesVisible", "visible", Kind::Values, "Count"),
    name(SQS, "ApproximateNumberOfMessagesNotVisible", "in_flight", Kind::Values, "Count"),
    name(SQS, "ApproximateNumberOfMessagesDelayed", "delayed", Kind::Values, "Count"),
    name(SQS, "ApproximateAgeOfOldestMessage", "oldest_age_seconds", Kind::Values, "Seconds"),
    name(SNS, "NumberOfMessagesPublished", "records_in", Kind::Events, "Count"),
    name(API_GATEWAY, "Count", "requests", Kind::Events, "Count"),
    name(API_GATEWAY, "4XXError", "errors_4xx", Kind::Events, "Count"),
    name(API_GATEWAY, "5XXError", "errors_5xx", Kind::Events, "Count"),
    name(API_GATEWAY, "Latency", "latency_ms", Kind::Values, "Milliseconds"),
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
    let Some(name) = NAMES.iter().find(|name| name.namespace == metric.namespace && name.name == metric.name) else {
        return metrics.custom.periods(metric, unit, span, period);
    };
    let Some(resource) = metric.dimensions.iter().find(|(dimension, _)| dimension == name.dimension) else {
        return Vec::new();
    };
    if unit.is_some_and(|unit| unit != name.unit) || period < MINUTE {
        return Vec::new();
    }
    let subject = format!("{}{}", name.subject, resource.1);
    let mut found = metrics.periods(name.own, &subject, span, period);
    match name.kind {
        Kind::Events => found.iter_mut().for_each(of_events),
        Kind::Halves => found.iter_mut().for_each(of_halves),
        Kind::Values => {}
    }
    found.into_iter().map(|minute| (name.unit.to_owned(), minute)).collect()
}

/// As many values of 1 as there were events.
fn of_events(minute: &mut Minute) {
    *minute = Minute { count: minute.sum, min: 1.0, max: 1.0, ..*minute };
}

/// Values in whole units.
fn of_halves(minute: &mut Minute) {
    *minute = Minute { sum: minute.sum / 2.0, min: minute.min / 2.0, max: minute.max / 2.0, ..*minute };
}

/// All metrics that had a value at `since` or later.
pub(super) fn list(metrics: &Metrics, since: Millis) -> Vec<CustomMetric> {
    let own = NAMES.iter().flat_map(|name| {
        let subjects = metrics.subjects(name.own, since);
        let resources =
            subjects.into_iter().filter_map(|subject| subject.strip_prefix(name.subject).map(str::to_owned));
        resources.map(|resource| CustomMetric {
            namespace: name.namespace.to_owned(),
            name: name.name.to_owned(),
            dimensions: vec![(name.dimension.to_owned(), resource)],
        })
    });
    let mut all: Vec<CustomMetric> = own.chain(metrics.custom.list(since)).collect();
    all.sort();
    all
}
