//! Whether a row's value is an anomaly among those before it (`AnomalyDetection_SpikeAndDip`, `AnomalyDetection_ChangePoint`): of each key
//! the last values, and of change points what each of them won.
//!
//! Source: D. Volkhonskiy, E. Burnaev, I. Nouretdinov, A. Gammerman, V. Vovk, "Inductive Conformal Martingales for Change-Point
//! Detection" (2017), for a martingale that begins again where it loses, against values that are learned before.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, LargeStringArray};
use arrow::datatypes::Float64Type;

use super::density::{Side, bet, p_value};
use super::{ENTRY_BYTES, Rows, Sweep};
use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::{Detector, Extent};

/// Values that a model has to have seen before it tells anything, where its history is not shorter.
const SEEN_MIN: usize = 10;

/// How long values are under suspicion of being another level's, and not learned from: then they are the new one.
const SUSPECTS_MAX: usize = 20;

pub(super) struct Anomalies {
    detector: Detector,
    pub(super) extent: Extent,
    /// By key the values that are learned from, oldest first.
    histories: BTreeMap<Box<[u8]>, VecDeque<Seen>>,
    entries: usize,
    /// Of the keys.
    bytes: usize,
    sweep: Sweep,
}

/// A value that is learned from.
#[derive(Clone, Copy)]
struct Seen {
    time: i64,
    value: f64,
    /// What was won against the values before by the time it came, as a logarithm; 0: nothing, it is one of them.
    won: f64,
}

impl Anomalies {
    pub(super) fn new(detector: Detector, extent: Extent) -> Self {
        let (histories, sweep) = (BTreeMap::new(), Sweep::of(extent));
        Self { detector, extent, histories, entries: 0, bytes: 0, sweep }
    }

    /// Records of score and verdict; NULL of rows that do not count, and of NULL.
    pub(super) fn evaluate(&mut self, rows: &Rows) -> ArrayRef {
        let values = rows.values[0].as_primitive::<Float64Type>();
        let of_row = |(row, &time): (usize, &i64)| {
            if !rows.counts(row) || values.is_null(row) {
                return None;
            }
            let (score, is_anomaly) = self.come(rows.keys.row(row), time, values.value(row));
            let score = serde_json::Value::from(score);
            Some(format!("{{\"IsAnomaly\":{},\"Score\":{score}}}", u8::from(is_anomaly)))
        };
        Arc::new(rows.times.iter().enumerate().map(of_row).collect::<LargeStringArray>())
    }

    /// A value that is looked at and learned from: its score, and whether it is an anomaly.
    fn come(&mut self, key: &[u8], time: i64, value: f64) -> (f64, bool) {
        let (oldest, most) = (self.extent.oldest(time), self.detector.history);
        if !self.histories.contains_key(key) {
            self.bytes += key.len() + ENTRY_BYTES;
            self.histories.insert(key.into(), VecDeque::new());
        }
        let Some(history) = self.histories.get_mut(key) else { return (0.0, false) };
        let before = history.len();
        while history.front().is_some_and(|seen| seen.time < oldest) || history.len() > most + SUSPECTS_MAX {
            history.pop_front();
        }
        let suspects = history.iter().rev().take_while(|seen| seen.won > 0.0).count();
        let learned = history.len() - suspects;
        let values = history.iter().take(learned).skip(learned.saturating_sub(most)).map(|seen| seen.value);
        let values: Vec<f64> = values.collect();
        let knows = values.len() >= most.min(SEEN_MIN);
        let alarm = 1.0 - self.detector.confidence();
        let (score, is_anomaly, won) = match self.detector.side {
            Some(side) => {
                let usual = if side == Side::Both { 1.0 } else { 0.5 };
                let p = if knows { p_value(value, &values, side) } else { usual };
                (p, p < alarm, 0.0)
            }
            None => {
                let before = history.back().map_or(0.0, |seen| seen.won);
                // Of so many values one more is the farthest out with this probability: no single one wins more.
                let least = 1.0 / (values.len() as f64 + 1.0);
                let bet = if knows { bet(p_value(value, &values, Side::Both).max(least)) } else { 0.0 };
                // What is lost is forgotten: a change is looked for from any value on.
                let won = (before + bet).max(0.0);
                let is_anomaly = won.exp() * alarm > 1.0;
                (won.exp(), is_anomaly, if suspects < SUSPECTS_MAX { won } else { 0.0 })
            }
        };
        history.push_back(Seen { time, value, won });
        self.entries = self.entries + history.len() - before;
        (score, is_anomaly)
    }

    pub(super) fn forget(&mut self, now: i64) {
        if self.sweep.is_due(now) {
            let oldest = self.extent.oldest(now);
            self.histories.retain(|_, history| counts_still(history, oldest));
            self.count();
        }
    }

    /// Counts anew what is kept.
    fn count(&mut self) {
        self.entries = self.histories.values().map(VecDeque::len).sum();
        self.bytes = self.histories.keys().map(|key| key.len() + ENTRY_BYTES).sum();
    }

    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The time behind which values are needed for the scores of rows from a time on. What was won goes on from value to value; where
    /// it begins anew it is what it was after few of them.
    pub(super) fn behind(&self, time: i64) -> i64 {
        let oldest = self.extent.oldest(time);
        let oldest = if self.detector.side.is_none() { self.extent.oldest(oldest) } else { oldest };
        oldest.saturating_sub(1)
    }

    /// Writes what rows from a time on learn from.
    pub(super) fn write(&self, now: i64, writer: &mut Writer) {
        let oldest = self.extent.oldest(now);
        let kept = || self.histories.iter().filter(|(_, history)| counts_still(history, oldest));
        writer.count(kept().count());
        for (key, history) in kept() {
            writer.bytes(key);
            let counted = || history.iter().filter(|seen| seen.time >= oldest);
            writer.count(counted().count());
            for seen in counted() {
                writer.int(seen.time);
                writer.float(seen.value);
                writer.float(seen.won);
            }
        }
    }

    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        self.histories.clear();
        for _ in 0..reader.count()? {
            let key: Box<[u8]> = reader.bytes()?.into();
            let mut history = VecDeque::new();
            for _ in 0..reader.count()? {
                history.push_back(Seen { time: reader.int()?, value: reader.float()?, won: reader.float()? });
            }
            self.histories.insert(key, history);
        }
        self.count();
        Ok(())
    }
}

/// Whether the newest value is not too old yet.
fn counts_still(history: &VecDeque<Seen>, oldest: i64) -> bool {
    history.back().is_some_and(|seen| seen.time >= oldest)
}
