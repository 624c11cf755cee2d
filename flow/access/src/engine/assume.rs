//! Temporary credentials: of a role that somebody takes on, and of a user.

use std::sync::Arc;

use millstream_catalog::RoleDefinition;
use millstream_types::Millis;

use super::rights::role_name;
use super::{Access, entity};
use crate::caller::{Caller, Origin, RoleSession, TemporaryCredentials};
use crate::error::AccessError;
use crate::policy::{AccessRequest, Context, Identity, Policy, Use, Verdict, evaluate};

/// How long temporary credentials last unless told otherwise.
const SESSION_SECONDS: u32 = 3_600;
const SESSION_SECONDS_MIN: u32 = 900;
/// Characters of a session's name, at least.
const SESSION_NAME_CHARS_MIN: usize = 2;
/// The longest session of a user, and of a role that its session took on from another's.
const USER_SECONDS_MAX: u32 = 129_600;
const CHAINED_SECONDS_MAX: u32 = 3_600;
/// Characters of a policy that narrows a session.
const SESSION_POLICY_CHARS_MAX: usize = 2_048;

/// Who wants to take on which role.
#[derive(Debug, Clone, Copy)]
pub struct AssumeRole<'a> {
    /// The role's name.
    pub role: &'a str,
    /// Its full name, as policies of callers name it.
    pub resource: &'a str,
    /// What taking it on is called.
    pub action: &'a str,
    /// A name for the session.
    pub session: &'a str,
    /// A policy that narrows what the role may do.
    pub policy: Option<&'a str>,
    /// How long.
    pub seconds: Option<u32>,
    /// The caller's own names: a role that trusts one of them asks no other policy.
    pub identities: &'a [Identity],
    /// The names of the caller's account: a role that trusts one of them leaves it to the caller's policies.
    pub account: &'a [Identity],
    /// The circumstances.
    pub context: &'a Context,
}

impl Access {
    /// Gives credentials of a role; they end with `origin` too.
    ///
    /// # Errors
    /// [`AccessError::NotTrusted`], also when there is no such role; [`AccessError::Invalid`],
    /// [`AccessError::Malformed`], [`AccessError::TooLong`].
    pub fn assume(
        &self,
        caller: &Caller,
        origin: Origin,
        ask: &AssumeRole<'_>,
        now: Millis,
    ) -> Result<(Arc<RoleDefinition>, TemporaryCredentials), AccessError> {
        entity::check_name("session name", ask.session, entity::NAME_CHARS_MAX)?;
        if ask.session.len() < SESSION_NAME_CHARS_MIN {
            let found = ask.session.to_owned();
            return Err(AccessError::Invalid { what: "session name", expected: "2 to 64 characters", found });
        }
        if let Some(policy) = ask.policy {
            entity::check_length("session policy", policy, SESSION_POLICY_CHARS_MAX)?;
            Policy::parse(policy, Use::Identity)?;
        }
        let refused = || AccessError::NotTrusted { role: ask.role.to_owned() };
        let role = self.catalog.roles.get(ask.role).ok_or_else(refused)?;
        if !self.may_assume(caller, ask, &role) {
            return Err(refused());
        }
        let chained = matches!(caller, Caller::Role(_) | Caller::Function { .. });
        let max = if chained { CHAINED_SECONDS_MAX } else { role.session_seconds_max };
        let expires = expiry(ask.seconds, max, now)?;
        let session = RoleSession {
            role: role.name.clone(),
            role_id: role.id.clone(),
            session: ask.session.to_owned(),
            policy: ask.policy.map(str::to_owned),
            since: now,
        };
        let sessions = self.sessions.as_ref().ok_or(AccessError::NoSessions)?;
        Ok((role, sessions.seal(Caller::Role(session), origin, expires)))
    }

    /// Gives temporary credentials with a user's own rights; they end with `origin` too.
    ///
    /// # Errors
    /// [`AccessError::NotTrusted`] for callers that are no user; [`AccessError::Invalid`].
    pub fn user_session(
        &self,
        caller: &Caller,
        origin: Origin,
        seconds: Option<u32>,
        now: Millis,
    ) -> Result<TemporaryCredentials, AccessError> {
        if !matches!(caller, Caller::Root | Caller::User { .. }) {
            return Err(AccessError::NotTrusted { role: String::new() });
        }
        let expires = expiry(seconds.or(Some(USER_SECONDS)), USER_SECONDS_MAX, now)?;
        Ok(self.sessions.as_ref().ok_or(AccessError::NoSessions)?.seal(caller.clone(), origin, expires))
    }

    /// A service of this node in a role that somebody gave it, as a caller; `None` may do everything: the role does not exist,
    /// and this is a development node. `identity` is the service's, `session` what its calls are called.
    ///
    /// # Errors
    /// [`AccessError::NotTrusted`], also when there is no such role.
    pub fn take_on(
        &self,
        reference: &str,
        identity: &Identity,
        action: &str,
        session: &str,
        context: &Context,
        now: Millis,
    ) -> Result<Option<Caller>, AccessError> {
        let name = role_name(reference);
        let Some(role) = self.catalog.roles.get(name) else {
            self.tell_missing(name);
            let refused = AccessError::NotTrusted { role: name.to_owned() };
            return if self.development { Ok(None) } else { Err(refused) };
        };
        if self.trust(&role, std::slice::from_ref(identity), action, context) != Verdict::Allowed {
            return Err(AccessError::NotTrusted { role: name.to_owned() });
        }
        Ok(Some(Caller::Role(RoleSession {
            role: role.name.clone(),
            role_id: role.id.clone(),
            session: session.to_owned(),
            policy: None,
            since: now,
        })))
    }

    fn may_assume(&self, caller: &Caller, ask: &AssumeRole<'_>, role: &RoleDefinition) -> bool {
        let request =
            AccessRequest { action: ask.action, resource: ask.resource, identities: &[], context: ask.context };
        let own = self.decide(caller, &request, None);
        match self.trust(role, ask.identities, ask.action, ask.context) {
            Verdict::Allowed => !matches!(own, Err(super::Denial::Explicit(_))),
            Verdict::Denied => false,
            Verdict::NotAllowed => {
                own.is_ok() && self.trust(role, ask.account, ask.action, ask.context) == Verdict::Allowed
            }
        }
    }

    /// What a role says of those who want to take it on.
    pub(super) fn trust(
        &self,
        role: &RoleDefinition,
        identities: &[Identity],
        action: &str,
        context: &Context,
    ) -> Verdict {
        let Ok(policy) = Policy::parse(&role.trust, Use::Trust) else { return Verdict::NotAllowed };
        // A trust policy names no resource: it is about its role.
        evaluate([&policy], &AccessRequest { action, resource: "*", identities, context })
    }
}

/// How long credentials of a user last unless told otherwise.
const USER_SECONDS: u32 = 43_200;

fn expiry(seconds: Option<u32>, max: u32, now: Millis) -> Result<Millis, AccessError> {
    let seconds = seconds.unwrap_or(SESSION_SECONDS);
    if !(SESSION_SECONDS_MIN..=max).contains(&seconds) {
        return Err(AccessError::Invalid {
            what: "the session's duration",
            expected: "900 seconds up to the longest session of the role",
            found: seconds.to_string(),
        });
    }
    Ok(now + Millis::from(seconds) * 1_000)
}
