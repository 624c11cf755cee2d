//! Calls a backend of this process through an API Management service (check-header, rewrite-uri, rate-limit, a
//! subscription's key), and the same backend directly; prints both.
//!
//! `apim --endpoint http://127.0.0.1:4566 --clients 8`

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Parser;
use hdrhistogram::Histogram;
use http::{Method, Request, Uri};
use http_body_util::Full;
use millstream_bench::figures::{Usage, histogram, micros, print};
use millstream_bench::http1::{HttpClient, manage, serve};
use serde_json::{Value, json};

const SERVICE: &str = "/subscriptions/bench/resourceGroups/bench/providers/Microsoft.ApiManagement/service/bench";
const GATEWAY: &str = "bench.azure-api.net";
/// Calls that the rate limit allows in its period: more than a run makes.
const POLICY: &str = r#"<policies>
    <inbound>
        <base />
        <check-header name="x-bench" failed-check-httpcode="401" failed-check-error-message="missing" ignore-case="false" />
        <rewrite-uri template="/events" />
    </inbound>
    <backend><base /></backend>
    <outbound><base /></outbound>
    <on-error><base /></on-error>
</policies>"#;
const PRODUCT_POLICY: &str = r#"<policies>
    <inbound><base /><rate-limit calls="100000000" renewal-period="300" /></inbound>
    <backend><base /></backend>
    <outbound><base /></outbound>
    <on-error><base /></on-error>
</policies>"#;

#[derive(Debug, Clone, Parser)]
struct Args {
    #[arg(long, default_value = "http://127.0.0.1:4566")]
    endpoint: Uri,
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// Bytes of a request's body
    #[arg(long, default_value_t = 200)]
    bytes: usize,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The serving process, to say what it used
    #[arg(long)]
    pid: Option<u32>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let backend: Uri = format!("http://{}", serve(|_, _| Bytes::from_static(b"{}")).await?).parse()?;
    let key = define(&args.endpoint, &backend).await?;
    measure("apim", &args, &args.endpoint, "/bench", &key, args.pid).await?;
    measure("backend, directly", &args, &backend, "/events", &key, None).await
}

/// The service, its API and policies; gives a subscription's key.
async fn define(endpoint: &Uri, backend: &Uri) -> anyhow::Result<String> {
    let put = async |path: &str, properties: Value| {
        manage(endpoint, Method::PUT, &format!("{SERVICE}{path}"), Some(json!({ "properties": properties }))).await
    };
    manage(endpoint, Method::PUT, SERVICE, None).await?;
    let url = backend.to_string();
    put(
        "/apis/bench",
        json!({ "displayName": "bench", "path": "bench", "serviceUrl": url.trim_end_matches('/'),
                               "protocols": ["https"] }),
    )
    .await?;
    put("/apis/bench/operations/post", json!({ "displayName": "post", "method": "POST", "urlTemplate": "/" })).await?;
    put("/apis/bench/policies/policy", json!({ "format": "rawxml", "value": POLICY })).await?;
    put("/products/bench", json!({ "displayName": "bench", "subscriptionRequired": true, "state": "published" }))
        .await?;
    manage(endpoint, Method::PUT, &format!("{SERVICE}/products/bench/apis/bench"), None).await?;
    put("/products/bench/policies/policy", json!({ "format": "rawxml", "value": PRODUCT_POLICY })).await?;
    put("/subscriptions/bench", json!({ "displayName": "bench", "scope": "/products/bench" })).await?;
    let path = format!("{SERVICE}/subscriptions/bench/listSecrets");
    let secrets = manage(endpoint, Method::POST, &path, None).await?;
    Ok(secrets["primaryKey"].as_str().context("expected a subscription's key")?.to_owned())
}

async fn measure(
    name: &str,
    args: &Args,
    endpoint: &Uri,
    path: &'static str,
    key: &str,
    pid: Option<u32>,
) -> anyhow::Result<()> {
    let before = pid.map(Usage::of);
    let start = Instant::now();
    let run = || tokio::spawn(run(args.clone(), endpoint.clone(), path, key.to_owned()));
    let runs: Vec<_> = (0..args.clients).map(|_| run()).collect();
    let mut latencies = histogram();
    for run in runs {
        latencies.add(run.await??)?;
    }
    let used = pid.zip(before).map(|(pid, before)| (before, Usage::of(pid)));
    let name = format!("{name}: {} clients x {} B", args.clients, args.bytes);
    print(&name, latencies.len(), latencies.len() * args.bytes as u64, start.elapsed(), &latencies, used);
    Ok(())
}

async fn run(args: Args, endpoint: Uri, path: &'static str, key: String) -> anyhow::Result<Histogram<u64>> {
    let mut client = HttpClient::connect(&endpoint).await?;
    let body = Bytes::from(vec![b'x'; args.bytes]);
    let mut latencies = histogram();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(args.seconds) {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header("host", GATEWAY)
            .header("x-bench", "1")
            .header("ocp-apim-subscription-key", &key)
            .body(Full::new(body.clone()))?;
        let sent = Instant::now();
        let (status, answer) = client.call(request).await?;
        if !status.is_success() {
            bail!("{path} answered {status}: {}", String::from_utf8_lossy(&answer));
        }
        latencies.record(micros(sent.elapsed()))?;
    }
    Ok(latencies)
}
