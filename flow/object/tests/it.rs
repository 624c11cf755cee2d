//! The object engine over the storage model and real folders.

#![allow(clippy::unwrap_used)]

#[path = "it/snapshots.rs"]
mod snapshots;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::Catalog;
use millstream_object::{
    Append, BlockSource, ByteRange, CommitBlocks, Conditions, Copy, EtagMatch, LeaseAction, LeaseRefusal, Listed,
    NewBlock, ObjectError, ObjectKind, ObjectStoreOptions, Objects, Properties, Put, Removal, Select, Version,
    WhichBlocks,
};
use millstream_storage::Storage;
use millstream_types::{Clock, ManualClock, NewObject, PutObject as _, ReadObject as _};

const NOW: i64 = 1_795_248_900_000;

struct Node {
    storage: Storage,
    clock: Arc<dyn Clock>,
    root: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(NOW));
        Self { storage: Storage::in_memory(Arc::clone(&clock)), clock, root: tempfile::tempdir().unwrap() }
    }

    /// The engine, as at a start of the node.
    fn start(&self) -> Objects {
        let options = ObjectStoreOptions::Folder(self.root.path().to_owned());
        let catalog = Catalog::open(&self.storage).unwrap();
        Objects::new(options, self.storage.clone(), catalog, Arc::clone(&self.clock))
    }

    fn file(&self, path: &str) -> std::path::PathBuf {
        self.root.path().join(path)
    }
}

fn put(key: &str, content: &str) -> Put {
    Put::new("b".into(), key.into(), vec![Bytes::from(content.to_owned())])
}

async fn with_bucket(node: &Node) -> Objects {
    let objects = node.start();
    objects.create_bucket("b", Default::default()).await.unwrap();
    objects
}

async fn content(objects: &Objects, key: &str) -> Bytes {
    objects.read("b", key, ByteRange::All, &Conditions::default()).await.unwrap().content
}

fn block(key: &str, id: &str, data: &str) -> NewBlock {
    let data = Bytes::from(data.to_owned());
    NewBlock { bucket: "b".into(), key: key.into(), id: id.into(), data, md5: None, lease_id: None }
}

fn commit(key: &str, blocks: &[(BlockSource, &str)]) -> CommitBlocks {
    CommitBlocks {
        bucket: "b".into(),
        key: key.into(),
        blocks: blocks.iter().map(|(source, id)| (*source, (*id).to_owned())).collect(),
        properties: Properties::default(),
        conditions: Conditions::default(),
    }
}

/// All files below a folder, ours left out.
fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

#[tokio::test]
async fn an_object_is_a_file_and_its_properties_survive_a_restart() {
    let node = Node::new();
    let objects = with_bucket(&node).await;
    let properties = Properties {
        content_type: Some("text/plain".into()),
        metadata: [("a".to_owned(), "b".to_owned())].into(),
        ..Properties::default()
    };
    let made = objects.put(Put { properties, ..put("2026/one.txt", "one") }).await.unwrap();
    assert_eq!(std::fs::read(node.file("b/2026/one.txt")).unwrap(), b"one");
    let again = node.start();
    let found = again.head("b", "2026/one.txt", &Conditions::default()).await.unwrap();
    assert_eq!(found, made);
    assert_eq!((found.length, found.created, found.properties.md5.is_some()), (3, NOW, true));
    assert_eq!(content(&again, "2026/one.txt").await, "one");
    let part = again.read("b", "2026/one.txt", ByteRange::From(1, Some(1)), &Conditions::default()).await.unwrap();
    assert_eq!((part.start, &part.content[..]), (1, &b"n"[..]));
}

#[tokio::test]
async fn a_file_that_somebody_wrote_is_an_object_and_what_was_said_of_the_old_one_is_not_believed() {
    let node = Node::new();
    let objects = with_bucket(&node).await;
    std::fs::write(node.file("b/mine"), "by hand").unwrap();
    let found = objects.head("b", "mine", &Conditions::default()).await.unwrap();
    assert_eq!((found.length, found.properties, found.kind), (7, Properties::default(), ObjectKind::Whole));
    let properties = Properties { content_type: Some("text/plain".into()), ..Properties::default() };
    let made = objects.put(Put { properties, ..put("mine", "by us") }).await.unwrap();
    std::fs::write(node.file("b/mine"), "by hand again").unwrap();
    let found = objects.head("b", "mine", &Conditions::default()).await.unwrap();
    assert_eq!((found.length, found.properties.content_type), (13, None));
    assert_ne!(found.etag, made.etag);
}

#[tokio::test]
async fn conditions_decide_and_leave_nothing_behind() {
    let node = Node::new();
    let objects = with_bucket(&node).await;
    let first = objects.put(Put { conditions: Conditions::absent(), ..put("k", "1") }).await.unwrap();
    let again = objects.put(Put { conditions: Conditions::absent(), ..put("k", "2") }).await;
    assert!(matches!(again, Err(ObjectError::ConditionFailed { .. })), "{again:?}");
    let same = Conditions { if_match: Some(EtagMatch::OneOf(vec![first.etag.clone()])), ..Conditions::default() };
    let second = objects.put(Put { conditions: same.clone(), ..put("k", "3") }).await.unwrap();
    assert_ne!(first.etag, second.etag);
    assert!(objects.remove("b", "k", Removal::Object, same.clone()).await.is_err());
    assert!(objects.change("b", "k", same, |_| {}).await.is_err());
    assert_eq!(content(&objects, "k").await, "3");
    let wrong = Properties { md5: Some([0; 16]), ..Properties::default() };
    let refused = objects.put(Put { properties: wrong, ..put("k", "4") }).await;
    assert!(matches!(refused, Err(ObjectError::Md5Mismatch { .. })));
    assert_eq!(files(node.root.path()), 1);
}

#[tokio::test]
async fn only_one_of_many_writers_finds_the_object_absent() {
    let node = Node::new();
    let objects = with_bucket(&node).await;
    let writers: Vec<_> = (0..20)
        .map(|writer| {
            let objects = objects.clone();
            let put = Put { conditions: Conditions::absent(), ..put("k", &writer.to_string()) };
            tokio::spawn(async move { objects.put(put).await.is_ok() })
        })
        .collect();
    let mut won = 0;
    for writer in writers {
        won += usize::from(writer.await.unwrap());
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn blocks_become_an_object_in_the_order_of_the_list() {
    let node = Node::new();
    let objects = with_bucket(&node).await;
    for (id, data) in [("1", "one,"), ("2", "two,"), ("3", "three,")] {
        objects.stage_block(block("k", id, data)).await.unwrap();
    }
    assert!(objects.stage_block(block("k", "10", "longer id")).await.is_err());
    let objects = node.start();
    let waiting = objects.blocks(Version::current("b", "k"), WhichBlocks::All).await.unwrap();
    assert_eq!((waiting.object, waiting.staged.len()), (None, 3));
    assert!(objects.list("b", Select { limit: 10, ..Select::default() }).await.unwrap().found.is_empty());
    let missing = objects.commit_blocks(commit("k", &[(BlockSource::Latest, "9")])).await;
    assert!(matches!(missing, Err(ObjectError::BlockNotFound { .. })));
    let latest = |ids: &[&'static str]| ids.iter().map(|id| (BlockSource::Latest, *id)).collect::<Vec<_>>();
    objects.commit_blocks(commit("k", &latest(&["2", "1", "2"]))).await.unwrap();
    assert_eq!(content(&objects, "k").await, "two,one,two,");
    let made = objects.blocks(Version::current("b", "k"), WhichBlocks::All).await.unwrap();
    assert_eq!((made.committed.len(), made.staged.len()), (3, 0), "what was not listed is forgotten");
    objects.stage_block(block("k", "4", "four,")).await.unwrap();
    objects.commit_blocks(commit("k", &latest(&["4", "1"]))).await.unwrap();
    assert_eq!(content(&objects, "k").await, "four,one,");
    objects.put(put("k", "whole")).await.unwrap();
    assert!(objects.blocks(Version::current("b", "k"), WhichBlocks::All).await.unwrap().committed.is_empty());
    assert_eq!(files(node.root.path()), 1);
}

#[tokio::test]
async fn what_an_append_did_not_acknowledge_is_cut() {
    let node = Node::new();
    let objects = with_bucket(&node).await;
    objects.put(Put { kind: ObjectKind::Append, ..put("log", "") }).await.unwrap();
    let append = |data: &str, position| Append {
        bucket: "b".into(),
        key: "log".into(),
        data: Bytes::from(data.to_owned()),
        md5: None,
        position,
        length_max: Some(9),
        conditions: Conditions::default(),
    };
    objects.append(append("one,", Some(0))).await.unwrap();
    // As a crash between file and entry leaves it.
    std::fs::write(node.file("b/log"), "one,tw").unwrap();
    let objects = node.start();
    assert_eq!(content(&objects, "log").await, "one,");
    let found = objects.append(append("two,", None)).await.unwrap();
    assert_eq!((found.length, found.append_blocks), (8, 2));
    assert_eq!(std::fs::read(node.file("b/log")).unwrap(), b"one,two,");
    assert!(matches!(objects.append(append("x", Some(3))).await, Err(ObjectError::AppendPosition { .. })));
    assert!(matches!(objects.append(append("xx", None)).await, Err(ObjectError::AppendTooLong { .. })));
    objects.put(put("whole", "1")).await.unwrap();
    let whole = Append { key: "whole".into(), ..append("x", None) };
    assert!(matches!(objects.append(whole).await, Err(ObjectError::WrongKind { .. })));
    assert!(matches!(objects.stage_block(block("log", "1", "x")).await, Err(ObjectError::WrongKind { .. })));
}

#[tokio::test]
async fn pages_of_a_listing_give_each_name_once() {
    let node = Node::new();
    let objects = with_bucket(&node).await;
    for key in ["a/1", "a/2", "a0", "b/c/1", "b/d", "c"] {
        objects.put(put(key, key)).await.unwrap();
    }
    let names = async |prefix: &str, delimiter: Option<&str>, limit| {
        let (mut names, mut after) = (Vec::new(), String::new());
        loop {
            let (prefix, delimiter) = (prefix.to_owned(), delimiter.map(str::to_owned));
            let page =
                objects.list("b", Select { prefix, delimiter, after, limit, ..Select::default() }).await.unwrap();
            names.extend(page.found.into_iter().map(|found| match found {
                Listed::Object(object) => object.key,
                Listed::Prefix(prefix) => prefix,
            }));
            match page.next {
                Some(next) => after = next,
                None => return names.join(" "),
            }
        }
    };
    for limit in [1, 2, 5, 100] {
        assert_eq!(names("", None, limit).await, "a/1 a/2 a0 b/c/1 b/d c");
        assert_eq!(names("", Some("/"), limit).await, "a/ a0 b/ c");
        assert_eq!(names("b/", Some("/"), limit).await, "b/c/ b/d");
        assert_eq!(names("a", None, limit).await, "a/1 a/2 a0");
    }
    let nowhere = objects.list("none", Select::default()).await;
    assert!(matches!(nowhere, Err(ObjectError::BucketNotFound { .. })));
}

#[tokio::test]
async fn copies_keep_what_was_said_unless_told_otherwise() {
    let node = Node::new();
    let objects = with_bucket(&node).await;
    let properties = Properties {
        content_type: Some("text/plain".into()),
        metadata: [("a".to_owned(), "b".to_owned())].into(),
        ..Properties::default()
    };
    objects.put(Put { properties, ..put("from", "content") }).await.unwrap();
    let copy = |to: &str, metadata| Copy {
        tags: Default::default(),
        from: ("b".into(), "from".into()),
        snapshot: None,
        source_conditions: Conditions::default(),
        to: ("b".into(), to.into()),
        conditions: Conditions::default(),
        metadata,
        source_name: "from".into(),
    };
    let copied = objects.copy(copy("to", None)).await.unwrap();
    assert_eq!((copied.properties.metadata.len(), copied.copy.is_some()), (1, true));
    let copied = objects.copy(copy("to", Some(Default::default()))).await.unwrap();
    assert_eq!((copied.properties.content_type.as_deref(), copied.properties.metadata.len()), (Some("text/plain"), 0));
    assert_eq!(content(&objects, "to").await, "content");
    objects.copy(copy("from", None)).await.unwrap();
    assert_eq!(content(&objects, "from").await, "content");
}

#[tokio::test]
async fn buckets_are_folders_with_and_without_a_definition() {
    let node = Node::new();
    let objects = with_bucket(&node).await;
    std::fs::create_dir(node.file("by-hand")).unwrap();
    let again = objects.create_bucket("b", Default::default()).await;
    assert!(matches!(again, Err(ObjectError::BucketExists { .. })));
    objects.put(put("k", "1")).await.unwrap();
    let metadata = [("a".to_owned(), "b".to_owned())];
    objects.set_bucket_metadata("b", metadata.clone().into(), Conditions::default()).await.unwrap();
    let objects = node.start();
    let buckets = objects.buckets().await.unwrap();
    let names: Vec<&str> = buckets.iter().map(|bucket| bucket.name.as_str()).collect();
    assert_eq!(names, ["b", "by-hand"]);
    assert_eq!(buckets[0].metadata, metadata.into());
    assert!(matches!(
        objects.delete_bucket("b", true, Conditions::default()).await,
        Err(ObjectError::BucketNotEmpty { .. })
    ));
    objects.delete_bucket("b", false, Conditions::default()).await.unwrap();
    objects.delete_bucket("by-hand", true, Conditions::default()).await.unwrap();
    assert!(matches!(objects.put(put("k", "1")).await, Err(ObjectError::BucketNotFound { .. })));
    objects.create_bucket("b", Default::default()).await.unwrap();
    let gone = objects.head("b", "k", &Conditions::default()).await;
    assert!(matches!(gone, Err(ObjectError::NotFound { .. })));
    assert!(objects.bucket("b").await.unwrap().metadata.is_empty());
    assert_eq!(files(node.root.path()), 0);
}

#[tokio::test]
async fn the_port_makes_the_bucket_and_an_s3_class_store_says_what_it_cannot() {
    let node = Node::new();
    let objects = node.start();
    let new = |key: &str| NewObject {
        bucket: "letters".into(),
        key: key.into(),
        content_type: "application/json".into(),
        body: Bytes::from_static(b"{}"),
    };
    objects.put_object(new("a/b.json")).await.unwrap();
    let found = objects.head("letters", "a/b.json", &Conditions::default()).await.unwrap();
    assert_eq!(found.properties.content_type.as_deref(), Some("application/json"));
    assert!(objects.put_object(new("../b.json")).await.is_err());
    let s3 = ObjectStoreOptions::S3 {
        endpoint: "http://127.0.0.1:1".into(),
        region: "r".into(),
        access_key: "a".into(),
        secret: "s".into(),
    };
    let catalog = Catalog::open(&node.storage).unwrap();
    let objects = Objects::new(s3, node.storage.clone(), catalog, Arc::clone(&node.clock));
    let refused = objects.create_bucket("b", Default::default()).await;
    assert!(matches!(refused, Err(ObjectError::Unsupported { .. })));
    assert!(matches!(objects.stage_block(block("k", "1", "x")).await, Err(ObjectError::Unsupported { .. })));
}

#[tokio::test]
async fn only_who_holds_the_lease_changes_an_object_and_tags_leave_it_as_it_is() {
    let node = Node::new();
    let objects = with_bucket(&node).await;
    let put = |lease_id: Option<&str>| {
        let conditions = Conditions { lease_id: lease_id.map(str::to_owned), ..Conditions::default() };
        objects.put(Put { conditions, ..Put::new("b".into(), "k".into(), vec!["x".into()]) })
    };
    let first = put(None).await.unwrap();
    let acquire = LeaseAction::Acquire { id: "l".into(), seconds: None };
    let leased = objects.act_on_lease("b", "k", Conditions::default(), acquire).await.unwrap();
    assert_eq!(leased.etag, first.etag);
    for (id, expected) in [(None, LeaseRefusal::Missing), (Some("m"), LeaseRefusal::Mismatch)] {
        let refused = put(id).await;
        assert!(matches!(refused, Err(ObjectError::Lease { refusal, .. }) if refusal == expected), "{id:?}");
    }
    assert!(matches!(
        objects.remove("b", "k", Removal::Object, Conditions::default()).await,
        Err(ObjectError::Lease { refusal: LeaseRefusal::Missing, .. })
    ));
    let second = put(Some("l")).await.unwrap();
    assert!(second.lease.is_some(), "a new content keeps the lease");
    let tags = std::collections::BTreeMap::from([("a".to_owned(), "1".to_owned())]);
    let mine = Conditions { lease_id: Some("l".into()), ..Conditions::default() };
    let tagged = objects.set_tags("b", "k", mine, tags.clone()).await.unwrap();
    assert_eq!((tagged.etag, &tagged.properties.tags), (second.etag, &tags));
    let wrong = std::collections::BTreeMap::from([("a".to_owned(), "#".to_owned())]);
    assert!(matches!(objects.set_tags("b", "k", Conditions::default(), wrong).await, Err(ObjectError::Tags { .. })));
    objects.act_on_lease("b", "k", Conditions::default(), LeaseAction::Release { id: "l".into() }).await.unwrap();
    objects.remove("b", "k", Removal::Object, Conditions::default()).await.unwrap();
}

#[tokio::test]
async fn names_are_listed_behind_a_name() {
    let node = Node::new();
    let objects = with_bucket(&node).await;
    for key in ["a/1", "b/1", "b/2", "b/3", "c/1"] {
        objects.put(put(key, "")).await.unwrap();
    }
    for (after, count_max, expected) in
        [("", 9, &["b/1", "b/2", "b/3"][..]), ("", 2, &["b/1", "b/2"]), ("b/2", 2, &["b/3"]), ("b/3", 2, &[])]
    {
        assert_eq!(objects.list_objects("b", "b/", after, count_max).await.unwrap(), expected);
    }
}
