//! What a form holds of a resource that is there: so that it can be changed and sent again.

use std::collections::BTreeMap;

use super::value::delimiter_name;
use crate::definition::{
    ColumnDefinition, ColumnType, DesiredState, DocumentOutput, EventOrder, ObjectOutput, OrderPolicy, OutputTarget,
    QueryDefinition, QueryDialect, QueryFunction, QueryFunctionKind, QueryInput, QueryOutput, RecordFormat,
    ReferenceInput, ReferenceVersions, ValueType,
};
use crate::pipeline::Known;

/// The fields of a query's form as they stand for a query. What only a start decides is not among them.
#[must_use]
pub fn query_fields(query: &QueryDefinition, known: &Known) -> BTreeMap<String, String> {
    let mut fields = Fields { part: String::new(), values: BTreeMap::new() };
    let dialect = match query.dialect {
        QueryDialect::Kinesis => "kinesis",
        QueryDialect::StreamAnalytics => "stream-analytics",
        QueryDialect::Standard => "standard",
    };
    fields.put("name", &query.name);
    fields.put("dialect", dialect);
    fields.put("sql", query.sql.trim());
    if query.desired == DesiredState::Stopped {
        fields.put("stopped", "true");
    }
    fields.number("streaming_units", query.parallelism);
    let EventOrder { late_tolerance_ms: late, out_of_order_tolerance_ms: disorder, policy } = query.event_order;
    let late = if late == EventOrder::LATE_WITHOUT_LIMIT { -1 } else { late / 1_000 };
    fields.put("late_tolerance_seconds", &late.to_string());
    fields.put("out_of_order_tolerance_seconds", &(disorder / 1_000).to_string());
    fields.put("out_of_tolerance", if policy == OrderPolicy::Drop { "drop" } else { "adjust" });
    for (index, input) in query.inputs.iter().enumerate() {
        fields.part = format!("input.{}.", index + 1);
        fields.input(input, known);
    }
    for (index, reference) in query.references.iter().enumerate() {
        fields.part = format!("input.{}.", query.inputs.len() + index + 1);
        fields.reference(reference);
    }
    for (index, function) in query.functions.iter().enumerate() {
        fields.part = format!("function.{}.", index + 1);
        fields.function(function);
    }
    for (index, output) in query.outputs.iter().enumerate() {
        fields.part = format!("output.{}.", index + 1);
        fields.output(output, known);
    }
    fields.values
}

/// Fields by name; those that are put belong to `part`.
struct Fields {
    part: String,
    values: BTreeMap<String, String>,
}

impl Fields {
    /// Puts a value; an empty one is as good as none.
    fn put(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.values.insert(format!("{}{key}", self.part), value.to_owned());
        }
    }

    fn number(&mut self, key: &str, value: u32) {
        if value > 0 {
            self.put(key, &value.to_string());
        }
    }

    fn input(&mut self, input: &QueryInput, known: &Known) {
        self.put("name", &input.name);
        self.stream(&input.stream, known);
        self.format(&input.format);
        self.columns(&input.columns);
    }

    fn reference(&mut self, input: &ReferenceInput) {
        self.put("name", &input.name);
        self.put("blob.container", &input.bucket);
        self.put("blob.path", &input.key);
        if let Some(ReferenceVersions { date_format, time_format }) = &input.versions {
            self.put("blob.date_format", date_format);
            self.put("blob.time_format", time_format);
        }
        self.format(&input.format);
        self.columns(&input.columns);
    }

    fn function(&mut self, function: &QueryFunction) {
        self.put("name", &function.name);
        let kind = match function.kind {
            QueryFunctionKind::Scalar => "",
            QueryFunctionKind::Aggregate => "aggregate",
        };
        self.put("kind", kind);
        self.put("script", function.script.trim());
        self.put("arguments", &function.arguments.iter().map(|given| given.name()).collect::<Vec<_>>().join(", "));
        self.put("result", if function.result == ValueType::Any { "" } else { function.result.name() });
    }

    fn columns(&mut self, columns: &[ColumnDefinition]) {
        let columns: Vec<String> = columns.iter().map(column).collect();
        self.put("columns", &columns.join("\n"));
    }

    fn output(&mut self, output: &QueryOutput, known: &Known) {
        self.put("name", &output.name);
        self.format(&output.format);
        let handing = &output.handing;
        self.put("partition_key", &handing.partition_column);
        self.put("property_columns", &handing.property_columns.join(", "));
        self.number("batch_rows", handing.batch_rows);
        self.number("batch_bytes", handing.batch_bytes);
        self.number("blob.min_rows", handing.rows_min);
        self.number("blob.max_seconds", handing.wait_max_seconds);
        match &output.target {
            OutputTarget::Function { name } => self.put("function", name),
            OutputTarget::Stream { name } => self.stream(name, known),
            OutputTarget::Objects(ObjectOutput { bucket, path, date_format, time_format, array }) => {
                self.put("blob.container", bucket);
                self.put("blob.path", path);
                self.put("blob.date_format", date_format);
                self.put("blob.time_format", time_format);
                self.put("blob.array", if *array { "true" } else { "" });
            }
            OutputTarget::Documents(DocumentOutput { database, container, id_column, partition_key }) => {
                self.put("cosmos.database", database);
                self.put("cosmos.container", container);
                self.put("cosmos.document_id", id_column);
                self.put("cosmos.partition_key", partition_key);
            }
            OutputTarget::Keep => {}
        }
    }

    /// A stream as files name it: a hub and a delivery stream have words of their own.
    fn stream(&mut self, stream: &str, known: &Known) {
        let hub = known.hubs.iter().find(|(_, of_hub)| *of_hub == stream);
        match (hub, stream.strip_prefix("delivery/")) {
            (Some((hub, _)), _) => self.put("event_hub", hub),
            (None, Some(delivery)) => self.put("delivery_stream", delivery),
            (None, None) => self.put("stream", stream),
        }
    }

    fn format(&mut self, format: &RecordFormat) {
        if let RecordFormat::Csv { delimiter } = format {
            self.put("csv", delimiter_name(delimiter));
        }
    }
}

/// A column as a form has it: `NAME TYPE PATH`.
fn column(column: &ColumnDefinition) -> String {
    let usual = match column.column_type {
        ColumnType::BigInt => "BIGINT",
        ColumnType::Double => "DOUBLE",
        ColumnType::Text => "VARCHAR",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Timestamp => "TIMESTAMP",
        ColumnType::Value => "ANY",
    };
    let declared: String = column.declared.as_deref().unwrap_or(usual).split_whitespace().collect();
    let path = column.mapping.as_ref().map(|path| format!(" {path}")).unwrap_or_default();
    format!("{} {declared}{path}", column.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{OutputHanding, StartAt};
    use crate::pipeline::Pipeline;
    use crate::pipeline::form::Form;

    fn query(delimiter: &str) -> QueryDefinition {
        let input = QueryInput {
            name: "trades".into(),
            stream: "ns/hub".into(),
            format: RecordFormat::Csv { delimiter: delimiter.into() },
            columns: vec![ColumnDefinition {
                name: "a".into(),
                column_type: ColumnType::Double,
                mapping: Some("$.b c".into()),
                declared: Some("DECIMAL(10, 2)".into()),
            }],
            role: String::new(),
            consumer_group: String::new(),
            processor: None,
            row_path: String::new(),
            divided: Vec::new(),
        };
        let output = |name: &str, target, handing| QueryOutput {
            name: name.into(),
            target,
            format: RecordFormat::Json,
            role: String::new(),
            handing,
        };
        let objects = ObjectOutput {
            bucket: "b".into(),
            path: "x/{date}".into(),
            date_format: "yyyy".into(),
            time_format: String::new(),
            array: true,
        };
        let waiting = OutputHanding { rows_min: 100, wait_max_seconds: 60, ..OutputHanding::default() };
        let properties = OutputHanding { property_columns: vec!["a".into(), "b".into()], ..OutputHanding::default() };
        QueryDefinition {
            references: vec![ReferenceInput {
                name: "limits".into(),
                bucket: "tables".into(),
                key: "a/{date}/limits.csv".into(),
                versions: Some(ReferenceVersions { date_format: "yyyy-MM-dd".into(), time_format: String::new() }),
                format: RecordFormat::Csv { delimiter: delimiter.into() },
                columns: Vec::new(),
                role: String::new(),
            }],
            functions: vec![QueryFunction {
                name: "TWA".into(),
                kind: QueryFunctionKind::Aggregate,
                script: "function main() {\n  this.init = () => 'it\\'s';\n}".into(),
                arguments: vec![ValueType::Record],
                result: ValueType::Text,
            }],
            name: "q".into(),
            dialect: QueryDialect::StreamAnalytics,
            sql: "SELECT 1".into(),
            description: String::new(),
            inputs: vec![input],
            outputs: vec![
                output("one", OutputTarget::Objects(objects), waiting),
                output("two", OutputTarget::Stream { name: "delivery/d".into() }, properties),
                output("three", OutputTarget::Keep, OutputHanding::default()),
            ],
            desired: DesiredState::Running,
            start_at: StartAt::Latest,
            event_order: EventOrder { late_tolerance_ms: EventOrder::LATE_WITHOUT_LIMIT, ..EventOrder::default() },
            parallelism: 6,
            resource: None,
            started: None,
            created: 0,
            modified: 0,
            version: 1,
        }
    }

    #[test]
    fn what_a_form_holds_of_a_query_makes_the_same_query() {
        let known = Known {
            hubs: [("ns/hub".to_owned(), "ns/hub".to_owned())].into(),
            delivery_streams: ["d".to_owned()].into(),
            ..Known::default()
        };
        [";", "\t", " "].iter().for_each(|delimiter| is_made_again(&query(delimiter), &known));
    }

    fn is_made_again(query: &QueryDefinition, known: &Known) {
        let section = Form::of("query").unwrap().section(&query_fields(query, known)).unwrap();
        let pipeline = Pipeline::parse_onto("it", &section.text, known);
        let spec = pipeline.unwrap_or_else(|wrong| panic!("{wrong:?}\n{}", section.text)).queries.remove(0).value;
        assert_eq!((spec.dialect, spec.event_order, spec.parallelism), (query.dialect, query.event_order, 6));
        let [input] = &spec.inputs[..] else { panic!("{:?}", spec.inputs) };
        assert_eq!((&input.value.stream, &input.value.format), (&query.inputs[0].stream, &query.inputs[0].format));
        assert_eq!(input.value.columns[0].mapping, query.inputs[0].columns[0].mapping);
        assert_eq!(spec.references, query.references);
        assert_eq!(spec.functions[0].value, query.functions[0]);
        for (made, there) in spec.outputs.iter().zip(&query.outputs) {
            assert_eq!((&made.value.target, &made.value.handing), (&there.target, &there.handing));
        }
    }
}
