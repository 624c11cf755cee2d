//! The verdict on a call: may this caller do that.

use super::Access;
use super::rights::Rights;
use crate::caller::Caller;
use crate::policy::{AccessRequest, Policy, Use, Verdict, evaluate};

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
}

impl Access {
    /// Asks the caller's policies. The root may do everything.
    ///
    /// # Errors
    /// [`Denial`] says why not.
    pub fn decide(&self, caller: &Caller, request: &AccessRequest<'_>) -> Result<(), Denial> {
        match self.rights(caller) {
            Rights::Everything => {}
            Rights::Nothing => return Err(Denial::NotAllowed(PolicyKind::Identity)),
            Rights::Policies(policies) => said(evaluate(policies.iter(), request), PolicyKind::Identity)?,
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
