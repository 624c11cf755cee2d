//! `/topics/{topic}/{name}`: which events a subscription wants, where they go, and what became of each.

use askama::Template;
use millstream_catalog::{EventEndpoint, EventFilter, EventSubscriptionDefinition, FieldCondition, PatternScope};
use millstream_event::engine::Provisioning;
use millstream_event::{Delivery, Outcome};

use super::{Frame, topic};
use crate::Console;
use crate::error::ConsoleError;
use crate::format;
use crate::live::Fragments;
use crate::page::Page;
use crate::partials::{BAD, Cell, Figure, Figures, Grid, WARN};

/// Deliveries that the log shows.
const DELIVERIES_MAX: usize = 100;
/// Characters of an event's id.
const ID_CHARS: usize = 60;
/// Characters of what the last attempt failed with.
const ERROR_CHARS: usize = 300;
/// Characters of a pattern.
const PATTERN_CHARS: usize = 1_000;

#[derive(Template)]
#[template(path = "pages/subscription.html")]
struct SubscriptionPage<'a> {
    frame: Frame,
    live: Fragments,
    topic: &'a str,
    topic_href: String,
    name: &'a str,
    endpoint_kind: &'static str,
    endpoint: String,
    endpoint_href: Option<String>,
    schema: &'static str,
    batching: String,
    retry: String,
    dead_letter: Option<(String, Option<String>)>,
    created: String,
    filter: Vec<String>,
}

pub(super) fn page(
    console: &Console,
    topic: &str,
    name: &str,
    frame: Frame,
    live: Fragments,
) -> Result<String, ConsoleError> {
    let definition = console.subscription(topic, name)?;
    let endpoint = Endpoint::of(&definition);
    let page = SubscriptionPage {
        frame,
        live,
        topic,
        topic_href: Page::Topic(topic.to_owned()).href(),
        name,
        endpoint_kind: endpoint.kind,
        endpoint_href: endpoint.page(console).map(|page| page.href()),
        endpoint: endpoint.name,
        schema: topic::schema(definition.delivery_schema),
        batching: match definition.batching.events_max {
            1 => "one by one".to_owned(),
            most => format!("up to {most} at a time"),
        },
        retry: format!(
            "up to {} times within {} min of the event",
            definition.retry.attempts_max, definition.retry.ttl_minutes
        ),
        dead_letter: dead_letter(console, &definition),
        created: format::date_time(definition.created),
        filter: filter(&definition.filter),
    };
    Ok(page.render()?)
}

/// Where dead letters go: in words, and the page of the bucket or queue once there is one.
fn dead_letter(console: &Console, definition: &EventSubscriptionDefinition) -> Option<(String, Option<String>)> {
    if let Some(queue) = &definition.dead_letter_queue {
        let made = console.catalog().queues.get(queue).is_some();
        return Some((queue.clone(), made.then(|| Page::Queue(queue.clone()).href())));
    }
    let target = definition.dead_letter.as_ref()?;
    let made = console.catalog().buckets.get(&target.bucket).is_some();
    Some((format!("{}/{}", target.bucket, target.prefix), made.then(|| Page::bucket(&target.bucket).href())))
}

/// A filter as lines, all of which have to hold; none wants everything.
fn filter(filter: &EventFilter) -> Vec<String> {
    let mut lines = Vec::new();
    if !filter.event_types.is_empty() {
        lines.push(format!("type is one of {}", filter.event_types.join(", ")));
    }
    for (word, text) in [("begins", &filter.subject_begins_with), ("ends", &filter.subject_ends_with)] {
        if !text.is_empty() {
            let case = if filter.subject_case_sensitive { ", in this case of letters" } else { "" };
            lines.push(format!("subject {word} with {text}{case}"));
        }
    }
    lines.extend(filter.conditions.iter().map(condition));
    if let Some(pattern) = &filter.pattern {
        let of = match pattern.scope {
            PatternScope::Attributes => "the attributes match",
            PatternScope::Body => "the body matches",
        };
        lines.push(format!("{of} {}", format::cut(&pattern.text, PATTERN_CHARS)));
    }
    lines
}

/// A condition in the words that it is kept in: `data.power number less than 5`.
fn condition(condition: &FieldCondition) -> String {
    let test = match serde_json::to_value(&condition.test) {
        Ok(serde_json::Value::Object(test)) => {
            test.into_iter().map(|(word, value)| format!("{} {value}", word.replace('_', " "))).collect()
        }
        Ok(serde_json::Value::String(word)) => word.replace('_', " "),
        _ => String::new(),
    };
    format!("{} {test}", condition.key)
}

/// Where a subscription's events go, for people.
pub(super) struct Endpoint {
    /// `webhook`, `stream`, …
    pub(super) kind: &'static str,
    /// Its name, or its address without its query, which may hold secrets.
    pub(super) name: String,
}

impl Endpoint {
    pub(super) fn of(definition: &EventSubscriptionDefinition) -> Self {
        let (kind, name) = match &definition.endpoint {
            EventEndpoint::Webhook { url } => ("webhook", without_query(url)),
            EventEndpoint::Stream { name } => ("stream", name.clone()),
            EventEndpoint::Function { name } => ("function", name.clone()),
            EventEndpoint::Queue { name } => ("queue", name.clone()),
        };
        Self { kind, name }
    }

    /// The page of a resource of this node, while it is there.
    fn page(&self, console: &Console) -> Option<Page> {
        match self.kind {
            "stream" if console.catalog().streams.get(&self.name).is_some() => Some(Page::stream(&self.name)),
            "queue" if console.catalog().queues.get(&self.name).is_some() => Some(Page::Queue(self.name.clone())),
            "function" if console.catalog().functions.referred(&self.name, |_| ()).is_some() => {
                Some(Page::function(&self.name))
            }
            _ => None,
        }
    }
}

fn without_query(url: &str) -> String {
    match url.split_once('?') {
        Some((address, _)) => format!("{address}?…"),
        None => url.to_owned(),
    }
}

/// Whether a subscription's events flow, and how that feels.
pub(super) fn state(console: &Console, definition: &EventSubscriptionDefinition) -> (&'static str, &'static str) {
    match console.events().provisioning(definition) {
        Provisioning::Succeeded => ("active", ""),
        Provisioning::AwaitingValidation => ("awaits validation", WARN),
        Provisioning::Failed => ("not validated", BAD),
    }
}

#[derive(Template)]
#[template(path = "partials/failure.html")]
struct Failure {
    error: Option<String>,
}

pub(super) fn fragments(console: &Console, topic: &str, name: &str) -> Result<Fragments, ConsoleError> {
    let definition = console.subscription(topic, name)?;
    let status = console.events().status(topic, name).unwrap_or_default();
    let (state, tone) = state(console, &definition);
    let count = |label, count| Figure::new(label, format::count(count), "");
    let figures = vec![
        Figure { tone, ..Figure::new("state", state.to_owned(), "") },
        count("delivered", status.delivered),
        count("waiting for a retry", status.waiting),
        count("not looked at", status.behind),
        count("filtered out", status.filtered),
        Figure::trouble("failed attempts", status.failed_attempts, ""),
        Figure::trouble("dead letters", status.dead_lettered, ""),
        Figure::trouble("dropped", status.dropped, ""),
    ];
    let mut fragments = Fragments::default();
    fragments.add("figures", &Figures { figures })?;
    let error = status.last_error.map(|error| format::cut(&error, ERROR_CHARS));
    fragments.add("failure", &Failure { error })?;
    fragments.add("deliveries", &deliveries(console, topic, name))?;
    Ok(fragments)
}

fn deliveries(console: &Console, topic: &str, name: &str) -> Grid {
    let columns = ["ended (UTC)", "event", "#attempt", "outcome", "#status", "#took", "detail"];
    let mut grid = Grid::new(&columns, "Nothing was delivered since the node started.");
    let newest = console.events().deliveries(topic, name).unwrap_or_default();
    grid.rows = newest.into_iter().rev().take(DELIVERIES_MAX).map(delivery).collect();
    grid
}

fn delivery(delivery: Delivery) -> Vec<Cell> {
    let tone = if delivery.outcome == Outcome::Delivered { "" } else { BAD };
    vec![
        format::clock(delivery.time).into(),
        format::cut(&delivery.event_id, ID_CHARS).into(),
        delivery.attempt.to_string().into(),
        Cell { tone, ..delivery.outcome.name().into() },
        delivery.status.map_or_else(String::new, |status| status.to_string()).into(),
        format::duration(i64::try_from(delivery.duration_ms).unwrap_or(i64::MAX)).into(),
        delivery.detail.into(),
    ]
}

#[cfg(test)]
mod tests {
    use millstream_catalog::FieldTest;

    use super::*;

    #[test]
    fn filters_are_told_in_words() {
        let wanted = EventFilter {
            event_types: vec!["Power.On".into(), "Power.Off".into()],
            subject_begins_with: "home/".into(),
            conditions: vec![
                FieldCondition { key: "data.power".into(), test: FieldTest::NumberGreaterThan(5.0) },
                FieldCondition { key: "data.room".into(), test: FieldTest::IsNotNull },
            ],
            ..EventFilter::default()
        };
        let lines = [
            "type is one of Power.On, Power.Off",
            "subject begins with home/",
            "data.power number greater than 5.0",
            "data.room is not null",
        ];
        assert_eq!(filter(&wanted), lines);
        assert_eq!(filter(&EventFilter::default()), Vec::<String>::new());
    }

    #[test]
    fn the_query_of_an_address_is_hidden() {
        assert_eq!(without_query("https://a.example/hook?code=secret"), "https://a.example/hook?…");
        assert_eq!(without_query("https://a.example/hook"), "https://a.example/hook");
    }
}
