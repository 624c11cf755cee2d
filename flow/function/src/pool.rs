//! Which process runs what: warm ones are used again, new ones are started up to the limits, old ones are ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::FunctionError;
use crate::process::Process;

/// How long a process may have nothing to do.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// How long a caller waits for its turn when the node's limit is reached.
const TURN_WAIT: Duration = Duration::from_secs(5);

/// The processes of a node.
pub(crate) struct Pool {
    limit: usize,
    turns: Arc<Semaphore>,
    functions: Mutex<HashMap<String, Slots>>,
}

#[derive(Default)]
struct Slots {
    idle: Vec<Process>,
    busy: usize,
}

/// The right to run one invocation of a function; given back when dropped.
pub(crate) struct Turn {
    pool: Arc<Pool>,
    function: String,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(slots) = self.pool.functions().get_mut(&self.function) {
            slots.busy -= 1;
        }
    }
}

impl Pool {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, turns: Arc::new(Semaphore::new(limit)), functions: Mutex::default() }
    }

    fn functions(&self) -> MutexGuard<'_, HashMap<String, Slots>> {
        self.functions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a turn. A function at its own limit is throttled at once; at the node's limit a caller waits a moment.
    pub(crate) async fn turn(self: &Arc<Self>, function: &str, limit: Option<u32>) -> Result<Turn, FunctionError> {
        let throttled = |limit: usize| FunctionError::Throttled { running: limit, limit };
        if let Some(limit) = limit
            && self.running(function) >= limit as usize
        {
            return Err(throttled(limit as usize));
        }
        let permit = tokio::time::timeout(TURN_WAIT, Arc::clone(&self.turns).acquire_owned())
            .await
            .map_err(|_| throttled(self.limit))?
            .map_err(|_| FunctionError::Stopping)?;
        let mut functions = self.functions();
        let slots = functions.entry(function.to_owned()).or_default();
        if let Some(limit) = limit
            && slots.busy >= limit as usize
        {
            return Err(throttled(limit as usize));
        }
        slots.busy += 1;
        Ok(Turn { pool: Arc::clone(self), function: function.to_owned(), _permit: permit })
    }

    /// Invocations of a function that run now.
    pub(crate) fn running(&self, function: &str) -> usize {
        self.functions().get(function).map_or(0, |slots| slots.busy)
    }

    /// A warm process of that revision. Those of other revisions are ended.
    pub(crate) fn take(&self, function: &str, revision: &str) -> Option<Process> {
        let mut functions = self.functions();
        let slots = functions.get_mut(function)?;
        slots.idle.retain(|process| process.revision == revision && process.alive());
        // The last one used is the one whose memory is still at hand.
        slots.idle.pop()
    }

    /// Gives a process back for the next invocation.
    pub(crate) fn give_back(&self, function: &str, mut process: Process) {
        process.rest();
        self.functions().entry(function.to_owned()).or_default().idle.push(process);
    }

    /// Ends processes that have had nothing to do for long.
    pub(crate) fn end_idle(&self) {
        for slots in self.functions().values_mut() {
            slots.idle.retain(|process| process.alive() && process.idle_since.elapsed() < IDLE_MAX);
        }
    }

    /// Ends the idle processes of a function.
    pub(crate) fn end(&self, function: &str) {
        if let Some(slots) = self.functions().get_mut(function) {
            slots.idle.clear();
        }
    }

    /// No more turns; idle processes are asked to end.
    pub(crate) fn close(&self) {
        self.turns.close();
        for slots in self.functions().values_mut() {
            slots.idle.iter().for_each(Process::terminate);
        }
    }

    /// Kills what is idle and says how many invocations still run.
    pub(crate) fn clear(&self) -> usize {
        let mut functions = self.functions();
        functions.values_mut().for_each(|slots| slots.idle.clear());
        functions.values().map(|slots| slots.busy).sum()
    }
}
