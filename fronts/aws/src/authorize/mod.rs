//! Whether a call may be made: every call of every service is checked here, between its signature and its operation.
//!
//! What a call needs is a table a service (`permissions`); who calls and under which circumstances is in `principal` and
//! `circumstances`; the verdict is the access engine's.
//! A resource's own policy (`resource_policy`) counts beside the caller's.
//! Source: the service authorization reference, and the message of denied calls in the IAM user guide ("Troubleshoot access
//! denied error messages").

pub(crate) mod circumstances;
pub(crate) mod permissions;
pub(crate) mod principal;
mod resource_policy;
mod service_role;
mod streams;

use std::sync::Arc;

use millstream_access::policy::{AccessRequest, Context, UNKNOWN};
use millstream_access::{Access, AccessError, Caller, Denial, PolicyKind, ResourcePolicy};
use millstream_catalog::Catalog;
use millstream_types::Clock;

use crate::json_protocol::ServiceError;
use crate::place::Place;

pub(crate) use permissions::Need;
use resource_policy::ResourcePolicies;
pub use service_role::{Service, ServiceRoles};
pub use streams::StreamUse;

/// What taking on a role is called.
pub(crate) const ASSUME_ROLE: &str = "sts:AssumeRole";

/// Asks the access engine in the words of the cloud. Cheap to clone.
#[derive(Clone)]
pub struct Authorizer {
    pub(crate) access: Access,
    /// Where the policies of resources stand.
    catalog: Catalog,
    resource_policies: Arc<ResourcePolicies>,
    pub(crate) place: Place,
    clock: Arc<dyn Clock>,
}

impl Authorizer {
    /// Over the access engine of a node.
    #[must_use]
    pub fn new(access: Access, catalog: Catalog, place: Place, clock: Arc<dyn Clock>) -> Self {
        let resource_policies = Arc::new(resource_policy::resource_policies(&catalog));
        Self { access, catalog, resource_policies, place, clock }
    }

    /// Whether a caller may do all that a call needs, under its circumstances.
    ///
    /// # Errors
    /// The message of the service's error for denied calls.
    pub(crate) fn check(&self, caller: &Caller, needs: &[Need], circumstances: &Context) -> Result<(), String> {
        needs.iter().try_for_each(|need| self.check_one(caller, need, circumstances))
    }

    fn check_one(&self, caller: &Caller, need: &Need, circumstances: &Context) -> Result<(), String> {
        let context =
            need.circumstances.iter().fold(circumstances.clone(), |context, (key, value)| context.with(key, value));
        let request =
            AccessRequest { action: &need.action, resource: &need.resource, identities: &[], context: &context };
        let policy = self.resource_policy(&need.resource).map_err(|error| {
            format!("The policy of {} cannot be read, so only the root may use it: {error}", need.resource)
        })?;
        let decided = match &policy {
            Some(policy) => {
                let (own, account) = self.identities(caller);
                let all = [own.clone(), account].concat();
                self.access.decide(caller, &request, Some(ResourcePolicy { policy, own: &own, all: &all }))
            }
            None => self.access.decide(caller, &request, None),
        };
        decided.map_err(|denial| self.message(caller, need, denial))
    }

    /// Whether a function's role lets the node do something on the function's behalf: read a source, deliver a dead letter.
    /// A function that has no role may do everything, as may one whose role does not exist on a development node.
    ///
    /// # Errors
    /// A sentence that says what is missing, for the function's log and for people.
    pub fn function_may(&self, function: &str, action: &str, resource: &str) -> Result<(), String> {
        let caller = Caller::Function { name: function.to_owned() };
        let need = Need::new(action, resource);
        self.check(&caller, &[need], &self.circumstances(&caller, None))
    }

    /// The ARN of a role by its name; empty for no role.
    ///
    /// # Errors
    /// [`AccessError::NotFound`].
    pub fn role_named(&self, name: Option<&str>) -> Result<String, AccessError> {
        name.map_or(Ok(String::new()), |name| Ok(self.role_arn(&*self.access.role(name)?)))
    }

    fn message(&self, caller: &Caller, need: &Need, denial: Denial) -> String {
        let Need { action, resource, .. } = need;
        let resource = if resource == UNKNOWN { "*" } else { resource };
        let kind = |kind| match kind {
            PolicyKind::Identity => "identity-based",
            PolicyKind::Session => "session",
            PolicyKind::Resource => "resource-based",
        };
        let why = match denial {
            Denial::Explicit(PolicyKind::Identity) => "with an explicit deny in an identity-based policy".to_owned(),
            Denial::Explicit(found) => format!("with an explicit deny in a {} policy", kind(found)),
            Denial::NotAllowed(found) => format!("because no {} policy allows the {action} action", kind(found)),
        };
        format!("User: {} is not authorized to perform: {action} on resource: {resource} {why}", self.arn(caller))
    }
}

/// The error of a denied call as most services have it; REST services and older ones have another status and code.
pub(crate) fn denied(message: String) -> ServiceError {
    ServiceError::new("AccessDeniedException", message)
}
