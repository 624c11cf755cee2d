//! Queries that join their inputs with reference data: waiting for the object, and what is read of it when.

use millstream_catalog::{OutputTarget, RecordFormat, ReferenceInput};
use millstream_query::NewQuery;
use serde_json::json;

use crate::delivery::{World, output, query, until};
use crate::editing::found;

fn job() -> NewQuery {
    let reference = ReferenceInput {
        name: "limits".into(),
        bucket: "tables".into(),
        key: "limits.json".into(),
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
        life.queries.start_query("q", Some(millstream_catalog::StartAt::LastStopped)).await.unwrap();
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
