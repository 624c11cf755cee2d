//! Secondary indexes: entries follow their items, and queries find them in the order of the index's key.

use std::sync::Arc;

use millstream_catalog::{Catalog, IndexProjection, KeyAttribute, KeyType, TableIndex};
use millstream_storage::Storage;
use millstream_table::expression::{KeyCondition, UpdateExpression};
use millstream_table::{BatchWrite, Item, NewTable, Page, Put, Query, Scan, TableError, Tables, Update};
use millstream_types::ManualClock;

use crate::{key, new_table, number, text, trade, values};

async fn world(projection: IndexProjection) -> Tables {
    let clock = Arc::new(ManualClock::at(0));
    let storage = Storage::in_memory(clock.clone());
    let tables = Tables::new(storage.clone(), Catalog::open(&storage).unwrap(), clock);
    let index = TableIndex {
        name: "by-market".into(),
        number: 0,
        hash_key: KeyAttribute { name: "market".into(), key_type: KeyType::String },
        sort_key: Some(KeyAttribute { name: "shares".into(), key_type: KeyType::Number }),
        projection,
        local: false,
        provisioned: None,
        state: Default::default(),
    };
    tables.create(NewTable { indexes: vec![index], ..new_table("trades") }).await.unwrap();
    tables
}

fn listed(symbol: &str, shares: i64, market: &str) -> Item {
    let mut item = trade(symbol, 1, shares);
    item.insert("market".into(), text(market));
    item.insert("more".into(), text("m"));
    item
}

async fn put(tables: &Tables, item: Item) -> Result<f64, TableError> {
    Ok(tables.put("trades", Put { item, condition: None, return_old: false }).await?.units)
}

fn by_market(market: &str) -> Query {
    Query {
        condition: KeyCondition { hash: text(market), sort: None },
        reverse: false,
        limit: None,
        start: None,
        filter: None,
        projection: None,
        consistent: false,
        index: Some("by-market".into()),
        whole: false,
    }
}

fn symbols(page: &Page) -> String {
    page.items.iter().map(|item| item["symbol"].to_string()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn entries_follow_their_items() {
    let tables = world(IndexProjection::All).await;
    for (symbol, shares) in [("A", 5), ("B", -7), ("C", 5), ("D", 100)] {
        assert_eq!(put(&tables, listed(symbol, shares, "X")).await.unwrap(), 2.0);
    }
    put(&tables, trade("E", 1, 3)).await.unwrap();
    assert_eq!(symbols(&tables.query("trades", by_market("X")).await.unwrap()), "B A C D");
    let update = UpdateExpression::parse("ADD shares :shares", &mut values(50)).unwrap();
    let update = Update { key: key("A", 1), update: Some(update), condition: None };
    assert_eq!(tables.update("trades", update).await.unwrap().units, 3.0, "an entry goes, another comes");
    put(&tables, listed("D", 1, "Y")).await.unwrap();
    tables.batch_write(&[("trades".into(), BatchWrite::Delete(key("C", 1)))]).await.unwrap();
    assert_eq!(symbols(&tables.query("trades", by_market("X")).await.unwrap()), "B A");
    assert_eq!(symbols(&tables.query("trades", by_market("Y")).await.unwrap()), "D");
    let all = Scan { index: Some("by-market".into()), ..Scan::default() };
    assert_eq!(tables.scan("trades", all).await.unwrap().items.len(), 3, "items without the key are not in it");
    assert_eq!(put(&tables, listed("D", 1, "Y")).await.unwrap(), 1.0, "the entry stays as it is");
}

#[tokio::test]
async fn pages_of_an_index_follow_each_other() {
    let tables = world(IndexProjection::KeysOnly).await;
    for symbol in ["A", "B", "C", "D", "E"] {
        put(&tables, listed(symbol, 1, "X")).await.unwrap();
    }
    for reverse in [false, true] {
        let (mut query, mut found) = (Query { limit: Some(2), reverse, ..by_market("X") }, Vec::new());
        loop {
            let page = tables.query("trades", query.clone()).await.unwrap();
            assert!(page.items.iter().all(|item| item.len() == 4 && !item.contains_key("more")));
            found.extend(page.items.iter().map(|item| item["symbol"].to_string()));
            match page.last_key {
                Some(last) => query.start = Some(last),
                None => break,
            }
        }
        found.sort();
        assert_eq!(found.join(" "), "A B C D E");
    }
    let whole = Query { whole: true, ..by_market("X") };
    let page = tables.query("trades", whole).await.unwrap();
    assert!(page.items.contains(&listed("A", 1, "X")) && page.items.len() == 5);
    let start = Query { start: Some(key("A", 1)), ..by_market("X") };
    assert!(matches!(tables.query("trades", start).await, Err(TableError::KeyMismatch)));
}

#[tokio::test]
async fn an_index_refuses_what_it_cannot_have() {
    let tables = world(IndexProjection::All).await;
    let mut wrong = trade("A", 1, 1);
    wrong.insert("market".into(), number(1));
    assert!(matches!(put(&tables, wrong).await, Err(TableError::IndexKeyType { .. })));
    assert!(matches!(put(&tables, listed("A", 1, "")).await, Err(TableError::IndexKeyEmpty { .. })));
    let other = Query { index: Some("other".into()), ..by_market("X") };
    assert!(matches!(tables.query("trades", other).await, Err(TableError::IndexNotFound { .. })));
}
