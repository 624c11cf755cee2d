//! Provisioned tables: requests over a table's reads or writes per second are refused. Counts what all tables consume.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use millstream_catalog::TableDefinition;
use millstream_insight::{Counter, Metrics};
use millstream_types::Clock;

use crate::capacity::Budget;
use crate::error::TableError;

/// What a request uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Use {
    /// Read capacity.
    Read,
    /// Write capacity.
    Write,
}

/// The budgets of provisioned tables, by the table's id. In memory: a restart forgets what was used, not what is allowed.
pub(super) struct Throttle {
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    accounts: Mutex<HashMap<(u64, Use), Account>>,
}

struct Account {
    budget: Option<Budget>,
    /// Half units: reads that need not be consistent count for half a unit.
    consumed: Counter,
    refused: Counter,
}

impl Throttle {
    pub(super) fn new(clock: Arc<dyn Clock>, metrics: Metrics) -> Self {
        Self { clock, metrics, accounts: Mutex::default() }
    }

    /// Where it is counted.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Takes units before a request is done.
    ///
    /// # Errors
    /// [`TableError::Throttled`]: nothing is left.
    pub(super) fn take(&self, table: &TableDefinition, wanted: Use, units: f64) -> Result<(), TableError> {
        self.with_account(table, wanted, |account| {
            let now = self.clock.now();
            if account.budget.as_mut().is_none_or(|budget| budget.take(units, now)) {
                account.consumed.add(half_units(units));
                return Ok(());
            }
            account.refused.add(1);
            Err(TableError::Throttled { table: table.name.clone() })
        })
    }

    /// Takes the units of all parts, or of none: why not of each, in their order, `None` for those that there were units for.
    pub(super) fn take_all<'t>(
        &self,
        wanted: Use,
        parts: impl Iterator<Item = (&'t TableDefinition, f64)> + Clone,
    ) -> Result<(), Vec<Option<TableError>>> {
        let mut reasons = Vec::new();
        for (table, units) in parts.clone() {
            reasons.push(self.take(table, wanted, units).err());
        }
        if reasons.iter().all(Option::is_none) {
            return Ok(());
        }
        let taken = parts.zip(&reasons).filter(|(_, reason)| reason.is_none());
        taken.for_each(|((table, units), _)| self.give_back(table, wanted, units));
        Err(reasons)
    }

    /// Gives back what was taken for a request that was refused for another reason. It stays counted as consumed.
    pub(super) fn give_back(&self, table: &TableDefinition, wanted: Use, units: f64) {
        self.correct(table, wanted, units, 0.0);
    }

    /// Corrects what was taken to what the request used in truth.
    pub(super) fn correct(&self, table: &TableDefinition, wanted: Use, taken: f64, used: f64) {
        self.with_account(table, wanted, |account| {
            if let Some(budget) = &mut account.budget {
                budget.correct(used - taken);
            }
            // Counters only rise: a request never uses less than the smallest, which is what was taken.
            account.consumed.add(half_units((used - taken).max(0.0)));
        });
    }

    /// Forgets a table that is gone.
    pub(super) fn forget(&self, table: &TableDefinition) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        [Use::Read, Use::Write].iter().for_each(|&wanted| {
            accounts.remove(&(table.id, wanted));
        });
    }

    fn with_account<T>(&self, table: &TableDefinition, wanted: Use, work: impl FnOnce(&mut Account) -> T) -> T {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let account = accounts.entry((table.id, wanted)).or_insert_with(|| {
            let subject = format!("table/{}", table.name);
            let consumed = match wanted {
                Use::Read => "read_capacity_half_units",
                Use::Write => "write_capacity_half_units",
            };
            Account {
                budget: None,
                consumed: self.metrics.counter(consumed, &subject),
                refused: self.metrics.counter("throttled_requests", &subject),
            }
        });
        let rate = table.provisioned.map(|(reads, writes)| if wanted == Use::Read { reads } else { writes });
        let now = self.clock.now();
        match (rate, &mut account.budget) {
            (None, budget) => *budget = None,
            (Some(rate), Some(budget)) if budget.per_second() != rate => budget.set_rate(rate, now),
            (Some(_), Some(_)) => {}
            (Some(rate), budget @ None) => *budget = Some(Budget::new(rate, table.created, now)),
        }
        work(account)
    }
}

fn half_units(units: f64) -> u64 {
    (units * 2.0).round() as u64
}
