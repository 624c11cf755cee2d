//! Calls a backend of this process through an API's stage with a key, throttle, quota and metering; through nginx as a
//! plain proxy that writes an access log too, when there is one; and directly. Prints all of them, with what the proxy used of
//! the processor and what this process did, which is client and backend at once and shares the cores.
//!
//! `gateway --endpoint http://127.0.0.1:4566 --clients 32 --nginx /usr/sbin/nginx --folder bench/out/nginx`
//! The node's own limit for all APIs together (`api_throttle`) has to be out of the way.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Parser;
use hdrhistogram::Histogram;
use http::{Method, Request, Uri, header};
use http_body_util::Full;
use millstream_aws::sigv4::{Credentials, sign};
use millstream_bench::figures::{Usage, children, histogram, micros, print};
use millstream_bench::http1::{HttpClient, serve};
use millstream_types::{Clock, SystemClock};
use serde_json::{Value, json};

/// What the plan allows: more than a run makes.
const QUOTA: u64 = 1_000_000_000;
const RATE: u32 = 1_000_000;

/// How long nginx may take to listen.
const NGINX_READY: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Parser)]
struct Args {
    #[arg(long, default_value = "http://127.0.0.1:4566")]
    endpoint: Uri,
    #[arg(long, default_value_t = 32)]
    clients: usize,
    /// Bytes of an answer's body
    #[arg(long, default_value_t = 200)]
    bytes: usize,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The serving process, to say what it used
    #[arg(long)]
    pid: Option<u32>,
    /// The program of nginx, to be measured beside
    #[arg(long)]
    nginx: Option<PathBuf>,
    /// Where nginx keeps its files
    #[arg(long, default_value = "bench/out/nginx")]
    folder: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let body = Bytes::from(vec![b'x'; args.bytes]);
    let backend: Uri = format!("http://{}", serve(move |_, _| body.clone()).await?).parse()?;
    let (path, key) = define(&args.endpoint, &backend).await?;
    let node: Vec<u32> = args.pid.into_iter().collect();
    measure("gateway with key, throttle, quota, metering", &args, &args.endpoint, &path, &key, &node).await?;
    if let Some(program) = &args.nginx {
        let (mut nginx, address) = start_nginx(program, &args.folder, &backend)?;
        let workers = children(nginx.id());
        let measured = measure("nginx, plain proxy with an access log", &args, &address, "/", &key, &workers).await;
        // A signal to the process alone would leave its workers behind.
        nginx_command(program, &args.folder)?.args(["-s", "stop"]).status()?;
        nginx.wait()?;
        measured?;
    }
    measure("backend, directly", &args, &backend, "/", &key, &[]).await
}

/// An API with one method that passes requests on, and a plan with a key; gives the method's path and the key.
async fn define(endpoint: &Uri, backend: &Uri) -> anyhow::Result<(String, String)> {
    let call = async |method, path: &str, body: Value| control(endpoint, method, path, &body).await;
    let text = |value: &Value, member: &str| -> anyhow::Result<String> {
        Ok(value[member].as_str().with_context(|| format!("expected `{member}`, found {value}"))?.to_owned())
    };
    let api = call(Method::POST, "/restapis", json!({ "name": "bench" })).await?;
    let (id, root) = (text(&api, "id")?, text(&api, "rootResourceId")?);
    let place = format!("/restapis/{id}/resources/{root}/methods/GET");
    call(Method::PUT, &place, json!({ "authorizationType": "NONE", "apiKeyRequired": true })).await?;
    let integration = json!({ "type": "HTTP_PROXY", "httpMethod": "GET", "uri": backend.to_string() });
    call(Method::PUT, &format!("{place}/integration"), integration).await?;
    call(Method::POST, &format!("/restapis/{id}/deployments"), json!({ "stageName": "prod" })).await?;
    let plan = json!({
        "name": "bench",
        "apiStages": [{ "apiId": id, "stage": "prod" }],
        "throttle": { "rateLimit": RATE, "burstLimit": RATE },
        "quota": { "limit": QUOTA, "period": "MONTH" },
    });
    let plan = text(&call(Method::POST, "/usageplans", plan).await?, "id")?;
    let key = call(Method::POST, "/apikeys", json!({ "name": "bench", "enabled": true })).await?;
    let attached = json!({ "keyId": text(&key, "id")?, "keyType": "API_KEY" });
    call(Method::POST, &format!("/usageplans/{plan}/keys"), attached).await?;
    Ok((format!("/_aws/execute-api/{id}/prod/"), text(&key, "value")?))
}

/// A control call of the API Gateway's protocol.
async fn control(endpoint: &Uri, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
    let authority = endpoint.authority().context("expected an endpoint with a host")?.as_str();
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{authority}{path}"))
        .header(header::HOST, authority)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Bytes::from(body.to_string()))?;
    let credentials = Credentials { access_key: "test".into(), secret: "test".into(), session_token: None };
    sign(&mut request, &credentials, "us-east-1", "apigateway", SystemClock.now())?;
    let (mut head, body) = request.into_parts();
    head.uri = path.parse()?;
    let request = Request::from_parts(head, Full::new(body));
    let (status, answer) = HttpClient::connect(endpoint).await?.call(request).await?;
    if !status.is_success() {
        bail!("{path} answered {status}: {}", String::from_utf8_lossy(&answer));
    }
    Ok(serde_json::from_slice(&answer)?)
}

/// Starts nginx in front of the backend; gives its process and where it listens.
fn start_nginx(program: &Path, folder: &Path, backend: &Uri) -> anyhow::Result<(Child, Uri)> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    std::fs::create_dir_all(folder)?;
    let folder = std::path::absolute(folder)?;
    let at = folder.display();
    let backend = backend.authority().context("expected a backend with a host")?;
    let settings = format!(
        "daemon off;\nworker_processes auto;\npid {at}/pid;\nerror_log {at}/error.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  access_log {at}/access.log;\n  client_body_temp_path {at}/body;\n  proxy_temp_path {at}/proxy;\n\
         \x20 fastcgi_temp_path {at}/fastcgi;\n  uwsgi_temp_path {at}/uwsgi;\n  scgi_temp_path {at}/scgi;\n\
         \x20 keepalive_requests 1000000000;\n\
         \x20 upstream backend {{ server {backend}; keepalive 256; keepalive_requests 1000000000; }}\n\
         \x20 server {{\n    listen 127.0.0.1:{port};\n    location / {{\n      proxy_pass http://backend;\n\
         \x20     proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n    }}\n  }}\n}}\n",
    );
    std::fs::write(folder.join("nginx.conf"), settings)?;
    let mut nginx =
        nginx_command(program, &folder)?.spawn().with_context(|| format!("starting {}", program.display()))?;
    let begun = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if begun.elapsed() > NGINX_READY {
            nginx.kill()?;
            bail!("nginx does not listen; see {at}/error.log");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok((nginx, format!("http://127.0.0.1:{port}").parse()?))
}

/// nginx over the settings in `folder`.
fn nginx_command(program: &Path, folder: &Path) -> anyhow::Result<Command> {
    let folder = std::path::absolute(folder)?;
    let mut command = Command::new(program);
    command.arg("-p").arg(&folder).arg("-c").arg(folder.join("nginx.conf")).arg("-e").arg(folder.join("error.log"));
    Ok(command)
}

/// Calls for a while and prints what came of it; `proxy`: the processes in between.
async fn measure(name: &str, args: &Args, endpoint: &Uri, path: &str, key: &str, proxy: &[u32]) -> anyhow::Result<()> {
    let used_by_proxy = || proxy.iter().copied().map(Usage::of).fold(Usage::default(), |sum, one| sum + one);
    let before = (used_by_proxy(), Usage::of(std::process::id()));
    let start = Instant::now();
    let run = || tokio::spawn(run(args.seconds, endpoint.clone(), path.to_owned(), key.to_owned()));
    let runs: Vec<_> = (0..args.clients).map(|_| run()).collect();
    let mut latencies = histogram();
    for run in runs {
        latencies.add(run.await??)?;
    }
    let took = start.elapsed();
    let after = (used_by_proxy(), Usage::of(std::process::id()));
    let name = format!("{name}: {} clients x {} B", args.clients, args.bytes);
    let used = (!proxy.is_empty()).then_some((before.0, after.0));
    print(&name, latencies.len(), latencies.len() * args.bytes as u64, took, &latencies, used);
    let generator = (after.1.cpu - before.1.cpu).as_secs_f64() * 1e6 / latencies.len().max(1) as f64;
    println!("  client and backend: CPU {generator:.2} µs each");
    Ok(())
}

async fn run(seconds: u64, endpoint: Uri, path: String, key: String) -> anyhow::Result<Histogram<u64>> {
    let mut client = HttpClient::connect(&endpoint).await?;
    let host = endpoint.authority().context("expected an endpoint with a host")?.to_string();
    let mut latencies = histogram();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(seconds) {
        let request = Request::builder()
            .uri(&path)
            .header("host", &host)
            .header("x-api-key", &key)
            .body(Full::new(Bytes::new()))?;
        let sent = Instant::now();
        let (status, answer) = client.call(request).await?;
        if !status.is_success() {
            bail!("{path} answered {status}: {}", String::from_utf8_lossy(&answer));
        }
        latencies.record(micros(sent.elapsed()))?;
    }
    Ok(latencies)
}
