//! A mapping as answers show it.

use millstream_catalog::{EventSource, MappingStart};
use millstream_mapping::{LastResult, MappingView, Phase};
use serde_json::{Value, json};

use super::source;
use crate::place::Place;

pub(super) fn shown(place: &Place, view: &MappingView) -> Value {
    let definition = &*view.definition;
    let settings = &definition.settings;
    let queue = matches!(definition.source, EventSource::Queue { .. });
    let report: &[&str] = if settings.reports_failures { &["ReportBatchItemFailures"] } else { &[] };
    let mut shown = json!({
        "UUID": definition.id,
        "EventSourceMappingArn": place.arn("lambda", &format!("event-source-mapping:{}", definition.id)),
        "EventSourceArn": source::arn(place, &definition.source),
        "FunctionArn": place.arn("lambda", &format!("function:{}", definition.function)),
        "BatchSize": settings.batch_size,
        "MaximumBatchingWindowInSeconds": settings.window_seconds,
        "FunctionResponseTypes": report,
        "LastModified": seconds(definition.modified),
        "State": state(view.phase),
        "StateTransitionReason": if queue { "USER_INITIATED" } else { "User action" },
    });
    if !settings.filters.is_empty() {
        let filters: Vec<Value> = settings.filters.iter().map(|pattern| json!({ "Pattern": pattern })).collect();
        shown["FilterCriteria"] = json!({ "Filters": filters });
    }
    if queue {
        if let Some(max) = settings.concurrency_max {
            shown["ScalingConfig"] = json!({ "MaximumConcurrency": max });
        }
        return shown;
    }
    let without_limit = |limit: Option<u32>| limit.map_or(-1, i64::from);
    let failure = settings.on_failure.as_ref().map(|target| source::target_arn(place, target));
    let of_streams = json!({
        "LastProcessingResult": last(&view.last),
        "ParallelizationFactor": settings.parallelization,
        "MaximumRetryAttempts": without_limit(settings.retries_max),
        "MaximumRecordAgeInSeconds": without_limit(settings.record_age_max_seconds),
        "BisectBatchOnFunctionError": settings.bisect,
        "TumblingWindowInSeconds": settings.tumbling_window_seconds.unwrap_or(0),
        "DestinationConfig": { "OnFailure": failure.map_or(json!({}), |arn| json!({ "Destination": arn })) },
        "StartingPosition": position(definition.start),
    });
    if let (Some(shown), Value::Object(of_streams)) = (shown.as_object_mut(), of_streams) {
        shown.extend(of_streams);
    }
    if let Some(MappingStart::AtTime(time)) = definition.start {
        shown["StartingPositionTimestamp"] = json!(seconds(time));
    }
    shown
}

/// Times are seconds since 1970 here.
fn seconds(time: i64) -> f64 {
    time as f64 / 1_000.0
}

fn position(start: Option<MappingStart>) -> Value {
    match start {
        None => Value::Null,
        Some(MappingStart::Latest) => json!("LATEST"),
        Some(MappingStart::TrimHorizon) => json!("TRIM_HORIZON"),
        Some(MappingStart::AtTime(_)) => json!("AT_TIMESTAMP"),
    }
}

fn state(phase: Phase) -> &'static str {
    match phase {
        Phase::Creating => "Creating",
        Phase::Enabling => "Enabling",
        Phase::Enabled => "Enabled",
        Phase::Disabling => "Disabling",
        Phase::Disabled => "Disabled",
        Phase::Updating => "Updating",
        Phase::Deleting => "Deleting",
    }
}

fn last(result: &LastResult) -> String {
    match result {
        LastResult::None => "No records processed".to_owned(),
        LastResult::Taken => "OK".to_owned(),
        LastResult::Failed => "PROBLEM: Function call failed".to_owned(),
        LastResult::Problem(problem) => format!("PROBLEM: {problem}"),
    }
}
