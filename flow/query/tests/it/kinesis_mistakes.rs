//! Mistakes in queries of Kinesis' language that stand inside of others, in orders, table functions and log parsers.

use millstream_catalog::QueryDialect;

use crate::mistakes::mistakes;

/// The first mistake of a pump into a stream of two columns, from its number to its hint, without its place.
fn told(select: &str) -> String {
    let sql = format!("CREATE STREAM \"OUT\" (A VARCHAR(8), B BIGINT); CREATE PUMP P AS INSERT INTO \"OUT\" {select};");
    let found = mistakes(QueryDialect::Kinesis, &sql);
    let first = found.first().cloned().unwrap_or_default();
    let lines: Vec<&str> = first.lines().filter(|line| !line.starts_with("  at ")).collect();
    lines.join("")
}

#[test]
fn what_has_no_end_or_no_meaning_is_refused() {
    for (select, expected) in [
        (
            "SELECT STREAM DISTINCT \"symbol\", \"shares\" FROM \"trades\"",
            "error[Q109]: SELECT DISTINCT would tell rows apart for ever: nothing in its list rises with ROWTIME  \
             try: SELECT STREAM DISTINCT FLOOR(s.ROWTIME TO MINUTE), …",
        ),
        (
            "SELECT STREAM \"symbol\", \"shares\" FROM \"trades\" ORDER BY \"symbol\"",
            "error[Q109]: `\"symbol\"` does not rise with ROWTIME, so no row could be known to be the first  \
             try: ORDER BY FLOOR(s.ROWTIME TO MINUTE), \"symbol\"",
        ),
        (
            "SELECT STREAM \"symbol\", \"shares\" FROM \"trades\" ORDER BY ROWTIME DESC",
            "error[Q109]: a stream has no last ROWTIME to begin with  try: ORDER BY ROWTIME, … DESC",
        ),
        (
            "SELECT STREAM \"symbol\", \"shares\" FROM \"trades\" ORDER BY ROWTIME WITHIN INTERVAL '1' MINUTE",
            "error[Q107]: not supported yet: ORDER BY … WITHIN",
        ),
        (
            "SELECT STREAM a.\"symbol\", 1 FROM \"trades\" OVER (RANGE INTERVAL '1' MINUTE PRECEDING) AS a
             JOIN \"trades\" AS b ON a.\"symbol\" = b.\"symbol\" LEFT JOIN \"trades\" AS c ON a.\"symbol\" = c.\"symbol\"",
            "error[Q107]: not supported yet: an outer join beside other joins in one SELECT  \
             try: pump the first join into a stream of its own and join that",
        ),
        (
            "SELECT STREAM \"symbol\", COUNT(*) FROM \"trades\" GROUP BY \"symbol\", MONOTONIC(\"shares\")",
            "error[Q109]: an aggregate without a window never has a result: the stream has no end  \
             try: GROUP BY …, STEP(\"SOURCE_SQL_STREAM_001\".ROWTIME BY INTERVAL '60' SECOND)",
        ),
        (
            "SELECT STREAM t.\"symbl\", 1 FROM (SELECT STREAM \"symbol\" FROM \"trades\") AS t",
            "error[Q104]: `the SELECT inside FROM` has no column `symbl`  try: \"symbol\"",
        ),
        (
            "SELECT STREAM a, 1 FROM (SELECT STREAM \"symbol\" FROM \"trades\") AS t (a, b)",
            "error[Q113]: 2 names for 1 columns",
        ),
        (
            "SELECT STREAM * FROM TABLE(TOP_K_ITEM_TUMBLING(CURSOR(SELECT STREAM * FROM \"trades\"), 'symbol', 1, 60))",
            "error[Q106]: Kinesis Data Analytics has no table function `TOP_K_ITEM_TUMBLING`  try: TOP_K_ITEMS_TUMBLING",
        ),
        (
            "SELECT STREAM * FROM TABLE(TOP_K_ITEMS_TUMBLING(CURSOR(SELECT STREAM * FROM \"trades\"), 'symbol', 1, 3601))",
            "error[Q101]: TOP_K_ITEMS_TUMBLING: the length of a window in seconds is a whole number from 1 to 3600",
        ),
        (
            "SELECT STREAM * FROM TABLE(TOP_K_ITEMS_TUMBLING(CURSOR(SELECT STREAM * FROM \"trades\"), 'SYMBOL', 1, 60))",
            "error[Q104]: `the SELECT inside FROM` has no column `SYMBOL`  try: \"symbol\" (a name without quotes means its upper \
             case, `SYMBOL`)",
        ),
        (
            "SELECT STREAM \"symbol\", 1 FROM TABLE(RANDOM_CUT_FOREST(CURSOR(SELECT STREAM \"symbol\" FROM \"trades\")))",
            "error[Q108]: RANDOM_CUT_FOREST takes 1 to 30 columns of numbers, its cursor has 0  \
             try: CURSOR(SELECT STREAM x, y FROM s)",
        ),
        (
            "SELECT STREAM \"symbol\", 1 FROM TABLE(RANDOM_CUT_FOREST(CURSOR(SELECT STREAM * FROM \"trades\"), 100, 256, 256))",
            "error[Q101]: RANDOM_CUT_FOREST: the time of decay, 256, has to be greater than the sample, 256",
        ),
        (
            "SELECT STREAM \"symbol\", 1 FROM TABLE(RANDOM_CUT_FOREST(CURSOR(SELECT STREAM * FROM \"trades\"), 1000, 1000, 100000, 30))",
            "error[Q102]: 1000 trees of 1000 points of 60 numbers take up to 57600000 bytes in a checkpoint and 1088000000 in memory; \
             they may take 12582912 and 268435456  try: fewer trees, a smaller sample, a smaller shingle or fewer columns",
        ),
        (
            "SELECT STREAM \"symbol\", 1 FROM TABLE(HOTSPOTS(CURSOR(SELECT STREAM * FROM \"trades\"), 100, 0, 20))",
            "error[Q101]: HOTSPOTS: the radius is a number greater than 0",
        ),
        (
            "SELECT STREAM * FROM TABLE(HOTSPOTS(CURSOR(SELECT STREAM * FROM \"trades\"), 100, 1.5))",
            "error[Q101]: HOTSPOTS takes 3 argument(s) behind its cursor, found 2  \
             try: HOTSPOTS(CURSOR(SELECT STREAM * FROM s), 1000, 0.02, 20)",
        ),
        (
            "SELECT STREAM t.r.COLUMN3, 1 FROM (SELECT STREAM REGEX_LOG_PARSE(\"symbol\", '(.)(.)') AS r FROM \"trades\") AS t",
            "error[Q104]: the record `R` has no field `COLUMN3`  try: one of COLUMN1, COLUMN2",
        ),
        (
            "SELECT STREAM REGEX_LOG_PARSE(\"symbol\", '(?=a)'), 1 FROM \"trades\"",
            "error[Q107]: not supported yet: look-around in regular expressions",
        ),
        (
            "SELECT STREAM REGEX_LOG_PARSE(\"symbol\", \"symbol\"), 1 FROM \"trades\"",
            "error[Q101]: REGEX_LOG_PARSE takes constants behind its line, so that the record's fields are known",
        ),
        (
            "SELECT STREAM W3C_LOG_PARSE(\"symbol\", 'IIS'), 1 FROM \"trades\"",
            "error[Q107]: not supported yet: the format IIS; write its specifiers",
        ),
        (
            "SELECT STREAM FIXED_COLUMN_LOG_PARSE(\"symbol\", 'a TYPE VARCHAR(3)'), 1 FROM \"trades\"",
            "error[Q101]: expected START behind the column `A`: where it begins, from 0",
        ),
        (
            "SELECT STREAM FAST_REGEX_LOG_PARSE(\"symbol\", '((a)b)'), 1 FROM \"trades\"",
            "error[Q107]: not supported yet: a group inside of a group",
        ),
        (
            "SELECT STREAM W3C_LOG_PARSE(\"symbol\", 'COMMON'), 1 FROM \"trades\"",
            "error[Q108]: the column is declared VARCHAR, but `W3C_LOG_PARSE(\"symbol\", 'COMMON')` is RECORD  \
             try: CAST(W3C_LOG_PARSE(\"symbol\", 'COMMON') AS VARCHAR)",
        ),
    ] {
        assert_eq!(told(select), expected, "{select}");
    }
}

#[test]
fn queries_inside_of_queries_are_bounded() {
    let nested = |depth: usize| {
        let open = "SELECT STREAM * FROM (".repeat(depth);
        format!("{open}SELECT STREAM \"symbol\", \"shares\" FROM \"trades\"{}", ")".repeat(depth))
    };
    assert_eq!(told(&nested(15)), "");
    assert!(told(&nested(16)).starts_with("error[Q102]: SELECTs stand more than 16 deep"), "{}", told(&nested(16)));
    assert!(told(&nested(3_000)).starts_with("error[Q102]"));
    // What cannot be read in an item does not count the depth anew.
    let open = "SELECT STREAM PERIOD(1), * FROM (".repeat(3_000);
    assert!(!told(&open).is_empty());
}
