//! Functions that a query's owner wrote in JavaScript, from records to results.

use millstream_catalog::{OutputTarget, QueryDialect, QueryFunction, QueryFunctionKind, RecordFormat, ValueType};
use millstream_query::{InputSchema, NewQuery, QueryError, plan_with};
use serde_json::{Value, json};

use crate::values::{Found, run_as};
use crate::world::{World, output, query, until};

const TWA: &str = "function main() {
    this.init = function () { this.totalValue = 0.0; this.totalWeight = 0.0; }
    this.accumulate = function (value, timestamp) {
        this.totalValue += value.level * value.weight;
        this.totalWeight += value.weight;
    }
    this.computeResult = function () {
        if (this.totalValue == 0) { result = 0; } else { result = this.totalValue / this.totalWeight; }
        return result;
    }
}";

fn scalar(name: &str, script: &str, arguments: &[ValueType], result: ValueType) -> QueryFunction {
    let kind = QueryFunctionKind::Scalar;
    QueryFunction { name: name.into(), kind, script: script.into(), arguments: arguments.to_vec(), result }
}

fn untyped(name: &str, script: &str) -> QueryFunction {
    scalar(name, script, &[], ValueType::Any)
}

fn aggregate(name: &str, script: &str, result: ValueType) -> QueryFunction {
    QueryFunction { kind: QueryFunctionKind::Aggregate, ..scalar(name, script, &[], result) }
}

fn run(functions: &[QueryFunction], sql: &str, sample: &str) -> Found {
    run_as(RecordFormat::Json, functions, sql, sample)
}

/// The rows of its only output.
fn rows(functions: &[QueryFunction], sql: &str, sample: &str) -> Vec<Value> {
    let found = run(functions, sql, sample);
    assert_eq!(found.errors, [], "{sql}");
    found.outputs[0].1.iter().map(|row| serde_json::from_str(row).unwrap()).collect()
}

fn mistakes(functions: &[QueryFunction], sql: &str) -> Vec<String> {
    let input = InputSchema::new("input", None);
    let mistakes = plan_with(QueryDialect::StreamAnalytics, sql, &[input], functions).unwrap_err();
    mistakes.iter().map(|mistake| format!("{}: {}", mistake.code, mistake.message)).collect()
}

#[test]
fn the_documents_examples() {
    let hex = untyped(
        "hex2Int",
        "// Convert Hex value to integer.\nfunction hex2Int(hexValue) { return parseInt(hexValue, 16); }",
    );
    let sample = r#"{"time":"a","offset":"ff"} {"time":"b","offset":"10"}"#;
    let found = rows(&[hex], "SELECT time, UDF.hex2Int(offset) AS IntOffset INTO output FROM input", sample);
    assert_eq!(found, [json!({"time": "a", "IntOffset": 255}), json!({"time": "b", "IntOffset": 16})]);

    // The name of an input is its whole event.
    let whole = untyped("json_stringify", "function main(x) {\nreturn JSON.stringify(x);\n}");
    let found = rows(
        &[whole],
        "SELECT udf.json_stringify(i) AS e, udf.json_stringify(i.a) AS a FROM input i",
        r#"{"a":{"b":1},"c":null}"#,
    );
    assert_eq!(found, [json!({"e": r#"{"a":{"b":1},"c":null}"#, "a": r#"{"b":1}"#})]);
}

#[test]
fn the_documents_weighted_average() {
    let events = [
        ("05:01:00", 80, 22.0),
        ("05:02:00", 81, 37.8),
        ("05:02:00", 85, 26.3),
        ("05:03:00", 95, 13.7),
        ("05:03:00", 88, 10.3),
        ("05:05:00", 103, 5.5),
        ("05:06:00", 99, 23.0),
        ("05:07:00", 108, 1.76),
        ("05:10:00", 55, 18.2),
        ("05:11:00", 83, 11.4),
    ];
    let event = |(time, level, weight): &(&str, i32, f64)| {
        json!({"EntryTime": format!("2017-06-10T{time}-07:00"), "NoiseLevelDB": level, "DurationSecond": weight})
            .to_string()
    };
    let sample: Vec<String> = events.iter().map(event).collect();
    let sql = "WITH value AS (SELECT NoiseLevelDB AS level, DurationSecond AS weight FROM input TIMESTAMP BY EntryTime)
        SELECT System.Timestamp AS ts, uda.TWA(value) AS twa FROM value GROUP BY TumblingWindow(minute, 5)";
    let found = rows(&[aggregate("TWA", TWA, ValueType::Float)], sql, &sample.join("\n"));
    let average = |events: &[(&str, i32, f64)]| {
        let weight: f64 = events.iter().map(|event| event.2).sum();
        events.iter().map(|event| f64::from(event.1) * event.2).sum::<f64>() / weight
    };
    assert_eq!(found.len(), 3);
    for (row, events) in found.iter().zip([&events[..6], &events[6..9], &events[9..]]) {
        assert!((row["twa"].as_f64().unwrap() - average(events)).abs() < 1e-9, "{row}");
    }
    assert_eq!(found[0]["ts"], "2017-06-10T12:05:00.0000000Z");
}

#[test]
fn arguments_and_results_have_their_types() {
    let functions = [
        scalar("day", "d => d.getUTCDate()", &[ValueType::DateTime], ValueType::BigInt),
        scalar("later", "d => new Date(d.getTime() + 1500)", &[ValueType::DateTime], ValueType::DateTime),
        scalar("text", "x => typeof x", &[ValueType::Any], ValueType::Text),
        scalar("half", "x => x / 2", &[ValueType::Float], ValueType::Float),
        scalar("pair", "(a, b) => [a, b]", &[], ValueType::Array),
        scalar("named", "(a) => ({ a, n: null })", &[], ValueType::Record),
        untyped("same", "x => x"),
    ];
    let sql = "SELECT UDF.day(CAST(t AS datetime)) AS d, UDF.later(CAST(t AS datetime)) AS l, UDF.text(n) AS tn, UDF.text(t) AS tt,
        UDF.text(r) AS tr, UDF.text(missing) AS tm, UDF.half(n) AS h, UDF.pair(n, r.x) AS p, UDF.named(t).a AS na,
        UDF.same(CAST(t AS datetime)) AS s, UDF.same(n) + 1 AS plus FROM input WHERE UDF.same(r.x) = 'y'";
    let sql = &sql.replace("UDF.named(t).a", "GetRecordPropertyValue(UDF.named(t), 'a')");
    let sample = r#"{"t":"2020-02-03T04:05:06Z","n":7,"r":{"x":"y"},"missing":null} {"t":"2020-02-03T04:05:06Z","n":1,"r":{"x":"z"}}"#;
    let found = rows(&functions, sql, sample);
    let expected = json!({
        "d": 3, "l": "2020-02-03T04:05:07.5000000Z", "tn": "number", "tt": "object", "tr": "object", "tm": "object", "h": 3.5,
        "p": [7, "y"], "na": "2020-02-03T04:05:06.000Z", "s": "2020-02-03T04:05:06.000Z", "plus": 8,
    });
    assert_eq!(found, [expected]);
}

#[test]
fn a_row_that_fails_is_told_and_the_others_stay() {
    let functions = [
        untyped("picky", "x => { if (x > 2) throw new RangeError('too much: ' + x); return x; }"),
        scalar("int", "x => x", &[], ValueType::BigInt),
    ];
    let sample = r#"{"n":1} {"n":5} {"n":2}"#;
    let found = run(&functions, "SELECT UDF.picky(n) AS n FROM input", sample);
    assert_eq!(found.outputs[0].1, [r#"{"n":1}"#, r#"{"n":2}"#]);
    assert_eq!(found.errors.len(), 1);
    assert!(found.errors[0].1.contains("UDF.picky: RangeError: too much: 5"), "{:?}", found.errors);
    let found = run(&functions, "SELECT UDF.int(n) AS n FROM input", r#"{"n":1} {"n":"x"}"#);
    assert_eq!((found.outputs[0].1.len(), found.errors.len()), (1, 1));
    assert!(found.errors[0].1.contains("expected a bigint"), "{:?}", found.errors);
}

#[test]
fn a_group_that_fails_is_told_and_the_others_stay() {
    let script = "function main() { this.init = () => { this.n = 0 }; this.accumulate = (x) => { this.n += x };
        this.computeResult = () => { if (this.n > 5) throw new Error('too many'); return this.n; } }";
    let functions = [aggregate("few", script, ValueType::Any), aggregate("day", script, ValueType::DateTime)];
    let sample = r#"{"k":"a","n":1} {"k":"b","n":4} {"k":"b","n":4} {"k":"c","n":2}"#;
    let sql = "SELECT k, UDA.few(n) AS n, COUNT(*) AS c FROM input GROUP BY k, TumblingWindow(second, 1) HAVING UDA.few(n) > 0";
    let found = run(&functions, sql, sample);
    assert_eq!(found.outputs[0].1, [r#"{"k":"a","n":1,"c":1}"#, r#"{"k":"c","n":2,"c":1}"#]);
    assert_eq!(found.errors.iter().map(|error| error.1.as_str()).collect::<Vec<_>>(), ["UDA.few: Error: too many"]);
    let found =
        run(&functions, &sql.replace("UDA.few(n) AS", "UDA.day(n) AS").replace("HAVING UDA.few(n) > 0", ""), sample);
    assert_eq!((found.outputs[0].1.len(), found.errors.len()), (0, 3), "{found:?}");
}

#[test]
fn mistakes_are_told_with_their_place() {
    let functions = [scalar("f", "x => x", &[ValueType::BigInt], ValueType::Any), aggregate("a", TWA, ValueType::Any)];
    let wrong = |sql: &str| mistakes(&functions, sql).join("\n");
    assert!(wrong("SELECT UDF.g(n) FROM input").contains("the query has no function `UDF.G`"));
    assert!(wrong("SELECT UDF.a(n) FROM input").contains("the query has no function `UDF.A`"));
    assert!(wrong("SELECT UDA.b(n) FROM input GROUP BY TumblingWindow(second, 1)").contains("no function `UDA.B`"));
    assert!(wrong("SELECT UDF.f(n, n) FROM input").contains("UDF.f takes 1 argument(s), found 2"));
    assert!(wrong("SELECT UDF.f('x') FROM input").contains("expected a bigint"));
    assert!(
        wrong("SELECT UDA.a(n, n) FROM input GROUP BY TumblingWindow(second, 1)").contains("takes 1 argument, found 2")
    );
    assert!(wrong("SELECT UDA.a(DISTINCT n) FROM input GROUP BY TumblingWindow(second, 1)").contains("DISTINCT"));
    assert!(wrong("SELECT UDA.a(n) FROM input").contains("without a window"));
}

#[test]
fn a_query_keeps_its_functions_and_reads_them_before_it_is_made() {
    let world = World::new();
    world.life(async |life| {
        life.define(vec![output("out", OutputTarget::Keep)]).await;
        let job = |script: &str| NewQuery {
            sql: "SELECT UDF.twice(n) AS n INTO out FROM src".into(),
            functions: vec![untyped("twice", script)],
            ..query(vec![output("out", OutputTarget::Keep)])
        };
        let refused = life.update(job("x => x *")).await.unwrap_err();
        assert!(matches!(&refused, QueryError::Function(error) if error.name == "twice"), "{refused}");
        let without = NewQuery { functions: Vec::new(), ..job("") };
        assert!(matches!(life.update(without).await.unwrap_err(), QueryError::Plan(_)));
        life.update(job("x => x * 2")).await.unwrap();
        life.put_rows(vec![json!({"symbol": "A", "n": 2})]).await;
        let found = || -> Vec<Value> {
            let rows = life.queries.recent_rows("q");
            rows.iter().map(|row| serde_json::from_slice(&row.data).unwrap()).collect()
        };
        until("a row", || found() == [json!({"n": 4})]).await;
        // Another script is another plan; what was read is not given again.
        life.update(job("x => x * 3")).await.unwrap();
        life.put_rows(vec![json!({"symbol": "A", "n": 2})]).await;
        until("a row of the new script", || found().last() == Some(&json!({"n": 6}))).await;
        assert_eq!(life.queries.get("q").unwrap().functions[0].script, "x => x * 3");
    });
    world.life(async |life| {
        life.put_rows(vec![json!({"symbol": "A", "n": 5})]).await;
        let found = || life.queries.recent_rows("q").last().map(|row| row.data.clone());
        until("a row after a restart", || found().is_some_and(|row| &row[..] == br#"{"n":15}"#)).await;
    });
}
