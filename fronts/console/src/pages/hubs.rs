//! `/hubs`: event hubs of all namespaces.

use askama::Template;
use millstream_catalog::HubDefinition;

use super::{Frame, ListPage};
use crate::Console;
use crate::chart;
use crate::error::ConsoleError;
use crate::live::Fragments;
use crate::measure::Measures;
use crate::page::Page;
use crate::partials::{Figure, ListRow, Listing, page_of};

pub(super) fn page(frame: Frame, live: Fragments) -> Result<String, ConsoleError> {
    Ok(ListPage { frame, live, more: "" }.render()?)
}

pub(super) fn fragments(console: &Console, after: &str) -> Result<Fragments, ConsoleError> {
    let (hubs, next) = page_of(console.catalog().hubs.list(), after, |hub| &hub.id);
    let mut fragments = Fragments::default();
    fragments.add(
        "list",
        &Listing {
            columns: &["records in", "partitions", "consumer groups"],
            rows: hubs.iter().map(|hub| row(console, hub)).collect(),
            empty: "No event hubs. Define one in a pipeline file, or create one with any management client.",
            next: next.map(|id| Page::Hubs(id).href()),
        },
    )?;
    Ok(fragments)
}

fn row(console: &Console, hub: &HubDefinition) -> ListRow {
    let measures = Measures::of(&console.insight().metrics, format!("stream/{}", hub.stream));
    let partitions = console.namespaces().stream(hub).map_or(0, |stream| stream.shards.len());
    ListRow {
        href: Page::Hub(hub.namespace.clone(), hub.name.clone()).href(),
        name: hub.name.clone(),
        note: format!("in {}", hub.namespace),
        spark: chart::spark("records per second", &measures.series("records_in")),
        cells: vec![
            Figure::rate("records in", measures.rate("records_in")).into(),
            partitions.to_string().into(),
            hub.consumer_groups.len().to_string().into(),
        ],
    }
}
