//! The S3 destination of a delivery stream, from the members of a request. What is not served is refused by its name:
//! leaving it out would deliver something else than was asked for.

use millstream_catalog::{Compression, ErrorLog, ObjectDestination};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{invalid, unsupported};
use crate::json_protocol::{Constraints, ServiceError};

const BUCKET_ARN: &str = "arn:aws:s3:::";

/// What a prefix cannot do without: an expression.
const EXPRESSION: &str = "!{";
/// What an error prefix with expressions must hold.
const ERROR_TYPE: &str = "!{firehose:error-output-type}";

/// `S3DestinationConfiguration` or `ExtendedS3DestinationConfiguration`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct S3Destination {
    #[serde(rename = "BucketARN")]
    bucket_arn: Option<String>,
    #[serde(rename = "RoleARN")]
    role_arn: Option<String>,
    prefix: Option<String>,
    error_output_prefix: Option<String>,
    buffering_hints: Option<BufferingHints>,
    compression_format: Option<String>,
    file_extension: Option<String>,
    custom_time_zone: Option<String>,
    encryption_configuration: Option<Map<String, Value>>,
    cloud_watch_logging_options: Option<LoggingOptions>,
    s3_backup_mode: Option<String>,
    processing_configuration: Option<Switch>,
    dynamic_partitioning_configuration: Option<Switch>,
    data_format_conversion_configuration: Option<Switch>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BufferingHints {
    #[serde(rename = "SizeInMBs")]
    size_in_mbs: Option<i64>,
    interval_in_seconds: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LoggingOptions {
    enabled: Option<bool>,
    log_group_name: Option<String>,
    log_stream_name: Option<String>,
}

/// A feature that is on or off.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Switch {
    enabled: Option<bool>,
}

impl Switch {
    fn refuse(switch: Option<&Self>, feature: &str, default: bool) -> Result<(), ServiceError> {
        match switch {
            Some(switch) if switch.enabled.unwrap_or(default) => Err(unsupported(feature)),
            _ => Ok(()),
        }
    }
}

impl S3Destination {
    /// As the engine knows it. `member` is the name under which the request gave it.
    pub(super) fn read(self, member: &str) -> Result<ObjectDestination, ServiceError> {
        self.check(member)?;
        self.refuse_what_is_not_served()?;
        let hints = self.buffering_hints.unwrap_or_default();
        let compression = match self.compression_format.as_deref() {
            None | Some("UNCOMPRESSED") => Compression::None,
            Some("GZIP") => Compression::Gzip,
            Some(other) => return Err(unsupported(&format!("CompressionFormat {other}"))),
        };
        let arn = self.bucket_arn.unwrap_or_default();
        let bucket =
            arn.strip_prefix(BUCKET_ARN).ok_or_else(|| invalid(format!("{arn} is not the ARN of a bucket")))?;
        let (prefix, error_prefix) = (self.prefix.unwrap_or_default(), self.error_output_prefix.unwrap_or_default());
        check_prefixes(&prefix, &error_prefix)?;
        Ok(ObjectDestination {
            bucket: bucket.to_owned(),
            prefix,
            error_prefix,
            file_extension: self.file_extension.unwrap_or_default(),
            time_zone: self.custom_time_zone.unwrap_or_default(),
            buffer_bytes: hints.size_in_mbs.and_then(|size| u64::try_from(size).ok()).unwrap_or(5) << 20,
            buffer_seconds: hints.interval_in_seconds.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(300),
            compression,
            role: self.role_arn.unwrap_or_default(),
            error_log: self.cloud_watch_logging_options.map(error_log).transpose()?.flatten(),
        })
    }

    /// The same with what it does not give as it was.
    pub(super) fn over(self, old: &ObjectDestination) -> Self {
        let hints = self.buffering_hints.unwrap_or_default();
        let packed = match old.compression {
            Compression::None => "UNCOMPRESSED",
            Compression::Gzip => "GZIP",
        };
        let logging = old.error_log.clone().map(|log| LoggingOptions {
            enabled: Some(true),
            log_group_name: Some(log.group),
            log_stream_name: Some(log.stream),
        });
        Self {
            bucket_arn: self.bucket_arn.or_else(|| Some(format!("{BUCKET_ARN}{}", old.bucket))),
            role_arn: self.role_arn.or_else(|| Some(old.role.clone())),
            prefix: self.prefix.or_else(|| Some(old.prefix.clone())),
            error_output_prefix: self.error_output_prefix.or_else(|| Some(old.error_prefix.clone())),
            buffering_hints: Some(BufferingHints {
                size_in_mbs: hints.size_in_mbs.or_else(|| i64::try_from(old.buffer_bytes >> 20).ok()),
                interval_in_seconds: hints.interval_in_seconds.or(Some(old.buffer_seconds.into())),
            }),
            compression_format: self.compression_format.or_else(|| Some(packed.to_owned())),
            file_extension: self.file_extension.or_else(|| Some(old.file_extension.clone())),
            custom_time_zone: self.custom_time_zone.or_else(|| Some(old.time_zone.clone())),
            cloud_watch_logging_options: self.cloud_watch_logging_options.or(logging),
            ..self
        }
    }

    fn check(&self, member: &str) -> Result<(), ServiceError> {
        let at = |name: &str| format!("{member}.{name}");
        let (size, interval) = (self.buffering_hints.as_ref())
            .map_or((None, None), |hints| (hints.size_in_mbs, hints.interval_in_seconds));
        let extension = self.file_extension.as_deref();
        let mut constraints = Constraints::new();
        constraints
            .required(&at("bucketARN"), self.bucket_arn.as_ref())
            .length(&at("bucketARN"), self.bucket_arn.as_deref(), 1, 2048)
            .required(&at("roleARN"), self.role_arn.as_ref())
            .length(&at("roleARN"), self.role_arn.as_deref(), 1, 512)
            .length(&at("prefix"), self.prefix.as_deref(), 0, 1024)
            .length(&at("errorOutputPrefix"), self.error_output_prefix.as_deref(), 0, 1024)
            .length(&at("customTimeZone"), self.custom_time_zone.as_deref(), 0, 50)
            .range(&at("bufferingHints.sizeInMBs"), size, 1, 128)
            .range(&at("bufferingHints.intervalInSeconds"), interval, 0, 900)
            .one_of(
                &at("compressionFormat"),
                self.compression_format.as_deref(),
                &["UNCOMPRESSED", "GZIP", "ZIP", "Snappy", "HADOOP_SNAPPY"],
            )
            .one_of(&at("s3BackupMode"), self.s3_backup_mode.as_deref(), &["Disabled", "Enabled"])
            .length(&at("fileExtension"), extension, 0, 128);
        if extension.is_some_and(|text| !is_extension(text)) {
            let constraint = "Member must satisfy regular expression pattern: ^$|\\.[0-9a-z!\\-_.*'()]+";
            constraints.broken(&at("fileExtension"), extension, constraint);
        }
        constraints.finish()
    }

    fn refuse_what_is_not_served(&self) -> Result<(), ServiceError> {
        Switch::refuse(self.processing_configuration.as_ref(), "ProcessingConfiguration", false)?;
        Switch::refuse(self.dynamic_partitioning_configuration.as_ref(), "DynamicPartitioningConfiguration", false)?;
        Switch::refuse(self.data_format_conversion_configuration.as_ref(), "DataFormatConversionConfiguration", true)?;
        if self.s3_backup_mode.as_deref() == Some("Enabled") {
            return Err(unsupported("S3BackupMode Enabled"));
        }
        if self.encryption_configuration.as_ref().is_some_and(|wanted| wanted.contains_key("KMSEncryptionConfig")) {
            return Err(unsupported("EncryptionConfiguration with KMSEncryptionConfig"));
        }
        match self.others.iter().find(|(_, value)| !value.is_null()) {
            Some((member, _)) => Err(unsupported(member)),
            None => Ok(()),
        }
    }
}

/// The service's rules between the two prefixes; what their expressions may be is the engine's matter.
fn check_prefixes(prefix: &str, error_prefix: &str) -> Result<(), ServiceError> {
    if prefix.contains(ERROR_TYPE) {
        return Err(invalid(format!("Prefix cannot contain {ERROR_TYPE}")));
    }
    if prefix.contains(EXPRESSION) && error_prefix.is_empty() {
        return Err(invalid("ErrorOutputPrefix cannot be null or empty when Prefix contains expressions".into()));
    }
    if error_prefix.contains(EXPRESSION) && !error_prefix.contains(ERROR_TYPE) {
        return Err(invalid(format!("ErrorOutputPrefix with expressions must contain {ERROR_TYPE}")));
    }
    Ok(())
}

fn error_log(options: LoggingOptions) -> Result<Option<ErrorLog>, ServiceError> {
    if !options.enabled.unwrap_or_default() {
        return Ok(None);
    }
    match (options.log_group_name, options.log_stream_name) {
        (Some(group), Some(stream)) if !group.is_empty() && !stream.is_empty() => Ok(Some(ErrorLog { group, stream })),
        _ => Err(invalid(
            "LogGroupName and LogStreamName must be given when CloudWatchLoggingOptions are enabled".to_owned(),
        )),
    }
}

fn is_extension(text: &str) -> bool {
    let allowed = |char: char| char.is_ascii_digit() || char.is_ascii_lowercase() || "!-_.*'()".contains(char);
    text.is_empty() || text.strip_prefix('.').is_some_and(|rest| !rest.is_empty() && rest.chars().all(allowed))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(more: Value) -> Result<ObjectDestination, ServiceError> {
        let mut members =
            json!({ "BucketARN": "arn:aws:s3:::archive", "RoleARN": "arn:aws:iam::000000000000:role/any" });
        members.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value::<S3Destination>(members).unwrap().read("extendedS3DestinationConfiguration")
    }

    #[test]
    fn what_is_served_is_taken() {
        let read = read(json!({
            "Prefix": "y=!{timestamp:yyyy}/", "ErrorOutputPrefix": "bad/!{firehose:error-output-type}/",
            "FileExtension": ".json", "CustomTimeZone": "Asia/Tokyo", "S3BackupMode": "Disabled",
            "BufferingHints": { "SizeInMBs": 2, "IntervalInSeconds": 60 },
            "EncryptionConfiguration": { "NoEncryptionConfig": "NoEncryption" },
            "ProcessingConfiguration": { "Enabled": false }, "DynamicPartitioningConfiguration": { "Enabled": false },
            "CloudWatchLoggingOptions": { "Enabled": true, "LogGroupName": "g", "LogStreamName": "s" },
        }))
        .unwrap();
        assert_eq!((read.bucket.as_str(), read.buffer_bytes, read.buffer_seconds), ("archive", 2 << 20, 60));
        assert_eq!((read.file_extension.as_str(), read.time_zone.as_str()), (".json", "Asia/Tokyo"));
        assert_eq!(read.error_log, Some(ErrorLog { group: "g".into(), stream: "s".into() }));
    }

    #[test]
    fn what_an_update_does_not_give_stays() {
        let old = read(json!({
            "Prefix": "a/", "FileExtension": ".json", "CompressionFormat": "GZIP", "CustomTimeZone": "Asia/Tokyo",
            "BufferingHints": { "SizeInMBs": 2, "IntervalInSeconds": 60 },
            "CloudWatchLoggingOptions": { "Enabled": true, "LogGroupName": "g", "LogStreamName": "s" },
        }))
        .unwrap();
        let update =
            |members: Value| serde_json::from_value::<S3Destination>(members).unwrap().over(&old).read("update");
        assert_eq!(update(json!({})).unwrap(), old);
        let changed = update(json!({ "Prefix": "b/", "BufferingHints": { "SizeInMBs": 3 } })).unwrap();
        assert_eq!(changed, ObjectDestination { prefix: "b/".into(), buffer_bytes: 3 << 20, ..old.clone() });
    }

    #[test]
    fn what_is_not_served_is_refused_by_its_name() {
        for (members, word) in [
            (json!({ "ProcessingConfiguration": { "Enabled": true } }), "ProcessingConfiguration"),
            (json!({ "DynamicPartitioningConfiguration": { "Enabled": true } }), "DynamicPartitioningConfiguration"),
            (json!({ "DataFormatConversionConfiguration": {} }), "DataFormatConversionConfiguration"),
            (json!({ "S3BackupMode": "Enabled" }), "S3BackupMode"),
            (json!({ "S3BackupConfiguration": {} }), "S3BackupConfiguration"),
            (json!({ "EncryptionConfiguration": { "KMSEncryptionConfig": {} } }), "KMSEncryptionConfig"),
            (json!({ "CompressionFormat": "Snappy" }), "Snappy"),
            (json!({ "Prefix": "!{timestamp:yyyy}/" }), "ErrorOutputPrefix"),
            (json!({ "Prefix": "a/", "ErrorOutputPrefix": "!{timestamp:yyyy}/" }), "error-output-type"),
            (json!({ "Prefix": "!{firehose:error-output-type}/" }), "error-output-type"),
            (json!({ "CloudWatchLoggingOptions": { "Enabled": true } }), "LogGroupName"),
        ] {
            let error = read(members.clone()).unwrap_err();
            assert_eq!(error.code, "InvalidArgumentException", "{members}");
            assert!(error.message.contains(word), "{members}: {}", error.message);
        }
        for extension in ["json", ".", ".JSON", ".a/b"] {
            let error = read(json!({ "FileExtension": extension })).unwrap_err();
            assert_eq!(error.code, "ValidationException", "{extension}");
        }
    }
}
