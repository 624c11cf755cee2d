//! Puts records through the Kinesis protocol as fast as some clients can, and prints what came of it.
//!
//! `ingest --endpoint http://127.0.0.1:4566 --clients 4 --batch 500 --bytes 200 --seconds 10 [--pid SERVER]`
//! A batch of 1 calls PutRecord, a larger one PutRecords. The stream `bench` is made when it is not there.
//! With `--disk FILE` one client calls, in turns with writes to the disk by itself.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Parser;
use hdrhistogram::Histogram;
use http::Uri;
use millstream_bench::client::JsonClient;
use millstream_bench::disk::{BLOCK_BYTES, GrowingFile};
use millstream_bench::figures::{Usage, histogram, micros, print};
use serde_json::json;

const JSON: &str = "application/x-amz-json-1.1";

/// How long calls and the disk take turns: short, so that a disk's or a host's bad moments are shared.
const TURN: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Parser)]
struct Args {
    #[arg(long, default_value = "http://127.0.0.1:4566")]
    endpoint: Uri,
    #[arg(long, default_value_t = 4)]
    clients: usize,
    #[arg(long, default_value_t = 500)]
    batch: usize,
    #[arg(long, default_value_t = 200)]
    bytes: usize,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    #[arg(long, default_value_t = 4)]
    shards: u32,
    /// The serving process, to say what it used
    #[arg(long)]
    pid: Option<u32>,
    #[arg(long, default_value = "millstream")]
    name: String,
    /// A file on the server's disk that is written and synced in turns with the calls
    #[arg(long)]
    disk: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    create_stream(&args).await?;
    if let Some(file) = &args.disk {
        return beside_disk(&args, file).await;
    }
    let before = args.pid.map(Usage::of);
    let start = Instant::now();
    let runs: Vec<_> = (0..args.clients).map(|client| tokio::spawn(run(args.clone(), client))).collect();
    let (mut calls, mut latencies) = (0, histogram());
    for run in runs {
        let (done, taken) = run.await??;
        calls += done;
        latencies.add(taken)?;
    }
    let records = calls * args.batch as u64;
    let used = args.pid.zip(before).map(|(pid, before)| (before, Usage::of(pid)));
    let name = format!("{}: {} x {} x {} B", args.name, args.clients, args.batch, args.bytes);
    print(&name, records, records * args.bytes as u64, start.elapsed(), &latencies, used);
    Ok(())
}

async fn create_stream(args: &Args) -> anyhow::Result<()> {
    let mut client = JsonClient::connect(&args.endpoint, "kinesis", "Kinesis_20131202.CreateStream", JSON).await?;
    let body = json!({ "StreamName": "bench", "ShardCount": args.shards }).to_string();
    let (_, answer) = client.call(&Bytes::from(body)).await?;
    if !answer.is_empty() && !String::from_utf8_lossy(&answer).contains("ResourceInUse") && answer.as_ref() != b"{}" {
        bail!("creating the stream: {}", String::from_utf8_lossy(&answer));
    }
    // Some peers take a moment before a stream is active.
    let mut describe =
        JsonClient::connect(&args.endpoint, "kinesis", "Kinesis_20131202.DescribeStreamSummary", JSON).await?;
    for _ in 0..100 {
        let (_, answer) = describe.call(&Bytes::from(json!({ "StreamName": "bench" }).to_string())).await?;
        if String::from_utf8_lossy(&answer).contains("\"ACTIVE\"") {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("the stream did not become active")
}

async fn run(args: Args, client: usize) -> anyhow::Result<(u64, Histogram<u64>)> {
    let mut connection = connect(&args).await?;
    let body = body(&args, client);
    let (mut calls, mut latencies) = (0, histogram());
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(args.seconds) {
        latencies.saturating_record(micros(put(&mut connection, &body).await?));
        calls += 1;
    }
    Ok((calls, latencies))
}

async fn connect(args: &Args) -> anyhow::Result<JsonClient> {
    let target = if args.batch == 1 { "Kinesis_20131202.PutRecord" } else { "Kinesis_20131202.PutRecords" };
    JsonClient::connect(&args.endpoint, "kinesis", target, JSON).await
}

/// One call; how long it took.
async fn put(connection: &mut JsonClient, body: &Bytes) -> anyhow::Result<Duration> {
    let sent = Instant::now();
    let (status, answer) = connection.call(body).await?;
    if !status.is_success() {
        bail!("a put was answered {status}: {}", String::from_utf8_lossy(&answer));
    }
    Ok(sent.elapsed())
}

/// One client's calls and the disk by itself, in turns.
async fn beside_disk(args: &Args, file: &Path) -> anyhow::Result<()> {
    let (mut connection, mut disk) = (connect(args).await?, GrowingFile::create(file)?);
    let body = body(args, 0);
    let (mut calls, mut calling) = (histogram(), Duration::ZERO);
    let (mut writes, mut writing) = (histogram(), Duration::ZERO);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(args.seconds) {
        let turn = Instant::now();
        while turn.elapsed() < TURN {
            calls.saturating_record(micros(put(&mut connection, &body).await?));
        }
        calling += turn.elapsed();
        let turn = Instant::now();
        while turn.elapsed() < TURN {
            writes.saturating_record(micros(disk.write()?));
        }
        writing += turn.elapsed();
    }
    let records = calls.len() * args.batch as u64;
    print(&args.name, records, records * args.bytes as u64, calling, &calls, None);
    let bytes = writes.len() * BLOCK_BYTES as u64;
    print("disk: 4 KiB + fdatasync, growing file, in turns", writes.len(), bytes, writing, &writes, None);
    let times = calls.value_at_quantile(0.99) as f64 / writes.value_at_quantile(0.99) as f64;
    println!("  p99 of a call is {times:.2} times the disk's");
    std::fs::remove_file(file).context("removing the disk's file")
}

fn body(args: &Args, client: usize) -> Bytes {
    let data = STANDARD.encode(vec![b'x'; args.bytes]);
    let record = |n: usize| json!({ "PartitionKey": format!("key-{client}-{n}"), "Data": data });
    let body = if args.batch == 1 {
        json!({ "StreamName": "bench", "PartitionKey": format!("key-{client}"), "Data": data })
    } else {
        json!({ "StreamName": "bench", "Records": (0..args.batch).map(record).collect::<Vec<_>>() })
    };
    Bytes::from(body.to_string())
}
