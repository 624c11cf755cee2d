//! Reference data: objects are read and decoded when a query is bound. One object stays as it is until the query is bound
//! again; versions follow each other, see [`super::versions`].

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch as ArrowBatch;
use bytes::Bytes;
use millstream_catalog::{ColumnDefinition, QueryDialect, ReferenceInput, ReferenceVersions};
use millstream_types::{CheckRole, Clock, EncodedRecords, Millis, ReadObject, RecordBatch, RoleUse};
use serde_json::Map;

use super::delivery::object_path::ObjectPath;
use super::error::QueryError;
use crate::decode::infer::columns_of;
use crate::decode::{Decoder, Reading};
use crate::dialect::InputSchema;
use crate::plan::SourcePlan;

/// The largest object that is read, bytes. The services take 300 MB and 1 GB; in memory rows and their keys are several times
/// as much, for each query that reads them.
const OBJECT_BYTES_MAX: u64 = 100 << 20;

/// Bytes of the versions that rows of a query may still need.
const VERSIONS_BYTES_MAX: u64 = 400 << 20;

/// How often newer versions are looked for unless it is said otherwise: as often as the service does.
pub const REFERENCE_SCAN: Duration = Duration::from_secs(60);

/// Versions of reference data that there may be, whether rows need them or not.
const VERSIONS_MAX: usize = 100_000;

/// Names of objects that are looked through for versions at once. Names that are none are not kept: a path that begins with a
/// placeholder has all names of its bucket.
const NAMES_OF_PAGE: usize = 10_000;

/// Where reference data come from.
#[derive(Clone)]
pub(super) struct References {
    pub(super) objects: Arc<dyn ReadObject>,
    /// `None`: no role is asked.
    pub(super) roles: Option<Arc<dyn CheckRole>>,
    pub(super) clock: Arc<dyn Clock>,
    /// How often newer versions are looked for.
    pub(super) scan: Duration,
}

/// An object that was read, and from when on it counts.
pub(super) struct Version {
    pub(super) from: Millis,
    key: String,
    pub(super) content: Bytes,
}

/// Reference data that were read.
pub(super) struct Loaded {
    pub(super) input: ReferenceInput,
    /// In the order of their times; at least one.
    pub(super) versions: Vec<Version>,
    /// Whether there is none before the first of these.
    pub(super) from_first: bool,
}

/// The names of the versions of reference data; `None`: there is one object.
pub(super) fn versions_path(input: &ReferenceInput) -> Result<Option<ObjectPath>, QueryError> {
    let Some(ReferenceVersions { date_format, time_format }) = &input.versions else { return Ok(None) };
    let wrong = |reason| QueryError::Input { input: input.name.clone(), reason };
    let path = ObjectPath::parse(&input.key, date_format, time_format).map_err(wrong)?;
    if path.time_of(&path.fill(0, &Map::new())).is_none() {
        let reason =
            format!("expected {{date}} in the path of its versions, and {{time}} or none, found `{}`", input.key);
        return Err(wrong(reason));
    }
    Ok(Some(path))
}

/// Holds versions to what may be in memory.
fn check_size(input: &ReferenceInput, bytes: u64) -> Result<(), QueryError> {
    if bytes > VERSIONS_BYTES_MAX {
        let reason = format!(
            "the versions that rows may still need have {bytes} bytes, expected at most {VERSIONS_BYTES_MAX}; \
             remove old ones or put them up less often"
        );
        return Err(unusable(input, &input.key, reason));
    }
    Ok(())
}

impl References {
    /// Reads the objects of a query's references: of versions those that rows from a time on need, or the one that counts now.
    pub(super) async fn load(
        &self,
        query: &str,
        inputs: &[ReferenceInput],
        from: Millis,
    ) -> Result<Vec<Loaded>, QueryError> {
        let mut loaded = Vec::with_capacity(inputs.len());
        for input in inputs {
            let Some(path) = versions_path(input)? else {
                let content = self.read(query, input, &input.key).await?;
                loaded.push(Loaded::new(input.clone(), content));
                continue;
            };
            let found = self.found(input, &path).await?;
            let now = self.clock.now();
            let begun = found.partition_point(|(time, _)| *time <= now);
            if begun == 0 {
                let reason = "no version of a time until now is there yet".to_owned();
                return Err(unusable(input, &input.key, reason));
            }
            let first = found.partition_point(|(time, _)| *time <= from.min(now)).saturating_sub(1);
            let versions = self.versions(query, input, &found[first..], 0).await?;
            loaded.push(Loaded { input: input.clone(), versions, from_first: first == 0 });
        }
        Ok(loaded)
    }

    /// Reads the versions behind a time; `known` bytes of earlier ones are in memory.
    pub(super) async fn newer(
        &self,
        query: &str,
        input: &ReferenceInput,
        path: &ObjectPath,
        newest: Millis,
        known: u64,
    ) -> Result<Vec<Version>, QueryError> {
        let found = self.found(input, path).await?;
        let first = found.partition_point(|(time, _)| *time <= newest);
        self.versions(query, input, &found[first..], known).await
    }

    /// The versions that there are, in the order of their times. Those that begin soon are among them, so that they are there
    /// when the first rows need them.
    async fn found(&self, input: &ReferenceInput, path: &ObjectPath) -> Result<Vec<(Millis, String)>, QueryError> {
        let ahead = i64::try_from(2 * self.scan.as_millis()).unwrap_or(i64::MAX);
        let soon = self.clock.now().saturating_add(ahead);
        let version = |name: &String| Some((path.time_of(name).filter(|time| *time <= soon)?, name.clone()));
        let (mut found, mut after) = (Vec::new(), Some(String::new()));
        while let Some(behind) = after {
            let listed = self.objects.list_objects(&input.bucket, path.beginning(), &behind, NAMES_OF_PAGE).await;
            let names = listed.map_err(|error| unusable(input, &input.key, error.message))?;
            found.extend(names.iter().filter_map(version));
            if found.len() > VERSIONS_MAX {
                let reason = format!("expected at most {VERSIONS_MAX} versions; remove old ones");
                return Err(unusable(input, &input.key, reason));
            }
            after = names.into_iter().nth(NAMES_OF_PAGE - 1);
        }
        found.sort_unstable();
        Ok(found)
    }

    async fn versions(
        &self,
        query: &str,
        input: &ReferenceInput,
        found: &[(Millis, String)],
        mut bytes: u64,
    ) -> Result<Vec<Version>, QueryError> {
        let mut versions = Vec::with_capacity(found.len());
        for (from, key) in found {
            let content = self.read(query, input, key).await?;
            bytes += content.len() as u64;
            check_size(input, bytes)?;
            versions.push(Version { from: *from, key: key.clone(), content });
        }
        Ok(versions)
    }

    /// Reads an object.
    pub(super) async fn read(&self, query: &str, input: &ReferenceInput, key: &str) -> Result<Bytes, QueryError> {
        let ReferenceInput { name, bucket, role, .. } = input;
        if let Some(roles) = &self.roles {
            let checked = roles.check(role, query, RoleUse::ReadObject { bucket, object: key });
            checked.map_err(|reason| QueryError::NotAllowed { name: name.clone(), reason })?;
        }
        let read = self.objects.read_object(bucket, key, OBJECT_BYTES_MAX).await;
        read.map_err(|error| unusable(input, key, error.message))
    }
}

impl Loaded {
    /// An object with its content.
    pub(super) fn new(input: ReferenceInput, content: Bytes) -> Self {
        let versions = vec![Version { from: Millis::MIN, key: input.key.clone(), content }];
        Self { input, versions, from_first: true }
    }

    /// What a plan needs to know.
    pub(super) fn schema(&self, dialect: QueryDialect) -> InputSchema {
        let contents = self.versions.iter().map(|version| &*version.content);
        let columns: Vec<ColumnDefinition> = match self.input.columns.as_slice() {
            [] => columns_of(dialect, &self.input.format, contents),
            declared => declared.to_vec(),
        };
        InputSchema { name: self.input.name.clone(), columns: Some(columns), hub: false, reference: true }
    }

    /// The rows of each version.
    pub(super) fn rows(
        &self,
        plan: &SourcePlan,
        dialect: QueryDialect,
    ) -> Result<Vec<(Millis, ArrowBatch)>, QueryError> {
        self.versions.iter().map(|version| version.rows(&self.input, plan, dialect)).collect()
    }
}

impl Version {
    /// The object's rows, and from when on they count. A line that is none makes all of it unusable: what is missing would not
    /// be noticed.
    pub(super) fn rows(
        &self,
        input: &ReferenceInput,
        plan: &SourcePlan,
        dialect: QueryDialect,
    ) -> Result<(Millis, ArrowBatch), QueryError> {
        let mut records = EncodedRecords::with_capacity(self.content.len() + 64);
        records.push(b"", b"", &self.content);
        let (bytes, count) = records.freeze();
        let batch = RecordBatch { base_offset: 0, count, append_time: 0, bytes };
        let reading = Reading { from: 0, without: &[], shard: 0, processed: 0 };
        let decoded = Decoder::new(plan, &input.format, dialect).decode(&batch, reading);
        let decoded = decoded.map_err(|error| unusable(input, &self.key, error.to_string()))?;
        match decoded.errors.into_iter().next() {
            Some(error) => Err(unusable(input, &self.key, error.reason)),
            None => Ok((self.from, decoded.rows)),
        }
    }
}

fn unusable(input: &ReferenceInput, key: &str, reason: String) -> QueryError {
    let object = format!("{}/{key}", input.bucket);
    QueryError::Reference { name: input.name.clone(), object, reason }
}

#[cfg(test)]
mod tests {
    use millstream_catalog::{ColumnType, EventOrder, RecordFormat};
    use millstream_types::{BoxFuture, ManualClock, ReadObjectError};

    use super::*;
    use crate::dialect::plan;
    use crate::executor::{Executor, Produced, lookup};
    use crate::runtime::rows;

    /// The rows of an output over events `{"device": …, "v": …}` and a table of an object.
    fn run(dialect: QueryDialect, sql: &str, format: RecordFormat, content: &str) -> Result<Vec<String>, QueryError> {
        run_over(dialect, sql, format, &[(Millis::MIN, content)])
    }

    /// The same with versions of the table.
    fn run_over(
        dialect: QueryDialect,
        sql: &str,
        format: RecordFormat,
        versions: &[(Millis, &str)],
    ) -> Result<Vec<String>, QueryError> {
        let column = |(name, column_type): (&str, ColumnType)| ColumnDefinition::new(name, column_type);
        let columns = [("device", ColumnType::BigInt), ("v", ColumnType::BigInt), ("at", ColumnType::Timestamp)];
        let columns = columns.map(column).to_vec();
        let events = InputSchema::new("events", Some(columns));
        let input = ReferenceInput {
            name: "limits".into(),
            bucket: "tables".into(),
            key: "limits".into(),
            versions: None,
            format,
            columns: Vec::new(),
            role: String::new(),
        };
        let version = |(from, content): &(Millis, &str)| Version {
            from: *from,
            key: "limits".into(),
            content: Bytes::from((*content).to_owned()),
        };
        let loaded = Loaded { input, versions: versions.iter().map(version).collect(), from_first: true };
        let program = plan(dialect, sql, &[events, loaded.schema(dialect)]).map_err(QueryError::Plan)?;
        let tables = lookup::tables(&program, &[loaded.rows(&program.references[0], dialect)?])?;
        let executor = Executor::new(program, EventOrder::default(), &[RecordFormat::Json], &[1]);
        let mut executor = executor.with_tables(tables);
        let mut records = EncodedRecords::default();
        for (device, v, at) in [("1", 5, -3), ("2", 5, -2), ("null", 5, -1), ("1", 50, 0), ("7", 1, 1)] {
            let at = millstream_types::time::rfc3339(ARRIVAL + at);
            records.push(b"", b"", format!(r#"{{"device":{device},"v":{v},"at":"{at}"}}"#).as_bytes());
        }
        let (bytes, count) = records.freeze();
        let batch = RecordBatch { base_offset: 0, count, append_time: ARRIVAL, bytes };
        let Produced { rows: made, errors } = executor.push(0, 0, &batch, 0)?;
        assert_eq!(errors, []);
        assert!(made.iter().all(|(_, batch)| batch.num_rows() <= lookup::TOGETHER), "results come in pieces");
        let encoded = made.iter().flat_map(|(_, batch)| rows::encode(batch, &RecordFormat::Json, dialect, &[]));
        Ok(encoded.map(|row| String::from_utf8_lossy(&row).into_owned()).collect())
    }

    const ARRIVAL: Millis = 1_772_600_767_000;

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

    /// Each row has the version of its own time, the first one what is earlier; the order of rows stays.
    #[test]
    fn rows_stand_beside_the_version_of_their_times() {
        let table = |most: i64| {
            format!(r#"[{{"device":1,"most":{most}}},{{"device":2,"most":{most}}},{{"device":7,"most":{most}}}]"#)
        };
        let tables = [1, 2, 3].map(table);
        let versions: Vec<(Millis, &str)> =
            [-2, 0, 100].iter().zip(&tables).map(|(at, table)| (ARRIVAL + at, table.as_str())).collect();
        let sql = "SELECT e.v, l.most INTO out FROM events e TIMESTAMP BY e.at
            LEFT JOIN limits l ON e.device = l.device";
        let found = run_over(QueryDialect::StreamAnalytics, sql, RecordFormat::Json, &versions).unwrap();
        let expected = [(5, "1"), (5, "1"), (5, "null"), (50, "2"), (1, "2")];
        assert_eq!(found, expected.map(|(v, most)| format!(r#"{{"v":{v},"most":{most}}}"#)));
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

    /// Names of objects without content, in their order.
    struct Names(Vec<String>);

    impl ReadObject for Names {
        fn read_object<'a>(&'a self, _: &'a str, _: &'a str, _: u64) -> BoxFuture<'a, Result<Bytes, ReadObjectError>> {
            Box::pin(async { Ok(Bytes::new()) })
        }

        fn list_objects<'a>(
            &'a self,
            _: &'a str,
            prefix: &'a str,
            after: &'a str,
            count_max: usize,
        ) -> BoxFuture<'a, Result<Vec<String>, ReadObjectError>> {
            let behind = &self.0[self.0.partition_point(|name| name.as_str() <= after)..];
            let names = behind.iter().filter(|name| name.starts_with(prefix)).take(count_max).cloned().collect();
            Box::pin(async move { Ok(names) })
        }
    }

    async fn found(mut names: Vec<String>) -> Result<Vec<(Millis, String)>, QueryError> {
        names.sort_unstable();
        let clock = Arc::new(ManualClock::at(ARRIVAL));
        let references = References { objects: Arc::new(Names(names)), roles: None, clock, scan: REFERENCE_SCAN };
        let input = ReferenceInput {
            name: "limits".into(),
            bucket: "tables".into(),
            key: "{date}/limits.csv".into(),
            versions: Some(ReferenceVersions { date_format: "yyyy-MM-dd".into(), time_format: String::new() }),
            format: RecordFormat::Json,
            columns: Vec::new(),
            role: String::new(),
        };
        let path = versions_path(&input)?.expect("the path says times");
        references.found(&input, &path).await
    }

    #[tokio::test]
    async fn versions_are_found_among_many_others() {
        let others =
            |letter: &str, count: usize| (0..count).map(move |n| format!("{letter}{n:06}")).collect::<Vec<_>>();
        let versions = ["2026-03-03/limits.csv", "2026-03-04/limits.csv"].map(str::to_owned);
        // As many as fill the pages that there are, too.
        for (before, behind) in [(0, 0), (NAMES_OF_PAGE - 2, 0), (60_000, 60_000)] {
            let names = [others("1", before), versions.to_vec(), others("x", behind)].concat();
            let found: Vec<String> = found(names).await.unwrap().into_iter().map(|(_, name)| name).collect();
            assert_eq!(found, versions);
        }
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
