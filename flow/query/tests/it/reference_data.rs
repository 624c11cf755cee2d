//! Queries that join their inputs with reference data: waiting for the object, and what is read of it when.

use millstream_catalog::{OutputTarget, RecordFormat, ReferenceInput, ReferenceVersions, StartAt};
use millstream_query::NewQuery;
use millstream_types::Clock as _;
use serde_json::json;

use crate::editing::found;
use crate::world::{World, output, query, until};

fn job() -> NewQuery {
    let reference = ReferenceInput {
        name: "limits".into(),
        bucket: "tables".into(),
        key: "limits.json".into(),
        versions: None,
        format: RecordFormat::Json,
        columns: Vec::new(),
        role: String::new(),
    };
    NewQuery {
        sql: "SELECT s.n * l.factor AS n INTO out FROM src s JOIN limits l ON s.symbol = l.symbol".into(),
        references: vec![reference],
        ..query(vec![output("out", OutputTarget::Keep)])
    }
}

#[test]
fn a_query_waits_for_its_table_and_reads_it_when_it_starts() {
    let world = World::new();
    world.life(async |life| {
        life.define(vec![output("out", OutputTarget::Keep)]).await;
        life.update(job()).await.unwrap();
        life.put_rows(vec![json!({"symbol": "A", "n": 2}), json!({"symbol": "B", "n": 3})]).await;
        let told = || life.queries.status("q").last_error.unwrap_or_default();
        until("the missing object is told", || told().contains("the object `tables/limits.json` cannot be used")).await;
        world.keep_object("tables/limits.json", r#"{"symbol":"A","factor":10}"#);
        until("a row", || !found(life, "out").is_empty()).await;
        assert_eq!(found(life, "out"), [20.0]);

        // What the object becomes counts from the next start on.
        world.keep_object("tables/limits.json", r#"{"symbol":"A","factor":100}"#);
        life.put_rows(vec![json!({"symbol": "A", "n": 1})]).await;
        until("another row", || found(life, "out").len() == 2).await;
        assert_eq!(found(life, "out"), [20.0, 10.0]);
        life.queries.stop_query("q").await.unwrap();
        life.queries.start_query("q", Some(StartAt::LastStopped)).await.unwrap();
        life.put_rows(vec![json!({"symbol": "A", "n": 1})]).await;
        until("a row of the new table", || found(life, "out") == [100.0]).await;
    });
}

#[test]
fn what_the_query_does_not_read_it_does_not_wait_for() {
    let world = World::new();
    world.keep_object("tables/limits.json", r#"{"symbol":"A","factor":10}"#);
    world.life(async |life| {
        life.define(vec![output("out", OutputTarget::Keep)]).await;
        let owner = millstream_catalog::StreamOwner::User;
        let idle = millstream_stream::NewStream { name: "idle".into(), owner, shards: 1, retention_hours: 240 };
        life.streams.create(idle).await.unwrap();
        let mut job = job();
        let mut input = job.inputs[0].clone();
        (input.name, input.stream, input.columns) = ("idle".into(), "idle".into(), Vec::new());
        job.inputs.push(input);
        let missing =
            ReferenceInput { name: "missing".into(), key: "missing.json".into(), ..job.references[0].clone() };
        job.references.push(missing);
        life.update(job).await.unwrap();
        life.put_rows(vec![json!({"symbol": "A", "n": 2})]).await;
        until("a row", || found(life, "out") == [20.0]).await;
        assert_eq!(life.queries.status("q").last_error, None);
    });
}

const MINUTE: i64 = 60_000;

/// A job whose table has versions, and their names by how many minutes after now they count from.
fn versioned(world: &World) -> (NewQuery, impl Fn(i64) -> String) {
    let now = world.clock.now();
    let name = move |minutes: i64| {
        let at = jiff::Timestamp::from_millisecond(now + minutes * MINUTE).unwrap();
        at.strftime("tables/%Y-%m-%d/%H-%M/limits.json").to_string()
    };
    let mut job = job();
    job.references[0].key = "{date}/{time}/limits.json".into();
    job.references[0].versions =
        Some(ReferenceVersions { date_format: "yyyy-MM-dd".into(), time_format: "HH-mm".into() });
    (job, name)
}

#[test]
fn versions_of_a_table_follow_each_other_while_the_query_runs() {
    let world = World::new();
    let (job, name) = versioned(&world);
    world.life(async |life| {
        life.define(vec![output("out", OutputTarget::Keep)]).await;
        life.update(job).await.unwrap();
        life.put_rows(vec![json!({"symbol": "A", "n": 1})]).await;
        // One that begins later is not yet one.
        world.keep_object(&name(5), r#"{"symbol":"A","factor":100}"#);
        let told = || life.queries.status("q").last_error.unwrap_or_default();
        until("the missing version is told", || told().contains("no version of a time until now")).await;
        world.keep_object(&name(-10), r#"{"symbol":"A","factor":1}"#);
        world.keep_object(&name(-5), r#"{"symbol":"A","factor":10}"#);
        until("a row", || found(life, "out") == [10.0]).await;
        // Found before it begins, it counts from its time on.
        world.clock.advance(4 * MINUTE);
        tokio::time::sleep(std::time::Duration::from_secs(90)).await;
        life.put_rows(vec![json!({"symbol": "A", "n": 2})]).await;
        until("a row before the next version", || found(life, "out") == [10.0, 20.0]).await;
        world.clock.advance(MINUTE);
        life.put_rows(vec![json!({"symbol": "A", "n": 3})]).await;
        until("a row of the next version", || found(life, "out") == [10.0, 20.0, 300.0]).await;
        // One that comes with a time before the newest does not count.
        world.keep_object(&name(2), r#"{"symbol":"A","factor":7}"#);
        tokio::time::sleep(std::time::Duration::from_secs(90)).await;
        life.put_rows(vec![json!({"symbol": "A", "n": 4})]).await;
        until("another row", || found(life, "out") == [10.0, 20.0, 300.0, 400.0]).await;
    });
}

#[test]
fn what_is_read_again_has_the_same_versions() {
    let world = World::new();
    let (job, name) = versioned(&world);
    for (minutes, object) in [
        (-60, r#"{"symbol":"A","factor":1}"#),
        (-30, r#"{"symbol":"A","factor":10}"#),
        (2, r#"{"symbol":"A","factor":100}"#),
    ] {
        world.keep_object(&name(minutes), object);
    }
    world.life(async |life| {
        life.define(vec![output("out", OutputTarget::Keep)]).await;
        life.queries.stop_query("q").await.unwrap();
        life.update(job).await.unwrap();
        life.put_rows(vec![json!({"symbol": "A", "n": 1})]).await;
        world.clock.advance(3 * MINUTE);
        life.put_rows(vec![json!({"symbol": "A", "n": 2})]).await;
        for _ in 0..2 {
            life.queries.start_query("q", Some(StartAt::TrimHorizon)).await.unwrap();
            let expected = [10.0, 200.0];
            until("rows of two versions", || found(life, "out").ends_with(&expected)).await;
            life.queries.stop_query("q").await.unwrap();
        }
    });
}

#[test]
fn names_that_say_no_day_are_refused() {
    let world = World::new();
    world.life(async |life| {
        life.define(vec![output("out", OutputTarget::Keep)]).await;
        for key in ["{time}/limits.json", "{symbol}/{date}.json", "{date.json"] {
            let mut job = job();
            job.references[0].key = key.into();
            job.references[0].versions = Some(ReferenceVersions::default());
            let error = life.update(job).await.unwrap_err().to_string();
            assert!(error.contains("input `limits`: "), "{key}: {error}");
        }
    });
}
