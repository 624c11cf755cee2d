//! A random cut forest: how far each point of a stream is from those before it, and in which dimension.
//!
//! Each tree holds a sample of the stream in which later points are likelier. A point's weight in a tree's sample is a function of the
//! tree's and the point's number, so that samples are the same wherever a run was cut; the seed is one for all. Source: Guha, Mishra, Roy,
//! Schrijvers: "Robust random cut forest based anomaly detection on streams" (ICML 2016); weights after Efraimidis and Spirakis:
//! "Weighted random sampling with a reservoir" (2006). Knows no rows. Read next: [`tree`].

mod random;
mod tree;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::executor::state::{Reader, StateError, Writer};
use crate::plan;
use random::Mixed;
use tree::Tree;

/// What the numbers of all forests begin with.
const SEED: u64 = 0x6d69_6c6c_7374_7265;

/// A forest at work.
pub(crate) struct Forest {
    plan: plan::Forest,
    columns: usize,
    /// How many points there were.
    points: u64,
    /// The last rows, one fewer than make a point.
    shingle: VecDeque<Box<[f64]>>,
    /// By their numbers the points that some sample holds, and how many samples do.
    kept: BTreeMap<u64, (Arc<[f64]>, usize)>,
    samples: Vec<Sample>,
}

/// A tree and the points that it is made of.
struct Sample {
    number: u64,
    tree: Tree,
    /// By weight, the lightest last: logarithms of weights, and the points' numbers.
    weights: Vec<(f64, u64)>,
}

/// What a forest says of a point: the score, shared among the columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attribution {
    /// By column how much is due to its being low, and to its being high.
    columns: Vec<(f64, f64)>,
    /// What is due to none: the point is equal to others.
    equal: f64,
}

impl Attribution {
    fn new(columns: usize) -> Self {
        Self { columns: vec![(0.0, 0.0); columns], equal: 0.0 }
    }

    /// Adds to a dimension, of which a shingle has several for each column.
    fn add(&mut self, dimension: usize, low: f64, high: f64) {
        let count = self.columns.len();
        if let Some(column) = self.columns.get_mut(dimension % count.max(1)) {
            *column = (column.0 + low, column.1 + high);
        }
    }

    fn equal(&mut self, amount: f64) {
        self.equal += amount;
    }

    /// The same in another unit, what is due to none shared evenly.
    fn scaled(mut self, factor: f64) -> Self {
        let each = self.equal / (2.0 * self.columns.len().max(1) as f64);
        for (low, high) in &mut self.columns {
            (*low, *high) = ((*low + each) * factor, (*high + each) * factor);
        }
        self.equal = 0.0;
        self
    }

    /// The score: 0 while the forest learns, else about 0.7 of what is usual, and more the farther a point is from the others.
    pub(crate) fn score(&self) -> f64 {
        self.columns.iter().map(|(low, high)| low + high).sum()
    }

    /// By column what is due to its being low, and to its being high; their sum is the score.
    pub(crate) fn columns(&self) -> &[(f64, f64)] {
        &self.columns
    }
}

impl Forest {
    /// A forest that has seen nothing, of rows of so many numbers.
    pub(crate) fn new(plan: plan::Forest, columns: usize) -> Self {
        let samples = (0..plan.trees as u64).map(Sample::new).collect();
        Self { plan, columns, points: 0, shingle: VecDeque::new(), kept: BTreeMap::new(), samples }
    }

    /// What a row is among those before it; then it is one of these.
    pub(crate) fn observe(&mut self, row: &[f64]) -> Attribution {
        let mut attribution = Attribution::new(self.columns);
        if self.shingle.len() + 1 < self.plan.shingle {
            self.shingle.push_back(row.into());
            return attribution;
        }
        let point: Arc<[f64]> = self.shingle.iter().flat_map(|row| row.iter()).chain(row).copied().collect();
        if self.plan.shingle > 1 {
            self.shingle.pop_front();
            self.shingle.push_back(row.into());
        }
        if self.points >= self.plan.sample as u64 {
            let trees = self.samples.iter().filter(|sample| !sample.weights.is_empty());
            trees.for_each(|sample| sample.tree.score(&point, &mut attribution));
            // Scores of forests with samples of other sizes can be compared then.
            let factor = (1.0 + self.plan.sample as f64).log2() / self.plan.trees as f64;
            attribution = attribution.scaled(factor);
        }
        self.learn(point);
        attribution
    }

    fn learn(&mut self, point: Arc<[f64]>) {
        let number = self.points;
        self.points += 1;
        self.forget_older(number);
        let mut held = 0;
        for sample in &mut self.samples {
            let weight = sample.weight(number, self.plan.decay);
            if sample.weights.len() >= self.plan.sample {
                let Some((lightest, _)) = sample.weights.last() else { continue };
                if weight <= *lightest {
                    continue;
                }
                let Some((_, gone)) = sample.weights.pop() else { continue };
                release(&mut self.kept, &mut sample.tree, gone);
            }
            sample.hold(weight, number, &point);
            held += 1;
        }
        if held > 0 {
            self.kept.insert(number, (point, held));
        }
    }

    /// Lets go of points that are too old to count beside that of a number.
    fn forget_older(&mut self, number: u64) {
        while let Some((&oldest, _)) = self.kept.first_key_value()
            && number - oldest >= u64::from(self.plan.decay)
        {
            for sample in &mut self.samples {
                if let Some(place) = sample.weights.iter().position(|(_, held)| *held == oldest) {
                    sample.weights.remove(place);
                    release(&mut self.kept, &mut sample.tree, oldest);
                }
            }
            self.kept.remove(&oldest);
        }
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.count(self.shingle.len());
        self.shingle.iter().flat_map(|row| row.iter()).for_each(|number| writer.float(*number));
        writer.int(self.points.cast_signed());
        writer.count(self.kept.len());
        for (number, (point, _)) in &self.kept {
            writer.int(number.cast_signed());
            point.iter().for_each(|at| writer.float(*at));
        }
        for sample in &self.samples {
            writer.count(sample.weights.len());
            sample.weights.iter().for_each(|(_, number)| writer.int(number.cast_signed()));
        }
    }

    pub(crate) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        *self = Self::new(self.plan, self.columns);
        let floats = |reader: &mut Reader<'_>, count| (0..count).map(|_| finite(reader)).collect::<Result<Vec<_>, _>>();
        for _ in 0..reader.count()? {
            self.shingle.push_back(floats(reader, self.columns)?.into());
        }
        self.points = reader.int()?.cast_unsigned();
        for _ in 0..reader.count()? {
            let number = reader.int()?.cast_unsigned();
            let point = floats(reader, self.columns * self.plan.shingle)?;
            if number >= self.points {
                return Err(StateError);
            }
            self.kept.insert(number, (point.into(), 0));
        }
        for sample in &mut self.samples {
            for _ in 0..reader.count()? {
                let number = reader.int()?.cast_unsigned();
                let (point, held) = self.kept.get_mut(&number).ok_or(StateError)?;
                *held += 1;
                let weight = sample.weight(number, self.plan.decay);
                sample.hold(weight, number, point);
            }
        }
        if self.shingle.len() < self.plan.shingle { Ok(()) } else { Err(StateError) }
    }
}

fn finite(reader: &mut Reader<'_>) -> Result<f64, StateError> {
    reader.float().and_then(|number| if number.is_finite() { Ok(number) } else { Err(StateError) })
}

/// Takes a point out of a tree that no longer holds it.
fn release(kept: &mut BTreeMap<u64, (Arc<[f64]>, usize)>, tree: &mut Tree, number: u64) {
    let Some((point, held)) = kept.get_mut(&number) else { return };
    tree.remove(&(Arc::clone(point), number));
    *held -= 1;
    if *held == 0 {
        kept.remove(&number);
    }
}

impl Sample {
    fn new(number: u64) -> Self {
        Self { number, tree: Tree::new(Mixed::new(SEED).with(number).with(1)), weights: Vec::new() }
    }

    /// A point's weight: with u uniform, the logarithm of `u^(1/w)`'s negated inverse, where `w` grows by a factor of e in `decay` points.
    fn weight(&self, number: u64, decay: u32) -> f64 {
        let unit = Mixed::new(SEED).with(self.number).with(2).with(number).unit();
        number as f64 / f64::from(decay) - (-unit.ln()).ln()
    }

    fn hold(&mut self, weight: f64, number: u64, point: &Arc<[f64]>) {
        let place = self.weights.partition_point(|(other, _)| *other > weight);
        self.weights.insert(place, (weight, number));
        self.tree.insert((Arc::clone(point), number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Explanation;

    fn plan(sample: usize, decay: u32, shingle: usize) -> plan::Forest {
        plan::Forest { trees: 50, sample, decay, shingle, explanation: Explanation::Direction }
    }

    /// A number from about -2 to 2, mostly near 0.
    fn normal(place: u64, which: u64) -> f64 {
        (0..4).map(|part| Mixed::new(place).with(which).with(part).unit() - 0.5).sum()
    }

    #[test]
    fn what_is_far_from_the_others_has_the_highest_score() {
        let mut forest = Forest::new(plan(64, 10_000, 1), 2);
        let mut usual = Vec::new();
        for place in 0..600 {
            let told = forest.observe(&[normal(place, 0), 10.0 * normal(place, 1)]);
            assert_eq!(told.score() > 0.0, place >= 64, "{place}");
            usual.push(told.score());
        }
        for (point, column, high) in
            [([9.0, 0.0], 0, true), ([-9.0, 0.0], 0, false), ([0.0, 90.0], 1, true), ([0.0, -90.0], 1, false)]
        {
            let told = forest.observe(&point);
            assert!(usual.iter().all(|score| *score < told.score()), "{point:?}: {told:?}");
            let (low, up) = told.columns()[column];
            assert_eq!(up > low, high, "{point:?}: {told:?}");
            assert!(low + up > told.score() / 2.0, "{point:?}: {told:?}");
        }
    }

    #[test]
    fn what_was_usual_long_ago_is_unusual_again() {
        let mut forest = Forest::new(plan(32, 100, 1), 1);
        let old = |place| [normal(place, 0)];
        let new = |place| [100.0 + normal(place, 0)];
        (0..300).for_each(|place| drop(forest.observe(&old(place))));
        let first = forest.observe(&new(0)).score();
        (1..150).for_each(|place| drop(forest.observe(&new(place))));
        assert!(forest.observe(&new(151)).score() < first / 2.0);
        assert!(forest.observe(&old(1)).score() > first / 2.0);
        assert!(forest.kept.len() <= 100);
    }

    #[test]
    fn a_shingle_finds_a_broken_rhythm() {
        let mut forest = Forest::new(plan(64, 1_000, 4), 1);
        let beat = |place: u64| [f64::from(u8::from(place.is_multiple_of(4))) + normal(place, 0) / 100.0];
        let scores: Vec<f64> = (0..400).map(|place| forest.observe(&beat(place)).score()).collect();
        let usual = scores[100..].iter().sum::<f64>() / 300.0;
        // The value itself is as usual as any; after three of its kind it is not.
        assert!(forest.observe(&beat(401)).score() > 1.3 * usual);
    }

    #[test]
    fn what_is_written_and_read_again_goes_on_the_same() {
        let points = |place: u64| [normal(place, 0), if place.is_multiple_of(5) { 1.0 } else { normal(place, 1) }];
        let mut forest = Forest::new(plan(20, 150, 3), 2);
        let mut again = Forest::new(plan(20, 150, 3), 2);
        for place in 0..400 {
            if place % 37 == 0 {
                let mut writer = Writer::default();
                again.write(&mut writer);
                again = Forest::new(plan(20, 150, 3), 2);
                let mut reader = Reader(&writer.0);
                again.read(&mut reader).unwrap();
                assert!(reader.0.is_empty());
                let mut expected = Writer::default();
                forest.write(&mut expected);
                assert_eq!(writer.0, expected.0);
            }
            assert_eq!(forest.observe(&points(place)), again.observe(&points(place)), "{place}");
        }
    }

    #[test]
    fn state_that_is_none_is_told() {
        let mut writer = Writer::default();
        Forest::new(plan(20, 150, 1), 1).write(&mut writer);
        for (place, byte) in [(7, 1), (31, 200)] {
            let mut broken = writer.0.clone();
            if let Some(at) = broken.get_mut(place) {
                *at = byte;
            }
            let mut reader = Reader(&broken);
            let read = Forest::new(plan(20, 150, 1), 1).read(&mut reader);
            assert!(read.is_err() || !reader.0.is_empty(), "{place}");
        }
    }
}
