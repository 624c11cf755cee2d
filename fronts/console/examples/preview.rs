//! The console over engines in memory with made-up traffic, to look at pages without a node:
//! `cargo run -p millstream-console --example preview`, then http://127.0.0.1:8090.

#[path = "../tests/it/world.rs"]
mod world;

use std::sync::Arc;
use std::time::Duration;

use millstream_insight::trail::Step;
use millstream_types::SystemClock;
use world::World;

const SYMBOLS: [&str; 6] = ["MSFT", "AMZN", "GOOG", "AAPL", "NVDA", "ORCL"];

#[tokio::main]
async fn main() {
    let folder = std::env::temp_dir().join("millstream-preview");
    let world = World::new(Arc::new(SystemClock), &folder).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8090").await.unwrap();
    tokio::spawn(axum::serve(listener, world.router()).into_future());
    println!("http://127.0.0.1:8090");
    let mut dice: u64 = 42;
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    for tick in 0u64.. {
        ticks.tick().await;
        for _ in 0..(4 + tick / 40 % 7) {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            trade(&world, dice >> 33).await;
        }
        if tick % 10 == 0 {
            world.insight.metrics.sample();
            results(&world, tick).await;
        }
    }
}

async fn trade(world: &World, dice: u64) {
    let symbol = SYMBOLS[dice as usize % SYMBOLS.len()];
    let (price, shares) = (100.0 + (dice % 9_000) as f64 / 100.0, dice as i64 % 400 - 200);
    let price = format!("{price:.2}");
    let data = format!(r#"{{"symbol":"{symbol}","price":{price},"shares":{shares},"userId":{}}}"#, dice % 10);
    let placement = world.put("delivery/input_transactions", symbol, data.as_bytes()).await;
    world.put("trades", symbol, data.as_bytes()).await;
    let (log, from) = (placement.sequence.log.0, placement.sequence.offset);
    for query in ["share-change-per-minute", "share-change-stream-analytics"] {
        world.insight.trail.mark(Step::Read {
            query: query.into(),
            log,
            from: from.saturating_sub(dice % 40),
            to: from + 1,
        });
        world.insight.metrics.counter("rows_in", &format!("query/{query}")).add(1);
        world.insight.metrics.gauge("watermark_lag_ms", &format!("query/{query}")).set(dice as i64 % 900);
    }
    if dice % 97 == 0 {
        let (query, reason) = ("share-change-per-minute".to_owned(), "unparsable".to_owned());
        let detail = "column `shares` expects INTEGER, found \"many\"".to_owned();
        world.insight.trail.mark(Step::Dropped { query, log, offset: from, reason, detail });
    }
    world.insight.metrics.counter("requests", "api/id6").add(1);
    world.insight.metrics.counter("invocations", "function/PostTransaction").add(1);
    world.insight.metrics.counter("duration_ms", "function/PostTransaction").add(dice % 7);
}

async fn results(world: &World, tick: u64) {
    let output = "query/share-change-per-minute/OUTPUT_STREAM";
    for (index, symbol) in SYMBOLS.iter().enumerate().take(1 + tick as usize / 10 % 3) {
        let row = format!(
            r#"{{"time":"2026-11-21 05:{:02}:00.000","symbol":"{symbol}","shareChange":{}}}"#,
            tick / 600,
            index * 37
        );
        let placement = world.put(output, symbol, row.as_bytes()).await;
        world.insight.metrics.counter("rows_out", "query/share-change-per-minute").add(1);
        world.insight.metrics.counter("invocations", "function/SaveShareChange").add(1);
        world.put_item("share_changes", &format!("05:{:02}", tick / 600), index as u64, "shareChange").await;
        let line = format!("saved the change of {symbol}");
        world.insight.logs.append("/aws/lambda/SaveShareChange", "one", [(world.clock.now(), line)]);
        let (log, from) = (placement.sequence.log.0, placement.sequence.offset);
        let (function, invocation) = ("SaveShareChange".to_owned(), format!("00000000-0000-4000-8000-{from:012}"));
        let outcome = "ok".to_owned();
        world.insight.trail.mark(Step::Delivered {
            log,
            from,
            to: from + 1,
            function: function.clone(),
            invocation: invocation.clone(),
            outcome: outcome.clone(),
        });
        world.insight.trail.mark(Step::ItemWritten {
            table: "share_changes".into(),
            key: format!("05:00, {symbol}"),
            invocation: Some(invocation.clone()),
        });
        world.insight.trail.mark(Step::Invoked { function, invocation, duration_ms: 12, outcome });
    }
}
