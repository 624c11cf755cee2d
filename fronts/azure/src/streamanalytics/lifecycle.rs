//! `start` and `stop`. Both are done when the answer comes: nothing has to be polled.

use http::StatusCode;
use millstream_catalog::{QueryDefinition, StartAt};
use millstream_query::output_names;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::JobError;
use super::wire::{read, refuse_others};
use super::{Answer, Call};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    output_start_mode: Option<String>,
    output_start_time: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

pub(super) async fn start(call: &Call<'_>, name: &str) -> Result<Answer, JobError> {
    let _turn = call.front.turn.lock().await;
    let query = call.front.job(name)?;
    let body: Body = read("the body", call.body()?)?;
    refuse_others("the body", &body.others, &[])?;
    let start_at = start_at(call, &query, &body)?;
    check_outputs(&query)?;
    call.front.queries.start_query(name, start_at).await?;
    Ok(Answer::empty(StatusCode::OK))
}

pub(super) async fn stop(call: &Call<'_>, name: &str) -> Result<Answer, JobError> {
    let _turn = call.front.turn.lock().await;
    call.front.job(name)?;
    call.front.queries.stop_query(name).await?;
    Ok(Answer::empty(StatusCode::OK))
}

/// Where the job begins; `None`: where it stopped.
fn start_at(call: &Call, query: &QueryDefinition, body: &Body) -> Result<Option<StartAt>, JobError> {
    match body.output_start_mode.as_deref() {
        // A moment and not `Latest`: events that come before the job has seen its first one are not to be missed.
        None | Some("JobStartTime") => Ok(Some(StartAt::Time(call.front.clock.now()))),
        Some("CustomTime") => {
            let text = body.output_start_time.as_deref().unwrap_or_default();
            let time: jiff::Timestamp = text.parse().map_err(|_| {
                JobError::invalid(format!(
                    "CustomTime: expected outputStartTime such as 2026-01-31T12:00:00Z, found `{text}`"
                ))
            })?;
            Ok(Some(StartAt::Time(time.as_millisecond())))
        }
        Some("LastOutputEventTime") if query.started.is_none() => {
            Err(JobError::invalid("LastOutputEventTime: the job never ran; expected JobStartTime or CustomTime"))
        }
        Some("LastOutputEventTime") => Ok(None),
        Some(other) => {
            let expected = "expected outputStartMode JobStartTime, CustomTime or LastOutputEventTime";
            Err(JobError::invalid(format!("{expected}, found `{other}`")))
        }
    }
}

/// Holds outputs and the text's `INTO`s to each other. An empty text is the engine's to refuse.
fn check_outputs(query: &QueryDefinition) -> Result<(), JobError> {
    if query.sql.trim().is_empty() {
        return Ok(());
    }
    let written = output_names(query.dialect, &query.sql, &query.outputs);
    let defined: Vec<&str> = query.outputs.iter().map(|output| output.name.as_str()).collect();
    if let Some(name) = written.iter().find(|name| !defined.iter().any(|known| known.eq_ignore_ascii_case(name))) {
        return Err(JobError::invalid(format!("the query writes `{name}`, which is no output of the job")));
    }
    match defined.iter().find(|name| !written.iter().any(|known| known.eq_ignore_ascii_case(name))) {
        Some(name) => Err(JobError::invalid(format!(
            "the query does not write the output `{name}`; write SELECT … INTO [{name}], or delete the output"
        ))),
        None => Ok(()),
    }
}
