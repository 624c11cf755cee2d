//! What a step produced, as records of the streams that it goes to, a part at a time. Pure; takes as long as the rows are many, so the
//! task has it done on a thread that may be busy. Read next: [`super::outbox`], where parts wait that are more than one transaction.

use std::collections::VecDeque;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use bytes::Bytes;
use millstream_catalog::{OutputTarget, QueryDefinition, QueryDialect, RecordFormat};
use millstream_stream::Entry;
use millstream_types::Properties;

use super::engine::output_stream;
use super::error::QueryError;
use super::rows::{self, ENTRY_BYTES};
use crate::executor::{ExecuteError, Produced, rowtimes};
use crate::plan::Program;

/// Bytes of records from which on a part is one.
pub(super) const PART_BYTES: usize = 8 << 20;

/// No part has more: with them stand up to 3 MiB of state in a transaction, which holds 16 MiB. So it is the longest result that is a
/// record, too.
const PART_BYTES_MAX: usize = 12 << 20;

/// About so many bytes of records are made together. JSON's escapes may make them several times as many.
const PIECE_BYTES: usize = 1 << 20;

/// Rows of one output.
#[derive(Debug, Clone)]
pub(super) struct Encoded {
    /// The output's name.
    pub(super) output: String,
    /// The length of the windows that its rows come from, in milliseconds; 0 when they come from none.
    pub(super) window_ms: i64,
    /// The stream that the records go to.
    pub(super) stream: String,
    /// A record a row.
    pub(super) entries: Vec<Entry>,
    /// By which each row is told from the others of its window.
    pub(super) labels: Vec<String>,
    /// Each row's time in milliseconds.
    pub(super) times: Vec<i64>,
}

/// What of results goes into one transaction.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Output by output.
    pub(super) encoded: Vec<Encoded>,
    /// Results that are longer than a record may be, as they are told; they are left out.
    pub(super) left_out: Vec<String>,
    bytes: usize,
}

/// An output as its rows are made records of.
pub(super) struct OutputRows {
    name: String,
    window_ms: i64,
}

impl OutputRows {
    /// Those of a program, in its order.
    pub(super) fn of(program: &Program) -> Vec<Self> {
        let of_output = |output: &crate::plan::OutputPlan| Self {
            name: output.name.clone(),
            window_ms: program.window_size(output.step),
        };
        program.outputs.iter().map(of_output).collect()
    }
}

/// Results that are no records yet, output by output.
pub(super) struct Results {
    left: VecDeque<(usize, RecordBatch)>,
}

impl Results {
    /// All rows that a step produced.
    pub(super) fn of(produced: Produced) -> Self {
        let mut rows = produced.rows;
        // Rows of one output stay in their order.
        rows.sort_by_key(|(output, _)| *output);
        Self { left: rows.into() }
    }

    /// Whether all are records.
    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Records of the next rows, as many as go into one transaction.
    ///
    /// # Errors
    /// When batches of one output differ in their schema: a defect of ours.
    pub(super) fn part(&mut self, outputs: &[OutputRows], definition: &QueryDefinition) -> Result<Part, QueryError> {
        let mut part = Part::default();
        while part.bytes < PART_BYTES {
            let Some((output, piece)) = self.piece()? else { break };
            let taken = part.add(&piece, &outputs[output], definition);
            if taken < piece.num_rows() {
                self.left.push_front((output, piece.slice(taken, piece.num_rows() - taken)));
                break;
            }
        }
        Ok(part)
    }

    /// Some of the next rows, all of one output.
    fn piece(&mut self) -> Result<Option<(usize, RecordBatch)>, ExecuteError> {
        let Some((output, first)) = self.left.pop_front() else { return Ok(None) };
        let mut bytes = first.get_array_memory_size();
        let mut together = vec![first];
        while bytes < PIECE_BYTES && self.left.front().is_some_and(|(next, _)| *next == output) {
            let Some((_, next)) = self.left.pop_front() else { break };
            bytes += next.get_array_memory_size();
            together.push(next);
        }
        let rows = match <[RecordBatch; 1]>::try_from(together) {
            Ok([alone]) => alone,
            Err(together) => concat_batches(&together[0].schema(), &together)?,
        };
        let count = fitting(&rows);
        if count < rows.num_rows() {
            self.left.push_front((output, rows.slice(count, rows.num_rows() - count)));
        }
        Ok(Some((output, rows.slice(0, count))))
    }
}

/// How many of the first rows are about [`PIECE_BYTES`] of records; at least one.
fn fitting(rows: &RecordBatch) -> usize {
    let (mut count, mut bytes) = (0, 0);
    while count < rows.num_rows() {
        bytes += rows::record_bytes(rows, count);
        if count > 0 && bytes > PIECE_BYTES {
            break;
        }
        count += 1;
    }
    count
}

impl Part {
    /// Adds the records of an output's first rows, as many as there is room for, and says how many rows they are of.
    fn add(&mut self, rows: &RecordBatch, output: &OutputRows, definition: &QueryDefinition) -> usize {
        let target = Target::of(definition, &output.name);
        let labels: Vec<String> = (0..rows.num_rows()).map(|row| rows::label(rows, row)).collect();
        let records = rows::encode(rows, &target.format, definition.dialect, target.property_columns);
        let mut properties = properties(rows, &target, definition.dialect).into_iter();
        let keys = target.partition_column.and_then(|column| rows::texts(rows, column, definition.dialect));
        let mut encoded = Encoded {
            output: output.name.clone(),
            window_ms: output.window_ms,
            stream: String::new(),
            entries: Vec::with_capacity(records.len()),
            labels: Vec::with_capacity(records.len()),
            times: Vec::with_capacity(records.len()),
        };
        let mut taken = 0;
        for (row, ((data, label), time)) in records.into_iter().zip(labels).zip(rowtimes(rows)).enumerate() {
            let key = keys.as_ref().map_or(&label, |keys| &keys[row]);
            let entry = Entry {
                partition_key: Bytes::copy_from_slice(rows::partition_key(key).as_bytes()),
                explicit_hash_key: None,
                // Deliveries behind the query's own streams need a row's time.
                headers: match target.own {
                    true => Bytes::copy_from_slice(&time.to_be_bytes()),
                    false => properties.next().unwrap_or_default(),
                },
                data: Bytes::from(data),
            };
            let label_bytes = if entry.partition_key == label.as_bytes() { 0 } else { label.len() };
            let bytes = entry.partition_key.len() + entry.headers.len() + entry.data.len() + label_bytes + ENTRY_BYTES;
            if bytes > PART_BYTES_MAX {
                self.left_out.push(too_long(&output.name, bytes));
                taken = row + 1;
                continue;
            }
            if self.bytes + bytes > PART_BYTES_MAX {
                break;
            }
            taken = row + 1;
            self.bytes += bytes;
            encoded.entries.push(entry);
            encoded.labels.push(label);
            encoded.times.push(*time);
        }
        encoded.stream = target.stream;
        if !encoded.entries.is_empty() {
            self.encoded.push(encoded);
        }
        taken
    }
}

fn too_long(output: &str, bytes: usize) -> String {
    format!(
        "a row of `{output}` has {bytes} bytes with its key, at most {PART_BYTES_MAX} are a record; it is left out: \
         collect fewer or shorter values"
    )
}

/// The properties of each row's record, as its headers; nothing when there are none.
fn properties(batch: &RecordBatch, target: &Target, dialect: QueryDialect) -> Vec<Bytes> {
    let column = |name: &'_ String| rows::texts(batch, name, dialect).map(|texts| (name.clone(), texts));
    let columns: Vec<(String, Vec<String>)> = target.property_columns.iter().filter_map(column).collect();
    if columns.is_empty() {
        return Vec::new();
    }
    let row = |row: usize| {
        let value =
            |(name, texts): &(String, Vec<String>)| (Bytes::from(name.clone()), Some(Bytes::from(texts[row].clone())));
        let named = columns.iter().map(value).collect();
        let mut headers = Vec::new();
        Properties { text: true, named, ..Properties::default() }.encode(&mut headers);
        Bytes::from(headers)
    };
    (0..batch.num_rows()).map(row).collect()
}

/// Where an output's rows go.
struct Target<'d> {
    stream: String,
    /// The column whose values are partition keys, if one is named.
    partition_column: Option<&'d str>,
    /// Columns that are records' properties instead of a part of their data.
    property_columns: &'d [String],
    format: RecordFormat,
    /// Whether the stream is the query's own.
    own: bool,
}

impl<'d> Target<'d> {
    fn of(definition: &'d QueryDefinition, output: &str) -> Self {
        let stream = || output_stream(&definition.name, output);
        let own = |format| Self { stream: stream(), partition_column: None, property_columns: &[], format, own: true };
        let Some(found) = definition.outputs.iter().find(|found| found.name.eq_ignore_ascii_case(output)) else {
            return own(RecordFormat::Json);
        };
        match &found.target {
            OutputTarget::Stream { name } => Self {
                stream: name.clone(),
                partition_column: Some(found.handing.partition_column.as_str()).filter(|column| !column.is_empty()),
                property_columns: &found.handing.property_columns,
                format: found.format.clone(),
                own: false,
            },
            // Their rows become documents and lines of objects behind the query's own stream.
            OutputTarget::Objects(_) | OutputTarget::Documents(_) => own(RecordFormat::Json),
            _ => own(found.format.clone()),
        }
    }
}
