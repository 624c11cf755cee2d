//! What records pass on their way: APIs, streams, deliveries, queries and their outputs, functions, tables, documents.

use millstream_types::time::rfc3339;
use serde_json::{Value, json};

use super::{measures, rounded};
use crate::Console;
use crate::measure;

pub(super) fn apis(console: &Console) -> Vec<Value> {
    let api = |api: &millstream_catalog::ApiDefinition| {
        let measures = measures(console, "api", &api.id);
        json!({ "name": api.name, "id": api.id, "requests_per_second": rounded(measures.rate("requests")) })
    };
    console.catalog().apis.list().iter().map(|found| api(found)).collect()
}

pub(super) fn streams(console: &Console) -> Vec<Value> {
    let lost = console.streams().lost_records();
    let stream = |stream: &millstream_catalog::StreamDefinition| {
        let bounds = stream.shards.iter().map(|shard| console.streams().bounds(shard.log()));
        let kept: u64 = bounds.map(|at| at.next.saturating_sub(at.first)).sum();
        json!({
            "name": stream.name,
            "shards": stream.shards.len(),
            "records": kept,
            "records_lost": lost.get(&stream.name).copied().unwrap_or(0),
            "records_per_second": rounded(console.stream_measures(stream).rate("records_in")),
        })
    };
    console.streams().list().iter().map(|found| stream(found)).collect()
}

pub(super) fn delivery_streams(console: &Console) -> Vec<Value> {
    let delivery = |delivery: &millstream_catalog::DeliveryStreamDefinition| {
        let measures = measures(console, "delivery", &delivery.name);
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
    };
    console.catalog().delivery_streams.list().iter().map(|found| delivery(found)).collect()
}

pub(super) fn queries(console: &Console) -> Vec<Value> {
    let query = |query: &millstream_catalog::QueryDefinition| {
        let measures = measures(console, "query", &query.name);
        let status = console.queries().status(&query.name);
        json!({
            "name": query.name,
            "state": crate::pages::query_state(console, query),
            "rows_in_per_second": rounded(measures.rate("rows_in")),
            "rows_out_per_second": rounded(measures.rate("rows_out")),
            "watermark_lag_ms": measures.level("watermark_lag_ms"),
            "watermark": status.watermark.map(rfc3339),
            "early": status.counts.order.early,
            "late": status.counts.order.late,
            "out_of_order": status.counts.order.out_of_order,
            "last_error": status.last_error,
            "errors": measures.recent("errors"),
        })
    };
    console.catalog().queries.list().iter().map(|found| query(found)).collect()
}

/// Outputs that have a function, a container or a bucket behind them.
pub(super) fn query_outputs(console: &Console) -> Vec<Value> {
    let of_query = |query: &millstream_catalog::QueryDefinition| {
        let output = |delivery: millstream_query::DeliveryStatus| {
            let waiting = console.streams().bounds(delivery.log).next.saturating_sub(delivery.next);
            json!({
                "name": format!("{}/{}", query.name, delivery.output),
                "target": delivery.target,
                "rows_waiting": waiting,
                "failing_since": delivery.failing.as_ref().map(|failing| rfc3339(failing.since)),
                "error": delivery.failing.map(|failing| failing.reason),
            })
        };
        console.queries().deliveries(&query.name).into_iter().map(output).collect::<Vec<_>>()
    };
    console.catalog().queries.list().iter().flat_map(|found| of_query(found)).collect()
}

pub(super) fn functions(console: &Console) -> Vec<Value> {
    let function = |function: &millstream_catalog::FunctionDefinition| {
        let measures = measures(console, "function", &function.name);
        json!({
            "name": function.name,
            "runtime": function.runtime,
            "invocations_per_second": rounded(measures.rate("invocations")),
            "duration_ms": measure::run_time(&measures).map(rounded),
            "errors": measures.recent("errors"),
        })
    };
    console.catalog().functions.list().iter().map(|found| function(found)).collect()
}

pub(super) fn tables(console: &Console) -> Vec<Value> {
    let table = |table: &millstream_catalog::TableDefinition| {
        let written = measures(console, "table", &table.name).rate("items_written");
        json!({ "name": table.name, "items_written_per_second": rounded(written) })
    };
    console.catalog().tables.list().iter().map(|found| table(found)).collect()
}

pub(super) fn document_containers(console: &Console) -> Vec<Value> {
    let container = |container: &millstream_catalog::DocumentContainerDefinition| {
        let partition_key = container.partition_key_paths.join(", ");
        json!({ "name": container.path, "partition_key": partition_key, "made": rfc3339(container.created) })
    };
    console.catalog().document_containers.list().iter().map(|found| container(found)).collect()
}
