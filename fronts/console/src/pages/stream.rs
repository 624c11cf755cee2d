//! `/streams/{name}`: the newest records, rates, and how far each shard reaches.

use askama::Template;
use millstream_catalog::{HashKeyRange, ShardDefinition, StreamDefinition, StreamOwner};
use millstream_stream::ShardId;

use super::Frame;
use crate::Console;
use crate::chart;
use crate::error::ConsoleError;
use crate::format;
use crate::live::Fragments;
use crate::page::Page;
use crate::partials::{Chart, Charts, Figure, Figures, Records};
use crate::tail;

/// Records that the page shows.
pub(super) const RECORDS_MAX: usize = 30;
/// Shards that the page shows.
const SHARDS_MAX: usize = 32;
/// Seconds over which a shard's rate is taken.
const RATE_SECONDS: i64 = 10;

#[derive(Template)]
#[template(path = "pages/stream.html")]
struct StreamPage<'a> {
    frame: Frame,
    live: Fragments,
    name: &'a str,
    /// The address of a sample.
    sample: String,
    kind: &'static str,
    shards: usize,
    retention: String,
    created: String,
    /// Kind, name and address of the resource that it belongs to.
    owner: Option<(&'static str, String, String)>,
    /// Names and addresses of the queries and delivery streams that read it.
    readers: Vec<(String, String)>,
}

pub(super) fn page(console: &Console, name: &str, frame: Frame, live: Fragments) -> Result<String, ConsoleError> {
    let stream = console.streams().get(name)?;
    let (kind, owner) = match stream.owner {
        StreamOwner::User => ("stream", hub(console, name)),
        StreamOwner::Topic => {
            let owner = name.strip_prefix("topic/").unwrap_or(name).to_owned();
            let href = Page::Topic(owner.clone()).href();
            ("events of a topic", Some(("the topic", owner, href)))
        }
        StreamOwner::Hub => ("records of an event hub", hub(console, name)),
        StreamOwner::Table => {
            let owner = name.strip_prefix("changes/").unwrap_or(name).to_owned();
            let href = Page::table(&owner).href();
            ("changes of a table", Some(("the table", owner, href)))
        }
        StreamOwner::Gateway => ("access log of metered requests", None),
        StreamOwner::DeliveryStream => {
            let owner = name.strip_prefix("delivery/").unwrap_or(name).to_owned();
            let href = Page::Delivery(owner.clone()).href();
            ("stream of a delivery stream", Some(("the delivery stream", owner, href)))
        }
        StreamOwner::Query => {
            let owner =
                name.strip_prefix("query/").and_then(|rest| rest.split_once('/')).map_or(name, |(query, _)| query);
            ("results of a query", Some(("the query", owner.to_owned(), Page::Query(owner.to_owned()).href())))
        }
    };
    let page = StreamPage {
        frame,
        live,
        name,
        sample: Page::sample_of(name),
        kind,
        shards: stream.open_shards().count(),
        retention: format!("{} h", stream.retention_hours),
        created: format::date_time(stream.created),
        owner,
        readers: readers(console, name),
    };
    Ok(page.render()?)
}

/// The hub that a stream belongs to: a word, its name, its page.
fn hub(console: &Console, stream: &str) -> Option<(&'static str, String, String)> {
    let hub = console.catalog().hubs.list().into_iter().find(|hub| hub.stream == stream)?;
    Some(("the event hub", hub.name.clone(), Page::Hub(hub.namespace.clone(), hub.name.clone()).href()))
}

fn readers(console: &Console, name: &str) -> Vec<(String, String)> {
    let queries = console.catalog().queries.list();
    let queries = queries.iter().filter(|query| query.inputs.iter().any(|input| input.stream == name));
    let deliveries = console.catalog().delivery_streams.list();
    let deliveries = deliveries.iter().filter(|delivery| delivery.source_stream() == name);
    queries
        .map(|query| (query.name.clone(), Page::Query(query.name.clone()).href()))
        .chain(deliveries.map(|delivery| (delivery.name.clone(), Page::Delivery(delivery.name.clone()).href())))
        .collect()
}

pub(super) async fn fragments(console: &Console, name: &str) -> Result<Fragments, ConsoleError> {
    let stream = console.streams().get(name)?;
    let measures = console.stream_measures(&stream);
    let bounds = stream.shards.iter().map(|shard| console.streams().bounds(shard.log()));
    let (kept, last) = bounds
        .fold((0, 0), |(kept, last), at| (kept + at.next.saturating_sub(at.first), at.last_append_time.max(last)));
    let mut fragments = Fragments::default();
    let figures = vec![
        Figure::rate("records in", measures.rate("records_in")),
        Figure::new("bytes in", format::size(measures.rate("bytes_in") as u64), "/s"),
        Figure::new("records kept", format::count(kept), ""),
        Figure::new("last append", format::recent(last, console.clock().now()), "UTC"),
    ];
    fragments.add("figures", &Figures { figures })?;
    let charts = vec![
        Chart::of("records per second", &measures.series("records_in"), chart::per_second),
        Chart::of("bytes per second", &measures.series("bytes_in"), |bytes| {
            format!("{}/s", format::size(bytes as u64))
        }),
    ];
    fragments.add("charts", &Charts { charts })?;
    let newest = tail::newest(console.streams(), &stream, RECORDS_MAX).await?;
    fragments.add("records", &Records::from(newest))?;
    fragments.add("shards", &shards(console, &stream).await?)?;
    Ok(fragments)
}

#[derive(Template)]
#[template(path = "partials/shards.html")]
struct Shards {
    shards: Vec<ShardRow>,
    left_out: usize,
}

struct ShardRow {
    id: String,
    first: String,
    next: String,
    rate: String,
    kept: String,
    last: String,
    range: String,
    /// Where its hash keys begin, and how many they are, as hundredths of all.
    range_start: String,
    range_width: String,
}

async fn shards(console: &Console, stream: &StreamDefinition) -> Result<Shards, ConsoleError> {
    let mut rows = Vec::new();
    for shard in stream.shards.iter().take(SHARDS_MAX) {
        rows.push(shard_row(console, shard).await?);
    }
    Ok(Shards { shards: rows, left_out: stream.shards.len().saturating_sub(SHARDS_MAX) })
}

async fn shard_row(console: &Console, shard: &ShardDefinition) -> Result<ShardRow, ConsoleError> {
    let now = console.clock().now();
    let bounds = console.streams().bounds(shard.log());
    let rate = records_per_second(console, shard).await?;
    let HashKeyRange { start, end } = shard.hash_keys;
    let closed = if shard.is_open() { "" } else { ", closed: other shards have them now" };
    let part = |value: u128| value as f64 / u128::MAX as f64 * 100.0;
    Ok(ShardRow {
        id: ShardId(shard.index).to_string(),
        first: format::count(bounds.first),
        next: format::count(bounds.next),
        rate: chart::per_second(rate),
        kept: format::count(bounds.next.saturating_sub(bounds.first)),
        last: format::recent(bounds.last_append_time, now),
        range: format!("hash keys {:.1} % to {:.1} % of all{closed}", part(start), part(end)),
        range_start: format!("{:.2}", part(start)),
        range_width: format!("{:.2}", part(end.saturating_sub(start)).max(0.5)),
    })
}

/// Records that a shard took in a second, over the last [`RATE_SECONDS`].
pub(super) async fn records_per_second(console: &Console, shard: &ShardDefinition) -> Result<f64, ConsoleError> {
    let since = console.clock().now() - RATE_SECONDS * 1_000;
    let before = console.streams().offset_at_time(shard.log(), since).await?;
    let next = console.streams().bounds(shard.log()).next;
    Ok(next.saturating_sub(before) as f64 / RATE_SECONDS as f64)
}
