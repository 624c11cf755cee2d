//! Queries as `millstream job` asks for them: what one is, and what is to become of it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use millstream_console::JobAsk;

use super::Engines;
use crate::apply::job;

/// The routes behind `millstream job`.
pub fn routes(engines: &Arc<Engines>) -> Router {
    Router::new().route("/admin/jobs/{name}", get(show).post(ask)).with_state(Arc::clone(engines))
}

async fn show(State(engines): State<Arc<Engines>>, Path(name): Path<String>) -> Response {
    match job::job(&engines, &name) {
        Ok(job) => Json(job).into_response(),
        Err(error) => (StatusCode::NOT_FOUND, error.to_string()).into_response(),
    }
}

async fn ask(State(engines): State<Arc<Engines>>, Path(name): Path<String>, Json(ask): Json<JobAsk>) -> Response {
    match job::carry_out(&engines, &name, ask).await {
        Ok(done) => done.into_response(),
        Err(refusal) => (StatusCode::BAD_REQUEST, refusal.to_string()).into_response(),
    }
}
