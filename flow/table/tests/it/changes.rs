//! Change records: one for each change of an item, none for what changes nothing.

use std::sync::Arc;

use millstream_catalog::{Catalog, ChangeView};
use millstream_storage::Storage;
use millstream_stream::Streams;
use millstream_table::expression::UpdateExpression;
use millstream_table::{
    BatchWrite, Change, ChangeCause, ChangeKind, Deletion, Item, NewTable, Put, TableError, Tables, TransactWrite,
    Update,
};
use millstream_types::ManualClock;

use crate::{key, new_table, number, trade, values};

struct World {
    clock: Arc<ManualClock>,
    streams: Streams,
    tables: Tables,
}

impl World {
    async fn new(view: Option<ChangeView>) -> Self {
        let clock = Arc::new(ManualClock::at(1_000_000));
        let storage = Storage::in_memory(clock.clone());
        let catalog = Catalog::open(&storage).unwrap();
        let streams = Streams::new(storage.clone(), catalog.clone(), clock.clone());
        let tables = Tables::new(storage, catalog, clock.clone());
        tables.create(NewTable { changes: view, ..new_table("trades") }).await.unwrap();
        Self { clock, streams, tables }
    }

    async fn changes(&self) -> Vec<Change> {
        let stream = self.streams.get(&Change::stream("trades")).unwrap();
        let read = self.streams.read(stream.shards[0].log(), 0, 1 << 20).await.unwrap();
        let records = read.batches.iter().flat_map(|batch| batch.records());
        records.map(|record| Change::decode(record.data).unwrap()).collect()
    }

    async fn put(&self, item: Item) {
        self.tables.put("trades", Put { item, condition: None, return_old: false }).await.unwrap();
    }

    async fn delete(&self, key: Item) {
        let deletion = Deletion { key, condition: None, return_old: false };
        self.tables.delete_item("trades", deletion).await.unwrap();
    }
}

fn kinds(changes: &[Change]) -> Vec<ChangeKind> {
    changes.iter().map(|change| change.kind).collect()
}

#[tokio::test]
async fn every_way_of_writing_tells_what_it_changed() {
    use ChangeKind::{Insert, Modify, Remove};
    let world = World::new(Some(ChangeView::NewAndOldImages)).await;
    world.put(trade("A", 1, 5)).await;
    world.put(trade("A", 1, 5)).await;
    world.delete(key("A", 2)).await;
    let update = UpdateExpression::parse("ADD shares :shares", &mut values(2)).unwrap();
    let update = Update { key: key("A", 1), update: Some(update), condition: None };
    world.tables.update("trades", update).await.unwrap();
    let batch = [BatchWrite::Put(trade("A", 3, 1)), BatchWrite::Delete(key("A", 1)), BatchWrite::Delete(key("A", 4))];
    world.tables.batch_write(&batch.map(|write| ("trades".to_owned(), write))).await.unwrap();
    let put = TransactWrite::Put(Put { item: trade("A", 5, 1), condition: None, return_old: false });
    world.tables.transact_write(vec![("trades".into(), put)], None).await.unwrap();
    world.tables.together("trades", &[key("A", 5)], |together| together.delete(&key("A", 5))).await.unwrap();

    let changes = world.changes().await;
    assert_eq!(kinds(&changes), [Insert, Modify, Insert, Remove, Insert, Remove]);
    let modified = &changes[1];
    assert_eq!((&modified.old, &modified.new), (&Some(trade("A", 1, 5)), &Some(trade("A", 1, 7))));
    assert_eq!((&modified.keys, modified.time, modified.cause), (&key("A", 1), 1_000_000, ChangeCause::Caller));
    assert_eq!((&changes[3].old, &changes[3].new), (&Some(trade("A", 1, 7)), &None));
}

#[tokio::test]
async fn a_view_shows_its_images_only() {
    for view in [ChangeView::KeysOnly, ChangeView::NewImage, ChangeView::OldImage] {
        let world = World::new(Some(view)).await;
        world.put(trade("A", 1, 5)).await;
        world.put(trade("A", 1, 6)).await;
        let changes = world.changes().await;
        let expected = (view.shows_old().then(|| trade("A", 1, 5)), view.shows_new().then(|| trade("A", 1, 6)));
        assert_eq!((changes[1].old.clone(), changes[1].new.clone()), expected, "{view:?}");
        assert_eq!((&changes[0].old, changes[1].view), (&None, view));
    }
}

#[tokio::test]
async fn changes_are_told_while_they_are_enabled() {
    let world = World::new(None).await;
    world.put(trade("A", 1, 1)).await;
    assert!(matches!(world.tables.set_changes("trades", None).await, Err(TableError::ChangesDisabled { .. })));
    let first = world.tables.set_changes("trades", Some(ChangeView::KeysOnly)).await.unwrap();
    let again = world.tables.set_changes("trades", Some(ChangeView::NewImage)).await;
    assert!(matches!(again, Err(TableError::ChangesEnabled { .. })));
    world.put(trade("A", 2, 1)).await;
    world.tables.set_changes("trades", None).await.unwrap();
    world.put(trade("A", 3, 1)).await;
    assert_eq!(world.changes().await.len(), 1, "what was told stays");
    let second = world.tables.set_changes("trades", Some(ChangeView::KeysOnly)).await.unwrap();
    assert!(second.changes.as_ref().unwrap().created > first.changes.as_ref().unwrap().created);
    assert_eq!(world.changes().await.len(), 0, "a new stream");
    world.tables.delete("trades").await.unwrap();
    assert!(world.streams.get(&Change::stream("trades")).is_err());
}

#[tokio::test]
async fn items_whose_time_is_over_go_and_it_is_told() {
    let world = World::new(Some(ChangeView::KeysOnly)).await;
    for (time, until) in [(1, 1_010), (2, 1_020), (3, 999)] {
        let mut item = trade("A", time, 1);
        item.insert("until".into(), number(until));
        world.put(item).await;
    }
    assert_eq!(world.tables.remove_expired().await.unwrap(), 0, "no attribute is named");
    world.tables.set_expiry("trades", Some("until".into())).await.unwrap();
    assert_eq!(world.tables.remove_expired().await.unwrap(), 1);
    world.clock.advance(11_000);
    assert_eq!(world.tables.remove_expired().await.unwrap(), 1);
    let changes = world.changes().await;
    assert_eq!(kinds(&changes)[3..], [ChangeKind::Remove; 2]);
    assert!(changes[3..].iter().all(|change| change.cause == ChangeCause::Expiry));
    assert!(world.tables.get("trades", &key("A", 2)).await.unwrap().is_some());
}
