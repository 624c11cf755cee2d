//! What callers have seen when they ask for a change: of two who saw the same, one is refused. No function runs here.

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::{FunctionDefinition, InvokePermission};
use millstream_function::{AliasChange, FunctionChange, FunctionError, Functions, NewFunction, NewVersion};

use super::{Node, new, zip_of};

fn package(number: u32) -> Bytes {
    zip_of(&[("app.py", &format!("number = {number}"))])
}

fn differs<T>(answer: &Result<T, FunctionError>) -> bool {
    matches!(answer, Err(FunctionError::RevisionDiffers { .. }))
}

fn code(number: u32, publish: bool) -> FunctionChange {
    FunctionChange { package: Some(package(number)), publish, ..FunctionChange::default() }
}

async fn function(functions: &Functions) -> Arc<FunctionDefinition> {
    let new = NewFunction { package: package(0), publish: true, ..new("f", "python3.11", "app.py", "") };
    let first = functions.create(new).await.unwrap();
    assert_eq!((first.version, first.revision == functions.get("f").unwrap().revision), (Some(1), false));
    first
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_changes_of_the_same_revision_one_is_refused() {
    let node = Node::on_disk();
    let functions = node.open();
    function(&functions).await;
    let seen = || Some(functions.get("f").unwrap().revision.clone());

    let change = |number| FunctionChange { seen_revision: seen(), ..code(number, false) };
    let (one, other) = tokio::join!(functions.update("f", change(1)), functions.update("f", change(2)));
    assert_ne!(differs(&one), differs(&other), "{one:?} {other:?}");

    let publish = || NewVersion { seen_revision: seen(), ..NewVersion::default() };
    let (published, changed) = tokio::join!(functions.publish("f", publish()), functions.update("f", change(3)));
    assert_ne!(differs(&published), differs(&changed), "{published:?} {changed:?}");

    let alias = AliasChange { version: Some(Some(1)), ..AliasChange::default() };
    let made = functions.create_alias("f", "live", alias).await.unwrap();
    let change = |text: &str| {
        let (description, seen_revision) = (Some(text.to_owned()), Some(made.revision.clone()));
        functions.update_alias("f", "live", AliasChange { description, seen_revision, ..AliasChange::default() })
    };
    let (one, other) = tokio::join!(change("one"), change("other"));
    assert_ne!(differs(&one), differs(&other), "{one:?} {other:?}");
    functions.shutdown().await;
    node.storage.close().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_change_the_revision_of_what_they_are_for() {
    let node = Node::new();
    let functions = node.open();
    let first = function(&functions).await;
    let permission = |id: &str, qualifier: Option<&str>| InvokePermission {
        id: id.into(),
        qualifier: qualifier.map(str::to_owned),
        action: "run".into(),
        principal: "*".into(),
        source: None,
        source_account: None,
    };
    let seen = functions.get("f").unwrap().revision.clone();
    let add = |id, qualifier, seen| functions.add_permission("f", permission(id, qualifier), seen);
    let (one, other) = tokio::join!(add("one", None, Some(&*seen)), add("other", None, Some(&*seen)));
    assert_ne!(differs(&one), differs(&other), "{one:?} {other:?}");
    let function = functions.get("f").unwrap();
    assert_eq!(function.generation, first.generation, "its processes stay");
    let removed = functions.remove_permission("f", None, &function.permissions[0].id, Some(&*seen)).await;
    assert!(differs(&removed), "{removed:?}");

    add("first", Some("1"), Some(&*first.revision)).await.unwrap();
    assert!(differs(&add("second", Some("1"), Some(&*first.revision)).await));
    assert_eq!(functions.get("f").unwrap().revision, function.revision, "the version's revision is its own");
    let missing = add("third", Some("7"), None).await;
    assert!(matches!(missing, Err(FunctionError::NotFound { ref name }) if name == "f:7"), "{missing:?}");
    functions.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_with_a_change_is_that_change() {
    let node = Node::on_disk();
    let functions = node.open();
    function(&functions).await;
    let others = async {
        for number in 1..20 {
            functions.update("f", code(number, false)).await.unwrap();
        }
    };
    let publishes = async {
        for number in 100..110 {
            let version = functions.update("f", code(number, true)).await.unwrap();
            let stored = functions.package(&version.reference()).await.unwrap();
            assert_eq!((version.version, stored), (Some(number - 98), package(number)));
        }
    };
    tokio::join!(others, publishes);

    let current = functions.get("f").unwrap();
    let other = NewVersion { seen_code_hash: Some("other".to_owned()), ..NewVersion::default() };
    assert!(matches!(functions.publish("f", other).await, Err(FunctionError::CodeDiffers { .. })));
    let same = NewVersion { seen_code_hash: Some(current.code_hash.clone()), ..NewVersion::default() };
    functions.publish("f", same).await.unwrap();
    functions.shutdown().await;
    node.storage.close().unwrap();
}
