//! Reference data: objects are read and decoded when a query is bound, and stay as they are until it is bound again.

use std::sync::Arc;

use arrow::array::RecordBatch as ArrowBatch;
use bytes::Bytes;
use millstream_catalog::{ColumnDefinition, QueryDialect, ReferenceInput};
use millstream_types::{CheckRole, EncodedRecords, ReadObject, RecordBatch, RoleUse};

use super::error::QueryError;
use crate::decode::infer::columns_of;
use crate::decode::{Decoder, Reading};
use crate::dialect::InputSchema;
use crate::plan::SourcePlan;

/// The largest object that is read, bytes. The services take 300 MB and 1 GB; in memory rows and their keys are several times
/// as much, for each query that reads them.
const OBJECT_BYTES_MAX: u64 = 100 << 20;

/// Where reference data come from.
#[derive(Clone)]
pub(super) struct References {
    pub(super) objects: Arc<dyn ReadObject>,
    /// `None`: no role is asked.
    pub(super) roles: Option<Arc<dyn CheckRole>>,
}

/// An object that was read.
pub(super) struct Loaded {
    input: ReferenceInput,
    content: Bytes,
}

impl References {
    /// Reads the objects of a query's references.
    pub(super) async fn load(&self, query: &str, inputs: &[ReferenceInput]) -> Result<Vec<Loaded>, QueryError> {
        let mut loaded = Vec::with_capacity(inputs.len());
        for input in inputs {
            let ReferenceInput { name, bucket, key, role, .. } = input;
            if let Some(roles) = &self.roles {
                let checked = roles.check(role, query, RoleUse::ReadObject { bucket, object: key });
                checked.map_err(|reason| QueryError::NotAllowed { name: name.clone(), reason })?;
            }
            let read = self.objects.read_object(bucket, key, OBJECT_BYTES_MAX).await;
            let content = read.map_err(|error| unusable(input, error.message))?;
            loaded.push(Loaded { input: input.clone(), content });
        }
        Ok(loaded)
    }
}

impl Loaded {
    /// An object with its content.
    pub(super) fn new(input: ReferenceInput, content: Bytes) -> Self {
        Self { input, content }
    }

    pub(super) fn name(&self) -> &str {
        &self.input.name
    }

    /// What a plan needs to know.
    pub(super) fn schema(&self, dialect: QueryDialect) -> InputSchema {
        let columns: Vec<ColumnDefinition> = match self.input.columns.as_slice() {
            [] => columns_of(dialect, &self.input.format, [&*self.content]),
            declared => declared.to_vec(),
        };
        InputSchema { name: self.input.name.clone(), columns: Some(columns), hub: false, reference: true }
    }

    /// The object's rows. A line that is none makes all of it unusable: what is missing would not be noticed.
    pub(super) fn rows(&self, plan: &SourcePlan, dialect: QueryDialect) -> Result<ArrowBatch, QueryError> {
        let mut records = EncodedRecords::with_capacity(self.content.len() + 64);
        records.push(b"", b"", &self.content);
        let (bytes, count) = records.freeze();
        let batch = RecordBatch { base_offset: 0, count, append_time: 0, bytes };
        let reading = Reading { from: 0, shard: 0, processed: 0 };
        let decoded = Decoder::new(plan, &self.input.format, dialect).decode(&batch, reading);
        let decoded = decoded.map_err(|error| unusable(&self.input, error.to_string()))?;
        match decoded.errors.into_iter().next() {
            Some(error) => Err(unusable(&self.input, error.reason)),
            None => Ok(decoded.rows),
        }
    }
}

fn unusable(input: &ReferenceInput, reason: String) -> QueryError {
    let object = format!("{}/{}", input.bucket, input.key);
    QueryError::Reference { name: input.name.clone(), object, reason }
}

#[cfg(test)]
mod tests {
    use millstream_catalog::{ColumnType, EventOrder, RecordFormat};

    use super::*;
    use crate::dialect::plan;
    use crate::executor::{Executor, Produced, lookup};
    use crate::runtime::rows;

    /// The rows of an output over events `{"device": …, "v": …}` and a table of an object.
    fn run(dialect: QueryDialect, sql: &str, format: RecordFormat, content: &str) -> Result<Vec<String>, QueryError> {
        let column = |(name, column_type): (&str, ColumnType)| ColumnDefinition {
            name: name.into(),
            column_type,
            mapping: None,
            declared: None,
        };
        let columns = [("device", ColumnType::BigInt), ("v", ColumnType::BigInt)].map(column).to_vec();
        let events = InputSchema { name: "events".into(), columns: Some(columns), hub: false, reference: false };
        let input = ReferenceInput {
            name: "limits".into(),
            bucket: "tables".into(),
            key: "limits".into(),
            format,
            columns: Vec::new(),
            role: String::new(),
        };
        let loaded = Loaded { input, content: Bytes::from(content.to_owned()) };
        let program = plan(dialect, sql, &[events, loaded.schema(dialect)]).map_err(QueryError::Plan)?;
        let tables = lookup::tables(&program, &[loaded.rows(&program.references[0], dialect)?])?;
        let executor = Executor::new(program, EventOrder::default(), &[RecordFormat::Json], &[1]);
        let mut executor = executor.with_tables(tables);
        let mut records = EncodedRecords::default();
        for (device, v) in [("1", 5), ("2", 5), ("null", 5), ("1", 50), ("7", 1)] {
            records.push(b"", b"", format!(r#"{{"device":{device},"v":{v}}}"#).as_bytes());
        }
        let (bytes, count) = records.freeze();
        let batch = RecordBatch { base_offset: 0, count, append_time: 1_772_600_767_000, bytes };
        let Produced { rows: made, errors } = executor.push(0, 0, &batch, 0)?;
        assert_eq!(errors, []);
        assert!(made.iter().all(|(_, batch)| batch.num_rows() <= lookup::TOGETHER), "results come in pieces");
        let encoded = made.iter().flat_map(|(_, batch)| rows::encode(batch, &RecordFormat::Json, dialect, &[]));
        Ok(encoded.map(|row| String::from_utf8_lossy(&row).into_owned()).collect())
    }

    const JOIN: &str = "SELECT e.v, l.most INTO out FROM events e JOIN limits l ON e.device = l.device";

    #[test]
    fn rows_stand_beside_those_of_the_table() {
        let json = r#"[{"device":1,"most":10},{"device":2,"most":20},{"device":1,"most":30},{"device":null,"most":0}]"#;
        let csv = "most,device\n10,1\n20,2\n30,1\n0,\n";
        let expected = [(5, 10), (5, 30), (5, 20), (50, 10), (50, 30)];
        let expected = expected.map(|(v, most)| format!(r#"{{"v":{v},"most":{most}}}"#));
        let delimited = || RecordFormat::Csv { delimiter: ",".into() };
        assert_eq!(run(QueryDialect::StreamAnalytics, JOIN, RecordFormat::Json, json).unwrap(), expected);
        assert_eq!(run(QueryDialect::StreamAnalytics, JOIN, delimited(), csv).unwrap(), expected);
        let outer =
            "SELECT e.v, l.most INTO out FROM events e LEFT JOIN limits l ON e.device = l.device AND l.most > e.v";
        let expected = [
            r#"{"v":5,"most":10}"#,
            r#"{"v":5,"most":30}"#,
            r#"{"v":5,"most":20}"#,
            r#"{"v":5,"most":null}"#,
            r#"{"v":50,"most":null}"#,
            r#"{"v":1,"most":null}"#,
        ];
        assert_eq!(run(QueryDialect::StreamAnalytics, outer, RecordFormat::Json, json).unwrap(), expected);
        let kinesis = r#"CREATE STREAM "O" (V INTEGER, M INTEGER);
            CREATE PUMP P AS INSERT INTO "O" SELECT STREAM e."v", l."most"
            FROM "events" AS e LEFT OUTER JOIN "limits" AS l ON e."device" = l."device" WHERE l."most" IS NULL;"#;
        let found = run(QueryDialect::Kinesis, kinesis, RecordFormat::Json, json).unwrap();
        assert_eq!(found, [r#"{"V":5,"M":null}"#, r#"{"V":1,"M":null}"#]);
    }

    #[test]
    fn a_row_that_many_match_is_beside_each_of_them() {
        let rows = 2 * lookup::TOGETHER + 7;
        let json: String = (0..rows).map(|row| format!("{{\"device\":7,\"most\":{row}}}\n")).collect();
        let all: Vec<String> = (0..rows).map(|row| format!(r#"{{"v":1,"most":{row}}}"#)).collect();
        assert_eq!(run(QueryDialect::StreamAnalytics, JOIN, RecordFormat::Json, &json).unwrap(), all);
        let but_one = format!("{JOIN} AND l.most <> 5000");
        let found = run(QueryDialect::StreamAnalytics, &but_one, RecordFormat::Json, &json).unwrap();
        assert_eq!(found, [&all[..5000], &all[5001..]].concat());
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let of =
            |sql, format, content| run(QueryDialect::StreamAnalytics, sql, format, content).unwrap_err().to_string();
        let broken = of(JOIN, RecordFormat::Json, r#"{"device":1,"most":10} {"device":"#);
        assert!(broken.contains("reference data `limits`: the object `tables/limits` cannot be used"), "{broken}");
        let other = of(JOIN, RecordFormat::Json, r#"{"device":"1","most":10}"#);
        assert!(other.contains("a comparison of bigint and nvarchar(max)"), "{other}");
        let timeless = "SELECT 1 AS n INTO out FROM events e JOIN limits l ON e.device = l.device
            JOIN events f ON DATEDIFF(second, l, f) BETWEEN 0 AND 5";
        let found = of(timeless, RecordFormat::Json, r#"{"device":1,"most":10}"#);
        assert!(found.contains("a join without bounds in time"), "{found}");
        let windowed = r#"CREATE STREAM "O" (V INTEGER); CREATE PUMP P AS INSERT INTO "O" SELECT STREAM e."v"
            FROM "events" OVER (RANGE INTERVAL '1' MINUTE PRECEDING) AS e JOIN "limits" AS l ON e."device" = l."device""#;
        let found = run(QueryDialect::Kinesis, windowed, RecordFormat::Json, r#"{"device":1,"most":10}"#);
        assert!(found.unwrap_err().to_string().contains("a window says which rows are joined with others"));
        for sql in [
            "SELECT most INTO out FROM limits",
            "SELECT 1 AS n INTO out FROM limits l JOIN events e ON e.device = l.device",
        ] {
            let found = of(sql, RecordFormat::Json, r#"{"device":1,"most":10}"#);
            assert!(found.contains("only stand on the right of a JOIN"), "{found}");
        }
    }
}
