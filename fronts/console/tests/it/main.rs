//! The console over engines in memory: every page, every link, every answer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod azure;
mod create;
mod world;

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use millstream_insight::trail::Step;
use millstream_types::ManualClock;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use world::{HOSTILE, World};

/// A world with a record in each stream and every kind of mark, of hostile content where content is free.
async fn lively() -> (World, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(1_700_000_000_000));
    let world = World::new(clock, folder.path()).await;
    world.put("trades", "MSFT", br#"{"symbol":"MSFT","shares":3}"#).await;
    world.put(HOSTILE, HOSTILE, HOSTILE.as_bytes()).await;
    world.put(HOSTILE, "binary", &[0, 255, 7]).await;
    let row = serde_json::json!({ HOSTILE: HOSTILE, "n": 5 }).to_string();
    let row = world.put("query/share-change-per-minute/OUTPUT_STREAM", "k", row.as_bytes()).await;
    let placed = world.put("delivery/input_transactions", HOSTILE, HOSTILE.as_bytes()).await;
    let (log, offset) = (placed.sequence.log.0, placed.sequence.offset);
    for number in 0..120 {
        world.put_item("share_changes", HOSTILE, number, HOSTILE).await;
    }
    let lines = [(1_700_000_000_000, HOSTILE.to_owned())];
    world.insight.logs.append(&format!("/aws/lambda/{HOSTILE}"), "one", lines);
    let text = || HOSTILE.to_owned();
    let marks = [
        Step::Read { query: text(), log, from: 0, to: offset + 1 },
        Step::Dropped { query: text(), log, offset, reason: text(), detail: text() },
        Step::Emitted {
            query: text(),
            output: text(),
            window_start: 0,
            window_end: 60_000,
            key: text(),
            result_log: row.sequence.log.0,
            result_offset: row.sequence.offset,
        },
        Step::Delivered { log, from: 0, to: offset + 1, function: text(), invocation: text(), outcome: text() },
        Step::Invoked { function: text(), invocation: text(), duration_ms: 3, outcome: text() },
        Step::ItemWritten { table: text(), key: text(), invocation: Some(text()) },
        Step::ObjectWritten { log, from: 0, to: offset + 1, bucket: text(), object: text() },
        Step::Expired { reader: "delivery/input_transactions".to_owned(), log, from: 0, to: offset + 1 },
    ];
    marks.into_iter().for_each(|mark| world.insight.trail.mark(mark));
    world.insight.metrics.sample();
    (world, folder)
}

/// Serves the console on a free port of loopback.
async fn serve(world: &World) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, world.router()).into_future());
    address
}

async fn ask(server: SocketAddr, request: Request<Full<Bytes>>) -> Response<Incoming> {
    let stream = TcpStream::connect(server).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender.send_request(request).await.unwrap()
}

fn get(address: &str) -> Request<Full<Bytes>> {
    Request::get(address).header("host", "localhost:8080").body(Full::default()).unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Addresses of links, pictures, scripts and forms of a page.
fn references(html: &str) -> Vec<String> {
    ["href", "src", "action"].iter().flat_map(|name| attributes(html, name)).collect()
}

/// The values of an attribute.
fn attributes(html: &str, name: &str) -> Vec<String> {
    let wanted = format!(" {name}=\"");
    let starts = html.match_indices(&wanted).map(|(at, _)| at + wanted.len());
    let unescape = |text: &str| text.replace("&#38;", "&").replace("&amp;", "&");
    starts.map(|start| unescape(html[start..].split('"').next().unwrap())).collect()
}

#[tokio::test]
async fn a_query_that_is_none_is_refused_with_the_reason() {
    let (world, _folder) = lively().await;
    let server = serve(&world).await;
    let cases = [
        ("{", "EOF"),
        (r#"{"sql":"SELECT 1"}"#, "missing field `dialect`"),
        (r#"{"sql":"SELECT","dialect":"stream_analytics"}"#, "Q101"),
    ];
    for (body, said) in cases {
        let request =
            Request::post("/api/query").header("host", "localhost").header("content-type", "application/json");
        let answer = ask(server, request.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{body}");
        let answer: Value = serde_json::from_str(&text(answer).await).unwrap();
        assert!(answer["message"].as_str().unwrap().contains(said), "{body}: {answer}");
    }
}

#[tokio::test]
async fn every_link_leads_to_a_page_of_our_own() {
    let (world, _folder) = lively().await;
    let server = serve(&world).await;
    let mut seen = BTreeSet::from(["/".to_owned()]);
    let mut open = VecDeque::from(["/".to_owned()]);
    let mut actions = BTreeSet::new();
    while let Some(address) = open.pop_front() {
        let response = ask(server, get(&address)).await;
        // What only takes forms is no page.
        if actions.contains(&address) && response.status() == StatusCode::METHOD_NOT_ALLOWED {
            continue;
        }
        assert_eq!(response.status(), StatusCode::OK, "{address}");
        let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        if !response.headers()["content-type"].to_str().unwrap().starts_with("text/html") {
            continue;
        }
        let html = text(response).await;
        check_markup(&address, &html);
        actions.extend(attributes(&html, "action"));
        for reference in references(&html) {
            if reference == "#main" {
                continue;
            }
            assert!(reference.starts_with('/') && !reference.starts_with("//"), "{address} leads to {reference}");
            if seen.insert(reference.clone()) {
                open.push_back(reference);
            }
        }
    }
    let azure = ["/hubs/default/telemetry/keys", "/topics/power/quiet", "/documents/homes/appliances?after="];
    let others = ["/buckets/archive/binary/content", "/apis/kitchen/%3Cscript", "/trace?id=49"];
    let first = ["/streams/trades", "/delivery/input_transactions", "/tables/share_changes"];
    for expected in first.into_iter().chain(azure).chain(others) {
        assert!(seen.iter().any(|address| address.starts_with(expected)), "no link leads to {expected}: {seen:?}");
    }
}

/// No script but the module, no inline style, nothing hostile unescaped.
fn check_markup(address: &str, html: &str) {
    assert_eq!(html.matches("<script").count(), 1, "{address}");
    assert!(html.contains("<script type=\"module\" src=\"/assets/console.js?v="), "{address}");
    for forbidden in
        ["alert(1)</script>", " style=", " onclick=", " onload=", "javascript:", "=\"http://", "=\"https://"]
    {
        assert!(!html.contains(forbidden), "{address} holds {forbidden}");
    }
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let (world, _folder) = lively().await;
    let server = serve(&world).await;
    for address in [
        "/nothing",
        "/streams/none",
        "/queries/none",
        "/tables/none",
        "/functions/none",
        "/delivery/none",
        "/hubs/default/none",
        "/topics/none",
        "/topics/power/none",
        "/documents/homes/none",
        "/apis/none",
        "/apis/kitchen/none",
    ] {
        let response = ask(server, get(address)).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{address}");
        assert!(text(response).await.contains("there is no "), "{address}");
    }
    for address in ["/api/trace/12", "/api/nothing", "/events?page=/nothing", "/api/streams/none/tail", "/assets/none"]
    {
        let response = ask(server, get(address)).await;
        assert!(response.status().is_client_error(), "{address}");
        assert!(text(response).await.contains("\"message\""), "{address}");
    }
    let foreign = Request::get("/").header("host", "evil.example").body(Full::default()).unwrap();
    assert_eq!(ask(server, foreign).await.status(), StatusCode::FORBIDDEN);
    let post = Request::post("/").header("host", "localhost").body(Full::default()).unwrap();
    assert_eq!(ask(server, post).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_live_page_gets_its_own_fragments() {
    let (world, _folder) = lively().await;
    let server = serve(&world).await;
    let page = text(ask(server, get("/streams/trades")).await).await;
    let response = ask(server, get("/events?page=/streams/trades")).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
    let event = std::str::from_utf8(&frame).unwrap().strip_prefix("data: ").unwrap();
    let fragments: Value = serde_json::from_str(event.trim()).unwrap();
    for (id, html) in fragments.as_object().unwrap() {
        assert!(page.contains(&format!("data-live=\"{id}\"")), "{id}");
        assert!(page.contains(html.as_str().unwrap()), "the first paint of {id} is what is sent");
    }
    assert!(fragments["records"].as_str().unwrap().contains("MSFT"));
}

#[tokio::test]
async fn the_api_tells_what_the_command_line_shows() {
    let (world, _folder) = lively().await;
    let server = serve(&world).await;
    let status: Value = serde_json::from_str(&text(ask(server, get("/api/status")).await).await).unwrap();
    let streams: Vec<_> =
        status["streams"].as_array().unwrap().iter().filter_map(|told| told["name"].as_str()).collect();
    assert!(streams.contains(&"trades") && streams.contains(&"delivery/input_transactions"), "{streams:?}");

    let tail = get("/api/streams/delivery%2Finput_transactions/tail?from=trim_horizon&limit=1");
    let line = text(ask(server, tail).await).await;
    let record: Value = serde_json::from_str(line.trim()).unwrap();
    assert_eq!((record["data"].as_str(), record["partition_key"].as_str()), (Some(HOSTILE), Some(HOSTILE)));

    let id = record["sequence_number"].as_str().unwrap();
    let story: Value = serde_json::from_str(&text(ask(server, get(&format!("/api/trace/{id}"))).await).await).unwrap();
    let steps = story["steps"].as_array().unwrap();
    let told = |word: &str| steps.iter().any(|step| step["text"].as_str().unwrap().starts_with(word));
    for word in ["received for", "appended to", "read by", "dropped by", "delivered to", "item written to", "in object"]
    {
        assert!(told(word), "{word}: {steps:#?}");
    }
    assert!(told("not read yet by share-change-per-minute"));
    assert!(steps.iter().all(|step| step["time"].is_string()));
}

#[tokio::test]
async fn a_record_is_followed_into_its_windows_result_and_to_the_item() {
    let (world, _folder) = lively().await;
    let placed = world.put("delivery/input_transactions", "k", br#"{"symbol":"AMZN","shares":3}"#).await;
    let row = world.put("query/share-change-per-minute/OUTPUT_STREAM", "k", br#"{"symbol":"AMZN"}"#).await;
    let (log, from) = (placed.sequence.log.0, placed.sequence.offset);
    let (result_log, result_offset) = (row.sequence.log.0, row.sequence.offset);
    let (query, function, invocation) =
        ("share-change-per-minute".to_owned(), "SaveShareChange".to_owned(), "0b".to_owned());
    let ok = || "ok".to_owned();
    let emitted = |key: &str| Step::Emitted {
        query: query.clone(),
        output: "OUTPUT_STREAM".into(),
        window_start: 1_699_999_980_000,
        window_end: 1_700_000_040_000,
        key: key.into(),
        result_log: if key == "AMZN" { result_log } else { 0 },
        result_offset,
    };
    let marks = [
        Step::Read { query: query.clone(), log, from, to: from + 1 },
        emitted("MSFT"),
        emitted("AMZN"),
        Step::Delivered {
            log: result_log,
            from: result_offset,
            to: result_offset + 1,
            function: function.clone(),
            invocation: invocation.clone(),
            outcome: ok(),
        },
        Step::ItemWritten { table: "share_changes".into(), key: "AMZN".into(), invocation: Some(invocation.clone()) },
        Step::Invoked { function, invocation, duration_ms: 3, outcome: ok() },
    ];
    marks.into_iter().for_each(|mark| world.insight.trail.mark(mark));
    let answer = ask(serve(&world).await, get(&format!("/api/trace/{}", placed.sequence))).await;
    let story: Value = serde_json::from_str(&text(answer).await).unwrap();
    let told: Vec<&str> =
        story["steps"].as_array().unwrap().iter().map(|step| step["text"].as_str().unwrap()).collect();
    for expected in [
        "read by share-change-per-minute",
        "row emitted by share-change-per-minute OUTPUT_STREAM, window 2023-11-14 22:13:00 to 22:14:00.000, key AMZN",
        "delivered to SaveShareChange ok",
        "item written to share_changes AMZN",
        "ran SaveShareChange ok after 3 ms",
    ] {
        assert!(told.iter().any(|step| step.starts_with(expected)), "{expected}: {told:#?}");
    }
    assert!(!told.iter().any(|step| step.contains("key MSFT")), "{told:#?}");
}

#[tokio::test]
async fn a_tail_follows_what_comes() {
    let (world, _folder) = lively().await;
    let response = ask(serve(&world).await, get("/api/streams/trades/tail?limit=2")).await;
    let mut body = response.into_body();
    world.put("trades", "AMZN", b"one").await;
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(std::str::from_utf8(&first).unwrap().contains("\"one\""));
    world.put("trades", "MSFT", b"two").await;
    let second = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(std::str::from_utf8(&second).unwrap().contains("\"two\""));
    assert!(body.frame().await.is_none(), "the limit ends the answer");
}
