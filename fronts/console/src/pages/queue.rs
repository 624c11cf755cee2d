//! `/queues/{name}`: how full a queue is, how old its oldest message, and where its dead letters go.

use std::sync::Arc;

use askama::Template;
use millstream_catalog::QueueDefinition;

use super::Frame;
use crate::Console;
use crate::chart;
use crate::error::ConsoleError;
use crate::format;
use crate::live::Fragments;
use crate::measure::Measures;
use crate::page::Page;
use crate::partials::{Chart, Charts, Figure, Figures};

#[derive(Template)]
#[template(path = "pages/queue.html")]
struct QueuePage<'a> {
    frame: Frame,
    live: Fragments,
    name: &'a str,
    visibility: String,
    retention: String,
    delay: String,
    created: String,
    /// The queue for dead letters: its name, its page, and after how many receives.
    dead_letters: Option<(String, String, u32)>,
    /// Queues whose dead letters come here: names and pages.
    sources: Vec<(String, String)>,
}

pub(super) fn page(console: &Console, name: &str, frame: Frame, live: Fragments) -> Result<String, ConsoleError> {
    let queue = find(console, name)?;
    let settings = &queue.settings;
    let seconds = |seconds: u32| format::duration(i64::from(seconds) * 1_000);
    let dead_letters = settings.redrive.as_ref().map(|redrive| {
        let href = Page::Queue(redrive.queue.clone()).href();
        (redrive.queue.clone(), href, redrive.receives_max)
    });
    let all = console.catalog().queues.list();
    let sends = |source: &Arc<QueueDefinition>| source.settings.redrive.as_ref().is_some_and(|to| to.queue == name);
    let page = QueuePage {
        frame,
        live,
        name,
        visibility: seconds(settings.visibility_seconds),
        retention: seconds(settings.retention_seconds),
        delay: seconds(settings.delay_seconds),
        created: format::date_time(queue.created),
        dead_letters,
        sources: all
            .into_iter()
            .filter(sends)
            .map(|source| (source.name.clone(), Page::Queue(source.name.clone()).href()))
            .collect(),
    };
    Ok(page.render()?)
}

pub(super) fn fragments(console: &Console, name: &str) -> Result<Fragments, ConsoleError> {
    find(console, name)?;
    let measures = measures(console, name);
    let mut fragments = Fragments::default();
    let figures = vec![
        Figure::new("visible", level(&measures, "visible"), ""),
        Figure::new("in flight", level(&measures, "in_flight"), ""),
        Figure::new("delayed", level(&measures, "delayed"), ""),
        Figure::new("oldest", age(measures.level("oldest_age_seconds").unwrap_or_default()), ""),
        Figure::rate("sent", measures.rate("sent")),
        Figure::rate("received", measures.rate("received")),
        Figure::rate("deleted", measures.rate("deleted")),
        Figure::trouble("dead letters", measures.recent("dead_lettered"), "in ten minutes"),
    ];
    fragments.add("figures", &Figures { figures })?;
    let charts = vec![
        Chart::of("messages sent per second", &measures.series("sent"), chart::per_second),
        Chart::of("messages deleted per second", &measures.series("deleted"), chart::per_second),
        Chart::of("visible messages", &measures.series("visible"), format::number),
        Chart::of("age of the oldest", &measures.series("oldest_age_seconds"), age),
    ];
    fragments.add("charts", &Charts { charts })?;
    Ok(fragments)
}

/// The metrics of a queue.
pub(super) fn measures(console: &Console, queue: &str) -> Measures {
    Measures::of(&console.insight().metrics, format!("queue/{queue}"))
}

/// Seconds for people.
fn age(seconds: f64) -> String {
    format::duration((seconds * 1_000.0) as i64)
}

/// How many messages a gauge tells of.
pub(super) fn level(measures: &Measures, name: &str) -> String {
    format::count(measures.level(name).unwrap_or_default() as u64)
}

fn find(console: &Console, name: &str) -> Result<Arc<QueueDefinition>, ConsoleError> {
    let missing = || ConsoleError::NotFound { kind: "queue", name: name.to_owned() };
    console.catalog().queues.get(name).ok_or_else(missing)
}
