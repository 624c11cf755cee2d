//! Transactions: many items of some tables written, or read, as one. All conditions hold and all writes are done, or none
//! is; one [`Transaction`] of the store makes it so.
//!
//! A write may carry a token: the same write with the same token within ten minutes is done once. Tokens are committed with
//! what they stand for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::TableDefinition;
use millstream_storage::{Keyspace, Transaction};
use millstream_types::{BoxFuture, Millis};

use super::Tables;
use super::items::{Deletion, Put, Update, check_item, check_spares_key, checked, units_of, updated};
use super::stripes::Needed;
use super::throttle::Use;
use super::writing::Writing;
use crate::capacity::{read_units, write_units};
use crate::change::ChangeCause;
use crate::error::TableError;
use crate::expression::{Condition, UpdateExpression};
use crate::item::{self, Item};
use crate::key;

/// Items of one transaction: the service family's own limit.
pub const TRANSACT_MAX: usize = 100;
/// Bytes of all items of one transaction: the service family's own 4 MB.
pub const TRANSACT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What a transaction's units are of those of single requests: one for preparing, one for committing.
const TRANSACT_FACTOR: f64 = 2.0;
/// How long a token is known: between one and two slots of ten minutes.
const TOKEN_SLOT_MS: Millis = 600_000;
/// Old tokens that go with each new one: more than one, so that they all go.
const TOKENS_SWEPT: usize = 16;

/// One write of a transaction. What was there before is not told.
#[derive(Debug, Clone)]
pub enum TransactWrite {
    /// Puts an item.
    Put(Put),
    /// Removes an item.
    Delete(Deletion),
    /// Changes an item.
    Update(Update),
    /// Only makes sure that a condition holds.
    Check {
        /// The item's key.
        key: Item,
        /// What must hold.
        condition: Condition,
    },
}

/// Makes a repeated transaction be done once.
#[derive(Debug, Clone)]
pub struct Token {
    /// The caller's own text.
    pub text: String,
    /// Tells what was asked for: the same for the same request.
    pub fingerprint: u64,
}

/// What became of a transaction.
#[derive(Debug, Clone, Default)]
pub struct TransactWritten {
    /// Write capacity units by table; none for a repetition, which does nothing.
    pub units: BTreeMap<String, f64>,
}

/// What a transaction read.
#[derive(Debug, Clone, Default)]
pub struct TransactGot {
    /// In the order of the keys.
    pub items: Vec<Option<Item>>,
    /// Read capacity units by table.
    pub units: BTreeMap<String, f64>,
}

/// A write, checked as far as it can be without its item.
struct Planned {
    table: Arc<TableDefinition>,
    key: Bytes,
    condition: Option<Condition>,
    action: Action,
    taken: f64,
}

enum Action {
    Put(Item),
    Delete,
    Update(Item, Option<UpdateExpression>),
    Check,
}

impl Tables {
    /// Writes items of some tables, all or none. Durable when this returns.
    ///
    /// # Errors
    /// [`TableError::Cancelled`] says for each write what stood against it; [`TableError::TokenReused`];
    /// [`TableError::BatchSize`], [`TableError::SameItemTwice`], [`TableError::TransactionTooLarge`],
    /// [`TableError::TableNotFound`], those of keys and limits, [`TableError::Storage`]: nothing was written.
    pub fn transact_write(
        &self,
        writes: Vec<(String, TransactWrite)>,
        token: Option<Token>,
    ) -> BoxFuture<'_, Result<TransactWritten, TableError>> {
        Box::pin(async move {
            check_count(writes.len())?;
            let planned = writes.into_iter().map(|(table, write)| self.plan_transact(&table, write));
            let planned = planned.collect::<Result<Vec<_>, _>>()?;
            check_distinct(planned.iter().map(|write| (write.table.id, write.key.clone())))?;
            self.take_all(Use::Write, planned.iter().map(|write| (&*write.table, write.taken)))?;
            let submitted = self.off_worker(move |engine| engine.submit_transaction(planned, token)).await;
            match submitted {
                Ok((Some(ticket), written)) => {
                    ticket.durable().await?;
                    Ok(written)
                }
                Ok((None, written)) => {
                    // The first of the repetitions may still be on its way to the disk.
                    self.settled().await?;
                    Ok(written)
                }
                Err(error) => {
                    self.settled().await?;
                    Err(error)
                }
            }
        })
    }

    /// The items of some keys as they were at one moment.
    ///
    /// # Errors
    /// [`TableError::Cancelled`] when a table has no capacity left; [`TableError::BatchSize`],
    /// [`TableError::SameItemTwice`], [`TableError::TransactionTooLarge`], [`TableError::TableNotFound`],
    /// [`TableError::KeyMismatch`], [`TableError::Storage`].
    pub fn transact_get(&self, keys: Vec<(String, Item)>) -> BoxFuture<'_, Result<TransactGot, TableError>> {
        Box::pin(async move {
            check_count(keys.len())?;
            let mut places = Vec::with_capacity(keys.len());
            for (table, key) in keys {
                let table = self.table(&table)?;
                let key = key::encode_of_key(&table, &key)?;
                places.push((table, key));
            }
            check_distinct(places.iter().map(|(table, key)| (table.id, key.clone())))?;
            let taken = read_units(0, true) * TRANSACT_FACTOR;
            self.take_all(Use::Read, places.iter().map(|(table, _)| (&**table, taken)))?;
            let got = self
                .off_worker(move |engine| {
                    let _turn =
                        engine.stripes.lock(&Needed::of(&places.iter().map(|(_, key)| key).collect::<Vec<_>>()));
                    let (mut got, mut bytes) = (TransactGot::default(), 0);
                    for (table, key) in &places {
                        let found = engine.submitted(table, key)?;
                        let size = found.as_ref().map_or(0, item::size);
                        let units = read_units(size, true) * TRANSACT_FACTOR;
                        engine.throttle.correct(table, Use::Read, taken, units);
                        *got.units.entry(table.name.clone()).or_default() += units;
                        bytes += size;
                        got.items.push(found);
                    }
                    check_bytes(bytes).map(|()| got)
                })
                .await?;
            // What was read may still be on its way to the disk.
            self.settled().await?;
            Ok(got)
        })
    }

    fn plan_transact(&self, table: &str, write: TransactWrite) -> Result<Planned, TableError> {
        let table = self.table(table)?;
        let (key, condition, action, bytes) = match write {
            TransactWrite::Put(Put { item, condition, .. }) => {
                let key = key::encode_of_item(&table, &item)?;
                check_item(&table, &item)?;
                let bytes = item::size(&item);
                (key, condition, Action::Put(item), bytes)
            }
            TransactWrite::Delete(Deletion { key, condition, .. }) => {
                (key::encode_of_key(&table, &key)?, condition, Action::Delete, 0)
            }
            TransactWrite::Update(Update { key, update, condition }) => {
                check_spares_key(&table, update.as_ref())?;
                (key::encode_of_key(&table, &key)?, condition, Action::Update(key, update), 0)
            }
            TransactWrite::Check { key, condition } => {
                (key::encode_of_key(&table, &key)?, Some(condition), Action::Check, 0)
            }
        };
        let taken = write_units(bytes) * TRANSACT_FACTOR;
        Ok(Planned { table, key, condition, action, taken })
    }

    /// Takes the units of all parts, or tells which of them there are none for.
    fn take_all<'t>(
        &self,
        wanted: Use,
        parts: impl Iterator<Item = (&'t TableDefinition, f64)> + Clone,
    ) -> Result<(), TableError> {
        self.throttle.take_all(wanted, parts).map_err(|reasons| TableError::Cancelled { reasons })
    }

    /// Gives back what was taken for writes that are not even tried.
    fn give_back(&self, taken: &[(Arc<TableDefinition>, f64)]) {
        taken.iter().for_each(|(table, units)| self.throttle.give_back(table, Use::Write, *units));
    }

    /// Checks and submits; no ticket for the repetition of what was done.
    fn submit_transaction(
        &self,
        planned: Vec<Planned>,
        token: Option<Token>,
    ) -> Result<(Option<millstream_storage::Ticket>, TransactWritten), TableError> {
        let mut locked: Vec<Bytes> = planned.iter().map(|write| write.key.clone()).collect();
        locked.extend(token.iter().map(|token| Bytes::copy_from_slice(token.text.as_bytes())));
        let _turn = self.stripes.lock(&Needed::of(&locked));
        let taken: Vec<_> = planned.iter().map(|write| (Arc::clone(&write.table), write.taken)).collect();
        if let Some(token) = &token {
            match self.is_known(token) {
                Ok(false) => {}
                known => {
                    self.give_back(&taken);
                    return known.map(|_| (None, TransactWritten::default()));
                }
            }
        }
        let (mut reasons, mut written, mut bytes) = (Vec::new(), TransactWritten::default(), 0);
        let mut used = Vec::with_capacity(taken.len());
        let mut writing = Writing::new(self);
        for Planned { table, key, condition, action, .. } in planned {
            let old = self.submitted(&table, &key)?;
            let outcome = checked(condition.as_ref(), old.as_ref()).and_then(|()| match action {
                Action::Put(item) => Ok(Some(Some(item))),
                Action::Delete => Ok(Some(None)),
                Action::Update(key, update) => updated(&table, &key, old.as_ref(), update.as_ref()).map(Some),
                Action::Check => Ok(None),
            });
            let new = outcome.as_ref().ok().and_then(Option::as_ref).and_then(Option::as_ref);
            let mut units = units_of(old.as_ref(), new);
            bytes += new.map_or(0, item::size);
            if let Ok(Some(new)) = &outcome {
                units += writing.item(&table, key, (old.as_ref(), new.as_ref()), ChangeCause::Caller)?;
            }
            units *= TRANSACT_FACTOR;
            used.push(units);
            *written.units.entry(table.name.clone()).or_default() += units;
            reasons.push(outcome.err());
        }
        if reasons.iter().all(Option::is_none) {
            check_bytes(bytes).inspect_err(|_| self.give_back(&taken))?;
        }
        // A condition that does not hold is paid for: what stands against it was read.
        for ((table, taken), used) in taken.iter().zip(used) {
            self.throttle.correct(table, Use::Write, *taken, used);
        }
        cancelled(reasons)?;
        let mut written_to = writing.finish()?;
        if let Some(token) = &token {
            self.keep(token, &mut written_to.transaction)?;
        }
        Ok((Some(self.submit(written_to)?), written))
    }

    /// Whether what a token stands for was done.
    fn is_known(&self, token: &Token) -> Result<bool, TableError> {
        let slot = self.clock.now().div_euclid(TOKEN_SLOT_MS);
        for slot in [slot, slot - 1] {
            let Some(found) = self.storage.get_submitted(&tokens(), &token_key(slot, &token.text))? else { continue };
            let same = found[..] == token.fingerprint.to_be_bytes();
            return if same { Ok(true) } else { Err(TableError::TokenReused { token: token.text.clone() }) };
        }
        Ok(false)
    }

    /// Adds a token to the transaction that it stands for, and lets some old ones go.
    fn keep(&self, token: &Token, transaction: &mut Transaction) -> Result<(), TableError> {
        let slot = self.clock.now().div_euclid(TOKEN_SLOT_MS);
        let oldest = token_key(slot - 1, "");
        let old = self.storage.scan(&tokens(), (Bound::Unbounded, Bound::Excluded(&oldest)), false, TOKENS_SWEPT)?;
        for (key, _) in old {
            transaction.delete(&tokens(), key);
        }
        transaction.put(&tokens(), token_key(slot, &token.text), token.fingerprint.to_be_bytes().to_vec());
        Ok(())
    }
}

/// Where tokens lie: by slot, then text.
fn tokens() -> Keyspace {
    Keyspace::new("table/tokens")
}

fn token_key(slot: i64, text: &str) -> Vec<u8> {
    [&slot.to_be_bytes()[..], text.as_bytes()].concat()
}

fn cancelled(reasons: Vec<Option<TableError>>) -> Result<(), TableError> {
    if reasons.iter().all(Option::is_none) { Ok(()) } else { Err(TableError::Cancelled { reasons }) }
}

fn check_count(found: usize) -> Result<(), TableError> {
    let max = TRANSACT_MAX;
    if found == 0 || found > max { Err(TableError::BatchSize { found, max }) } else { Ok(()) }
}

fn check_bytes(bytes: usize) -> Result<(), TableError> {
    let max = TRANSACT_BYTES_MAX;
    if bytes > max { Err(TableError::TransactionTooLarge { bytes, max }) } else { Ok(()) }
}

fn check_distinct(mut places: impl Iterator<Item = (u64, Bytes)>) -> Result<(), TableError> {
    let mut seen = BTreeSet::new();
    if places.all(|place| seen.insert(place)) { Ok(()) } else { Err(TableError::SameItemTwice) }
}
