//! What all parts of a mapping at work share, and one invocation with a batch.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{EventSourceMappingDefinition, FunctionDefinition};
use millstream_insight::Insight;
use millstream_stream::Streams;
use millstream_types::{Clock, ErrorKind, Invocation, Invoke, InvokeError, ReceiveMessages};
use tokio::sync::watch;

use crate::codec::{EventCodec, FRAME_BYTES, Filter, Report};
use crate::error::MappingError;
use crate::failure::FailureTargets;
use crate::permit::SourcePermits;
use crate::piece::Policy;
use crate::progress::ProgressStore;
use crate::status::{LastResult, Status};

/// Bytes of an event at most: the functions' limit.
pub(crate) const EVENT_BYTES_MAX: usize = (6 << 20) - FRAME_BYTES;

/// What can be set.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// First and longest wait before what failed is tried again; each is twice the one before.
    pub retry_waits: (Duration, Duration),
}

impl Default for Options {
    fn default() -> Self {
        Self { retry_waits: (Duration::from_secs(1), Duration::from_secs(60)) }
    }
}

/// What mappings read from and hand to, besides streams.
#[derive(Clone)]
pub struct Outside {
    /// Functions.
    pub invoke: Arc<dyn Invoke>,
    /// Queues.
    pub queues: Arc<dyn ReceiveMessages>,
    /// The shape of events.
    pub codec: Arc<dyn EventCodec>,
    /// What functions may be brought.
    pub permits: Arc<dyn SourcePermits>,
    /// Where discarded batches are told of.
    pub failures: Arc<dyn FailureTargets>,
}

/// A mapping at work, under one version of its definition.
pub(crate) struct Work {
    pub(crate) definition: Arc<EventSourceMappingDefinition>,
    pub(crate) filter: Option<Filter>,
    pub(crate) options: Options,
    pub(crate) outside: Outside,
    pub(crate) streams: Streams,
    pub(crate) insight: Insight,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) status: Arc<Status>,
    pub(crate) progress: ProgressStore,
}

/// A function was run on a batch.
pub(crate) struct Ran {
    /// The invocation's id; empty when it did not come to one.
    pub(crate) invocation: String,
    pub(crate) said: Said,
    /// The version of the function that ran, when that was not the function itself.
    pub(crate) version: Option<u32>,
    /// The state that it handed on, when one was asked for.
    pub(crate) state: Option<String>,
}

/// What a function said of a batch.
pub(crate) enum Said {
    Everything,
    /// It does not have these.
    NotThese(Vec<String>),
    Failed {
        /// What the function engine calls the failure.
        error: String,
        detail: String,
    },
}

impl Said {
    /// For the trail: `ok` or what was wrong.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Everything => "ok".to_owned(),
            Self::NotThese(ids) => format!("{} records were not taken", ids.len()),
            Self::Failed { detail, .. } => detail.clone(),
        }
    }
}

/// Characters of a function's answer that are told of it.
const DETAIL_CHARS: usize = 300;

impl Work {
    /// Runs the function on an event. A function that fails is an `Ok`, also one that hands no state on though one is
    /// wanted.
    ///
    /// # Errors
    /// Why it was not run: that is no attempt, it is to be tried later.
    pub(crate) async fn run(&self, event: Bytes, state_wanted: bool) -> Result<Ran, InvokeError> {
        let invocation = Invocation {
            function: self.definition.function.clone(),
            payload: event,
            source: self.asks(),
            client_context: None,
            log_tail: false,
        };
        let ran = match self.outside.invoke.invoke(invocation).await {
            Ok(outcome) => {
                let state = state_wanted.then(|| self.outside.codec.window_state(&outcome.payload)).flatten();
                let said = match outcome.error {
                    Some(error) => failed(error, &outcome.payload),
                    None if state_wanted && state.is_none() => {
                        failed("Unhandled".to_owned(), b"the answer has no state for the window")
                    }
                    None => self.said(&outcome.payload),
                };
                Ran { invocation: outcome.id, said, version: outcome.version, state }
            }
            Err(error) if comes_to_run(error.kind) => {
                self.status.ended(LastResult::Problem(error.message.clone()));
                return Err(error);
            }
            Err(error) => {
                let said = Said::Failed { error: "Unhandled".to_owned(), detail: error.message };
                Ran { invocation: String::new(), said, version: None, state: None }
            }
        };
        let metrics = &self.insight.metrics;
        metrics.counter("batches", &self.subject()).add(1);
        if matches!(ran.said, Said::Everything) {
            self.status.ended(LastResult::Taken);
        } else {
            self.status.ended(LastResult::Failed);
            metrics.counter("failed_batches", &self.subject()).add(1);
        }
        Ok(ran)
    }

    /// Whether the mapping may look at its source now.
    pub(crate) fn permitted(&self) -> Result<(), MappingError> {
        let checked = self.outside.permits.check(&self.definition.function, &self.definition.source);
        checked.map_err(|reason| MappingError::NotPermitted { reason })
    }

    fn said(&self, answer: &[u8]) -> Said {
        if !self.definition.settings.reports_failures {
            return Said::Everything;
        }
        match self.outside.codec.report(answer) {
            Report::Everything => Said::Everything,
            Report::Failed(ids) if ids.is_empty() => Said::Everything,
            Report::Failed(ids) => Said::NotThese(ids),
            Report::Unreadable => failed("Unhandled".to_owned(), answer),
        }
    }

    /// Who asks for the invocations: `stream:trades`, `queue:orders`.
    fn asks(&self) -> String {
        match self.definition.source.stream() {
            Some(stream) => format!("stream:{stream}"),
            None => format!("queue:{}", crate::check::source_name(&self.definition.source)),
        }
    }

    pub(crate) fn policy(&self) -> Policy {
        let settings = &self.definition.settings;
        Policy { retries_max: settings.retries_max, bisect: settings.bisect }
    }

    /// Whether a record, as its event would hold it, is for the function.
    pub(crate) fn wants(&self, record: &[u8]) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter(record))
    }

    /// How long to wait after so many failures.
    pub(crate) fn wait(&self, failures: u32) -> Duration {
        let (first, longest) = self.options.retry_waits;
        let doublings = failures.saturating_sub(1).min(20);
        first.saturating_mul(1 << doublings).min(longest)
    }

    /// Writes a line into the function's log, where its owner looks.
    pub(crate) fn tell_function(&self, line: String) {
        let (function, _) = FunctionDefinition::split_reference(&self.definition.function);
        let stream = format!("event-source-mapping/{}", self.definition.id);
        self.insight.logs.append(&self.outside.codec.log_group(function), &stream, [(self.clock.now(), line)]);
    }

    pub(crate) fn subject(&self) -> String {
        format!("mapping/{}", self.definition.id)
    }
}

fn failed(error: String, answer: &[u8]) -> Said {
    Said::Failed { error, detail: String::from_utf8_lossy(answer).chars().take(DETAIL_CHARS).collect() }
}

/// Whether what was not run may run later without anybody changing the batch.
fn comes_to_run(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Throttled | ErrorKind::Unavailable | ErrorKind::NotFound | ErrorKind::Forbidden)
}

/// Waits, but not when asked to stop; so it is too when nobody is left to ask.
pub(crate) async fn pause(stop: &watch::Receiver<bool>, wait: Duration) {
    let mut stop = stop.clone();
    let _ = tokio::time::timeout(wait, stop.wait_for(|stopped| *stopped)).await;
}

/// Whether work is to stop.
pub(crate) fn stopping(stop: &watch::Receiver<bool>) -> bool {
    *stop.borrow() || stop.has_changed().is_err()
}
