//! The function engine with real processes: Python and Node.js handlers, and a shell script as its own runtime.

#![allow(clippy::unwrap_used)]

#[path = "it/revisions.rs"]
mod revisions;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io::{Cursor, Write as _};
use std::ops::Bound::Unbounded;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{AsyncPolicy, Catalog};
use millstream_function::{
    Delivery, DeliveryError, Destination, FunctionChange, FunctionError, Functions, NewFunction, Options,
    ProcessCredentials,
};
use millstream_insight::Insight;
use millstream_storage::{Keyspace, Storage, StorageOptions, Transaction};
use millstream_types::{BoxFuture, Invocation, InvocationOutcome, Invoke as _, SystemClock};
use serde_json::{Value, json};
use tokio::sync::Notify;

struct Node {
    folder: tempfile::TempDir,
    storage: Storage,
    insight: Insight,
}

impl Node {
    fn new() -> Self {
        Self::over(Storage::in_memory(Arc::new(SystemClock)), tempfile::tempdir().unwrap())
    }

    /// A node whose commits take their time.
    fn on_disk() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = StorageOptions::new(folder.path().join("data"));
        Self::over(Storage::open(options, Arc::new(SystemClock)).unwrap().0, folder)
    }

    fn over(storage: Storage, folder: tempfile::TempDir) -> Self {
        let insight = Insight::open(&storage, Arc::new(SystemClock)).unwrap();
        Self { folder, storage, insight }
    }

    fn open(&self) -> Functions {
        self.open_with(|_| ())
    }

    fn open_with(&self, change: impl FnOnce(&mut Options)) -> Functions {
        let catalog = Catalog::open(&self.storage).unwrap();
        let mut options = Options {
            folder: self.folder.path().to_owned(),
            concurrency_max: 8,
            endpoint: "http://127.0.0.1:1".into(),
            region: "us-east-1".into(),
            arn: Arc::new(|name| format!("arn:aws:lambda:us-east-1:000000000000:function:{name}")),
            log_group: Arc::new(|name| format!("functions/{name}")),
            credentials: Arc::new(|_| ProcessCredentials::default()),
            python_path: Vec::new(),
            node_path: Vec::new(),
            retry_waits: Arc::new([Duration::from_millis(50), Duration::from_millis(50)]),
            destination: None,
            dotnet: millstream_function::DotnetOptions::default(),
            launcher: None,
            confinement_required: false,
            readable: Vec::new(),
            hidden: Vec::new(),
        };
        change(&mut options);
        Functions::open(options, self.storage.clone(), catalog, self.insight.clone(), Arc::new(SystemClock)).unwrap()
    }

    fn printed(&self, function: &str) -> Vec<String> {
        let events = self.insight.logs.events(&format!("functions/{function}"), None, (0, i64::MAX), 0, 10_000);
        events.unwrap_or_default().into_iter().map(|(_, event)| event.message).collect()
    }
}

fn zip_of(files: &[(&str, &str)]) -> Bytes {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    Bytes::from(writer.finish().unwrap().into_inner())
}

fn new(name: &str, runtime: &str, file: &str, code: &str) -> NewFunction {
    NewFunction {
        name: name.into(),
        runtime: runtime.into(),
        handler: "app.handler".into(),
        timeout_seconds: 10,
        memory_mib: 256,
        environment: BTreeMap::from([("GREETING".to_owned(), "hello".to_owned())]),
        package: zip_of(&[(file, code)]),
        ..NewFunction::default()
    }
}

fn event(function: &str, payload: &Value) -> Invocation {
    Invocation {
        function: function.into(),
        payload: Bytes::from(payload.to_string()),
        source: "test".into(),
        client_context: None,
        log_tail: true,
    }
}

async fn call(functions: &Functions, name: &str, payload: Value) -> InvocationOutcome {
    functions.invoke(event(name, &payload)).await.unwrap()
}

fn json_of(outcome: &InvocationOutcome) -> Value {
    serde_json::from_slice(&outcome.payload).unwrap()
}

const PYTHON: &str = r#"
import os, sys, time
count = 0
def handler(event, context):
    global count
    count += 1
    kind = event.get("kind")
    print("got", kind)
    if kind == "raise": raise ValueError("no such trade")
    if kind == "exit": os._exit(3)
    if kind == "sleep": time.sleep(60)
    if kind == "eat":
        hog = []
        while True: hog.append(bytearray(8 << 20))
    if kind == "shout": print("x" * 1000000)
    return {"count": count, "greeting": os.environ["GREETING"], "id": context.aws_request_id,
            "left": context.get_remaining_time_in_millis() > 0, "leaked": "CARGO" in os.environ, "pid": os.getpid()}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn python_handlers_run_warm_and_their_ends_are_told() {
    let node = Node::new();
    let functions = node.open();
    functions.create(NewFunction { timeout_seconds: 2, ..new("py", "python3.11", "app.py", PYTHON) }).await.unwrap();

    let first = call(&functions, "py", json!({ "kind": "plain" })).await;
    assert_eq!(first.error, None, "{:?}", first.payload);
    let answer = json_of(&first);
    assert_eq!((&answer["count"], &answer["greeting"], &answer["leaked"]), (&json!(1), &json!("hello"), &json!(false)));
    assert_eq!(answer["id"], json!(first.id));
    let tail = String::from_utf8_lossy(&first.log_tail).into_owned();
    for line in ["START RequestId:", "got plain", "END RequestId:", "REPORT RequestId:"] {
        assert!(tail.contains(line), "{tail}");
    }
    let second = json_of(&call(&functions, "py", json!({})).await);
    assert_eq!((&second["count"], &second["pid"]), (&json!(2), &answer["pid"]), "the same process");

    let raised = call(&functions, "py", json!({ "kind": "raise" })).await;
    assert_eq!(raised.error.as_deref(), Some("Unhandled"));
    assert_eq!(json_of(&raised)["errorMessage"], "no such trade");
    assert_eq!(json_of(&raised)["errorType"], "ValueError");
    assert_eq!(json_of(&call(&functions, "py", json!({})).await)["count"], 4, "an error keeps the process");

    let exited = json_of(&call(&functions, "py", json!({ "kind": "exit" })).await);
    assert_eq!(exited["errorType"], "Runtime.ExitError");
    assert!(exited["errorMessage"].as_str().unwrap().ends_with("exit status 3"), "{exited}");
    assert_eq!(json_of(&call(&functions, "py", json!({})).await)["count"], 1, "another process");

    let slow = json_of(&call(&functions, "py", json!({ "kind": "sleep" })).await);
    assert!(slow["errorMessage"].as_str().unwrap().contains("Task timed out after 2.00 seconds"), "{slow}");
    let fat = json_of(&call(&functions, "py", json!({ "kind": "eat" })).await);
    assert!(
        fat["errorMessage"].as_str().unwrap().contains("signal: killed") || fat["errorType"] == "MemoryError",
        "{fat}"
    );
    let loud = call(&functions, "py", json!({ "kind": "shout" })).await;
    assert!(loud.error.is_none() && loud.log_tail.len() <= 4 << 10);
    assert!(functions.recent("py").len() >= 8);
    functions.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_invocation_prints_stands_between_its_start_and_its_end() {
    const LINES: usize = 500;
    let code = "import sys\nprint('loaded')\ndef handler(event, context):\n    for n in range(500): print(n)\n    \
                print('warned', file=sys.stderr)\n    print('unended', end='')\n";
    let node = Node::new();
    let functions = node.open();
    functions.create(new("chatty", "python3.11", "app.py", code)).await.unwrap();
    for invocation in 1..=3 {
        let silent = Invocation { log_tail: false, ..event("chatty", &json!({})) };
        functions.invoke(silent).await.unwrap();
        // Whole as soon as the answer is there.
        let printed = node.printed("chatty");
        assert_eq!(printed.len(), 1 + invocation * (LINES + 5), "{printed:?}");
        let of_it = &printed[printed.len() - LINES - 5..];
        assert!(of_it[0].starts_with("START RequestId:"), "{}", of_it[0]);
        let counted: Vec<&str> =
            of_it[1..LINES + 3].iter().map(String::as_str).filter(|line| line.parse::<u32>().is_ok()).collect();
        assert_eq!((counted.len(), counted.first(), counted.last()), (LINES, Some(&"0"), Some(&"499")));
        for line in ["warned", "unended"] {
            assert_eq!(of_it.iter().filter(|printed| *printed == line).count(), 1, "{of_it:?}");
        }
        assert!(of_it[LINES + 3].starts_with("END RequestId:") && of_it[LINES + 4].starts_with("REPORT RequestId:"));
    }
    functions.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_handlers_run_in_every_style() {
    let node = Node::new();
    let functions = node.open();
    let code = "exports.handler = (event, context, callback) => {\n\
                console.log('left', context.getRemainingTimeInMillis() > 0);\n\
                if (event.fail) callback(new TypeError('bad tweet')); else callback(null, { got: event.n });\n};";
    functions.create(new("callback", "nodejs20.x", "app.js", code)).await.unwrap();
    assert_eq!(json_of(&call(&functions, "callback", json!({ "n": 1 })).await), json!({ "got": 1 }));
    let failed = call(&functions, "callback", json!({ "fail": true })).await;
    assert_eq!((failed.error.as_deref(), &json_of(&failed)["errorType"]), (Some("Unhandled"), &json!("TypeError")));

    let code = "export const handler = async (event) => { await null; return [event.n, process.env.GREETING]; };";
    functions.create(new("esm", "nodejs20.x", "app.mjs", code)).await.unwrap();
    assert_eq!(json_of(&call(&functions, "esm", json!({ "n": 2 })).await), json!([2, "hello"]));

    functions.create(new("broken", "nodejs20.x", "app.js", "exports.other = 1;")).await.unwrap();
    let broken = json_of(&call(&functions, "broken", json!({})).await);
    assert_eq!(broken["errorType"], "Runtime.HandlerNotFound", "{broken}");
    functions.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_run_at_once_up_to_the_limit() {
    let node = Node::new();
    let functions = node.open();
    let code = "import time\ndef handler(event, context):\n    time.sleep(0.3)\n    return event\n";
    functions
        .create(NewFunction { concurrency_limit: Some(2), ..new("slow", "python3.11", "app.py", code) })
        .await
        .unwrap();
    let calls: Vec<_> = (0..6)
        .map(|n| {
            let functions = functions.clone();
            tokio::spawn(async move { functions.invoke(event("slow", &json!(n))).await })
        })
        .collect();
    let mut ran = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(outcome) => ran += u32::from(outcome.error.is_none()),
            Err(error) => assert_eq!(error.kind, millstream_types::ErrorKind::Throttled),
        }
    }
    assert_eq!(ran, 2);
    functions.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_runs_next_and_what_is_wrong_is_refused() {
    let node = Node::new();
    let functions = node.open();
    let version = |n: u32| zip_of(&[("app.py", &format!("def handler(event, context):\n    return {n}\n") as &str)]);
    let first = NewFunction { package: version(1), ..new("f", "python3.11", "app.py", "") };
    functions.create(first.clone()).await.unwrap();
    assert_eq!(json_of(&call(&functions, "f", json!({})).await), json!(1));
    functions.update("f", FunctionChange { package: Some(version(2)), ..FunctionChange::default() }).await.unwrap();
    assert_eq!(json_of(&call(&functions, "f", json!({})).await), json!(2));

    assert!(matches!(functions.create(first.clone()).await, Err(FunctionError::Exists { .. })));
    let other = NewFunction { name: "g".into(), runtime: "cobol".into(), ..first.clone() };
    assert!(matches!(functions.create(other).await, Err(FunctionError::Runtime { .. })));
    let other = NewFunction { name: "g".into(), package: Bytes::from_static(b"no zip"), ..first };
    assert!(matches!(functions.create(other).await, Err(FunctionError::Package { .. })));
    functions.delete("f").await.unwrap();
    assert_eq!(functions.invoke(event("f", &json!({}))).await.unwrap_err().kind, millstream_types::ErrorKind::NotFound);
    functions.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waited_for_a_turn_runs_the_version_that_is_there_then() {
    let node = Node::new();
    let functions = node.open_with(|options| options.concurrency_max = 1);
    let (begun, release) = (node.folder.path().join("begun"), node.folder.path().join("release"));
    let code = format!(
        "import os, time\nopen({:?}, 'w').close()\ndef handler(event, context):\n    \
         while not os.path.exists({:?}): time.sleep(0.01)\n    return 1\n",
        begun.display().to_string(),
        release.display().to_string()
    );
    functions.create(new("f", "python3.11", "app.py", &code)).await.unwrap();
    let first = tokio::spawn({
        let functions = functions.clone();
        async move { call(&functions, "f", json!({})).await }
    });
    let runs = async {
        while !begun.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), runs).await.unwrap();
    let second = call(&functions, "f", json!({}));
    tokio::pin!(second);
    assert!(poll_fn(|context| Poll::Ready(second.as_mut().poll(context).is_pending())).await, "the only turn is taken");
    let package = zip_of(&[("app.py", "def handler(event, context):\n    return 2\n")]);
    functions.update("f", FunctionChange { package: Some(package), ..FunctionChange::default() }).await.unwrap();
    std::fs::File::create(&release).unwrap();
    assert_eq!((json_of(&first.await.unwrap()), json_of(&second.await)), (json!(1), json!(2)));
    functions.shutdown().await;
}

/// A function that fails twice and then appends to a file: accepted by one engine, ended by the next.
#[tokio::test(flavor = "multi_thread")]
async fn accepted_invocations_are_tried_again_and_outlive_the_engine() {
    let node = Node::new();
    let marks = node.folder.path().join("marks");
    let code = format!(
        "import os\ndef handler(event, context):\n    path = {:?}\n    with open(path, 'a') as f: f.write('x')\n    \
         if os.path.getsize(path) < 3: raise RuntimeError('not yet')\n",
        marks.display().to_string()
    );
    let functions = node.open();
    functions.create(new("later", "python3.11", "app.py", &code)).await.unwrap();
    functions.enqueue(event("later", &json!({}))).await.unwrap();
    let size = || std::fs::metadata(&marks).map_or(0, |metadata| metadata.len());
    for _ in 0..200 {
        if size() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(size(), 3, "two failures, then success; {:?}", node.printed("later"));
    functions.shutdown().await;

    // Accepted while nothing can run: the engine is closed already. The next one takes it up.
    functions.enqueue(event("later", &json!({}))).await.unwrap();
    let next = node.open();
    for _ in 0..200 {
        if size() == 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(size(), 4);
    next.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_goes_on_to_its_end_without_its_caller() {
    let node = Node::on_disk();
    let functions = node.open();
    functions.create(new("f", "python3.11", "app.py", PYTHON)).await.unwrap();
    poll_once(functions.set_concurrency_limit("f", Some(0))).await;
    // The next change waits for its turn, which the first one takes along to its end.
    let after = functions.change_async_policy("f", None, |_| None).await.unwrap();
    assert_eq!(after.concurrency_limit, Some(0));
    let refused = functions.invoke(event("f", &json!({}))).await.unwrap_err();
    assert_eq!(refused.kind, millstream_types::ErrorKind::Throttled);
    poll_once(functions.delete("f")).await;
    functions.create(new("f", "python3.11", "app.py", PYTHON)).await.unwrap();
    assert!(!functions.package("f").await.unwrap().is_empty());
    assert_eq!(call(&functions, "f", json!({})).await.error, None, "nothing is left of the limit");
    functions.shutdown().await;
    node.storage.close().unwrap();
}

/// Begins something, and cuts it off before it is on disk.
async fn poll_once<T>(begun: impl Future<Output = T>) {
    tokio::pin!(begun);
    assert!(poll_fn(|context| Poll::Ready(begun.as_mut().poll(context).is_pending())).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_accepted_runs_though_its_caller_went_away() {
    let node = Node::on_disk();
    let functions = node.open();
    functions.create(new("later", "python3.11", "app.py", PYTHON)).await.unwrap();
    poll_once(functions.enqueue(event("later", &json!({})))).await;
    let run = async {
        while functions.recent("later").is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), run).await.unwrap();
    functions.shutdown().await;
    node.storage.close().unwrap();
}

/// A target that says when somebody comes, and keeps them waiting.
struct Slow {
    came: Notify,
    go_on: Notify,
}

impl Destination for Slow {
    fn deliver(&self, _: Delivery) -> BoxFuture<'_, Result<(), DeliveryError>> {
        Box::pin(async move {
            self.came.notify_one();
            self.go_on.notified().await;
            Ok(())
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn others_run_while_an_end_is_told() {
    let node = Node::new();
    let slow = Arc::new(Slow { came: Notify::new(), go_on: Notify::new() });
    let functions = node.open_with(|options| options.destination = Some(slow.clone()));
    let one = NewFunction { concurrency_limit: Some(1), ..new("f", "python3.11", "app.py", PYTHON) };
    functions.create(one).await.unwrap();
    let told = Some("a target".to_owned());
    let policy =
        AsyncPolicy { retries_max: None, age_max_seconds: None, on_success: told, on_failure: None, modified: 0 };
    functions.change_async_policy("f", None, |_| Some(policy)).await.unwrap();
    functions.enqueue(event("f", &json!({}))).await.unwrap();
    tokio::time::timeout(Duration::from_secs(30), slow.came.notified()).await.unwrap();
    assert_eq!(call(&functions, "f", json!({})).await.error, None, "its only turn is free");
    let ended = tokio::join!(functions.shutdown(), async { slow.go_on.notify_one() });
    assert_eq!(ended, ((), ()));
    let left = node.storage.scan(&Keyspace::new("function/async"), (Unbounded, Unbounded), false, 10).unwrap();
    assert!(left.is_empty(), "the engine ends once the end is told and forgotten");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_and_cannot_be_read_is_told_of() {
    let node = Node::new();
    let mut transaction = Transaction::new();
    transaction.put(&Keyspace::new("function/async"), "some-id", r#"{"function":"later","form":"of a later version"}"#);
    node.storage.commit(transaction).await.unwrap();
    let functions = node.open();
    let told = async {
        while !node.printed("later").iter().any(|line| line.contains("some-id") && line.contains("put aside")) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), told).await.unwrap();
    assert_eq!(node.storage.get(&Keyspace::new("function/async"), b"some-id").unwrap(), None);
    functions.shutdown().await;
}
