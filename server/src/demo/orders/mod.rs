//! Orders as events, as a demo: one command starts a node, a topic with its subscribers and the managed API in front of it, a
//! producer that publishes through that API, and a summary of who got what.

mod order;
mod summary;

use std::sync::Arc;

use anyhow::Context as _;
use http::HeaderName;
use millstream_catalog::pipeline::Known;
use millstream_types::SystemClock;

use super::producer::{Destination, Sender, Sent};
use super::{End, example};
use crate::apply::{self, Request};
use crate::cli::{DemoArgs, ServeArgs};
use crate::node::{Engines, Node};
use crate::settings::Settings;
use order::RandomOrders;
use summary::Summary;

/// What the example's pipeline file calls things.
const TOPIC: &str = "orders";
const SERVICE: &str = "shop";
const KEYS: &str = "developer";

/// Runs until SIGTERM or Ctrl-C, then drains the node.
///
/// # Errors
/// What keeps a node from starting, or the pipeline from being applied.
pub async fn run(serve: &ServeArgs, args: &DemoArgs) -> anyhow::Result<()> {
    super::on_node(Settings::from_args(serve)?, args.seconds, async |node: &Node, end| play(node, args, end).await)
        .await
}

async fn play(node: &Node, args: &DemoArgs, end: End) -> anyhow::Result<()> {
    let example = example::EVENT_GRID;
    let file = example.write(&node.data().join(example.folder)).context("writing the example")?;
    for applied in apply::apply(node.engines(), &Request::read(&file, &Known::default())?).await? {
        println!("{applied}");
    }
    let to = destination(node.engines())?;
    let sent = Arc::new(Sent::default());
    let summary = Summary { api: to.url.to_string(), sent: Arc::clone(&sent) };
    let producer = tokio::spawn(produce(Sender::new(to, sent), args.rate, args.seed));
    tokio::select! {
        () = summary.show(node) => {}
        () = end.reached() => {}
    }
    producer.abort();
    Ok(())
}

/// Where orders are published: the managed API, with a subscription's key for it and the topic's key for what stands behind it.
fn destination(engines: &Engines) -> anyhow::Result<Destination> {
    let service = engines.managed.service(SERVICE)?;
    let subscription = service.subscriptions.get(KEYS).context("the example defines a subscription")?;
    let topic = engines.events.topic(TOPIC)?;
    let [topic_key, _] = &topic.keys;
    Ok(Destination {
        url: format!("{}/apim/orders/", engines.own_endpoint).parse().context("the API's address")?,
        credentials: vec![
            (HeaderName::from_static("ocp-apim-subscription-key"), subscription.primary_key.clone()),
            (HeaderName::from_static("aeg-sas-key"), topic_key.clone()),
        ],
    })
}

async fn produce(sender: Sender, rate: u32, seed: u64) {
    let mut orders = RandomOrders::new(seed);
    // A request of the topic is an array of events.
    sender.at_rate(rate, &SystemClock, |now| [orders.next(now)]).await;
}
