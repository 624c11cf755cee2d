//! `/queues`: queues of messages.

use askama::Template;
use millstream_catalog::QueueDefinition;

use super::{Frame, ListPage, queue};
use crate::Console;
use crate::chart;
use crate::error::ConsoleError;
use crate::live::Fragments;
use crate::page::Page;
use crate::partials::{Figure, ListRow, Listing, page_of};

pub(super) fn page(frame: Frame, live: Fragments) -> Result<String, ConsoleError> {
    Ok(ListPage { frame, live, more: "" }.render()?)
}

pub(super) fn fragments(console: &Console, after: &str) -> Result<Fragments, ConsoleError> {
    let (queues, next) = page_of(console.catalog().queues.list(), after, |queue| &queue.name);
    let mut fragments = Fragments::default();
    fragments.add(
        "list",
        &Listing {
            columns: &["sent", "visible", "in flight"],
            rows: queues.iter().map(|queue| row(console, queue)).collect(),
            empty: "No queues. Define one in a pipeline file, or create one with any client of queues.",
            next: next.map(|name| Page::Queues(name).href()),
        },
    )?;
    Ok(fragments)
}

fn row(console: &Console, queue: &QueueDefinition) -> ListRow {
    let measures = queue::measures(console, &queue.name);
    let dead_letters = queue.settings.redrive.as_ref().map(|redrive| format!("dead letters to {}", redrive.queue));
    ListRow {
        href: Page::Queue(queue.name.clone()).href(),
        name: queue.name.clone(),
        note: dead_letters.unwrap_or_default(),
        spark: chart::spark("messages sent per second", &measures.series("sent")),
        cells: vec![
            Figure::rate("sent", measures.rate("sent")).into(),
            queue::level(&measures, "visible").into(),
            queue::level(&measures, "in_flight").into(),
        ],
    }
}
