//! Rows to documents: a row replaces the document of the same id, so that repetitions change nothing.

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::DocumentOutput;
use millstream_stream::SequenceNumber;
use millstream_types::{ErrorKind, Record, UpsertDocuments};
use serde_json::{Map, Value};

use super::{Outlet, RETRY_WAITS};
use crate::runtime::error::QueryError;

/// Documents that are written at once.
pub(super) const RECORDS_MAX: usize = 100;

/// A container that gets rows.
pub(in crate::runtime) struct DocumentTarget {
    pub(in crate::runtime) output: DocumentOutput,
    pub(in crate::runtime) documents: Arc<dyn UpsertDocuments>,
}

impl DocumentTarget {
    /// Writes rows until the container has all of them. A row that can be no document is told and left out.
    pub(super) async fn deliver_all(&self, outlet: &Outlet, records: &[Record]) {
        let mut left: Vec<Bytes> = Vec::with_capacity(records.len());
        for record in records {
            let id = SequenceNumber { log: outlet.log, offset: record.offset }.to_string();
            match document(&record.data, &self.output.id_column, &id) {
                Ok(document) => left.push(document),
                Err(reason) => outlet.running.seen("no document", &reason),
            }
        }
        let mut wait = RETRY_WAITS.0;
        loop {
            let sent = left.len();
            let refusal = self.write(outlet, &mut left).await;
            let subject = format!("query/{}", outlet.query);
            outlet.insight.metrics.counter("delivered", &subject).add((sent - left.len()) as u64);
            if left.is_empty() {
                outlet.running.delivered();
                return;
            }
            outlet.running.fail(&QueryError::Delivery {
                target: format!("container {}/{}", self.output.database, self.output.container),
                records: left.len(),
                reason: refusal.unwrap_or_default(),
            });
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY_WAITS.1);
        }
    }

    /// One attempt: leaves in `left` what may be taken later; gives the reason of one of those.
    async fn write(&self, outlet: &Outlet, left: &mut Vec<Bytes>) -> Option<String> {
        let DocumentOutput { database, container, .. } = &self.output;
        let outcomes = self.documents.upsert_documents(database.clone(), container.clone(), left.clone()).await;
        let mut outcomes = outcomes.into_iter();
        let mut refusal = None;
        left.retain(|_| match outcomes.next() {
            Some(Ok(())) => false,
            Some(Err(error)) if matches!(error.kind, ErrorKind::Invalid | ErrorKind::TooLarge) => {
                outlet.running.seen("no document", &error.to_string());
                false
            }
            Some(Err(error)) => {
                refusal = Some(error.to_string());
                true
            }
            None => true,
        });
        refusal
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
