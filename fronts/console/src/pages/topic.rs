//! `/topics/{name}`: where events are published, and how each subscription is doing.

use askama::Template;
use millstream_catalog::{EventSchema, EventSubscriptionDefinition};

use super::{Frame, subscription};
use crate::Console;
use crate::chart;
use crate::error::ConsoleError;
use crate::format;
use crate::live::Fragments;
use crate::measure::Measures;
use crate::page::Page;
use crate::partials::{BAD, Cell, Chart, Charts, Figure, Figures, Grid};

/// Characters of an error in a row.
const ERROR_CHARS: usize = 100;

#[derive(Template)]
#[template(path = "pages/topic.html")]
struct TopicPage<'a> {
    frame: Frame,
    live: Fragments,
    name: &'a str,
    endpoint: String,
    schema: &'static str,
    created: String,
    stream: String,
    stream_href: String,
}

pub(super) fn page(console: &Console, name: &str, frame: Frame, live: Fragments) -> Result<String, ConsoleError> {
    let topic = console.topic(name)?;
    let page = TopicPage {
        frame,
        live,
        name,
        endpoint: match topic.schema {
            EventSchema::Message => topic.address.clone(),
            EventSchema::EventGrid | EventSchema::CloudEvents => (console.addresses().topic_endpoint)(name),
        },
        schema: schema(topic.schema),
        created: format::date_time(topic.created),
        stream: topic.stream(),
        stream_href: Page::stream(&topic.stream()).href(),
    };
    Ok(page.render()?)
}

/// The form of events in words.
pub(super) fn schema(schema: EventSchema) -> &'static str {
    match schema {
        EventSchema::EventGrid => "Event Grid schema",
        EventSchema::CloudEvents => "CloudEvents 1.0",
        EventSchema::Message => "messages",
    }
}

pub(super) fn fragments(console: &Console, name: &str) -> Result<Fragments, ConsoleError> {
    let topic = console.topic(name)?;
    let measures = Measures::of(&console.insight().metrics, topic.stream());
    let mut fragments = Fragments::default();
    let figures = vec![
        Figure::rate("events in", measures.rate("records_in")),
        Figure::new("bytes in", format::size(measures.rate("bytes_in") as u64), "/s"),
    ];
    fragments.add("figures", &Figures { figures })?;
    let charts = vec![Chart::of("events per second", &measures.series("records_in"), chart::per_second)];
    fragments.add("charts", &Charts { charts })?;
    fragments.add("subscriptions", &subscriptions(console, name))?;
    Ok(fragments)
}

fn subscriptions(console: &Console, topic: &str) -> Grid {
    let columns = ["name", "goes to", "state", "#waiting", "#delivered", "#dead letters", "last error"];
    let mut grid = Grid::new(&columns, "Nobody has subscribed to this topic.");
    grid.rows = console.events().subscriptions(topic).iter().map(|found| row(console, found)).collect();
    grid
}

fn row(console: &Console, definition: &EventSubscriptionDefinition) -> Vec<Cell> {
    let (topic, name) = (&definition.topic, &definition.name);
    let status = console.events().status(topic, name).unwrap_or_default();
    let error = format::cut(&status.last_error.unwrap_or_default(), ERROR_CHARS);
    let (state, tone) = subscription::state(console, definition);
    let endpoint = subscription::Endpoint::of(definition);
    vec![
        Cell::link(name, &Page::Subscription(topic.clone(), name.clone())),
        format!("{} {}", endpoint.kind, format::cut(&endpoint.name, ERROR_CHARS)).into(),
        Cell { tone, ..state.into() },
        format::count(status.waiting).into(),
        format::count(status.delivered).into(),
        Cell::trouble(status.dead_lettered),
        Cell { tone: BAD, ..error.into() },
    ]
}
