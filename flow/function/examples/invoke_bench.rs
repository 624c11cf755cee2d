//! What an invocation costs over its handler: warm invocations of handlers that return their event, one after the other.
//!
//! `cargo run --release -p millstream-function --example invoke_bench [-- INVOCATIONS]`

use std::io::{Cursor, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millstream_catalog::Catalog;
use millstream_function::{Functions, NewFunction, Options};
use millstream_insight::Insight;
use millstream_storage::Storage;
use millstream_types::{Clock, Invocation, Invoke as _, SystemClock};

const PYTHON: &str = "def handler(event, context):\n    return event\n";
const NODE: &str = "exports.handler = async (event) => event;";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let invocations: usize = std::env::args().nth(1).map_or(Ok(5_000), |count| count.parse())?;
    let folder = tempfile::tempdir()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let storage = Storage::in_memory(Arc::clone(&clock));
    let options = Options {
        folder: folder.path().to_owned(),
        concurrency_max: 4,
        endpoint: String::new(),
        region: "us-east-1".into(),
        arn: Arc::new(str::to_owned),
        log_group: Arc::new(str::to_owned),
        credentials: Arc::new(|_| Default::default()),
        python_path: Vec::new(),
        node_path: Vec::new(),
        retry_waits: Arc::new([Duration::ZERO]),
        destination: None,
        dotnet: millstream_function::DotnetOptions::default(),
        launcher: None,
        confinement_required: false,
        readable: Vec::new(),
        hidden: Vec::new(),
    };
    let insight = Insight::open(&storage, Arc::clone(&clock))?;
    let functions = Functions::open(options, storage.clone(), Catalog::open(&storage)?, insight, clock)?;
    for (name, runtime, file, code) in
        [("python", "python3.11", "app.py", PYTHON), ("nodejs", "nodejs20.x", "app.js", NODE)]
    {
        functions.create(function(name, runtime, package(file, code)?)).await?;
        let begun = Instant::now();
        invoke(&functions, name).await?;
        let cold = begun.elapsed();
        let mut taken = Vec::with_capacity(invocations);
        for _ in 0..invocations {
            let begun = Instant::now();
            invoke(&functions, name).await?;
            taken.push(begun.elapsed());
        }
        taken.sort_unstable();
        let at = |quantile: f64| taken[(taken.len() as f64 * quantile) as usize].as_secs_f64() * 1e3;
        println!(
            "{name}: cold {:.0} ms, warm p50 {:.3} ms, p99 {:.3} ms, p999 {:.3} ms",
            cold.as_secs_f64() * 1e3,
            at(0.5),
            at(0.99),
            at(0.999),
        );
    }
    functions.shutdown().await;
    Ok(())
}

fn package(file: &str, code: &str) -> Result<Bytes, zip::result::ZipError> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file(file, zip::write::SimpleFileOptions::default())?;
    writer.write_all(code.as_bytes())?;
    Ok(Bytes::from(writer.finish()?.into_inner()))
}

fn function(name: &str, runtime: &str, package: Bytes) -> NewFunction {
    NewFunction {
        name: name.into(),
        runtime: runtime.into(),
        handler: "app.handler".into(),
        timeout_seconds: 10,
        memory_mib: 256,
        package,
        ..NewFunction::default()
    }
}

async fn invoke(functions: &Functions, name: &str) -> Result<(), Box<dyn std::error::Error>> {
    let payload = Bytes::from_static(br#"{"symbol":"MSFT","shares":20}"#);
    let invocation = Invocation {
        function: name.to_owned(),
        payload,
        source: "bench".into(),
        client_context: None,
        log_tail: false,
    };
    let outcome = functions.invoke(invocation).await?;
    match outcome.error {
        None => Ok(()),
        Some(_) => Err(String::from_utf8_lossy(&outcome.payload).into_owned().into()),
    }
}
