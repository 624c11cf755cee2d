//! Unique keys: what writes, batches and times that are over leave of them.

use std::sync::Arc;

use millstream_catalog::{Catalog, DocumentContainerDefinition};
use millstream_document::{
    BatchAction, BatchOperation, BatchResult, ContainerSettings, DocumentError, Documents, NewContainer, Patch,
    PatchOperation,
};
use millstream_storage::Storage;
use millstream_stream::Streams;
use millstream_table::{Scan, Tables};
use millstream_types::ManualClock;
use serde_json::{Value, json};

use super::{object, user};

/// A container of people of whom no two have an email, or first and last name, in common.
struct People {
    documents: Documents,
    tables: Tables,
    clock: Arc<ManualClock>,
    container: Arc<DocumentContainerDefinition>,
}

impl People {
    async fn new(default_ttl: Option<i64>) -> Self {
        let clock = Arc::new(ManualClock::at(1_700_000_000_000));
        let storage = Storage::in_memory(clock.clone());
        let catalog = Catalog::open(&storage).unwrap();
        let streams = Streams::new(storage.clone(), catalog.clone(), clock.clone());
        let tables = Tables::new(storage, catalog.clone(), clock.clone());
        let documents = Documents::new(catalog, tables.clone(), streams, clock.clone());
        documents.create_database("shop").await.unwrap();
        let new = NewContainer {
            database: "shop".into(),
            name: "people".into(),
            partition_key_paths: vec!["/user".into()],
            unique_keys: vec![vec!["/email".into()], vec!["/first".into(), "/last".into()]],
            settings: ContainerSettings { default_ttl, ..ContainerSettings::default() },
        };
        let container = documents.create_container(new).await.unwrap();
        Self { documents, tables, clock, container }
    }

    /// Creates one with this email and a name of its own.
    async fn create(&self, id: &str, email: &str) -> Result<(), DocumentError> {
        self.documents.create(&self.container, None, object(person(id, email))).await.map(|_| ())
    }

    async fn upsert(&self, person: Value) -> Result<(), DocumentError> {
        self.documents.upsert(&self.container, None, object(person), None).await.map(|_| ())
    }

    async fn batch(&self, actions: Vec<BatchAction>) -> Result<Vec<BatchResult>, DocumentError> {
        let operations = actions.into_iter().map(|action| BatchOperation { action, if_match: None }).collect();
        self.documents.batch(&self.container, user("ann"), operations).await
    }

    /// Claims that are stored, whoever they bind.
    async fn claims(&self) -> usize {
        self.tables.scan("document-unique/shop/people", Scan::default()).await.unwrap().items.len()
    }
}

fn person(id: &str, email: &str) -> Value {
    json!({"id": id, "user": "ann", "email": email, "first": "a", "last": id})
}

fn set(id: &str, path: &str, value: &str) -> BatchAction {
    let operations = vec![PatchOperation::Set { path: path.into(), value: value.into() }];
    BatchAction::Patch(id.into(), Box::new(Patch { operations, condition: None }))
}

fn is_taken<T: std::fmt::Debug>(done: Result<T, DocumentError>) {
    assert!(matches!(done, Err(DocumentError::NotUnique)), "{done:?}");
}

#[tokio::test]
async fn a_batch_patches_what_it_made_and_claims_what_comes_of_it() {
    let people = People::new(None).await;
    people.create("1", "1@x").await.unwrap();
    let taken = people.batch(vec![BatchAction::Create(object(person("2", "2@x"))), set("2", "/email", "1@x")]).await;
    let Err(DocumentError::Batch { at: 1, error }) = taken else { panic!("{taken:?}") };
    is_taken::<()>(Err(*error));

    let made = vec![BatchAction::Create(object(person("2", "2@x"))), set("2", "/email", "new@x")];
    people.batch(made).await.unwrap();
    is_taken(people.create("3", "new@x").await);
    people.create("3", "2@x").await.unwrap();

    // What was there only between two operations is nobody's.
    let gone = vec![BatchAction::Create(object(person("4", "4@x"))), BatchAction::Delete("4".into())];
    people.batch([gone, vec![BatchAction::Create(object(person("5", "4@x")))]].concat()).await.unwrap();
    is_taken(people.create("6", "4@x").await);
}

#[tokio::test]
async fn a_batch_claims_a_key_of_two_values_that_two_patches_set() {
    let people = People::new(None).await;
    people.create("1", "1@x").await.unwrap();
    people.batch(vec![set("1", "/first", "new"), set("1", "/last", "name")]).await.unwrap();
    let named =
        |id: &str, first: &str, last: &str| json!({"id": id, "user": "ann", "email": id, "first": first, "last": last});
    is_taken(people.upsert(named("2", "new", "name")).await);
    people.upsert(named("2", "new", "1")).await.unwrap();
    people.upsert(named("3", "a", "name")).await.unwrap();
}

#[tokio::test]
async fn a_batch_that_cannot_be_tells_of_the_operation_that_cannot() {
    let people = People::new(None).await;
    people.create("1", "1@x").await.unwrap();
    let again = BatchAction::Create(object(person("1", "1@x")));
    let refused = people.batch(vec![again, set("none", "/email", "2@x")]).await;
    let Err(DocumentError::Batch { at: 0, error }) = refused else { panic!("{refused:?}") };
    assert!(matches!(*error, DocumentError::DocumentExists { .. }), "{error:?}");
    let refused = people.batch(vec![set("none", "/email", "2@x")]).await;
    let Err(DocumentError::Batch { at: 0, error }) = refused else { panic!("{refused:?}") };
    assert!(matches!(*error, DocumentError::DocumentNotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn what_another_took_over_is_not_let_go() {
    let mut people = People::new(Some(10)).await;
    people.create("1", "1@x").await.unwrap();
    people.clock.advance(10_000);
    people.create("2", "1@x").await.unwrap();
    // The first was not removed yet, and is back when nothing ends any more.
    let settings = ContainerSettings::default();
    people.container = people.documents.set_settings("shop", "people", settings, None).await.unwrap();
    people.upsert(person("1", "other@x")).await.unwrap();
    is_taken(people.create("3", "1@x").await);
}

#[tokio::test]
async fn claims_that_bind_nobody_are_removed_and_all_others_stay() {
    let people = People::new(Some(-1)).await;
    for id in ["1", "2", "3"] {
        people.create(id, &format!("{id}@x")).await.unwrap();
    }
    let mut over = person("4", "4@x");
    over["ttl"] = json!(5);
    people.upsert(over).await.unwrap();
    people.clock.advance(5_000);
    assert_eq!(people.documents.remove_expired().await.unwrap(), 1);
    people.batch(vec![BatchAction::Delete("1".into()), set("2", "/email", "new@x")]).await.unwrap();
    let refused = people.create("3", "free@x").await;
    assert!(matches!(refused, Err(DocumentError::DocumentExists { .. })), "{refused:?}");
    // Two of each that is there, and: two of the first and the fourth, the second's old email, the third's refused one.
    assert_eq!(people.claims().await, 4 + 6);
    assert_eq!(people.documents.remove_stale_claims().await.unwrap(), 6);
    assert_eq!((people.claims().await, people.documents.remove_stale_claims().await.unwrap()), (4, 0));
    for taken in ["new@x", "3@x"] {
        is_taken(people.create("5", taken).await);
    }
    people.create("5", "free@x").await.unwrap();
}
