//! `GET /api/status`: every resource with its rates, lags and state. Times are texts; what is not known is left out.
//! Read next: `way.rs` (what records pass on their way), `messages.rs` (hubs, queues, topics and who gets what is in them).

mod messages;
mod way;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::Console;
use crate::measure::Measures;

/// Shows all resources by kind, each an object with its `name`.
pub async fn show(State(console): State<Console>) -> Json<Value> {
    let confinement = console.functions().confinement();
    Json(json!({
        "function_confinement": {
            "files": confinement.files, "namespaces": confinement.namespaces, "limits": confinement.limits,
            "peers": confinement.peers,
        },
        "apis": known(way::apis(&console)),
        "streams": known(way::streams(&console)),
        "hubs": known(messages::hubs(&console)),
        "delivery_streams": known(way::delivery_streams(&console)),
        "queries": known(way::queries(&console)),
        "query_outputs": known(way::query_outputs(&console)),
        "functions": known(way::functions(&console)),
        "mappings": known(messages::mappings(&console)),
        "tables": known(way::tables(&console)),
        "document_containers": known(way::document_containers(&console)),
        "queues": known(messages::queues(&console)),
        "topics": known(messages::topics(&console)),
        "subscriptions": known(messages::subscriptions(&console)),
    }))
}

/// Resources without what is not known of them.
fn known(resources: Vec<Value>) -> Vec<Value> {
    let known = |resource: Value| match resource {
        Value::Object(fields) => Value::Object(fields.into_iter().filter(|(_, value)| !value.is_null()).collect()),
        other => other,
    };
    resources.into_iter().map(known).collect()
}

fn measures(console: &Console, kind: &str, name: &str) -> Measures {
    Measures::of(&console.insight().metrics, format!("{kind}/{name}"))
}

/// A rate as people want it: two places are enough.
fn rounded(rate: f64) -> f64 {
    (rate * 100.0).round() / 100.0
}
