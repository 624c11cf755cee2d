//! What a policy says, once it is read.

use super::condition::Condition;
use super::pattern::Pattern;
use super::request::{AccessRequest, Identity, UNKNOWN};

/// A policy: statements, of which every one is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub(super) statements: Vec<Statement>,
}

/// One sentence: who may (or may not) do what to what, and when.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Statement {
    pub(super) effect: Effect,
    /// `None` in policies of a user or a role: it is about whoever has it.
    pub(super) principals: Option<Principals>,
    pub(super) actions: Selection,
    /// `None` in trust policies: it is about the role that has it.
    pub(super) resources: Option<Selection>,
    pub(super) conditions: Vec<Condition>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// Texts that are meant: those that match, or all others.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Selection {
    pub(super) others: bool,
    pub(super) patterns: Vec<Pattern>,
}

/// Who is meant: those that are named, or all others.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Principals {
    pub(super) others: bool,
    pub(super) named: Vec<Named>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Named {
    Anyone,
    One(Identity),
}

impl Statement {
    /// Whether the statement is about the request.
    pub(super) fn covers(&self, request: &AccessRequest<'_>) -> bool {
        let context = request.context;
        let action = |pattern: &Pattern| pattern.matches_ignoring_case(request.action, context);
        self.principals.as_ref().is_none_or(|principals| principals.cover(request.identities))
            && self.actions.selects(action)
            && self.resources.as_ref().is_none_or(|resources| self.concerns(resources, request))
            && self.conditions.iter().all(|condition| condition.holds(context))
    }

    fn concerns(&self, resources: &Selection, request: &AccessRequest<'_>) -> bool {
        if request.resource == UNKNOWN {
            return self.effect == Effect::Deny || resources.selects_all();
        }
        resources.selects(|pattern| pattern.matches(request.resource, request.context))
    }
}

impl Selection {
    /// Whether it is said to be about everything.
    fn selects_all(&self) -> bool {
        !self.others && self.patterns.iter().any(Pattern::is_any)
    }

    fn selects(&self, matches: impl Fn(&Pattern) -> bool) -> bool {
        self.patterns.iter().any(matches) != self.others
    }
}

impl Principals {
    fn cover(&self, identities: &[Identity]) -> bool {
        let meant = self.named.iter().any(|named| match named {
            Named::Anyone => true,
            Named::One(identity) => identities.contains(identity),
        });
        meant != self.others
    }
}
