//! A metric by the minute: what is left of it when its seconds are gone.

use std::collections::{BTreeSet, VecDeque};

use millstream_types::Millis;

/// Milliseconds of a minute and of a second.
pub(super) const MINUTE: Millis = 60_000;
pub(super) const SECOND: Millis = 1_000;

/// What was measured within one minute, or within a longer period made of minutes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Minute {
    /// Its first millisecond.
    pub start: Millis,
    /// How many values there were.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Minute {
    /// One value at a time.
    #[must_use]
    pub fn of(time: Millis, value: f64) -> Self {
        Self { start: time.div_euclid(MINUTE) * MINUTE, count: 1.0, sum: value, min: value, max: value }
    }

    /// The same values in the period of so many milliseconds that they are in.
    #[must_use]
    pub(super) fn in_period(&self, period: Millis) -> Self {
        Self { start: self.start.div_euclid(period) * period, ..*self }
    }

    /// Takes in what was measured elsewhere within the same period.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// The values' mean; 0 without any.
    #[must_use]
    pub fn average(&self) -> f64 {
        if self.count > 0.0 { self.sum / self.count } else { 0.0 }
    }
}

/// The minutes of one metric, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Minutes {
    minutes: VecDeque<Minute>,
    /// The begins of those that are not kept yet as they are.
    changed: BTreeSet<Millis>,
}

impl Minutes {
    /// Adds values to their minute; minutes may come in any order, as clients send them. Of more than `max` the oldest goes.
    pub(super) fn add(&mut self, values: &Minute, max: usize) {
        let mut merged = *values;
        if let Some(known) = self.of(values.start) {
            merged = *known;
            merged.merge(values);
        }
        self.restore(&merged, max, true);
    }

    /// Puts a minute in the place of what is known of it; `changed`: it is to be kept.
    pub(super) fn restore(&mut self, minute: &Minute, max: usize, changed: bool) {
        let place = self.minutes.partition_point(|known| known.start < minute.start);
        match self.minutes.get_mut(place).filter(|known| known.start == minute.start) {
            Some(known) => *known = *minute,
            None => self.minutes.insert(place, *minute),
        }
        if changed {
            self.changed.insert(minute.start);
        }
        if self.minutes.len() > max {
            self.forget_first();
        }
    }

    /// Notes that a minute is not kept as it is.
    pub(super) fn mark_changed(&mut self, start: Millis) {
        if self.of(start).is_some() {
            self.changed.insert(start);
        }
    }

    /// How many minutes there are.
    pub(super) fn len(&self) -> usize {
        self.minutes.len()
    }

    /// Minutes that have changed since the last call.
    pub(super) fn take_changed(&mut self) -> Vec<Minute> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().filter_map(|start| self.of(start).copied()).collect()
    }

    pub(super) fn forget_before(&mut self, time: Millis) {
        while self.minutes.front().is_some_and(|first| first.start < time) {
            self.forget_first();
        }
    }

    /// How many minutes there are from a time on.
    pub(super) fn count_since(&self, time: Millis) -> usize {
        self.minutes.len() - self.minutes.partition_point(|minute| minute.start < time)
    }

    /// The minute that begins then.
    pub(super) fn of(&self, start: Millis) -> Option<&Minute> {
        let place = self.minutes.partition_point(|minute| minute.start < start);
        self.minutes.get(place).filter(|minute| minute.start == start)
    }

    fn forget_first(&mut self) {
        if let Some(first) = self.minutes.pop_front() {
            self.changed.remove(&first.start);
        }
    }

    /// Periods of `period` milliseconds from `from` to before `to`, oldest first; those without a value are left out.
    pub(super) fn periods(&self, from: Millis, to: Millis, period: Millis) -> Vec<Minute> {
        let mut periods: Vec<Minute> = Vec::new();
        for minute in self.minutes.iter().filter(|minute| (from..to).contains(&minute.start)) {
            let start = minute.start.div_euclid(period) * period;
            match periods.last_mut().filter(|last| last.start == start) {
                Some(last) => last.merge(minute),
                None => periods.push(Minute { start, ..*minute }),
            }
        }
        periods
    }

    /// When there was a value last.
    pub(super) fn last(&self) -> Option<Millis> {
        self.minutes.back().map(|minute| minute.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_gather_in_minutes_and_periods() {
        let mut minutes = Minutes::default();
        for (time, value) in [(130_000, 4.0), (10_000, 1.0), (59_999, 3.0), (60_000, 10.0)] {
            minutes.add(&Minute::of(time, value), 10);
        }
        let of_minutes = minutes.periods(0, 180_000, 60_000);
        assert_eq!(of_minutes[0], Minute { start: 0, count: 2.0, sum: 4.0, min: 1.0, max: 3.0 });
        assert_eq!(of_minutes.iter().map(|minute| minute.start).collect::<Vec<_>>(), [0, 60_000, 120_000]);
        let of_hours = minutes.periods(0, 180_000, 3_600_000);
        assert_eq!((of_hours.len(), of_hours[0].sum, of_hours[0].average()), (1, 18.0, 4.5));
        assert_eq!(minutes.last(), Some(120_000));
    }

    #[test]
    fn old_minutes_make_room() {
        let mut minutes = Minutes::default();
        for minute in 0..=5 {
            minutes.add(&Minute::of(minute * MINUTE, 1.0), 5);
        }
        assert_eq!(minutes.periods(0, i64::MAX, MINUTE).len(), 5);
        assert_eq!((minutes.minutes[0].start, minutes.count_since(2 * MINUTE)), (MINUTE, 4));
        assert_eq!(minutes.take_changed().len(), 5);
        minutes.add(&Minute::of(3 * MINUTE, 2.0), 5);
        minutes.restore(&Minute::of(4 * MINUTE, 7.0), 5, false);
        assert_eq!(minutes.take_changed(), [Minute { start: 3 * MINUTE, count: 2.0, sum: 3.0, min: 1.0, max: 2.0 }]);
        minutes.forget_before(5 * MINUTE);
        assert_eq!((minutes.minutes.len(), minutes.last()), (1, Some(5 * MINUTE)));
    }
}
