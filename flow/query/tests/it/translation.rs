//! Queries in other systems' words: `tests/translations/*.txt`, each a query, its inputs, and the text and the notes that come.
//!
//! `--- case WHAT`, `--- dialect NAME`, `--- input NAME: COLUMN TYPE, …`, `--- query`, then for each goal `--- to flink|flink-ddl|asa`
//! with the text that comes, and `--- notes` with what is told of it: `LINE:COLUMN outcome message`.

use std::path::Path;

use millstream_catalog::{ColumnDefinition, ColumnType, EventOrder, QueryDialect};
use millstream_query::{Goal, InputSchema, Outcome, TranslationAsk, translate};

#[test]
fn translations_are_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/translations");
    let mut told = String::new();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for case in text.split("--- case ").skip(1) {
            told.push_str(&difference(case));
            count += 1;
        }
    }
    assert!(told.is_empty(), "{told}");
    assert!(count >= 5, "the files were found");
}

/// What differs in a case; empty when nothing does.
fn difference(case: &str) -> String {
    let mut parts = case.split("\n--- ");
    let name = parts.next().unwrap();
    let (mut dialect, mut inputs, mut query, mut goal) = (QueryDialect::StreamAnalytics, Vec::new(), "", None);
    let mut told = String::new();
    let mut expect = |what: &str, found: &str, expected: &str| {
        if found.trim() != expected.trim() {
            told.push_str(&format!("\n=== {name}: {what}\n--- found\n{found}\n--- expected\n{expected}\n"));
        }
    };
    for part in parts {
        let (head, body) = part.split_once('\n').unwrap_or((part, ""));
        let (kind, rest) = head.split_once(' ').unwrap_or((head, ""));
        match kind {
            "dialect" if rest == "kinesis" => dialect = QueryDialect::Kinesis,
            "dialect" => dialect = QueryDialect::Standard,
            "input" => inputs.push(input(rest)),
            "query" => query = body,
            "to" => {
                let wanted = match rest {
                    "flink" => Goal::Flink,
                    "flink-ddl" => Goal::FlinkTables,
                    _ => Goal::StreamAnalytics,
                };
                goal = Some(wanted);
                let found = translated(dialect, query, &inputs, wanted, true).0;
                expect(rest, &found, body);
            }
            _ => {
                let notes = translated(dialect, query, &inputs, goal.unwrap(), rest != "strictly").1;
                expect(head, &notes, body);
            }
        }
    }
    told
}

fn translated(
    dialect: QueryDialect,
    sql: &str,
    inputs: &[InputSchema],
    goal: Goal,
    within_tolerance: bool,
) -> (String, String) {
    let order = EventOrder::default();
    let ask =
        TranslationAsk { dialect, sql, inputs, functions: &[], order, within_tolerance, bootstrap: "localhost:9092" };
    let translation = translate(&ask, goal).unwrap_or_else(|mistakes| panic!("{}\n{sql}", mistakes[0]));
    let note = |note: &millstream_query::TranslationNote| {
        let outcome = if note.outcome == Outcome::Rewritten { "exact" } else { "refused" };
        format!("{}:{} {outcome} {}", note.line, note.column, note.message)
    };
    let notes: Vec<String> = translation.notes.iter().map(note).collect();
    (translation.text, notes.join("\n"))
}

fn input(head: &str) -> InputSchema {
    let (name, columns) = head.split_once(':').unwrap();
    let column = |column: &str| {
        let (name, column_type) = column.trim().split_once(' ').unwrap();
        let column_type = match column_type {
            "text" => ColumnType::Text,
            "bigint" => ColumnType::BigInt,
            "double" => ColumnType::Double,
            "timestamp" => ColumnType::Timestamp,
            "value" => ColumnType::Value,
            other => panic!("there is no type `{other}`"),
        };
        ColumnDefinition::new(name, column_type)
    };
    let columns = Some(columns.split(',').map(column).collect());
    InputSchema::new(name.trim(), columns)
}
