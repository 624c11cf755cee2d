//! Reference data: a blob that is a table, or blobs that are its versions.

use millstream_catalog::{RecordFormat, ReferenceInput, ReferenceVersions};
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
    #[serde(default)]
    date_format: String,
    #[serde(default)]
    time_format: String,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// The reference data that a datasource describes.
pub(super) fn definition(name: &str, source: Datasource, format: RecordFormat) -> Result<ReferenceInput, JobError> {
    let place = format!("input `{name}`");
    if !source.kind.eq_ignore_ascii_case(BLOB) {
        return Err(JobError::unsupported(&format!("{place}: the datasource `{}` of reference data", source.kind)));
    }
    let place = format!("the datasource of {place}");
    let blob: Blob = read(&place, source.properties)?;
    refuse_others(&place, &blob.others, &CREDENTIALS)?;
    let key = blob.path_pattern.trim_start_matches('/').to_owned();
    if key.is_empty() || blob.container.is_empty() {
        return Err(JobError::invalid(format!("{place}: expected a container and the path of a blob")));
    }
    if blob.storage_accounts.len() > 1 {
        return Err(JobError::unsupported(&format!("{place}: several storage accounts")));
    }
    let Blob { date_format, time_format, .. } = blob;
    // Without either in the path the formats say nothing.
    let versions = key.contains('{').then_some(ReferenceVersions { date_format, time_format });
    let account = blob.storage_accounts.into_iter().next();
    let role = account.map(|account| account.account_name).unwrap_or_default();
    let (name, bucket) = (name.to_owned(), blob.container);
    Ok(ReferenceInput { name, bucket, key, versions, format, columns: Vec::new(), role })
}

/// The document of an input that is reference data.
pub(super) fn document(input: &ReferenceInput) -> Value {
    let mut source = json!({ "container": input.bucket, "pathPattern": input.key });
    if let Some(ReferenceVersions { date_format, time_format }) = &input.versions {
        let formats = [("dateFormat", date_format), ("timeFormat", time_format)];
        for (member, format) in formats.into_iter().filter(|(_, format)| !format.is_empty()) {
            source[member] = json!(format);
        }
    }
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
