//! The verdict on a call: may this caller do that.
//!
//! Within one account a policy of the caller or of the resource is enough, and a denial of either outweighs. A policy that
//! narrows a session narrows what the resource's policy allows, too.
//! Source: the IAM user guide, "Policy evaluation for requests within a single account".

use super::Access;
use super::rights::Rights;
use crate::caller::Caller;
use crate::policy::{AccessRequest, Identity, Policy, Use, Verdict, evaluate};

/// Why a caller may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// A policy denies it.
    Explicit(PolicyKind),
    /// No policy allows it.
    NotAllowed(PolicyKind),
}

/// Which policies spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind {
    /// Those of the user or the role.
    Identity,
    /// The one that narrows a session.
    Session,
    /// The one of the resource.
    Resource,
}

/// The policy of the resource that a call is about, and the names that it may know the caller by.
#[derive(Debug, Clone, Copy)]
pub struct ResourcePolicy<'p> {
    /// What it says.
    pub policy: &'p Policy,
    /// The caller's own names: what allows one of them needs no other policy.
    pub own: &'p [Identity],
    /// Those and the names of the caller's account: what denies one of them denies the caller; what allows the account leaves
    /// it to the caller's policies.
    pub all: &'p [Identity],
}

impl ResourcePolicy<'_> {
    fn verdict(&self, request: &AccessRequest<'_>) -> Verdict {
        let said = |identities| evaluate([self.policy], &AccessRequest { identities, ..*request });
        match said(self.all) {
            Verdict::Denied => Verdict::Denied,
            Verdict::Allowed | Verdict::NotAllowed => said(self.own),
        }
    }
}

impl Access {
    /// Asks the caller's policies and the resource's, if it has one. Whoever may do everything is asked nothing.
    ///
    /// # Errors
    /// [`Denial`] says why not.
    pub fn decide(
        &self,
        caller: &Caller,
        request: &AccessRequest<'_>,
        resource: Option<ResourcePolicy<'_>>,
    ) -> Result<(), Denial> {
        if self.may_everything(caller) {
            return Ok(());
        }
        let granted = resource.map_or(Verdict::NotAllowed, |resource| resource.verdict(request));
        if granted == Verdict::Denied {
            return Err(Denial::Explicit(PolicyKind::Resource));
        }
        match self.rights(caller) {
            Rights::Everything => {}
            Rights::Nothing => return Err(Denial::NotAllowed(PolicyKind::Identity)),
            Rights::Policies(policies) => match evaluate(policies.iter(), request) {
                Verdict::NotAllowed if granted == Verdict::Allowed => {}
                verdict => said(verdict, PolicyKind::Identity)?,
            },
        }
        let Caller::Role(session) = caller else { return Ok(()) };
        let Some(narrowing) = &session.policy else { return Ok(()) };
        // It was read when the session began.
        let narrowing = Policy::parse(narrowing, Use::Identity).map_err(|_| Denial::NotAllowed(PolicyKind::Session))?;
        said(evaluate([&narrowing], request), PolicyKind::Session)
    }

    /// Whether the caller may do everything without being asked, so that nothing need be found out about its call.
    #[must_use]
    pub fn may_everything(&self, caller: &Caller) -> bool {
        matches!(self.rights(caller), Rights::Everything) && !matches!(caller, Caller::Role(_))
    }
}

fn said(verdict: Verdict, kind: PolicyKind) -> Result<(), Denial> {
    match verdict {
        Verdict::Allowed => Ok(()),
        Verdict::Denied => Err(Denial::Explicit(kind)),
        Verdict::NotAllowed => Err(Denial::NotAllowed(kind)),
    }
}
