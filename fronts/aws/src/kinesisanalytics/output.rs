//! Outputs as requests give them.

use millstream_catalog::{OutputHanding, OutputTarget, QueryOutput, RecordFormat};
use serde::Deserialize;

use super::input::{Source, stream_of};
use super::invalid;
use crate::json_protocol::ServiceError;
use crate::lambda::function_name;
use crate::place::resource;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Output {
    name: Option<String>,
    lambda_output: Option<Source>,
    kinesis_streams_output: Option<Source>,
    kinesis_firehose_output: Option<Source>,
    destination_schema: Option<DestinationSchema>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DestinationSchema {
    record_format_type: Option<String>,
}

impl Output {
    pub(super) fn definition(self) -> Result<QueryOutput, ServiceError> {
        let name = self.name.filter(|name| !name.is_empty()).ok_or_else(|| invalid("every output needs a Name"))?;
        let (target, role) = match (self.lambda_output, self.kinesis_streams_output, self.kinesis_firehose_output) {
            (Some(function), None, None) => {
                (OutputTarget::Function { name: function_of(&function)? }, function.role_arn)
            }
            (None, Some(stream), None) => {
                (OutputTarget::Stream { name: stream_of(&stream, "kinesis", "stream/")? }, stream.role_arn)
            }
            (None, None, Some(delivery)) => {
                let name = format!("delivery/{}", stream_of(&delivery, "firehose", "deliverystream/")?);
                (OutputTarget::Stream { name }, delivery.role_arn)
            }
            _ => return Err(invalid(format!("output {name} needs exactly one destination"))),
        };
        let format = match self.destination_schema.and_then(|schema| schema.record_format_type).as_deref() {
            None | Some("JSON") => RecordFormat::Json,
            Some("CSV") => RecordFormat::Csv { delimiter: ",".to_owned() },
            Some(other) => return Err(invalid(format!("RecordFormatType must be JSON or CSV, found {other}"))),
        };
        let (role, handing) = (role.unwrap_or_default(), OutputHanding::default());
        Ok(QueryOutput { name, target, format, role, handing })
    }
}

/// A function's name, with the version or the alias that the ARN names.
fn function_of(source: &Source) -> Result<String, ServiceError> {
    let arn = source.resource_arn.as_deref().unwrap_or_default();
    match resource(arn, "lambda", "function:") {
        Some(_) => Ok(function_name(arn)),
        None => Err(invalid(format!("{arn} is not the ARN of a function"))),
    }
}
