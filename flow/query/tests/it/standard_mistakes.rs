//! Mistakes in texts of the standard dialect, and what it refuses: each with its code, its place and a way out.

use millstream_catalog::{EventOrder, QueryDialect};
use millstream_query::{InputSchema, check, explain, inputs_declared, language_of, output_names, plan};

const TABLE: &str = "CREATE TABLE t (ts TIMESTAMP(3), k STRING, n BIGINT, x DOUBLE, WATERMARK FOR ts AS ts);\n";

fn inputs() -> [InputSchema; 2] {
    ["t", "u"].map(|name| InputSchema::new(name, None))
}

/// Code, line, column and message of the first mistake.
fn first(sql: &str) -> String {
    let found = check(QueryDialect::Standard, sql, &inputs());
    let first = found.first().unwrap_or_else(|| panic!("no mistake: {sql}"));
    format!("{} {}:{} {}", first.code, first.line, first.column, first.message)
}

#[test]
fn what_is_not_right_is_told_at_its_place() {
    for (statement, expected) in [
        ("SELECT * FROM t", "Q101 2:1 expected `CREATE` or `INSERT INTO`, found `SELECT`"),
        ("INSERT INTO o SELECT N FROM t", "Q104 2:22 `t` has no column `N`"),
        ("INSERT INTO o (a) SELECT n FROM t", "Q104 2:16 the columns of `o` are named, and it is not declared"),
        (
            "INSERT INTO o SELECT COUNT(*) AS c FROM t",
            "Q109 2:22 an aggregate without a window never has a result: the stream has no end",
        ),
        ("INSERT INTO o SELECT ts FROM t ORDER BY ts", "Q107 2:32 not supported yet: ORDER BY"),
        (
            "INSERT INTO o SELECT DISTINCT k FROM t",
            "Q109 2:31 an aggregate without a window never has a result: the stream has no end",
        ),
        ("INSERT INTO o SELECT DISTINCT * FROM t", "Q107 2:31 not supported yet: SELECT DISTINCT *"),
        (
            "INSERT INTO o SELECT DISTINCT k FROM t GROUP BY k",
            "Q107 2:49 not supported yet: SELECT DISTINCT with GROUP BY",
        ),
        (
            "INSERT INTO o SELECT ABS(n) FILTER (WHERE n > 0) AS a FROM t",
            "Q101 2:22 FILTER stands behind aggregates, `ABS` is none",
        ),
        ("INSERT INTO o SELECT SUM(*) FILTER (WHERE n > 0) AS a FROM t", "Q101 2:22 SUM takes 1 argument, found *"),
        ("INSERT INTO o SELECT AVG() FILTER (WHERE n > 0) AS a FROM t", "Q101 2:22 AVG takes 1 argument, found 0"),
        (
            "INSERT INTO o SELECT CAST(k AS BIGINT) AS a FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) \
             GROUP BY window_start, window_end, TRY_CAST(k AS BIGINT)",
            "Q110 2:27 `k` is neither in GROUP BY nor inside an aggregate",
        ),
        ("INSERT INTO o SELECT k IS 7 AS a FROM t", "Q101 2:27 expected `NULL`, found `7`"),
        (
            "INSERT INTO o SELECT a.k FROM t AS a JOIN t AS b ON a.k = b.k AND a.n = b.n",
            "Q109 2:38 a join without bounds in time would keep all rows for ever: the streams have no end",
        ),
        (
            &format!("INSERT INTO o SELECT n{} AS a FROM t", " IS DISTINCT FROM n".repeat(40)),
            "Q102 2:155 IS DISTINCT FROM compares what is more than 16 operators deep",
        ),
        ("INSERT INTO o SELECT EXTRACT(EPOCH FROM ts) AS e FROM t", "Q101 2:30 expected a unit of time"),
        (
            "INSERT INTO o SELECT * FROM t MATCH_RECOGNIZE (ORDER BY ts MEASURES A.n AS n ONE ROW PER MATCH PATTERN (A) \
             WITHIN INTERVAL '1' SECOND DEFINE A AS A.n > 1)",
            "Q101 2:96 expected AFTER MATCH SKIP PAST LAST ROW or AFTER MATCH SKIP TO NEXT ROW, found `PATTERN`",
        ),
        ("INSERT INTO o SELECT LAG(n) OVER (ORDER BY ts) AS p FROM t", "Q107 2:29 not supported yet: LAG with OVER"),
        (
            "INSERT INTO o SELECT CAST(n AS VARCHAR(3)) AS c FROM t",
            "Q107 2:32 not supported yet: a CAST that cuts or fills text, to VARCHAR(3)",
        ),
        (
            "CREATE TABLE o (n INT); INSERT INTO o SELECT x FROM t",
            "Q108 2:46 the column is declared BIGINT, but `x` is DOUBLE",
        ),
        (
            "CREATE TABLE u (a DECIMAL(10, 2)); INSERT INTO o SELECT a FROM u",
            "Q108 2:19 `DECIMAL` is not a type this engine computes with",
        ),
        (
            "CREATE TABLE u (a INT, PRIMARY KEY (a) NOT ENFORCED); INSERT INTO o SELECT a FROM t",
            "Q107 2:24 not supported yet: PRIMARY KEY: rows that replace each other",
        ),
        (
            "CREATE TABLE u (a INT, WATERMARK FOR a AS a); INSERT INTO o SELECT a FROM u",
            "Q108 2:38 rows go by a TIMESTAMP(3), and `a` is none",
        ),
        ("CREATE TABLE t (a INT)", "Q112 2:14 the table `t` is declared twice"),
    ] {
        assert_eq!(first(&format!("{TABLE}{statement};")), expected, "{statement}");
    }
}

#[test]
fn windows_that_are_none_are_told() {
    for (from, expected) in [
        ("TUMBLE(TABLE t, DESCRIPTOR(n), INTERVAL '1' MINUTE)", "Q111 2:79 rows of `t` do not go by `n`"),
        ("TUMBLE(TABLE t, DESCRIPTOR(tss), INTERVAL '1' MINUTE)", "Q104 2:79 `t` has no column `tss`"),
        (
            "HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '7' SECOND, INTERVAL '1' MINUTE)",
            "Q111 2:52 the size of HOP, 60000 ms, is no multiple of its slide, 7000 ms",
        ),
        ("HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '7' SECOND)", "Q111 2:52 HOP does not say its SIZE"),
        (
            "CUMULATE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' SECOND, INTERVAL '1' HOUR)",
            "Q111 2:52 a row would be in 3600 windows of CUMULATE, at most 144 are kept",
        ),
        (
            "TUMBLE(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' MINUTE)",
            "Q111 2:52 TUMBLE has no PARTITION BY: its windows are the same for all rows",
        ),
        (
            "SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' MINUTE)",
            "Q107 2:81 not supported yet: SESSION with PARTITION BY what is not grouped by",
        ),
    ] {
        let sql = format!(
            "{TABLE}INSERT INTO o SELECT COUNT(*) AS count_ FROM TABLE({from}) GROUP BY window_start, window_end;"
        );
        assert_eq!(first(&sql), expected, "{from}");
    }
    let ungrouped = "INSERT INTO o SELECT * FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE));";
    let found = first(&format!("{TABLE}{ungrouped}"));
    assert_eq!(
        found,
        "Q107 2:35 not supported yet: a window table that is not grouped by both window_start and window_end"
    );
    // A window's end is no time that rows go by; its `window_time` is.
    let views = "CREATE VIEW v AS SELECT window_end, COUNT(*) AS c FROM TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE) \
                 GROUP BY window_start, window_end;\nINSERT INTO o SELECT SUM(c) AS s \
                 FROM TUMBLE(TABLE v, DESCRIPTOR(window_end), INTERVAL '1' HOUR) GROUP BY window_start, window_end;";
    assert_eq!(first(&format!("{TABLE}{views}")), "Q111 3:66 rows of `v` do not go by `window_end`");
}

#[test]
fn a_text_tells_its_language_its_inputs_and_its_outputs() {
    let sql = format!("{TABLE}CREATE TABLE o (k STRING);\nINSERT INTO o SELECT k FROM t;");
    assert_eq!(language_of(&sql), QueryDialect::Standard);
    assert_eq!(inputs_declared(QueryDialect::Standard, &sql), ["t"]);
    assert_eq!(output_names(QueryDialect::Standard, &sql, &[]), ["o"]);
    let program = plan(QueryDialect::Standard, &sql, &inputs()).unwrap();
    let shown = explain(&program, &EventOrder::default());
    assert!(!shown.contains("early"), "{shown}");
    let late = format!("{TABLE}INSERT INTO o SELECT k FROM t WHERE ts > TIMESTAMP '2020-01-01 00:00:00';");
    let shown = explain(&plan(QueryDialect::Standard, &late, &inputs()).unwrap(), &EventOrder::default());
    assert!(shown.contains("more than 0 s behind others of its shard: dropped"), "{shown}");
    assert!(shown.contains("does not move while nothing arrives"), "{shown}");
}
