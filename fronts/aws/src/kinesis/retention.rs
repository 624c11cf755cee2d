//! `IncreaseStreamRetentionPeriod` and `DecreaseStreamRetentionPeriod`

use bytes::Bytes;
use serde::Deserialize;

use super::Kinesis;
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// A day, which is also what a stream begins with.
const HOURS_MIN: u32 = 24;
/// A year.
const HOURS_MAX: u32 = 8_760;

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
    change(kinesis, request, |now, wanted| {
        (wanted < now).then(|| {
            format!("can not be shorter than existing retention period ({now} hours). Use DecreaseRetentionPeriod API.")
        })
    })
    .await
}

pub(super) async fn decrease(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    change(kinesis, request, |now, wanted| {
        (wanted > now).then(|| {
            format!("can not be longer than existing retention period ({now} hours). Use IncreaseRetentionPeriod API.")
        })
    })
    .await
}

async fn change(
    kinesis: &Kinesis,
    request: &JsonRequest,
    objection: impl FnOnce(u32, u32) -> Option<String>,
) -> Result<Bytes, ServiceError> {
    let input: Input = request.input()?;
    let hours = input.retention_period_hours;
    Constraints::new().required("retentionPeriodHours", hours.as_ref()).finish()?;
    let stream = kinesis.stream(input.stream_name.as_deref(), input.stream_arn.as_deref())?;
    let wanted = within_limits(hours.unwrap_or_default())?;
    if let Some(objection) = objection(stream.retention_hours, wanted) {
        let message = format!("Requested retention period ({wanted} hours) for stream {} {objection}", stream.name);
        return Err(ServiceError::new("InvalidArgumentException", message));
    }
    kinesis.streams.set_kept(&stream.name, Some(wanted), None).await.map_err(|error| kinesis.error(&error))?;
    Ok(Bytes::new())
}

/// The service's limits, in its words.
fn within_limits(hours: i64) -> Result<u32, ServiceError> {
    let (limit, is) = match u32::try_from(hours) {
        Ok(hours @ HOURS_MIN..=HOURS_MAX) => return Ok(hours),
        _ if hours < i64::from(HOURS_MIN) => {
            (format!("Minimum allowed retention period is {HOURS_MIN} hours"), "short")
        }
        _ => (format!("Maximum allowed retention period is {HOURS_MAX} hours"), "long"),
    };
    let message = format!("{limit}. Requested retention period ({hours} hours) is too {is}.");
    Err(ServiceError::new("InvalidArgumentException", message))
}
