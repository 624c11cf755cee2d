//! The tweets example as a demo: one command starts a node, the pipeline with its flaw or without, in one of three languages,
//! a producer of tweets, and a summary of what arrives where.

pub mod functions;
mod producer;
mod summary;
mod tweet;
mod variant;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use millstream_catalog::pipeline::Known;

use super::End;
use super::producer::{Feed, Sent};
use crate::apply::{self, Request};
use crate::cli::{DemoArgs, ServeArgs, TweetLanguage};
use crate::node::Node;
use crate::settings::Settings;
use summary::Summary;

/// Waits before the retries of an asynchronous invocation, seconds: nobody looks at a demo for the service's three minutes.
/// A settings file may say otherwise.
const RETRY_SECONDS: [u64; 2] = [3, 6];

/// Runs until SIGTERM or Ctrl-C, then drains the node.
///
/// # Errors
/// What keeps a node from starting, or the pipeline from being applied; a language that this machine does not have.
pub async fn run(serve: &ServeArgs, args: &DemoArgs) -> anyhow::Result<()> {
    let mut settings = Settings::from_args(serve)?;
    settings.invoke_retry_seconds.get_or_insert(RETRY_SECONDS);
    if args.language != TweetLanguage::Native {
        needs_sdk(&settings)?;
    }
    let region = settings.region.clone();
    super::on_node(settings, args.seconds, async |node: &Node, end| play(node, region, args, end).await).await
}

async fn play(node: &Node, region: String, args: &DemoArgs, end: End) -> anyhow::Result<()> {
    let request = write(node, args).await?;
    for applied in apply::apply(node.engines(), &request).await? {
        println!("{applied}");
    }
    let feed = match &args.replay {
        Some(file) => Feed::Replay { file: file.clone(), speed: args.speed },
        None => Feed::Random { rate: args.rate, seed: args.seed },
    };
    let sent = Arc::new(Sent::default());
    let endpoint = node.engines().own_endpoint.clone();
    let producer = tokio::spawn(producer::produce(endpoint, region, feed, Arc::clone(&sent)));
    let summary = Summary { sent, fixed: args.fixed };
    tokio::select! {
        () = summary.show(node) => {}
        () = end.reached() => {}
    }
    producer.abort();
    Ok(())
}

/// Writes the example into the data folder, with the functions that are asked for; compiles what must be.
async fn write(node: &Node, args: &DemoArgs) -> anyhow::Result<Request> {
    let folder = node.data().join("demo-tweets");
    let file = variant::write(&folder, args.language, args.fixed).context("writing the example")?;
    if args.language == TweetLanguage::Csharp {
        let source = folder.join(variant::CSHARP_SOURCE);
        let package = folder.join(variant::CSHARP_PACKAGE);
        tokio::fs::create_dir_all(&package).await?;
        node.engines().functions.compile_csharp(&[source], &package.join("Tweets.dll")).await?;
    }
    Request::read(&file, &Known::default())
}

/// Functions in Node.js use version 2 of the JavaScript SDK, as it was usual; Node.js does not bring it.
fn needs_sdk(settings: &Settings) -> anyhow::Result<()> {
    let has_sdk = |folder: &PathBuf| folder.join("aws-sdk").is_dir();
    if !settings.node_path.iter().any(has_sdk) {
        bail!(
            "SaveTweets needs the package aws-sdk (version 2)\n  try: npm install --prefix DIR aws-sdk@2, then \
             MILLSTREAM_NODE_PATH=DIR/node_modules; or --language native, which needs nothing"
        );
    }
    Ok(())
}
