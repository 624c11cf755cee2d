//! The counts on the disk, and what is asked of them.
//!
//! A count's key is `PLAN\nKEY\n`, the hour as eight bytes, `API\nSTAGE`, and of usage that is sold `\nPRODUCT\nCUSTOMER`:
//! what one key of a plan used in a time is one range, and whose it is does not change afterwards. What was left of a quota is kept by day, because the limit may have changed since.

use std::ops::Bound;

use bytes::Bytes;
use millstream_storage::{Keyspace, Storage, StorageError, Transaction};
use millstream_types::Millis;

use super::line::AccessLine;

/// An hour, milliseconds.
pub const HOUR: Millis = 3_600_000;

/// How long counts are kept, days.
pub const USAGE_DAYS_MAX: i64 = 400;

/// Counts that one question reads at most: a key's hours of a year with a dozen stages.
const ROWS_MAX: usize = 120_000;

/// Counts that one transaction of the sweep removes.
const SWEEP_ROWS: usize = 1_000;

/// The form of a count on the disk.
const VERSION: u8 = 1;

/// The key of the place.
const PLACE: &[u8] = b"counted";

/// The bytes of a count on the disk: version, requests, bytes.
const ROW_BYTES: usize = 17;

/// What was used in an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageHour {
    /// The usage plan's id.
    pub plan: String,
    /// The key's id.
    pub key: String,
    /// The API's id.
    pub api: String,
    /// The stage.
    pub stage: String,
    /// The hour's begin.
    pub hour: Millis,
    /// As what it was sold and to whom; `None`: it is not sold.
    pub sold: Option<Sold>,
    /// What was used.
    pub used: UsageTotals,
}

/// Usage that is sold at the marketplace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sold {
    /// The product's code.
    pub product: String,
    /// The customer's name towards the seller.
    pub customer: String,
}

/// What was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageTotals {
    /// Requests that were let through.
    pub requests: u64,
    /// Bytes of the answers' bodies.
    pub bytes: u64,
}

impl UsageTotals {
    /// Adds another.
    pub fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// The counts.
#[derive(Clone)]
pub(crate) struct UsageStore {
    storage: Storage,
    hours: Keyspace,
    left: Keyspace,
    place: Keyspace,
}

impl UsageStore {
    pub(crate) fn new(storage: Storage) -> Self {
        let (hours, left) = (Keyspace::new("gateway/usage"), Keyspace::new("gateway/usage-left"));
        Self { storage, hours, left, place: Keyspace::new("gateway/usage-place") }
    }

    /// A count as it will be once everything submitted is durable. Reads the disk.
    pub(super) fn submitted(&self, row: &[u8]) -> Result<UsageTotals, StorageError> {
        let found = self.storage.get_submitted(&self.hours, row)?;
        Ok(found.and_then(|bytes| decoded(&bytes)).unwrap_or_default())
    }

    /// The offset of the first line of the access log that the counts were not made of; `None`: nothing is noted. Reads the
    /// disk.
    pub(super) fn place(&self) -> Result<Option<u64>, StorageError> {
        let found = self.storage.get_submitted(&self.place, PLACE)?;
        Ok(found.and_then(|bytes| bytes.first_chunk().copied()).map(u64::from_be_bytes))
    }

    pub(super) fn put_place(&self, transaction: &mut Transaction, place: u64) {
        transaction.put(&self.place, PLACE.to_vec(), place.to_be_bytes().to_vec());
    }

    pub(super) fn put(&self, transaction: &mut Transaction, row: &[u8], used: UsageTotals) {
        transaction.put(&self.hours, row.to_vec(), encoded(used));
    }

    /// Notes what was left of a key's quota.
    pub(super) fn put_left(&self, transaction: &mut Transaction, (plan, key): (&str, &str), day: i64, left: u64) {
        transaction.put(&self.left, left_row(plan, key, day), left.to_be_bytes().to_vec());
    }

    /// What a key of a plan used in `from..to`, by hour, API and stage in this order. Whole hours.
    pub(crate) async fn hours(
        &self,
        (plan, key): (&str, &str),
        from: Millis,
        to: Millis,
    ) -> Result<Vec<UsageHour>, StorageError> {
        let (first, end) = (hour_row(plan, key, from), hour_row(plan, key, to));
        let rows = self.scan(&self.hours, first, end, ROWS_MAX).await?;
        Ok(rows.iter().filter_map(|(row, used)| usage_hour(row, used)).collect())
    }

    /// What was left of a key's quota on days `from..to`: the day and the number, in the order of the days.
    pub(crate) async fn left(
        &self,
        (plan, key): (&str, &str),
        from: i64,
        to: i64,
    ) -> Result<Vec<(i64, u64)>, StorageError> {
        let rows = self.scan(&self.left, left_row(plan, key, from), left_row(plan, key, to), ROWS_MAX).await?;
        let number = |bytes: &[u8]| bytes.last_chunk::<8>().copied();
        let read =
            |(row, left): &(Bytes, Bytes)| Some((i64::from_be_bytes(number(row)?), u64::from_be_bytes(number(left)?)));
        Ok(rows.iter().filter_map(read).collect())
    }

    /// The keys of a plan that anything was counted for and that are behind `after`, in their order, at most `limit`.
    pub(crate) async fn keys(&self, plan: &str, after: &str, limit: usize) -> Result<Vec<String>, StorageError> {
        let mut found = Vec::new();
        let end = format!("{plan}\u{b}").into_bytes();
        // `\u{b}` follows `\n`: behind all rows of a key.
        let mut from =
            if after.is_empty() { format!("{plan}\n") } else { format!("{plan}\n{after}\u{b}") }.into_bytes();
        while found.len() < limit {
            let rows = self.scan(&self.hours, from, end.clone(), 1).await?;
            let Some(row) = rows.first().and_then(|(row, used)| usage_hour(row, used)) else { break };
            from = format!("{plan}\n{}\u{b}", row.key).into_bytes();
            found.push(row.key);
        }
        Ok(found)
    }

    /// The plans that anything was counted for.
    pub(crate) async fn plans(&self) -> Result<Vec<String>, StorageError> {
        let (mut found, mut from) = (Vec::new(), Vec::new());
        loop {
            let rows = self.scan(&self.hours, from, vec![u8::MAX], 1).await?;
            let Some(row) = rows.first().and_then(|(row, used)| usage_hour(row, used)) else { return Ok(found) };
            from = format!("{}\u{b}", row.plan).into_bytes();
            found.push(row.plan);
        }
    }

    /// Removes what is older than it is kept.
    pub(crate) async fn sweep(&self, now: Millis) -> Result<(), StorageError> {
        let oldest = now - USAGE_DAYS_MAX * 24 * HOUR;
        for plan in self.plans().await? {
            let mut after = String::new();
            while let Some(key) = self.keys(&plan, &after, 1).await?.pop() {
                self.remove(&self.hours, hour_row(&plan, &key, 0), hour_row(&plan, &key, oldest)).await?;
                let day = oldest / (24 * HOUR);
                self.remove(&self.left, left_row(&plan, &key, 0), left_row(&plan, &key, day)).await?;
                after = key;
            }
        }
        Ok(())
    }

    async fn remove(&self, keyspace: &Keyspace, from: Vec<u8>, to: Vec<u8>) -> Result<(), StorageError> {
        loop {
            let rows = self.scan(keyspace, from.clone(), to.clone(), SWEEP_ROWS).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut transaction = Transaction::new();
            for (row, _) in rows {
                transaction.delete(keyspace, row);
            }
            self.storage.commit(transaction).await?;
        }
    }

    async fn scan(
        &self,
        keyspace: &Keyspace,
        from: Vec<u8>,
        to: Vec<u8>,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StorageError> {
        let (storage, keyspace) = (self.storage.clone(), keyspace.clone());
        let read = tokio::task::spawn_blocking(move || {
            storage.scan(&keyspace, (Bound::Included(&from), Bound::Excluded(&to)), false, limit)
        });
        read.await.map_err(|_| StorageError::Closed)?
    }
}

/// The row that a request is counted in.
pub(super) fn row_of(line: &AccessLine) -> Vec<u8> {
    let mut row = hour_row(&line.plan, &line.key, line.hour);
    row.extend_from_slice(line.api.as_bytes());
    row.push(b'\n');
    row.extend_from_slice(line.stage.as_bytes());
    if !line.product.is_empty() && !line.customer.is_empty() {
        row.extend_from_slice(format!("\n{}\n{}", line.product, line.customer).as_bytes());
    }
    row
}

/// What the rows of an hour begin with; hours before 1970 count as the first.
fn hour_row(plan: &str, key: &str, time: Millis) -> Vec<u8> {
    number_row(plan, key, u64::try_from(time.div_euclid(HOUR)).unwrap_or(0))
}

fn left_row(plan: &str, key: &str, day: i64) -> Vec<u8> {
    number_row(plan, key, u64::try_from(day).unwrap_or(0))
}

fn number_row(plan: &str, key: &str, number: u64) -> Vec<u8> {
    let mut row = Vec::with_capacity(plan.len() + key.len() + 40);
    for part in [plan, key] {
        row.extend_from_slice(part.as_bytes());
        row.push(b'\n');
    }
    row.extend_from_slice(&number.to_be_bytes());
    row
}

fn usage_hour(row: &[u8], used: &[u8]) -> Option<UsageHour> {
    let mut parts = row.splitn(3, |byte| *byte == b'\n');
    let (plan, key, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (hour, place) = rest.split_first_chunk::<8>()?;
    let mut place = std::str::from_utf8(place).ok()?.splitn(4, '\n');
    let (api, stage) = (place.next()?, place.next()?);
    let sold = place.next().zip(place.next());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(UsageHour {
        plan: text(plan),
        key: text(key),
        api: api.to_owned(),
        stage: stage.to_owned(),
        hour: i64::from_be_bytes(*hour).saturating_mul(HOUR),
        sold: sold.map(|(product, customer)| Sold { product: product.to_owned(), customer: customer.to_owned() }),
        used: decoded(used)?,
    })
}

fn encoded(used: UsageTotals) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ROW_BYTES);
    bytes.push(VERSION);
    bytes.extend_from_slice(&used.requests.to_be_bytes());
    bytes.extend_from_slice(&used.bytes.to_be_bytes());
    bytes
}

fn decoded(bytes: &[u8]) -> Option<UsageTotals> {
    let rest = bytes.strip_prefix(&[VERSION])?;
    let (requests, rest) = rest.split_first_chunk::<8>()?;
    let (bytes, _) = rest.split_first_chunk::<8>()?;
    Some(UsageTotals { requests: u64::from_be_bytes(*requests), bytes: u64::from_be_bytes(*bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_say_what_they_count() {
        // An hour whose number holds the separator.
        let hour = 0x0a0a_i64 * HOUR;
        let line = AccessLine {
            plan: "p".into(),
            key: "k".into(),
            api: "a".into(),
            stage: "s".into(),
            hour,
            ..AccessLine::default()
        };
        let used = UsageTotals { requests: 3, bytes: 400 };
        let expected =
            UsageHour { plan: "p".into(), key: "k".into(), api: "a".into(), stage: "s".into(), hour, sold: None, used };
        assert_eq!(usage_hour(&row_of(&line), &encoded(used)), Some(expected.clone()));
        let line = AccessLine { product: "sold".into(), customer: "two\nlines".into(), ..line };
        let sold = Some(Sold { product: "sold".into(), customer: "two\nlines".into() });
        assert_eq!(usage_hour(&row_of(&line), &encoded(used)), Some(UsageHour { sold, ..expected }));
        assert_eq!(decoded(&[9; ROW_BYTES]), None);
    }
}
