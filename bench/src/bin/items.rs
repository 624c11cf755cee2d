//! Durable puts and gets of items, in the process: throughput, latency, CPU and memory.
//!
//! `items [FOLDER]` measures the disk under that folder; without it that of temporary files.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hdrhistogram::Histogram;
use millstream_bench::figures::{Usage, histogram, micros, print};
use millstream_catalog::{Catalog, KeyAttribute, KeyType};
use millstream_storage::{Storage, StorageOptions};
use millstream_table::{AttributeValue, Item, NewTable, Put, TableError, Tables};
use millstream_types::SystemClock;

/// Bytes of an item beside its key.
const FILLING: usize = 200;
const ITEMS: u64 = 20_000;
const CLIENTS: [u64; 3] = [1, 16, 128];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let temporary = tempfile::tempdir()?;
    let folder = std::env::args().nth(1).map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let clock = Arc::new(SystemClock);
    let (storage, _recovery) = Storage::open(StorageOptions::new(folder), clock.clone())?;
    let tables = Tables::new(storage.clone(), Catalog::open(&storage)?, clock);
    let hash_key = KeyAttribute { name: "id".into(), key_type: KeyType::Number };
    let new = NewTable {
        name: "bench".into(),
        hash_key,
        sort_key: None,
        provisioned: None,
        changes: None,
        indexes: Vec::new(),
        tags: Default::default(),
        owner: Default::default(),
        item_bytes_max: millstream_catalog::TABLE_ITEM_BYTES_MAX,
    };
    tables.create(new).await?;
    for clients in CLIENTS {
        // One client waits for the disk each time: fewer items say as much.
        let items = if clients == 1 { ITEMS / 20 } else { ITEMS };
        measure("put", &tables, clients, items).await?;
        measure("get", &tables, clients, items).await?;
    }
    Ok(())
}

fn key(number: u64) -> Item {
    Item::from([("id".into(), AttributeValue::Number(number.into()))])
}

async fn measure(operation: &'static str, tables: &Tables, clients: u64, items: u64) -> anyhow::Result<()> {
    let before = Usage::of(std::process::id());
    let (next, start) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let tasks: Vec<_> =
        (0..clients).map(|_| tokio::spawn(work(operation, tables.clone(), Arc::clone(&next), items))).collect();
    let mut latencies = histogram();
    for task in tasks {
        latencies.add(task.await??)?;
    }
    let after = Usage::of(std::process::id());
    let (name, count) = (format!("{operation}, {clients} clients"), latencies.len());
    print(&name, count, count * FILLING as u64, start.elapsed(), &latencies, Some((before, after)));
    Ok(())
}

async fn work(operation: &str, tables: Tables, next: Arc<AtomicU64>, items: u64) -> Result<Histogram<u64>, TableError> {
    let mut latencies = histogram();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= items {
            return Ok(latencies);
        }
        let start = Instant::now();
        if operation == "put" {
            let mut item = key(number);
            item.insert("filling".into(), AttributeValue::String("x".repeat(FILLING)));
            tables.put("bench", Put { item, condition: None, return_old: false }).await?;
        } else {
            tables.get("bench", &key(number)).await?;
        }
        latencies.saturating_record(micros(start.elapsed()));
    }
}
