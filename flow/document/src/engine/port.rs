//! The port through which other engines' results become documents.

use bytes::Bytes;
use millstream_types::{BoxFuture, ErrorKind, UpsertDocumentError, UpsertDocuments};

use super::Documents;
use crate::error::DocumentError;

impl UpsertDocuments for Documents {
    fn upsert_documents(
        &self,
        database: String,
        container: String,
        documents: Vec<Bytes>,
    ) -> BoxFuture<'_, Vec<Result<(), UpsertDocumentError>>> {
        Box::pin(async move {
            let mut outcomes = Vec::with_capacity(documents.len());
            // One after the other: of two rows with one id the later must win.
            for document in documents {
                outcomes.push(self.upsert_row(&database, &container, &document).await);
            }
            outcomes
        })
    }
}

impl Documents {
    async fn upsert_row(&self, database: &str, container: &str, document: &[u8]) -> Result<(), UpsertDocumentError> {
        let body = serde_json::from_slice(document).map_err(|error| UpsertDocumentError {
            kind: ErrorKind::Invalid,
            message: format!("expected a JSON object: {error}"),
        })?;
        let refused = |error: DocumentError| UpsertDocumentError { kind: error.kind(), message: error.to_string() };
        let container = self.container(database, container).map_err(refused)?;
        self.upsert(&container, None, body, None).await.map_err(refused)?;
        Ok(())
    }
}
