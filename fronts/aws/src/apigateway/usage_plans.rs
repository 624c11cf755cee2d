//! `CreateUsagePlan`, `GetUsagePlans`, `GetUsagePlan`, `UpdateUsagePlan`, `DeleteUsagePlan`

use std::collections::BTreeMap;

use http::StatusCode;
use millstream_catalog::{PlanQuota, PlanStage, QuotaPeriod, Throttle, UsagePlanDefinition};
use millstream_gateway::GatewayError;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::patch::{self, PatchOperation};
use super::{Answer, ApiGateway, bad_request, error, input, page};
use crate::json_protocol::ServiceError;
use crate::rest_protocol::RestRequest;

/// What of a plan can be changed.
const CHANGEABLE: [&str; 11] = [
    "/name",
    "/description",
    "/productCode",
    "/throttle",
    "/throttle/rateLimit",
    "/throttle/burstLimit",
    "/quota",
    "/quota/limit",
    "/quota/offset",
    "/quota/period",
    "/apiStages",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    name: Option<String>,
    description: Option<String>,
    api_stages: Option<Vec<StageInput>>,
    throttle: Option<ThrottleInput>,
    quota: Option<QuotaInput>,
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StageInput {
    api_id: Option<String>,
    stage: Option<String>,
    throttle: Option<BTreeMap<String, ThrottleInput>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ThrottleInput {
    rate_limit: Option<f64>,
    burst_limit: Option<i64>,
}

#[derive(Deserialize)]
struct QuotaInput {
    limit: Option<i64>,
    offset: Option<i64>,
    period: Option<String>,
}

pub(super) async fn create(front: &ApiGateway, request: &RestRequest) -> Answer {
    let input: Input = input(request)?;
    let name = input.name.ok_or_else(|| bad_request("Usage Plan name must be specified"))?;
    let stages = input.api_stages.unwrap_or_default().into_iter().map(stage).collect::<Result<Vec<_>, _>>();
    let new = UsagePlanDefinition {
        name,
        description: input.description.unwrap_or_default(),
        stages: stages.map_err(bad_request)?,
        throttle: input.throttle.map(throttle).transpose().map_err(bad_request)?.flatten(),
        quota: input.quota.map(quota).transpose().map_err(bad_request)?,
        tags: input.tags.unwrap_or_default(),
        ..UsagePlanDefinition::default()
    };
    let made = front.plans.create_plan(new).await.map_err(|e| plan_error(&e))?;
    Ok((StatusCode::CREATED, shown(&made)))
}

pub(super) fn list(front: &ApiGateway, request: &RestRequest) -> Answer {
    let mut plans = front.plans.plans();
    if let Some(key) = request.parameters().get("keyId") {
        let key = front.plans.key(key).map_err(|e| error(&e))?;
        plans.retain(|plan| key.plans.contains(&plan.id));
    }
    page::answer(request, plans.iter().map(|plan| (plan.id.as_str(), shown(plan))))
}

pub(super) fn get(front: &ApiGateway, plan: &str) -> Answer {
    Ok((StatusCode::OK, shown(&*front.plans.plan(plan).map_err(|e| error(&e))?)))
}

pub(super) async fn update(front: &ApiGateway, request: &RestRequest, plan: &str) -> Answer {
    let operations = patch::operations(request)?;
    let edit = |plan: &mut UsagePlanDefinition| {
        let changed = operations.iter().try_for_each(|operation| apply(plan, operation));
        changed.map_err(|reason| GatewayError::Invalid { reason })
    };
    let changed = front.plans.update_plan(plan, edit).await.map_err(|e| plan_error(&e))?;
    Ok((StatusCode::OK, shown(&changed)))
}

pub(super) async fn delete(front: &ApiGateway, plan: &str) -> Answer {
    front.plans.delete_plan(plan).await.map_err(|e| error(&e))?;
    Ok((StatusCode::ACCEPTED, json!({})))
}

/// Carries out one operation, or says why not.
fn apply(plan: &mut UsagePlanDefinition, operation: &PatchOperation) -> Result<(), String> {
    let removes = operation.op == "remove";
    if !removes && !matches!(operation.op.as_str(), "add" | "replace") {
        return Err(operation.refused(&CHANGEABLE));
    }
    match operation.path.as_str() {
        "/name" if !removes => operation.set()?.clone_into(&mut plan.name),
        "/description" if !removes => operation.set()?.clone_into(&mut plan.description),
        "/productCode" if removes => plan.product_code = None,
        "/productCode" => plan.product_code = Some(product_code(operation.set()?)?),
        "/throttle" if removes => plan.throttle = None,
        "/throttle/rateLimit" if !removes => {
            plan.throttle = Some(with_rate(plan.throttle, rate(operation.parsed()?)?)?);
        }
        "/throttle/burstLimit" if !removes => {
            let burst = burst(operation.parsed()?)?;
            plan.throttle = Some(Throttle { burst, ..plan.throttle.unwrap_or(CLOSED) });
        }
        "/quota" if removes => plan.quota = None,
        path @ ("/quota/limit" | "/quota/offset" | "/quota/period") if !removes => {
            let mut quota = plan.quota.unwrap_or(PlanQuota { limit: 0, offset: 0, period: QuotaPeriod::Month });
            match path {
                "/quota/limit" => quota.limit = limit(operation.parsed()?)?,
                "/quota/offset" => quota.offset = offset(operation.parsed()?)?,
                _ => quota.period = period(operation.set()?)?,
            }
            plan.quota = Some(quota);
        }
        "/apiStages" => apply_stage(plan, operation, removes)?,
        path => match path.strip_prefix("/apiStages/") {
            Some(place) => apply_stage_throttle(plan, operation, place, removes)?,
            None => return Err(operation.refused(&CHANGEABLE)),
        },
    }
    Ok(())
}

/// `/apiStages` with the value `API:STAGE`.
fn apply_stage(plan: &mut UsagePlanDefinition, operation: &PatchOperation, removes: bool) -> Result<(), String> {
    let value = operation.set()?;
    let wrong = || format!("Invalid patch: {value} is no API stage; expected API:STAGE");
    let (api, stage) = value.split_once(':').ok_or_else(wrong)?;
    if removes {
        let before = plan.stages.len();
        plan.stages.retain(|open| (open.api.as_str(), open.stage.as_str()) != (api, stage));
        return if plan.stages.len() == before {
            Err(format!("Invalid patch: the usage plan has no API stage {value}"))
        } else {
            Ok(())
        };
    }
    plan.stages.push(PlanStage { api: api.to_owned(), stage: stage.to_owned(), throttles: BTreeMap::new() });
    Ok(())
}

/// `/apiStages/API:STAGE/throttle[/METHOD[/rateLimit]]`
fn apply_stage_throttle(
    plan: &mut UsagePlanDefinition,
    operation: &PatchOperation,
    place: &str,
    removes: bool,
) -> Result<(), String> {
    let refused = || operation.refused(&["/apiStages/API:STAGE/throttle/METHOD/rateLimit", "…/burstLimit"]);
    let (place, rest) = place.split_once("/throttle").ok_or_else(refused)?;
    let (api, stage) = place.split_once(':').ok_or_else(refused)?;
    let open = plan.stages.iter_mut().find(|open| open.api == api && open.stage == stage);
    let open = open.ok_or_else(|| format!("Invalid patch: the usage plan has no API stage {place}"))?;
    if rest.is_empty() && removes {
        open.throttles.clear();
        return Ok(());
    }
    if rest.is_empty() {
        let given: BTreeMap<String, ThrottleInput> =
            serde_json::from_str(operation.set()?).map_err(|error| format!("Invalid patch: {error}"))?;
        open.throttles = throttles(given)?;
        return Ok(());
    }
    let rest = rest.strip_prefix('/').ok_or_else(refused)?;
    if removes {
        let method = patch::method(rest).ok_or_else(refused)?;
        return open.throttles.remove(&method).map(drop).ok_or_else(refused);
    }
    let (method, member) = rest.rsplit_once('/').ok_or_else(refused)?;
    let method = patch::method(method).ok_or_else(refused)?;
    let known = open.throttles.get(&method).copied();
    let throttle = match member {
        "rateLimit" => with_rate(known, rate(operation.parsed()?)?)?,
        "burstLimit" => Throttle { burst: burst(operation.parsed()?)?, ..known.unwrap_or(CLOSED) },
        _ => return Err(refused()),
    };
    open.throttles.insert(method, throttle);
    Ok(())
}

/// What a throttle is before either of its numbers is set.
const CLOSED: Throttle = Throttle { rate_thousandths: 0, burst: 0 };

fn with_rate(known: Option<Throttle>, rate: f64) -> Result<Throttle, String> {
    let burst = known.map_or_else(|| burst_of(rate), |known| known.burst);
    Throttle::new(rate, burst).ok_or_else(|| format!("Usage Plan rateLimit cannot be {rate}"))
}

fn stage(input: StageInput) -> Result<PlanStage, String> {
    let (Some(api), Some(stage)) = (input.api_id, input.stage) else {
        return Err("apiStages need apiId and stage".to_owned());
    };
    Ok(PlanStage { api, stage, throttles: throttles(input.throttle.unwrap_or_default())? })
}

fn throttles(given: BTreeMap<String, ThrottleInput>) -> Result<BTreeMap<String, Throttle>, String> {
    let of = |(name, input): (String, ThrottleInput)| {
        let method = patch::method(&name).ok_or_else(|| format!("Invalid method in throttle: {name}"))?;
        let throttle = throttle(input)?.ok_or_else(|| format!("The throttle of {name} is empty"))?;
        Ok((method, throttle))
    };
    given.into_iter().map(of).collect()
}

/// The burst of a throttle that nobody gave one: a whole second's calls may come at once.
fn burst_of(rate: f64) -> u32 {
    rate.ceil().max(1.0) as u32
}

/// `None` when neither number is given.
fn throttle(input: ThrottleInput) -> Result<Option<Throttle>, String> {
    let rate = match (input.rate_limit, input.burst_limit) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err("Usage Plan throttle needs a rateLimit beside its burstLimit".to_owned()),
        (Some(given), _) => rate(given)?,
    };
    let burst = input.burst_limit.map_or_else(|| Ok(burst_of(rate)), burst)?;
    Throttle::new(rate, burst).map(Some).ok_or_else(|| format!("Usage Plan rateLimit cannot be {rate}"))
}

fn rate(rate: f64) -> Result<f64, String> {
    let allowed = Throttle::new(rate, 0).is_some();
    if allowed { Ok(rate) } else { Err(format!("Usage Plan rateLimit must be 0 or more, found {rate}")) }
}

fn burst(burst: i64) -> Result<u32, String> {
    u32::try_from(burst).map_err(|_| format!("Usage Plan burstLimit must be 0 or more, found {burst}"))
}

fn quota(input: QuotaInput) -> Result<PlanQuota, String> {
    Ok(PlanQuota {
        limit: limit(input.limit.ok_or("Usage Plan quota needs a limit")?)?,
        offset: offset(input.offset.unwrap_or(0))?,
        period: period(input.period.as_deref().ok_or("Usage Plan quota needs a period")?)?,
    })
}

fn limit(limit: i64) -> Result<u64, String> {
    u64::try_from(limit).map_err(|_| format!("Usage Plan quota limit must be 0 or more, found {limit}"))
}

fn offset(offset: i64) -> Result<u32, String> {
    u32::try_from(offset).map_err(|_| format!("Usage Plan quota offset must be 0 or more, found {offset}"))
}

fn period(period: &str) -> Result<QuotaPeriod, String> {
    match period {
        "DAY" => Ok(QuotaPeriod::Day),
        "WEEK" => Ok(QuotaPeriod::Week),
        "MONTH" => Ok(QuotaPeriod::Month),
        other => Err(format!("Usage Plan quota period must be DAY, WEEK or MONTH, found {other}")),
    }
}

/// A product code as the marketplace gives them.
fn product_code(code: &str) -> Result<String, String> {
    let allowed = |char: char| char.is_ascii_alphanumeric() || "-/=:_.@".contains(char);
    if (1..=255).contains(&code.len()) && code.chars().all(allowed) {
        return Ok(code.to_owned());
    }
    Err(format!("productCode must be 1 to 255 of the characters a-zA-Z0-9-/=:_.@, found {code}"))
}

fn plan_error(fact: &GatewayError) -> ServiceError {
    match fact {
        GatewayError::NotFound { kind: "API stage", name } => ServiceError {
            status: 404,
            ..ServiceError::new("NotFoundException", format!("Invalid API Stage {name} specified for usage plan"))
        },
        other => error(other),
    }
}

fn shown(plan: &UsagePlanDefinition) -> Value {
    let stages: Vec<Value> = plan.stages.iter().map(stage_shown).collect();
    let mut shown = json!({ "id": plan.id, "name": plan.name, "apiStages": stages });
    if !plan.description.is_empty() {
        shown["description"] = json!(plan.description);
    }
    if let Some(throttle) = &plan.throttle {
        shown["throttle"] = throttle_shown(throttle);
    }
    if let Some(quota) = &plan.quota {
        let period = match quota.period {
            QuotaPeriod::Day => "DAY",
            QuotaPeriod::Week => "WEEK",
            QuotaPeriod::Month => "MONTH",
        };
        shown["quota"] = json!({ "limit": quota.limit, "offset": quota.offset, "period": period });
    }
    if let Some(code) = &plan.product_code {
        shown["productCode"] = json!(code);
    }
    if !plan.tags.is_empty() {
        shown["tags"] = json!(plan.tags);
    }
    shown
}

fn stage_shown(stage: &PlanStage) -> Value {
    let mut shown = json!({ "apiId": stage.api, "stage": stage.stage });
    if !stage.throttles.is_empty() {
        let throttles = stage.throttles.iter().map(|(method, throttle)| (method.clone(), throttle_shown(throttle)));
        shown["throttle"] = Value::Object(throttles.collect::<Map<_, _>>());
    }
    shown
}

fn throttle_shown(throttle: &Throttle) -> Value {
    json!({ "burstLimit": throttle.burst, "rateLimit": throttle.rate() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(operations: &[(&str, &str, &str)]) -> Result<UsagePlanDefinition, String> {
        let mut plan = UsagePlanDefinition::default();
        for (op, path, value) in operations {
            let value = (!value.is_empty()).then(|| (*value).to_owned());
            apply(&mut plan, &PatchOperation { op: (*op).to_owned(), path: (*path).to_owned(), value })?;
        }
        Ok(plan)
    }

    #[test]
    fn patches_change_every_member() {
        let plan = patched(&[
            ("add", "/apiStages", "a1:prod"),
            ("add", "/apiStages", "a2:prod"),
            ("remove", "/apiStages", "a2:prod"),
            ("replace", "/throttle/rateLimit", "2.5"),
            ("replace", "/throttle/burstLimit", "4"),
            ("replace", "/quota/limit", "10"),
            ("replace", "/quota/period", "WEEK"),
            ("replace", "/quota/offset", "2"),
            ("add", "/productCode", "prod-1"),
            ("replace", "/apiStages/a1:prod/throttle/~1pets/GET/rateLimit", "1"),
            ("replace", "/apiStages/a1:prod/throttle//pets/GET/burstLimit", "3"),
        ])
        .unwrap();
        assert_eq!(plan.throttle, Throttle::new(2.5, 4));
        assert_eq!(plan.quota, Some(PlanQuota { limit: 10, offset: 2, period: QuotaPeriod::Week }));
        assert_eq!(plan.stages[0].throttles["/pets/GET"], Throttle::new(1.0, 3).unwrap());
        let rate = patched(&[("add", "/apiStages", "a:p"), ("replace", "/throttle/rateLimit", "2.5")]).unwrap();
        assert_eq!(rate.throttle, Throttle::new(2.5, 3), "a rate alone does not close the plan");
        assert_eq!((plan.stages.len(), plan.product_code.as_deref()), (1, Some("prod-1")));
    }

    #[test]
    fn patches_that_make_no_sense_are_refused() {
        for operation in [
            ("replace", "/throttle/rateLimit", "-1"),
            ("replace", "/throttle/rateLimit", "NaN"),
            ("replace", "/throttle/burstLimit", "many"),
            ("replace", "/quota/limit", "-5"),
            ("replace", "/quota/period", "YEAR"),
            ("replace", "/nothing", "x"),
            ("move", "/name", "x"),
            ("replace", "/name", ""),
            ("add", "/apiStages", "no-colon"),
            ("remove", "/apiStages", "a:b"),
            ("replace", "/apiStages/a:b/throttle/x", "1"),
            ("add", "/productCode", "white space"),
        ] {
            assert!(patched(&[operation]).is_err(), "{operation:?}");
        }
    }
}
