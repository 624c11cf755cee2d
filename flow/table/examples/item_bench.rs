//! Durable puts and gets of items: throughput and latency. `cargo run --release -p millstream-table --example item_bench`
//! with a folder as its argument (default: a temporary one) measures the disk under that folder.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use millstream_catalog::{Catalog, KeyAttribute, KeyType};
use millstream_storage::{Storage, StorageOptions};
use millstream_table::{AttributeValue, Item, NewTable, Put, TableError, Tables};
use millstream_types::SystemClock;

const ITEMS: u64 = 20_000;
const CLIENTS: [u64; 3] = [1, 16, 128];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
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

async fn measure(operation: &'static str, tables: &Tables, clients: u64, items: u64) -> Result<(), TableError> {
    let (next, start) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let tasks: Vec<_> =
        (0..clients).map(|_| tokio::spawn(work(operation, tables.clone(), Arc::clone(&next), items))).collect();
    let mut times = Vec::new();
    for task in tasks {
        match task.await {
            Ok(done) => times.extend(done?),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    let rate = times.len() as f64 / start.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{operation} clients={clients:<4} {rate:>9.0}/s  p50 {:>9.1?}  p99 {:>9.1?}  p999 {:>9.1?}",
        at(0.5),
        at(0.99),
        at(0.999)
    );
    Ok(())
}

async fn work(operation: &str, tables: Tables, next: Arc<AtomicU64>, items: u64) -> Result<Vec<Duration>, TableError> {
    let mut times = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= items {
            return Ok(times);
        }
        let start = Instant::now();
        if operation == "put" {
            let mut item = key(number);
            item.insert("filling".into(), AttributeValue::String("x".repeat(200)));
            tables.put("bench", Put { item, condition: None, return_old: false }).await?;
        } else {
            tables.get("bench", &key(number)).await?;
        }
        times.push(start.elapsed());
    }
}
