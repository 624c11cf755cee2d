//! Conditions: when a statement holds.

use super::operator::{Operator, Set, Test, Wanted};
use super::request::Context;

/// One operator on one key with the values that it is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    pub(super) operator: Operator,
    /// In small letters.
    pub(super) key: String,
    pub(super) wanted: Vec<Wanted>,
}

impl Condition {
    /// Whether the circumstances are as the condition wants them.
    pub(super) fn holds(&self, context: &Context) -> bool {
        let found = context.all(&self.key);
        let Operator { set, test, negated, if_exists } = self.operator;
        if test == Test::Null {
            let absent = if found.is_empty() { "true" } else { "false" };
            return self.wanted.iter().any(|wanted| wanted.matches(test, absent, context));
        }
        let one = |value: &String| self.wanted.iter().any(|wanted| wanted.matches(test, value, context)) != negated;
        match set {
            // What is not there is not equal to anything, and none of it is wrong.
            _ if found.is_empty() => if_exists || set == Set::All || (set == Set::None && negated),
            Set::All => found.iter().all(one),
            // Without a set, a key of several values must not be any of those that are excluded.
            Set::None if negated => found.iter().all(one),
            Set::None | Set::Any => found.iter().any(one),
        }
    }
}
