//! Operations on roles.

use millstream_access::NewRole;

use super::page::Page;
use super::{Answer, Iam, refuse, required, tags};
use crate::query_protocol::{QueryRequest, members};

pub(super) async fn create(iam: &Iam, request: &QueryRequest) -> Answer {
    refuse(request, &["PermissionsBoundary"])?;
    let text = |name: &str| request.parameters.get(name).unwrap_or_default().to_owned();
    let new = NewRole {
        name: required(request, "RoleName")?.to_owned(),
        path: text("Path"),
        trust: required(request, "AssumeRolePolicyDocument")?.to_owned(),
        description: text("Description"),
        session_seconds_max: request.parameters.parsed("MaxSessionDuration")?,
        tags: tags::given(request),
    };
    let role = iam.authorizer.access.create_role(new, iam.clock.now()).await?;
    iam.answer(request, |result| result.child("Role", |element| iam.show_role(element, &role)))
}

pub(super) fn get(iam: &Iam, request: &QueryRequest) -> Answer {
    let role = iam.authorizer.access.role(required(request, "RoleName")?)?;
    iam.answer(request, |result| result.child("Role", |element| iam.show_role(element, &role)))
}

pub(super) fn list(iam: &Iam, request: &QueryRequest) -> Answer {
    let prefix = request.parameters.get("PathPrefix").unwrap_or("/");
    let mut roles = iam.authorizer.access.roles();
    roles.retain(|role| role.path.starts_with(prefix));
    let page = Page::of(request, roles, |role| &role.name)?;
    iam.answer(request, |result| {
        members(result, "Roles", &page.items, |element, role| iam.show_role(element, role));
        page.end(result);
    })
}

pub(super) async fn update(iam: &Iam, request: &QueryRequest) -> Answer {
    let name = required(request, "RoleName")?;
    let description = request.parameters.get("Description").map(str::to_owned);
    let longest = request.parameters.parsed("MaxSessionDuration")?;
    iam.authorizer.access.update_role(name, description, None, longest).await?;
    iam.done(request)
}

pub(super) async fn update_description(iam: &Iam, request: &QueryRequest) -> Answer {
    let (name, description) = (required(request, "RoleName")?, required(request, "Description")?);
    let role = iam.authorizer.access.update_role(name, Some(description.to_owned()), None, None).await?;
    iam.answer(request, |result| result.child("Role", |element| iam.show_role(element, &role)))
}

pub(super) async fn update_trust(iam: &Iam, request: &QueryRequest) -> Answer {
    let (name, trust) = (required(request, "RoleName")?, required(request, "PolicyDocument")?);
    iam.authorizer.access.update_role(name, None, Some(trust.to_owned()), None).await?;
    iam.done(request)
}

pub(super) async fn delete(iam: &Iam, request: &QueryRequest) -> Answer {
    iam.authorizer.access.delete_role(required(request, "RoleName")?).await?;
    iam.done(request)
}

/// There are no instances, so no profiles either; tools ask before they delete a role.
pub(super) fn instance_profiles(iam: &Iam, request: &QueryRequest) -> Answer {
    iam.authorizer.access.role(required(request, "RoleName")?)?;
    iam.answer(request, |result| {
        members::<()>(result, "InstanceProfiles", &[], |_, ()| {});
        result.text("IsTruncated", "false");
    })
}
