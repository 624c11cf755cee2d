//! Whatever text comes in: an answer, soon, and never a panic.

use millstream_catalog::{ColumnDefinition, ColumnType, EventOrder, QueryDialect};
use millstream_query::dialect::SQL_BYTES_MAX;
use millstream_query::{InputSchema, PlanErrorCode, explain, plan};
use proptest::prelude::*;

const DIALECTS: [QueryDialect; 3] = [QueryDialect::Kinesis, QueryDialect::StreamAnalytics, QueryDialect::Standard];

fn input() -> InputSchema {
    let column = |name: &str, column_type| ColumnDefinition::new(name, column_type);
    let columns = vec![
        column("A", ColumnType::BigInt),
        column("B", ColumnType::Text),
        column("C", ColumnType::Double),
        column("D", ColumnType::Timestamp),
        column("E", ColumnType::Boolean),
    ];
    InputSchema::new("S", Some(columns))
}

fn answer(dialect: QueryDialect, sql: &str) {
    match plan(dialect, sql, &[input()]) {
        Ok(program) => drop(explain(&program, &EventOrder::default())),
        Err(errors) => assert!(!errors.is_empty(), "{sql}"),
    }
}

/// Words of both languages, so that the soup gets past the first token often.
const WORDS: &str = "SELECT STREAM FROM WHERE GROUP BY HAVING INTO UNION ALL WITH AS CREATE OR REPLACE STREAM PUMP INSERT \
    ( ) ( ) , , . ; * + - / % = <> < >= || & ~ [ ] \" ' S A B C D E OUT ROWTIME System.Timestamp() COUNT(*) SUM(A) \
    AVG MIN(B) STEP FLOOR TO MINUTE INTERVAL '1' SECOND TumblingWindow(minute,1) HoppingWindow second 10 5 1.5 1e400 \
    99999999999999999999 'x' NULL TRUE CASE WHEN THEN ELSE END CAST TRY_CAST BIGINT nvarchar(max) VARCHAR(4) LIKE IN \
    BETWEEN AND OR NOT IS SUBSTRING(B,1,2) DATEADD(day,1,D) TIMESTAMP 'ä' OVER LIMIT -- /* */";

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn soup_of_tokens_is_answered(places in proptest::collection::vec(0usize..1000, 0..60)) {
        let words: Vec<&str> = WORDS.split_whitespace().collect();
        let soup: Vec<&str> = places.iter().map(|place| words[place % words.len()]).collect();
        let soup = soup.join(" ");
        for dialect in DIALECTS {
            answer(dialect, &soup);
            answer(dialect, &format!("SELECT {soup} FROM S"));
            answer(dialect, &format!("CREATE STREAM OUT; CREATE PUMP P AS INSERT INTO OUT SELECT STREAM {soup} FROM S"));
        }
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}") {
        for dialect in DIALECTS {
            answer(dialect, &text);
        }
    }
}

#[test]
fn size_and_depth_are_bounded() {
    for (text, code) in [
        (format!("SELECT {}1{} FROM S", "(".repeat(20_000), ")".repeat(20_000)), PlanErrorCode::TooLarge),
        (format!("SELECT 1{} FROM S", " + 1".repeat(20_000)), PlanErrorCode::TooLarge),
        (format!("SELECT {}1 FROM S", "- ".repeat(20_000)), PlanErrorCode::TooLarge),
        (format!("SELECT {} A FROM S", "NOT ".repeat(20_000)), PlanErrorCode::TooLarge),
        (format!("SELECT {}", "CASE ".repeat(15_000)), PlanErrorCode::TooLarge),
        (" ".repeat(SQL_BYTES_MAX + 1), PlanErrorCode::TooLarge),
    ] {
        let errors = plan(QueryDialect::StreamAnalytics, &text, &[input()]).unwrap_err();
        assert_eq!(errors[0].code, code, "{}", &text[..40]);
    }
}

#[test]
fn the_longest_texts_are_answered() {
    let columns = format!("SELECT {} FROM S", "A+C*2-A AS x, ".repeat(6_000) + "1 AS y");
    let grouped = format!(
        "SELECT {} COUNT(*) FROM S GROUP BY A, B, TumblingWindow(minute, 1)",
        "COALESCE(B, CONCAT(B, A)), ".repeat(3_000)
    );
    let chain = "UPPER(".repeat(60) + "B" + &")".repeat(60);
    let deep =
        format!("SELECT {} FROM S GROUP BY {chain}, TumblingWindow(minute, 1)", vec![chain.clone(); 100].join(", "));
    for text in [columns, grouped, deep] {
        answer(QueryDialect::StreamAnalytics, &text);
    }
}

#[test]
fn queries_inside_of_each_other_are_answered() {
    // Streams that are declared before those that they read, each by queries inside of it.
    let inside =
        |stream: usize| format!("{}SELECT * FROM S{}{}", "SELECT * FROM (".repeat(15), stream + 1, ")".repeat(15));
    let stream =
        |number: usize| format!("CREATE STREAM S{number};CREATE PUMP P AS INSERT INTO S{number} {};", inside(number));
    let deep: String = (0..300).map(stream).collect();
    let errors = plan(QueryDialect::Kinesis, &deep, &[input()]).unwrap_err();
    assert!(errors.iter().any(|error| error.code == PlanErrorCode::TooLarge), "{:?}", errors[0]);
    // Each stream is read twice by the next one: as a tree there would be 2^40 of them.
    let first = "CREATE STREAM S0(A BIGINT);CREATE PUMP P AS INSERT INTO S0 SELECT STREAM A FROM S;".to_owned();
    let twice = |number: usize| {
        let before = number - 1;
        format!(
            "CREATE STREAM S{number}(A BIGINT);CREATE PUMP P AS INSERT INTO S{number}
             SELECT STREAM * FROM S{before} UNION ALL SELECT STREAM * FROM S{before};"
        )
    };
    let last = "CREATE STREAM O(A BIGINT);CREATE PUMP P AS INSERT INTO O SELECT STREAM * FROM (SELECT STREAM * FROM S40) AS q;";
    let wide: String = std::iter::once(first).chain((1..41).map(twice)).chain([last.to_owned()]).collect();
    answer(QueryDialect::Kinesis, &wide);
}
