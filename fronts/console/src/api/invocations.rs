//! `GET /api/functions/{name}/invocations`: the asynchronous invocations of a function that wait or cannot be read, one a line.

use axum::extract::{Path, State};
use axum::response::Response;
use futures_util::stream;
use millstream_function::WaitingInvocation;
use millstream_types::time::rfc3339;
use serde_json::{Value, json};

use super::lines;
use crate::Console;
use crate::error::ConsoleError;

/// Shows them: those that cannot be read first, then the oldest.
///
/// # Errors
/// [`ConsoleError::NotFound`], [`ConsoleError::Engine`].
pub async fn show(State(console): State<Console>, Path(name): Path<String>) -> Result<Response, ConsoleError> {
    console.function(&name)?;
    let waiting = console.functions().waiting(&name).await;
    let waiting = waiting.map_err(|error| ConsoleError::Engine { kind: error.kind(), message: error.to_string() })?;
    let shown: Vec<Value> = waiting.iter().map(shown).collect();
    Ok(lines(stream::iter(shown)))
}

fn shown(found: &WaitingInvocation) -> Value {
    if !found.readable {
        return json!({ "id": found.id, "state": "unreadable" });
    }
    json!({
        "id": found.id,
        "state": "waiting",
        "function": found.function,
        "accepted": rfc3339(found.accepted),
        "due": rfc3339(found.due),
        "failures": found.failures,
    })
}
