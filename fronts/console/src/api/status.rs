//! `GET /api/status`: every resource with its rates, lags and state.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::Console;
use crate::measure::{self, Measures};

/// Shows all resources by kind, each an object with its `name`.
pub async fn show(State(console): State<Console>) -> Json<Value> {
    let catalog = console.catalog();
    let measures = |kind: &str, name: &str| Measures::of(&console.insight().metrics, format!("{kind}/{name}"));
    let streams = console.streams().list().into_iter().map(|stream| {
        let bounds = stream.shards.iter().map(|shard| console.streams().bounds(shard.log()));
        let kept: u64 = bounds.map(|at| at.next.saturating_sub(at.first)).sum();
        let measures = console.stream_measures(&stream);
        json!({
            "name": stream.name,
            "shards": stream.shards.len(),
            "records": kept,
            "records_per_second": rounded(measures.rate("records_in")),
        })
    });
    let deliveries = catalog.delivery_streams.list().into_iter().map(|delivery| {
        let measures = measures("delivery", &delivery.name);
        let status = console.deliveries().status(&delivery.name).unwrap_or_default();
        json!({
            "name": delivery.name,
            "bucket": delivery.destination.bucket,
            "records_per_second": rounded(measures.rate("records_in")),
            "objects": status.objects,
            "lag_ms": measures.level("delivery_lag_ms"),
            "error": status.last_error,
            "records_expired": status.expired,
        })
    });
    let tables = catalog.tables.list().into_iter().map(|table| {
        let measures = measures("table", &table.name);
        json!({ "name": table.name, "items_written_per_second": rounded(measures.rate("items_written")) })
    });
    let functions = catalog.functions.list().into_iter().map(|function| {
        let measures = measures("function", &function.name);
        json!({
            "name": function.name,
            "runtime": function.runtime,
            "invocations_per_second": rounded(measures.rate("invocations")),
            "duration_ms": measure::run_time(&measures).map(rounded),
            "errors": measures.recent("errors"),
        })
    });
    let queries = catalog.queries.list().into_iter().map(|query| {
        let measures = measures("query", &query.name);
        let status = console.queries().status(&query.name);
        json!({
            "name": query.name,
            "state": crate::pages::query_state(&console, &query),
            "rows_in_per_second": rounded(measures.rate("rows_in")),
            "rows_out_per_second": rounded(measures.rate("rows_out")),
            "watermark_lag_ms": measures.level("watermark_lag_ms"),
            "watermark": status.watermark,
            "early": status.counts.order.early,
            "late": status.counts.order.late,
            "out_of_order": status.counts.order.out_of_order,
            "last_error": status.last_error,
            "errors": measures.recent("errors"),
        })
    });
    let apis = catalog.apis.list().into_iter().map(|api| {
        let measures = measures("api", &api.id);
        json!({ "name": api.name, "id": api.id, "requests_per_second": rounded(measures.rate("requests")) })
    });
    let confinement = console.functions().confinement();
    Json(json!({
        "function_confinement": {
            "files": confinement.files, "namespaces": confinement.namespaces, "limits": confinement.limits,
            "peers": confinement.peers,
        },
        "apis": apis.collect::<Vec<_>>(),
        "streams": streams.collect::<Vec<_>>(),
        "delivery_streams": deliveries.collect::<Vec<_>>(),
        "queries": queries.collect::<Vec<_>>(),
        "functions": functions.collect::<Vec<_>>(),
        "tables": tables.collect::<Vec<_>>(),
    }))
}

/// A rate as people want it: two places are enough.
fn rounded(rate: f64) -> f64 {
    (rate * 100.0).round() / 100.0
}
