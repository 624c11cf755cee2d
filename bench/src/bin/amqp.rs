//! Sends events through AMQP as fast as some connections can, and then receives what was sent; prints what came of it.
//!
//! `amqp --endpoint http://127.0.0.1:4566 --amqp 127.0.0.1:5672 --hub bench --connections 4 --batch 200 [--receive]`
//! Each connection has one message on its way; a batch of 1 is a message of its own. The latency is that of a message, from
//! its sending until the server has accepted it; with `--receive` that of 1000 events at a link's credit of 1000.

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
    #[arg(long, default_value = "http://127.0.0.1:4566")]
    endpoint: Uri,
    #[arg(long, default_value = "127.0.0.1:5672")]
    amqp: String,
    #[arg(long, default_value = "bench")]
    hub: String,
    #[arg(long, default_value_t = 4)]
    connections: u32,
    #[arg(long, default_value_t = 200)]
    batch: usize,
    #[arg(long, default_value_t = 200)]
    bytes: usize,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Receive instead of sending: each connection reads one partition from its beginning
    #[arg(long)]
    receive: bool,
    /// The serving process, to say what it used
    #[arg(long)]
    pid: Option<u32>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let hub = json!({ "properties": { "partitionCount": PARTITIONS } });
    manage(&args.endpoint, Method::PUT, &format!("{NAMESPACE}/eventhubs/{}", args.hub), Some(hub)).await?;
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
    let name = if args.receive {
        format!("receive: {} x credit {CREDIT}, {} B", args.connections, args.bytes)
    } else {
        format!("send: {} x {} x {} B", args.connections, args.batch, args.bytes)
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
    let link = client.sender(&format!("{}/Partitions/{partition}", args.hub)).await?;
    let body = Bytes::from(vec![b'x'; args.bytes]);
    let message = if args.batch == 1 { Message::event(&body) } else { Message::batch(&body, args.batch) };
    let (mut messages, mut latencies) = (0, histogram());
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(args.seconds) {
        let sent = Instant::now();
        client.send(link, &message).await?;
        latencies.record(micros(sent.elapsed()))?;
        messages += 1;
    }
    Ok((messages * args.batch as u64, latencies, Instant::now()))
}

/// Until nothing has come for a second, at most for the run's time.
async fn receive(mut client: AmqpClient, args: &Args, partition: u32) -> anyhow::Result<Run> {
    let address = format!("{}/ConsumerGroups/$Default/Partitions/{partition}", args.hub);
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
