//! `IncreaseStreamRetentionPeriod` and `DecreaseStreamRetentionPeriod`

use bytes::Bytes;
use serde::Deserialize;

use super::Kinesis;
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
struct Input {
    #[serde(rename = "StreamName")]
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "RetentionPeriodHours")]
    retention_period_hours: Option<i64>,
}

pub(super) async fn increase(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    change(kinesis, request, "longer", |now, wanted| wanted >= now).await
}

pub(super) async fn decrease(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    change(kinesis, request, "shorter", |now, wanted| wanted <= now).await
}

async fn change(
    kinesis: &Kinesis,
    request: &JsonRequest,
    direction: &str,
    allowed: fn(i64, i64) -> bool,
) -> Result<Bytes, ServiceError> {
    let input: Input = request.input()?;
    let hours = input.retention_period_hours;
    Constraints::new()
        .required("retentionPeriodHours", hours.as_ref())
        .range("retentionPeriodHours", hours, 24, 8_760)
        .finish()?;
    let stream = kinesis.stream(input.stream_name.as_deref(), input.stream_arn.as_deref())?;
    let (now, wanted) = (i64::from(stream.retention_hours), hours.unwrap_or_default());
    if !allowed(now, wanted) {
        return Err(ServiceError::new(
            "InvalidArgumentException",
            format!(
                "Requested retention period ({wanted} hours) for stream {} must be {direction} than the existing {now} hours.",
                stream.name
            ),
        ));
    }
    let hours = u32::try_from(wanted).unwrap_or(stream.retention_hours);
    kinesis.streams.set_retention(&stream.name, hours).await.map_err(|error| kinesis.error(&error))?;
    Ok(Bytes::new())
}
