//! `millstream demo`

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use millstream_catalog::pipeline::Known;
use millstream_namespace::{DEFAULT_NAMESPACE, Scope};
use millstream_types::{Clock as _, SystemClock};

use crate::apply::{self, Request};
use crate::cli::{DemoArgs, ServeArgs};
use crate::demo::example::{self, Example};
use crate::demo::orders;
use crate::demo::producer::{Destination, Feed, Sent, produce};
use crate::demo::summary::Summary;
use crate::demo::{End, on_node, tweets};
use crate::node::Node;
use crate::settings::Settings;

/// How long the demo's token for its hub counts: longer than anybody looks at a demo.
const TOKEN_SECONDS: i64 = 365 * 24 * 60 * 60;

/// Where the demo's developer portal listens unless it is said.
const PORTAL_PORT: u16 = 8081;

/// Runs a node with the stock-trades pipeline and a producer until SIGTERM or Ctrl-C, then drains it.
///
/// # Errors
/// What keeps a node from starting, or the pipeline from being applied.
pub async fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let mut serve = args.serve.clone();
    serve.dev = true;
    if args.paid_api {
        return paid_api(&mut serve, args.seconds).await;
    }
    if args.event_grid {
        return orders::run(&serve, args).await;
    }
    if args.tweets {
        return tweets::run(&serve, args).await;
    }
    let mut example = if args.azure { example::AZURE } else { example::AWS };
    if let Some(file) = &args.replay {
        std::fs::File::open(file).with_context(|| format!("cannot read the trades in {}", file.display()))?;
        example = example.by_own_time();
    }
    let play = async |node: &Node, end| stock_trades(node, example, args, end).await;
    on_node(Settings::from_args(&serve)?, args.seconds, play).await
}

async fn stock_trades(node: &Node, example: Example, args: &DemoArgs, end: End) -> anyhow::Result<()> {
    let file = example.write(&node.data().join(example.folder)).context("writing the example")?;
    let request = Request::read(&file, &Known::default())?;
    let applied = apply::apply(node.engines(), &request).await?;
    let api = applied.iter().find_map(|applied| applied.url.clone());
    let to = destination(node, &example, api)?;
    let sent = Arc::new(Sent::default());
    let feed = match &args.replay {
        Some(file) => Feed::Replay { file: file.clone(), speed: args.speed },
        None => Feed::Random { rate: args.rate, seed: args.seed },
    };
    let posted = to.url.to_string();
    let producer = tokio::spawn(produce(to, feed, Arc::new(SystemClock), Arc::clone(&sent)));
    let summary = Summary { api: posted, query: example.query, sent };
    tokio::select! {
        () = summary.show(node) => {}
        () = end.reached() => {}
    }
    producer.abort();
    Ok(())
}

/// Runs a node with the example of an API that earns money until SIGTERM or Ctrl-C.
async fn paid_api(serve: &mut ServeArgs, seconds: Option<u64>) -> anyhow::Result<()> {
    let listen = *serve.portal_listen.get_or_insert(SocketAddr::from((Ipv4Addr::LOCALHOST, PORTAL_PORT)));
    let require_tls = serve.require_tls;
    on_node(Settings::from_args(serve)?, seconds, async |node: &Node, end: End| {
        let example = example::PAID_API;
        let file = example.write(&node.data().join(example.folder)).context("writing the example")?;
        for applied in apply::apply(node.engines(), &Request::read(&file, &Known::default())?).await? {
            println!("{applied}");
        }
        let (owner, password) = millstream_portal::DEVELOPMENT_OWNER;
        let scheme = if require_tls { "https" } else { "http" };
        println!("the developer portal is at {scheme}://{listen}/ and its owner logs in as {owner} with {password}");
        end.reached().await;
        Ok(())
    })
    .await
}

/// Where the example takes trades: its API, or its hub with a token made from the namespace's key.
fn destination(node: &Node, example: &Example, api: Option<String>) -> anyhow::Result<Destination> {
    let engines = node.engines();
    let Some(hub) = example.hub else {
        let told = api.context("the example defines an API")?;
        let url = told.replacen(&engines.endpoint, &engines.own_endpoint, 1).parse().context("the API's address")?;
        return Ok(Destination { url, credentials: Vec::new() });
    };
    let scope = Scope { namespace: DEFAULT_NAMESPACE.to_owned(), hub: None };
    let policies = engines.namespaces.policies(&scope)?;
    let policy = policies.iter().find(|policy| policy.rights.send).context("the namespace has a policy with Send")?;
    let until = SystemClock.now() / 1_000 + TOKEN_SECONDS;
    example::hub_destination(&engines.own_endpoint, hub, &policy.name, &policy.primary_key, until)
}
