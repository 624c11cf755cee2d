//! What a step produced, as records of the streams that it goes to. Pure; takes as long as the rows are many, so the task
//! has it done on a thread that may be busy.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use bytes::Bytes;
use millstream_catalog::{OutputTarget, QueryDefinition, QueryDialect, RecordFormat};
use millstream_stream::Entry;
use millstream_types::Properties;

use super::engine::output_stream;
use super::error::QueryError;
use super::rows;
use crate::executor::{Produced, rowtimes};

/// The rows of one output.
pub(super) struct Encoded {
    /// The output's place in the program.
    pub(super) output: usize,
    /// The stream that the records go to.
    pub(super) stream: String,
    /// A record a row.
    pub(super) entries: Vec<Entry>,
    /// By which each row is told from the others of its window.
    pub(super) labels: Vec<String>,
    /// Each row's time in milliseconds.
    pub(super) times: Vec<i64>,
}

/// All rows that a step produced, output by output; `outputs` are the outputs' names in the program's order.
pub(super) fn encode(
    produced: &Produced,
    outputs: &[String],
    definition: &QueryDefinition,
) -> Result<Vec<Encoded>, QueryError> {
    let indexes: BTreeSet<usize> = produced.rows.iter().map(|(index, _)| *index).collect();
    let mut encoded = Vec::with_capacity(indexes.len());
    for index in indexes {
        if let Some(batch) = produced.of_output(index)? {
            encoded.push(encode_output(index, &batch, &outputs[index], definition));
        }
    }
    Ok(encoded)
}

fn encode_output(output: usize, batch: &RecordBatch, name: &str, definition: &QueryDefinition) -> Encoded {
    let target = Target::of(definition, name);
    let labels: Vec<String> = (0..batch.num_rows()).map(|row| rows::label(batch, row)).collect();
    let times = rowtimes(batch).to_vec();
    let records = rows::encode(batch, &target.format, definition.dialect, target.property_columns);
    let mut properties = properties(batch, &target, definition.dialect).into_iter();
    let keys = target.partition_column.and_then(|column| rows::texts(batch, column, definition.dialect));
    let keys = keys.as_ref().unwrap_or(&labels);
    let entry = |((data, key), time): ((Vec<u8>, &String), &i64)| Entry {
        partition_key: partition_key(key),
        explicit_hash_key: None,
        // Deliveries behind the query's own streams need a row's time.
        headers: match target.own {
            true => Bytes::copy_from_slice(&time.to_be_bytes()),
            false => properties.next().unwrap_or_default(),
        },
        data: Bytes::from(data),
    };
    let entries = records.into_iter().zip(keys).zip(&times).map(entry).collect();
    Encoded { output, stream: target.stream, entries, labels, times }
}

/// The first characters of a text, as many as a partition key may have.
fn partition_key(text: &str) -> Bytes {
    let end = text.char_indices().nth(rows::PARTITION_KEY_CHARS_MAX).map_or(text.len(), |(end, _)| end);
    Bytes::copy_from_slice(&text.as_bytes()[..end])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_key_is_no_longer_than_the_service_allows() {
        assert_eq!(partition_key("A, B"), "A, B");
        assert_eq!(partition_key(&"x".repeat(256)).len(), 256);
        assert_eq!(partition_key(&"\u{20ac}".repeat(300)), "\u{20ac}".repeat(256));
    }
}
