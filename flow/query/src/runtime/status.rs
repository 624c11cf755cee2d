//! What is known of a query at work: its state, what it counted, its last rows and errors.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use millstream_catalog::{QueryDefinition, QueryErrorLog};
use millstream_insight::Insight;
use millstream_types::{Clock, LogId, Millis};

use super::error::QueryError;
use crate::executor::steps::StepCounts;
use crate::executor::{Counts, Executor};

/// Rows of each output that are remembered for the console.
const RECENT_ROWS: usize = 200;
/// Errors of a query that are remembered.
const RECENT_ERRORS: usize = 100;
/// Lines of an error log in a second: a stream of bad records must not drive everything else out of the node's logs.
const LOGGED_PER_SECOND: u32 = 100;

/// What a query does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryState {
    /// Defined, not running.
    Stopped,
    /// About to run: its inputs are bound.
    Starting,
    /// Running.
    Running,
    /// Failed and tried again: the status has the error.
    Retrying,
}

impl QueryState {
    /// The state's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Retrying => "retrying",
        }
    }
}

/// How a query is doing.
#[derive(Debug, Clone)]
pub struct QueryStatus {
    /// What it does.
    pub state: QueryState,
    /// How far time has come; `None` before the first row.
    pub watermark: Option<Millis>,
    /// What it counted since it started.
    pub counts: Counts,
    /// Bytes of its state.
    pub state_bytes: usize,
    /// Groups that its windows hold.
    pub groups: usize,
    /// What each step of its plan has done.
    pub steps: Vec<StepCounts>,
    /// The last thing that failed, if it still matters.
    pub last_error: Option<String>,
}

/// A row that a query gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultRow {
    /// Its output.
    pub output: String,
    /// Its time: a window's end.
    pub time: Millis,
    /// The row as a record.
    pub data: Bytes,
}

/// An error that a query saw in its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenError {
    /// When.
    pub time: Millis,
    /// `unparsable`, `late`, ….
    pub kind: &'static str,
    /// What was expected and what was found.
    pub detail: String,
}

/// How far the rows of an output are handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryStatus {
    /// The output.
    pub output: String,
    /// The log of its rows.
    pub log: LogId,
    /// The function, container or bucket that gets them.
    pub target: String,
    /// Rows before this offset are handed on.
    pub next: u64,
    /// What fails, until something succeeds.
    pub failing: Option<Failing>,
}

/// A delivery that fails and is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// The first failure since the last success.
    pub since: Millis,
    /// What failed last.
    pub reason: String,
}

/// What is known of a running query; shared by its task, its deliveries and those who look.
pub(super) struct Running {
    clock: Arc<dyn Clock>,
    insight: Insight,
    subject: String,
    status: Mutex<QueryStatus>,
    /// What last failed in reading and computing; a success ends it.
    failure: Mutex<Option<String>>,
    /// By output.
    deliveries: Mutex<BTreeMap<String, DeliveryStatus>>,
    rows: Mutex<VecDeque<ResultRow>>,
    errors: Mutex<VecDeque<SeenError>>,
    /// Where errors are told besides.
    error_log: Option<QueryErrorLog>,
    /// The second of the last line, and how many lines it has.
    logged: Mutex<(Millis, u32)>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Running {
    pub(super) fn new(query: &QueryDefinition, insight: Insight, clock: Arc<dyn Clock>) -> Self {
        let status = QueryStatus {
            state: QueryState::Starting,
            watermark: None,
            counts: Counts::default(),
            state_bytes: 0,
            groups: 0,
            steps: Vec::new(),
            last_error: None,
        };
        Self {
            clock,
            insight,
            subject: format!("query/{}", query.name),
            status: Mutex::new(status),
            failure: Mutex::default(),
            deliveries: Mutex::default(),
            rows: Mutex::default(),
            errors: Mutex::default(),
            error_log: query.resource.as_ref().and_then(|resource| resource.error_log.clone()),
            logged: Mutex::default(),
        }
    }

    /// How the query is doing.
    pub(super) fn status(&self) -> QueryStatus {
        let undelivered = || {
            let deliveries = lock(&self.deliveries);
            let reason = deliveries.values().find_map(|delivery| delivery.failing.as_ref());
            reason.map(|failing| failing.reason.clone())
        };
        let last_error = lock(&self.failure).clone().or_else(undelivered);
        QueryStatus { last_error, ..lock(&self.status).clone() }
    }

    /// The last rows, oldest first.
    pub(super) fn rows(&self) -> Vec<ResultRow> {
        lock(&self.rows).iter().cloned().collect()
    }

    /// The last errors, oldest first.
    pub(super) fn errors(&self) -> Vec<SeenError> {
        lock(&self.errors).iter().cloned().collect()
    }

    pub(super) fn works(&self) {
        lock(&self.status).state = QueryState::Running;
        *lock(&self.failure) = None;
    }

    pub(super) fn fail(&self, error: &QueryError) {
        self.log(&error.to_string());
        lock(&self.status).state = QueryState::Retrying;
        *lock(&self.failure) = Some(error.to_string());
    }

    /// Begins to tell of an output's delivery.
    pub(super) fn delivers(&self, output: &str, log: LogId, target: String) {
        let status = DeliveryStatus { output: output.to_owned(), log, target, next: 0, failing: None };
        lock(&self.deliveries).insert(output.to_owned(), status);
    }

    /// How all outputs with a delivery are doing.
    pub(super) fn deliveries(&self) -> Vec<DeliveryStatus> {
        lock(&self.deliveries).values().cloned().collect()
    }

    /// Rows before `next` are handed on.
    pub(super) fn handed(&self, output: &str, next: u64) {
        if let Some(delivery) = lock(&self.deliveries).get_mut(output) {
            delivery.next = next;
        }
    }

    pub(super) fn not_delivered(&self, output: &str, error: &QueryError) {
        self.log(&error.to_string());
        if let Some(delivery) = lock(&self.deliveries).get_mut(output) {
            let since = delivery.failing.take().map_or_else(|| self.clock.now(), |failing| failing.since);
            delivery.failing = Some(Failing { since, reason: error.to_string() });
        }
    }

    pub(super) fn delivered(&self, output: &str) {
        if let Some(delivery) = lock(&self.deliveries).get_mut(output) {
            delivery.failing = None;
        }
    }

    pub(super) fn progress(&self, executor: &Executor, state_bytes: usize) {
        let (counts, watermark) = (executor.counts(), executor.watermark());
        let mut status = lock(&self.status);
        let grown = |now: u64, before: u64| now.saturating_sub(before);
        let metrics = &self.insight.metrics;
        metrics.counter("rows_in", &self.subject).add(grown(counts.rows_in, status.counts.rows_in));
        metrics.counter("rows_out", &self.subject).add(grown(counts.rows_out, status.counts.rows_out));
        metrics.counter("late", &self.subject).add(grown(counts.order.late, status.counts.order.late));
        let errors = |counts: &Counts| counts.decode_errors + counts.runtime_errors;
        metrics.counter("errors", &self.subject).add(grown(errors(&counts), errors(&status.counts)));
        if watermark > i64::MIN {
            metrics.gauge("watermark_lag_ms", &self.subject).set(self.clock.now().saturating_sub(watermark).max(0));
            status.watermark = Some(watermark);
        }
        status.counts = counts;
        let steps = executor.steps();
        for (index, now) in steps.iter().enumerate() {
            let before = status.steps.get(index).map_or((0, 0), |before| (before.rows_in, before.rows_out));
            let subject = format!("{}/step/{index}", self.subject);
            metrics.counter("rows_in", &subject).add(grown(now.rows_in, before.0));
            metrics.counter("rows_out", &subject).add(grown(now.rows_out, before.1));
        }
        status.steps = steps;
        status.groups = executor.groups();
        status.state_bytes = state_bytes;
    }

    pub(super) fn emitted(&self, output: &str, times: &[i64], data: &[&Bytes]) {
        let mut rows = lock(&self.rows);
        for (time, data) in times.iter().zip(data) {
            if rows.len() == RECENT_ROWS {
                rows.pop_front();
            }
            rows.push_back(ResultRow { output: output.to_owned(), time: *time, data: Bytes::clone(data) });
        }
    }

    pub(super) fn seen(&self, kind: &'static str, detail: &str) {
        self.log(&format!("{kind}: {detail}"));
        let mut errors = lock(&self.errors);
        if errors.len() == RECENT_ERRORS {
            errors.pop_front();
        }
        errors.push_back(SeenError { time: self.clock.now(), kind, detail: detail.to_owned() });
    }

    /// A line in the query's error log.
    fn log(&self, line: &str) {
        let Some(log) = &self.error_log else { return };
        let now = self.clock.now();
        let mut logged = lock(&self.logged);
        if logged.0 != now / 1_000 {
            *logged = (now / 1_000, 0);
        }
        logged.1 += 1;
        if logged.1 <= LOGGED_PER_SECOND {
            self.insight.logs.append(&log.group, &log.stream, [(now, line.to_owned())]);
        }
    }
}
