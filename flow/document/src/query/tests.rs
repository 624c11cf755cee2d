//! Queries over a few documents, and what is wrong with some texts.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Collector, Query, QueryError};

fn documents() -> Vec<Value> {
    vec![
        json!({"id": "1", "name": "Ann", "age": 30, "tags": ["a", "b"], "home": {"city": "Oslo"}, "lines": [{"n": 1}, {"n": 2}]}),
        json!({"id": "2", "name": "bob", "age": 20, "tags": [], "home": {"city": "Rome"}, "active": true}),
        json!({"id": "3", "name": "Cid", "age": null, "home": {"city": "Oslo"}, "active": false}),
        json!({"id": "4", "age": "old", "lines": [{"n": 5}]}),
    ]
}

fn run_with(text: &str, parameters: &[(String, Value)]) -> Result<Vec<Value>, QueryError> {
    Query::parse(text, parameters)?.over(&documents())
}

fn run(text: &str) -> Value {
    Value::Array(run_with(text, &[]).unwrap_or_else(|error| panic!("{text}: {error}")))
}

fn value(expression: &str) -> Value {
    run(&format!("SELECT VALUE {expression}"))
}

#[test]
fn selects_rows_and_columns() {
    for (text, expected) in [
        ("SELECT VALUE c.id FROM c", json!(["1", "2", "3", "4"])),
        ("select value c.id from c where c.age > 20", json!(["1"])),
        ("SELECT VALUE c.id FROM c WHERE c.age >= 20 AND c.age <= 30", json!(["1", "2"])),
        ("SELECT VALUE c.name FROM c", json!(["Ann", "bob", "Cid"])),
        ("SELECT c.id, c.home.city FROM c WHERE c.id = '1'", json!([{"id": "1", "city": "Oslo"}])),
        ("SELECT c.id AS k, c.age + 1, c.age * 2 FROM c WHERE c.id = \"2\"", json!([{"k": "2", "$1": 21, "$2": 40}])),
        (
            "SELECT VALUE {n: c.name, \"a\": [c.age, c.nothing]} FROM root c WHERE c.id = '1'",
            json!([{"n": "Ann", "a": [30]}]),
        ),
        ("SELECT TOP 2 VALUE r.id FROM r", json!(["1", "2"])),
        ("SELECT VALUE c.id FROM c OFFSET 1 LIMIT 2", json!(["2", "3"])),
        ("SELECT VALUE c.tags[1] FROM c", json!(["b"])),
        ("SELECT VALUE c['home'][\"city\"] FROM c", json!(["Oslo", "Rome", "Oslo"])),
        ("SELECT VALUE l.n FROM c JOIN l IN c.lines", json!([1, 2, 5])),
        ("SELECT VALUE [c.id, l.n] FROM c JOIN l IN c.lines WHERE l.n > 1", json!([["1", 2], ["4", 5]])),
        ("SELECT VALUE l FROM l IN c.lines", json!([{"n": 1}, {"n": 2}, {"n": 5}])),
        ("SELECT VALUE city FROM c.home.city", json!(["Oslo", "Rome", "Oslo"])),
        ("SELECT * FROM c.home WHERE home.city = 'Rome'", json!([{"city": "Rome"}])),
        ("SELECT VALUE c.id FROM c WHERE EXISTS(SELECT VALUE l FROM l IN c.lines WHERE l.n > 1)", json!(["1", "4"])),
        ("SELECT VALUE c.id FROM c WHERE NOT EXISTS(SELECT 1 FROM t IN c.tags)", json!(["2", "3", "4"])),
        ("SELECT VALUE c.id FROM c WHERE EXISTS(SELECT VALUE l.m FROM l IN c.lines)", json!([])),
        (
            "SELECT VALUE EXISTS(SELECT 1 FROM l IN c.lines JOIN t IN c.tags WHERE l.n = 2 AND t = 'b') FROM c WHERE c.id = '1'",
            json!([true]),
        ),
        (
            "SELECT VALUE l.n FROM c JOIN l IN c.lines WHERE EXISTS(SELECT * FROM k IN c.lines WHERE k.n < l.n)",
            json!([2]),
        ),
        ("SELECT VALUE COUNT(1) FROM c WHERE EXISTS(SELECT * FROM l IN c.lines)", json!([2])),
        ("SELECT VALUE c.id FROM c -- a comment\n WHERE c.active;", json!(["2"])),
    ] {
        assert_eq!(run(text), expected, "{text}");
    }
}

#[test]
fn what_is_not_there_is_undefined_and_never_true() {
    for (text, expected) in [
        ("SELECT VALUE c.id FROM c WHERE c.age = null", json!(["3"])),
        ("SELECT VALUE c.id FROM c WHERE NOT (c.age > 20)", json!(["2"])),
        ("SELECT VALUE c.id FROM c WHERE c.age != 20", json!(["1"])),
        ("SELECT VALUE c.id FROM c WHERE NOT IS_DEFINED(c.name)", json!(["4"])),
        ("SELECT VALUE c.id FROM c WHERE c.nothing = 1 OR c.id = '1'", json!(["1"])),
        ("SELECT VALUE c.id FROM c WHERE c.nothing = 1 AND c.id = '1'", json!([])),
        ("SELECT VALUE c.id FROM c WHERE NOT (c.nothing = 1 AND c.id = '1')", json!(["2", "3", "4"])),
        ("SELECT VALUE c.active ?? 'unknown' FROM c", json!(["unknown", true, false, "unknown"])),
        ("SELECT VALUE c.active ? 'yes' : 'no' FROM c", json!(["no", "yes", "no", "no"])),
    ] {
        assert_eq!(run(text), expected, "{text}");
    }
}

#[test]
fn expressions_have_values() {
    for (text, expected) in [
        ("1 + 2 * 3 - -4", json!([11])),
        ("(1 + 2) * 3", json!([9])),
        ("7 / 2", json!([3.5])),
        ("7 % 4", json!([3])),
        ("1 / 0", json!([])),
        ("1 + 'a'", json!([])),
        ("'a' || 'b' || 'c'", json!(["abc"])),
        ("1.0 = 1", json!([true])),
        ("1 = '1'", json!([])),
        ("[1, {a: 2}] = [1.0, {a: 2}]", json!([true])),
        ("2 IN (1, 2)", json!([true])),
        ("2 NOT IN (1, 2)", json!([false])),
        ("'b' BETWEEN 'a' AND 'c' AND true", json!([true])),
        ("'apple' LIKE 'a%e'", json!([true])),
        ("'10%' LIKE '10!%' ESCAPE '!'", json!([true])),
        ("5 & 6 | 8", json!([12])),
        ("1 << 3", json!([8])),
        ("{a: 1}.a", json!([1])),
        ("'it\\'s \\u00e9\\ud83d\\ude00'", json!(["it's é😀"])),
        ("CONTAINS('Apple', 'app')", json!([false])),
        ("CONTAINS('Apple', 'app', true)", json!([true])),
        ("STARTSWITH('abc', 'ab') AND ENDSWITH('abc', 'bc')", json!([true])),
        ("CONCAT(UPPER('a'), LOWER('B'), 'c')", json!(["Abc"])),
        ("LENGTH('é')", json!([1])),
        ("SUBSTRING('abcdef', 1, 3)", json!(["bcd"])),
        ("LEFT('abc', 2) || RIGHT('abc', 1)", json!(["abc"])),
        ("INDEX_OF('abcb', 'b', 2)", json!([3])),
        ("REPLACE('a-b-c', '-', '')", json!(["abc"])),
        ("ARRAY_CONTAINS([1, 2], 2)", json!([true])),
        ("ARRAY_CONTAINS([{a: 1, b: 2}], {a: 1}, true)", json!([true])),
        ("ARRAY_LENGTH([1, 2])", json!([2])),
        ("ARRAY_SLICE([1, 2, 3], -2, 1)", json!([[2]])),
        ("[ABS(-1), FLOOR(1.5), CEILING(1.5), ROUND(2.5), SQRT(9), POWER(2, 3)]", json!([[1, 1, 2, 3, 3, 8]])),
        ("[ToString(1), ToString(1.5), ToString(true), ToString({a: 1})]", json!([["1", "1.5", "true", "{\"a\":1}"]])),
        ("StringToNumber('1.5')", json!([1.5])),
        ("StringToNumber('x')", json!([])),
        (
            "[IS_NULL(null), IS_STRING(1), IS_NUMBER(1), IS_BOOL(true), IS_ARRAY([]), IS_OBJECT({})]",
            json!([[true, false, true, true, true, true]]),
        ),
        ("LENGTH(1)", json!([])),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn collects_orders_groups_and_distinct_values() {
    for (text, expected) in [
        ("SELECT VALUE c.id FROM c ORDER BY c.age", json!(["3", "2", "1", "4"])),
        ("SELECT VALUE c.id FROM c ORDER BY c.age DESC", json!(["4", "1", "2", "3"])),
        ("SELECT VALUE c.id FROM c ORDER BY c.name", json!(["4", "1", "3", "2"])),
        ("SELECT VALUE c.id FROM c ORDER BY c.home.city DESC, c.id DESC", json!(["2", "3", "1", "4"])),
        ("SELECT TOP 1 VALUE c.id FROM c ORDER BY c.id DESC", json!(["4"])),
        ("SELECT VALUE c.id FROM c ORDER BY c.id OFFSET 1 LIMIT 1", json!(["2"])),
        ("SELECT VALUE COUNT(1) FROM c", json!([4])),
        ("SELECT VALUE COUNT(c.name) FROM c", json!([3])),
        ("SELECT VALUE COUNT(1) FROM c WHERE false", json!([0])),
        ("SELECT VALUE SUM(c.age) FROM c WHERE IS_NUMBER(c.age)", json!([50])),
        ("SELECT VALUE SUM(c.age) FROM c", json!([])),
        (
            "SELECT AVG(c.age) AS a, MIN(c.age) AS low, MAX(c.age) AS high FROM c WHERE IS_NUMBER(c.age)",
            json!([{"a": 25, "low": 20, "high": 30}]),
        ),
        ("SELECT VALUE MAX(c.age) - MIN(c.age) FROM c WHERE IS_NUMBER(c.age)", json!([10])),
        ("SELECT VALUE MIN(c.age) FROM c WHERE false", json!([])),
        (
            "SELECT COUNT(1) AS n, c.home.city FROM c GROUP BY c.home.city",
            json!([{"n": 2, "city": "Oslo"}, {"n": 1, "city": "Rome"}, {"n": 1}]),
        ),
        ("SELECT VALUE UPPER(c.home.city) FROM c GROUP BY c.home.city", json!(["OSLO", "ROME"])),
        (
            "SELECT l.n, COUNT(1) AS k FROM c JOIN l IN c.lines GROUP BY l.n",
            json!([{"n": 1, "k": 1}, {"n": 2, "k": 1}, {"n": 5, "k": 1}]),
        ),
        ("SELECT DISTINCT VALUE c.home.city FROM c", json!(["Oslo", "Rome"])),
        (
            "SELECT DISTINCT c.home FROM c ORDER BY c.home.city DESC",
            json!([{"home": {"city": "Rome"}}, {"home": {"city": "Oslo"}}, {}]),
        ),
    ] {
        assert_eq!(run(text), expected, "{text}");
    }
}

#[test]
fn parameters_are_values() {
    let parameters =
        [("@a".to_owned(), json!(20)), ("@n".to_owned(), json!(["Ann", "bob"])), ("@k".to_owned(), json!("name"))];
    let found =
        run_with("SELECT TOP @a VALUE c[@k] FROM c WHERE c.age >= @a AND ARRAY_CONTAINS(@n, c.name)", &parameters);
    assert_eq!(found.unwrap(), vec![json!("Ann"), json!("bob")]);
}

#[test]
fn errors_say_what_is_wrong() {
    for (text, expected) in [
        ("", "expected SELECT"),
        ("SELECT", "expected an expression"),
        ("SELECT * FROM c WHERE", "expected an expression"),
        ("SELECT * FROM c WHERE c.a ==", "expected an expression"),
        ("SELECT * FROM c WHER c.a", "near `c`"),
        ("SELECT * FROM c WHERE c.a = 'x", "closing quote"),
        ("SELECT * FROM c WHERE x.a = 1", "identifier `x`"),
        ("SELECT * FROM c WHERE c.a = @p", "parameter `@p`"),
        ("SELECT NOPE(1)", "`NOPE` is not a recognized"),
        ("SELECT ABS()", "`ABS` takes 1 arguments, found 0"),
        ("SELECT ST_DISTANCE(c.a, c.b) FROM c", "ST_DISTANCE is not supported"),
        ("SELECT udf.tax(c.a) FROM c", "a user-defined function is not supported"),
        ("SELECT VALUE (SELECT 1)", "a subquery is not supported"),
        ("SELECT * FROM c WHERE EXISTS(SELECT 1)", "a subquery without FROM is not supported"),
        (
            "SELECT * FROM c WHERE EXISTS(SELECT VALUE COUNT(1) FROM x IN c.l)",
            "an aggregate in a subquery is not supported",
        ),
        ("SELECT * FROM c WHERE EXISTS(SELECT 1 FROM c IN c.l)", "`c`"),
        ("SELECT * FROM c WHERE EXISTS(SELECT 1 FROM x IN d.l)", "`d`"),
        ("SELECT * FROM c JOIN l IN c.lines", "exactly one source"),
        ("SELECT *", "exactly one source"),
        ("SELECT c.id FROM c WHERE COUNT(1) > 1", "an aggregate is allowed in SELECT only"),
        ("SELECT c.id, COUNT(1) FROM c", "`id` is neither"),
        ("SELECT c.id, c.a.id FROM c", "`id` is there twice"),
        ("SELECT TOP -1 * FROM c", "expected a whole number"),
    ] {
        let error = run_with(text, &[]).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn nothing_in_a_text_can_exhaust_the_stack() {
    let deep = |open: &str, close: &str| format!("SELECT VALUE {}1{}", open.repeat(5000), close.repeat(5000));
    for text in [
        deep("(", ")"),
        deep("[", "]"),
        deep("- ", ""),
        deep("NOT ", ""),
        deep("ABS(", ")"),
        format!("SELECT VALUE 1{}", "+1".repeat(5000)),
        format!("SELECT VALUE c{} FROM c", ".a".repeat(5000)),
        format!("SELECT VALUE 1{}", " ?? 1".repeat(5000)),
        format!("SELECT VALUE true{}", " ? 1 : true".repeat(5000)),
    ] {
        assert_eq!(run_with(&text, &[]), Err(QueryError::TooDeep), "{}", &text[..40]);
    }
    // A long chain of conditions is no deep one.
    let chain = format!("SELECT VALUE c.id FROM c WHERE c.id = '1'{}", " OR c.id = '2'".repeat(5000));
    assert_eq!(run(&chain), json!(["1", "2"]));
}

#[test]
fn rows_of_a_document_are_bounded() {
    let list: Vec<u32> = (0..400).collect();
    let query = Query::parse("SELECT VALUE 1 FROM c JOIN a IN c.list JOIN b IN c.list", &[]).unwrap();
    assert_eq!(query.rows(&json!({ "list": list })), Err(QueryError::TooManyRows));
}

#[test]
fn joins_that_make_no_row_are_bounded_too() {
    let list: Vec<u32> = (0..2_000).collect();
    let document = json!({ "list": list, "none": [] });
    let joins = "JOIN a IN c.list JOIN b IN c.list JOIN d IN c.list JOIN e IN c.none";
    let query = Query::parse(&format!("SELECT VALUE 1 FROM c {joins}"), &[]).unwrap();
    assert_eq!(query.rows(&document), Err(QueryError::TooManyRows));
    let within = "WHERE EXISTS(SELECT 1 FROM b IN c.list WHERE b < a AND b > a)";
    let query = Query::parse(&format!("SELECT VALUE 1 FROM c JOIN a IN c.list {within}"), &[]).unwrap();
    assert_eq!(query.rows(&document), Err(QueryError::TooManyRows));
    let joins: String = (0..20_000).map(|n| format!("JOIN j{n} IN c.list ")).collect();
    assert_eq!(run_with(&format!("SELECT VALUE 1 FROM c {joins}"), &[]), Err(QueryError::TooManySources));
}

#[test]
fn filters_fix_values() {
    let fixed = |text: &str| {
        let query = Query::parse(&format!("SELECT * FROM c WHERE {text}"), &[]).unwrap();
        query.fixed(&["a".to_owned(), "b".to_owned()]).cloned()
    };
    assert_eq!(fixed("c.a.b = 1"), Some(json!(1)));
    assert_eq!(fixed("c.x > 2 AND 'k' = c.a['b']"), Some(json!("k")));
    for text in ["c.a = 1", "c.a.b > 1", "c.a.b = 1 OR true", "c.a.b = c.x", "c.b.a = 1"] {
        assert_eq!(fixed(text), None, "{text}");
    }
}

#[test]
fn only_rows_that_will_be_told_are_held() {
    let collect = |wanted: u64| {
        let query = Query::parse("SELECT * FROM c ORDER BY c.n DESC", &[]).unwrap();
        let mut collector = Collector::new(Arc::new(query), wanted);
        let document = |n: u32| json!({"n": n, "text": "x".repeat(1 << 20)});
        (0..70).try_for_each(|n| collector.add(&document(n)))?;
        Ok(collector.finish().iter().take(3).map(|row| row["n"].clone()).collect::<Vec<_>>())
    };
    assert_eq!(collect(10), Ok(vec![json!(69), json!(68), json!(67)]));
    assert_eq!(collect(u64::MAX), Err(QueryError::TooMuchCollected));
}

#[test]
fn what_a_row_holds_is_bounded() {
    let document = json!({"text": "x".repeat(1 << 20), "list": (0..100).collect::<Vec<u32>>()});
    let rows = |text: &str| Query::parse(text, &[]).unwrap().rows(&document);
    let many = vec!["c"; 100].join(", ");
    assert_eq!(rows(&format!("SELECT VALUE [{many}] FROM c")), Ok(vec![]));
    assert_eq!(rows(&format!("SELECT VALUE {} FROM c", vec!["c.text"; 40].join(" || "))), Ok(vec![]));
    assert_eq!(rows("SELECT VALUE c FROM c JOIN l IN c.list"), Err(QueryError::TooMuchCollected));
}

proptest! {
    /// Whatever a client sends is answered or refused, and never ends the process.
    #[test]
    fn no_query_panics(words in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..24)) {
        let text = format!("SELECT {}", words.join(" "));
        if let Ok(query) = Query::parse(&text, &[("@p".to_owned(), json!([1, "a"]))]) {
            let _ = query.over(&documents());
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        let _ = Query::parse(&format!("SELECT {text}"), &[]);
    }
}

const WORDS: [&str; 48] = [
    "*",
    "VALUE",
    "c",
    "c.id",
    "c.age",
    "c.tags",
    "c.lines",
    "FROM c",
    "FROM x IN c.lines",
    "JOIN l IN c.lines",
    "WHERE",
    "AND",
    "OR",
    "NOT",
    "=",
    "<",
    ">=",
    "!=",
    "IN",
    "BETWEEN",
    "LIKE",
    "??",
    "?",
    ":",
    "+",
    "-",
    "*",
    "/",
    "%",
    "||",
    "<<",
    "(",
    ")",
    "[",
    "]",
    ",",
    "1",
    "-1.5e3",
    "'a%'",
    "@p",
    "null",
    "COUNT(1)",
    "MAX(c.age)",
    "SUBSTRING(",
    "GROUP BY",
    "ORDER BY",
    "DESC",
    "OFFSET 1 LIMIT 2",
];
