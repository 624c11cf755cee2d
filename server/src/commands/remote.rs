//! Commands that ask a running node and print its answer.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::missed::Missed;
use crate::apply::Request as ApplyRequest;
use crate::cli::{
    DialectName, FunctionArgs, KeysArgs, LogsArgs, NodeArgs, PipelineArgs, QueryArgs, SampleArgs, TailArgs, TestArgs,
    TraceArgs, UsageArgs, UsageFormat,
};
use crate::remote::Remote;

/// `millstream apply FILE`
///
/// # Errors
/// Mistakes in the file, or the node's refusal.
pub async fn apply(args: &PipelineArgs) -> anyhow::Result<()> {
    let remote = Remote::new(&args.node.data);
    let known = remote.ask_whole(Method::GET, "/admin/known", Bytes::new()).await?;
    let known = serde_json::from_slice(&known).context("the node's answer is no JSON")?;
    let request = ApplyRequest::read(&args.file, &known)?;
    let body = Bytes::from(serde_json::to_vec(&request)?);
    let mut failed = false;
    remote
        .follow(Method::POST, "/admin/apply", body, |line| {
            failed |= line.starts_with("error");
            say(line);
            true
        })
        .await?;
    anyhow::ensure!(!failed, "not everything was applied");
    Ok(())
}

/// `millstream tail STREAM`
///
/// # Errors
/// No such stream, or no node.
pub async fn tail(args: &TailArgs) -> anyhow::Result<()> {
    let from = if args.from_start { "trim_horizon" } else { "latest" };
    let limit = args.limit.map(|limit| format!("&limit={limit}")).unwrap_or_default();
    let path = format!("/api/streams/{}/tail?from={from}{limit}", escape(&args.stream));
    print_lines(&args.node.data, Method::GET, &path, Bytes::new(), args.limit).await
}

/// `millstream query SQL`
///
/// # Errors
/// The planner's errors, or no node.
pub async fn query(args: &QueryArgs) -> anyhow::Result<()> {
    let dialect = dialect_word(args.dialect);
    let from = if args.from_start { "trim_horizon" } else { "latest" };
    let body = json!({ "sql": args.sql, "dialect": dialect, "from": from, "notices": true });
    let (mut left, mut missed, mut error) = (args.limit.unwrap_or(usize::MAX), Missed::default(), None);
    if left == 0 {
        return Ok(());
    }
    let remote = Remote::new(&args.node.data);
    let lines = remote.follow(Method::POST, "/api/query", Bytes::from(body.to_string()), |line| {
        let told: Value = serde_json::from_str(line).unwrap_or_default();
        if let Some(row) = told.get("row") {
            say(&row.to_string());
            left -= 1;
        } else if let Some(notice) = told.get("missed") {
            missed.note(notice);
        } else {
            error = told.get("error").and_then(Value::as_str).map(str::to_owned);
        }
        left > 0
    });
    tokio::select! {
        ended = lines => ended?,
        _ = tokio::signal::ctrl_c() => {}
    }
    missed.tell();
    error.map_or(Ok(()), |error| Err(anyhow::anyhow!(error)))
}

/// `millstream sample STREAM`
///
/// # Errors
/// No such stream, a file that cannot be written, or no node.
pub async fn sample(args: &SampleArgs) -> anyhow::Result<()> {
    let from = if args.from_start { "trim_horizon" } else { "latest" };
    let (limit, seconds) = (args.limit, args.seconds);
    let path = format!("/api/streams/{}/sample?from={from}&limit={limit}&seconds={seconds}", escape(&args.stream));
    let Some(file) = &args.out else {
        return print_lines(&args.node.data, Method::GET, &path, Bytes::new(), None).await;
    };
    let mut taken = String::new();
    let remote = Remote::new(&args.node.data);
    let lines = remote.follow(Method::GET, &path, Bytes::new(), |line| {
        taken.push_str(line);
        taken.push('\n');
        true
    });
    tokio::select! {
        ended = lines => ended?,
        // What was taken so far is the sample then.
        _ = tokio::signal::ctrl_c() => {}
    }
    std::fs::write(file, &taken).with_context(|| format!("cannot write {}", file.display()))?;
    say(&format!("{} events in {}", taken.lines().count(), file.display()));
    Ok(())
}

/// `millstream test --query NAME --input NAME=FILE`
///
/// # Errors
/// Mistakes of the text or the samples, files that cannot be read, or no node.
pub async fn test(args: &TestArgs) -> anyhow::Result<()> {
    let read = |file: &Path| std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()));
    let mut samples = serde_json::Map::new();
    for input in &args.input {
        let (name, file) = input.split_once('=').with_context(|| format!("expected NAME=FILE, found {input}"))?;
        samples.insert(name.to_owned(), Value::String(read(Path::new(file))?));
    }
    let sql = args.sql.as_deref().map(read).transpose()?;
    let dialect = args.dialect.map(dialect_word);
    let ask = json!({ "query": args.query, "sql": sql, "dialect": dialect, "samples": samples });
    let answer =
        Remote::new(&args.node.data).ask_whole(Method::POST, "/api/test", Bytes::from(ask.to_string())).await?;
    let trial: Value = serde_json::from_slice(&answer).context("the node's answer is no JSON")?;
    for output in trial["outputs"].as_array().into_iter().flatten() {
        say(output["name"].as_str().unwrap_or_default());
        output["rows"].as_array().into_iter().flatten().for_each(|row| say(&row.to_string()));
    }
    for error in trial["errors"].as_array().into_iter().flatten() {
        let text = |field: &str| error[field].as_str().unwrap_or_default().to_owned();
        let place = error["line"].as_u64().map(|line| format!("{}, line {line}: ", text("input")));
        eprintln!("{}{}: {}", place.unwrap_or_default(), text("kind"), text("detail"));
    }
    Ok(())
}

fn dialect_word(dialect: DialectName) -> &'static str {
    match dialect {
        DialectName::Kinesis => "kinesis",
        DialectName::StreamAnalytics => "stream_analytics",
        DialectName::Standard => "standard",
    }
}

/// `millstream logs FUNCTION`
///
/// # Errors
/// No such function, or no node.
pub async fn logs(args: &LogsArgs) -> anyhow::Result<()> {
    let path = format!("/api/functions/{}/logs?follow={}", escape(&args.function), args.follow);
    print_lines(&args.node.data, Method::GET, &path, Bytes::new(), None).await
}

/// `millstream trace ID`
///
/// # Errors
/// No such record, or no node.
pub async fn trace(args: &TraceArgs) -> anyhow::Result<()> {
    let path = format!("/api/trace/{}", escape(&args.id));
    let answer = Remote::new(&args.node.data).ask_whole(Method::GET, &path, Bytes::new()).await?;
    let story: Value = serde_json::from_slice(&answer).context("the node's answer is no JSON")?;
    for step in story.get("steps").and_then(Value::as_array).into_iter().flatten() {
        let text = |field: &str| step.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        say(&format!("{:<26}{}", text("time"), text("text")));
    }
    Ok(())
}

/// `millstream status`
///
/// # Errors
/// No node.
pub async fn status(args: &NodeArgs) -> anyhow::Result<()> {
    let answer = Remote::new(&args.data).ask_whole(Method::GET, "/api/status", Bytes::new()).await?;
    let status: Value = serde_json::from_slice(&answer).context("the node's answer is no JSON")?;
    for (kind, resources) in status.as_object().into_iter().flatten() {
        let Some(resources) = resources.as_array().filter(|resources| !resources.is_empty()) else { continue };
        say(kind);
        for resource in resources {
            say(&format!("  {}", describe(resource)));
        }
    }
    Ok(())
}

/// `millstream keys [NAMESPACE [HUB]]`
///
/// # Errors
/// No such namespace or hub, or no node.
pub async fn keys(args: &KeysArgs) -> anyhow::Result<()> {
    if let Some(name) = &args.create {
        let new = Bytes::from(json!({ "name": name, "plan": args.plan }).to_string());
        let answer = Remote::new(&args.node.data).ask_whole(Method::POST, "/admin/api-keys", new).await?;
        say(String::from_utf8_lossy(&answer).trim_end());
        return Ok(());
    }
    let part = |name: &Option<String>| name.as_deref().map(|name| format!("/{}", escape(name))).unwrap_or_default();
    let path = format!("/admin/keys{}{}", part(&args.namespace), part(&args.hub));
    let answer = Remote::new(&args.node.data).ask_whole(Method::GET, &path, Bytes::new()).await?;
    say(String::from_utf8_lossy(&answer).trim_end());
    Ok(())
}

/// `millstream function invocations NAME`
///
/// # Errors
/// No such function, or no node.
pub async fn invocations(args: &FunctionArgs) -> anyhow::Result<()> {
    let path = format!("/api/functions/{}/invocations", escape(&args.name));
    print_lines(&args.node.data, Method::GET, &path, Bytes::new(), None).await
}

/// `millstream usage export`
///
/// # Errors
/// No such plan, no such day, or no node.
pub async fn export_usage(args: &UsageArgs) -> anyhow::Result<()> {
    let format = match args.format {
        UsageFormat::Csv => "csv",
        UsageFormat::Cloudevents => "cloudevents",
    };
    let mut path = format!("/api/usage?format={format}&open={}", args.open);
    for (name, value) in [("plan", &args.plan), ("from", &args.from), ("to", &args.to)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", escape(value)));
        }
    }
    print_lines(&args.node.data, Method::GET, &path, Bytes::new(), None).await
}

/// Prints a line. When whoever reads has gone (`| head`), that is an end and no error.
pub(super) fn say(line: &str) {
    if writeln!(std::io::stdout(), "{line}").is_err() {
        std::process::exit(0);
    }
}

/// A resource's name, then its other plain fields; milliseconds as people say them.
fn describe(resource: &Value) -> String {
    let Some(fields) = resource.as_object() else { return resource.to_string() };
    let name = fields.get("name").and_then(Value::as_str).unwrap_or_default();
    let plain = |value: &Value| !(value.is_object() || value.is_array() || value.is_null());
    let rest = fields.iter().filter(|(field, value)| *field != "name" && plain(value));
    rest.fold(format!("{name:<32}"), |line, (field, value)| match (field.strip_suffix("_ms"), value) {
        (Some(what), Value::Number(millis)) => {
            format!("{line} {what}={}", duration(millis.as_f64().unwrap_or_default()))
        }
        (_, Value::String(text)) => format!("{line} {field}={text}"),
        (_, other) => format!("{line} {field}={other}"),
    })
}

/// `950ms`, `1.2s`, `12min`, `3.5h`.
fn duration(millis: f64) -> String {
    match millis.abs() {
        ..1e3 => format!("{millis:.0}ms"),
        1e3..6e4 => format!("{:.1}s", millis / 1e3),
        6e4..36e5 => format!("{:.0}min", millis / 6e4),
        _ => format!("{:.1}h", millis / 36e5),
    }
}

async fn print_lines(data: &Path, method: Method, path: &str, body: Bytes, limit: Option<usize>) -> anyhow::Result<()> {
    let mut left = limit.unwrap_or(usize::MAX);
    if left == 0 {
        return Ok(());
    }
    let remote = Remote::new(data);
    let lines = remote.follow(method, path, body, |line| {
        say(line);
        left -= 1;
        left > 0
    });
    tokio::select! {
        ended = lines => Ok(ended?),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

pub(super) fn escape(part: &str) -> String {
    utf8_percent_encode(part, NON_ALPHANUMERIC).to_string()
}
