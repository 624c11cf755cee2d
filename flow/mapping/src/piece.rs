//! What becomes of a batch after an invocation. Pure.
//!
//! A batch is one piece at first. A piece that fails is tried again, split in two where the mapping wants it, or given up.
//! Splitting counts for no attempt, so a record that always fails ends in a piece of its own before its attempts are counted.

use serde::{Deserialize, Serialize};

/// A part of a batch that is not done: it begins where the one before ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Piece {
    /// The offset behind it.
    pub(crate) to: u64,
    /// Failed attempts so far.
    pub(crate) attempts: u32,
}

/// How an invocation with a piece ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The function has it.
    Done,
    /// The function failed.
    Failed,
    /// The function has what is before this record, counted from 0.
    FailedAt(usize),
}

/// What a mapping wants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// Failed attempts after the first.
    pub(crate) retries_max: Option<u32>,
    /// Whether pieces that fail are split.
    pub(crate) bisect: bool,
}

/// What becomes of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// So many records from its beginning are done.
    pub(crate) done: usize,
    /// What becomes of the others.
    pub(crate) rest: Rest,
}

/// What becomes of the records of a piece that are not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// There are none.
    None,
    /// They are tried again; so many attempts have failed.
    Retry { attempts: u32 },
    /// The first so many of them are tried without the others.
    Split { at: usize },
    /// They are given up.
    Discard,
}

/// What becomes of a piece of `count` records after its next attempt.
pub(crate) fn judge(piece: Piece, count: usize, outcome: Outcome, policy: Policy) -> Verdict {
    let after = |attempts: u32| {
        if policy.retries_max.is_some_and(|max| attempts > max) { Rest::Discard } else { Rest::Retry { attempts } }
    };
    match outcome {
        Outcome::Done => Verdict { done: count, rest: Rest::None },
        Outcome::FailedAt(done) if done >= count => Verdict { done: count, rest: Rest::None },
        // That is a split: at the record which the function names.
        Outcome::FailedAt(done) if done > 0 && policy.bisect => Verdict { done, rest: Rest::Retry { attempts: 0 } },
        // Attempts are counted for the record that holds up the others.
        Outcome::FailedAt(done) if done > 0 => Verdict { done, rest: after(1) },
        Outcome::Failed | Outcome::FailedAt(_) if policy.bisect && count > 1 => {
            Verdict { done: 0, rest: Rest::Split { at: count / 2 } }
        }
        Outcome::Failed | Outcome::FailedAt(_) => Verdict { done: 0, rest: after(piece.attempts.saturating_add(1)) },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_end_of_an_attempt_has_its_consequence() {
        let policy = |retries_max, bisect| Policy { retries_max, bisect };
        let cases = [
            (0, 10, Outcome::Done, policy(Some(0), true), 10, Rest::None),
            (0, 10, Outcome::Failed, policy(None, false), 0, Rest::Retry { attempts: 1 }),
            (0, 10, Outcome::Failed, policy(Some(0), false), 0, Rest::Discard),
            (1, 10, Outcome::Failed, policy(Some(2), false), 0, Rest::Retry { attempts: 2 }),
            (2, 10, Outcome::Failed, policy(Some(2), false), 0, Rest::Discard),
            (0, 5, Outcome::Failed, policy(Some(0), true), 0, Rest::Split { at: 2 }),
            (0, 1, Outcome::Failed, policy(Some(0), true), 0, Rest::Discard),
            (0, 10, Outcome::FailedAt(3), policy(Some(1), false), 3, Rest::Retry { attempts: 1 }),
            (1, 10, Outcome::FailedAt(3), policy(Some(1), false), 3, Rest::Retry { attempts: 1 }),
            (0, 10, Outcome::FailedAt(3), policy(Some(0), false), 3, Rest::Discard),
            (0, 10, Outcome::FailedAt(3), policy(Some(0), true), 3, Rest::Retry { attempts: 0 }),
            (0, 10, Outcome::FailedAt(0), policy(Some(0), true), 0, Rest::Split { at: 5 }),
            (0, 10, Outcome::FailedAt(0), policy(Some(0), false), 0, Rest::Discard),
            (u32::MAX, 1, Outcome::Failed, policy(None, true), 0, Rest::Retry { attempts: u32::MAX }),
        ];
        for (attempts, count, outcome, policy, done, rest) in cases {
            let verdict = judge(Piece { to: 0, attempts }, count, outcome, policy);
            assert_eq!(verdict, Verdict { done, rest }, "{attempts} {count} {outcome:?} {policy:?}");
        }
    }

    proptest! {
        /// Whatever fails for good, a mapping that splits gives up that and nothing else, in bounded time.
        #[test]
        fn only_what_always_fails_is_given_up(
            bad in prop::collection::btree_set(0_usize..40, 0..6), reports in any::<bool>(), retries in 0_u32..3,
        ) {
            let policy = Policy { retries_max: Some(retries), bisect: true };
            let mut pieces = vec![((0..40).collect::<Vec<usize>>(), 0)];
            let (mut taken, mut given_up, mut invocations) = (Vec::new(), Vec::new(), 0);
            while let Some((mut records, attempts)) = (!pieces.is_empty()).then(|| pieces.remove(0)) {
                invocations += 1;
                prop_assert!(invocations < 400);
                let first_bad = records.iter().position(|record| bad.contains(record));
                let outcome = match first_bad {
                    None => Outcome::Done,
                    Some(at) if reports => Outcome::FailedAt(at),
                    Some(_) => Outcome::Failed,
                };
                let verdict = judge(Piece { to: 0, attempts }, records.len(), outcome, policy);
                taken.extend(records.drain(..verdict.done));
                match verdict.rest {
                    Rest::None => prop_assert!(records.is_empty()),
                    Rest::Retry { attempts } => pieces.insert(0, (records, attempts)),
                    Rest::Split { at } => {
                        let second = records.split_off(at);
                        pieces.insert(0, (second, 0));
                        pieces.insert(0, (records, 0));
                    }
                    Rest::Discard => given_up.extend(records),
                }
            }
            prop_assert_eq!(given_up, bad.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(taken, (0..40).filter(|record| !bad.contains(record)).collect::<Vec<_>>());
        }
    }
}
