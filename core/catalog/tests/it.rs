//! The catalog over the storage model, and the pipeline file's mistakes.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use millstream_catalog::pipeline::{Pipeline, RouteIntegration};
use millstream_catalog::{Catalog, CatalogError, OutputTarget, StreamDefinition, StreamOwner};
use millstream_storage::{Storage, Transaction};
use millstream_types::ManualClock;

const EXAMPLE: &str = include_str!("../../../examples/stock-trades/pipeline.toml");

fn stream(name: &str) -> StreamDefinition {
    StreamDefinition {
        name: name.into(),
        owner: StreamOwner::User,
        created: 0,
        retention_hours: 24,
        shards: Vec::new(),
        tags: Default::default(),
        capacity: Default::default(),
    }
}

#[tokio::test]
async fn definitions_outlive_the_catalog_and_tell_of_changes() {
    let storage = Storage::in_memory(Arc::new(ManualClock::at(0)));
    let catalog = Catalog::open(&storage).unwrap();
    let mut changes = catalog.streams.watch();
    catalog.streams.create(stream("trades")).await.unwrap();
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    assert!(matches!(catalog.streams.create(stream("trades")).await, Err(CatalogError::Exists { .. })));
    assert!(!changes.has_changed().unwrap());
    let first = catalog.next_id().await.unwrap();

    let reopened = Catalog::open(&storage).unwrap();
    assert_eq!(reopened.streams.require("trades").unwrap().retention_hours, 24);
    assert!(reopened.next_id().await.unwrap() > first);
    reopened.streams.delete("trades", Transaction::new()).await.unwrap();
    assert!(matches!(reopened.streams.require("trades"), Err(CatalogError::NotFound { .. })));
}

#[test]
fn the_example_is_read() {
    let pipeline = Pipeline::parse("pipeline.toml", EXAMPLE).unwrap();
    assert_eq!(pipeline.name, "stock-trades");
    assert_eq!(pipeline.queries.len(), 2);
    let query = &pipeline.queries[0].value;
    assert_eq!(query.inputs[0].value.stream, "delivery/input_transactions");
    assert_eq!(query.inputs[0].value.columns.len(), 5);
    assert_eq!(query.outputs[0].value.target, OutputTarget::Function { name: "SaveShareChange".into() });
    assert_eq!(pipeline.apis[0].value.routes[0].value.integration, RouteIntegration::Plain);
}

/// Each mistake names its line, what was expected, and what to do.
#[test]
fn mistakes_are_told_with_their_lines() {
    let check = |text: &str, expected: &[&str]| {
        let mistakes = Pipeline::parse("p.toml", text).unwrap_err();
        let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(told, expected, "{text}");
    };
    check(
        "name = \"x\"\nnmae = 1\n",
        &["p.toml:2: unknown field `nmae`, expected one of `name`, `stream`, `delivery_stream`, `table`, `function`, \
         `query`, `api`, `queue`, `event_hub`, `blob_container`, `cosmos_database`, \
         `event_grid_topic`, `api_management`\n  try: remove the field or correct its name"],
    );
    check(
        "name = \"x\"\n[[stream]]\nname = \"a\"\nshards = \"two\"\n",
        &["p.toml:4: invalid type: string \"two\", expected u32"],
    );
    check(
        "name = \"x\"\n[[stream]]\nname = \"a\"\n[[stream]]\nname = \"a\"\nshards = 0\n",
        &[
            "p.toml:5: a second stream `a`\n  try: give it another name or remove it",
            "p.toml:5: expected shards from 1 to 500, found 0",
        ],
    );
    check(
        "name = \"x\"\n[[function]]\nname = \"Save\"\nruntime = \"nodejs20.x\"\nhandler = \"a.b\"\ncode = \"c\"\n\
         [[api]]\nname = \"api\"\n[[api.route]]\nmethod = \"POST\"\npath = \"/\"\nfunction = \"Sav\"\n",
        &["p.toml:12: there is no function `Sav` in this file\n  try: did you mean `Save`?"],
    );
    check(
        "name = \"x\"\n[[stream]]\nname = \"s\"\n[[query]]\nname = \"q\"\ndialect = \"kinesis\"\nsql = \"x\"\n\
         [[query.input]]\nname = \"i\"\nstream = \"s\"\ncolumns = [\n  { name = \"a\", type = \"MONEY\" },\n]\n",
        &[
            "p.toml:12: column `a` has the unknown type `MONEY`\n  try: use BIGINT, DOUBLE, VARCHAR(n), BOOLEAN or TIMESTAMP",
        ],
    );
}
