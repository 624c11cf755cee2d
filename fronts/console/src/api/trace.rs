//! `GET /api/trace/{id}`: a record's way.

use axum::Json;
use axum::extract::{Path, State};
use millstream_types::time::rfc3339;
use serde_json::{Value, json};

use crate::Console;
use crate::error::ConsoleError;
use crate::story::{self, Outcome, Step};

/// Shows a record's story as `{"id", "stream", "shard", "steps": [{"time", "text", "outcome"}]}`.
///
/// # Errors
/// [`ConsoleError::Invalid`] for an id that is none, [`ConsoleError::NotFound`].
pub async fn show(State(console): State<Console>, Path(id): Path<String>) -> Result<Json<Value>, ConsoleError> {
    let story = story::tell(&console, &id).await?;
    let step = |step: &Step| {
        json!({
            "time": step.time.map_or("not yet".to_owned(), rfc3339),
            "text": step.text(),
            "outcome": match step.outcome {
                Outcome::Went => "went",
                Outcome::Waits => "waits",
                Outcome::Stopped => "stopped",
            },
        })
    };
    Ok(Json(json!({
        "id": id,
        "stream": story.record.as_ref().map(|found| found.stream.name.as_str()),
        "shard": story.record.as_ref().map(|found| found.shard),
        "steps": story.steps.iter().map(step).collect::<Vec<_>>(),
    })))
}
