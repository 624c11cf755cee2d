//! The engine over the storage model: definitions, conditional writes, pages and restarts.

#![allow(clippy::unwrap_used)]

#[path = "it/unique.rs"]
mod unique;

use std::sync::Arc;

use millstream_catalog::{Catalog, DocumentContainerDefinition};
use millstream_document::{
    BatchAction, BatchOperation, BatchResult, ChangesFrom, ChangesPage, ChangesRequest, ContainerSettings,
    DOCUMENT_BYTES_MAX, DocumentError, Documents, HashRange, NewContainer, PageRequest, PartitionKey, Patch,
    PatchOperation, Query,
};
use millstream_storage::Storage;
use millstream_stream::Streams;
use millstream_table::Tables;
use millstream_types::ManualClock;
use serde_json::{Map, Value, json};

fn documents() -> Documents {
    timed().0
}

fn timed() -> (Documents, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(1_700_000_000_123));
    let storage = Storage::in_memory(clock.clone());
    let catalog = Catalog::open(&storage).unwrap();
    let streams = Streams::new(storage.clone(), catalog.clone(), clock.clone());
    let tables = Tables::new(storage, catalog.clone(), clock.clone());
    (Documents::new(catalog, tables, streams, clock.clone()), clock)
}

async fn container(documents: &Documents) -> Arc<DocumentContainerDefinition> {
    documents.create_database("shop").await.unwrap();
    let new = NewContainer {
        database: "shop".into(),
        name: "orders".into(),
        partition_key_paths: vec!["/user".into()],
        unique_keys: Vec::new(),
        settings: ContainerSettings::default(),
    };
    documents.create_container(new).await.unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn user(name: &str) -> PartitionKey {
    PartitionKey::new(vec![Some(name.into())]).unwrap()
}

#[tokio::test]
async fn databases_and_containers_come_and_go() {
    let documents = documents();
    let first = container(&documents).await;
    assert!(matches!(documents.create_database("shop").await, Err(DocumentError::DatabaseExists { .. })));
    assert!(matches!(documents.create_database("a/b").await, Err(DocumentError::Name { .. })));
    assert!(matches!(documents.container("shop", "x"), Err(DocumentError::ContainerNotFound { .. })));
    assert!(matches!(documents.container("none", "x"), Err(DocumentError::DatabaseNotFound { .. })));
    documents.create(&first, None, object(json!({"id": "1", "user": "a"}))).await.unwrap();

    documents.delete_container("shop", "orders", None).await.unwrap();
    assert_eq!(documents.containers("shop").unwrap().len(), 0);
    let late = documents.create(&first, None, object(json!({"id": "2", "user": "a"}))).await;
    assert!(matches!(late, Err(DocumentError::ContainerNotFound { .. })), "{late:?}");

    documents.delete_database("shop", None).await.unwrap();
    let second = container(&documents).await;
    assert_ne!((first.number, first.database_number), (second.number, second.database_number));
    assert_eq!(documents.list(&second, PageRequest::default()).await.unwrap().rows, Vec::<Value>::new());
}

#[tokio::test]
async fn writes_are_decided_by_what_is_there() {
    let documents = documents();
    let orders = container(&documents).await;
    let order = |total: u32| object(json!({"id": "1", "user": "a", "total": total, "_etag": "mine"}));
    let absent = documents.replace(&orders, None, "1", order(0), None).await;
    assert!(matches!(absent, Err(DocumentError::DocumentNotFound { .. })));
    let first = documents.create(&orders, Some(user("a")), order(1)).await.unwrap();
    assert_eq!((&first.value["total"], &first.value["_ts"]), (&json!(1), &json!(1_700_000_000)));
    assert_eq!(first.value["_etag"], json!(first.etag));
    let again = documents.create(&orders, None, order(2)).await;
    assert!(matches!(again, Err(DocumentError::DocumentExists { .. })));

    let second = documents.replace(&orders, None, "1", order(2), Some(first.etag.clone())).await.unwrap();
    let stale = Some(first.etag.clone());
    let overtaken = documents.replace(&orders, None, "1", order(3), stale.clone()).await;
    assert!(matches!(overtaken, Err(DocumentError::EtagMismatch)));
    let overtaken = documents.upsert(&orders, None, order(3), stale.clone()).await;
    assert!(matches!(overtaken, Err(DocumentError::EtagMismatch)));
    assert!(matches!(documents.delete(&orders, &user("a"), "1", stale).await, Err(DocumentError::EtagMismatch)));
    assert_eq!(documents.read(&orders, &user("a"), "1").await.unwrap(), second);

    assert!(!documents.upsert(&orders, None, order(4), None).await.unwrap().created);
    documents.delete(&orders, &user("a"), "1", None).await.unwrap();
    assert!(documents.upsert(&orders, None, order(5), None).await.unwrap().created);
    assert!(matches!(documents.read(&orders, &user("b"), "1").await, Err(DocumentError::DocumentNotFound { .. })));
}

#[tokio::test]
async fn what_a_document_may_be() {
    let documents = documents();
    let orders = container(&documents).await;
    let create = |value: Value| documents.create(&orders, None, object(value));
    assert!(matches!(create(json!({"user": "a"})).await, Err(DocumentError::IdMissing)));
    assert!(matches!(create(json!({"id": 1})).await, Err(DocumentError::IdMissing)));
    for id in ["", "a/b", "a\\b", "a?", "a#", "a ", &"x".repeat(256)] {
        assert!(matches!(create(json!({"id": id})).await, Err(DocumentError::Name { .. })), "{id}");
    }
    create(json!({"id": "é".repeat(255), "user": "a"})).await.unwrap();
    assert!(matches!(create(json!({"id": "1", "user": {}})).await, Err(DocumentError::PartitionKeyValue)));
    let long = "x".repeat(3000);
    assert!(matches!(create(json!({"id": "1", "user": long})).await, Err(DocumentError::PartitionKeyTooLarge { .. })));
    let other = documents.create(&orders, Some(user("b")), object(json!({"id": "1", "user": "a"}))).await;
    assert!(matches!(other, Err(DocumentError::PartitionKeyMismatch)));
    let large = |bytes: usize| json!({"id": "large", "user": "a", "text": "x".repeat(bytes)});
    create(large(DOCUMENT_BYTES_MAX - 100)).await.unwrap();
    assert!(matches!(create(large(DOCUMENT_BYTES_MAX)).await, Err(DocumentError::DocumentTooLarge { .. })));
    let nothing = PartitionKey::new(vec![None]).unwrap();
    create(json!({"id": "1"})).await.unwrap();
    assert_eq!(documents.read(&orders, &nothing, "1").await.unwrap().value["id"], json!("1"));
}

#[tokio::test]
async fn patches_change_parts_when_their_condition_holds() {
    let documents = documents();
    let orders = container(&documents).await;
    documents.create(&orders, None, object(json!({"id": "1", "user": "a", "n": 1}))).await.unwrap();
    let patch = |condition: Option<&str>| Patch {
        operations: vec![PatchOperation::Increment { path: "/n".into(), by: json!(2) }],
        condition: condition.map(|text| Query::parse(&format!("SELECT * {text}"), &[]).unwrap()),
    };
    let done = documents.patch(&orders, &user("a"), "1", &patch(Some("FROM c WHERE c.n = 1")), None).await.unwrap();
    assert_eq!(done.value["n"], json!(3));
    let refused = documents.patch(&orders, &user("a"), "1", &patch(Some("FROM c WHERE c.n = 1")), None).await;
    assert!(matches!(refused, Err(DocumentError::PatchCondition)));
    let stale = documents.patch(&orders, &user("a"), "1", &patch(None), Some("\"other\"".into())).await;
    assert!(matches!(stale, Err(DocumentError::EtagMismatch)));
}

#[tokio::test]
async fn batches_are_done_whole_or_not_at_all() {
    let documents = documents();
    let orders = container(&documents).await;
    let order = |id: &str, n: u32| object(json!({"id": id, "user": "a", "n": n}));
    let batch = |actions: Vec<BatchAction>| {
        let operations = actions.into_iter().map(|action| BatchOperation { action, if_match: None }).collect();
        documents.batch(&orders, user("a"), operations)
    };
    let add =
        Patch { operations: vec![PatchOperation::Increment { path: "/n".into(), by: json!(5) }], condition: None };
    let done = batch(vec![
        BatchAction::Create(order("1", 1)),
        BatchAction::Upsert(order("1", 2)),
        BatchAction::Patch("1".into(), Box::new(add)),
        BatchAction::Read("1".into()),
        BatchAction::Create(order("2", 0)),
        BatchAction::Delete("2".into()),
    ]);
    let done = done.await.unwrap();
    assert!(matches!(&done[3], BatchResult::There(found) if found.value["n"] == json!(7)), "{done:?}");
    assert!(matches!((&done[0], &done[5]), (BatchResult::Created(_), BatchResult::Deleted)));

    let failed = batch(vec![BatchAction::Create(order("3", 1)), BatchAction::Create(order("1", 1))]).await;
    assert!(
        matches!(failed, Err(DocumentError::Batch { at: 1, error }) if matches!(*error, DocumentError::DocumentExists { .. }))
    );
    assert!(matches!(documents.read(&orders, &user("a"), "3").await, Err(DocumentError::DocumentNotFound { .. })));
    let foreign = batch(vec![BatchAction::Create(object(json!({"id": "4", "user": "b"})))]).await;
    assert!(matches!(foreign, Err(DocumentError::Batch { at: 0, .. })));
    assert!(matches!(batch(Vec::new()).await, Err(DocumentError::BatchSize { .. })));
}

/// All rows of a query in pages of `rows_max`.
async fn pages(
    documents: &Documents,
    orders: &Arc<DocumentContainerDefinition>,
    text: &str,
    rows_max: usize,
) -> Vec<Value> {
    let (mut rows, mut continuation) = (Vec::new(), None);
    loop {
        let request = PageRequest { rows_max: Some(rows_max), continuation, ..PageRequest::default() };
        let page = documents.query(orders, text, &[], request).await.unwrap();
        assert!(page.rows.len() <= rows_max);
        rows.extend(page.rows);
        continuation = page.continuation;
        if continuation.is_none() {
            return rows;
        }
    }
}

#[tokio::test]
async fn pages_tell_each_row_once() {
    let documents = documents();
    let orders = container(&documents).await;
    for number in 0..50 {
        let order =
            json!({"id": number.to_string(), "user": (number % 7).to_string(), "n": number, "lines": [1, 2, 3]});
        documents.create(&orders, None, object(order)).await.unwrap();
    }
    for text in [
        "SELECT VALUE c.n FROM c",
        "SELECT VALUE c.n FROM c WHERE c.n >= 20",
        "SELECT VALUE c.n FROM c ORDER BY c.n DESC",
        "SELECT VALUE [c.n, l] FROM c JOIN l IN c.lines",
        "SELECT VALUE c.n FROM c OFFSET 5 LIMIT 20",
        "SELECT TOP 3 VALUE c.n FROM c",
        "SELECT VALUE COUNT(1) FROM c GROUP BY c.user",
        "SELECT VALUE 1",
        "SELECT VALUE 1 WHERE false",
    ] {
        let whole = documents.query(&orders, text, &[], PageRequest::default()).await.unwrap();
        assert_eq!(whole.continuation, None, "{text}");
        for rows_max in [1, 7, 50] {
            assert_eq!(pages(&documents, &orders, text, rows_max).await, whole.rows, "{text} {rows_max}");
        }
    }
    let of_one = PageRequest { partition: Some(user("3")), ..PageRequest::default() };
    assert_eq!(documents.list(&orders, of_one).await.unwrap().rows.len(), 7);
    let foreign = PageRequest { continuation: Some("AAAA".into()), ..PageRequest::default() };
    assert!(matches!(documents.list(&orders, foreign).await, Err(DocumentError::Continuation)));
}

#[tokio::test]
async fn documents_end_when_their_time_is_over() {
    let (documents, clock) = timed();
    container(&documents).await;
    let settings = ContainerSettings { default_ttl: Some(10), ..ContainerSettings::default() };
    let container = documents.set_settings("shop", "orders", settings, None).await.unwrap();
    for (id, ttl) in [("usual", json!(null)), ("longer", json!(20)), ("always", json!(-1))] {
        let body = object(json!({"id": id, "user": "a", "ttl": ttl}));
        documents.create(&container, None, body).await.unwrap();
    }
    let wrong = documents.create(&container, None, object(json!({"id": "x", "user": "a", "ttl": 0}))).await;
    assert!(matches!(wrong, Err(DocumentError::Lifetime { .. })));
    clock.advance(10_000);
    let list = async || {
        let rows = documents.list(&container, PageRequest::default()).await.unwrap().rows;
        rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list().await, ["always", "longer"]);
    let gone = documents.read(&container, &user("a"), "usual").await;
    assert!(matches!(gone, Err(DocumentError::DocumentNotFound { .. })));
    assert!(matches!(
        documents.delete(&container, &user("a"), "usual", None).await,
        Err(DocumentError::DocumentNotFound { .. })
    ));
    documents.create(&container, None, object(json!({"id": "usual", "user": "a"}))).await.unwrap();
    clock.advance(10_000);
    assert_eq!(documents.remove_expired().await.unwrap(), 2);
    assert_eq!(list().await, ["always"]);
    let off = documents.set_settings("shop", "orders", ContainerSettings::default(), None).await.unwrap();
    clock.advance(1_000_000);
    assert_eq!(documents.list(&off, PageRequest::default()).await.unwrap().rows.len(), 1);
}

async fn changes(
    documents: &Documents,
    container: &Arc<DocumentContainerDefinition>,
    from: ChangesFrom,
    rows_max: Option<usize>,
) -> (Vec<String>, ChangesFrom) {
    let request = ChangesRequest { partition: None, range: None, rows_max, from };
    let ChangesPage { rows, continuation, .. } = documents.changes(container, request).await.unwrap();
    let ids = rows.iter().map(|row| format!("{}{}", row["id"].as_str().unwrap(), row["n"])).collect();
    (ids, ChangesFrom::Continuation(continuation))
}

#[tokio::test]
async fn an_empty_page_of_changes_is_the_end() {
    let (documents, _) = timed();
    let container = container(&documents).await;
    for n in 0..200 {
        let body = object(json!({"id": format!("{n}"), "user": "another"}));
        documents.upsert(&container, None, body, None).await.unwrap();
    }
    documents.upsert(&container, None, object(json!({"id": "meant", "user": "a"})), None).await.unwrap();
    let request =
        ChangesRequest { partition: Some(user("a")), range: None, rows_max: Some(1), from: ChangesFrom::Beginning };
    let page = documents.changes(&container, request).await.unwrap();
    assert_eq!(page.rows.len(), 1);
    assert_eq!(page.rows[0]["id"], "meant");
}

#[tokio::test]
async fn changes_are_told_in_their_order_and_as_documents_are_now() {
    let (documents, clock) = timed();
    let container = container(&documents).await;
    let put = async |id: &str, n: u32| {
        let body = object(json!({"id": id, "user": id, "n": n}));
        documents.upsert(&container, None, body, None).await.unwrap();
    };
    let (none, start) = changes(&documents, &container, ChangesFrom::Beginning, None).await;
    assert_eq!(none, Vec::<String>::new());
    put("b", 1).await;
    put("a", 1).await;
    put("b", 2).await;
    put("c", 1).await;
    documents.delete(&container, &user("c"), "c", None).await.unwrap();
    let (seen, behind) = changes(&documents, &container, start, None).await;
    assert_eq!(seen, ["a1", "b2"]);
    assert_eq!(changes(&documents, &container, behind.clone(), None).await.0, Vec::<String>::new());
    let (_, now) = changes(&documents, &container, ChangesFrom::Now, None).await;
    clock.advance(5_000);
    let later = ChangesFrom::Time(1_700_000_005_000);
    put("d", 1).await;
    put("a", 2).await;
    for from in [behind, now, later] {
        assert_eq!(changes(&documents, &container, from, None).await.0, ["d1", "a2"]);
    }
    let (mut from, mut all) = (ChangesFrom::Beginning, Vec::new());
    loop {
        let (page, next) = changes(&documents, &container, from, Some(1)).await;
        if page.is_empty() {
            break;
        }
        all.extend(page);
        from = next;
    }
    // A document that changed again may come again, but each comes after its last change.
    assert!(all.ends_with(&["d1".to_owned(), "a2".to_owned()]), "{all:?}");
    let of_a = ChangesRequest { partition: Some(user("a")), range: None, rows_max: None, from: ChangesFrom::Beginning };
    assert_eq!(documents.changes(&container, of_a.clone()).await.unwrap().rows.len(), 1);
    let halves = [HashRange::new("", "20"), HashRange::new("20", "FF")].map(async |range| {
        let request = ChangesRequest { partition: None, range, ..of_a.clone() };
        documents.changes(&container, request).await.unwrap().rows.len()
    });
    let [left, right] = halves;
    assert_eq!(left.await + right.await, 3);
    let wrong = ChangesRequest { from: ChangesFrom::Continuation("x".into()), ..of_a.clone() };
    assert!(matches!(documents.changes(&container, wrong).await, Err(DocumentError::Continuation)));
}
