//! Keys of HTTP APIs, made for `millstream keys --create`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use millstream_gateway::NewApiKey;
use serde::Deserialize;

use super::Engines;

/// A key to be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    /// A usage plan by its id or its name.
    plan: Option<String>,
}

/// The route behind `millstream keys --create`.
pub fn routes(engines: &Arc<Engines>) -> Router {
    Router::new().route("/admin/api-keys", post(create)).with_state(Arc::clone(engines))
}

async fn create(State(engines): State<Arc<Engines>>, Json(new): Json<New>) -> Response {
    let mut plans = BTreeSet::new();
    if let Some(name) = &new.plan {
        let all = engines.plans.plans();
        let found = all.iter().find(|plan| plan.id == *name || plan.name == *name);
        let Some(found) = found else {
            return (StatusCode::NOT_FOUND, format!("there is no usage plan `{name}`")).into_response();
        };
        plans.insert(found.id.clone());
    }
    let key = NewApiKey { name: new.name, enabled: true, plans, ..NewApiKey::default() };
    match engines.plans.create_key(key).await {
        Ok(made) => format!("{}\n{}\n", made.id, made.value).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}
