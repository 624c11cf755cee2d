//! Commands that ask a running node and print its answer.

use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::apply::Request as ApplyRequest;
use crate::cli::{DialectName, KeysArgs, LogsArgs, NodeArgs, PipelineArgs, QueryArgs, TailArgs, TraceArgs};
use crate::remote::Remote;

/// `millstream apply FILE`
///
/// # Errors
/// Mistakes in the file, or the node's refusal.
pub async fn apply(args: &PipelineArgs) -> anyhow::Result<()> {
    let request = ApplyRequest::read(&args.file)?;
    let body = Bytes::from(serde_json::to_vec(&request)?);
    let mut failed = false;
    let remote = Remote::new(&args.node.data);
    remote
        .follow(Method::POST, "/admin/apply", body, |line| {
            failed |= line.starts_with("error");
            println!("{line}");
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
    let dialect = match args.dialect {
        DialectName::Kinesis => "kinesis",
        DialectName::StreamAnalytics => "stream_analytics",
    };
    let from = if args.from_start { "trim_horizon" } else { "latest" };
    let body = json!({ "sql": args.sql, "dialect": dialect, "from": from });
    print_lines(&args.node.data, Method::POST, "/api/query", Bytes::from(body.to_string()), args.limit).await
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
        println!("{:<26}{}", text("time"), text("text"));
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
        println!("{kind}");
        for resource in resources {
            println!("  {}", describe(resource));
        }
    }
    Ok(())
}

/// `millstream keys NAMESPACE [HUB]`
///
/// # Errors
/// No such namespace or hub, or no node.
pub async fn keys(args: &KeysArgs) -> anyhow::Result<()> {
    let hub = args.hub.as_deref().map(|hub| format!("/{}", escape(hub))).unwrap_or_default();
    let path = format!("/admin/keys/{}{hub}", escape(&args.namespace));
    let answer = Remote::new(&args.node.data).ask_whole(Method::GET, &path, Bytes::new()).await?;
    print!("{}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// A resource's name, then its other plain fields.
fn describe(resource: &Value) -> String {
    let Some(fields) = resource.as_object() else { return resource.to_string() };
    let name = fields.get("name").and_then(Value::as_str).unwrap_or_default();
    let rest = fields.iter().filter(|(field, value)| *field != "name" && !value.is_object() && !value.is_array());
    rest.fold(format!("{name:<32}"), |line, (field, value)| match value {
        Value::String(text) => format!("{line} {field}={text}"),
        other => format!("{line} {field}={other}"),
    })
}

async fn print_lines(data: &Path, method: Method, path: &str, body: Bytes, limit: Option<usize>) -> anyhow::Result<()> {
    let mut left = limit.unwrap_or(usize::MAX);
    let remote = Remote::new(data);
    let lines = remote.follow(method, path, body, |line| {
        println!("{line}");
        left -= 1;
        left > 0
    });
    tokio::select! {
        ended = lines => Ok(ended?),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

fn escape(part: &str) -> String {
    utf8_percent_encode(part, NON_ALPHANUMERIC).to_string()
}
