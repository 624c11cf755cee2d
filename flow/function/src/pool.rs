//! Warm processes: the last one used is used again, old ones are ended. Who may run at all is [`crate::turns`]' matter.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::process::Process;

/// How long a process may have nothing to do.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// The processes of a node that have nothing to do, by function.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<HashMap<String, Vec<Process>>>,
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, HashMap<String, Vec<Process>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A warm process of that generation. Those of others are ended.
    pub(crate) fn take(&self, function: &str, generation: &str) -> Option<Process> {
        let mut idle = self.idle();
        let processes = idle.get_mut(function)?;
        processes.retain(|process| process.generation == generation && process.alive());
        // The last one used is the one whose memory is still at hand.
        processes.pop()
    }

    /// Gives a process back for the next invocation.
    pub(crate) fn give_back(&self, function: &str, mut process: Process) {
        process.rest();
        self.idle().entry(function.to_owned()).or_default().push(process);
    }

    /// Ends processes that have had nothing to do for long.
    pub(crate) fn end_idle(&self) {
        self.idle().retain(|_, processes| {
            processes.retain(|process| process.alive() && process.idle_since.elapsed() < IDLE_MAX);
            !processes.is_empty()
        });
    }

    /// Ends those that have had nothing to do longest until no more than `count` are left.
    pub(crate) fn keep_at_most(&self, count: usize) {
        let mut idle = self.idle();
        while idle.values().map(Vec::len).sum::<usize>() > count {
            // Of one function the first has rested longest.
            let oldest =
                idle.values_mut().filter(|processes| !processes.is_empty()).min_by_key(|all| all[0].idle_since);
            let Some(processes) = oldest else { return };
            processes.remove(0);
        }
    }

    /// Ends the idle processes of a function.
    pub(crate) fn end(&self, function: &str) {
        self.idle().remove(function);
    }

    /// Asks all of them to end.
    pub(crate) fn terminate(&self) {
        self.idle().values().flatten().for_each(Process::terminate);
    }

    /// Kills all of them.
    pub(crate) fn clear(&self) {
        self.idle().clear();
    }
}
