//! A metric by the minute: what is left of it when its seconds are gone.

use std::collections::VecDeque;

use millstream_types::Millis;

/// Minutes that are kept of each metric, those without a value not counted: a day.
pub const MINUTES_MAX: usize = 24 * 60;

const MINUTE: Millis = 60_000;

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
pub(super) struct Minutes(VecDeque<Minute>);

impl Minutes {
    /// Adds values to their minute; minutes may come in any order, as clients send them.
    pub(super) fn add(&mut self, values: &Minute) {
        let place = self.0.partition_point(|minute| minute.start < values.start);
        match self.0.get_mut(place).filter(|minute| minute.start == values.start) {
            Some(minute) => minute.merge(values),
            None => self.0.insert(place, *values),
        }
        if self.0.len() > MINUTES_MAX {
            self.0.pop_front();
        }
    }

    /// Periods of `period` milliseconds from `from` to before `to`, oldest first; those without a value are left out.
    pub(super) fn periods(&self, from: Millis, to: Millis, period: Millis) -> Vec<Minute> {
        let mut periods: Vec<Minute> = Vec::new();
        for minute in self.0.iter().filter(|minute| (from..to).contains(&minute.start)) {
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
        self.0.back().map(|minute| minute.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_gather_in_minutes_and_periods() {
        let mut minutes = Minutes::default();
        for (time, value) in [(130_000, 4.0), (10_000, 1.0), (59_999, 3.0), (60_000, 10.0)] {
            minutes.add(&Minute::of(time, value));
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
        for minute in 0..=MINUTES_MAX as i64 {
            minutes.add(&Minute::of(minute * MINUTE, 1.0));
        }
        assert_eq!(minutes.periods(0, i64::MAX, MINUTE).len(), MINUTES_MAX);
        assert_eq!(minutes.0[0].start, MINUTE);
    }
}
