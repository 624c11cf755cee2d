//! Provisioned tables refuse what is over their capacity, and say what requests count for.

use std::sync::Arc;

use millstream_catalog::Catalog;
use millstream_insight::Metrics;
use millstream_storage::Storage;
use millstream_table::{BatchGet, BatchWrite, Item, NewTable, Put, Scan, TableError, Tables, Token, TransactWrite};
use millstream_types::ManualClock;

use crate::{key, new_table, text, trade};

async fn world(provisioned: Option<(u64, u64)>) -> (Arc<ManualClock>, Metrics, Tables) {
    let clock = Arc::new(ManualClock::at(0));
    let storage = Storage::in_memory(clock.clone());
    let metrics = Metrics::new(clock.clone());
    let tables = Tables::new(storage.clone(), Catalog::open(&storage).unwrap(), clock.clone());
    let tables = tables.counting(metrics.clone());
    tables.create(NewTable { provisioned, ..new_table("trades") }).await.unwrap();
    (clock, metrics, tables)
}

async fn put(tables: &Tables, item: Item) -> Result<f64, TableError> {
    Ok(tables.put("trades", Put { item, condition: None, return_old: false }).await?.units)
}

fn large(time: i64, bytes: usize) -> Item {
    let mut item = key("A", time);
    item.insert("filling".into(), text(&"x".repeat(bytes)));
    item
}

#[tokio::test]
async fn writes_over_the_capacity_are_refused_until_time_brings_more() {
    let (clock, metrics, tables) = world(Some((5, 2))).await;
    assert_eq!(put(&tables, trade("A", 1, 1)).await.unwrap(), 1.0);
    put(&tables, trade("A", 2, 1)).await.unwrap();
    assert!(matches!(put(&tables, trade("A", 3, 1)).await, Err(TableError::Throttled { .. })));
    assert_eq!(tables.get("trades", &key("A", 3)).await.unwrap(), None);
    clock.advance(500);
    put(&tables, trade("A", 3, 1)).await.unwrap();
    clock.advance(2_000);
    assert_eq!(put(&tables, large(4, 2_500)).await.unwrap(), 3.0);
    assert_eq!(put(&tables, trade("A", 4, 1)).await.unwrap(), 3.0, "the larger of the two items counts");
    assert!(matches!(put(&tables, trade("A", 5, 1)).await, Err(TableError::Throttled { .. })));
    assert_eq!(metrics.counter("write_capacity_half_units", "table/trades").value(), 2 * 9);
    assert_eq!(metrics.counter("throttled_requests", "table/trades").value(), 2);

    tables.set_provisioned("trades", None).await.unwrap();
    for time in 0..100 {
        put(&tables, trade("A", time, 1)).await.unwrap();
    }
}

#[tokio::test]
async fn reads_count_by_their_bytes_and_consistency() {
    let (clock, _, tables) = world(Some((2, 100))).await;
    put(&tables, large(1, 5_000)).await.unwrap();
    clock.advance(10_000);
    assert_eq!(tables.read("trades", &key("A", 1), true).await.unwrap().units, 2.0);
    assert_eq!(tables.read("trades", &key("A", 1), false).await.unwrap().units, 1.0);
    let page = tables.scan("trades", Scan { consistent: false, ..Scan::default() }).await.unwrap();
    assert_eq!(page.units, 1.0);
    for _ in 0..8 {
        tables.read("trades", &key("A", 1), true).await.unwrap();
    }
    assert!(matches!(tables.read("trades", &key("A", 1), false).await, Err(TableError::Throttled { .. })));
}

#[tokio::test]
async fn batches_leave_undone_what_there_is_no_capacity_for() {
    let (clock, _, tables) = world(Some((1, 3))).await;
    let writes: Vec<_> = (0..5).map(|time| ("trades".to_owned(), BatchWrite::Put(trade("A", time, 1)))).collect();
    let written = tables.batch_write(&writes).await.unwrap();
    assert_eq!((written.unprocessed, written.units["trades"]), (vec![3, 4], 3.0));
    assert!(matches!(tables.batch_write(&writes).await, Err(TableError::Throttled { .. })));
    clock.advance(2_000);
    let get = |time| BatchGet { table: "trades".to_owned(), key: key("A", time), consistent: true };
    let got = tables.batch_get(&[0, 1, 2, 3].map(get)).await.unwrap();
    assert_eq!((got.unprocessed, got.units["trades"]), (vec![2, 3], 2.0));
    assert_eq!(got.items[..2], [Some(trade("A", 0, 1)), Some(trade("A", 1, 1))]);
    assert!(matches!(tables.batch_get(&[0].map(get)).await, Err(TableError::Throttled { .. })));
}

#[tokio::test]
async fn transactions_count_double_and_are_refused_as_a_whole() {
    let (clock, _, tables) = world(Some((10, 3))).await;
    let put = |time| {
        let put = Put { item: trade("A", time, 1), condition: None, return_old: false };
        ("trades".to_owned(), TransactWrite::Put(put))
    };
    let written = tables.transact_write(vec![put(1)], None).await.unwrap();
    assert_eq!(written.units["trades"], 2.0);
    let refused = tables.transact_write(vec![put(2), put(3)], None).await;
    let Err(TableError::Cancelled { reasons }) = refused else { panic!("{refused:?}") };
    assert!(matches!(&reasons[..], [None, Some(TableError::Throttled { .. })]), "{reasons:?}");
    let written = tables.transact_write(vec![put(4)], None).await;
    assert!(written.is_ok(), "what the refused one had taken was given back: {written:?}");
    clock.advance(10_000);
    let got = tables.transact_get(vec![("trades".into(), key("A", 1)), ("trades".into(), key("A", 2))]).await.unwrap();
    assert_eq!((got.items, got.units["trades"]), (vec![Some(trade("A", 1, 1)), None], 4.0));
}

#[tokio::test]
async fn transactions_that_are_not_tried_cost_nothing() {
    let (clock, _, tables) = world(Some((10, 100))).await;
    let put = |time, bytes| {
        let put = Put { item: large(time, bytes), condition: None, return_old: false };
        vec![("trades".to_owned(), TransactWrite::Put(put))]
    };
    let token = |fingerprint| Some(Token { text: "once".to_owned(), fingerprint });
    tables.transact_write(put(1, 20_000), token(1)).await.unwrap();
    for _ in 0..20 {
        assert_eq!(tables.transact_write(put(1, 20_000), token(1)).await.unwrap().units.len(), 0);
        let reused = tables.transact_write(put(1, 20_000), token(2)).await;
        assert!(matches!(reused, Err(TableError::TokenReused { .. })), "{reused:?}");
    }
    clock.advance(1);
    assert!(tables.transact_write(put(2, 1), None).await.is_ok());
}
