//! Claims that bind nobody any more, removed: see `unique.rs` for what leaves them behind.

use std::sync::Arc;

use millstream_catalog::DocumentContainerDefinition;
use millstream_table::Scan;
use millstream_types::BoxFuture;

use super::Documents;
use super::claim::Claim;
use super::documents::gone;
use super::unique::claims_table;
use crate::error::DocumentError;

impl Documents {
    /// Removes claims whose documents are gone or have other values by now; gives how many they were.
    ///
    /// # Errors
    /// [`DocumentError::Table`]: the first of them, after all containers were tried.
    pub fn remove_stale_claims(&self) -> BoxFuture<'_, Result<usize, DocumentError>> {
        Box::pin(async move {
            let (mut removed, mut failed) = (0, None);
            for container in self.catalog.document_containers.list() {
                match self.remove_stale_claims_of(&container).await {
                    Ok(of_container) => removed += of_container,
                    // A container that is being removed holds up no other.
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            failed.map_or(Ok(removed), Err)
        })
    }

    async fn remove_stale_claims_of(&self, container: &DocumentContainerDefinition) -> Result<usize, DocumentError> {
        if container.unique_keys.is_empty() {
            return Ok(0);
        }
        let (mut removed, mut start) = (0, None);
        loop {
            let scan = Scan { start, ..Scan::default() };
            let page = self.tables.scan(&claims_table(&container.path), scan).await;
            let page = page.map_err(|error| gone(container, error))?;
            for claim in page.items.iter().filter_map(Claim::of_item) {
                // Few are stale: only those wait for their turn, and are looked at again in it.
                if !self.is_held(container, &claim).await? {
                    removed += usize::from(self.remove_stale_claim(container, claim).await?);
                }
            }
            start = page.last_key;
            if start.is_none() {
                return Ok(removed);
            }
        }
    }

    /// Whether a claim was stale, and is gone. No other container comes under the name meanwhile: its claims would look stale.
    async fn remove_stale_claim(
        &self,
        container: &DocumentContainerDefinition,
        claim: Claim,
    ) -> Result<bool, DocumentError> {
        let _definitions = self.definitions.lock().await;
        let known = self.catalog.document_containers.get(&container.path);
        let Some(container) = known.filter(|known| known.number == container.number) else { return Ok(false) };
        let (engine, of, partition) = (self.clone(), Arc::clone(&container), claim.partition.clone());
        let removal = async move { Ok(!engine.is_held(&of, &claim).await? && engine.remove_claim(&of, &claim).await?) };
        self.in_turn(&container, &partition, removal).await
    }
}
