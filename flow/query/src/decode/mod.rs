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
    /// What could not be read, as far as the error stream has room for it; nothing where nobody reads that.
    pub(crate) data: Bytes,
}

impl DecodeError {
    pub(crate) fn new(record: (u64, Millis), data: Option<&[u8]>, reason: String) -> Self {
        let (offset, arrival) = record;
        let kept = data.unwrap_or_default();
        let data = Bytes::copy_from_slice(&kept[..kept.len().min(ERROR_ROW_BYTES_MAX)]);
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
    /// Whether what cannot be read is told with its bytes.
    keeps_data: bool,
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
        Self { source: source.clone(), record_format, dialect, format, columns, keeps_data: false }
    }

    /// The same, which tells what cannot be read with its bytes, where somebody reads those.
    pub(crate) fn keeping_data(self, keeps_data: bool) -> Self {
        Self { keeps_data, ..self }
    }

    /// Another decoder of the same source, for work on another thread.
    pub(crate) fn another(&self) -> Self {
        Self::new(&self.source, &self.record_format, self.dialect).keeping_data(self.keeps_data)
    }

    /// Reads a payload into the columns, behind the rows that are there; gives how many it is. Lines that are none are noted.
    fn read(
        &mut self,
        payload: &[u8],
        record: (u64, Millis),
        rows_before: usize,
        errors: &mut Vec<DecodeError>,
    ) -> Result<usize, String> {
        let keeps_data = self.keeps_data;
        let of_line =
            |(line, reason): (&str, String)| DecodeError::new(record, keeps_data.then_some(line.as_bytes()), reason);
        let read = match &mut self.format {
            Format::Json(reader) => reader.read(payload, &mut self.columns),
            Format::Parts(reader) => reader.read(payload, &mut self.columns),
            Format::Csv(reader) => {
                let mut wrong = Vec::new();
                let read = reader.read(payload, &mut self.columns, &mut wrong);
                errors.extend(wrong.into_iter().map(of_line));
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
                    Err(reason) => {
                        errors.push(DecodeError::new(of_record, self.keeps_data.then_some(payload), reason));
                    }
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

#[cfg(test)]
mod tests {
    use millstream_catalog::{ColumnDefinition, ColumnType};
    use millstream_types::EncodedRecords;

    use super::*;
    use crate::{InputSchema, plan};

    /// What a decoder of the column `n` tells of a record and of a line of one.
    fn told(keeps_data: bool) -> Vec<Bytes> {
        let dialect = QueryDialect::Kinesis;
        let input = InputSchema::new("I", Some(vec![ColumnDefinition::new("N", ColumnType::BigInt)]));
        let sql = "CREATE STREAM O (N BIGINT); CREATE PUMP P AS INSERT INTO O SELECT STREAM N FROM I";
        let program = plan(dialect, sql, &[input]).unwrap();
        let csv = RecordFormat::Csv { delimiter: ",".into() };
        let mut found = Vec::new();
        for (format, record) in [(RecordFormat::Json, "no JSON"), (csv, "1\nx\n2")] {
            let mut decoder = Decoder::new(&program.sources[0], &format, dialect).keeping_data(keeps_data).another();
            let mut records = EncodedRecords::default();
            records.push(b"", b"", record.as_bytes());
            let (bytes, count) = records.freeze();
            let batch = RecordBatch { base_offset: 0, count, append_time: 0, bytes };
            let decoded = decoder.decode(&batch, Reading { from: 0, without: &[], shard: 0, processed: 0 }).unwrap();
            found.extend(decoded.errors.into_iter().map(|error| error.data));
        }
        found
    }

    #[test]
    fn what_cannot_be_read_is_copied_only_for_who_reads_it() {
        assert_eq!(told(true), ["no JSON", "x"]);
        assert_eq!(told(false), ["", ""]);
    }
}
