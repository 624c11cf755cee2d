//! Conditions on an object's state, as HTTP has them (RFC 9110, section 13). Pure.

use std::fmt;

use millstream_types::Millis;

use crate::error::ObjectError;
use crate::lease;
use crate::object::Object;

/// What must hold for an operation to happen; the default holds always.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The object is there and has one of these ETags.
    pub if_match: Option<EtagMatch>,
    /// The object is not there or has none of these ETags.
    pub if_none_match: Option<EtagMatch>,
    /// The object was changed after this second.
    pub if_modified_since: Option<Millis>,
    /// The object was not changed after this second.
    pub if_unmodified_since: Option<Millis>,
    /// The id of the object's lease.
    pub lease_id: Option<String>,
}

/// Which ETags are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EtagMatch {
    /// Any: the object is there.
    Any,
    /// One of these.
    OneOf(Vec<String>),
}

/// The condition that did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// [`Conditions::if_match`].
    IfMatch,
    /// [`Conditions::if_none_match`] with ETags.
    IfNoneMatch,
    /// [`Conditions::if_none_match`] with [`EtagMatch::Any`]: the object was not to be there.
    IfAbsent,
    /// [`Conditions::if_modified_since`].
    IfModifiedSince,
    /// [`Conditions::if_unmodified_since`].
    IfUnmodifiedSince,
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::IfMatch => "If-Match",
            Self::IfNoneMatch => "If-None-Match",
            Self::IfAbsent => "If-None-Match: *",
            Self::IfModifiedSince => "If-Modified-Since",
            Self::IfUnmodifiedSince => "If-Unmodified-Since",
        })
    }
}

impl EtagMatch {
    fn holds(&self, object: &Object) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(etags) => etags.contains(&object.etag),
        }
    }
}

impl Conditions {
    /// That the object must not be there yet.
    #[must_use]
    pub fn absent() -> Self {
        Self { if_none_match: Some(EtagMatch::Any), ..Self::default() }
    }

    /// Checks them against the object that is there, if one is.
    ///
    /// # Errors
    /// [`ObjectError::ConditionFailed`] with the first that does not hold.
    pub fn check(&self, key: &str, object: Option<&Object>) -> Result<(), ObjectError> {
        match self.broken(object) {
            None => Ok(()),
            Some(condition) => Err(ObjectError::ConditionFailed { key: key.to_owned(), condition }),
        }
    }

    /// As [`Conditions::check`], and that the object's lease allows it to be changed.
    ///
    /// # Errors
    /// [`ObjectError::ConditionFailed`], [`ObjectError::Lease`].
    pub fn check_change(&self, key: &str, object: Option<&Object>, now: Millis) -> Result<(), ObjectError> {
        self.check(key, object)?;
        let lease = object.and_then(|object| object.lease.as_ref());
        let refused = lease::check_change(lease, self.lease_id.as_deref(), now);
        refused.map_err(|refusal| ObjectError::Lease { key: key.to_owned(), refusal })
    }

    /// As [`Conditions::check`], and that the lease is the one that is named, if one is.
    ///
    /// # Errors
    /// [`ObjectError::ConditionFailed`], [`ObjectError::Lease`].
    pub fn check_read(&self, key: &str, object: &Object, now: Millis) -> Result<(), ObjectError> {
        match self.lease_id {
            Some(_) => self.check_change(key, Some(object), now),
            None => self.check(key, Some(object)),
        }
    }

    fn broken(&self, object: Option<&Object>) -> Option<Condition> {
        let Some(object) = object else { return self.if_match.as_ref().map(|_| Condition::IfMatch) };
        if self.if_match.as_ref().is_some_and(|wanted| !wanted.holds(object)) {
            return Some(Condition::IfMatch);
        }
        match &self.if_none_match {
            Some(EtagMatch::Any) => return Some(Condition::IfAbsent),
            Some(unwanted) if unwanted.holds(object) => return Some(Condition::IfNoneMatch),
            _ => {}
        }
        // Both sides tell times by the second, so a change within the second named counts as not later.
        let second = |millis: Millis| millis.div_euclid(1_000);
        if self.if_modified_since.is_some_and(|since| second(object.modified) <= second(since)) {
            return Some(Condition::IfModifiedSince);
        }
        if self.if_unmodified_since.is_some_and(|since| second(object.modified) > second(since)) {
            return Some(Condition::IfUnmodifiedSince);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_as_http_has_them() {
        let object = Object { etag: "E".into(), modified: 5_500, ..Object::default() };
        let one = |etag: &str| Some(EtagMatch::OneOf(vec![etag.into()]));
        let none = Conditions::default();
        let cases = [
            (none.clone(), None, None),
            (Conditions { if_match: one("E"), ..none.clone() }, None, Some(Condition::IfMatch)),
            (Conditions { if_match: one("F"), ..none.clone() }, Some(Condition::IfMatch), Some(Condition::IfMatch)),
            (Conditions { if_match: Some(EtagMatch::Any), ..none.clone() }, None, Some(Condition::IfMatch)),
            (Conditions { if_none_match: one("E"), ..none.clone() }, Some(Condition::IfNoneMatch), None),
            (Conditions { if_none_match: one("F"), ..none.clone() }, None, None),
            (Conditions::absent(), Some(Condition::IfAbsent), None),
            (Conditions { if_modified_since: Some(5_000), ..none.clone() }, Some(Condition::IfModifiedSince), None),
            (Conditions { if_modified_since: Some(4_000), ..none.clone() }, None, None),
            (Conditions { if_unmodified_since: Some(5_000), ..none.clone() }, None, None),
            (Conditions { if_unmodified_since: Some(4_000), ..none }, Some(Condition::IfUnmodifiedSince), None),
        ];
        for (conditions, there, not_there) in cases {
            assert_eq!(conditions.broken(Some(&object)), there, "{conditions:?}");
            assert_eq!(conditions.broken(None), not_there, "{conditions:?} without an object");
        }
    }
}
