//! The counts, which are made of the access log's lines: in memory at once, on the disk a while later together with the place
//! in the log up to which they are made. A node that crashed makes the rest from the lines behind that place.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use millstream_storage::{Storage, StorageError, Transaction};
use millstream_types::{LogId, Millis, RecordBatch};

use super::line::AccessLine;
use super::usage::{HOUR, UsageStore, UsageTotals, row_of};
use crate::limit::period;
use crate::limit::quota::Quotas;

/// Counts in memory; others are read again when they grow.
const COUNTS_MAX: usize = 100_000;

/// Bytes of lines that are read at once after a crash.
const READ_BYTES: usize = 4 << 20;

/// A quota that a request was reserved in.
#[derive(Debug, Clone)]
pub(crate) struct Charged {
    /// The quota's counter.
    pub(crate) counter: String,
    /// What it allows.
    pub(crate) limit: u64,
}

/// A request to be counted, and the quota that it was reserved in.
pub(super) type Request = (AccessLine, Option<Charged>);

/// The counts. One task owns them.
pub(super) struct Counts {
    usage: UsageStore,
    quotas: Arc<Quotas>,
    /// The hour that is counted in.
    hour: Millis,
    rows: HashMap<Vec<u8>, UsageTotals>,
    /// Those of them that the disk does not have.
    changed: BTreeSet<Vec<u8>>,
    /// Quotas whose counters the disk does not have as they are, by counter.
    charged: BTreeMap<String, Left>,
    /// The offset of the first line that is not counted.
    place: u64,
    /// That of the first line that is not counted on the disk.
    written: Option<u64>,
}

/// Whose rest of a quota is noted, and what the quota allows.
struct Left {
    plan: String,
    key: String,
    limit: u64,
}

impl Counts {
    /// The counts of all lines that there are; those behind the place that the disk knows are counted now. `charged` tells
    /// the counter of a line's quota, `None` when the plan is gone. Reads the disk: not for an async worker.
    pub(super) fn open(
        storage: &Storage,
        log: LogId,
        (usage, quotas): (UsageStore, Arc<Quotas>),
        charged: impl Fn(&AccessLine) -> Option<Charged>,
    ) -> Result<Self, StorageError> {
        let bounds = storage.bounds(log);
        // Versions without a place wrote each count together with its line.
        let written = usage.place()?;
        let place = written.unwrap_or(bounds.next).max(bounds.first);
        let (rows, changed, hour) = Default::default();
        let mut counts = Self { usage, quotas, hour, rows, changed, charged: BTreeMap::new(), place, written };
        loop {
            let batches = storage.read(log, counts.place, READ_BYTES)?;
            let Some(read) = batches.last().map(RecordBatch::next_offset) else { return Ok(counts) };
            for record in batches.iter().flat_map(|batch| batch.iter()) {
                if record.offset < counts.place {
                    continue;
                }
                if let Ok(line) = serde_json::from_slice(record.data) {
                    counts.count_again(&line, charged(&line), record.offset)?;
                }
                counts.place = record.offset + 1;
            }
            // Lines that the disk lost are passed.
            counts.place = read;
        }
    }

    /// Counts a line that a node which crashed may not have counted.
    fn count_again(&mut self, line: &AccessLine, quota: Option<Charged>, offset: u64) -> Result<(), StorageError> {
        self.hour = self.hour.max(line.hour);
        let row = row_of(line);
        if !self.rows.contains_key(&row) {
            self.rows.insert(row.clone(), self.usage.submitted(&row)?);
        }
        self.add(line, row);
        if let (Some(quota), Some(from)) = (quota, line.quota_from) {
            self.quotas.count_again(&quota.counter, from, offset)?;
            self.charge(line, quota);
        }
        Ok(())
    }

    /// The hour that requests are counted in which are committed now. Hours never go back, so that one that is over stays as
    /// it is; what it left of quotas is written before the next one counts.
    pub(super) async fn hour(&mut self, now: Millis) -> Result<Millis, StorageError> {
        let hour = now.div_euclid(HOUR) * HOUR;
        if hour > self.hour || self.rows.len() > COUNTS_MAX {
            self.write().await?;
            self.rows.clear();
        }
        self.hour = self.hour.max(hour);
        Ok(self.hour)
    }

    /// Reads what is counted already for requests that are to be counted.
    pub(super) async fn read<'l>(&mut self, lines: impl Iterator<Item = &'l AccessLine>) -> Result<(), StorageError> {
        let missing: BTreeSet<Vec<u8>> = lines.map(row_of).filter(|row| !self.rows.contains_key(row)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let usage = self.usage.clone();
        let read = tokio::task::spawn_blocking(move || {
            let counted = |row: Vec<u8>| usage.submitted(&row).map(|used| (row, used));
            missing.into_iter().map(counted).collect::<Result<Vec<_>, _>>()
        });
        self.rows.extend(read.await.map_err(|_| StorageError::Closed)??);
        Ok(())
    }

    /// Counts requests whose lines are durable, the first of them at `offset`; what was counted before is read.
    pub(super) fn count(&mut self, requests: Vec<Request>, offset: u64) {
        self.place = offset;
        for (line, quota) in requests {
            self.place += 1;
            self.add(&line, row_of(&line));
            if let (Some(quota), Some(from)) = (quota, line.quota_from) {
                self.quotas.settle(&quota.counter, from, self.place);
                self.charge(&line, quota);
            }
        }
    }

    /// Gives quotas back what requests took whose lines could not be committed: they are not answered.
    pub(super) fn give_back(&self, requests: &[Request]) {
        for (line, quota) in requests {
            if let (Some(quota), Some(from)) = (quota, line.quota_from) {
                self.quotas.give_back(&quota.counter, from);
            }
        }
    }

    fn add(&mut self, line: &AccessLine, row: Vec<u8>) {
        if let Some(counted) = self.rows.get_mut(&row) {
            counted.add(UsageTotals { requests: 1, bytes: line.response_bytes });
        }
        if !self.changed.contains(&row) {
            self.changed.insert(row);
        }
    }

    fn charge(&mut self, line: &AccessLine, quota: Charged) {
        let Charged { counter, limit } = quota;
        match self.charged.get_mut(&counter) {
            Some(left) => left.limit = limit,
            None => {
                let left = Left { plan: line.plan.clone(), key: line.key.clone(), limit };
                self.charged.insert(counter, left);
            }
        }
    }

    /// Whether the disk lacks anything.
    pub(super) fn are_ahead(&self) -> bool {
        self.written != Some(self.place)
    }

    /// Writes what the disk lacks; durable when it returns. What fails is tried again with the next call.
    pub(super) async fn write(&mut self) -> Result<(), StorageError> {
        if !self.are_ahead() {
            return Ok(());
        }
        let mut transaction = Transaction::new();
        for row in &self.changed {
            self.usage.put(&mut transaction, row, self.rows.get(row).copied().unwrap_or_default());
        }
        self.usage.put_place(&mut transaction, self.place);
        let day = period::day(self.hour);
        let ticket = self.quotas.write(transaction, self.charged.keys(), |transaction, counter, state| {
            if let Some(Left { plan, key, limit }) = self.charged.get(counter) {
                self.usage.put_left(transaction, (plan, key), day, state.left(*limit));
            }
        })?;
        ticket.durable().await?;
        self.quotas.written(self.charged.keys());
        self.changed.clear();
        self.charged.clear();
        self.written = Some(self.place);
        Ok(())
    }
}
