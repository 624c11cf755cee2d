//! Carrying out what a pipeline file says of roles and users. What it says of their policies is all they have.

use millstream_access::{Access, AccessError, Holder, NewRole, NewUser};
use millstream_catalog::pipeline::{GrantsSpec, RoleSpec, UserSpec};
use millstream_catalog::{Grants, PolicyReference};

use super::carry_out::Outcome;
use crate::node::Engines;

/// The name of the policy that a file's statements become.
const POLICY: &str = "pipeline";

/// Makes or changes a role.
pub(super) async fn role(engines: &Engines, spec: &RoleSpec) -> anyhow::Result<Outcome> {
    let access = &engines.access;
    let new = NewRole { name: spec.name.clone(), trust: spec.trust.clone(), ..NewRole::default() };
    let made = match access.create_role(new, engines.clock.now()).await {
        Ok(_) => Outcome::Created,
        Err(AccessError::Exists { .. }) if access.role(&spec.name)?.trust == spec.trust => Outcome::Unchanged,
        Err(AccessError::Exists { .. }) => {
            access.update_role(&spec.name, None, Some(spec.trust.clone()), None).await?;
            Outcome::Updated
        }
        Err(error) => return Err(error.into()),
    };
    settle(access, &Holder::Role(spec.name.clone()), &spec.grants, made).await
}

/// Makes or changes a user; a new one gets a key, which `millstream keys` shows.
pub(super) async fn user(engines: &Engines, spec: &UserSpec) -> anyhow::Result<Outcome> {
    let access = &engines.access;
    let new = NewUser { name: spec.name.clone(), ..NewUser::default() };
    let made = match access.create_user(new, engines.clock.now()).await {
        Ok(_) => {
            access.create_key(&spec.name, engines.clock.now()).await?;
            Outcome::Created
        }
        Err(AccessError::Exists { .. }) => Outcome::Unchanged,
        Err(error) => return Err(error.into()),
    };
    settle(access, &Holder::User(spec.name.clone()), &spec.grants, made).await
}

/// Lets a role or a user have the policies that the file describes; `made` is what became of it before.
async fn settle(access: &Access, holder: &Holder, spec: &GrantsSpec, made: Outcome) -> anyhow::Result<Outcome> {
    let reference = |name: &String| match access.service_policy(name) {
        Some(_) => Ok(PolicyReference::Service(name.clone())),
        None => access.policy(name).map(|_| PolicyReference::Own(name.clone())),
    };
    let wanted = Grants {
        inline: spec.policy.iter().map(|document| (POLICY.to_owned(), document.clone())).collect(),
        attached: spec.attach.iter().map(reference).collect::<Result<_, _>>()?,
    };
    let other = access.set_grants(holder, wanted).await?;
    Ok(if other && made == Outcome::Unchanged { Outcome::Updated } else { made })
}
