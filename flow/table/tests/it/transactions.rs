//! Transactions: all writes or none, each once.

use std::sync::Arc;

use millstream_catalog::Catalog;
use millstream_storage::Storage;
use millstream_table::expression::{Condition, Placeholders, UpdateExpression};
use millstream_table::{Deletion, Put, TableError, Tables, Token, TransactWrite, Update};
use millstream_types::ManualClock;

use crate::{key, new_table, trade, values};

fn put(time: i64, condition: Option<&str>) -> (String, TransactWrite) {
    let condition = condition.map(|text| Condition::parse(text, &mut Placeholders::default()).unwrap());
    ("trades".into(), TransactWrite::Put(Put { item: trade("A", time, 1), condition, return_old: false }))
}

fn add(time: i64, shares: i64) -> (String, TransactWrite) {
    let update = Some(UpdateExpression::parse("ADD shares :shares", &mut values(shares)).unwrap());
    ("trades".into(), TransactWrite::Update(Update { key: key("A", time), update, condition: None }))
}

fn check(time: i64, condition: &str) -> (String, TransactWrite) {
    let condition = Condition::parse(condition, &mut Placeholders::default()).unwrap();
    ("trades".into(), TransactWrite::Check { key: key("A", time), condition })
}

#[tokio::test]
async fn all_is_written_or_nothing() {
    let tables = crate::tables().await;
    let both = vec![put(1, Some("attribute_not_exists(shares)")), put(2, None)];
    tables.transact_write(both.clone(), None).await.unwrap();
    let refused = tables.transact_write([both, vec![add(3, 1)]].concat(), None).await;
    let Err(TableError::Cancelled { reasons }) = refused else { panic!("{refused:?}") };
    assert!(matches!(&reasons[..], [Some(TableError::ConditionFailed { item: Some(_) }), None, None]), "{reasons:?}");
    assert_eq!(tables.get("trades", &key("A", 3)).await.unwrap(), None);

    let delete = TransactWrite::Delete(Deletion { key: key("A", 1), condition: None, return_old: false });
    let writes = vec![("trades".into(), delete), add(2, 4), check(3, "attribute_not_exists(shares)")];
    tables.transact_write(writes, None).await.unwrap();
    assert_eq!(tables.get("trades", &key("A", 1)).await.unwrap(), None);
    assert_eq!(tables.get("trades", &key("A", 2)).await.unwrap(), Some(trade("A", 2, 5)));

    assert!(matches!(tables.transact_write(vec![add(1, 1), add(1, 1)], None).await, Err(TableError::SameItemTwice)));
    assert!(matches!(tables.transact_write(vec![], None).await, Err(TableError::BatchSize { found: 0, .. })));
}

#[tokio::test]
async fn a_token_makes_a_repetition_do_nothing_for_ten_minutes() {
    let clock = Arc::new(ManualClock::at(0));
    let storage = Storage::in_memory(clock.clone());
    let tables = Tables::new(storage.clone(), Catalog::open(&storage).unwrap(), clock.clone());
    tables.create(new_table("trades")).await.unwrap();
    let token = |fingerprint| Some(Token { text: "t".into(), fingerprint });
    for _ in 0..2 {
        tables.transact_write(vec![add(1, 5)], token(7)).await.unwrap();
    }
    assert_eq!(tables.get("trades", &key("A", 1)).await.unwrap(), Some(trade("A", 1, 5)));
    let other = tables.transact_write(vec![add(1, 6)], token(8)).await;
    assert!(matches!(other, Err(TableError::TokenReused { .. })));
    clock.advance(20 * 60_000);
    tables.transact_write(vec![add(1, 5)], token(7)).await.unwrap();
    assert_eq!(tables.get("trades", &key("A", 1)).await.unwrap(), Some(trade("A", 1, 10)));
}

#[tokio::test]
async fn many_at_once_lose_nothing() {
    let tables = crate::tables().await;
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let tables = tables.clone();
            tokio::spawn(async move { tables.transact_write(vec![add(1, 1), add(2, -1)], None).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let got = tables.transact_get(vec![("trades".into(), key("A", 1)), ("trades".into(), key("A", 2))]).await.unwrap();
    assert_eq!(got.items, [Some(trade("A", 1, 20)), Some(trade("A", 2, -20))]);
}
