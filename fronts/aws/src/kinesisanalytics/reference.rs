//! `AddApplicationReferenceDataSource`, `DeleteApplicationReferenceDataSource`: an object as a table of the application.

use millstream_catalog::ReferenceInput;
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

impl Source {
    fn definition(self) -> Result<ReferenceInput, ServiceError> {
        Constraints::new()
            .required("referenceDataSource.tableName", self.table_name.as_ref())
            .length("referenceDataSource.tableName", self.table_name.as_deref(), 1, 32)
            .required("referenceDataSource.referenceSchema", self.reference_schema.as_ref())
            .finish()?;
        let object = self.object.ok_or_else(|| invalid("S3ReferenceDataSource must be given"))?;
        let arn = object.bucket_arn.unwrap_or_default();
        let bucket = arn.strip_prefix(BUCKET).filter(|bucket| !bucket.is_empty());
        let bucket = bucket.ok_or_else(|| invalid(format!("{arn} is not the ARN of a bucket")))?;
        let key = object.file_key.filter(|key| !key.is_empty()).ok_or_else(|| invalid("FileKey must be given"))?;
        let schema = self.reference_schema.ok_or_else(|| invalid("ReferenceSchema must be given"))?;
        let (format, columns) = schema.definition()?;
        Ok(ReferenceInput {
            name: self.table_name.unwrap_or_default(),
            bucket: bucket.to_owned(),
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
    for source in &changed.references {
        let ReferenceInput { name, bucket, key, role, .. } = source;
        if changed.inputs.iter().any(|input| input.name == *name) {
            return Err(invalid(format!("the application has an in-application stream `{name}` already")));
        }
        check_trust(front, role, &changed.name)?;
        let permitted = front.roles.check(role, &changed.name, RoleUse::ReadObject { bucket, object: key });
        permitted.map_err(|reason| invalid(format!("Kinesis Analytics cannot read the reference data. {reason}")))?;
    }
    put(front, &seen, changed).await
}

pub(super) async fn delete(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Request = request.input()?;
    let id = input.reference_id.as_deref();
    Constraints::new().required("referenceId", id.as_ref()).finish()?;
    let (seen, mut changed) = current(front, &request.input()?)?;
    if changed.references.is_empty() || id != Some(ID) {
        let message = format!("The application has no reference data source {}", id.unwrap_or_default());
        return Err(ServiceError::new("ResourceNotFoundException", message));
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
