//! Outputs: blobs, documents, hubs and functions of this node. All others are refused by name.

use millstream_catalog::{DocumentOutput, ObjectOutput, OutputHanding, OutputTarget, QueryOutput, RecordFormat};
use millstream_namespace::Namespaces;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::JobError;
use super::input::{CREDENTIALS, Datasource, Hub, hub_of, is_hub};
use super::serialization::Serialization;
use super::wire::{read, refuse_others};

pub(super) const BLOB: &str = "Microsoft.Storage/Blob";
const DOCUMENTS: &str = "Microsoft.Storage/DocumentDB";
const HUB: &str = "Microsoft.ServiceBus/EventHub";
const FUNCTION: &str = "Microsoft.AzureFunction";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    datasource: Datasource,
    serialization: Option<Value>,
    /// Rows that wait for each other, and how long: `hh:mm:ss`.
    size_window: Option<f64>,
    time_window: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Blobs {
    #[serde(default)]
    storage_accounts: Vec<StorageAccount>,
    container: String,
    #[serde(default)]
    path_pattern: String,
    #[serde(default)]
    date_format: String,
    #[serde(default)]
    time_format: String,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StorageAccount {
    pub(super) account_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Documents {
    #[serde(default)]
    account_id: String,
    database: String,
    collection_name_pattern: String,
    #[serde(default)]
    partition_key: String,
    #[serde(default)]
    document_id: String,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Function {
    #[serde(default)]
    function_app_name: String,
    function_name: String,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Rows of one call of a function that may be asked for.
const BATCH_ROWS_MAX: f64 = 10_000.0;
/// Bytes of one call of a function that may be asked for: what the event of a function holds.
const BATCH_BYTES_MAX: f64 = 4_194_304.0;
/// Rows that may be asked to wait for each other.
const WINDOW_ROWS_MAX: f64 = 10_000.0;
/// Seconds that they may be asked to wait.
const WINDOW_SECONDS_MAX: i64 = 7_200;

/// The output that a document describes.
pub(super) fn definition(namespaces: &Namespaces, name: &str, document: Value) -> Result<QueryOutput, JobError> {
    let place = format!("output `{name}`");
    let Properties { datasource, serialization, size_window, time_window, others } = read(&place, document)?;
    refuse_others(&place, &others, &["etag", "diagnostics", "lastOutputEventTimestamps"])?;
    let written = Serialization::parse(&place, serialization)?;
    let Datasource { kind, mut properties } = datasource;
    let (rows_min, wait_max_seconds) = window(&place, &kind, size_window, time_window.as_deref())?;
    let place = format!("the datasource of {place}");
    let handing = OutputHanding { rows_min, wait_max_seconds, ..take_handing(&place, &kind, &mut properties)? };
    let (target, role) = if kind.eq_ignore_ascii_case(BLOB) {
        blobs(&place, properties, &written)?
    } else if kind.eq_ignore_ascii_case(DOCUMENTS) {
        documents(&place, properties)?
    } else if is_hub(&kind) {
        hub(namespaces, &place, properties, &written)?
    } else if kind.eq_ignore_ascii_case(FUNCTION) {
        function(&place, properties)?
    } else {
        return Err(JobError::unsupported(&format!("{place}: `{kind}`")));
    };
    // Documents and functions get rows as JSON whatever is said.
    let format = match &target {
        OutputTarget::Objects(_) | OutputTarget::Stream { .. } => written.format,
        _ => RecordFormat::Json,
    };
    Ok(QueryOutput { name: name.to_owned(), target, format, role, handing })
}

/// Takes what a datasource says of how rows are handed on out of its properties.
fn take_handing(place: &str, kind: &str, properties: &mut Value) -> Result<OutputHanding, JobError> {
    let mut handing = OutputHanding::default();
    let Value::Object(members) = properties else { return Ok(handing) };
    if is_hub(kind) {
        match members.remove("partitionKey") {
            None | Some(Value::Null) => {}
            Some(Value::String(column)) => handing.partition_column = column,
            Some(other) => {
                return Err(JobError::invalid(format!("{place}: expected a column as partitionKey, found {other}")));
            }
        }
        if let Some(columns) = members.remove("propertyColumns").filter(|columns| !columns.is_null()) {
            handing.property_columns = serde_json::from_value(columns.clone()).map_err(|_| {
                JobError::invalid(format!("{place}: expected names of columns as propertyColumns, found {columns}"))
            })?;
        }
    } else if kind.eq_ignore_ascii_case(FUNCTION) {
        handing.batch_rows = take_number(place, members, "maxBatchCount", BATCH_ROWS_MAX)?;
        handing.batch_bytes = take_number(place, members, "maxBatchSize", BATCH_BYTES_MAX)?;
    }
    Ok(handing)
}

/// How many rows of blobs wait for each other, and how many seconds: `sizeWindow` and `timeWindow`; 0 for what is not said.
fn window(place: &str, kind: &str, rows: Option<f64>, time: Option<&str>) -> Result<(u32, u32), JobError> {
    if !kind.eq_ignore_ascii_case(BLOB) && (rows.is_some() || time.is_some()) {
        return Err(JobError::unsupported(&format!("sizeWindow and timeWindow of {place}, which is no blob output")));
    }
    let number = |rows: &f64| (0.0..=WINDOW_ROWS_MAX).contains(rows) && rows.fract() == 0.0;
    let rows = match rows {
        None => 0,
        Some(rows) if number(&rows) => rows as u32,
        Some(rows) => {
            let message = format!("{place}: expected sizeWindow of 0 to {WINDOW_ROWS_MAX} rows, found {rows}");
            return Err(JobError::invalid(message));
        }
    };
    let Some(time) = time else { return Ok((rows, 0)) };
    let seconds = seconds(time).filter(|seconds| (1..=WINDOW_SECONDS_MAX).contains(seconds));
    let wrong = || JobError::invalid(format!("{place}: expected timeWindow up to 02:00:00, found `{time}`"));
    Ok((rows, seconds.and_then(|seconds| u32::try_from(seconds).ok()).ok_or_else(wrong)?))
}

/// The seconds of `hh:mm:ss`.
fn seconds(time: &str) -> Option<i64> {
    let parts: Vec<i64> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hours, minutes @ 0..60, seconds @ 0..60] = parts[..] else { return None };
    (0..24).contains(&hours).then_some(hours * 3_600 + minutes * 60 + seconds)
}

/// A whole number from 1 on; 0 when it is not there.
fn take_number(place: &str, members: &mut Map<String, Value>, name: &str, most: f64) -> Result<u32, JobError> {
    let Some(value) = members.remove(name).filter(|value| !value.is_null()) else { return Ok(0) };
    let number = value.as_f64().filter(|number| (1.0..=most).contains(number) && number.fract() == 0.0);
    let wrong = || JobError::invalid(format!("{place}: expected {name} of 1 to {most}, found {value}"));
    number.map(|number| number as u32).ok_or_else(wrong)
}

type Target = Result<(OutputTarget, String), JobError>;

fn blobs(place: &str, properties: Value, written: &Serialization) -> Target {
    let blobs: Blobs = read(place, properties)?;
    refuse_others(place, &blobs.others, &CREDENTIALS)?;
    if blobs.storage_accounts.len() > 1 {
        return Err(JobError::invalid(format!("{place}: expected one storage account")));
    }
    if blobs.container.is_empty() {
        return Err(JobError::invalid(format!("{place}: expected a container")));
    }
    let account = blobs.storage_accounts.into_iter().next().map(|account| account.account_name);
    let target = ObjectOutput {
        bucket: blobs.container,
        path: blobs.path_pattern,
        date_format: blobs.date_format,
        time_format: blobs.time_format,
        array: written.array,
    };
    Ok((OutputTarget::Objects(target), account.unwrap_or_default()))
}

fn documents(place: &str, properties: Value) -> Target {
    let documents: Documents = read(place, properties)?;
    refuse_others(place, &documents.others, &CREDENTIALS)?;
    if documents.collection_name_pattern.contains('{') {
        let feature = format!("{place}: collectionNamePattern with `{{partition}}`");
        return Err(JobError::unsupported(&feature));
    }
    let target = DocumentOutput {
        database: documents.database,
        container: documents.collection_name_pattern,
        id_column: documents.document_id,
        partition_key: documents.partition_key,
    };
    Ok((OutputTarget::Documents(target), documents.account_id))
}

fn hub(namespaces: &Namespaces, place: &str, properties: Value, written: &Serialization) -> Target {
    let hub: Hub = read(place, properties)?;
    refuse_others(place, &hub.others, &CREDENTIALS)?;
    if written.array {
        return Err(JobError::unsupported(&format!("{place}: the format Array (each row is an event)")));
    }
    let found = namespaces.hub(&hub.service_bus_namespace, &hub.event_hub_name)?;
    Ok((OutputTarget::Stream { name: found.stream.clone() }, hub.shared_access_policy_name))
}

fn function(place: &str, properties: Value) -> Target {
    let function: Function = read(place, properties)?;
    refuse_others(place, &function.others, &CREDENTIALS)?;
    Ok((OutputTarget::Function { name: function.function_name }, function.function_app_name))
}

/// The document of an output.
pub(super) fn document(namespaces: &Namespaces, output: &QueryOutput) -> Value {
    let QueryOutput { target, format, role, handing, .. } = output;
    let written = |array: bool| Serialization { format: format.clone(), array }.document(false);
    match target {
        OutputTarget::Objects(ObjectOutput { bucket, path, date_format, time_format, array }) => {
            let mut source = json!({ "container": bucket, "pathPattern": path });
            source["storageAccounts"] = json!([{ "accountName": role }]);
            for (name, text) in [("dateFormat", date_format), ("timeFormat", time_format)] {
                if !text.is_empty() {
                    source[name] = json!(text);
                }
            }
            let mut document =
                json!({ "datasource": { "type": BLOB, "properties": source }, "serialization": written(*array) });
            if handing.rows_min > 0 {
                document["sizeWindow"] = json!(handing.rows_min);
            }
            if let wait @ 1.. = handing.wait_max_seconds {
                document["timeWindow"] = json!(format!("{:02}:{:02}:{:02}", wait / 3_600, wait / 60 % 60, wait % 60));
            }
            document
        }
        OutputTarget::Documents(DocumentOutput { database, container, id_column, partition_key }) => {
            let source = json!({
                "accountId": role,
                "database": database,
                "collectionNamePattern": container,
                "partitionKey": partition_key,
                "documentId": id_column,
            });
            json!({ "datasource": { "type": DOCUMENTS, "properties": source } })
        }
        OutputTarget::Stream { name } => {
            let (namespace, hub) = hub_of(namespaces, name);
            let mut source = json!({ "serviceBusNamespace": namespace, "eventHubName": hub });
            if !role.is_empty() {
                source["sharedAccessPolicyName"] = json!(role);
            }
            if !handing.partition_column.is_empty() {
                source["partitionKey"] = json!(handing.partition_column);
            }
            if !handing.property_columns.is_empty() {
                source["propertyColumns"] = json!(handing.property_columns);
            }
            json!({ "datasource": { "type": HUB, "properties": source }, "serialization": written(false) })
        }
        OutputTarget::Function { name } => {
            let mut source = json!({ "functionAppName": role, "functionName": name });
            for (name, asked) in [("maxBatchCount", handing.batch_rows), ("maxBatchSize", handing.batch_bytes)] {
                if asked > 0 {
                    source[name] = json!(asked);
                }
            }
            json!({ "datasource": { "type": FUNCTION, "properties": source } })
        }
        // A query of the pipeline file may leave rows where they are; the service has no such output.
        OutputTarget::Keep => json!({ "datasource": { "type": "Raw", "properties": {} } }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(pattern: Value) -> Value {
        json!({ "storageAccounts": [{ "accountName": "acc", "accountKey": "k" }], "container": "box", "pathPattern": pattern })
    }

    #[test]
    fn blobs_documents_and_functions_are_read_and_their_keys_forgotten() {
        let lines = Serialization { format: RecordFormat::Json, array: true };
        let (target, role) = blobs("it", blob(json!("{date}/{time}")), &lines).unwrap();
        let OutputTarget::Objects(objects) = target else { panic!("no objects") };
        assert_eq!((objects.path.as_str(), objects.array, role.as_str()), ("{date}/{time}", true, "acc"));
        let account = json!({ "accountId": "a", "accountKey": "k", "database": "d", "collectionNamePattern": "c" });
        let (target, role) = documents("it", account).unwrap();
        assert!(matches!(&target, OutputTarget::Documents(found) if found.container == "c"));
        assert_eq!(role, "a");
        let given = json!({ "functionAppName": "app", "functionName": "f", "apiKey": "k" });
        assert_eq!(function("it", given).unwrap(), (OutputTarget::Function { name: "f".into() }, "app".into()));
    }

    #[test]
    fn how_rows_are_handed_on_is_read_and_nothing_else_taken() {
        let mut hub = json!({ "eventHubName": "h", "partitionKey": "symbol", "propertyColumns": ["a"] });
        let handing = take_handing("it", HUB, &mut hub).unwrap();
        assert_eq!(
            (handing.partition_column.as_str(), &handing.property_columns[..]),
            ("symbol", &["a".to_owned()][..])
        );
        assert_eq!(hub, json!({ "eventHubName": "h" }));
        let mut function = json!({ "functionName": "f", "maxBatchCount": 7, "maxBatchSize": 1000.0 });
        let handing = take_handing("it", FUNCTION, &mut function).unwrap();
        assert_eq!((handing.batch_rows, handing.batch_bytes), (7, 1000));
        assert_eq!(function, json!({ "functionName": "f" }));
        for wrong in [json!({ "maxBatchCount": 0 }), json!({ "maxBatchSize": 1.5 }), json!({ "maxBatchCount": "7" })] {
            assert!(take_handing("it", FUNCTION, &mut wrong.clone()).is_err(), "{wrong}");
        }
        let mut blobs = json!({ "partitionKey": "x" });
        assert_eq!(take_handing("it", BLOB, &mut blobs).unwrap(), OutputHanding::default());
        assert_eq!(blobs, json!({ "partitionKey": "x" }), "it is refused by name with all others");
    }

    #[test]
    fn windows_of_rows_are_read() {
        assert_eq!(window("it", BLOB, Some(100.0), Some("00:01:30")).unwrap(), (100, 90));
        assert_eq!(window("it", HUB, None, None).unwrap(), (0, 0));
        for (kind, rows, time) in [
            (HUB, Some(1.0), None),
            (BLOB, Some(10_001.0), None),
            (BLOB, Some(1.5), None),
            (BLOB, None, Some("02:00:01")),
            (BLOB, None, Some("90")),
        ] {
            assert!(window("it", kind, rows, time).is_err(), "{kind} {rows:?} {time:?}");
        }
    }

    #[test]
    fn what_is_not_done_is_refused() {
        let lines = Serialization { format: RecordFormat::Json, array: false };
        let mut once = blob(json!(""));
        once["blobWriteMode"] = json!("Once");
        assert!(blobs("it", once, &lines).is_err());
        assert!(blobs("it", json!({ "container": "" }), &lines).is_err());
        assert!(documents("it", json!({ "database": "d", "collectionNamePattern": "c{partition}" })).is_err());
        assert!(function("it", json!({ "functionName": "f", "maxWriters": 1 })).is_err());
    }
}
