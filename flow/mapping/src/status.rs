//! How a mapping is doing, for those who ask; in memory only.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_catalog::EventSourceMappingDefinition;
use millstream_stream::Streams;
use millstream_types::{LogId, Millis};

/// What a mapping does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Phase {
    Creating,
    Enabling,
    Enabled,
    Disabling,
    Disabled,
    Updating,
    Deleting,
}

/// What came of the last batch since the node started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastResult {
    /// There was none.
    None,
    /// The function took it.
    Taken,
    /// The function failed, or did not take all of it.
    Failed,
    /// The function was not run, or the source could not be read: why.
    Problem(String),
}

/// How far a mapping is behind the end of its stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// Records that are not done.
    pub records: u64,
    /// Age of the last record of the oldest batch that is being worked off.
    pub age_ms: Millis,
}

/// A mapping and how it is doing.
#[derive(Debug, Clone, PartialEq)]
pub struct MappingView {
    /// What it is.
    pub definition: Arc<EventSourceMappingDefinition>,
    /// What it does.
    pub phase: Phase,
    /// What came of its last batch.
    pub last: LastResult,
    /// How far it is behind; `None` for a queue, and while it does not run.
    pub lag: Option<Lag>,
}

/// One mapping's.
pub(crate) struct Status(Mutex<Inner>);

struct Inner {
    phase: Phase,
    last: LastResult,
    /// By log and lane.
    lanes: BTreeMap<(LogId, u32), LaneStatus>,
}

#[derive(Clone, Copy, Default)]
struct LaneStatus {
    position: u64,
    /// When the log took the last record of the batch at hand.
    at_hand: Option<Millis>,
}

impl Status {
    pub(crate) fn new(phase: Phase) -> Self {
        Self(Mutex::new(Inner { phase, last: LastResult::None, lanes: BTreeMap::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.lock().phase
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.lock().phase = phase;
    }

    pub(crate) fn last(&self) -> LastResult {
        self.lock().last.clone()
    }

    pub(crate) fn ended(&self, result: LastResult) {
        self.lock().last = result;
    }

    /// A lane's place, and when the log took the last record of what it has at hand.
    pub(crate) fn lane(&self, log: LogId, lane: u32, position: u64, at_hand: Option<Millis>) {
        self.lock().lanes.insert((log, lane), LaneStatus { position, at_hand });
    }

    /// Forgets lanes: all, or those of one log.
    pub(crate) fn forget(&self, log: Option<LogId>) {
        self.lock().lanes.retain(|(of, _), _| log.is_some_and(|log| log != *of));
    }

    pub(crate) fn lag(&self, streams: &Streams, now: Millis) -> Option<Lag> {
        let lanes = self.lock().lanes.clone();
        let mut positions: BTreeMap<LogId, u64> = BTreeMap::new();
        let mut age_ms = 0;
        for ((log, _), lane) in &lanes {
            let position = positions.entry(*log).or_insert(lane.position);
            *position = (*position).min(lane.position);
            age_ms = lane.at_hand.map_or(age_ms, |at_hand| age_ms.max(now - at_hand));
        }
        let behind = |(log, position): (&LogId, &u64)| {
            let bounds = streams.bounds(*log);
            bounds.next.saturating_sub((*position).max(bounds.first))
        };
        (!lanes.is_empty()).then(|| Lag { records: positions.iter().map(behind).sum(), age_ms })
    }
}
