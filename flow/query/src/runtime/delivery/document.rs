//! Rows to documents: a row replaces the document of the same id, so that repetitions change nothing.

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::DocumentOutput;
use millstream_stream::SequenceNumber;
use millstream_types::{Backoff, ErrorKind, LogId, Record, UpsertDocuments};
use serde_json::{Map, Value};

use super::{ANSWER_WAIT, Outlet, RETRY_WAITS};
use crate::runtime::error::QueryError;

/// Documents that are written at once.
pub(super) const RECORDS_MAX: usize = 100;

/// A container that gets rows.
pub(in crate::runtime) struct DocumentTarget {
    pub(in crate::runtime) output: DocumentOutput,
    pub(in crate::runtime) documents: Arc<dyn UpsertDocuments>,
}

impl DocumentTarget {
    /// Writes rows until the container has all of them; a row that can be no document is told and left out. `false`: the
    /// query was asked to stop before.
    pub(super) async fn deliver_all(&self, outlet: &Outlet, records: &[Record]) -> Result<bool, QueryError> {
        let (mut left, wrong) = self.documents(outlet.log, records.to_vec()).await?;
        wrong.iter().for_each(|reason| outlet.running.seen("no document", reason));
        let mut backoff = Backoff::new(RETRY_WAITS);
        while !left.is_empty() {
            let Some(reason) = self.write(outlet, &mut left).await else { continue };
            outlet.running.not_delivered(&outlet.output, &self.failed(left.len(), reason));
            outlet.pause(backoff.failed()).await;
            if outlet.stopping() {
                return Ok(false);
            }
        }
        outlet.running.delivered(&outlet.output);
        Ok(true)
    }

    /// The documents of rows, and what is wrong with rows that are none. Parses on a thread that may be busy.
    async fn documents(&self, log: LogId, records: Vec<Record>) -> Result<(Vec<Bytes>, Vec<String>), QueryError> {
        let id_column = self.output.id_column.clone();
        let parsed = tokio::task::spawn_blocking(move || {
            let (mut documents, mut wrong) = (Vec::with_capacity(records.len()), Vec::new());
            for record in &records {
                let id = SequenceNumber { log, offset: record.offset }.to_string();
                match document(&record.data, &id_column, &id) {
                    Ok(document) => documents.push(document),
                    Err(reason) => wrong.push(reason),
                }
            }
            (documents, wrong)
        });
        parsed.await.map_err(|_| QueryError::Stopping)
    }

    /// One attempt: leaves in `left` what is to be written again, with the reason. From the first document on that was not
    /// taken all are: of two rows with one id the later must stay.
    async fn write(&self, outlet: &Outlet, left: &mut Vec<Bytes>) -> Option<String> {
        let DocumentOutput { database, container, .. } = &self.output;
        let upserted = self.documents.upsert_documents(database.clone(), container.clone(), left.clone());
        let Ok(outcomes) = tokio::time::timeout(ANSWER_WAIT, upserted).await else {
            return Some(format!("no answer in {} s", ANSWER_WAIT.as_secs()));
        };
        let mut outcomes = outcomes.into_iter();
        let (mut refusal, mut written) = (None, 0);
        left.retain(|_| match outcomes.next() {
            Some(Err(error)) if matches!(error.kind, ErrorKind::Invalid | ErrorKind::TooLarge) => {
                outlet.running.seen("no document", &error.to_string());
                false
            }
            Some(Ok(())) if refusal.is_none() => {
                written += 1;
                false
            }
            Some(Ok(())) => true,
            Some(Err(error)) => {
                refusal.get_or_insert_with(|| error.to_string());
                true
            }
            None => {
                refusal.get_or_insert_with(|| "it did not answer for every document".to_owned());
                true
            }
        });
        outlet.insight.metrics.counter("delivered", &format!("query/{}", outlet.query)).add(written);
        refusal
    }

    fn failed(&self, documents: usize, reason: String) -> QueryError {
        let DocumentOutput { database, container, .. } = &self.output;
        let target = format!("container {database}/{container}");
        QueryError::Delivery { target, what: "documents", left: documents, reason }
    }
}

/// The document of a row: its columns, and the id from the column that is named or, without one, the row's own name.
fn document(row: &[u8], id_column: &str, own_id: &str) -> Result<Bytes, String> {
    let mut row: Map<String, Value> =
        serde_json::from_slice(row).map_err(|error| format!("expected a row as a JSON object: {error}"))?;
    let id = if id_column.is_empty() {
        own_id.to_owned()
    } else {
        let column = row.iter().find(|(name, _)| name.eq_ignore_ascii_case(id_column)).map(|(_, value)| value);
        match column {
            Some(Value::String(text)) if !text.is_empty() => text.clone(),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
            Some(_) => return Err(format!("the document id column `{id_column}` is empty")),
            None => return Err(format!("the row has no document id column `{id_column}`")),
        }
    };
    row.insert("id".to_owned(), Value::String(id));
    serde_json::to_vec(&row).map(Bytes::from).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_named_by_its_column_or_by_its_row() {
        let cases = [
            (r#"{"symbol":"A","n":1}"#, "symbol", Ok(r#"{"symbol":"A","n":1,"id":"A"}"#)),
            (r#"{"symbol":"A","n":1}"#, "N", Ok(r#"{"symbol":"A","n":1,"id":"1"}"#)),
            (r#"{"n":1}"#, "", Ok(r#"{"n":1,"id":"own"}"#)),
            (r#"{"id":7}"#, "id", Ok(r#"{"id":"7"}"#)),
            (r#"{"n":null}"#, "n", Err("the document id column `n` is empty")),
            (r#"{"n":1}"#, "m", Err("the row has no document id column `m`")),
        ];
        for (row, column, expected) in cases {
            let found = document(row.as_bytes(), column, "own");
            let found = found.map(|document| String::from_utf8(document.to_vec()).unwrap());
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{row}");
        }
    }
}
