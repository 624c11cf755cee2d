//! What the account has committed itself to pay for: recorded, since nobody pays a node.

use std::sync::Arc;

use millstream_catalog::ThroughputCommitmentDefinition;
use millstream_storage::to_the_end;
use millstream_types::{BoxFuture, Millis};

use super::Streams;
use crate::error::StreamError;

/// How long a commitment lasts at least: the service's own time, a day.
pub const THROUGHPUT_COMMITTED_MS: Millis = 24 * 3_600_000;

impl Streams {
    /// The commitment that there is, or was last.
    #[must_use]
    pub fn throughput_commitment(&self) -> Option<Arc<ThroughputCommitmentDefinition>> {
        self.catalog.throughput_commitments.list().into_iter().next()
    }

    /// Begins a commitment, or takes back that the one there is ends; or ends it, which counts when its day is over.
    ///
    /// # Errors
    /// [`StreamError::Catalog`].
    pub fn commit_throughput(
        &self,
        wanted: bool,
    ) -> BoxFuture<'_, Result<Option<Arc<ThroughputCommitmentDefinition>>, StreamError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let (there, now) = (self.throughput_commitment(), self.clock.now());
            let lasts = there.as_deref().filter(|there| there.ends.is_none_or(|end| now < end));
            let changed = match (lasts, wanted) {
                (Some(lasts), true) => ThroughputCommitmentDefinition { ends: None, ..lasts.clone() },
                (None, true) => ThroughputCommitmentDefinition { started: now, ends: None },
                (Some(ThroughputCommitmentDefinition { started, ends: None }), false) => {
                    let ends = now.max(started + THROUGHPUT_COMMITTED_MS);
                    ThroughputCommitmentDefinition { started: *started, ends: Some(ends) }
                }
                (_, false) => return Ok(there),
            };
            let commitments = self.catalog.throughput_commitments.clone();
            to_the_end(async move {
                let _turn = turn;
                Ok(Some(commitments.put(changed).await?))
            })
            .await
        })
    }
}
