//! Runs `tests/scalar/*.txt`: one documented assertion a line, `EXPRESSION => RESULT`, in the language of the file's
//! name. `!` as the result: the row fails.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMillisecondArray};
use millstream_catalog::{ColumnDefinition, ColumnType, QueryDialect};
use millstream_query::plan::Operator;
use millstream_query::{InputSchema, plan};

use crate::conformance::rows;

#[test]
fn stream_analytics() {
    run(QueryDialect::StreamAnalytics, "stream_analytics.txt", |value| format!("SELECT {value} AS v FROM i"));
}

#[test]
fn kinesis() {
    run(QueryDialect::Kinesis, "kinesis.txt", |value| {
        format!("CREATE STREAM O; CREATE PUMP P AS INSERT INTO O SELECT STREAM {value} AS v FROM i")
    });
}

fn run(dialect: QueryDialect, file: &str, query: fn(&str) -> String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scalar").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let mut wrong = Vec::new();
    for line in text.lines().filter(|line| line.contains(" => ")) {
        let (expression, expected) = line.rsplit_once(" => ").unwrap();
        let found = evaluate(dialect, &query(expression.trim()));
        if found != expected.trim_start() {
            wrong.push(format!("{line}, found {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The only row of a query over one row of one column `n`, 1.
fn evaluate(dialect: QueryDialect, sql: &str) -> String {
    let name = if dialect == QueryDialect::Kinesis { "I" } else { "i" };
    let column = ColumnDefinition::new("N", ColumnType::BigInt);
    let input = InputSchema::new(name, Some(vec![column]));
    let program = match plan(dialect, sql, &[input]) {
        Ok(program) => program,
        Err(errors) => return errors[0].to_string().replace('\n', " "),
    };
    let source = &program.sources[0];
    let mut columns: Vec<ArrayRef> =
        source.columns.iter().map(|_| Arc::new(Int64Array::from(vec![1])) as ArrayRef).collect();
    columns.push(Arc::new(TimestampMillisecondArray::from(vec![1_096_552_103_000])));
    let batch = RecordBatch::try_new(Arc::clone(&source.schema), columns).unwrap();
    let Operator::Project { columns, .. } = &program.steps[0].operator else { panic!("{sql} is no projection") };
    let (_, value) = &columns[0];
    match value.physical.evaluate(&batch).and_then(|value| value.into_array(1)) {
        Ok(array) => {
            assert_eq!(array.data_type(), &value.data_type, "{sql}");
            let time = Arc::clone(batch.columns().last().unwrap());
            rows(&RecordBatch::try_from_iter([("v", array), ("t", time)]).unwrap()).remove(0)
        }
        Err(_) => "!".to_owned(),
    }
}
