//! Snapshots: what they keep, in which order they are listed, how they go.

use std::time::{Duration, SystemTime};

use millstream_object::{
    BlockSource, ByteRange, Conditions, Copy, LeaseAction, Listed, Listing, ObjectError, Objects, Put, Removal, Select,
    SnapshotId, Version, WhichBlocks,
};

use super::{Node, block, commit, content, files, put, with_bucket};

fn of(key: &str, id: SnapshotId) -> Version<'_> {
    Version { bucket: "b", key, snapshot: Some(id) }
}

async fn taken(objects: &Objects, key: &str) -> SnapshotId {
    objects.snapshot("b", key, None, Conditions::default()).await.unwrap().snapshot.unwrap()
}

async fn content_of(objects: &Objects, version: Version<'_>) -> String {
    let read = objects.read_version(version, ByteRange::All, &Conditions::default()).await.unwrap();
    String::from_utf8(read.content.to_vec()).unwrap()
}

async fn remove(objects: &Objects, key: &str, removal: Removal) -> Result<(), ObjectError> {
    objects.remove("b", key, removal, Conditions::default()).await
}

fn names(listing: &Listing) -> Vec<(String, Option<SnapshotId>)> {
    let name = |listed: &Listed| match listed {
        Listed::Object(object) => (object.key.clone(), object.snapshot),
        Listed::Prefix(prefix) => (prefix.clone(), None),
    };
    listing.found.iter().map(name).collect()
}

#[tokio::test]
async fn a_snapshot_stays_as_its_object_was_through_changes_and_a_restart() {
    let node = Node::new();
    let objects = with_bucket(&node).await;
    let properties =
        millstream_object::Properties { metadata: [("a".to_owned(), "1".to_owned())].into(), ..Default::default() };
    let first = objects.put(Put { properties, ..put("k", "one") }).await.unwrap();
    let acquire = LeaseAction::Acquire { id: "l".into(), seconds: None };
    objects.act_on_lease("b", "k", Conditions::default(), acquire).await.unwrap();
    let id = taken(&objects, "k").await;
    let own = Some([("b".to_owned(), "2".to_owned())].into());
    let other = objects.snapshot("b", "k", own.clone(), Conditions::default()).await.unwrap();
    assert!(other.snapshot.unwrap() > id && other.etag != first.etag);
    objects.act_on_lease("b", "k", Conditions::default(), LeaseAction::Release { id: "l".into() }).await.unwrap();
    objects.put(put("k", "two")).await.unwrap();

    let objects = node.start();
    let kept = objects.head_version(of("k", id), &Conditions::default()).await.unwrap();
    assert_eq!((&kept.etag, kept.modified, kept.lease.is_some()), (&first.etag, first.modified, false));
    assert_eq!(kept.properties.metadata, first.properties.metadata);
    let other = objects.head_version(of("k", other.snapshot.unwrap()), &Conditions::default()).await.unwrap();
    assert_eq!(Some(other.properties.metadata), own);
    assert_eq!((content_of(&objects, of("k", id)).await, content(&objects, "k").await), ("one".into(), "two".into()));
    for missing in [of("k", id - 1), of("other", id)] {
        let found = objects.head_version(missing, &Conditions::default()).await;
        assert!(matches!(found, Err(ObjectError::NotFound { .. })), "{missing:?}");
    }
    let nothing = objects.snapshot("b", "none", None, Conditions::default()).await;
    assert!(matches!(nothing, Err(ObjectError::NotFound { .. })));
    let unwanted = objects.snapshot("b", "k", None, Conditions::absent()).await;
    assert!(matches!(unwanted, Err(ObjectError::ConditionFailed { .. })));
}

#[tokio::test]
async fn an_object_goes_with_its_snapshots_or_not_at_all() {
    let node = Node::new();
    let objects = with_bucket(&node).await;
    objects.put(put("k", "one")).await.unwrap();
    let ids = [taken(&objects, "k").await, taken(&objects, "k").await, taken(&objects, "k").await];
    assert!(matches!(remove(&objects, "k", Removal::Object).await, Err(ObjectError::HasSnapshots { .. })));
    remove(&objects, "k", Removal::Snapshot(ids[1])).await.unwrap();
    let again = remove(&objects, "k", Removal::Snapshot(ids[1])).await;
    assert!(matches!(again, Err(ObjectError::NotFound { .. })));
    assert_eq!(content_of(&objects, of("k", ids[2])).await, "one");
    remove(&objects, "k", Removal::Snapshots).await.unwrap();
    assert_eq!((files(node.root.path()), content(&objects, "k").await), (1, "one".into()));
    taken(&objects, "k").await;
    remove(&objects, "k", Removal::WithSnapshots).await.unwrap();
    objects.put(put("k", "two")).await.unwrap();
    assert_eq!(files(node.root.path()), 1);
    remove(&objects, "k", Removal::Object).await.unwrap();

    objects.put(put("k", "three")).await.unwrap();
    let id = taken(&objects, "k").await;
    objects.delete_bucket("b", false, Conditions::default()).await.unwrap();
    objects.create_bucket("b", Default::default()).await.unwrap();
    objects.put(put("k", "four")).await.unwrap();
    let gone = objects.head_version(of("k", id), &Conditions::default()).await;
    assert!(matches!(gone, Err(ObjectError::NotFound { .. })));
    assert_eq!(files(node.root.path()), 1);
}

#[tokio::test]
async fn snapshots_are_listed_before_their_objects_page_by_page() {
    let node = Node::new();
    let objects = with_bucket(&node).await;
    let mut expected = Vec::new();
    for key in ["a", "a-b", "c/d"] {
        objects.put(put(key, key)).await.unwrap();
        for _ in 0..3 {
            expected.push((key.to_owned(), Some(taken(&objects, key).await)));
        }
        expected.push((key.to_owned(), None));
    }
    for limit in [1, 2, 4, 5, 100] {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let select = Select { snapshots: true, limit, after, ..Select::default() };
            let page = objects.list("b", select).await.unwrap();
            assert!(page.found.len() <= limit);
            found.extend(names(&page));
            match page.next {
                Some(next) => after = next,
                None => break,
            }
        }
        assert_eq!(found, expected, "{limit}");
    }
    let without = objects.list("b", Select { limit: 100, ..Select::default() }).await.unwrap();
    assert_eq!(names(&without), ["a", "a-b", "c/d"].map(|key| (key.to_owned(), None)));
}

#[tokio::test]
async fn a_snapshot_is_copied_over_its_object_and_keeps_its_blocks() {
    let node = Node::new();
    let objects = with_bucket(&node).await;
    objects.stage_block(block("k", "1", "one")).await.unwrap();
    objects.commit_blocks(commit("k", &[(BlockSource::Staged, "1")])).await.unwrap();
    let id = taken(&objects, "k").await;
    objects.put(put("k", "two")).await.unwrap();
    let blocks = objects.blocks(of("k", id), WhichBlocks::All).await.unwrap();
    assert_eq!((blocks.committed.len(), blocks.staged.len()), (1, 0));
    let copy = Copy {
        from: ("b".into(), "k".into()),
        snapshot: Some(id),
        source_conditions: Conditions::default(),
        to: ("b".into(), "k".into()),
        conditions: Conditions::default(),
        metadata: None,
        tags: Default::default(),
        source_name: "k".into(),
    };
    let promoted = objects.copy(copy).await.unwrap();
    assert_eq!((promoted.snapshot, content(&objects, "k").await), (None, "one".into()));
    assert_eq!(content_of(&objects, of("k", id)).await, "one");
}

#[tokio::test]
async fn a_file_without_an_entry_is_no_snapshot_and_is_swept() {
    let node = Node::new();
    let objects = with_bucket(&node).await;
    objects.put(put("k", "one")).await.unwrap();
    let id = taken(&objects, "k").await;
    let folder = node.file(".millstream/snapshots/b");
    let folder = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    // As a crash between the file and its entry leaves it.
    std::fs::write(folder.join((id + 1).to_string()), "half").unwrap();
    let found = objects.head_version(of("k", id + 1), &Conditions::default()).await;
    assert!(matches!(found, Err(ObjectError::NotFound { .. })));
    // The node's clock stands still; the files are from long before it.
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
    for file in std::fs::read_dir(&folder).unwrap() {
        std::fs::File::options().write(true).open(file.unwrap().path()).unwrap().set_modified(old).unwrap();
    }
    objects.sweep().await.unwrap();
    assert_eq!(files(&folder), 1);
    assert_eq!(content_of(&objects, of("k", id)).await, "one");
}
