//! IAM over the access engine. Source: the IAM API reference (2010-05-08), a query protocol.
//!
//! Not served: groups, permissions boundaries, instance profiles, federation, multi-factor devices, account settings.
//! Read next: `roles`, `users`, `policies`, `grants`, `keys`, `tags` (operations), `simulate`, `shown` (answers), `error`.

mod error;
mod grants;
mod keys;
mod page;
mod policies;
mod roles;
mod service_policies;
mod shown;
mod simulate;
mod tags;
mod users;

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use millstream_access::{Caller, Holder};
use millstream_http::xml::Element;
use millstream_types::Clock;

use crate::authorize::Authorizer;
use crate::json_protocol::ServiceError;
use crate::query_protocol::{self, QueryRequest};

pub use service_policies::service_policies;
pub(crate) use shown::date;

const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

/// The service.
pub struct Iam {
    authorizer: Authorizer,
    clock: Arc<dyn Clock>,
}

type Answer = Result<Response<Bytes>, ServiceError>;

impl Iam {
    /// The service over the access engine.
    #[must_use]
    pub fn new(authorizer: Authorizer, clock: Arc<dyn Clock>) -> Self {
        Self { authorizer, clock }
    }

    /// Answers a request.
    pub(crate) async fn call(&self, request: &QueryRequest) -> Response<Bytes> {
        let answer = self.operation(request).await;
        answer.unwrap_or_else(|error| query_protocol::error(NAMESPACE, &error, &request.request_id))
    }

    /// Every operation that there is.
    async fn operation(&self, request: &QueryRequest) -> Answer {
        match request.action.as_str() {
            "CreateRole" => roles::create(self, request).await,
            "GetRole" => roles::get(self, request),
            "ListRoles" => roles::list(self, request),
            "UpdateRole" => roles::update(self, request).await,
            "UpdateRoleDescription" => roles::update_description(self, request).await,
            "UpdateAssumeRolePolicy" => roles::update_trust(self, request).await,
            "DeleteRole" => roles::delete(self, request).await,
            "ListInstanceProfilesForRole" => roles::instance_profiles(self, request),
            "CreateUser" => users::create(self, request).await,
            "GetUser" => users::get(self, request),
            "ListUsers" => users::list(self, request),
            "DeleteUser" => users::delete(self, request).await,
            "ListGroupsForUser" => users::groups(self, request),
            "PutRolePolicy" | "PutUserPolicy" => grants::put(self, request).await,
            "GetRolePolicy" | "GetUserPolicy" => grants::get(self, request),
            "ListRolePolicies" | "ListUserPolicies" => grants::list(self, request),
            "DeleteRolePolicy" | "DeleteUserPolicy" => grants::delete(self, request).await,
            "AttachRolePolicy" | "AttachUserPolicy" => grants::attach(self, request).await,
            "DetachRolePolicy" | "DetachUserPolicy" => grants::detach(self, request).await,
            "ListAttachedRolePolicies" | "ListAttachedUserPolicies" => grants::attached(self, request),
            "CreatePolicy" => policies::create(self, request).await,
            "GetPolicy" => policies::get(self, request),
            "ListPolicies" => policies::list(self, request),
            "DeletePolicy" => policies::delete(self, request).await,
            "CreatePolicyVersion" => policies::create_version(self, request).await,
            "GetPolicyVersion" => policies::version(self, request),
            "ListPolicyVersions" => policies::versions(self, request),
            "SetDefaultPolicyVersion" => policies::set_default(self, request).await,
            "DeletePolicyVersion" => policies::delete_version(self, request).await,
            "ListEntitiesForPolicy" => policies::entities(self, request),
            "CreateAccessKey" => keys::create(self, request).await,
            "ListAccessKeys" => keys::list(self, request),
            "UpdateAccessKey" => keys::update(self, request).await,
            "DeleteAccessKey" => keys::delete(self, request).await,
            "TagRole" | "TagUser" | "TagPolicy" => tags::add(self, request).await,
            "UntagRole" | "UntagUser" | "UntagPolicy" => tags::remove(self, request).await,
            "ListRoleTags" | "ListUserTags" | "ListPolicyTags" => tags::list(self, request),
            "SimulatePrincipalPolicy" => simulate::call(self, request),
            other => Err(error::unserved(other)),
        }
    }

    /// A successful answer.
    fn answer(&self, request: &QueryRequest, content: impl FnOnce(&mut Element)) -> Answer {
        Ok(query_protocol::answer(NAMESPACE, &request.action, &request.request_id, content))
    }

    /// The answer of an operation that says nothing.
    fn done(&self, request: &QueryRequest) -> Answer {
        self.answer(request, |_| {})
    }
}

/// A parameter that must be there.
fn required<'r>(request: &'r QueryRequest, name: &str) -> Result<&'r str, ServiceError> {
    request.parameters.get(name).ok_or_else(|| error::missing(name))
}

/// The user of a request: the caller where it names nobody.
fn user_name(request: &QueryRequest) -> Result<String, ServiceError> {
    match (request.parameters.get("UserName"), &request.caller) {
        (Some(name), _) => Ok(name.to_owned()),
        (None, Caller::User { name }) => Ok(name.clone()),
        (None, _) => Err(error::validation("Must specify userName when calling with non-User credentials")),
    }
}

/// Whose policies a request is about: of a role or of a user, as its action says.
fn holder(request: &QueryRequest) -> Result<Holder, ServiceError> {
    if request.action.contains("Role") {
        return Ok(Holder::Role(required(request, "RoleName")?.to_owned()));
    }
    Ok(Holder::User(required(request, "UserName")?.to_owned()))
}

/// What this node does not have must not be asked for.
fn refuse(request: &QueryRequest, parameters: &[&str]) -> Result<(), ServiceError> {
    match parameters.iter().find(|name| request.parameters.get(name).is_some()) {
        Some(name) => Err(error::validation(&format!("{name} is not supported by this node"))),
        None => Ok(()),
    }
}
