//! Fills a stream, maps it to a function that only looks at its records, and prints how fast the function had them.
//!
//! `mapping --endpoint http://127.0.0.1:4566 --records 200000 --bytes 200 --batch 100 --shards 1 --lanes 1 [--pid SERVER]`
//! The last record of each shard is a mark: the function tells this process when it sees one. The time runs from the call that
//! enables the mapping to the last mark.

use std::io::{Cursor, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Parser;
use http::{Method, Uri};
use millstream_bench::client::{JsonClient, rest};
use millstream_bench::figures::Usage;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use zip::write::SimpleFileOptions;

const JSON: &str = "application/x-amz-json-1.1";
/// Records of one PutRecords: the service's limit.
const PUT_MAX: u64 = 500;
/// Longest wait for the function to have all records.
const PATIENCE: Duration = Duration::from_secs(300);

const CODE: &str = r#"
import base64, os, socket
MARK = base64.b64encode(b"mark").decode()
def handler(event, context):
    for record in event["Records"]:
        if record["kinesis"]["data"] == MARK:
            socket.create_connection(("127.0.0.1", int(os.environ["PORT"]))).close()
"#;

#[derive(Debug, Clone, Parser)]
struct Args {
    #[arg(long, default_value = "http://127.0.0.1:4566")]
    endpoint: Uri,
    #[arg(long, default_value_t = 200_000)]
    records: u64,
    #[arg(long, default_value_t = 200)]
    bytes: usize,
    #[arg(long, default_value_t = 100)]
    batch: u32,
    #[arg(long, default_value_t = 1)]
    shards: u32,
    /// Batches of one shard at once
    #[arg(long, default_value_t = 1)]
    lanes: u32,
    /// The serving process, to say what it used
    #[arg(long)]
    pid: Option<u32>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let marks = TcpListener::bind("127.0.0.1:0").await?;
    let name = format!("mapping-{}-{}-{}", args.batch, args.shards, args.lanes);
    kinesis(&args, "CreateStream", &json!({ "StreamName": name, "ShardCount": args.shards })).await?;
    make_function(&args, &name, marks.local_addr()?.port()).await?;
    fill(&args, &name).await?;
    let mapping = json!({
        "FunctionName": name,
        "EventSourceArn": format!("arn:aws:kinesis:us-east-1:000000000000:stream/{name}"),
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": args.batch,
        "ParallelizationFactor": args.lanes,
    });
    let before = args.pid.map(Usage::of);
    let begin = Instant::now();
    rest(&args.endpoint, "lambda", Method::POST, "/2015-03-31/event-source-mappings", &mapping).await?;
    for _ in 0..args.shards {
        tokio::time::timeout(PATIENCE, marks.accept())
            .await
            .context("the function has not had all records in time")??;
    }
    let took = begin.elapsed().as_secs_f64();
    let Args { records, bytes, batch, shards, lanes, .. } = args;
    print!(
        "mapping: {batch} x {bytes} B, {shards} shards x {lanes} lanes {:>11.0} records/s {:>8.1} MB/s",
        records as f64 / took,
        (records * bytes as u64) as f64 / took / 1e6,
    );
    if let Some((before, after)) = before.zip(args.pid.map(Usage::of)) {
        let cpu = (after.cpu - before.cpu).as_secs_f64();
        print!("   server CPU {:.2} µs each, peak {} MiB", cpu * 1e6 / records as f64, after.peak_kib / 1024);
    }
    println!();
    Ok(())
}

async fn kinesis(args: &Args, operation: &str, body: &Value) -> anyhow::Result<()> {
    let target = format!("Kinesis_20131202.{operation}");
    let mut client = JsonClient::connect(&args.endpoint, "kinesis", &target, JSON).await?;
    put(&mut client, body).await
}

async fn put(client: &mut JsonClient, body: &Value) -> anyhow::Result<()> {
    let (status, answer) = client.call(&Bytes::from(body.to_string())).await?;
    if !status.is_success() {
        bail!("the stream answered {status}: {}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}

async fn make_function(args: &Args, name: &str, port: u16) -> anyhow::Result<()> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("app.py", SimpleFileOptions::default())?;
    archive.write_all(CODE.as_bytes())?;
    let function = json!({
        "FunctionName": name,
        "Runtime": "python3.11",
        "Handler": "app.handler",
        "Role": "arn:aws:iam::000000000000:role/bench",
        "Timeout": 60,
        "Code": { "ZipFile": STANDARD.encode(archive.finish()?.into_inner()) },
        "Environment": { "Variables": { "PORT": port.to_string() } },
    });
    rest(&args.endpoint, "lambda", Method::POST, "/2015-03-31/functions", &function).await.map(drop)
}

/// Puts the records, spread over all shards, and then a mark into each shard.
async fn fill(args: &Args, name: &str) -> anyhow::Result<()> {
    let mut client = JsonClient::connect(&args.endpoint, "kinesis", "Kinesis_20131202.PutRecords", JSON).await?;
    let data = STANDARD.encode(vec![b'x'; args.bytes]);
    let record = |n: u64| json!({ "PartitionKey": format!("key-{}", n % 997), "Data": data });
    let mut left = args.records;
    while left > 0 {
        let count = left.min(PUT_MAX);
        let records: Vec<Value> = (0..count).map(|n| record(left + n)).collect();
        put(&mut client, &json!({ "StreamName": name, "Records": records })).await?;
        left -= count;
    }
    let width = u128::MAX / u128::from(args.shards);
    let mark = |shard: u32| {
        let hash = (u128::from(shard) * width + 1).to_string();
        json!({ "PartitionKey": "mark", "ExplicitHashKey": hash, "Data": STANDARD.encode("mark") })
    };
    let marks: Vec<Value> = (0..args.shards).map(mark).collect();
    put(&mut client, &json!({ "StreamName": name, "Records": marks })).await
}
