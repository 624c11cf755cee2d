//! Jobs: create or replace, change, show, delete, list.

use std::collections::BTreeMap;

use http::StatusCode;
use millstream_catalog::{DesiredState, EventOrder, OrderPolicy, QueryDefinition, QueryDialect, StartAt};
use millstream_query::{NewQuery, QueryState};
use millstream_types::time::rfc3339;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::child::{self, Kind};
use super::condition::{check, fingerprint};
use super::error::JobError;
use super::wire::{merge, read, refuse_others};
use super::{Answer, Call};

/// Seconds that events may be out of order.
const OUT_OF_ORDER_SECONDS_MAX: i64 = 599;
/// Seconds that events may be late: a second short of 21 days.
const LATE_SECONDS_MAX: i64 = 1_814_399;
/// Characters of the names of jobs, inputs, outputs and transformations.
const NAME_CHARS: std::ops::RangeInclusive<usize> = 3..=63;
const COMPATIBILITY: &str = "1.2";
const LOCALE: &str = "en-US";
const ERROR_POLICY: &str = "Drop";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(default)]
    location: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    sku: Option<Sku>,
    #[serde(default)]
    properties: Properties,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
struct Sku {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    sku: Option<Sku>,
    events_out_of_order_policy: Option<String>,
    events_out_of_order_max_delay_in_seconds: Option<i64>,
    events_late_arrival_max_delay_in_seconds: Option<i64>,
    output_error_policy: Option<String>,
    compatibility_level: Option<String>,
    data_locale: Option<String>,
    content_storage_policy: Option<String>,
    job_type: Option<String>,
    inputs: Option<Vec<Value>>,
    outputs: Option<Vec<Value>>,
    transformation: Option<Value>,
    functions: Option<Vec<Value>>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// What only the service writes: a document that was shown may be sent again.
const ONLY_WRITTEN: [&str; 7] =
    ["jobId", "jobState", "provisioningState", "createdDate", "lastOutputEventTime", "outputStartTime", "etag"];

pub(super) fn list(call: &Call) -> Answer {
    let mut all = call.front.queries.list();
    all.retain(|query| query.dialect == QueryDialect::StreamAnalytics);
    let all: Vec<Value> = all.iter().map(|query| document(call, query, expanded(call))).collect();
    Answer { status: StatusCode::OK, document: json!({ "value": all }), etag: String::new() }
}

pub(super) fn get(call: &Call, name: &str) -> Result<Answer, JobError> {
    let query = call.front.job(name)?;
    Ok(shown(call, &query, expanded(call), StatusCode::OK))
}

pub(super) async fn put(call: &Call<'_>, name: &str) -> Result<Answer, JobError> {
    let _turn = call.front.turn.lock().await;
    check_name("streaming job", name)?;
    let known = call.front.job(name).ok();
    check(call, known.as_ref().map(|query| etag(call, query)).as_deref())?;
    let body = call.body()?;
    match known {
        Some(query) => change(call, &query, body).await,
        None => {
            let mut new = new_query(name);
            apply(call, &mut new, body)?;
            let made = call.front.queries.create(new).await?;
            Ok(shown(call, &made, true, StatusCode::CREATED))
        }
    }
}

pub(super) async fn patch(call: &Call<'_>, name: &str) -> Result<Answer, JobError> {
    let _turn = call.front.turn.lock().await;
    let query = call.front.job(name)?;
    check(call, Some(&etag(call, &query)))?;
    let mut body = changeable(&query);
    merge(&mut body, call.body()?);
    change(call, &query, body).await
}

/// Deleting what is not there is no error. A job that runs is stopped first.
pub(super) async fn delete(call: &Call<'_>, name: &str) -> Result<Answer, JobError> {
    let _turn = call.front.turn.lock().await;
    let Ok(query) = call.front.job(name) else { return Ok(Answer::empty(StatusCode::NO_CONTENT)) };
    check(call, Some(&etag(call, &query)))?;
    call.front.queries.delete(name).await?;
    Ok(Answer::empty(StatusCode::OK))
}

/// Only a job that does not run may be edited.
pub(super) fn check_stopped(query: &QueryDefinition) -> Result<(), JobError> {
    match query.desired {
        DesiredState::Stopped => Ok(()),
        DesiredState::Running => {
            Err(JobError::conflict(format!("the streaming job `{}` runs: stop it before it is edited", query.name)))
        }
    }
}

pub(super) fn check_name(kind: &str, name: &str) -> Result<(), JobError> {
    let allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
    if NAME_CHARS.contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    let (min, max) = (NAME_CHARS.start(), NAME_CHARS.end());
    let rule = format!("{min} to {max} letters, digits, hyphens and underscores");
    Err(JobError::invalid(format!("expected {rule} as the name of the {kind}, found `{name}`")))
}

async fn change(call: &Call<'_>, query: &QueryDefinition, body: Value) -> Result<Answer, JobError> {
    check_stopped(query)?;
    let mut changed = NewQuery::from(query);
    apply(call, &mut changed, body)?;
    let changed = call.front.queries.update(query, changed).await?;
    Ok(shown(call, &changed, true, StatusCode::OK))
}

fn new_query(name: &str) -> NewQuery {
    NewQuery {
        name: name.to_owned(),
        dialect: QueryDialect::StreamAnalytics,
        sql: String::new(),
        description: String::new(),
        inputs: Vec::new(),
        references: Vec::new(),
        functions: Vec::new(),
        outputs: Vec::new(),
        start_at: StartAt::Latest,
        event_order: EventOrder::default(),
        parallelism: 0,
        resource: None,
    }
}

/// Makes a job what a body says. Inputs, functions, outputs and a transformation that it does not name stay as they are.
fn apply(call: &Call, job: &mut NewQuery, body: Value) -> Result<(), JobError> {
    let Body { location, tags, sku, properties, others } = read("the body", body)?;
    refuse_others("the job", &others, &["id", "name", "type"])?;
    refuse_others("the job", &properties.others, &ONLY_WRITTEN)?;
    let sku = properties.sku.or(sku).map_or_else(|| "Standard".to_owned(), |sku| sku.name);
    for (name, found, expected) in [
        ("sku", Some(sku.as_str()), &["Standard", "StandardV2"] as &[&str]),
        ("compatibilityLevel", properties.compatibility_level.as_deref(), &[COMPATIBILITY]),
        ("dataLocale", properties.data_locale.as_deref(), &[LOCALE]),
        ("outputErrorPolicy", properties.output_error_policy.as_deref(), &[ERROR_POLICY]),
        ("contentStoragePolicy", properties.content_storage_policy.as_deref(), &["SystemAccount"]),
        ("jobType", properties.job_type.as_deref(), &["Cloud"]),
    ] {
        if let Some(found) = found.filter(|found| !expected.contains(found)) {
            let expected = expected.join(" or ");
            return Err(JobError::unsupported(&format!("{name} `{found}` (expected {expected})")));
        }
    }
    job.event_order = event_order(
        properties.events_out_of_order_policy.as_deref(),
        properties.events_out_of_order_max_delay_in_seconds,
        properties.events_late_arrival_max_delay_in_seconds,
    )?;
    let address = format!("{}/streamingjobs/{}", call.prefix, job.name);
    let resource = job.resource.get_or_insert_default();
    if resource.address.is_empty() {
        resource.address = address;
    }
    (resource.location, resource.tags, resource.sku) = (location, tags, sku);
    if let Some(inputs) = properties.inputs {
        job.inputs.clear();
        job.references.clear();
        set_all(call, job, Kind::Input, inputs)?;
    }
    if let Some(functions) = properties.functions {
        job.functions.clear();
        set_all(call, job, Kind::Function, functions)?;
    }
    if let Some(outputs) = properties.outputs {
        job.outputs.clear();
        set_all(call, job, Kind::Output, outputs)?;
    }
    if let Some(transformation) = properties.transformation {
        set_all(call, job, Kind::Transformation, vec![transformation])?;
    }
    Ok(())
}

fn set_all(call: &Call, job: &mut NewQuery, kind: Kind, documents: Vec<Value>) -> Result<(), JobError> {
    for document in documents {
        let child::Body { name, properties, .. } =
            child::Body::read(&format!("the job's {}", kind.plural()), document)?;
        kind.set(call.front, job, &name, properties)?;
    }
    Ok(())
}

fn event_order(policy: Option<&str>, out_of_order: Option<i64>, late: Option<i64>) -> Result<EventOrder, JobError> {
    let usual = EventOrder::default();
    let policy = match policy {
        None | Some("Adjust") => OrderPolicy::Adjust,
        Some("Drop") => OrderPolicy::Drop,
        Some(other) => {
            return Err(JobError::invalid(format!("expected eventsOutOfOrderPolicy Adjust or Drop, found `{other}`")));
        }
    };
    let out_of_order = out_of_order.unwrap_or(usual.out_of_order_tolerance_ms / 1_000);
    if !(0..=OUT_OF_ORDER_SECONDS_MAX).contains(&out_of_order) {
        let expected = format!("expected eventsOutOfOrderMaxDelayInSeconds of 0 to {OUT_OF_ORDER_SECONDS_MAX}");
        return Err(JobError::invalid(format!("{expected}, found {out_of_order}")));
    }
    let late = late.unwrap_or(usual.late_tolerance_ms / 1_000);
    if !(-1..=LATE_SECONDS_MAX).contains(&late) {
        let expected = format!("expected eventsLateArrivalMaxDelayInSeconds of -1 to {LATE_SECONDS_MAX}");
        return Err(JobError::invalid(format!("{expected}, found {late}")));
    }
    let late_tolerance_ms = if late == -1 { EventOrder::LATE_WITHOUT_LIMIT } else { late * 1_000 };
    Ok(EventOrder { late_tolerance_ms, out_of_order_tolerance_ms: out_of_order * 1_000, policy })
}

/// Whether the request asks for inputs, outputs and the transformation with their job.
fn expanded(call: &Call) -> bool {
    call.request.query.split('&').any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        matches!(name, "$expand" | "%24expand") && !value.is_empty()
    })
}

fn shown(call: &Call, query: &QueryDefinition, expanded: bool, status: StatusCode) -> Answer {
    Answer { status, document: document(call, query, expanded), etag: etag(call, query) }
}

/// The tag of a job: of all that requests change, nothing of how it is doing.
fn etag(call: &Call, query: &QueryDefinition) -> String {
    let children =
        [Kind::Input, Kind::Function, Kind::Output, Kind::Transformation].map(|kind| kind.documents(call, query));
    fingerprint(&json!([changeable(query), query.created, children]))
}

fn document(call: &Call, query: &QueryDefinition, expanded: bool) -> Value {
    let mut document = Call::resource(&call.address(query), "streamingjobs", Value::Null);
    let mut written = json!({ "properties": {
        "jobId": fingerprint(&json!([query.name, query.created])),
        "provisioningState": "Succeeded",
        "jobState": state(call, query),
        "createdDate": rfc3339(query.created),
        "etag": etag(call, query),
    }});
    let properties = &mut written["properties"];
    if let (Some(_), StartAt::Time(time)) = (query.started, query.start_at) {
        properties["outputStartTime"] = json!(rfc3339(time));
    }
    if let Some(last) = call.front.queries.recent_rows(&query.name).last() {
        properties["lastOutputEventTime"] = json!(rfc3339(last.time));
    }
    if expanded {
        properties["inputs"] = json!(Kind::Input.documents(call, query));
        properties["outputs"] = json!(Kind::Output.documents(call, query));
        properties["functions"] = json!(Kind::Function.documents(call, query));
        if let Some(transformation) = Kind::Transformation.documents(call, query).pop() {
            properties["transformation"] = transformation;
        }
    }
    document["properties"] = json!({});
    merge(&mut document, changeable(query));
    merge(&mut document, written);
    document
}

/// A job as requests write it, without its inputs, outputs and transformation.
fn changeable(query: &QueryDefinition) -> Value {
    let EventOrder { late_tolerance_ms, out_of_order_tolerance_ms, policy } = query.event_order;
    let resource = query.resource.clone().unwrap_or_default();
    let or = |given: String, usual: &str| if given.is_empty() { usual.to_owned() } else { given };
    json!({
        "location": or(resource.location, "local"),
        "tags": resource.tags,
        "properties": {
            "sku": { "name": or(resource.sku, "Standard") },
            "eventsOutOfOrderPolicy": match policy {
                OrderPolicy::Adjust => "Adjust",
                OrderPolicy::Drop => "Drop",
            },
            "eventsOutOfOrderMaxDelayInSeconds": out_of_order_tolerance_ms / 1_000,
            "eventsLateArrivalMaxDelayInSeconds": match late_tolerance_ms {
                EventOrder::LATE_WITHOUT_LIMIT => -1,
                limit => limit / 1_000,
            },
            "outputErrorPolicy": ERROR_POLICY,
            "compatibilityLevel": COMPATIBILITY,
            "dataLocale": LOCALE,
            "contentStoragePolicy": "SystemAccount",
            "jobType": "Cloud",
        },
    })
}

/// The service's word for how a job is doing. One whose outputs or inputs fail goes on trying: it is degraded.
fn state(call: &Call, query: &QueryDefinition) -> &'static str {
    let status = call.front.queries.status(&query.name);
    match (query.desired, status.state) {
        (DesiredState::Stopped, _) if query.started.is_none() => "Created",
        (DesiredState::Stopped, _) => "Stopped",
        (DesiredState::Running, QueryState::Stopped) => "Failed",
        (DesiredState::Running, QueryState::Starting) => "Starting",
        (DesiredState::Running, QueryState::Running) if status.last_error.is_none() => "Running",
        (DesiredState::Running, QueryState::Running | QueryState::Retrying) => "Degraded",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_held_to_their_ranges() {
        let order = event_order(Some("Drop"), Some(599), Some(-1)).unwrap();
        assert_eq!(
            (order.out_of_order_tolerance_ms, order.late_tolerance_ms),
            (599_000, EventOrder::LATE_WITHOUT_LIMIT)
        );
        assert_eq!(event_order(None, None, None).unwrap(), EventOrder::default());
        for (policy, out_of_order, late) in [
            (Some("Keep"), None, None),
            (None, Some(600), None),
            (None, Some(-1), None),
            (None, None, Some(-2)),
            (None, None, Some(1_814_400)),
        ] {
            assert!(event_order(policy, out_of_order, late).is_err(), "{policy:?} {out_of_order:?} {late:?}");
        }
    }

    #[test]
    fn names_are_checked() {
        for good in ["job", "a-b_C1"] {
            assert!(check_name("job", good).is_ok());
        }
        for bad in ["", "ab", "a.bc", "a b c", &"a".repeat(64)] {
            assert!(check_name("job", bad).is_err(), "{bad}");
        }
    }
}
