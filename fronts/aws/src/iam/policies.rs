//! Operations on managed policies: those of the account and those of the services.

use millstream_access::{Holder, NewPolicy, ServicePolicy};
use millstream_catalog::{PolicyDefinition, PolicyReference};
use std::sync::Arc;

use super::page::Page;
use super::shown::{date, show_service_version, show_version};
use super::{Answer, Iam, error, required, tags};
use crate::json_protocol::ServiceError;
use crate::query_protocol::{QueryRequest, members};

/// A managed policy, whoever made it.
enum Managed<'a> {
    Own(Arc<PolicyDefinition>),
    Service(&'a ServicePolicy),
}

/// Which policy an ARN means.
pub(super) fn reference(iam: &Iam, arn: &str) -> Result<PolicyReference, ServiceError> {
    let missing = || error::no_policy(arn);
    let name = arn.rsplit('/').next().unwrap_or_default().to_owned();
    let reference = if arn.starts_with("arn:aws:iam::aws:policy/") {
        iam.authorizer.access.service_policy(&name).ok_or_else(missing)?;
        PolicyReference::Service(name)
    } else {
        iam.authorizer.access.policy(&name).map_err(|_| missing())?;
        PolicyReference::Own(name)
    };
    // The path must be right too.
    if iam.authorizer.reference_arn(&reference) == arn { Ok(reference) } else { Err(missing()) }
}

/// The policy of a request.
fn managed<'a>(iam: &'a Iam, request: &QueryRequest) -> Result<Managed<'a>, ServiceError> {
    let arn = required(request, "PolicyArn")?;
    match reference(iam, arn)? {
        PolicyReference::Own(name) => Ok(Managed::Own(iam.authorizer.access.policy(&name)?)),
        PolicyReference::Service(name) => {
            let found = iam.authorizer.access.service_policy(&name);
            found.map(Managed::Service).ok_or_else(|| error::no_policy(arn))
        }
    }
}

/// The policy of a request that changes one: nobody changes those of the services.
fn own(iam: &Iam, request: &QueryRequest) -> Result<Arc<PolicyDefinition>, ServiceError> {
    match managed(iam, request)? {
        Managed::Own(policy) => Ok(policy),
        Managed::Service(_) => {
            let message = "Cannot perform the operation on the protected policy with the given ARN.";
            Err(ServiceError { status: 403, ..ServiceError::new("AccessDenied", message) })
        }
    }
}

/// `v12` as a number.
fn version_number(request: &QueryRequest) -> Result<u32, ServiceError> {
    let id = required(request, "VersionId")?;
    let number = id.strip_prefix('v').and_then(|number| number.parse().ok());
    number.ok_or_else(|| error::validation(&format!("Expected a version such as v1 as VersionId, found {id}")))
}

pub(super) async fn create(iam: &Iam, request: &QueryRequest) -> Answer {
    let text = |name: &str| request.parameters.get(name).unwrap_or_default().to_owned();
    let new = NewPolicy {
        name: required(request, "PolicyName")?.to_owned(),
        path: text("Path"),
        description: text("Description"),
        document: required(request, "PolicyDocument")?.to_owned(),
        tags: tags::given(request),
    };
    let policy = iam.authorizer.access.create_policy(new, iam.clock.now()).await?;
    iam.answer(request, |result| result.child("Policy", |element| iam.show_policy(element, &policy)))
}

pub(super) fn get(iam: &Iam, request: &QueryRequest) -> Answer {
    let policy = managed(iam, request)?;
    iam.answer(request, |result| {
        result.child("Policy", |element| match &policy {
            Managed::Own(policy) => iam.show_policy(element, policy),
            Managed::Service(policy) => iam.show_service_policy(element, policy),
        });
    })
}

pub(super) fn list(iam: &Iam, request: &QueryRequest) -> Answer {
    let scope = request.parameters.get("Scope").unwrap_or("All");
    if !matches!(scope, "All" | "AWS" | "Local") {
        return Err(error::validation("Expected All, AWS or Local as Scope"));
    }
    let prefix = request.parameters.get("PathPrefix").unwrap_or("/");
    let only_attached = request.parameters.parsed::<bool>("OnlyAttached")?.unwrap_or(false);
    let access = &iam.authorizer.access;
    let held = |reference| !only_attached || !access.holders(&reference).is_empty();
    let mut found: Vec<(String, Managed<'_>)> = Vec::new();
    if scope != "AWS" {
        let policies = access.policies().into_iter().filter(|policy| policy.path.starts_with(prefix));
        let policies = policies.filter(|policy| held(PolicyReference::Own(policy.name.clone())));
        found.extend(policies.map(|policy| (policy.name.clone(), Managed::Own(policy))));
    }
    if scope != "Local" {
        let policies = access.service_policies().iter().filter(|policy| policy.path.starts_with(prefix));
        let policies = policies.filter(|policy| held(PolicyReference::Service(policy.name.clone())));
        found.extend(policies.map(|policy| (policy.name.clone(), Managed::Service(policy))));
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let page = Page::of(request, found, |(name, _)| name)?;
    iam.answer(request, |result| {
        members(result, "Policies", &page.items, |element, (_, policy)| match policy {
            Managed::Own(policy) => iam.show_policy(element, policy),
            Managed::Service(policy) => iam.show_service_policy(element, policy),
        });
        page.end(result);
    })
}

pub(super) async fn delete(iam: &Iam, request: &QueryRequest) -> Answer {
    iam.authorizer.access.delete_policy(&own(iam, request)?.name).await?;
    iam.done(request)
}

pub(super) async fn create_version(iam: &Iam, request: &QueryRequest) -> Answer {
    let policy = own(iam, request)?;
    let document = required(request, "PolicyDocument")?.to_owned();
    let holds = request.parameters.parsed("SetAsDefault")?.unwrap_or(false);
    let version = iam.authorizer.access.create_policy_version(&policy.name, document, holds, iam.clock.now()).await?;
    iam.answer(request, |result| {
        result.child("PolicyVersion", |element| {
            show_version(element, &version.document, version.number, holds, &date(version.created));
        });
    })
}

pub(super) fn version(iam: &Iam, request: &QueryRequest) -> Answer {
    let (policy, number) = (managed(iam, request)?, version_number(request)?);
    let missing = || ServiceError {
        status: 404,
        ..ServiceError::new("NoSuchEntity", format!("Policy version v{number} does not exist."))
    };
    match policy {
        Managed::Own(policy) => {
            let version = policy.versions.iter().find(|version| version.number == number).ok_or_else(missing)?;
            let (holds, created) = (number == policy.default_version, date(version.created));
            iam.answer(request, |result| {
                result.child("PolicyVersion", |element| {
                    show_version(element, &version.document, number, holds, &created);
                });
            })
        }
        Managed::Service(policy) if number == 1 => iam.answer(request, |result| {
            result.child("PolicyVersion", |element| show_service_version(element, policy));
        }),
        Managed::Service(_) => Err(missing()),
    }
}

pub(super) fn versions(iam: &Iam, request: &QueryRequest) -> Answer {
    let policy = managed(iam, request)?;
    iam.answer(request, |result| {
        match &policy {
            Managed::Own(policy) => members(result, "Versions", &policy.versions, |element, version| {
                let (number, created) = (version.number, date(version.created));
                show_version(element, &version.document, number, number == policy.default_version, &created);
            }),
            Managed::Service(policy) => {
                members(result, "Versions", &[policy], |element, policy| show_service_version(element, policy));
            }
        }
        result.text("IsTruncated", "false");
    })
}

pub(super) async fn set_default(iam: &Iam, request: &QueryRequest) -> Answer {
    let (policy, number) = (own(iam, request)?, version_number(request)?);
    iam.authorizer.access.set_default_policy_version(&policy.name, number, iam.clock.now()).await?;
    iam.done(request)
}

pub(super) async fn delete_version(iam: &Iam, request: &QueryRequest) -> Answer {
    let (policy, number) = (own(iam, request)?, version_number(request)?);
    iam.authorizer.access.delete_policy_version(&policy.name, number).await?;
    iam.done(request)
}

/// Who has a policy attached.
pub(super) fn entities(iam: &Iam, request: &QueryRequest) -> Answer {
    let reference = reference(iam, required(request, "PolicyArn")?)?;
    let holders = iam.authorizer.access.holders(&reference);
    let users: Vec<&str> = holders
        .iter()
        .filter_map(|holder| match holder {
            Holder::User(name) => Some(name.as_str()),
            Holder::Role(_) => None,
        })
        .collect();
    let roles: Vec<&str> = holders
        .iter()
        .filter_map(|holder| match holder {
            Holder::Role(name) => Some(name.as_str()),
            Holder::User(_) => None,
        })
        .collect();
    iam.answer(request, |result| {
        members::<()>(result, "PolicyGroups", &[], |_, ()| {});
        members(result, "PolicyUsers", &users, |element, name| element.text("UserName", name));
        members(result, "PolicyRoles", &roles, |element, name| element.text("RoleName", name));
        result.text("IsTruncated", "false");
    })
}
