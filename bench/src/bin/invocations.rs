//! What invocations cost over their handlers, with functions confined as on a node: cold starts and warm invocations, one
//! after the other, of each runtime that this machine has.
//!
//! `invocations [INVOCATIONS [COLD_STARTS]]`
//!
//! A handler says how long it ran, in milliseconds; that is taken off. The program is also the launcher of processes and the
//! executable `bootstrap` of a function.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Cursor, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millstream_catalog::Catalog;
use millstream_function::confinement::{self, Launcher};
use millstream_function::{DotnetOptions, FunctionChange, Functions, NewFunction, Options};
use millstream_insight::Insight;
use millstream_storage::Storage;
use millstream_types::{Clock, Invocation, Invoke as _, SystemClock};

type Error = Box<dyn std::error::Error>;

const LAUNCH: &str = "function-process";
const BOOTSTRAP: &str = "bootstrap";

const PYTHON: &str = "import time\ndef handler(event, context):\n    begun = time.perf_counter()\n    event['n'] = 1\n    \
                      return (time.perf_counter() - begun) * 1e3\n";
const NODE: &str = "exports.handler = async (event) => {\n  const begun = performance.now();\n  event.n = 1;\n  \
                    return performance.now() - begun;\n};";
const CSHARP: &str = "using System.Collections.Generic;\nusing System.Diagnostics;\npublic class Bench\n{\n    \
                      public double Run(Dictionary<string, object> input)\n    {\n        var watch = Stopwatch.StartNew();\n        \
                      input[\"n\"] = 1;\n        return watch.Elapsed.TotalMilliseconds;\n    }\n}\n";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let done = match arguments.first().and_then(|first| first.to_str()) {
        Some(LAUNCH) => return confinement::launch(&arguments),
        Some(BOOTSTRAP) => bootstrap(),
        _ => measure(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn measure(arguments: &[OsString]) -> Result<(), Error> {
    let count = |at: usize, usual| match arguments.get(at).and_then(|argument| argument.to_str()) {
        Some(count) => count.parse::<usize>(),
        None => Ok(usual),
    };
    let (invocations, cold_starts) = (count(0, 5_000)?, count(1, 30)?);
    let folder = tempfile::tempdir()?;
    let functions = open(folder.path())?;
    println!("confinement: {}", functions.confinement());
    let script = format!("#!/bin/sh\nexec '{}' {BOOTSTRAP}\n", std::env::current_exe()?.display());
    let scripts = [
        ("bootstrap", "provided.al2023", "app", "bootstrap", script.as_str()),
        ("python", "python3.11", "app.handler", "app.py", PYTHON),
        ("nodejs", "nodejs20.x", "app.handler", "app.js", NODE),
    ];
    for (name, runtime, handler, file, code) in scripts {
        functions.create(function(name, runtime, handler, package(file, code.as_bytes())?)).await?;
        report(&functions, name, invocations, cold_starts).await?;
    }
    let (source, assembly) = (folder.path().join("Bench.cs"), folder.path().join("Bench.dll"));
    std::fs::write(&source, CSHARP)?;
    match functions.compile_csharp(&[source], &assembly).await {
        Ok(()) => {
            let package = package("Bench.dll", &std::fs::read(&assembly)?)?;
            functions.create(function("dotnet", "dotnet8", "Bench::Bench::Run", package)).await?;
            report(&functions, "dotnet", invocations, cold_starts).await?;
        }
        Err(error) => println!("dotnet: not measured, {error}; `./test` installs both where `bench/run` finds them"),
    }
    functions.shutdown().await;
    Ok(())
}

async fn report(functions: &Functions, name: &str, invocations: usize, cold_starts: usize) -> Result<(), Error> {
    // The first one unpacks the package and finds the interpreter.
    over_handler(functions, name).await?;
    let mut cold = Vec::with_capacity(cold_starts);
    for round in 0..cold_starts {
        // A function that has changed begins with a new process.
        let change = FunctionChange { description: Some(round.to_string()), ..FunctionChange::default() };
        functions.update(name, change).await?;
        cold.push(over_handler(functions, name).await?);
    }
    let mut warm = Vec::with_capacity(invocations);
    for _ in 0..invocations {
        warm.push(over_handler(functions, name).await?);
    }
    println!("{name}: over the handler: cold {}; warm {}", figures(cold, 1), figures(warm, 3));
    Ok(())
}

/// p50, p99 and p999 in milliseconds.
fn figures(mut taken: Vec<f64>, places: usize) -> String {
    taken.sort_unstable_by(f64::total_cmp);
    let at = |quantile: f64| taken.get((taken.len() as f64 * quantile) as usize).copied().unwrap_or_default();
    format!("p50 {:.places$} ms, p99 {:.places$} ms, p999 {:.places$} ms", at(0.5), at(0.99), at(0.999))
}

/// How long an invocation takes besides its handler, milliseconds.
async fn over_handler(functions: &Functions, name: &str) -> Result<f64, Error> {
    let invocation = Invocation {
        function: name.to_owned(),
        payload: Bytes::from_static(br#"{"symbol":"MSFT","shares":20}"#),
        source: "bench".into(),
        client_context: None,
        log_tail: false,
    };
    let begun = Instant::now();
    let outcome = functions.invoke(invocation).await?;
    let taken = begun.elapsed().as_secs_f64() * 1e3;
    match outcome.error {
        None => Ok(taken - serde_json::from_slice::<f64>(&outcome.payload)?),
        Some(_) => Err(String::from_utf8_lossy(&outcome.payload).into_owned().into()),
    }
}

fn open(folder: &Path) -> Result<Functions, Error> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let storage = Storage::in_memory(Arc::clone(&clock));
    let program = std::env::current_exe()?;
    let named = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
    let options = Options {
        folder: folder.to_owned(),
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
        dotnet: DotnetOptions {
            host: named("MILLSTREAM_DOTNET"),
            compiler: named("MILLSTREAM_CSHARP_COMPILER"),
            references: named("MILLSTREAM_DOTNET_REFERENCES"),
            bootstrap: None,
        },
        launcher: Some(Launcher { program: program.clone(), arguments: vec![LAUNCH.into()] }),
        confinement_required: false,
        readable: vec![program],
        hidden: Vec::new(),
    };
    let insight = Insight::open(&storage, Arc::clone(&clock))?;
    Ok(Functions::open(options, storage.clone(), Catalog::open(&storage)?, insight, clock)?)
}

fn package(file: &str, content: &[u8]) -> Result<Bytes, zip::result::ZipError> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file(file, zip::write::SimpleFileOptions::default())?;
    writer.write_all(content)?;
    Ok(Bytes::from(writer.finish()?.into_inner()))
}

fn function(name: &str, runtime: &str, handler: &str, package: Bytes) -> NewFunction {
    NewFunction {
        name: name.into(),
        runtime: runtime.into(),
        handler: handler.into(),
        timeout_seconds: 10,
        memory_mib: 256,
        package,
        ..NewFunction::default()
    }
}

/// The smallest runtime there can be: answers every event with the no time that its handler takes.
fn bootstrap() -> Result<(), Error> {
    let mut api = BufReader::new(TcpStream::connect(std::env::var("AWS_LAMBDA_RUNTIME_API")?)?);
    api.get_ref().set_nodelay(true)?;
    loop {
        api.get_ref().write_all(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: api\r\n\r\n")?;
        let id = answer(&mut api)?;
        let path = format!("/2018-06-01/runtime/invocation/{id}/response");
        write!(api.get_ref(), "POST {path} HTTP/1.1\r\nhost: api\r\ncontent-length: 3\r\n\r\n0.0")?;
        answer(&mut api)?;
    }
}

/// Reads an answer to its end; gives the invocation that it names.
fn answer(api: &mut BufReader<TcpStream>) -> Result<String, Error> {
    let (mut id, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if api.read_line(&mut line)? == 0 {
            return Err("the node is gone".into());
        }
        match line.trim_end().split_once(": ") {
            Some(("lambda-runtime-aws-request-id", value)) => id = value.to_owned(),
            Some(("content-length", value)) => length = value.parse()?,
            _ if line == "\r\n" => break,
            _ => {}
        }
    }
    api.by_ref().take(length).read_to_end(&mut Vec::new())?;
    Ok(id)
}
