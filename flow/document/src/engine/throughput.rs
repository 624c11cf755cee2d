//! What databases and containers were promised: kept for clients, and told.

use millstream_catalog::Throughput;
use millstream_types::BoxFuture;

use super::{Documents, check_etag, new_etag};
use crate::error::DocumentError;

/// What can be promised, request units a second, and the steps of it: the service family's own.
const UNITS: std::ops::RangeInclusive<u32> = 400..=1_000_000;
const UNITS_STEP: u32 = 100;
const AUTOSCALE: std::ops::RangeInclusive<u32> = 1_000..=1_000_000;
const AUTOSCALE_STEP: u32 = 1_000;

impl Documents {
    /// Promises a database, or a container of it, so much. With `if_match` it must have that etag; `*` is any.
    ///
    /// # Errors
    /// [`DocumentError::Throughput`], [`DocumentError::DatabaseNotFound`], [`DocumentError::ContainerNotFound`],
    /// [`DocumentError::EtagMismatch`], [`DocumentError::Catalog`].
    pub fn set_throughput<'a>(
        &'a self,
        database: &'a str,
        container: Option<&'a str>,
        throughput: Throughput,
        if_match: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), DocumentError>> {
        Box::pin(async move {
            check(throughput)?;
            let _turn = self.definitions.lock().await;
            match container {
                None => {
                    let mut definition = self.database(database)?.as_ref().clone();
                    check_etag(if_match, &definition.etag)?;
                    definition.throughput = Some(throughput);
                    definition.etag = new_etag();
                    self.catalog.document_databases.put(definition).await?;
                }
                Some(name) => {
                    let mut definition = self.container(database, name)?.as_ref().clone();
                    check_etag(if_match, &definition.etag)?;
                    definition.throughput = Some(throughput);
                    definition.etag = new_etag();
                    self.catalog.document_containers.put(definition).await?;
                }
            }
            Ok(())
        })
    }
}

/// Whether so much can be promised.
///
/// # Errors
/// [`DocumentError::Throughput`].
pub fn check(throughput: Throughput) -> Result<(), DocumentError> {
    let (found, range, step) = match throughput {
        Throughput::Manual { units } => (units, UNITS, UNITS_STEP),
        Throughput::Autoscale { units_max } => (units_max, AUTOSCALE, AUTOSCALE_STEP),
    };
    if range.contains(&found) && found.is_multiple_of(step) {
        return Ok(());
    }
    Err(DocumentError::Throughput { found, least: *range.start(), most: *range.end(), step })
}
