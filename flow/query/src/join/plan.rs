//! What a join means: which rows are beside each other. Part of [`mod@crate::plan`].

use crate::plan::ScalarExpr;

/// A join of two inputs. A pair has the later time of its two rows; the result's schema is the left side's columns, the right
/// side's, and the hidden row time.
#[derive(Debug, Clone)]
pub struct Join {
    /// Left and right. Keys of both are of the same types; rows match only where they are the same and none is NULL.
    pub sides: [JoinSide; 2],
    /// How far the right row's time may be from the left's in milliseconds, at least and at most.
    pub distance: (i64, i64),
    /// What else has to be true of a pair, over the result's schema.
    pub predicate: Option<ScalarExpr>,
}

/// What a join takes of one of its inputs.
#[derive(Debug, Clone)]
pub struct JoinSide {
    /// Over the input's schema.
    pub keys: Vec<ScalarExpr>,
    /// What a row becomes in the result, over the input's schema.
    pub columns: Vec<(String, ScalarExpr)>,
    /// How long after its own time a row without a match is given, with NULLs for the other side; `None`: it is not.
    pub unmatched_ms: Option<i64>,
}

impl JoinSide {
    /// What is computed of each row: keys, then columns.
    pub(crate) fn values(&self) -> Vec<&ScalarExpr> {
        self.keys.iter().chain(self.columns.iter().map(|(_, value)| value)).collect()
    }
}

impl Join {
    /// For how long rows of the two sides wait for matches that come after them; 0 where these come before.
    #[must_use]
    pub fn waits_ms(&self) -> [i64; 2] {
        [self.distance.1.max(0), self.distance.0.saturating_neg().max(0)]
    }

    /// How far a result may be behind the time up to which its inputs are read: a row without a match is known to have none
    /// only when the last unit of time has passed that its distance is counted in, and is given with an earlier time.
    #[must_use]
    pub fn delay_ms(&self) -> i64 {
        let late = |(wait, side): (i64, &JoinSide)| side.unmatched_ms.map_or(0, |given| wait.saturating_sub(given));
        self.waits_ms().into_iter().zip(&self.sides).map(late).max().unwrap_or(0).max(0)
    }
}

/// A join of an input with a table. A result has its row's time; its schema is the input's columns, the table's, and the hidden
/// row time.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// Its place in [`crate::plan::Program::references`].
    pub reference: usize,
    /// The input and the table. Keys of both are of the same types; rows match only where they are the same and none is NULL.
    /// Of the input's rows those without a match are given or not, of the table's they are not.
    pub sides: [JoinSide; 2],
    /// What else has to be true of a result, over its schema.
    pub predicate: Option<ScalarExpr>,
}
