//! The engine over the storage model: writes with conditions, pages, batches.

#![allow(clippy::unwrap_used)]

mod capacity;
mod changes;
mod indexes;
mod indexing;
mod sizes;
mod transactions;

use std::sync::Arc;

use millstream_catalog::{Catalog, KeyAttribute, KeyType};
use millstream_storage::Storage;
use millstream_table::expression::{Condition, KeyCondition, Placeholders, Projection, UpdateExpression};
use millstream_table::{
    AttributeValue, BatchGet, BatchWrite, Deletion, Item, NewTable, Put, Query, Scan, TableError, Tables,
    TransactWrite, Update,
};
use millstream_types::ManualClock;

fn text(value: &str) -> AttributeValue {
    AttributeValue::String(value.into())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::Number(value.to_string().parse().unwrap())
}

fn key(symbol: &str, time: i64) -> Item {
    Item::from([("symbol".into(), text(symbol)), ("time".into(), number(time))])
}

fn trade(symbol: &str, time: i64, shares: i64) -> Item {
    let mut item = key(symbol, time);
    item.insert("shares".into(), number(shares));
    item
}

fn values(shares: i64) -> Placeholders {
    let values = [(":shares".to_owned(), number(shares))].into();
    Placeholders::new(Default::default(), values)
}

async fn tables() -> Tables {
    let clock = Arc::new(ManualClock::at(0));
    let storage = Storage::in_memory(clock.clone());
    let tables = Tables::new(storage.clone(), Catalog::open(&storage).unwrap(), clock);
    tables.create(new_table("trades")).await.unwrap();
    tables
}

fn new_table(name: &str) -> NewTable {
    NewTable {
        name: name.into(),
        hash_key: KeyAttribute { name: "symbol".into(), key_type: KeyType::String },
        sort_key: Some(KeyAttribute { name: "time".into(), key_type: KeyType::Number }),
        provisioned: None,
        changes: None,
        indexes: Vec::new(),
        tags: Default::default(),
        owner: Default::default(),
        item_bytes_max: millstream_catalog::TABLE_ITEM_BYTES_MAX,
    }
}

fn put(item: Item, condition: Option<Condition>) -> Put {
    Put { item, condition, return_old: true }
}

#[tokio::test]
async fn conditions_decide_and_old_items_are_told() {
    let tables = tables().await;
    let unless_there = Condition::parse("attribute_not_exists(shares)", &mut Placeholders::default()).unwrap();
    let first = tables.put("trades", put(trade("A", 1, 5), Some(unless_there.clone()))).await.unwrap();
    assert_eq!(first.old, None);
    let refused = tables.put("trades", put(trade("A", 1, 6), Some(unless_there))).await;
    assert!(matches!(refused, Err(TableError::ConditionFailed { item: Some(item) }) if *item == trade("A", 1, 5)));

    let update = UpdateExpression::parse("ADD shares :shares", &mut values(7)).unwrap();
    let update = Update { key: key("A", 1), update: Some(update), condition: None };
    let updated = tables.update("trades", update).await.unwrap();
    assert_eq!((updated.old, updated.new), (Some(trade("A", 1, 5)), Some(trade("A", 1, 12))));

    let deletion = Deletion { key: key("A", 1), condition: None, return_old: true };
    assert_eq!(tables.delete_item("trades", deletion.clone()).await.unwrap().old, Some(trade("A", 1, 12)));
    assert_eq!(tables.delete_item("trades", deletion).await.unwrap().old, None);
    assert_eq!(tables.get("trades", &key("A", 1)).await.unwrap(), None);
}

#[tokio::test]
async fn what_only_takes_away_makes_no_item() {
    let tables = tables().await;
    let update = |text: &str| {
        let update = (!text.is_empty()).then(|| UpdateExpression::parse(text, &mut Placeholders::default()).unwrap());
        Update { key: key("A", 1), update, condition: None }
    };
    assert_eq!(tables.update("trades", update("REMOVE shares")).await.unwrap().new, None);
    let part = TransactWrite::Update(update("REMOVE shares"));
    tables.transact_write(vec![("trades".to_owned(), part)], None).await.unwrap();
    assert_eq!(tables.get("trades", &key("A", 1)).await.unwrap(), None);
    assert_eq!(tables.update("trades", update("")).await.unwrap().new, Some(key("A", 1)));
    assert_eq!(tables.update("trades", update("REMOVE shares")).await.unwrap().new, Some(key("A", 1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_sums_lose_nothing() {
    let tables = tables().await;
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let tables = tables.clone();
            tokio::spawn(async move {
                let update = UpdateExpression::parse("ADD shares :shares", &mut values(1)).unwrap();
                tables.update("trades", Update { key: key("A", 1), update: Some(update), condition: None }).await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(tables.get("trades", &key("A", 1)).await.unwrap(), Some(trade("A", 1, 50)));
}

fn query(condition: &str, low: i64, high: i64) -> Query {
    let values = [(":s".to_owned(), text("A")), (":low".to_owned(), number(low)), (":high".to_owned(), number(high))];
    let names = [("#t".to_owned(), "time".to_owned())].into();
    let table = millstream_catalog::TableDefinition {
        name: "trades".into(),
        id: 0,
        uuid: String::new(),
        created: 0,
        hash_key: new_table("trades").hash_key,
        sort_key: new_table("trades").sort_key,
        provisioned: None,
        tags: Default::default(),
        owner: Default::default(),
        item_bytes_max: millstream_catalog::TABLE_ITEM_BYTES_MAX,
        changes: None,
        expiry: None,
        indexes: Vec::new(),
        next_index: 0,
    };
    let condition = KeyCondition::parse(
        condition,
        &mut Placeholders::new(names, values.into()),
        &table.hash_key,
        table.sort_key.as_ref(),
    )
    .unwrap();
    Query {
        condition,
        reverse: false,
        limit: None,
        start: None,
        filter: None,
        projection: None,
        consistent: true,
        index: None,
        whole: false,
    }
}

fn times(items: &[Item]) -> Vec<String> {
    items.iter().map(|item| item["time"].to_string()).collect()
}

#[tokio::test]
async fn queries_cover_ranges_in_both_directions() {
    let tables = tables().await;
    for time in -3..7 {
        tables.put("trades", put(trade("A", time, time), None)).await.unwrap();
        tables.put("trades", put(trade("B", time, time), None)).await.unwrap();
    }
    for (condition, low, high, expected) in [
        ("symbol = :s", 0, 0, "-3 -2 -1 0 1 2 3 4 5 6"),
        ("symbol = :s AND #t = :low", 2, 0, "2"),
        ("symbol = :s AND #t < :low", 0, 0, "-3 -2 -1"),
        ("symbol = :s AND #t <= :low", 0, 0, "-3 -2 -1 0"),
        ("symbol = :s AND #t > :low", 4, 0, "5 6"),
        ("#t >= :low AND symbol = :s", 4, 0, "4 5 6"),
        ("symbol = :s AND #t BETWEEN :low AND :high", -1, 1, "-1 0 1"),
    ] {
        let mut query = query(condition, low, high);
        let rising = tables.query("trades", query.clone()).await.unwrap();
        assert_eq!(times(&rising.items).join(" "), expected, "{condition}");
        query.reverse = true;
        let mut falling = times(&tables.query("trades", query).await.unwrap().items);
        falling.reverse();
        assert_eq!(falling.join(" "), expected, "{condition} reversed");
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repeat() {
    let tables = tables().await;
    for time in 0..10 {
        tables.put("trades", put(trade("A", time, time), None)).await.unwrap();
    }
    for reverse in [false, true] {
        let filter = Condition::parse("shares <> :shares", &mut values(4)).unwrap();
        let projection =
            Projection::parse("#t", &mut Placeholders::new([("#t".into(), "time".into())].into(), Item::new()));
        let mut query = Query {
            limit: Some(3),
            reverse,
            filter: Some(filter),
            projection: Some(projection.unwrap()),
            ..query("symbol = :s", 0, 0)
        };
        let (mut seen, mut scanned) = (Vec::new(), Vec::new());
        loop {
            let page = tables.query("trades", query.clone()).await.unwrap();
            assert!(page.items.iter().all(|item| item.len() == 1));
            scanned.push(page.scanned);
            seen.extend(times(&page.items));
            match page.last_key {
                Some(last) => query.start = Some(last),
                None => break,
            }
        }
        if reverse {
            seen.reverse();
        }
        assert_eq!((seen.join(" ").as_str(), scanned.as_slice()), ("0 1 2 3 5 6 7 8 9", &[3, 3, 3, 1][..]));
    }
    let outside = Query { start: Some(key("B", 1)), ..query("symbol = :s", 0, 0) };
    assert!(matches!(tables.query("trades", outside).await, Err(TableError::StartKey)));
}

#[tokio::test]
async fn a_page_ends_at_its_size() {
    let tables = tables().await;
    for time in 0..5 {
        let mut item = key("A", time);
        item.insert("filling".into(), text(&"x".repeat(300 * 1024)));
        tables.put("trades", put(item, None)).await.unwrap();
    }
    let page = tables.query("trades", query("symbol = :s", 0, 0)).await.unwrap();
    assert_eq!((page.items.len(), page.last_key), (4, Some(key("A", 3))));

    let mut large = key("A", 9);
    large.insert("filling".into(), text(&"x".repeat(400 * 1024)));
    assert!(matches!(tables.put("trades", put(large, None)).await, Err(TableError::ItemTooLarge { .. })));
}

#[tokio::test]
async fn segments_share_a_table_out() {
    let tables = tables().await;
    for symbol in 0..60 {
        tables.put("trades", put(trade(&symbol.to_string(), 1, 1), None)).await.unwrap();
    }
    let mut count = 0;
    for segment in 0..4 {
        let scan = Scan { segment: Some((segment, 4)), ..Scan::default() };
        let page = tables.scan("trades", scan).await.unwrap();
        assert!(!page.items.is_empty());
        count += page.items.len();
    }
    assert_eq!(count, 60);
    let outside = Scan { segment: Some((4, 4)), ..Scan::default() };
    assert!(matches!(tables.scan("trades", outside).await, Err(TableError::Segment { .. })));
}

#[tokio::test]
async fn batches_are_all_or_nothing() {
    let tables = tables().await;
    let write = |write: BatchWrite| ("trades".to_owned(), write);
    let writes: Vec<_> = (0..25).map(|time| write(BatchWrite::Put(trade("A", time, 1)))).collect();
    tables.batch_write(&writes).await.unwrap();
    let twice = [write(BatchWrite::Delete(key("A", 1))), write(BatchWrite::Put(trade("A", 1, 2)))];
    assert!(matches!(tables.batch_write(&twice).await, Err(TableError::DuplicateKeys)));
    let wrong = [write(BatchWrite::Delete(key("A", 1))), write(BatchWrite::Put(Item::new()))];
    assert!(matches!(tables.batch_write(&wrong).await, Err(TableError::KeyMissing { .. })));
    tables.batch_write(&[write(BatchWrite::Delete(key("A", 2)))]).await.unwrap();
    let get = |time| BatchGet { table: "trades".to_owned(), key: key("A", time), consistent: false };
    let got = tables.batch_get(&[1, 2].map(get)).await.unwrap();
    assert_eq!((got.items, got.unprocessed), (vec![Some(trade("A", 1, 1)), None], vec![]));
    let many = vec![write(BatchWrite::Delete(key("A", 1))); 26];
    assert!(matches!(tables.batch_write(&many).await, Err(TableError::BatchSize { found: 26, max: 25 })));
}

#[tokio::test]
async fn keys_are_checked_and_a_new_table_is_empty() {
    let tables = tables().await;
    let wrong_type = Item::from([("symbol".into(), text("A")), ("time".into(), text("1"))]);
    assert!(matches!(tables.get("trades", &wrong_type).await, Err(TableError::KeyMismatch)));
    assert!(matches!(tables.put("trades", put(wrong_type, None)).await, Err(TableError::KeyType { .. })));
    assert!(matches!(tables.get("trades", &trade("A", 1, 1)).await, Err(TableError::KeyMismatch)));
    assert!(matches!(tables.put("trades", put(key("", 1), None)).await, Err(TableError::KeyEmpty { .. })));
    assert!(matches!(tables.create(new_table("trades")).await, Err(TableError::TableExists { .. })));

    tables.put("trades", put(trade("A", 1, 1), None)).await.unwrap();
    tables.delete("trades").await.unwrap();
    assert!(matches!(tables.get("trades", &key("A", 1)).await, Err(TableError::TableNotFound { .. })));
    tables.create(new_table("trades")).await.unwrap();
    assert_eq!(tables.get("trades", &key("A", 1)).await.unwrap(), None);
}

#[tokio::test]
async fn items_change_together_or_not_at_all() {
    let tables = tables().await;
    tables.put("trades", put(trade("A", 1, 5), None)).await.unwrap();
    let keys = [key("A", 1), key("A", 2)];
    let refused: Result<(), TableError> = tables
        .together("trades", &keys, |together| {
            together.delete(&key("A", 1))?;
            assert_eq!(together.get(&key("A", 1))?, None);
            together.put(trade("A", 3, 0))
        })
        .await;
    assert!(matches!(refused, Err(TableError::KeyMismatch)));
    assert_eq!(tables.get("trades", &key("A", 1)).await.unwrap(), Some(trade("A", 1, 5)));

    let moved = |together: &mut millstream_table::Together| -> Result<(), TableError> {
        together.delete(&key("A", 1))?;
        together.put(trade("A", 2, 5))
    };
    tables.together("trades", &keys, moved).await.unwrap();
    assert_eq!(tables.get("trades", &key("A", 1)).await.unwrap(), None);
    assert_eq!(tables.get("trades", &key("A", 2)).await.unwrap(), Some(trade("A", 2, 5)));
}
