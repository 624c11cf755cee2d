//! `GetUsage`, `UpdateUsage`

use std::collections::BTreeSet;

use http::StatusCode;
use jiff::civil::Date;
use serde_json::{Map, Value, json};

use super::{Answer, ApiGateway, bad_request, error, page, patch, usage_plan_keys};
use crate::json_protocol::ServiceError;
use crate::rest_protocol::RestRequest;

/// A day, milliseconds.
const DAY: i64 = 86_400_000;

/// Days that one answer tells of: a year and what belongs to it.
const DAYS_MAX: i64 = 400;

/// What is left of a plan without a quota: the largest number that the member holds.
const UNLIMITED: u64 = i64::MAX as u64;

pub(super) async fn get(front: &ApiGateway, request: &RestRequest, plan: &str) -> Answer {
    let parameters = request.parameters();
    let date = |name: &str| {
        let text = parameters.get(name).ok_or_else(|| bad_request(format!("{name} must be specified")))?;
        let day = text.parse::<Date>().ok().and_then(day_of);
        day.map(|day| (text.clone(), day)).ok_or_else(|| bad_request(format!("{name} is no date: {text}")))
    };
    let ((start, from), (end, to)) = (date("startDate")?, date("endDate")?);
    if !(0..DAYS_MAX).contains(&(to - from)) {
        return Err(bad_request(format!("startDate to endDate must be 1 to {DAYS_MAX} days: {start} to {end}")));
    }
    front.plans.plan(plan).map_err(|e| error(&e))?;
    let (keys, position) = match parameters.get("keyId") {
        Some(key) => (vec![key.clone()], None),
        None => keys(front, request, plan).await?,
    };
    let mut values = Map::new();
    for key in keys {
        values.insert(key.clone(), by_day(front, plan, &key, (from, to + 1)).await?);
    }
    let mut answer = json!({ "usagePlanId": plan, "startDate": start, "endDate": end, "values": values });
    if let Some(position) = position {
        answer["position"] = json!(position);
    }
    Ok((StatusCode::OK, answer))
}

pub(super) async fn update(front: &ApiGateway, request: &RestRequest, plan: &str, key: &str) -> Answer {
    usage_plan_keys::find(front, plan, key)?;
    let mut left = None;
    for operation in patch::operations(request)? {
        match (operation.op.as_str(), operation.path.as_str()) {
            ("replace", "/remaining") => left = Some(operation.parsed::<u64>().map_err(bad_request)?),
            _ => return Err(bad_request(operation.refused(&["/remaining"]))),
        }
    }
    let left = left.ok_or_else(|| bad_request("patchOperations must replace /remaining"))?;
    front.plans.grant(plan, key, left).await.map_err(|e| error(&e))?;
    let today = front.clock.now().div_euclid(DAY);
    let date = date_of(today);
    let values = by_day(front, plan, key, (today, today + 1)).await?;
    Ok((StatusCode::OK, json!({ "usagePlanId": plan, "startDate": date, "endDate": date, "values": { key: values } })))
}

/// A page of the keys that use a plan or ever used it, and where the next one begins.
async fn keys(
    front: &ApiGateway,
    request: &RestRequest,
    plan: &str,
) -> Result<(Vec<String>, Option<String>), ServiceError> {
    let (limit, after) = page::place(request)?;
    let metered = front.plans.metered_keys(plan, &after, limit + 1).await.map_err(|e| error(&e))?;
    let attached = front.plans.keys_of(plan).into_iter().map(|key| key.id.clone()).filter(|id| *id > after);
    let all: BTreeSet<String> = metered.into_iter().chain(attached).collect();
    let more = all.len() > limit;
    let keys: Vec<String> = all.into_iter().take(limit).collect();
    let position = keys.last().filter(|_| more).cloned();
    Ok((keys, position))
}

/// What a key used and what was left, day by day: `[[used, remaining], …]`.
async fn by_day(front: &ApiGateway, plan: &str, key: &str, (from, to): (i64, i64)) -> Result<Value, ServiceError> {
    let mut used = vec![0_u64; usize::try_from(to - from).unwrap_or(0)];
    for hour in front.plans.usage(plan, key, from * DAY, to * DAY).await.map_err(|e| error(&e))? {
        let day = usize::try_from(hour.hour.div_euclid(DAY) - from).ok();
        if let Some(used) = day.and_then(|day| used.get_mut(day)) {
            *used += hour.used.requests;
        }
    }
    let left = front.plans.left_by_day(plan, key, (from, to)).await.map_err(|e| error(&e))?;
    let left = left.unwrap_or_else(|| vec![UNLIMITED; used.len()]);
    Ok(used.iter().zip(left).map(|(used, left)| json!([used, left])).collect())
}

fn day_of(date: Date) -> Option<i64> {
    let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(midnight.timestamp().as_millisecond().div_euclid(DAY))
}

fn date_of(day: i64) -> String {
    let midnight = jiff::Timestamp::from_millisecond(day * DAY).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    midnight.strftime("%F").to_string()
}
