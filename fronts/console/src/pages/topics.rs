//! `/topics`: topics of events.

use askama::Template;
use millstream_catalog::TopicDefinition;

use super::{Frame, ListPage, topic};
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
    let (topics, next) = page_of(console.events().all_topics(), after, |topic| &topic.name);
    let mut fragments = Fragments::default();
    fragments.add(
        "list",
        &Listing {
            columns: &["events in", "subscriptions"],
            rows: topics.iter().map(|topic| row(console, topic)).collect(),
            empty: "No topics. Define one in a pipeline file, or create one with any management client.",
            next: next.map(|name| Page::Topics(name).href()),
        },
    )?;
    Ok(fragments)
}

fn row(console: &Console, topic: &TopicDefinition) -> ListRow {
    let measures = Measures::of(&console.insight().metrics, topic.stream());
    ListRow {
        href: Page::Topic(topic.name.clone()).href(),
        name: topic.name.clone(),
        note: topic::schema(topic.schema).to_owned(),
        spark: chart::spark("events per second", &measures.series("records_in")),
        cells: vec![
            Figure::rate("events in", measures.rate("records_in")).into(),
            console.events().subscriptions(&topic.name).len().to_string().into(),
        ],
    }
}
