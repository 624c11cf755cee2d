//! Regions in which many of the last rows lie: rows that are near each other, or near rows that are, and are enough of them.
//!
//! Near are rows whose distance is at most the radius. Of each row of the window it is known which others are near, so a row that comes
//! is compared with each of them once. Knows no columns.

use std::collections::VecDeque;

use crate::executor::state::{Reader, StateError, Writer};
use crate::plan;

/// The last rows and who is near whom.
pub(crate) struct Hotspots {
    plan: plan::Hotspots,
    columns: usize,
    /// The window's rows, oldest first, each in the place that it keeps.
    order: VecDeque<usize>,
    /// By place the row, and a bit for each place whose row is near.
    rows: Vec<(Box<[f64]>, Vec<u64>)>,
}

/// A region.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Region {
    /// How many rows there are in it, by its volume. No side counts as less than the radius.
    pub(crate) density: f64,
    /// By column the least value.
    pub(crate) low: Vec<f64>,
    /// By column the greatest value.
    pub(crate) high: Vec<f64>,
}

impl Hotspots {
    /// A window without rows, of rows of so many numbers.
    pub(crate) fn new(plan: plan::Hotspots, columns: usize) -> Self {
        Self { plan, columns, order: VecDeque::new(), rows: Vec::new() }
    }

    /// The regions of the window that ends with a row, the one with the oldest row first.
    pub(crate) fn observe(&mut self, row: &[f64]) -> Vec<Region> {
        self.add(row.into());
        let mut seen = vec![0_u64; self.words()];
        let mut regions = Vec::new();
        for place in &self.order {
            if (seen[place / 64] >> (place % 64)) & 1 == 1 {
                continue;
            }
            let members = self.reached(*place, &mut seen);
            if members.len() >= self.plan.least {
                regions.push(self.region(&members));
            }
        }
        regions
    }

    fn words(&self) -> usize {
        self.plan.window.div_ceil(64)
    }

    /// Puts a row in the place of the oldest, once the window is full.
    fn add(&mut self, row: Box<[f64]>) {
        let place = match self.rows.len() < self.plan.window {
            true => self.rows.len(),
            false => self.order.pop_front().unwrap_or(0),
        };
        let (word, bit) = (place / 64, 1_u64 << (place % 64));
        let mut near = vec![0_u64; self.words()];
        let radius = self.plan.radius;
        for (other, (numbers, others)) in self.rows.iter_mut().enumerate() {
            others[word] &= !bit;
            if other != place && is_near(numbers, &row, radius) {
                others[word] |= bit;
                near[other / 64] |= 1 << (other % 64);
            }
        }
        match self.rows.get_mut(place) {
            Some(old) => *old = (row, near),
            None => self.rows.push((row, near)),
        }
        self.order.push_back(place);
    }

    /// The rows that are near one, or near those, itself among them. Marks them as seen.
    fn reached(&self, from: usize, seen: &mut [u64]) -> Vec<usize> {
        let (mut members, mut next) = (vec![from], 0);
        seen[from / 64] |= 1 << (from % 64);
        while let Some(member) = members.get(next).copied() {
            next += 1;
            for (word, near) in self.rows[member].1.iter().enumerate() {
                let mut unseen = near & !seen[word];
                seen[word] |= unseen;
                while unseen != 0 {
                    members.push(word * 64 + unseen.trailing_zeros() as usize);
                    unseen &= unseen - 1;
                }
            }
        }
        members
    }

    fn region(&self, members: &[usize]) -> Region {
        let bound = |column: usize, of: fn(f64, f64) -> f64| {
            members.iter().map(|member| self.rows[*member].0[column]).reduce(of).unwrap_or(0.0)
        };
        let low: Vec<f64> = (0..self.columns).map(|column| bound(column, f64::min)).collect();
        let high: Vec<f64> = (0..self.columns).map(|column| bound(column, f64::max)).collect();
        let sides = low.iter().zip(&high).map(|(low, high)| (high - low).max(self.plan.radius));
        // Divided side by side, so that no volume is too small or too large for a number.
        let density = sides.fold(members.len() as f64, |density, side| density / side);
        Region { density: density.min(f64::MAX), low, high }
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.count(self.order.len());
        let rows = self.order.iter().flat_map(|place| self.rows[*place].0.iter());
        rows.for_each(|number| writer.float(*number));
    }

    pub(crate) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        *self = Self::new(self.plan, self.columns);
        let count = reader.count()?;
        if count > self.plan.window {
            return Err(StateError);
        }
        for _ in 0..count {
            let row = (0..self.columns).map(|_| reader.float()).collect::<Result<Box<[f64]>, _>>()?;
            self.add(row);
        }
        Ok(())
    }
}

fn is_near(left: &[f64], right: &[f64], radius: f64) -> bool {
    // By parts of the radius, whose squares do not overflow where they matter.
    let squares = left.iter().zip(right).map(|(left, right)| ((left - right) / radius).powi(2));
    squares.sum::<f64>() <= 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: plan::Hotspots = plan::Hotspots { window: 100, radius: 0.5, least: 10 };

    /// A place of a grid whose neighbours are one apart.
    fn apart(number: u32) -> [f64; 2] {
        [f64::from(number % 40), f64::from(number * 7 % 40 + 100)]
    }

    #[test]
    fn rows_that_are_apart_have_none_and_rows_together_have_one() {
        let mut hotspots = Hotspots::new(PLAN, 2);
        for number in 0..300 {
            assert_eq!(hotspots.observe(&apart(number)), [], "{number}");
        }
        for number in 0..12 {
            let found = hotspots.observe(&[f64::from(number) / 10.0, -5.0]);
            if number < 9 {
                assert_eq!(found, []);
                continue;
            }
            let sides = (f64::from(number) / 10.0).max(0.5) * 0.5;
            let density = f64::from(number + 1) / sides;
            let [region] = found.as_slice() else { panic!("{found:?}") };
            assert!((region.density - density).abs() < 1e-6, "{region:?}");
            assert_eq!((region.low[0], region.low[1]), (0.0, -5.0));
            assert_eq!((region.high[0], region.high[1]), (f64::from(number) / 10.0, -5.0));
        }
        // They leave the window one by one.
        let counts: Vec<usize> = (0..100).map(|number| hotspots.observe(&apart(number)).len()).collect();
        assert_eq!(counts.iter().filter(|count| **count == 1).count(), 90);
        assert_eq!(counts[99], 0);
    }

    #[test]
    fn what_is_written_and_read_again_goes_on_the_same() {
        let row = |number: u32| [f64::from(number * 37 % 101) / 10.0, f64::from(number * 53 % 97) / 10.0];
        let (mut hotspots, mut again) = (Hotspots::new(PLAN, 2), Hotspots::new(PLAN, 2));
        for number in 0..400 {
            if number % 41 == 0 {
                let mut writer = Writer::default();
                again.write(&mut writer);
                again = Hotspots::new(PLAN, 2);
                again.read(&mut Reader(&writer.0)).unwrap();
            }
            assert_eq!(hotspots.observe(&row(number)), again.observe(&row(number)), "{number}");
        }
    }
}
