//! Publishes events to an Event Grid topic whose webhooks this process runs, and prints how many came and how late.
//!
//! `eventgrid --endpoint http://127.0.0.1:4566 --subscribers 10 --batch 100 --bytes 1024 [--per-delivery 1]`
//! A record is one event delivered to one subscriber; its latency runs from the publishing call's begin to the webhook.
//! Publishing waits while more than two calls' events are on their way: the figures are those of a queue that stays short.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Parser;
use hdrhistogram::Histogram;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::Full;
use millstream_bench::figures::{Usage, histogram, micros, print};
use millstream_bench::http1::{HttpClient, manage, serve};
use serde_json::{Value, json};

const TOPICS: &str = "/subscriptions/bench/resourceGroups/bench/providers/Microsoft.EventGrid/topics";

#[derive(Debug, Clone, Parser)]
struct Args {
    #[arg(long, default_value = "http://127.0.0.1:4566")]
    endpoint: Uri,
    #[arg(long, default_value_t = 10)]
    subscribers: u64,
    #[arg(long, default_value_t = 100)]
    batch: u64,
    #[arg(long, default_value_t = 1_024)]
    bytes: usize,
    /// Events that a webhook takes at a time
    #[arg(long, default_value_t = 1)]
    per_delivery: u32,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The serving process, to say what it used
    #[arg(long)]
    pid: Option<u32>,
}

/// What came at the webhooks.
struct Taken {
    events: u64,
    latencies: Histogram<u64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let start = Instant::now();
    let taken = Arc::new(Mutex::new(Taken { events: 0, latencies: histogram() }));
    let key = subscribe(&args, start, &taken).await?;
    let before = args.pid.map(Usage::of);
    let begin = Instant::now();
    publish(&args, start, &key, &taken).await?;
    let used = args.pid.zip(before).map(|(pid, before)| (before, Usage::of(pid)));
    let taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
    let name = format!("deliver: {} webhooks x {} events x {} B", args.subscribers, args.per_delivery, args.bytes);
    print(&name, taken.events, taken.events * args.bytes as u64, begin.elapsed(), &taken.latencies, used);
    Ok(())
}

/// The topic with its webhooks; gives the topic's key.
async fn subscribe(args: &Args, start: Instant, taken: &Arc<Mutex<Taken>>) -> anyhow::Result<String> {
    let topic = format!("{TOPICS}/bench-{}", args.per_delivery);
    manage(&args.endpoint, Method::PUT, &topic, Some(json!({ "location": "local" }))).await?;
    let taken = taken.clone();
    let receiver = serve(move |headers, body| take(headers, body, start, &taken)).await?;
    for number in 0..args.subscribers {
        let path = format!("{topic}/providers/Microsoft.EventGrid/eventSubscriptions/webhook-{number}");
        let webhook = json!({ "endpointUrl": format!("http://{receiver}/{number}"), "maxEventsPerBatch": args.per_delivery,
                              "preferredBatchSizeInKilobytes": 1_024 });
        let destination = json!({ "endpointType": "WebHook", "properties": webhook });
        let body = json!({ "properties": { "destination": destination } });
        manage(&args.endpoint, Method::PUT, &path, Some(body)).await?;
    }
    let keys = manage(&args.endpoint, Method::POST, &format!("{topic}/listKeys"), None).await?;
    Ok(keys["key1"].as_str().context("expected a topic's key")?.to_owned())
}

/// Answers a validation, or counts a delivery's events; their ids begin with the microsecond of their publishing.
fn take(headers: &HeaderMap, body: &Bytes, start: Instant, taken: &Mutex<Taken>) -> Bytes {
    let Ok(Value::Array(events)) = serde_json::from_slice(body) else { return Bytes::new() };
    if headers.get("aeg-event-type").is_some_and(|kind| kind == "SubscriptionValidation") {
        let code = &events[0]["data"]["validationCode"];
        return json!({ "validationResponse": code }).to_string().into();
    }
    let now = micros(start.elapsed());
    let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
    taken.events += events.len() as u64;
    let published = events.iter().filter_map(|event| event["id"].as_str()?.split('-').next()?.parse::<u64>().ok());
    for published in published {
        taken.latencies.saturating_record(now.saturating_sub(published).max(1));
    }
    Bytes::new()
}

async fn publish(args: &Args, start: Instant, key: &str, taken: &Mutex<Taken>) -> anyhow::Result<()> {
    let mut client = HttpClient::connect(&args.endpoint).await?;
    let host = args.endpoint.authority().context("expected an endpoint with a host")?.as_str();
    let path = format!("/eventgrid/bench-{}/api/events", args.per_delivery);
    let data = "x".repeat(args.bytes);
    let begin = Instant::now();
    let mut expected = 0;
    while begin.elapsed() < Duration::from_secs(args.seconds) {
        let now = micros(start.elapsed());
        let event = |number| {
            json!({ "id": format!("{now}-{number}"), "subject": "bench", "eventType": "bench", "dataVersion": "1",
                    "eventTime": "2026-01-01T00:00:00Z", "data": { "text": data } })
        };
        let events: Vec<Value> = (0..args.batch).map(event).collect();
        let request = Request::builder()
            .method(Method::POST)
            .uri(&path)
            .header("host", host)
            .header("aeg-sas-key", key)
            .header("content-type", "application/json")
            .body(Full::from(serde_json::to_vec(&events)?))?;
        let (status, answer) = client.call(request).await?;
        if !status.is_success() {
            bail!("publishing answered {status}: {}", String::from_utf8_lossy(&answer));
        }
        expected += args.batch * args.subscribers;
        arrived(taken, expected.saturating_sub(2 * args.batch * args.subscribers)).await?;
    }
    arrived(taken, expected).await
}

/// Waits until so many events have come.
async fn arrived(taken: &Mutex<Taken>, expected: u64) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        let events = taken.lock().unwrap_or_else(PoisonError::into_inner).events;
        if events >= expected {
            return Ok(());
        }
        if begin.elapsed() > Duration::from_secs(30) {
            bail!("expected {expected} events at the webhooks, {events} came");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
