//! `SimulatePrincipalPolicy`: what a user's or a role's policies say to actions, without doing any.

use millstream_access::policy::{AccessRequest, Context};
use millstream_access::{Caller, Denial, RoleSession};

use super::{Answer, Iam, error, refuse, required};
use crate::json_protocol::ServiceError;
use crate::query_protocol::{QueryRequest, members};

/// Actions times resources of one simulation.
const EVALUATIONS_MAX: usize = 1_000;

pub(super) fn call(iam: &Iam, request: &QueryRequest) -> Answer {
    refuse(request, &["ResourcePolicy", "ResourceOwner", "CallerArn", "ResourceHandlingOption"])?;
    let caller = simulated(iam, required(request, "PolicySourceArn")?)?;
    let actions = request.parameters.texts("ActionNames");
    if actions.is_empty() {
        return Err(error::missing("ActionNames"));
    }
    let mut resources = request.parameters.texts("ResourceArns");
    if resources.is_empty() {
        resources.push("*".to_owned());
    }
    if actions.len() * resources.len() > EVALUATIONS_MAX {
        return Err(error::validation(&format!("Expected at most {EVALUATIONS_MAX} actions times resources")));
    }
    let mut context = iam.authorizer.circumstances(&caller, None);
    for entry in request.parameters.structures("ContextEntries") {
        let key = entry.get("ContextKeyName").unwrap_or_default();
        entry.texts("ContextKeyValues").into_iter().for_each(|value| context.add(key, value));
    }
    let asked = actions.iter().flat_map(|action| resources.iter().map(move |resource| (action, resource)));
    let decided: Vec<_> = asked
        .map(|(action, resource)| (action, resource, decision(iam, &caller, action, resource, &context)))
        .collect();
    iam.answer(request, |result| {
        members(result, "EvaluationResults", &decided, |element, (action, resource, decision)| {
            element.text("EvalActionName", action);
            element.text("EvalResourceName", resource);
            element.text("EvalDecision", decision);
            members::<()>(element, "MatchedStatements", &[], |_, ()| {});
            members::<()>(element, "MissingContextValues", &[], |_, ()| {});
        });
        result.text("IsTruncated", "false");
    })
}

fn decision(iam: &Iam, caller: &Caller, action: &str, resource: &str, context: &Context) -> &'static str {
    match iam.authorizer.access.decide(caller, &AccessRequest { action, resource, identities: &[], context }, None) {
        Ok(()) => "allowed",
        Err(Denial::Explicit(_)) => "explicitDeny",
        Err(Denial::NotAllowed(_)) => "implicitDeny",
    }
}

/// The user or the role of an ARN, as if it called.
fn simulated(iam: &Iam, arn: &str) -> Result<Caller, ServiceError> {
    let name = arn.rsplit('/').next().unwrap_or_default();
    if arn.contains(":user/") {
        return Ok(Caller::User { name: iam.authorizer.access.user(name)?.name.clone() });
    }
    if !arn.contains(":role/") {
        return Err(error::validation("Expected the ARN of a user or a role as PolicySourceArn"));
    }
    let role = iam.authorizer.access.role(name)?;
    Ok(Caller::Role(RoleSession {
        role: role.name.clone(),
        role_id: role.id.clone(),
        session: "simulation".to_owned(),
        policy: None,
        since: iam.clock.now(),
    }))
}
