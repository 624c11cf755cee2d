//! From records to Arrow batches of only the columns a query uses.
//!
//! A record that cannot be read becomes an error with its reason; the others are not disturbed. Knows no time policy and no
//! query. Read next: [`json`], [`json_text`], [`shape`] (rows like those before), [`parts`] (several rows of a record), [`csv`],
//! [`mod@column`] (what rows are collected in), [`infer`] (columns from samples).

mod column;
mod csv;
pub(crate) mod infer;
pub(crate) mod json;
mod json_text;
mod parts;
mod plain;
mod shape;
pub(crate) mod timestamp;
mod words;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch as ArrowBatch, StringArray, TimestampMillisecondArray};
use arrow::error::ArrowError;
use bytes::Bytes;
use millstream_catalog::{QueryDialect, RecordFormat};
use millstream_stream::aggregate;
use millstream_types::{Millis, RecordBatch};

use crate::plan::{ColumnOrigin, ERROR_ROW_BYTES_MAX, SourcePlan};
use column::Column;

/// Rows of one source, in the order of their records.
pub struct Decoded {
    /// The source's columns, then the hidden row time, which holds the time of arrival.
    pub(crate) rows: ArrowBatch,
    /// Per row: the offset of its record.
    pub(crate) offsets: Vec<u64>,
    /// Records that are no rows.
    pub(crate) errors: Vec<DecodeError>,
}

impl Decoded {
    /// What came of the records before an offset, and of the others.
    pub(crate) fn split_at(mut self, offset: u64) -> (Self, Self) {
        let cut = self.offsets.partition_point(|found| *found < offset);
        let (before, behind) = self.errors.into_iter().partition(|error| error.offset < offset);
        let rows = self.rows.slice(cut, self.rows.num_rows() - cut);
        let behind = Self { rows, offsets: self.offsets.split_off(cut), errors: behind };
        (Self { rows: self.rows.slice(0, cut), offsets: self.offsets, errors: before }, behind)
    }
}

/// Which records of a batch are read, from where and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    /// The first offset.
    pub(crate) from: u64,
    /// Offsets behind it that are left out, ascending.
    pub(crate) without: &'a [u64],
    /// The number of their shard.
    pub(crate) shard: usize,
    /// What the rows say of when they were read.
    pub(crate) processed: Millis,
}

/// A record, or a line of one, that is no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DecodeError {
    pub(crate) offset: u64,
    /// When the record arrived.
    pub(crate) arrival: Millis,
    pub(crate) reason: String,
    /// What could not be read, as far as the error stream has room for it.
    pub(crate) data: Bytes,
}

impl DecodeError {
    pub(crate) fn new(record: (u64, Millis), data: &[u8], reason: String) -> Self {
        let (offset, arrival) = record;
        let data = Bytes::copy_from_slice(&data[..data.len().min(ERROR_ROW_BYTES_MAX)]);
        Self { offset, arrival, reason, data }
    }
}

/// Turns the records of a source into rows.
pub(crate) struct Decoder {
    source: SourcePlan,
    record_format: RecordFormat,
    dialect: QueryDialect,
    format: Format,
    columns: Vec<Column>,
}

enum Format {
    Json(json::JsonReader),
    Parts(Box<parts::PartsReader>),
    Csv(csv::CsvReader),
}

impl Decoder {
    /// A decoder for a source. In the language of Stream Analytics names of fields are compared without case, and delimited
    /// text begins with a line of names.
    pub(crate) fn new(source: &SourcePlan, format: &RecordFormat, dialect: QueryDialect) -> Self {
        let record_format = format.clone();
        let azure = dialect == QueryDialect::StreamAnalytics;
        let format = match (format, &source.rows_within) {
            (RecordFormat::Json, Some(within)) => {
                Format::Parts(Box::new(parts::PartsReader::new(source, within, azure)))
            }
            (RecordFormat::Json, None) => Format::Json(json::JsonReader::new(source, azure)),
            (RecordFormat::Csv { delimiter }, _) => Format::Csv(csv::CsvReader::new(source, delimiter, azure)),
        };
        let columns = source.columns.iter().map(|column| Column::new(&column.data_type, column.fit)).collect();
        Self { source: source.clone(), record_format, dialect, format, columns }
    }

    /// Another decoder of the same source, for work on another thread.
    pub(crate) fn another(&self) -> Self {
        Self::new(&self.source, &self.record_format, self.dialect)
    }

    /// Reads a payload into the columns, behind the rows that are there; gives how many it is. Lines that are none are noted.
    fn read(
        &mut self,
        payload: &[u8],
        record: (u64, Millis),
        rows_before: usize,
        errors: &mut Vec<DecodeError>,
    ) -> Result<usize, String> {
        let read = match &mut self.format {
            Format::Json(reader) => reader.read(payload, &mut self.columns),
            Format::Parts(reader) => reader.read(payload, &mut self.columns),
            Format::Csv(reader) => {
                let mut wrong = Vec::new();
                let read = reader.read(payload, &mut self.columns, &mut wrong);
                errors
                    .extend(wrong.into_iter().map(|(line, reason)| DecodeError::new(record, line.as_bytes(), reason)));
                read
            }
        };
        if read.is_err() {
            self.columns.iter_mut().for_each(|column| column.truncate(rows_before));
        }
        read
    }

    /// Decodes the records of a batch that are to be read.
    ///
    /// # Errors
    /// When the columns do not make the source's schema: a defect of the plan.
    pub(crate) fn decode(&mut self, batch: &RecordBatch, reading: Reading<'_>) -> Result<Decoded, ArrowError> {
        // Records that are lost are counted, and none of them is there.
        let most = (batch.count as usize).min(batch.bytes.len());
        let mut offsets = Vec::with_capacity(most);
        self.columns.iter_mut().for_each(|column| column.reserve(most));
        let mut errors = Vec::new();
        let keyed = self.source.columns.iter().any(|column| column.origin == ColumnOrigin::PartitionKey);
        let mut keys: Vec<Option<&str>> = Vec::new();
        let wanted = |offset: u64| offset >= reading.from && reading.without.binary_search(&offset).is_err();
        for record in batch.iter().filter(|record| wanted(record.offset)) {
            let mut read = |payload: &[u8]| {
                let before = offsets.len();
                let of_record = (record.offset, record.append_time);
                match self.read(payload, of_record, before, &mut errors) {
                    Ok(1) => offsets.push(record.offset),
                    Ok(rows) => offsets.resize(before + rows, record.offset),
                    Err(reason) => errors.push(DecodeError::new(of_record, payload, reason)),
                }
                if keyed {
                    let key = std::str::from_utf8(record.partition_key).ok();
                    keys.resize(offsets.len(), key.filter(|key| !key.is_empty()));
                }
            };
            match aggregate::unpack(record.data) {
                None => read(record.data),
                Some(packed) => packed.iter().for_each(|packed| read(packed.data)),
            }
        }
        let rows = offsets.len();
        let processed = reading.processed.max(batch.append_time);
        let arrival: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![batch.append_time; rows]));
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len() + 1);
        for (column, plan) in self.columns.iter_mut().zip(&self.source.columns) {
            let array = column.finish();
            arrays.push(match plan.origin {
                ColumnOrigin::Field { .. } => array,
                ColumnOrigin::Arrival => Arc::clone(&arrival),
                ColumnOrigin::Shard => Arc::new(Int64Array::from(vec![reading.shard as i64; rows])),
                ColumnOrigin::Processed => Arc::new(TimestampMillisecondArray::from(vec![processed; rows])),
                ColumnOrigin::Sequence => {
                    Arc::new(Int64Array::from_iter_values(offsets.iter().map(|offset| *offset as i64)))
                }
                ColumnOrigin::PartitionKey => Arc::new(StringArray::from(keys.clone())),
            });
        }
        arrays.push(arrival);
        Ok(Decoded { rows: ArrowBatch::try_new(self.source.schema.clone(), arrays)?, offsets, errors })
    }
}
