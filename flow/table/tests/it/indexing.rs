//! Indexes of a table in use: filled in the background, kept by all writes meanwhile, removed whole.

use std::sync::Arc;

use millstream_catalog::{Catalog, IndexProjection, IndexState, KeyAttribute, KeyType, TableIndex};
use millstream_storage::Storage;
use millstream_table::expression::KeyCondition;
use millstream_table::{Deletion, Item, Put, Query, Scan, TableError, Tables};
use millstream_types::ManualClock;

use crate::{key, new_table, number, text, trade};

fn open(storage: &Storage) -> Tables {
    let clock = Arc::new(ManualClock::at(0));
    Tables::new(storage.clone(), Catalog::open(storage).unwrap(), clock)
}

fn by_market() -> TableIndex {
    TableIndex {
        name: "by-market".into(),
        number: 0,
        hash_key: KeyAttribute { name: "market".into(), key_type: KeyType::String },
        sort_key: None,
        projection: IndexProjection::All,
        local: false,
        provisioned: None,
        state: IndexState::Active,
    }
}

fn listed(at: i64) -> Item {
    let mut item = trade("A", at, 5);
    item.insert("market".into(), text("X"));
    item
}

async fn put(tables: &Tables, item: Item) {
    tables.put("trades", Put { item, condition: None, return_old: false }).await.unwrap();
}

async fn found(tables: &Tables) -> Result<usize, TableError> {
    let all = Scan { index: Some("by-market".into()), ..Scan::default() };
    Ok(tables.scan("trades", all).await?.items.len())
}

fn state(tables: &Tables) -> Option<IndexState> {
    tables.table("trades").unwrap().indexes.first().map(|index| index.state)
}

#[tokio::test]
async fn a_new_index_has_what_was_there_before_and_what_came_meanwhile() {
    let storage = Storage::in_memory(Arc::new(ManualClock::at(0)));
    let tables = open(&storage);
    tables.create(new_table("trades")).await.unwrap();
    for at in 0..250 {
        put(&tables, listed(at)).await;
    }
    // Its attribute cannot be the index's key: it has no entry, and can still be written.
    let mut wrong = trade("B", 1, 1);
    wrong.insert("market".into(), number(1));
    put(&tables, wrong).await;

    tables.add_index("trades", by_market()).await.unwrap();
    assert!(matches!(found(&tables).await, Err(TableError::IndexFilling { .. })));
    let other = TableIndex { name: "other".into(), ..by_market() };
    for new in [by_market(), other] {
        assert!(matches!(tables.add_index("trades", new).await, Err(TableError::IndexChanging { .. })));
    }
    put(&tables, listed(250)).await;
    for gone in [key("A", 3), key("B", 1)] {
        tables.delete_item("trades", Deletion { key: gone, condition: None, return_old: false }).await.unwrap();
    }
    // A restart comes before it is filled.
    let tables = open(&storage);
    assert_eq!(state(&tables), Some(IndexState::Filling));
    tables.settle_indexes().await.unwrap();
    assert_eq!((state(&tables), found(&tables).await.unwrap()), (Some(IndexState::Active), 250));
    let query = Query {
        condition: KeyCondition { hash: text("X"), sort: None },
        reverse: false,
        limit: None,
        start: None,
        filter: None,
        projection: None,
        consistent: false,
        index: Some("by-market".into()),
        whole: false,
    };
    assert_eq!(tables.query("trades", query).await.unwrap().items.len(), 250);
}

#[tokio::test]
async fn a_removed_index_leaves_nothing_to_one_of_its_name() {
    let storage = Storage::in_memory(Arc::new(ManualClock::at(0)));
    let tables = open(&storage);
    tables.create(new_table("trades")).await.unwrap();
    tables.add_index("trades", by_market()).await.unwrap();
    tables.settle_indexes().await.unwrap();
    put(&tables, listed(1)).await;
    assert_eq!(found(&tables).await.unwrap(), 1);
    assert!(matches!(tables.remove_index("trades", "none").await, Err(TableError::IndexNotFound { .. })));
    tables.remove_index("trades", "by-market").await.unwrap();
    assert!(matches!(found(&tables).await, Err(TableError::IndexNotFound { .. })));
    assert!(matches!(tables.remove_index("trades", "by-market").await, Err(TableError::IndexChanging { .. })));
    put(&tables, listed(2)).await;
    let tables = open(&storage);
    tables.settle_indexes().await.unwrap();
    assert_eq!(state(&tables), None);
    tables.add_index("trades", by_market()).await.unwrap();
    assert_eq!(tables.table("trades").unwrap().indexes[0].number, 1, "a number is not given twice");
    // One that is being filled may go, too.
    tables.remove_index("trades", "by-market").await.unwrap();
    tables.settle_indexes().await.unwrap();
    tables.add_index("trades", by_market()).await.unwrap();
    tables.settle_indexes().await.unwrap();
    assert_eq!(found(&tables).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_and_filling_do_not_miss_each_other() {
    let storage = Storage::in_memory(Arc::new(ManualClock::at(0)));
    let tables = open(&storage);
    tables.create(new_table("trades")).await.unwrap();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let tables = tables.clone();
            tokio::spawn(async move {
                for at in 0..300 {
                    let item = listed(writer * 1_000 + at);
                    let new = || Put { item: item.clone(), condition: None, return_old: false };
                    // Whose table's indexes changed under it writes again, as clients do.
                    while let Err(error) = tables.put("trades", new()).await {
                        assert!(matches!(error, TableError::IndexesChanged { .. }), "{error}");
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    tokio::task::yield_now().await;
    tables.add_index("trades", by_market()).await.unwrap();
    tables.settle_indexes().await.unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(found(&tables).await.unwrap(), 1_200);
}
