//! Runs `tests/sql/*.txt`: documented examples as a query, its input rows and the rows that come out.
//!
//! A file holds cases. Lines that begin with `---` head a part: `--- case WHAT`, `--- dialect NAME`,
//! `--- input NAME: COLUMN TYPE, …` (rows follow; the column `@` is the time of arrival), `--- function NAME: TYPE` (its script follows),
//! `--- query`, and `--- output NAME` (rows follow, in any order). Cells are separated by ` | `; NULL is NULL.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::compute::cast;
use arrow::datatypes::TimestampMillisecondType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use millstream_catalog::{
    ColumnDefinition, ColumnType, EventOrder, OrderPolicy, QueryDialect, QueryFunction, QueryFunctionKind,
    RecordFormat, ValueType,
};
use millstream_query::plan::{ColumnOrigin, Program, SourcePlan, TIMESTAMP};
use millstream_query::{Executor, InputSchema, plan_with};
use millstream_types::{EncodedRecords, RecordBatch as Records};
use serde_json::Value;

use crate::reference;

/// When records arrive whose case does not say it: 2030, after all events.
const ARRIVAL: i64 = 1_893_456_000_000;
/// After all windows: 2100.
const END_OF_TIME: i64 = 4_102_444_800_000;
/// 100 years: no event of a case is late or out of order.
const ANY_TOLERANCE_MS: i64 = 100 * 365 * 86_400_000;

#[test]
fn documented_examples_give_the_documented_rows() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for case in text.split("--- case ").skip(1) {
            Case::read(case).check();
            count += 1;
        }
    }
    assert!(count >= 20, "the files were found");
}

struct Case<'a> {
    name: &'a str,
    dialect: QueryDialect,
    inputs: Vec<Input<'a>>,
    functions: Vec<QueryFunction>,
    query: String,
    outputs: Vec<(&'a str, Vec<&'a str>)>,
}

struct Input<'a> {
    name: &'a str,
    columns: Vec<(&'a str, ColumnType)>,
    rows: Vec<Vec<&'a str>>,
}

impl<'a> Case<'a> {
    fn read(text: &'a str) -> Self {
        let mut parts = text.split("\n---");
        let name = parts.next().unwrap().trim();
        let dialect = QueryDialect::StreamAnalytics;
        let (inputs, functions, query, outputs) = (Vec::new(), Vec::new(), String::new(), Vec::new());
        let mut case = Self { name, dialect, inputs, functions, query, outputs };
        for part in parts {
            let (head, body) = part.split_once('\n').unwrap_or((part, ""));
            let lines: Vec<&str> = body.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            let (kind, rest) = head.trim().split_once(' ').unwrap_or((head.trim(), ""));
            match kind {
                "dialect" if rest == "kinesis" => case.dialect = QueryDialect::Kinesis,
                "dialect" if rest == "standard" => case.dialect = QueryDialect::Standard,
                "dialect" => {}
                "input" => case.inputs.push(Input::read(rest, &lines)),
                "function" => case.functions.push(function(rest, body)),
                "query" => case.query = body.to_owned(),
                "output" => case.outputs.push((rest, lines)),
                other => panic!("{name}: there is no part `{other}`"),
            }
        }
        case
    }

    fn check(&self) {
        let inputs: Vec<InputSchema> = self.inputs.iter().map(Input::schema).collect();
        let program = match plan_with(self.dialect, &self.query, &inputs, &self.functions) {
            Ok(program) => program,
            Err(errors) => panic!("{}: {}", self.name, errors[0]),
        };
        let source = |source: &SourcePlan| {
            self.inputs.iter().find(|input| input.name.eq_ignore_ascii_case(&source.name)).unwrap().batch(source)
        };
        let results = reference::run(&program, program.sources.iter().map(source).collect());
        for (name, expected) in &self.outputs {
            let step = program.output(name).and_then(|output| output.step);
            let step = step.unwrap_or_else(|| panic!("{}: nothing is written to {name}", self.name));
            let mut expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
            expected.sort();
            let mut plain = rows(&results[step]);
            plain.sort();
            assert_eq!(plain, expected, "case {}, output {name}, recomputed", self.name);
            let mut executed = self.execute(&program, name);
            executed.sort();
            assert_eq!(executed, expected, "case {}, output {name}, executed", self.name);
        }
    }

    /// An output's rows as the engine gives them: one record at a time, then the end of time.
    fn execute(&self, program: &Program, name: &str) -> Vec<String> {
        let order = EventOrder {
            late_tolerance_ms: ANY_TOLERANCE_MS,
            out_of_order_tolerance_ms: ANY_TOLERANCE_MS,
            policy: OrderPolicy::Drop,
        };
        let formats = vec![RecordFormat::Json; program.sources.len()];
        let mut executor = Executor::new(program.clone(), order, &formats, &vec![1; program.sources.len()]);
        let mut produced = Vec::new();
        for (index, source) in program.sources.iter().enumerate() {
            let input = self.inputs.iter().find(|input| input.name.eq_ignore_ascii_case(&source.name)).unwrap();
            for record in input.records() {
                produced.push(executor.push(index, 0, &record, 0).unwrap());
            }
        }
        produced.push(executor.advance(Some(END_OF_TIME)).unwrap());
        let failed = produced.iter().flat_map(|produced| &produced.errors).next();
        assert_eq!(failed, None, "case {}", self.name);
        let wanted = program.outputs.iter().position(|output| output.name == name);
        let batches = produced.iter().flat_map(|produced| &produced.rows);
        batches.filter(|(output, _)| Some(*output) == wanted).flat_map(|(_, batch)| rows(batch)).collect()
    }
}

impl<'a> Input<'a> {
    fn read(head: &'a str, lines: &[&'a str]) -> Self {
        let (name, columns) = head.split_once(':').unwrap();
        let column = |column: &'a str| {
            let (name, column_type) = column.trim().split_once(' ').unwrap();
            (name, column_type_of(column_type))
        };
        let rows = lines.iter().map(|line| line.split(" | ").map(str::trim).collect()).collect();
        Self { name: name.trim(), columns: columns.split(',').map(column).collect(), rows }
    }

    fn schema(&self) -> InputSchema {
        let visible = self.columns.iter().filter(|column| column.0 != "@");
        let columns = visible.map(|(name, column_type)| ColumnDefinition {
            name: (*name).to_owned(),
            column_type: *column_type,
            mapping: Some(format!("$.{name}")),
            declared: None,
        });
        InputSchema::new(self.name, Some(columns.collect()))
    }

    fn batch(&self, source: &SourcePlan) -> RecordBatch {
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for column in &source.columns {
            let name = match &column.origin {
                ColumnOrigin::Field { .. } => column.name.as_str(),
                ColumnOrigin::Arrival | ColumnOrigin::Processed => "@",
                ColumnOrigin::Shard | ColumnOrigin::Sequence | ColumnOrigin::PartitionKey => {
                    panic!("no case reads what else is known of an event")
                }
            };
            arrays.push(cast(&self.texts(name), &column.data_type).unwrap());
        }
        arrays.push(cast(&self.texts("@"), &TIMESTAMP).unwrap());
        RecordBatch::try_new(Arc::clone(&source.schema), arrays).unwrap()
    }

    /// The rows as records, in the order of their arrival.
    fn records(&self) -> Vec<Records> {
        let mut arrivals = cast(&self.texts("@"), &TIMESTAMP).unwrap();
        if self.columns.iter().all(|column| column.0 != "@") {
            arrivals = Arc::new(TimestampMillisecondArray::from(vec![ARRIVAL; self.rows.len()]));
        }
        let arrivals = arrivals.as_primitive::<TimestampMillisecondType>();
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|row| arrivals.value(*row));
        let record = |(offset, row): (usize, usize)| {
            let mut records = EncodedRecords::with_capacity(256);
            records.push(b"key", b"", self.json(row).to_string().as_bytes());
            let (bytes, count) = records.freeze();
            Records { base_offset: offset as u64, count, append_time: arrivals.value(row), bytes }
        };
        order.into_iter().enumerate().map(record).collect()
    }

    /// A row as the object its columns are mapped from.
    fn json(&self, row: usize) -> Value {
        let mut object = Value::Null;
        for ((name, column_type), cell) in self.columns.iter().zip(&self.rows[row]) {
            let value = match column_type {
                _ if *cell == "NULL" => Value::Null,
                ColumnType::Text | ColumnType::Timestamp => Value::from(*cell),
                _ => serde_json::from_str(cell).unwrap(),
            };
            let place = name.split('.').fold(&mut object, |place, part| &mut place[part]);
            *place = value;
        }
        object
    }

    fn texts(&self, name: &str) -> StringArray {
        let Some(place) = self.columns.iter().position(|column| column.0 == name) else {
            return StringArray::from(vec!["1970-01-01T00:00:00"; self.rows.len()]);
        };
        self.rows.iter().map(|row| Some(row[place]).filter(|cell| *cell != "NULL")).collect()
    }
}

fn function(head: &str, script: &str) -> QueryFunction {
    let (name, result) = head.split_once(':').unwrap();
    QueryFunction {
        name: name.trim().to_owned(),
        kind: QueryFunctionKind::Scalar,
        script: script.to_owned(),
        arguments: Vec::new(),
        result: ValueType::of(result).unwrap_or_else(|| panic!("there is no type `{result}`")),
    }
}

fn column_type_of(name: &str) -> ColumnType {
    match name {
        "bigint" => ColumnType::BigInt,
        "double" => ColumnType::Double,
        "text" => ColumnType::Text,
        "boolean" => ColumnType::Boolean,
        "timestamp" => ColumnType::Timestamp,
        "value" => ColumnType::Value,
        other => panic!("there is no type `{other}`"),
    }
}

/// The visible columns of each row, as text.
pub fn rows(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let visible = &batch.columns()[..batch.num_columns() - 1];
    let formatters: Vec<ArrayFormatter> =
        visible.iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap()).collect();
    let cell = |row: usize| formatters.iter().map(move |formatter| formatter.value(row).to_string());
    (0..batch.num_rows()).map(|row| cell(row).collect::<Vec<_>>().join(" | ")).collect()
}
