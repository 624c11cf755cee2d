//! Leases: who holds one of an object may change it, and nobody else. Pure: a lease and an action in, a lease out.
//!
//! Source: "Lease Blob" of the Azure Storage REST reference: the states, and what each action makes of them.

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

/// Seconds that a lease may last which ends by itself.
pub const SECONDS: std::ops::RangeInclusive<u32> = 15..=60;
/// Seconds that an end may be put off.
pub const BREAK_SECONDS_MAX: u32 = 60;

/// A lease of an object, or what is left of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who knows it holds the lease.
    pub id: String,
    /// How long it lasts after each renewal; `None`: until it is given back.
    pub seconds: Option<u32>,
    /// When it was acquired or renewed last.
    renewed: Millis,
    /// When somebody ended it, or it will be ended.
    #[serde(default)]
    broken: Option<Millis>,
}

/// The state of an object's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseState {
    /// There is none.
    Available,
    /// Somebody holds it.
    Leased,
    /// It was not renewed in time.
    Expired,
    /// It is going to be ended.
    Breaking,
    /// It was ended before its time.
    Broken,
}

/// What is done with a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseAction {
    /// Takes it under an id, for so many seconds or without an end.
    Acquire {
        /// The id.
        id: String,
        /// `None`: without an end.
        seconds: Option<u32>,
    },
    /// Lets it last as long again.
    Renew {
        /// Its id.
        id: String,
    },
    /// Gives it another id.
    Change {
        /// Its id.
        id: String,
        /// The new one.
        new: String,
    },
    /// Gives it back.
    Release {
        /// Its id.
        id: String,
    },
    /// Ends it, whoever holds it, after so many seconds at most; `None`: when its time is over, or now if it has no end.
    Break {
        /// `None`: see above.
        after: Option<u32>,
    },
}

/// Why something cannot be done with, or under, a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeaseRefusal {
    /// Somebody else holds it.
    #[error("somebody else holds the lease")]
    Held,
    /// It is being ended and cannot be taken.
    #[error("the lease is being ended and cannot be acquired")]
    BreakingAcquire,
    /// It is being ended and keeps its id.
    #[error("the lease is being ended and cannot be changed")]
    BreakingChange,
    /// It was ended and cannot be renewed.
    #[error("the lease was ended and cannot be renewed")]
    BrokenRenew,
    /// The id is another one.
    #[error("the id is not the lease's")]
    WrongId,
    /// There is none.
    #[error("there is no lease")]
    None,
    /// The object is leased, and the change names no id.
    #[error("the object is leased: expected the lease's id")]
    Missing,
    /// The change names another id.
    #[error("the object is leased under another id")]
    Mismatch,
    /// The change names an id, and nobody holds a lease.
    #[error("the object is not leased under this id, or not any more")]
    NotLeased,
}

impl Lease {
    fn new(id: String, seconds: Option<u32>, now: Millis) -> Self {
        Self { id, seconds, renewed: now, broken: None }
    }

    /// Its state.
    #[must_use]
    pub fn state(&self, now: Millis) -> LeaseState {
        match self.broken {
            Some(at) if at <= now => LeaseState::Broken,
            Some(_) => LeaseState::Breaking,
            None if self.ends().is_some_and(|end| end <= now) => LeaseState::Expired,
            None => LeaseState::Leased,
        }
    }

    fn ends(&self) -> Option<Millis> {
        self.seconds.map(|seconds| self.renewed + Millis::from(seconds) * 1_000)
    }

    /// Seconds until it is over, once it is being ended.
    #[must_use]
    pub fn breaks_in(&self, now: Millis) -> u32 {
        let left = self.broken.map_or(0, |at| (at - now).max(0));
        u32::try_from(left.unsigned_abs().div_ceil(1_000)).unwrap_or(u32::MAX)
    }
}

/// The state of what may be no lease.
#[must_use]
pub fn state(lease: Option<&Lease>, now: Millis) -> LeaseState {
    lease.map_or(LeaseState::Available, |lease| lease.state(now))
}

/// What an action makes of an object's lease.
///
/// # Errors
/// [`LeaseRefusal`].
pub fn act(lease: Option<Lease>, action: LeaseAction, now: Millis) -> Result<Option<Lease>, LeaseRefusal> {
    use LeaseState::{Available, Breaking, Broken, Expired, Leased};
    let state = state(lease.as_ref(), now);
    let owned = |id: &str| lease.as_ref().is_some_and(|lease| lease.id.eq_ignore_ascii_case(id));
    match (action, state) {
        (LeaseAction::Acquire { id, seconds }, Available | Broken | Expired) => Ok(Some(Lease::new(id, seconds, now))),
        (LeaseAction::Acquire { id, seconds }, Leased) if owned(&id) => Ok(Some(Lease::new(id, seconds, now))),
        (LeaseAction::Acquire { .. }, Leased) => Err(LeaseRefusal::Held),
        (LeaseAction::Acquire { id, .. }, Breaking) => {
            Err(if owned(&id) { LeaseRefusal::BreakingAcquire } else { LeaseRefusal::Held })
        }
        (LeaseAction::Renew { id }, Leased | Expired) if owned(&id) => {
            Ok(lease.map(|lease| Lease::new(lease.id, lease.seconds, now)))
        }
        (LeaseAction::Renew { id }, Breaking | Broken) if owned(&id) => Err(LeaseRefusal::BrokenRenew),
        (LeaseAction::Change { id, new }, Leased) if owned(&id) || owned(&new) => {
            Ok(lease.map(|lease| Lease { id: new, ..lease }))
        }
        (LeaseAction::Change { id, .. }, Breaking) if owned(&id) => Err(LeaseRefusal::BreakingChange),
        (LeaseAction::Change { .. }, Available | Broken | Expired) => Err(LeaseRefusal::None),
        (LeaseAction::Release { id }, _) if owned(&id) => Ok(None),
        (LeaseAction::Break { .. }, Available) => Err(LeaseRefusal::None),
        (LeaseAction::Break { .. }, Broken) => Ok(lease),
        (LeaseAction::Break { after }, _) => Ok(lease.map(|lease| {
            let rest = lease.broken.or(lease.ends()).map(|end| end.max(now));
            let asked = after.map(|seconds| now + Millis::from(seconds) * 1_000);
            let at = match (asked, rest) {
                (Some(asked), Some(rest)) => asked.min(rest),
                (Some(at), None) | (None, Some(at)) => at,
                (None, None) => now,
            };
            Lease { broken: Some(at), ..lease }
        })),
        (LeaseAction::Renew { .. } | LeaseAction::Change { .. } | LeaseAction::Release { .. }, _) => {
            Err(LeaseRefusal::WrongId)
        }
    }
}

/// What is left of an object's lease once the object is changed: one that is over cannot be renewed any more, because another
/// may have made the change.
#[must_use]
pub fn after_change(lease: Option<Lease>, now: Millis) -> Option<Lease> {
    lease.filter(|lease| matches!(lease.state(now), LeaseState::Leased | LeaseState::Breaking))
}

/// Whether an object may be changed by who names this id, or none.
///
/// # Errors
/// [`LeaseRefusal::Missing`], [`LeaseRefusal::Mismatch`], [`LeaseRefusal::NotLeased`].
pub fn check_change(lease: Option<&Lease>, id: Option<&str>, now: Millis) -> Result<(), LeaseRefusal> {
    match (state(lease, now), lease, id) {
        (LeaseState::Leased | LeaseState::Breaking, Some(lease), Some(id)) if lease.id.eq_ignore_ascii_case(id) => {
            Ok(())
        }
        (LeaseState::Leased | LeaseState::Breaking, _, Some(_)) => Err(LeaseRefusal::Mismatch),
        (LeaseState::Leased | LeaseState::Breaking, _, None) => Err(LeaseRefusal::Missing),
        (_, _, Some(_)) => Err(LeaseRefusal::NotLeased),
        (_, _, None) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acquire(id: &str, seconds: Option<u32>) -> LeaseAction {
        LeaseAction::Acquire { id: id.into(), seconds }
    }

    fn leased(seconds: Option<u32>) -> Option<Lease> {
        act(None, acquire("a", seconds), 0).unwrap()
    }

    #[test]
    fn a_lease_ends_by_itself_or_is_renewed_in_time() {
        let lease = leased(Some(15));
        assert_eq!(state(lease.as_ref(), 14_999), LeaseState::Leased);
        assert_eq!(state(lease.as_ref(), 15_000), LeaseState::Expired);
        let renewed = act(lease.clone(), LeaseAction::Renew { id: "a".into() }, 10_000).unwrap();
        assert_eq!(state(renewed.as_ref(), 24_999), LeaseState::Leased);
        assert_eq!(act(lease.clone(), acquire("b", None), 14_999), Err(LeaseRefusal::Held));
        assert_eq!(act(lease, acquire("b", None), 15_000).unwrap().unwrap().id, "b");
    }

    #[test]
    fn only_its_holder_disposes_of_it() {
        let lease = leased(None);
        let of = |id: &str| {
            let id = id.to_owned();
            [
                LeaseAction::Renew { id: id.clone() },
                LeaseAction::Change { id: id.clone(), new: "c".into() },
                LeaseAction::Release { id },
            ]
        };
        for action in of("b") {
            assert_eq!(act(lease.clone(), action, 1), Err(LeaseRefusal::WrongId));
        }
        let [renewed, changed, released] = of("A").map(|action| act(lease.clone(), action, 1).unwrap());
        assert_eq!((renewed.unwrap().id.as_str(), changed.unwrap().id.as_str(), released), ("a", "c", None));
    }

    #[test]
    fn a_broken_lease_ends_when_it_was_to_or_sooner() {
        for (seconds, after, expected) in [
            (Some(30), None, 30),
            (Some(30), Some(10), 10),
            (Some(30), Some(60), 30),
            (None, None, 0),
            (None, Some(5), 5),
        ] {
            let broken = act(leased(seconds), LeaseAction::Break { after }, 0).unwrap().unwrap();
            assert_eq!(broken.breaks_in(0), expected, "{seconds:?} {after:?}");
            assert_eq!(broken.state(Millis::from(expected) * 1_000), LeaseState::Broken);
        }
        let breaking = act(leased(None), LeaseAction::Break { after: Some(5) }, 0).unwrap();
        assert_eq!(state(breaking.as_ref(), 1), LeaseState::Breaking);
        assert_eq!(act(breaking.clone(), acquire("a", None), 1), Err(LeaseRefusal::BreakingAcquire));
        assert_eq!(act(breaking.clone(), LeaseAction::Renew { id: "a".into() }, 1), Err(LeaseRefusal::BrokenRenew));
        assert!(act(breaking, acquire("b", None), 5_000).is_ok());
        assert_eq!(act(None, LeaseAction::Break { after: None }, 0), Err(LeaseRefusal::None));
    }

    #[test]
    fn a_lease_that_is_over_ends_with_the_next_change() {
        assert_eq!(after_change(leased(Some(15)), 14_999), leased(Some(15)));
        let left = after_change(leased(Some(15)), 15_000);
        assert_eq!(act(left, LeaseAction::Renew { id: "a".into() }, 15_000), Err(LeaseRefusal::WrongId));
        let broken = act(leased(None), LeaseAction::Break { after: None }, 1).unwrap();
        assert_eq!(after_change(broken, 1), None);
    }

    #[test]
    fn changes_need_the_lease_that_there_is() {
        let lease = leased(Some(15));
        for (id, now, expected) in [
            (Some("a"), 0, Ok(())),
            (Some("b"), 0, Err(LeaseRefusal::Mismatch)),
            (None, 0, Err(LeaseRefusal::Missing)),
            (None, 15_000, Ok(())),
            (Some("a"), 15_000, Err(LeaseRefusal::NotLeased)),
        ] {
            assert_eq!(check_change(lease.as_ref(), id, now), expected, "{id:?} {now}");
        }
    }
}
