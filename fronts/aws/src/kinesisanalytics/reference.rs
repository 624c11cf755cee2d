//! `AddApplicationReferenceDataSource`, `DeleteApplicationReferenceDataSource`, and `ReferenceDataSourceUpdates` of
//! `UpdateApplication`: an object as a table of the application.

use millstream_catalog::ReferenceInput;
use millstream_query::NewQuery;
use millstream_types::{CheckRole as _, RoleUse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::change_application::{current, put};
use super::describe_application::schema;
use super::input::InputSchema;
use super::role::check_trust;
use super::{KinesisAnalytics, invalid};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// The id of the one source that an application can have.
const ID: &str = "1.1";

/// What the ARN of a bucket begins with.
const BUCKET: &str = "arn:aws:s3:::";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    reference_data_source: Option<Source>,
    reference_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Source {
    table_name: Option<String>,
    #[serde(rename = "S3ReferenceDataSource")]
    object: Option<Object>,
    reference_schema: Option<InputSchema>,
}

#[derive(Deserialize)]
struct Object {
    #[serde(rename = "BucketARN")]
    bucket_arn: Option<String>,
    #[serde(rename = "FileKey")]
    file_key: Option<String>,
    #[serde(rename = "ReferenceRoleARN")]
    role_arn: Option<String>,
}

/// One of `ReferenceDataSourceUpdates`: what is not given stays. Each update makes the object read again.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SourceUpdate {
    reference_id: Option<String>,
    table_name_update: Option<String>,
    #[serde(rename = "S3ReferenceDataSourceUpdate")]
    object: Option<ObjectUpdate>,
    reference_schema_update: Option<InputSchema>,
}

#[derive(Deserialize)]
struct ObjectUpdate {
    #[serde(rename = "BucketARNUpdate")]
    bucket_arn: Option<String>,
    #[serde(rename = "FileKeyUpdate")]
    file_key: Option<String>,
    #[serde(rename = "ReferenceRoleARNUpdate")]
    role_arn: Option<String>,
}

/// Changes the application's reference data sources.
pub(super) fn update(
    front: &KinesisAnalytics,
    changed: &mut NewQuery,
    updates: Vec<SourceUpdate>,
) -> Result<(), ServiceError> {
    for update in updates {
        Constraints::new()
            .required("referenceDataSourceUpdates.referenceId", update.reference_id.as_ref())
            .length("referenceDataSourceUpdates.tableNameUpdate", update.table_name_update.as_deref(), 1, 32)
            .finish()?;
        let source = changed.references.first_mut().filter(|_| update.reference_id.as_deref() == Some(ID));
        let source = source.ok_or_else(|| not_found(update.reference_id.as_deref()))?;
        if let Some(name) = update.table_name_update {
            source.name = name;
        }
        if let Some(object) = update.object {
            if let Some(arn) = object.bucket_arn {
                source.bucket = bucket_of(&arn)?;
            }
            if let Some(key) = object.file_key {
                source.key =
                    Some(key).filter(|key| !key.is_empty()).ok_or_else(|| invalid("FileKeyUpdate is empty"))?;
            }
            source.role = object.role_arn.unwrap_or_else(|| std::mem::take(&mut source.role));
        }
        if let Some(schema) = update.reference_schema_update {
            (source.format, source.columns) = schema.definition()?;
        }
        check(front, changed)?;
    }
    Ok(())
}

fn not_found(id: Option<&str>) -> ServiceError {
    let message = format!("The application has no reference data source {}", id.unwrap_or_default());
    ServiceError::new("ResourceNotFoundException", message)
}

fn bucket_of(arn: &str) -> Result<String, ServiceError> {
    let bucket = arn.strip_prefix(BUCKET).filter(|bucket| !bucket.is_empty());
    bucket.map(str::to_owned).ok_or_else(|| invalid(format!("{arn} is not the ARN of a bucket")))
}

/// Whether names are free and roles allow it.
fn check(front: &KinesisAnalytics, changed: &NewQuery) -> Result<(), ServiceError> {
    for source in &changed.references {
        let ReferenceInput { name, bucket, key, role, .. } = source;
        if changed.inputs.iter().any(|input| input.name == *name) {
            return Err(invalid(format!("the application has an in-application stream `{name}` already")));
        }
        check_trust(front, role, &changed.name)?;
        let permitted = front.roles.check(role, &changed.name, RoleUse::ReadObject { bucket, object: key });
        permitted.map_err(|reason| invalid(format!("Kinesis Analytics cannot read the reference data. {reason}")))?;
    }
    Ok(())
}

impl Source {
    fn definition(self) -> Result<ReferenceInput, ServiceError> {
        Constraints::new()
            .required("referenceDataSource.tableName", self.table_name.as_ref())
            .length("referenceDataSource.tableName", self.table_name.as_deref(), 1, 32)
            .required("referenceDataSource.referenceSchema", self.reference_schema.as_ref())
            .finish()?;
        let object = self.object.ok_or_else(|| invalid("S3ReferenceDataSource must be given"))?;
        let bucket = bucket_of(object.bucket_arn.as_deref().unwrap_or_default())?;
        let key = object.file_key.filter(|key| !key.is_empty()).ok_or_else(|| invalid("FileKey must be given"))?;
        let schema = self.reference_schema.ok_or_else(|| invalid("ReferenceSchema must be given"))?;
        let (format, columns) = schema.definition()?;
        Ok(ReferenceInput {
            name: self.table_name.unwrap_or_default(),
            bucket,
            key,
            format,
            columns,
            role: object.role_arn.unwrap_or_default(),
        })
    }
}

pub(super) async fn add(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Request = request.input()?;
    Constraints::new().required("referenceDataSource", input.reference_data_source.as_ref()).finish()?;
    let (seen, mut changed) = current(front, &request.input()?)?;
    if !changed.references.is_empty() {
        return Err(invalid("An application can have at most one reference data source"));
    }
    changed.references.extend(input.reference_data_source.map(Source::definition).transpose()?);
    check(front, &changed)?;
    put(front, &seen, changed).await
}

pub(super) async fn delete(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Request = request.input()?;
    let id = input.reference_id.as_deref();
    Constraints::new().required("referenceId", id.as_ref()).finish()?;
    let (seen, mut changed) = current(front, &request.input()?)?;
    if changed.references.is_empty() || id != Some(ID) {
        return Err(not_found(id));
    }
    changed.references.clear();
    put(front, &seen, changed).await
}

/// `ReferenceDataSourceDescriptions`
pub(super) fn described(references: &[ReferenceInput]) -> Value {
    let source = |source: &ReferenceInput| {
        json!({
            "ReferenceId": ID,
            "TableName": source.name,
            "S3ReferenceDataSourceDescription": {
                "BucketARN": format!("{BUCKET}{}", source.bucket),
                "FileKey": source.key,
                "ReferenceRoleARN": source.role,
            },
            "ReferenceSchema": schema(&source.format, &source.columns),
        })
    };
    json!(references.iter().map(source).collect::<Vec<_>>())
}
