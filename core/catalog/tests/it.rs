//! The catalog over the storage model, and the pipeline file's mistakes.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use millstream_catalog::pipeline::{FunctionTarget, Known, Pipeline, RouteIntegration, Survey};
use millstream_catalog::{
    Catalog, CatalogError, FailureTarget, MappingStart, OutputTarget, StreamDefinition, StreamOwner,
};
use millstream_storage::{Storage, StorageOptions, Transaction};
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
        scaled: Vec::new(),
        consumers: Vec::new(),
        settings: Default::default(),
    }
}

#[tokio::test]
async fn what_is_written_is_found_though_its_writer_went_away() {
    let folder = tempfile::tempdir().unwrap();
    let (storage, _) = Storage::open(StorageOptions::new(folder.path()), Arc::new(ManualClock::at(0))).unwrap();
    let catalog = Catalog::open(&storage).unwrap();
    catalog.streams.create(stream("trades")).await.unwrap();
    {
        let changed = catalog.streams.put(StreamDefinition { retention_hours: 48, ..stream("trades") });
        tokio::pin!(changed);
        // Begun, and cut off before it is on disk.
        let _ = std::future::poll_fn(|context| std::task::Poll::Ready(changed.as_mut().poll(context))).await;
    }
    let found = async {
        while catalog.streams.require("trades").unwrap().retention_hours != 48 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), found).await.unwrap();
    storage.close().unwrap();
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
        &["p.toml:2: unknown field `nmae`, expected one of `name`, `stream`, `delivery_stream`, `table`, `role`, \
         `user`, `function`, `query`, `api`, `queue`, `mapping`, `event_hubs_namespace`, `event_hub`, `blob_container`, `cosmos_database`, \
         `event_grid_topic`, `sns_topic`, `api_management`, `plans`, `keys`, `marketplace_product`, `portal`\n  try: did you mean `name`?"],
    );
    check(
        "name = \"x\"\n[[stream]]\nname = \"a\"\nshards = \"two\"\n",
        &["p.toml:4: invalid type: string \"two\", expected a whole number from 0 on\n  try: write it without quotes"],
    );
    check(
        "name = \"x\"\n[[stream]]\nname = \"a\"\n[[stream]]\nname = \"a\"\nshards = 0\n",
        &[
            "p.toml:5: a second stream `a`\n  try: give it another name or remove it",
            "p.toml:6: expected shards from 1 to 500, found 0\n  try: the nearest possible is 1",
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
    let function = "[[function]]\nname = \"f\"\nruntime = \"nodejs20.x\"\nhandler = \"a.b\"\ncode = \"c\"\n";
    check(
        &format!(
            "name = \"x\"\n{function}[[queue]]\nname = \"q\"\n[[stream]]\nname = \"s\"\n\
             [[mapping]]\nstream = \"s\"\nfunction = \"f\"\nmax_concurrency = 5\nbatch_size = 0\n\
             [[mapping]]\nstream = \"s\"\nfunction = \"f\"\non_failure = \"p\"\n\
             tumbling_window_seconds = 901\nparallelization = 2\n\
             [[mapping]]\nqueue = \"q\"\nfunction = \"g\"\nbatch_size = 20\nbisect = true\n\
             [[mapping]]\nfunction = \"f\"\n"
        ),
        &[
            "p.toml:13: `max_concurrency` says nothing for a stream\n  try: say `parallelization`",
            "p.toml:15: expected batch_size from 1 to 10000, found 0\n  try: the nearest possible is 1",
            "p.toml:18: windows with a state need one batch of a shard at once\n  try: take `parallelization` out",
            "p.toml:18: `f` has a mapping of this source already on line 13\n  try: keep one",
            "p.toml:19: there is no queue `p` in this file\n  try: did you mean `q`?",
            "p.toml:20: expected tumbling_window_seconds from 1 to 900, found 901\n  try: the nearest possible is 900",
            "p.toml:24: there is no function `g` in this file\n  try: did you mean `f`?",
            "p.toml:24: `bisect` says nothing for a queue\n  try: a queue's `dead_letter` and `max_receives` treat what fails",
            "p.toml:24: batches of more than 10 messages have to be gathered for a while\n  try: add it: window_seconds = 1",
            "p.toml:28: a mapping needs exactly one of `stream`, `table` and `queue`\n  try: name one: stream = \"NAME\"",
        ],
    );
    check(
        &format!(
            "name = \"x\"\n[[queue]]\nname = \"letters\"\n[[queue]]\nname = \"both\"\n[[sns_topic]]\nname = \"both\"\n\
             {function}dead_letter = \"leters\"\nretries = 3\nmaximum_age_seconds = 5\n\
             on_success = \"f\"\non_failure = \"both\"\n"
        ),
        &[
            "p.toml:13: there is no queue or topic `leters` in this file\n  try: did you mean `letters`?",
            "p.toml:14: expected retries from 0 to 2, found 3\n  try: the nearest possible is 2",
            "p.toml:15: expected maximum_age_seconds from 60 to 21600, found 5\n  try: the nearest possible is 60",
            "p.toml:16: `f` would be told of itself again and again\n  try: name another function, a queue or a topic",
            "p.toml:17: `both` is the name of more than one queue, topic or function\n  try: give one of them another name",
        ],
    );
}

/// One mistake hides no other: what cannot be read is left out, and who refers to it is right.
#[test]
fn every_mistake_is_told_at_once() {
    let text = r#"
[[stream]]
name = "trades"
shards = "two"
shrads = 3

[[stream]]
name = "ab cd"
retention_hours = 1

[[table]]
name = "ab"
hash_key = { name = "id", type = "strin" }
sort_key = { nam = "at", type = "string" }

[[function]]
name = "Save"
runtime = "nodejs20.x"
code = "c"

[[function]]
name = "Load"
runtime = "nodejs20.x"
handler = ""
code = "c"
timeout_seconds = 901

[[query]]
name = "sums"
dialect = "kinesis"
sql = "x"
[[query.input]]
name = "i"
stream = "trades"
columns = [{ name = "a", type = 5 }, { name = "b", type = "MONEY" }]
[[query.output]]
name = "o"
function = "Save"
[[query.output]]
name = "p"
function = "Lode"
"#;
    let survey = Survey::of("p.toml", text, &Known::default());
    let told: Vec<String> = survey.mistakes.iter().map(ToString::to_string).collect();
    let expected = [
        "p.toml:4: invalid type: string \"two\", expected a whole number from 0 on\n  try: write it without quotes",
        "p.toml:5: unknown field `shrads`, expected one of `name`, `shards`, `retention_hours`, `retention_bytes`\n  try: did you mean `shards`?",
        "p.toml:8: expected a name of 1 to 128 letters, digits and `_`, `-`, `.` for a stream, found `ab cd`\n  try: rename it",
        "p.toml:9: expected retention_hours from 24 to 8760, found 1\n  try: the nearest possible is 24",
        "p.toml:13: unknown variant `strin`, expected one of `string`, `number`, `binary`\n  try: did you mean `string`?",
        "p.toml:14: unknown field `nam`, expected `name` or `type`\n  try: did you mean `name`?",
        "p.toml:14: missing field `name`\n  try: add it: name = …",
        "p.toml:16: missing field `handler`\n  try: add it: handler = …",
        "p.toml:24: expected a handler of 1 to 128 bytes without blanks, found ``\n  try: name the file and its function: app.handler",
        "p.toml:26: expected timeout_seconds from 1 to 900, found 901\n  try: the nearest possible is 900",
        "p.toml:35: invalid type: integer `5`, expected a text\n  try: write it in quotes",
        "p.toml:35: column `b` has the unknown type `MONEY`\n  try: use BIGINT, DOUBLE, VARCHAR(n), BOOLEAN or TIMESTAMP",
        "p.toml:41: there is no function `Lode` in this file\n  try: did you mean `Load`?",
    ];
    assert_eq!(told, expected);
    assert!(survey.unsure.contains("sums"), "its columns are not known");
    let broken = Survey::of("p.toml", "a = \nb = ]\n", &Known::default());
    assert!(broken.pipeline.is_none() && broken.mistakes.len() == 2, "{:?}", broken.mistakes);
}

#[test]
fn ends_of_asynchronous_invocations_have_targets_of_every_kind() {
    let function = |name: &str, more: &str| {
        format!("[[function]]\nname = \"{name}\"\nruntime = \"nodejs20.x\"\nhandler = \"a.b\"\ncode = \"c\"\n{more}")
    };
    let more = "dead_letter = \"t\"\nretries = 0\non_success = \"g\"\non_failure = \"q\"\n";
    let text = format!(
        "name = \"x\"\n[[queue]]\nname = \"q\"\n[[sns_topic]]\nname = \"t\"\n{}{}",
        function("f", more),
        function("g", ""),
    );
    let pipeline = Pipeline::parse("p.toml", &text).unwrap();
    let [f, g] = [&pipeline.functions[0].value, &pipeline.functions[1].value];
    assert_eq!(f.dead_letter, Some(FunctionTarget::Topic("t".into())));
    let asynchronous = f.asynchronous.clone().unwrap();
    assert_eq!((asynchronous.retries_max, asynchronous.age_max_seconds), (Some(0), None));
    assert_eq!(asynchronous.on_success, Some(FunctionTarget::Function("g".into())));
    assert_eq!(asynchronous.on_failure, Some(FunctionTarget::Queue("q".into())));
    assert_eq!((&g.dead_letter, &g.asynchronous), (&None, &None));
}

#[test]
fn mappings_are_read_with_the_defaults_of_their_source() {
    let text = "name = \"x\"\n[[stream]]\nname = \"s\"\n[[queue]]\nname = \"q\"\n\
        [[function]]\nname = \"f\"\nruntime = \"nodejs20.x\"\nhandler = \"a.b\"\ncode = \"c\"\n\
        [[mapping]]\nstream = \"s\"\nfunction = \"f\"\nmax_retries = 2\non_failure = \"q\"\n\
        tumbling_window_seconds = 60\n\
        [[mapping]]\nqueue = \"q\"\nfunction = \"f\"\nenabled = false\n";
    let pipeline = Pipeline::parse("p.toml", text).unwrap();
    let [stream, queue] = [&pipeline.mappings[0].value, &pipeline.mappings[1].value];
    assert_eq!((stream.start, stream.enabled), (Some(MappingStart::TrimHorizon), true));
    assert_eq!((stream.settings.batch_size, stream.settings.retries_max), (100, Some(2)));
    assert_eq!(stream.settings.on_failure, Some(FailureTarget::Queue { name: "q".into() }));
    assert_eq!((stream.settings.tumbling_window_seconds, queue.settings.tumbling_window_seconds), (Some(60), None));
    assert_eq!((queue.start, queue.enabled, queue.settings.batch_size), (None, false, 10));
}
