//! Reference data as requests give and change them: an object as a table of the application.

use millstream_catalog::ReferenceInput;
use millstream_query::NewQuery;
use millstream_types::{CheckRole as _, RoleUse};
use serde::Deserialize;

use super::role::check_trust;
use super::schema::InputSchema;
use super::{KinesisAnalytics, invalid, missing_part, part_of};
use crate::json_protocol::{Constraints, ServiceError};

/// What the ARN of a bucket begins with.
pub(super) const BUCKET: &str = "arn:aws:s3:::";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Reference {
    table_name: Option<String>,
    #[serde(rename = "S3ReferenceDataSource")]
    object: Option<Object>,
    reference_schema: Option<InputSchema>,
}

/// An object and the role for it.
#[derive(Deserialize)]
pub(super) struct Object {
    #[serde(rename = "BucketARN")]
    bucket_arn: Option<String>,
    #[serde(rename = "FileKey")]
    file_key: Option<String>,
    #[serde(rename = "ReferenceRoleARN", alias = "RoleARN")]
    role_arn: Option<String>,
}

impl Object {
    /// Its bucket and its name there, and the role; `role` where the request names none.
    pub(super) fn named(self, role: &str) -> Result<(String, String, String), ServiceError> {
        let bucket = bucket_of(self.bucket_arn.as_deref().unwrap_or_default())?;
        let key = self.file_key.filter(|key| !key.is_empty()).ok_or_else(|| invalid("FileKey must be given"))?;
        Ok((bucket, key, self.role_arn.unwrap_or_else(|| role.to_owned())))
    }
}

/// One of `ReferenceDataSourceUpdates`: what is not given stays. Each update makes the object read again.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReferenceUpdate {
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

impl ReferenceUpdate {
    /// Changes the table that it names.
    pub(super) fn apply(self, query: &mut NewQuery) -> Result<(), ServiceError> {
        let id = self.reference_id;
        Constraints::new()
            .required("referenceDataSourceUpdates.referenceId", id.as_ref())
            .length("referenceDataSourceUpdates.tableNameUpdate", self.table_name_update.as_deref(), 1, 32)
            .finish()?;
        let source = part_of(id.as_deref(), &mut query.references);
        let source = source.ok_or_else(|| missing_part("reference data source", id.as_deref()))?;
        if let Some(name) = self.table_name_update {
            source.name = name;
        }
        if let Some(object) = self.object {
            if let Some(arn) = object.bucket_arn {
                source.bucket = bucket_of(&arn)?;
            }
            if let Some(key) = object.file_key {
                source.key =
                    Some(key).filter(|key| !key.is_empty()).ok_or_else(|| invalid("FileKeyUpdate is empty"))?;
            }
            source.role = object.role_arn.unwrap_or_else(|| std::mem::take(&mut source.role));
        }
        if let Some(schema) = self.reference_schema_update {
            (source.format, source.columns) = schema.of_table()?;
        }
        Ok(())
    }
}

fn bucket_of(arn: &str) -> Result<String, ServiceError> {
    let bucket = arn.strip_prefix(BUCKET).filter(|bucket| !bucket.is_empty());
    bucket.map(str::to_owned).ok_or_else(|| invalid(format!("{arn} is not the ARN of a bucket")))
}

/// Whether names are free and roles allow it.
pub(super) fn check(front: &KinesisAnalytics, changed: &NewQuery) -> Result<(), ServiceError> {
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

impl Reference {
    /// The table; `role` where the request names none.
    pub(super) fn definition(self, role: &str) -> Result<ReferenceInput, ServiceError> {
        Constraints::new()
            .required("referenceDataSource.tableName", self.table_name.as_ref())
            .length("referenceDataSource.tableName", self.table_name.as_deref(), 1, 32)
            .required("referenceDataSource.referenceSchema", self.reference_schema.as_ref())
            .finish()?;
        let object = self.object.ok_or_else(|| invalid("S3ReferenceDataSource must be given"))?;
        let (bucket, key, role) = object.named(role)?;
        let schema = self.reference_schema.ok_or_else(|| invalid("ReferenceSchema must be given"))?;
        let (format, columns) = schema.of_table()?;
        let name = self.table_name.unwrap_or_default();
        Ok(ReferenceInput { name, bucket, key, versions: None, format, columns, role })
    }
}
