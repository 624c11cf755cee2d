//! Rows that fail, and records that are none: told with the query, and rows of its error stream where something reads that.
//!
//! A row of the error stream has the time of the row at fault, so it is the same when it is made again.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, RecordBatch as ArrowBatch, StringArray, TimestampMillisecondArray};

use super::{ExecuteError, Executor, RowError, rowtimes};
use crate::decode::DecodeError;
use crate::plan::{ERROR_MESSAGE_CHARS_MAX, ERROR_ROW_BYTES_MAX, StepInput};
use crate::value::convert::to_json;
use crate::value::json::quoted;

/// Bytes that rows of the error stream may have which are made at once: they are written in one transaction with what else comes of
/// the same records.
const TOLD_BYTES_MAX: usize = 8 << 20;

/// Bytes of a row of the error stream besides its message and its data, as it is written.
const TOLD_ROW_BYTES: usize = 256;

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
    data: Option<Vec<u8>>,
}

impl Executor {
    /// Says that records of one read follow, or what ends together: the error stream has its room again.
    pub(crate) fn begin_read(&mut self) {
        self.told_bytes = 0;
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
            data: Some(json_of(&rows.slice(*row, 1))),
        });
        self.tell(step, &told.collect::<Vec<_>>())
    }

    /// Tells of groups of a step that failed: when their windows ended, and why.
    pub(super) fn failed_groups(&mut self, step: usize, failures: &[(i64, String)]) -> Result<(), ExecuteError> {
        self.note_failed(failures.iter().map(|(_, reason)| reason));
        let told = failures.iter().map(|(time, reason)| Told { time: *time, reason, data: None });
        self.tell(step, &told.collect::<Vec<_>>())
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
                data: Some(error.data.to_vec()),
            });
            self.give_errors(step, ("Parse error", None), &told.collect::<Vec<_>>())?;
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

    fn tell(&mut self, step: usize, told: &[Told]) -> Result<(), ExecuteError> {
        let Some(errors) = self.tells_of(step) else { return Ok(()) };
        let pump = self.program.steps[step].pump.clone();
        self.give_errors(errors, ("Runtime error", pump.as_deref()), told)
    }

    /// Gives rows of the error stream, as many as there is room for.
    fn give_errors(
        &mut self,
        step: usize,
        (name, pump): (&str, Option<&str>),
        told: &[Told],
    ) -> Result<(), ExecuteError> {
        let mut count = 0;
        for Told { reason, data, .. } in told {
            let bytes =
                TOLD_ROW_BYTES + reason.len().min(ERROR_MESSAGE_CHARS_MAX) + 2 * data.as_ref().map_or(0, Vec::len);
            if self.told_bytes + bytes > TOLD_BYTES_MAX {
                let left_out = told.len() - count;
                let room = TOLD_BYTES_MAX >> 20;
                let detail = format!(
                    "what goes wrong with records that are read at once, or windows that end together, makes more than {room} MiB \
                     in the error stream: {left_out} rows are left out of it"
                );
                self.produced.errors.push(RowError { record: None, kind: "failed", detail });
                break;
            }
            (self.told_bytes, count) = (self.told_bytes + bytes, count + 1);
        }
        if count == 0 {
            return Ok(());
        }
        let told = &told[..count];
        let times: ArrayRef = Arc::new(told.iter().map(|told| Some(told.time)).collect::<TimestampMillisecondArray>());
        let texts = |text: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![text; count])) };
        let message = |told: &Told| told.reason.chars().take(ERROR_MESSAGE_CHARS_MAX).collect::<String>();
        let columns: Vec<ArrayRef> = vec![
            Arc::clone(&times),
            texts(Some("ERROR")),
            texts(Some(name)),
            Arc::new(StringArray::from_iter_values(told.iter().map(message))),
            Arc::clone(&times),
            Arc::new(told.iter().map(|told| told.data.as_deref().map(hex)).collect::<StringArray>()),
            texts(pump),
            times,
        ];
        let schema = Arc::clone(&self.program.steps[step].schema);
        self.give(step, &ArrowBatch::try_new(schema, columns)?)
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
