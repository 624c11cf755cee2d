//! `millstream demo`

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use millstream_types::SystemClock;

use crate::apply::{self, Request};
use crate::cli::DemoArgs;
use crate::demo::example;
use crate::demo::producer::{Feed, Sent, produce};
use crate::demo::summary::Summary;
use crate::node::Node;
use crate::settings::Settings;

/// Runs a node with the stock-trades pipeline and a producer until SIGTERM or Ctrl-C, then drains it.
///
/// # Errors
/// What keeps a node from starting, or the pipeline from being applied.
pub async fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let mut serve = args.serve.clone();
    serve.dev = true;
    let node = Node::start(Settings::from_args(&serve)?).await?;
    node.announce();
    let file = example::write(&node.data().join("demo")).context("writing the example")?;
    let mut request = Request::read(&file)?;
    if args.replay.is_some() {
        // Trades of another day are late by any tolerance: only their own times count then.
        request.text = request.text.replace("late_tolerance_seconds = 5", "late_tolerance_seconds = -1");
    }
    let mut api = None;
    for applied in apply::apply(node.engines(), &request).await? {
        if let Some(url) = &applied.url {
            api = Some(url.clone());
        }
    }
    let api = api.context("the example defines an API")?;
    let sent = Arc::new(Sent::default());
    let feed = match &args.replay {
        Some(file) => Feed::Replay { file: file.clone(), speed: args.speed },
        None => Feed::Random { rate: args.rate, seed: args.seed },
    };
    let uri = api.parse().context("the API's address")?;
    let producer = tokio::spawn(produce(uri, feed, Arc::new(SystemClock), Arc::clone(&sent)));
    let summary = Summary { api, query: ("share-change-per-minute", "OUTPUT_STREAM"), sent };
    tokio::select! {
        () = summary.show(&node) => {}
        () = crate::signals::stop_requested() => {}
        () = after(args.seconds) => {}
    }
    producer.abort();
    node.stop().await;
    Ok(())
}

/// Resolves after so many seconds; never without.
async fn after(seconds: Option<u64>) {
    match seconds {
        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        None => std::future::pending().await,
    }
}
