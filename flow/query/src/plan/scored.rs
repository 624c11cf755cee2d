//! Models that learn from rows as they come and say of each how it fits those before it.

use super::ScalarExpr;

/// Rows as they come, in the order of their times, each with what a model says of it and of those before.
///
/// The result's schema is `[columns…, results…, hidden row time]`. A row waits until none can come before it. Rows of one time are in
/// the order in which they came. A row with a NULL or a number that is not finite among its numbers is not learned from, and its
/// results are NULL.
#[derive(Debug, Clone)]
pub struct Scored {
    /// What of a row goes on: names and values, over the input's schema.
    pub columns: Vec<(String, ScalarExpr)>,
    /// What the model learns from: names and values, over the input's schema and of type `Float64`.
    pub numbers: Vec<(String, ScalarExpr)>,
    /// What it is.
    pub model: Model,
}

/// A model.
#[derive(Debug, Clone)]
pub enum Model {
    /// How far a row is from those before it: a score of type `Float64`, and where asked for, its explanation as a text.
    Forest(Forest),
    /// Where among the last rows many are close together: a text.
    Hotspots(Hotspots),
}

/// A random cut forest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forest {
    /// How many trees, 1 to 1,000.
    pub trees: usize,
    /// How many points each tree is made of, 10 to 1,000.
    pub sample: usize,
    /// After how many points one counts less by a factor of e, more than `sample`. Older ones are not kept.
    pub decay: u32,
    /// How many rows that follow each other are one point, 1 to 30.
    pub shingle: usize,
    /// What is told besides the score.
    pub explanation: Explanation,
}

/// What a forest tells besides its score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Explanation {
    /// Nothing.
    None,
    /// Which number contributes how much.
    Attribution,
    /// That, and whether it is high or low.
    Direction,
}

/// Regions in which many of the last rows lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hotspots {
    /// How many rows are looked at, 100 to 1,000.
    pub window: usize,
    /// How near a row is to its neighbours, greater than 0.
    pub radius: f64,
    /// How many rows make a region, 2 to `window`.
    pub least: usize,
}

impl Scored {
    /// All it needs of a row, over the input's schema: the columns that go on, then the numbers.
    pub(crate) fn inputs(&self) -> Vec<&ScalarExpr> {
        self.columns.iter().chain(&self.numbers).map(|(_, value)| value).collect()
    }

    /// The same, to be changed.
    pub(crate) fn inputs_mut(&mut self) -> impl Iterator<Item = &mut ScalarExpr> {
        self.columns.iter_mut().chain(&mut self.numbers).map(|(_, value)| value)
    }
}
