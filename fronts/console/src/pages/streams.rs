//! `/streams`: streams and delivery streams.

use std::sync::Arc;

use askama::Template;
use millstream_catalog::{DeliveryStreamDefinition, StreamDefinition, StreamOwner};

use super::{Frame, ListPage};
use crate::Console;
use crate::chart;
use crate::error::ConsoleError;
use crate::format;
use crate::live::Fragments;
use crate::measure::Measures;
use crate::page::Page;
use crate::partials::{Figure, LIST_MAX, ListRow, Listing, page_of};

pub(super) fn page(frame: Frame, live: Fragments) -> Result<String, ConsoleError> {
    Ok(ListPage { frame, live, more: "Delivery streams" }.render()?)
}

pub(super) fn fragments(console: &Console, after: &str) -> Result<Fragments, ConsoleError> {
    let (streams, next) = page_of(console.streams().list(), after, |stream| &stream.name);
    let mut fragments = Fragments::default();
    fragments.add(
        "list",
        &Listing {
            columns: &["records in", "bytes in", "shards", "last append (UTC)"],
            rows: streams.into_iter().map(|stream| stream_row(console, &stream)).collect(),
            empty: "No streams. Define one in a pipeline file, or create one with any Kinesis client.",
            next: next.map(|name| Page::Streams(name).href()),
        },
    )?;
    let deliveries = console.catalog().delivery_streams.list();
    if after.is_empty() && !deliveries.is_empty() {
        let rows = deliveries.into_iter().take(LIST_MAX).map(|delivery| delivery_row(console, &delivery)).collect();
        let columns = &["records in", "objects in 10 min", "lag"];
        fragments.add("more", &Listing { columns, rows, empty: "", next: None })?;
    }
    Ok(fragments)
}

fn stream_row(console: &Console, stream: &Arc<StreamDefinition>) -> ListRow {
    let measures = console.stream_measures(stream);
    let series = measures.series("records_in");
    let last = stream.shards.iter().map(|shard| console.streams().bounds(shard.log()).last_append_time).max();
    ListRow {
        href: Page::stream(&stream.name).href(),
        name: stream.name.clone(),
        note: match stream.owner {
            StreamOwner::User => String::new(),
            StreamOwner::Hub => "of a hub".to_owned(),
            StreamOwner::DeliveryStream => "of a delivery stream".to_owned(),
            StreamOwner::Query => "results of a query".to_owned(),
            StreamOwner::Topic => "events of a topic".to_owned(),
            StreamOwner::Table => "changes of a table".to_owned(),
            StreamOwner::Gateway => "of the gateway".to_owned(),
        },
        spark: chart::spark("records per second", &series),
        cells: vec![
            Figure::rate("records in", measures.rate("records_in")).into(),
            format!("{}/s", format::size(measures.rate("bytes_in") as u64)).into(),
            stream.shards.len().to_string().into(),
            format::recent(last.unwrap_or_default(), console.clock().now()).into(),
        ],
    }
}

fn delivery_row(console: &Console, delivery: &DeliveryStreamDefinition) -> ListRow {
    let measures = Measures::of(&console.insight().metrics, format!("delivery/{}", delivery.name));
    ListRow {
        href: Page::Delivery(delivery.name.clone()).href(),
        name: delivery.name.clone(),
        note: format!("to bucket {}", delivery.destination.bucket),
        spark: chart::spark("records per second", &measures.series("records_in")),
        cells: vec![
            Figure::rate("records in", measures.rate("records_in")).into(),
            format::count(measures.recent("objects_written")).into(),
            super::delivery::lag(delivery, &measures).into(),
        ],
    }
}
