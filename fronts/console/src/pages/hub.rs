//! `/hubs/{namespace}/{name}`: partitions, consumer groups and policies of an event hub; its connection strings apart,
//! because they hold keys.

use askama::Template;
use millstream_catalog::{AccessPolicyDefinition, AccessRights, HubDefinition, NamespaceDefinition, ShardDefinition};

use super::Frame;
use super::stream::records_per_second;
use crate::Console;
use crate::chart;
use crate::console::not_found;
use crate::error::ConsoleError;
use crate::format;
use crate::live::Fragments;
use crate::measure::Measures;
use crate::page::Page;
use crate::partials::{Cell, Chart, Charts, Figure, Figures, Grid};

#[derive(Template)]
#[template(path = "pages/hub.html")]
struct HubPage<'a> {
    frame: Frame,
    live: Fragments,
    namespace: &'a str,
    name: &'a str,
    partitions: usize,
    retention: String,
    units: String,
    created: String,
    stream: &'a str,
    stream_href: String,
    groups: Grid,
    policies: Grid,
    keys_href: String,
}

pub(super) fn page(
    console: &Console,
    namespace: &str,
    name: &str,
    frame: Frame,
    live: Fragments,
) -> Result<String, ConsoleError> {
    let hub = console.hub(namespace, name)?;
    let stream = console.namespaces().stream(&hub)?;
    let page = HubPage {
        frame,
        live,
        namespace,
        name,
        partitions: stream.shards.len(),
        retention: format!("{} h", stream.retention_hours),
        units: units(&*console.namespaces().namespace(namespace)?),
        created: format::date_time(hub.created),
        stream: &hub.stream,
        stream_href: Page::stream(&hub.stream).href(),
        groups: groups(&hub),
        policies: policies(console, &hub)?,
        keys_href: Page::HubKeys(namespace.to_owned(), name.to_owned()).href(),
    };
    Ok(page.render()?)
}

/// How much the namespace takes and gives in a second.
fn units(namespace: &NamespaceDefinition) -> String {
    match (namespace.throughput_units, namespace.throughput_units_max) {
        (0, _) => "no limit".to_owned(),
        (units, 0) => units.to_string(),
        (units, most) => format!("{units}, up to {most} by itself"),
    }
}

fn groups(hub: &HubDefinition) -> Grid {
    let mut grid = Grid::new(&["name", "made (UTC)"], "No consumer groups.");
    let row = |group: &millstream_catalog::ConsumerGroupDefinition| {
        vec![group.name.as_str().into(), format::date_time(group.created).into()]
    };
    grid.rows = hub.consumer_groups.iter().map(row).collect();
    grid
}

/// Policies by name, never their keys.
fn policies(console: &Console, hub: &HubDefinition) -> Result<Grid, ConsoleError> {
    let mut grid = Grid::new(&["name", "holds for", "rights"], "No policies.");
    let row = |policy: &AccessPolicyDefinition, scope: &str| -> Vec<Cell> {
        vec![policy.name.as_str().into(), scope.into(), rights(policy.rights).into()]
    };
    grid.rows.extend(hub.policies.iter().map(|policy| row(policy, "this hub")));
    let namespace = console.namespaces().namespace(&hub.namespace)?;
    grid.rows.extend(namespace.policies.iter().map(|policy| row(policy, "the namespace")));
    Ok(grid)
}

fn rights(rights: AccessRights) -> String {
    let words = [(rights.send, "send"), (rights.listen, "listen"), (rights.manage, "manage")];
    words.into_iter().filter(|(has, _)| *has).map(|(_, word)| word).collect::<Vec<_>>().join(", ")
}

pub(super) async fn fragments(console: &Console, namespace: &str, name: &str) -> Result<Fragments, ConsoleError> {
    let hub = console.hub(namespace, name)?;
    let measures = Measures::of(&console.insight().metrics, format!("stream/{}", hub.stream));
    let mut fragments = Fragments::default();
    let figures = vec![
        Figure::rate("records in", measures.rate("records_in")),
        Figure::rate("records out", measures.rate("records_out")),
        Figure::new("bytes in", format::size(measures.rate("bytes_in") as u64), "/s"),
    ];
    fragments.add("figures", &Figures { figures })?;
    let charts = vec![
        Chart::of("records in per second", &measures.series("records_in"), chart::per_second),
        Chart::of("records out per second", &measures.series("records_out"), chart::per_second),
    ];
    fragments.add("charts", &Charts { charts })?;
    fragments.add("partitions", &partitions(console, &hub).await?)?;
    Ok(fragments)
}

async fn partitions(console: &Console, hub: &HubDefinition) -> Result<Grid, ConsoleError> {
    let columns = ["#partition", "#in the last 10 s", "#first number", "#last number", "#kept", "last (UTC)"];
    let mut grid = Grid::new(&columns, "No partitions.");
    for shard in &console.namespaces().stream(hub)?.shards {
        grid.rows.push(partition(console, shard).await?);
    }
    Ok(grid)
}

async fn partition(console: &Console, shard: &ShardDefinition) -> Result<Vec<Cell>, ConsoleError> {
    let bounds = console.streams().bounds(shard.log());
    let kept = bounds.next.saturating_sub(bounds.first);
    let number = |number: u64| if kept == 0 { "–".to_owned() } else { format::count(number) };
    Ok(vec![
        shard.index.to_string().into(),
        chart::per_second(records_per_second(console, shard).await?).into(),
        number(bounds.first).into(),
        number(bounds.next.saturating_sub(1)).into(),
        format::count(kept).into(),
        format::recent(bounds.last_append_time, console.clock().now()).into(),
    ])
}

#[derive(Template)]
#[template(path = "pages/hub_keys.html")]
struct HubKeysPage<'a> {
    frame: Frame,
    name: &'a str,
    href: String,
    strings: String,
}

/// The connection strings of a hub's policies.
pub(super) fn keys(console: &Console, namespace: &str, name: &str, frame: Frame) -> Result<String, ConsoleError> {
    console.hub(namespace, name)?;
    let strings = (console.addresses().connection_strings)(namespace, name).ok_or_else(|| not_found("hub", name))?;
    let href = Page::Hub(namespace.to_owned(), name.to_owned()).href();
    Ok(HubKeysPage { frame, name, href, strings }.render()?)
}
