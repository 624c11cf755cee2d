//! The shape in which records and messages go to functions and answers come back: a front's business, plugged in by the
//! server.

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::EventSource;
use millstream_types::{LogId, ReceivedMessage, Record};

use crate::window::WindowShown;

/// Where a record comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The mapping's source.
    pub source: EventSource,
    /// The function that gets it.
    pub function: String,
    /// The shard's number in its stream.
    pub shard: u32,
    /// The shard's log.
    pub log: LogId,
}

/// Which records are for the function: says so of each in the form in which its event would hold it.
pub type Filter = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// What a function said of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// It has all of it.
    Everything,
    /// It does not have these; named as the event named them.
    Failed(Vec<String>),
    /// It said something that is no report: nothing is known of any record.
    Unreadable,
}

/// Events as functions see them, and names as the front has them. All of it is pure.
pub trait EventCodec: Send + Sync + 'static {
    /// A record as an event holds it.
    ///
    /// # Errors
    /// Why the record cannot be shown: it is of no form that the source has.
    fn record(&self, origin: &Origin, record: &Record) -> Result<Bytes, String>;

    /// What of a record is for the function, as an event holds it: `None` when nothing is. Of a record into which several were
    /// packed that is all of them that are wanted, one behind the other.
    ///
    /// # Errors
    /// As [`EventCodec::record`].
    fn wanted(&self, origin: &Origin, record: &Record, wants: &dyn Fn(&[u8]) -> bool) -> Result<Option<Bytes>, String> {
        let shown = self.record(origin, record)?;
        Ok(wants(&shown).then_some(shown))
    }

    /// A message as an event holds it.
    fn message(&self, queue: &str, message: &ReceivedMessage) -> Bytes;

    /// An event of records or messages; adds at most [`FRAME_BYTES`] and a byte for each.
    fn event(&self, records: &[Bytes]) -> Bytes;

    /// An event of records of a window; adds at most [`FRAME_BYTES`] and a byte for each to them and to the state.
    fn window_event(&self, origin: &Origin, records: &[Bytes], window: &WindowShown) -> Bytes;

    /// The state that an answer hands on, JSON; `None` when it has none.
    fn window_state(&self, answer: &[u8]) -> Option<String>;

    /// How events name a record.
    fn record_id(&self, origin: &Origin, offset: u64) -> String;

    /// The group of a function's log.
    fn log_group(&self, function: &str) -> String;

    /// What a function's answer says of the batch that it got.
    fn report(&self, answer: &[u8]) -> Report;

    /// What some patterns let through: whatever matches one of them.
    ///
    /// # Errors
    /// What is wrong with a pattern.
    fn filter(&self, source: &EventSource, patterns: &[String]) -> Result<Filter, String>;
}

/// Bytes of an event besides its records and a window's state.
pub const FRAME_BYTES: usize = 512;
