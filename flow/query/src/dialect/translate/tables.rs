//! The tables of a translated query: its inputs and outputs as Kafka topics of JSON, and which time the rows of each input go by.

use arrow::datatypes::DataType;
use datafusion_physical_expr::expressions::Column;
use millstream_catalog::QueryDialect;

use super::super::standard;
use super::super::syntax::{ExprKind, From, TableSyntax};
use super::Writer;
use super::expression::Place;
use super::select::Read;
use super::spelling::Spelling;
use crate::error::Position;
use crate::expression::scope::METADATA;
use crate::plan::{ColumnOrigin, ScalarExpr, TIMESTAMP, TimeSource};

/// Which time the rows of an input go by.
pub(super) struct InputTime {
    /// The column's name.
    pub name: String,
    /// What computes it, where it is no field of the records: Kafka's time of a record, or an expression.
    pub computed: Option<String>,
    /// How far rows may be behind others.
    pub behind_ms: i64,
}

/// What Kafka says of when a record was stored.
const STORED: &str = "TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL";
/// What the column is called that is when a record was stored.
const ARRIVAL_TIME: &str = "arrival_time";
/// What the column is called that a time is computed in.
const EVENT_TIME: &str = "event_time";

impl Writer<'_> {
    /// The column that the rows of an input go by, as its table has it.
    pub(super) fn input_time(&mut self, index: usize, from: &From) -> Option<String> {
        if let Some((_, known)) = self.times.iter().find(|(known, _)| *known == index) {
            return Some(known.name.clone());
        }
        let time = self.found_time(index, from)?;
        let name = time.name.clone();
        self.times.push((index, time));
        Some(name)
    }

    fn found_time(&mut self, index: usize, from: &From) -> Option<InputTime> {
        let plan = &self.planner.sources[index].plan;
        let (event, input) = (matches!(plan.time, TimeSource::Event(_)), plan.name.clone());
        let behind_ms = plan.watermark_ms.unwrap_or(self.ask.order.out_of_order_tolerance_ms);
        let at = from.name.at;
        if event && !self.ask.within_tolerance {
            let why = "rows that are later or more out of order than they may be: here they are dropped or moved when \
                       they come, there what becomes of them depends on windows; --within-tolerance says that there \
                       are none";
            self.refuse(at, why);
        }
        if self.ask.dialect == QueryDialect::Standard {
            let mark = standard::declared(self.statements, &input)?.watermark.as_ref()?;
            return Some(InputTime { name: mark.column.text.clone(), computed: None, behind_ms });
        }
        if !event {
            if self.spelling == Spelling::Flink {
                let how = "rows go by when Kafka stored them: the topic's message.timestamp.type is LogAppendTime";
                self.rewritten(at, how);
            }
            let computed = Some(STORED.to_owned());
            return Some(InputTime { name: self.free(index, ARRIVAL_TIME), computed, behind_ms: 0 });
        }
        let expr = from.timestamp_by.as_ref()?;
        let scope = self.planner.sources[index].scope.clone();
        let read = Read { scope, time: None, source: String::new(), name: String::new() };
        let place = Place { read: &read, windowed: None };
        if self.type_of(expr, place) != Some(TIMESTAMP) {
            self.refuse(expr.at, "TIMESTAMP BY a text: CREATE TABLE tells that it is a datetime");
        }
        if let (ExprKind::Name(parts), Ok(column)) = (&expr.kind, self.binder(place).bind(expr))
            && !parts.is_empty()
        {
            return Some(InputTime { name: field_name(&column), computed: None, behind_ms });
        }
        let told = self.expression(expr, place);
        Some(InputTime { name: self.free(index, EVENT_TIME), computed: Some(format!("AS {told}")), behind_ms })
    }

    /// A name for a column that is added to an input, which has none of that name.
    fn free(&self, index: usize, wanted: &str) -> String {
        let columns = &self.planner.sources[index].plan.columns;
        let mut name = wanted.to_owned();
        while columns.iter().any(|column| column.name.eq_ignore_ascii_case(&name)) {
            name.push('_');
        }
        name
    }

    /// `CREATE TABLE` of all inputs and outputs.
    pub(super) fn tables(&mut self) -> String {
        let mut text = "SET 'table.local-time-zone' = 'UTC';\n".to_owned();
        for source in &self.program.sources {
            let name = source.name.clone();
            let declared = standard::declared(self.statements, &name);
            let columns = match declared {
                Some(table) => self.declared_columns(table),
                None => self.input_columns(&name),
            };
            text.push_str(&self.table(&name, &columns, true));
        }
        for output in &self.program.outputs {
            let declared = standard::declared(self.statements, &output.name);
            let columns = match declared {
                Some(table) => self.declared_columns(table),
                None => output
                    .schema
                    .fields()
                    .iter()
                    .map(|field| self.column_text(field.name(), field.data_type()))
                    .collect(),
            };
            text.push_str(&self.table(&output.name, &columns, false));
        }
        for table in &self.program.references {
            let at = Position { line: 1, column: 1 };
            self.refuse(at, format!("reference data: `{}`", table.name));
        }
        text
    }

    fn column_text(&mut self, name: &str, data_type: &DataType) -> String {
        let told = self.type_name(data_type);
        let told = told.unwrap_or_else(|| {
            let at = Position { line: 1, column: 1 };
            self.refuse(at, format!("the column `{name}`: values without a fixed type"));
            "STRING"
        });
        format!("{} {told}", self.spelling.name(name))
    }

    /// The columns of an input of which the text says nothing.
    fn input_columns(&mut self, name: &str) -> Vec<String> {
        let Some(index) = self.planner.sources.iter().position(|read| read.plan.name == *name) else {
            return Vec::new();
        };
        let used = self.program.sources.iter().find(|source| source.name == *name);
        let used: Vec<String> =
            used.iter().flat_map(|source| &source.columns).map(|column| column.name.clone()).collect();
        let all = self.planner.sources[index].plan.columns.clone();
        let mut columns = Vec::new();
        for column in all {
            let field = matches!(column.origin, ColumnOrigin::Field { .. }) && !column.name.starts_with(METADATA);
            // A column without a fixed type that nothing reads is not missed.
            if field && (used.contains(&column.name) || self.type_name(&column.data_type).is_some()) {
                columns.push(self.column_text(&column.name, &column.data_type));
            }
        }
        if let Some((_, time)) = self.times.iter().find(|(known, _)| *known == index) {
            let quoted = self.spelling.name(&time.name);
            columns.extend(time.computed.iter().map(|computed| format!("{quoted} {computed}")));
            columns.push(watermark(&quoted, time.behind_ms));
        }
        columns
    }

    /// The columns of a table of the standard dialect, as the text has them.
    fn declared_columns(&mut self, table: &TableSyntax) -> Vec<String> {
        let mut columns = Vec::new();
        for name in &table.order {
            let quoted = self.spelling.name(name);
            let stored = table.arrival.as_ref().is_some_and(|arrival| arrival.text == *name);
            let typed =
                table.columns.iter().find(|(column, _)| column.text == *name).map(|(_, column_type)| match column_type
                    .length
                {
                    Some(length) => format!("{}({length})", column_type.name),
                    None => column_type.name.clone(),
                });
            let computed = table.computed.iter().find(|(column, _)| column.text == *name);
            let computed = computed.map(|(_, value)| format!("AS {}", self.as_written(value)));
            let told = if stored { Some(STORED.to_owned()) } else { typed.or(computed) };
            columns.extend(told.map(|told| format!("{quoted} {told}")));
        }
        if let Some(mark) = &table.watermark {
            columns.push(watermark(&self.spelling.name(&mark.column.text), mark.delay_ms));
        }
        columns
    }

    /// A table over a topic of its name.
    fn table(&self, name: &str, columns: &[String], input: bool) -> String {
        // Stream Analytics writes times as ISO 8601 has them, the others as SQL does.
        let times = if self.ask.dialect == QueryDialect::StreamAnalytics { "ISO-8601" } else { "SQL" };
        let mut options = vec![
            ("connector", "kafka".to_owned()),
            ("topic", name.to_owned()),
            ("properties.bootstrap.servers", self.ask.bootstrap.to_owned()),
            ("format", "json".to_owned()),
            ("json.timestamp-format.standard", times.to_owned()),
        ];
        if input {
            options.insert(3, ("properties.group.id", format!("millstream-{name}")));
            options.insert(4, ("scan.startup.mode", "earliest-offset".to_owned()));
        }
        let option = |(key, value): &(&str, String)| format!("  '{key}' = {}", Spelling::text(value));
        let options: Vec<String> = options.iter().map(option).collect();
        let (name, columns) = (self.spelling.name(name), columns.join(",\n  "));
        format!("\nCREATE TABLE {name} (\n  {columns}\n) WITH (\n{}\n);\n", options.join(",\n"))
    }
}

/// Rows that are just as far behind as they may be still are in time: Flink's watermark says that none of its own time comes.
fn watermark(quoted: &str, behind_ms: i64) -> String {
    format!("WATERMARK FOR {quoted} AS {quoted} - {}", Spelling::interval(behind_ms.saturating_add(1)))
}

/// The name of the column that a value is.
fn field_name(value: &ScalarExpr) -> String {
    value.physical.downcast_ref::<Column>().map_or_else(|| value.text.clone(), |column| column.name().to_owned())
}
