//! Sends, receives and deletes messages through the SQS protocol as fast as some clients can, and prints what came of it.
//!
//! `queue --endpoint http://127.0.0.1:4566 --clients 8 --batch 10 --bytes 200 --seconds 10 [--pid SERVER]`
//! Each client does one after the other: it sends a batch, receives as many, deletes them. A message counts once it is deleted;
//! the latency is that of the three calls together. A batch of 1 uses the calls without `Batch`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Parser;
use hdrhistogram::Histogram;
use http::Uri;
use millstream_bench::client::JsonClient;
use millstream_bench::figures::{Usage, histogram, micros, print};
use serde_json::{Value, json};

const JSON: &str = "application/x-amz-json-1.0";

#[derive(Debug, Clone, Parser)]
struct Args {
    #[arg(long, default_value = "http://127.0.0.1:4566")]
    endpoint: Uri,
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// Messages of a call, 1 to 10
    #[arg(long, default_value_t = 10)]
    batch: usize,
    #[arg(long, default_value_t = 200)]
    bytes: usize,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The serving process, to say what it used
    #[arg(long)]
    pid: Option<u32>,
    #[arg(long, default_value = "millstream")]
    name: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let url = create_queue(&args).await?;
    let before = args.pid.map(Usage::of);
    let start = Instant::now();
    let runs: Vec<_> = (0..args.clients).map(|_| tokio::spawn(run(args.clone(), url.clone()))).collect();
    let (mut messages, mut latencies) = (0, histogram());
    for run in runs {
        let (done, taken) = run.await??;
        messages += done;
        latencies.add(taken)?;
    }
    let used = args.pid.zip(before).map(|(pid, before)| (before, Usage::of(pid)));
    let name = format!("{}: {} x {} x {} B", args.name, args.clients, args.batch, args.bytes);
    print(&name, messages, messages * args.bytes as u64, start.elapsed(), &latencies, used);
    Ok(())
}

async fn create_queue(args: &Args) -> anyhow::Result<String> {
    let mut client = connect(args, "CreateQueue").await?;
    let made = call(&mut client, &json!({ "QueueName": format!("bench-{}-{}", args.clients, args.batch) })).await?;
    made["QueueUrl"].as_str().map(str::to_owned).context("a queue was made without an address")
}

async fn run(args: Args, url: String) -> anyhow::Result<(u64, Histogram<u64>)> {
    let many = if args.batch > 1 { "Batch" } else { "" };
    let mut sender = connect(&args, &format!("SendMessage{many}")).await?;
    let mut receiver = connect(&args, "ReceiveMessage").await?;
    let mut deleter = connect(&args, &format!("DeleteMessage{many}")).await?;
    let messages = sent(&args, &url);
    let wanted = json!({ "QueueUrl": url, "MaxNumberOfMessages": args.batch });
    let (mut done, mut latencies) = (0, histogram());
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(args.seconds) {
        let begun = Instant::now();
        call(&mut sender, &messages).await?;
        let received = call(&mut receiver, &wanted).await?;
        let handles: Vec<&Value> =
            received["Messages"].as_array().into_iter().flatten().map(|message| &message["ReceiptHandle"]).collect();
        if let Some(first) = handles.first() {
            let body = if args.batch > 1 {
                let entry = |(id, handle): (usize, &&Value)| json!({ "Id": id.to_string(), "ReceiptHandle": handle });
                json!({ "QueueUrl": url, "Entries": handles.iter().enumerate().map(entry).collect::<Vec<_>>() })
            } else {
                json!({ "QueueUrl": url, "ReceiptHandle": first })
            };
            call(&mut deleter, &body).await?;
        }
        latencies.record(micros(begun.elapsed()))?;
        done += handles.len() as u64;
    }
    Ok((done, latencies))
}

fn sent(args: &Args, url: &str) -> Value {
    let text = "x".repeat(args.bytes);
    if args.batch == 1 {
        return json!({ "QueueUrl": url, "MessageBody": text });
    }
    let entry = |id: usize| json!({ "Id": id.to_string(), "MessageBody": text });
    json!({ "QueueUrl": url, "Entries": (0..args.batch).map(entry).collect::<Vec<_>>() })
}

async fn connect(args: &Args, operation: &str) -> anyhow::Result<JsonClient> {
    JsonClient::connect(&args.endpoint, "sqs", &format!("AmazonSQS.{operation}"), JSON).await
}

async fn call(client: &mut JsonClient, body: &Value) -> anyhow::Result<Value> {
    let (status, answer) = client.call(&Bytes::from(body.to_string())).await?;
    if !status.is_success() {
        bail!("the queue answered {status}: {}", String::from_utf8_lossy(&answer));
    }
    Ok(serde_json::from_slice(&answer).unwrap_or_default())
}
