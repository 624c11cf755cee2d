//! Rows that fail, and records that are none: told with the query, and rows of its error stream where something reads that.
//!
//! A row of the error stream has the time of the row at fault, so it is the same when it is made again.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, RecordBatch as ArrowBatch, StringArray, TimestampMillisecondArray};
use bytes::Bytes;

use super::{ExecuteError, Executor, RowError, rowtimes};
use crate::decode::DecodeError;
use crate::plan::{ERROR_MESSAGE_CHARS_MAX, ERROR_ROW_BYTES_MAX, StepInput};
use crate::value::convert::to_json;
use crate::value::json::quoted;

/// Bytes that rows of the error stream may have which are made at once: of what is read together, or ends together.
const TOLD_BYTES_MAX: usize = 8 << 20;

/// Bytes of a row of the error stream besides its message and its data, as it is written with its partition key.
const TOLD_ROW_BYTES: usize = 512;

/// A row that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Its place in the batch that was computed.
    pub(crate) row: usize,
    pub(crate) reason: String,
}

/// What the error stream tells of something that went wrong.
struct Told<'t> {
    /// The time of the row, of the group's window, or of the record's arrival.
    time: i64,
    reason: &'t str,
    /// The bytes at fault, as far as there is room for them in a row.
    data: Option<Bytes>,
}

/// The room for rows of the error stream that are made at once.
#[derive(Default)]
pub(super) struct ErrorRoom {
    /// Bytes that are taken.
    taken: usize,
}

impl ErrorRoom {
    /// Takes room for a row with a message and so many bytes of data, if there is enough.
    fn take(&mut self, message: &str, data: usize) -> bool {
        // A message may have characters that are several in JSON; each byte of data is two digits.
        let row = TOLD_ROW_BYTES + quoted(message).len() + 2 * data;
        let taken = self.taken.saturating_add(row);
        if taken > TOLD_BYTES_MAX {
            return false;
        }
        self.taken = taken;
        true
    }
}

impl Executor {
    /// Says that records of one read follow, or what ends together: the error stream has its room again.
    pub(crate) fn begin_read(&mut self) {
        self.error_room.taken = 0;
    }

    /// Tells of rows of a step's input that failed in it.
    pub(super) fn failed(&mut self, step: usize, rows: &ArrowBatch, failures: &[Failure]) -> Result<(), ExecuteError> {
        self.note_failed(failures.iter().map(|failure| &failure.reason));
        if failures.is_empty() || self.tells_of(step).is_none() {
            return Ok(());
        }
        let times = rowtimes(rows);
        let told = failures.iter().map(|Failure { row, reason }| Told {
            time: times[*row],
            reason,
            data: Some(Bytes::from(json_of(&rows.slice(*row, 1)))),
        });
        self.tell(step, told)
    }

    /// Tells of groups of a step that failed: when their windows ended, and why.
    pub(super) fn failed_groups(&mut self, step: usize, failures: &[(i64, String)]) -> Result<(), ExecuteError> {
        self.note_failed(failures.iter().map(|(_, reason)| reason));
        let told = failures.iter().map(|(time, reason)| Told { time: *time, reason, data: None });
        self.tell(step, told)
    }

    /// Notes what failed, and nothing else: no row of the error stream comes of it.
    pub(super) fn note_failed<'r>(&mut self, reasons: impl Iterator<Item = &'r String>) {
        let before = self.produced.errors.len();
        let error = |detail: &String| RowError { record: None, kind: "failed", detail: detail.clone() };
        self.produced.errors.extend(reasons.map(error));
        self.counts.runtime_errors += (self.produced.errors.len() - before) as u64;
    }

    /// Tells of records of a shard that are no rows.
    pub(super) fn unparsable(
        &mut self,
        (source, shard): (usize, usize),
        errors: Vec<DecodeError>,
    ) -> Result<(), ExecuteError> {
        self.counts.decode_errors += errors.len() as u64;
        if let Some(step) = self.error_step {
            let told = errors.iter().map(|error| Told {
                time: error.arrival,
                reason: &error.reason,
                data: Some(error.data.clone()),
            });
            self.give_errors(step, ("Parse error", None), told)?;
        }
        let told = |error: DecodeError| RowError {
            record: Some((source, shard, error.offset)),
            kind: "unparsable",
            detail: error.reason,
        };
        self.produced.errors.extend(errors.into_iter().map(told));
        Ok(())
    }

    /// The step that holds what goes wrong in another one, if there is one.
    fn tells_of(&self, step: usize) -> Option<usize> {
        self.error_step.filter(|errors| self.program.steps[*errors].inputs.contains(&StepInput::Step(step)))
    }

    fn tell<'t>(&mut self, step: usize, told: impl ExactSizeIterator<Item = Told<'t>>) -> Result<(), ExecuteError> {
        let Some(errors) = self.tells_of(step) else { return Ok(()) };
        let pump = self.program.steps[step].pump.clone();
        self.give_errors(errors, ("Runtime error", pump.as_deref()), told)
    }

    /// Gives rows of the error stream, as many as there is room for; no more than that are made.
    fn give_errors<'t>(
        &mut self,
        step: usize,
        (name, pump): (&str, Option<&str>),
        told: impl ExactSizeIterator<Item = Told<'t>>,
    ) -> Result<(), ExecuteError> {
        let all = told.len();
        let (mut times, mut messages, mut data) = (Vec::new(), Vec::new(), Vec::new());
        for told in told {
            let message: String = told.reason.chars().take(ERROR_MESSAGE_CHARS_MAX).collect();
            if !self.error_room.take(&message, told.data.as_ref().map_or(0, Bytes::len)) {
                self.note_left_out(all - times.len());
                break;
            }
            times.push(told.time);
            messages.push(message);
            data.push(told.data.as_deref().map(hex));
        }
        let texts = |text: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![text; times.len()])) };
        let (level, name, pump) = (texts(Some("ERROR")), texts(Some(name)), texts(pump));
        let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(times));
        let columns: Vec<ArrayRef> = vec![
            Arc::clone(&times),
            level,
            name,
            Arc::new(StringArray::from(messages)),
            Arc::clone(&times),
            Arc::new(StringArray::from(data)),
            pump,
            times,
        ];
        let schema = Arc::clone(&self.program.steps[step].schema);
        self.give(step, &ArrowBatch::try_new(schema, columns)?)
    }

    fn note_left_out(&mut self, rows: usize) {
        let room = TOLD_BYTES_MAX >> 20;
        let detail = format!(
            "what goes wrong with records that are read at once, or windows that end together, makes more than {room} MiB of rows of the \
             error stream: {rows} rows are left out of it"
        );
        self.produced.errors.push(RowError { record: None, kind: "failed", detail });
    }
}

/// A row's visible columns: `{"PRICE":0,…}`.
fn json_of(row: &ArrowBatch) -> Vec<u8> {
    let (schema, mut text) = (row.schema(), String::from("{"));
    for (place, column) in row.columns()[..row.num_columns() - 1].iter().enumerate() {
        let json = to_json(std::slice::from_ref(column)).ok();
        let value = json.as_ref().and_then(|json| json.as_string::<i64>().iter().next().flatten());
        let comma = if place > 0 { "," } else { "" };
        // Writing to a text cannot fail.
        let _ = write!(text, "{comma}{}:{}", quoted(schema.field(place).name()), value.unwrap_or("null"));
        if text.len() > ERROR_ROW_BYTES_MAX {
            break;
        }
    }
    text.push('}');
    let mut bytes = text.into_bytes();
    bytes.truncate(ERROR_ROW_BYTES_MAX);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        let _ = write!(hex, "{byte:02X}");
        hex
    })
}
