//! Mistakes in `MATCH_RECOGNIZE` and the exact texts that tell of them, and what its plan looks like.

use millstream_catalog::{ColumnDefinition, ColumnType, EventOrder, QueryDialect};
use millstream_query::{InputSchema, check, explain, plan};

use crate::mistakes::mistakes;

/// A query with a part of `MATCH_RECOGNIZE`.
fn query(clauses: &str) -> String {
    format!("SELECT * FROM trades MATCH_RECOGNIZE ({clauses}) AS T")
}

fn told(clauses: &str) -> Vec<String> {
    mistakes(QueryDialect::StreamAnalytics, &query(clauses))
}

#[test]
fn mistakes_are_told() {
    let head = "LIMIT DURATION(minute, 1) MEASURES LAST(A.price) AS p";
    for (clauses, expected) in [
        (
            "MEASURES LAST(A.price) AS p PATTERN (A) DEFINE A AS A.price > 1".to_owned(),
            "error[Q111]: MATCH_RECOGNIZE does not say how long a match may take\n  at 1:38\n  try: LIMIT DURATION(minute, 1)",
        ),
        (
            "LIMIT DURATION(day, 8) MEASURES LAST(A.price) AS p PATTERN (A) DEFINE A AS A.price > 1".to_owned(),
            "error[Q111]: the duration is 691200000 ms long; it may be 1 ms to 7 days (604800000 ms)\n  at 1:45\n  \
             try: a shorter window, and sums of its results further on",
        ),
        (
            format!("{head} PATTERN (A*) DEFINE A AS A.price > 1"),
            "error[Q107]: not supported yet: a pattern that matches without any event\n  at 1:38\n  \
             try: a part that has to be there: A+ rather than A*",
        ),
        (
            format!("{head} PATTERN (A{{200}} A{{200}}) DEFINE A AS A.price > 1"),
            "error[Q102]: written out, the pattern has 400 places for an event, at most 256 are taken\n  at 1:38\n  \
             try: `+` rather than `{1,100}`",
        ),
        (
            format!("{head} PATTERN (A+?) DEFINE A AS A.price > 1"),
            "error[Q107]: not supported yet: a reluctant quantifier\n  at 1:104\n  try: one without `?` behind it",
        ),
        (
            format!("{head} AFTER MATCH SKIP PAST LAST ROW PATTERN (A) DEFINE A AS A.price > 1"),
            "error[Q107]: not supported yet: AFTER MATCH SKIP PAST LAST ROW\n  at 1:105\n  try: AFTER MATCH SKIP TO NEXT ROW",
        ),
        (
            format!("{head} ALL ROWS PER MATCH PATTERN (A) DEFINE A AS A.price > 1"),
            "error[Q107]: not supported yet: ALL ROWS PER MATCH\n  at 1:93\n  try: ONE ROW PER MATCH",
        ),
        (
            format!("{head} PATTERN (A Bee) DEFINE A AS A.price > 1, Be AS Be.price < 1"),
            "error[Q104]: the pattern variable `Bee` is not defined\n  at 1:104\n  try: Be",
        ),
        (
            format!("{head} PATTERN (A) DEFINE A AS A.price > 1, B AS B.price < 1"),
            "error[Q101]: `B` is defined, and the pattern does not name it\n  at 1:130",
        ),
        (
            format!("{head} PATTERN (A B) DEFINE A AS LAST(B.price) > 1, B AS B.price < 1"),
            "error[Q101]: `B` is defined behind what reads it\n  at 1:119\n  try: the definitions in another order",
        ),
        (
            format!("{head} PATTERN (A B) DEFINE A AS A.price > 1, B AS A.price < 1"),
            "error[Q101]: `A.price` may be of several events of the match\n  at 1:137\n  try: LAST(A.price)",
        ),
        (
            "LIMIT DURATION(minute, 1) MEASURES A.price AS p PATTERN (A) DEFINE A AS A.price > 1".to_owned(),
            "error[Q101]: `A.price` may be of several events of the match\n  at 1:74\n  try: LAST(A.price)",
        ),
        (
            format!("{head}, SUM(A.price) AS s PATTERN (A) DEFINE A AS A.price > 1"),
            "error[Q101]: of a match there are MIN, MAX, FIRST and LAST, and not SUM\n  at 1:94",
        ),
        (
            format!("{head}, MAX(A.price + 1) AS s PATTERN (A) DEFINE A AS A.price > 1"),
            "error[Q101]: MAX takes one field of a pattern variable here\n  at 1:94\n  try: MAX(A.x)",
        ),
        (
            format!("{head} PATTERN (A) DEFINE A AS CLASSIFIER() = 1"),
            "error[Q101]: CLASSIFIER() stands in MEASURES, without an argument\n  at 1:117",
        ),
        (
            format!("{head} PATTERN (A) DEFINE A AS LAST(A.prise) > 1"),
            "error[Q104]: `A` has no column `prise`\n  at 1:124\n  try: price",
        ),
    ] {
        assert_eq!(told(&clauses), [expected], "{clauses}");
    }
}

#[test]
fn what_is_joined_has_no_patterns() {
    let recognize = "MATCH_RECOGNIZE (LIMIT DURATION(minute, 1) MEASURES LAST(A.price) AS p PATTERN (A) DEFINE A AS A.price > 1) AS T";
    let sql = format!(
        "SELECT * FROM trades JOIN trades b ON trades.symbol = b.symbol AND DATEDIFF(second, trades, b) = 0 {recognize}"
    );
    assert_eq!(
        mistakes(QueryDialect::StreamAnalytics, &sql)[0],
        "error[Q107]: not supported yet: MATCH_RECOGNIZE of what is joined\n  at 1:100"
    );
}

/// Before the first record nothing is known of the columns; the rest of the text is looked at.
#[test]
fn a_check_needs_no_columns() {
    let input = InputSchema { name: "trades".into(), columns: None, hub: true, reference: false };
    let right = query(
        "LIMIT DURATION(minute, 1) PARTITION BY symbol MEASURES LAST(A.price) AS p, MAX(B.price) AS m, Classifier() AS c
         PATTERN (A+ B) DEFINE A AS A.price > 1, B AS B.price > MAX(A.price) AND DATEDIFF(second, FIRST(A.t), B.t) < 5",
    );
    assert_eq!(check(QueryDialect::StreamAnalytics, &right, std::slice::from_ref(&input)), []);
    let wrong = query("LIMIT DURATION(minute, 1) MEASURES LAST(C.price) AS p PATTERN (A) DEFINE A AS A.price > 1");
    let errors = check(QueryDialect::StreamAnalytics, &wrong, &[input]);
    assert_eq!(errors[0].message, "the pattern variable `C` is not defined");
}

#[test]
fn a_plan_is_shown() {
    let column = |name: &str, column_type| ColumnDefinition::new(name, column_type);
    let columns = vec![column("symbol", ColumnType::Text), column("price", ColumnType::Double)];
    let input = InputSchema::new("trades", Some(columns));
    let sql = query(
        "LIMIT DURATION(minute, 1) PARTITION BY symbol MEASURES LAST(A.price) AS p
         PATTERN (A+ B .) DEFINE A AS A.price > 1, B AS B.price > MAX(A.price)",
    );
    let shown = explain(&plan(QueryDialect::StreamAnalytics, &sql, &[input]).unwrap(), &EventOrder::default());
    let expected = "step 0: a row for each match of a pattern of rows of each symbol
      │  A: A.price > 1
      │  B: B.price > MAX(A.price)
      │  .: any row
      │  p = LAST(A.price)
      │  state: 3 value(s) for each row at which a match may begin, less than 60000 ms old
";
    assert!(shown.contains(expected), "{shown}");
}
