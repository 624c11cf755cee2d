//! `StartMessageMoveTask`, `ListMessageMoveTasks`, `CancelMessageMoveTask`

use millstream_queue::{RedriveState, RedriveTask};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Sqs, check_range, error};
use crate::json_protocol::{JsonRequest, ServiceError};
use crate::place::resource;

/// What handles are sealed for.
const HANDLE: &str = "sqs move task";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    source_arn: Option<String>,
    destination_arn: Option<String>,
    max_number_of_messages_per_second: Option<i64>,
    max_results: Option<i64>,
    task_handle: Option<String>,
}

pub(super) fn start(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let source = queue(input.source_arn.as_deref(), "SourceArn")?;
    let destination = input.destination_arn.as_deref();
    let destination = destination.map(|arn| queue(Some(arn), "DestinationArn")).transpose()?;
    let rate = check_range("MaxNumberOfMessagesPerSecond", input.max_number_of_messages_per_second, 1, 500)?;
    let rate = rate.and_then(|rate| u32::try_from(rate).ok());
    check_exists(sqs, &source, "SourceArn")?;
    if let Some(destination) = &destination {
        check_exists(sqs, destination, "DestinationArn")?;
    }
    let id = sqs.queues.start_redrive(&source, destination.as_deref(), rate)?;
    Ok(json!({ "TaskHandle": sqs.seal.seal(HANDLE, id.as_bytes()) }))
}

pub(super) fn list(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let source = queue(input.source_arn.as_deref(), "SourceArn")?;
    let most = check_range("MaxResults", input.max_results, 1, 10)?.unwrap_or(1);
    check_exists(sqs, &source, "SourceArn")?;
    let tasks = sqs.queues.redrives(&source)?;
    let shown = tasks.iter().take(usize::try_from(most).unwrap_or(1)).map(|task| told(sqs, task));
    Ok(json!({ "Results": shown.collect::<Vec<_>>() }))
}

pub(super) fn cancel(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let handle = input.task_handle.ok_or_else(|| error::missing("TaskHandle"))?;
    let invalid = || error::invalid("Value for parameter TaskHandle is invalid.".to_owned());
    let id = id(sqs, &handle).ok_or_else(invalid)?;
    let moved = sqs.queues.cancel_redrive(&id)?;
    Ok(json!({ "ApproximateNumberOfMessagesMoved": moved }))
}

/// The queue whose messages the task of a handle moves.
pub(super) fn queue_of(sqs: &Sqs, handle: &str) -> Option<String> {
    sqs.queues.redrive_source(&id(sqs, handle)?)
}

/// What a handle stands for.
fn id(sqs: &Sqs, handle: &str) -> Option<String> {
    String::from_utf8(sqs.seal.open_text(HANDLE, handle)?).ok()
}

fn told(sqs: &Sqs, task: &RedriveTask) -> Value {
    let mut told = json!({
        "Status": match task.state {
            RedriveState::Running => "RUNNING",
            RedriveState::Completed => "COMPLETED",
            RedriveState::Cancelled => "CANCELLED",
            RedriveState::Failed(_) => "FAILED",
        },
        "SourceArn": sqs.arn(&task.source),
        "ApproximateNumberOfMessagesMoved": task.moved,
        "ApproximateNumberOfMessagesToMove": task.to_move,
        "StartedTimestamp": task.started,
    });
    // A handle is told while there is something to cancel.
    if task.state == RedriveState::Running {
        told["TaskHandle"] = json!(sqs.seal.seal(HANDLE, task.id.as_bytes()));
    }
    if let Some(destination) = &task.destination {
        told["DestinationArn"] = json!(sqs.arn(destination));
    }
    if let Some(rate) = task.rate {
        told["MaxNumberOfMessagesPerSecond"] = json!(rate);
    }
    if let RedriveState::Failed(reason) = &task.state {
        told["FailureReason"] = json!(reason);
    }
    told
}

/// These operations have an error of their own for queues that are not there.
fn check_exists(sqs: &Sqs, queue: &str, parameter: &str) -> Result<(), ServiceError> {
    sqs.queues.get(queue).map(drop).map_err(|_| {
        let message = format!("The resource that you specified for the {parameter} parameter doesn't exist.");
        ServiceError::new("ResourceNotFoundException", message)
    })
}

fn queue(arn: Option<&str>, parameter: &str) -> Result<String, ServiceError> {
    let arn = arn.ok_or_else(|| error::missing(parameter))?;
    let name = resource(arn, "sqs", "").map(str::to_owned);
    name.ok_or_else(|| {
        error::invalid(format!(
            "You must use this format to specify the {parameter}: arn:aws:sqs:region:account:queue."
        ))
    })
}
