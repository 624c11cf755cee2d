//! Produces to a topic as fast as some connections can, or consumes what was produced; prints what came of it.
//!
//! `kafka --kafka 127.0.0.1:9092 --topic bench --connections 4 --batch 200 [--consume]`
//! Each connection has one request on its way and a partition of its own. The latency is that of a request: until all of its
//! records are acknowledged, or with `--consume` until a fetch has brought what there is, 1 MiB at most. With `--endpoint`
//! the topic is made first; without, the server has to have it, so that another server can be measured in the same way.

use std::time::{Duration, Instant};

use clap::Parser;
use hdrhistogram::Histogram;
use http::{Method, Uri};
use millstream_bench::figures::{Usage, histogram, micros, print};
use millstream_bench::http1::manage;
use millstream_bench::kafka::{KafkaClient, produce};
use serde_json::json;

const NAMESPACE: &str = "/subscriptions/bench/resourceGroups/bench/providers/Microsoft.EventHub/namespaces/default";

#[derive(Debug, Clone, Parser)]
struct Args {
    #[arg(long)]
    endpoint: Option<Uri>,
    #[arg(long, default_value = "127.0.0.1:9092")]
    kafka: String,
    #[arg(long, default_value = "bench")]
    topic: String,
    /// Who is measured
    #[arg(long, default_value = "millstream")]
    name: String,
    #[arg(long, default_value_t = 4)]
    connections: u32,
    #[arg(long, default_value_t = 200)]
    batch: usize,
    #[arg(long, default_value_t = 200)]
    bytes: usize,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Consume instead of producing: each connection reads its partition from the beginning to the end
    #[arg(long)]
    consume: bool,
    /// The serving process, to say what it used
    #[arg(long)]
    pid: Option<u32>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(endpoint) = &args.endpoint {
        let hub = json!({ "properties": { "partitionCount": args.connections } });
        manage(endpoint, Method::PUT, &format!("{NAMESPACE}/eventhubs/{}", args.topic), Some(hub)).await?;
    }
    let before = args.pid.map(Usage::of);
    let start = Instant::now();
    let runs: Vec<_> = (0..args.connections).map(|number| tokio::spawn(run(args.clone(), number))).collect();
    let (mut records, mut latencies, mut took) = (0, histogram(), Duration::ZERO);
    for run in runs {
        let (done, taken, until) = run.await??;
        records += done;
        latencies.add(taken)?;
        took = took.max(until - start);
    }
    let used = args.pid.zip(before).map(|(pid, before)| (before, Usage::of(pid)));
    let name = match args.consume {
        true => format!("{}, consume: {} x 1 MiB, {} B", args.name, args.connections, args.bytes),
        false => format!("{}, produce: {} x {} x {} B", args.name, args.connections, args.batch, args.bytes),
    };
    print(&name, records, records * args.bytes as u64, took, &latencies, used);
    Ok(())
}

/// Records, latencies, and when the last of them was done.
type Run = (u64, Histogram<u64>, Instant);

async fn run(args: Args, number: u32) -> anyhow::Result<Run> {
    let client = KafkaClient::connect(&args.kafka).await?;
    let partition = i32::try_from(number)?;
    if args.consume { consume(client, &args, partition).await } else { send(client, &args, partition).await }
}

async fn send(mut client: KafkaClient, args: &Args, partition: i32) -> anyhow::Result<Run> {
    let request = produce(&args.topic, partition, &vec![b'x'; args.bytes], args.batch);
    let (mut requests, mut latencies) = (0, histogram());
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(args.seconds) {
        let sent = Instant::now();
        client.send(&request).await?;
        latencies.record(micros(sent.elapsed()))?;
        requests += 1;
    }
    Ok((requests * args.batch as u64, latencies, Instant::now()))
}

/// Until a fetch brings nothing, at most for the run's time.
async fn consume(mut client: KafkaClient, args: &Args, partition: i32) -> anyhow::Result<Run> {
    let (mut records, mut next, mut latencies) = (0, 0, histogram());
    let start = Instant::now();
    let mut last = start;
    while start.elapsed() < Duration::from_secs(args.seconds) {
        let asked = Instant::now();
        let fetched = client.fetch(&args.topic, partition, next).await?;
        if fetched.records == 0 {
            break;
        }
        latencies.record(micros(asked.elapsed()))?;
        (records, next, last) = (records + fetched.records, fetched.next, Instant::now());
    }
    Ok((records, latencies, last))
}
