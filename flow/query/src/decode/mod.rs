//! From records to Arrow batches of only the columns a query uses.
//!
//! A record that cannot be read becomes an error with its reason; the others are not disturbed. Knows no time policy and no
//! query. Read next: [`json`], [`csv`], [`mod@column`] (what rows are collected in), [`infer`] (columns from samples).

mod column;
mod csv;
pub(crate) mod infer;
mod json;
mod timestamp;

use arrow::array::{ArrayRef, RecordBatch as ArrowBatch, TimestampMillisecondArray};
use arrow::error::ArrowError;
use millstream_catalog::RecordFormat;
use millstream_types::{Millis, RecordBatch};

use crate::plan::{ColumnOrigin, SourcePlan};
use column::Column;

/// Rows of one source, in the order of their records.
pub(crate) struct Decoded {
    /// The source's columns, then the hidden row time, which holds the time of arrival.
    pub(crate) rows: ArrowBatch,
    /// Per row: the offset of its record.
    pub(crate) offsets: Vec<u64>,
    /// Records that are no rows.
    pub(crate) errors: Vec<DecodeError>,
}

/// A record that is no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DecodeError {
    pub(crate) offset: u64,
    pub(crate) reason: String,
}

/// Turns the records of a source into rows.
pub(crate) struct Decoder {
    source: SourcePlan,
    record_format: RecordFormat,
    ignore_case: bool,
    format: Format,
    columns: Vec<Column>,
}

enum Format {
    Json(json::JsonReader),
    Csv(csv::CsvReader),
}

impl Decoder {
    /// A decoder for a source; `ignore_case`: names of fields are compared without case.
    pub(crate) fn new(source: &SourcePlan, format: &RecordFormat, ignore_case: bool) -> Self {
        let record_format = format.clone();
        let format = match format {
            RecordFormat::Json => Format::Json(json::JsonReader::new(source, ignore_case)),
            RecordFormat::Csv { delimiter } => Format::Csv(csv::CsvReader::new(source, delimiter)),
        };
        let columns = source.columns.iter().map(|column| Column::new(&column.data_type)).collect();
        Self { source: source.clone(), record_format, ignore_case, format, columns }
    }

    /// Another decoder of the same source, for work on another thread.
    pub(crate) fn another(&self) -> Self {
        Self::new(&self.source, &self.record_format, self.ignore_case)
    }

    /// Decodes the records of a batch whose offset is `from` or later.
    ///
    /// # Errors
    /// When the columns do not make the source's schema: a defect of the plan.
    pub(crate) fn decode(&mut self, batch: &RecordBatch, from: u64) -> Result<Decoded, ArrowError> {
        let mut offsets = Vec::with_capacity(batch.count as usize);
        let mut times: Vec<Millis> = Vec::with_capacity(batch.count as usize);
        let mut errors = Vec::new();
        for record in batch.iter().filter(|record| record.offset >= from) {
            let before = times.len();
            let read = match &mut self.format {
                Format::Json(reader) => reader.read(record.data, &mut self.columns),
                Format::Csv(reader) => reader.read(record.data, &mut self.columns),
            };
            match read {
                Ok(rows) => {
                    offsets.resize(before + rows, record.offset);
                    times.resize(before + rows, record.append_time);
                }
                Err(reason) => {
                    self.columns.iter_mut().for_each(|column| column.truncate(before));
                    errors.push(DecodeError { offset: record.offset, reason });
                }
            }
        }
        let arrival: ArrayRef = std::sync::Arc::new(TimestampMillisecondArray::from(times));
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len() + 1);
        for (column, plan) in self.columns.iter_mut().zip(&self.source.columns) {
            let array = column.finish();
            arrays.push(if plan.origin == ColumnOrigin::Arrival { arrival.clone() } else { array });
        }
        arrays.push(arrival);
        Ok(Decoded { rows: ArrowBatch::try_new(self.source.schema.clone(), arrays)?, offsets, errors })
    }
}
