//! Reference data: a blob that is a table.

use millstream_catalog::{RecordFormat, ReferenceInput};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::JobError;
use super::input::{CREDENTIALS, Datasource};
use super::output::{BLOB, StorageAccount};
use super::serialization::Serialization;
use super::wire::{read, refuse_others};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Blob {
    #[serde(default)]
    storage_accounts: Vec<StorageAccount>,
    container: String,
    path_pattern: String,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Members that say how dates and times are written in a path; without either in the path they say nothing.
const FORMATS: [&str; 2] = ["dateFormat", "timeFormat"];

/// The reference data that a datasource describes.
pub(super) fn definition(name: &str, source: Datasource, format: RecordFormat) -> Result<ReferenceInput, JobError> {
    let place = format!("input `{name}`");
    if !source.kind.eq_ignore_ascii_case(BLOB) {
        return Err(JobError::unsupported(&format!("{place}: the datasource `{}` of reference data", source.kind)));
    }
    let place = format!("the datasource of {place}");
    let blob: Blob = read(&place, source.properties)?;
    refuse_others(&place, &blob.others, &[CREDENTIALS.as_slice(), FORMATS.as_slice()].concat())?;
    if blob.path_pattern.contains('{') {
        let what = format!("{place}: `{{date}}` and `{{time}}` in the path `{}` of reference data", blob.path_pattern);
        return Err(JobError::unsupported(&what));
    }
    let key = blob.path_pattern.trim_start_matches('/').to_owned();
    if key.is_empty() || blob.container.is_empty() {
        return Err(JobError::invalid(format!("{place}: expected a container and the path of a blob")));
    }
    if blob.storage_accounts.len() > 1 {
        return Err(JobError::unsupported(&format!("{place}: several storage accounts")));
    }
    let account = blob.storage_accounts.into_iter().next();
    let role = account.map(|account| account.account_name).unwrap_or_default();
    Ok(ReferenceInput { name: name.to_owned(), bucket: blob.container, key, format, columns: Vec::new(), role })
}

/// The document of an input that is reference data.
pub(super) fn document(input: &ReferenceInput) -> Value {
    let mut source = json!({ "container": input.bucket, "pathPattern": input.key });
    if !input.role.is_empty() {
        source["storageAccounts"] = json!([{ "accountName": input.role }]);
    }
    let format = Serialization { format: input.format.clone(), array: false };
    json!({
        "type": "Reference",
        "datasource": { "type": BLOB, "properties": source },
        "compression": { "type": "None" },
        "serialization": format.document(true),
    })
}
