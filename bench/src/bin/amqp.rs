//! Sends events through AMQP as fast as some connections can, and then receives what was sent; prints what came of it.
//!
//! `amqp --endpoint http://127.0.0.1:4566 --amqp 127.0.0.1:5672 --hub bench --connections 4 --batch 200 [--receive]`
//! Each connection sends one message, or `--at-once` so many, and waits until the server has accepted them: that is the
//! latency. With `--receive` it is that of 1000 events at a link's credit of 1000. A batch of 1 is a message of its own.
//! With `--endpoint` the hub is made first and its partitions are written and read; without, the queues `HUB-0` to `HUB-3` of a
//! broker that makes them, so that it can be measured in the same way.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use clap::Parser;
use hdrhistogram::Histogram;
use http::{Method, Uri};
use millstream_bench::amqp::{AmqpClient, Message};
use millstream_bench::figures::{Usage, histogram, micros, print};
use millstream_bench::http1::manage;
use serde_json::json;

const NAMESPACE: &str = "/subscriptions/bench/resourceGroups/bench/providers/Microsoft.EventHub/namespaces/default";
/// The policy and key that a namespace has under `--dev`.
const POLICY: (&str, &str) = ("RootManageSharedAccessKey", "SAS_KEY_VALUE");
const PARTITIONS: u32 = 4;
/// Deliveries that a receiving link asks for ahead.
const CREDIT: u32 = 1_000;

#[derive(Debug, Clone, Parser)]
struct Args {
    #[arg(long)]
    endpoint: Option<Uri>,
    #[arg(long, default_value = "127.0.0.1:5672")]
    amqp: String,
    #[arg(long, default_value = "bench")]
    hub: String,
    /// Who is measured
    #[arg(long, default_value = "millstream")]
    name: String,
    #[arg(long, default_value_t = 4)]
    connections: u32,
    #[arg(long, default_value_t = 200)]
    batch: usize,
    /// Messages that a connection sends before it waits
    #[arg(long, default_value_t = 1)]
    at_once: u32,
    #[arg(long, default_value_t = 200)]
    bytes: usize,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Receive instead of sending: each connection reads one partition or queue from its beginning
    #[arg(long)]
    receive: bool,
    /// The serving process, to say what it used
    #[arg(long)]
    pid: Option<u32>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(endpoint) = &args.endpoint {
        let hub = json!({ "properties": { "partitionCount": PARTITIONS } });
        manage(endpoint, Method::PUT, &format!("{NAMESPACE}/eventhubs/{}", args.hub), Some(hub)).await?;
    }
    let before = args.pid.map(Usage::of);
    let start = Instant::now();
    let runs: Vec<_> = (0..args.connections).map(|number| tokio::spawn(run(args.clone(), number))).collect();
    let (mut events, mut latencies, mut took) = (0, histogram(), Duration::ZERO);
    for run in runs {
        let (done, taken, until) = run.await??;
        events += done;
        latencies.add(taken)?;
        took = took.max(until - start);
    }
    let used = args.pid.zip(before).map(|(pid, before)| (before, Usage::of(pid)));
    let Args { name, connections, batch, at_once, bytes, .. } = &args;
    let name = match (args.receive, at_once) {
        (true, _) => format!("{name}, receive: {connections} x credit {CREDIT}, {bytes} B"),
        (false, 1) => format!("{name}, send: {connections} x {batch} x {bytes} B"),
        (false, _) => format!("{name}, send: {connections} x {at_once} at once x {bytes} B"),
    };
    print(&name, events, events * args.bytes as u64, took, &latencies, used);
    Ok(())
}

/// Events, latencies, and when the last of them was done.
type Run = (u64, Histogram<u64>, Instant);

async fn run(args: Args, number: u32) -> anyhow::Result<Run> {
    let client = AmqpClient::connect(&args.amqp, POLICY.0, POLICY.1).await?;
    let partition = number % PARTITIONS;
    if args.receive { receive(client, &args, partition).await } else { send(client, &args, partition).await }
}

async fn send(mut client: AmqpClient, args: &Args, partition: u32) -> anyhow::Result<Run> {
    let address = match args.endpoint {
        Some(_) => format!("{}/Partitions/{partition}", args.hub),
        None => format!("{}-{partition}", args.hub),
    };
    let link = client.sender(&address).await?;
    let body = Bytes::from(vec![b'x'; args.bytes]);
    let message = if args.batch == 1 { Message::event(&body) } else { Message::batch(&body, args.batch) };
    let (mut messages, mut latencies) = (0, histogram());
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(args.seconds) {
        let sent = Instant::now();
        client.send(link, &message, args.at_once).await?;
        latencies.record(micros(sent.elapsed()))?;
        messages += u64::from(args.at_once);
    }
    Ok((messages * args.batch as u64, latencies, Instant::now()))
}

/// Until nothing has come for a second, at most for the run's time.
async fn receive(mut client: AmqpClient, args: &Args, partition: u32) -> anyhow::Result<Run> {
    let address = match args.endpoint {
        Some(_) => format!("{}/ConsumerGroups/$Default/Partitions/{partition}", args.hub),
        None => format!("{}-{partition}", args.hub),
    };
    let link = client.receiver(&address).await?;
    client.credit(link, 0, CREDIT).await?;
    let (mut events, mut latencies) = (0_u32, histogram());
    let start = Instant::now();
    let (mut since, mut last) = (start, start);
    while start.elapsed() < Duration::from_secs(args.seconds) {
        let Ok(delivery) = tokio::time::timeout(Duration::from_secs(1), client.delivery()).await else { break };
        delivery.context("receiving")?;
        events += 1;
        last = Instant::now();
        if events % (CREDIT / 2) == 0 {
            client.credit(link, events, CREDIT).await?;
        }
        if events % CREDIT == 0 {
            latencies.record(micros(since.elapsed()))?;
            since = last;
        }
    }
    Ok((events.into(), latencies, last))
}
