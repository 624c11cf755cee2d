//! How many items and bytes tables hold: counted when they changed, kept, and gone with the table.

use std::sync::Arc;

use millstream_catalog::{Catalog, IndexProjection, KeyAttribute, KeyType, TableIndex};
use millstream_storage::Storage;
use millstream_table::{NewTable, Put, Size, TableSize, Tables, item};
use millstream_types::ManualClock;

use crate::{new_table, trade};

fn engine(storage: &Storage, clock: &Arc<ManualClock>) -> Tables {
    Tables::new(storage.clone(), Catalog::open(storage).unwrap(), clock.clone())
}

async fn put(tables: &Tables, time: i64) {
    tables.put("trades", Put { item: trade("A", time, 7), condition: None, return_old: false }).await.unwrap();
}

async fn size(tables: &Tables) -> TableSize {
    tables.size(&tables.table("trades").unwrap()).await.unwrap()
}

#[tokio::test]
async fn what_changed_is_counted_when_its_time_has_come() {
    let clock = Arc::new(ManualClock::at(1_000));
    let storage = Storage::in_memory(clock.clone());
    let tables = engine(&storage, &clock);
    let index = TableIndex {
        name: "by-shares".into(),
        number: 3,
        hash_key: KeyAttribute { name: "symbol".into(), key_type: KeyType::String },
        sort_key: Some(KeyAttribute { name: "shares".into(), key_type: KeyType::Number }),
        projection: IndexProjection::KeysOnly,
        local: false,
        provisioned: None,
        state: Default::default(),
    };
    tables.create(NewTable { indexes: vec![index], ..new_table("trades") }).await.unwrap();
    put(&tables, 1).await;
    assert_eq!(size(&tables).await, TableSize::default(), "not counted yet");
    tables.count_sizes().await.unwrap();
    let one = Size { items: 1, bytes: item::size(&trade("A", 1, 7)) as u64 };
    assert_eq!(size(&tables).await, TableSize { table: one, indexes: [(3, one)].into() });
    put(&tables, 2).await;
    tables.count_sizes().await.unwrap();
    assert_eq!(size(&tables).await.table, one, "counted a moment ago");
    clock.advance(1_000);
    tables.count_sizes().await.unwrap();
    let two = Size { items: 2, bytes: 2 * one.bytes };
    assert_eq!(size(&tables).await.table, two);
    // Another start: what was counted is there.
    let again = engine(&storage, &clock);
    assert_eq!(size(&again).await.table, two);
    again.delete("trades").await.unwrap();
    again.create(new_table("trades")).await.unwrap();
    assert_eq!(size(&again).await, TableSize::default());
}
