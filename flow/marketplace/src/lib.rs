//! The marketplace as a seller's code knows it: products, customers who subscribe and leave, tokens that say who they are,
//! usage that is metered, notices to a topic.
//!
//! It takes no money. What was metered is kept, once for each customer, dimension and hour, for whoever writes the bill.
//! How notices are worded is a front's business ([`NoticeShape`]).
//! Read next: [`subscriptions`], [`metering`], [`notices`].

mod error;
pub mod metering;
pub mod notices;
pub mod subscriptions;

use std::sync::Arc;

use millstream_catalog::{Catalog, MarketplaceProductDefinition, UsagePlanDefinition};
use millstream_storage::{Keyspace, Storage};
use millstream_types::{BoxFuture, Clock, PublishMessage};

pub use error::MarketplaceError;
pub use metering::{Metered, MeteredPage, MeteredRecord, Outcome, UsageRecord};
pub use notices::{Notice, NoticeKind, NoticeShape};
pub use subscriptions::Customer;

/// The dimension that the usage of APIs is metered in.
pub const API_DIMENSION: &str = "apigateway";

/// Products of a node.
const PRODUCTS_MAX: usize = 1_000;

/// Dimensions of a product: the service's own quota.
const DIMENSIONS_MAX: usize = 200;

/// What the engine meets the world through.
#[derive(Clone)]
pub struct Outside {
    /// Where notices go; `None`: nowhere, they wait.
    pub publish: Option<Arc<dyn PublishMessage>>,
    /// How notices are worded.
    pub notices: Arc<dyn NoticeShape>,
}

/// The marketplace. Cheap to clone.
#[derive(Clone)]
pub struct Marketplace {
    storage: Storage,
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    outside: Outside,
    tokens: Keyspace,
    records: Keyspace,
    notices: Keyspace,
    /// An edit reads what there is, changes it and writes it: one at a time, or one would undo the other.
    edits: Arc<tokio::sync::Mutex<()>>,
}

impl Marketplace {
    /// The engine over a store and its catalog.
    #[must_use]
    pub fn new(storage: Storage, catalog: Catalog, outside: Outside, clock: Arc<dyn Clock>) -> Self {
        let keyspace = |name| Keyspace::new(&format!("marketplace/{name}"));
        let (tokens, records, notices) = (keyspace("tokens"), keyspace("records"), keyspace("notices"));
        Self { storage, catalog, clock, outside, tokens, records, notices, edits: Arc::default() }
    }

    /// A product: one that was defined, or that a usage plan is sold as, whose dimension is [`API_DIMENSION`] then.
    ///
    /// # Errors
    /// [`MarketplaceError::UnknownProduct`].
    pub fn product(&self, code: &str) -> Result<Arc<MarketplaceProductDefinition>, MarketplaceError> {
        if let Some(product) = self.catalog.marketplace_products.get(code) {
            return Ok(product);
        }
        let sold = |plan: &Arc<UsagePlanDefinition>| plan.product_code.as_deref() == Some(code);
        let plan = self.catalog.usage_plans.list().into_iter().find(sold);
        let plan = plan.ok_or_else(|| MarketplaceError::UnknownProduct { product: code.to_owned() })?;
        Ok(Arc::new(MarketplaceProductDefinition {
            code: code.to_owned(),
            dimensions: [API_DIMENSION.to_owned()].into(),
            topic: None,
            created: plan.created,
        }))
    }

    /// Defines a product, new or not. Its dimensions are those given and [`API_DIMENSION`].
    ///
    /// # Errors
    /// [`MarketplaceError::Invalid`], [`MarketplaceError::Catalog`].
    pub fn put_product(
        &self,
        mut product: MarketplaceProductDefinition,
    ) -> BoxFuture<'_, Result<Arc<MarketplaceProductDefinition>, MarketplaceError>> {
        Box::pin(async move {
            let _turn = self.edits.lock().await;
            let known = self.catalog.marketplace_products.get(&product.code);
            let invalid = |reason: String| Err(MarketplaceError::Invalid { reason });
            if known.is_none() && self.catalog.marketplace_products.list().len() >= PRODUCTS_MAX {
                return invalid(format!("there are at most {PRODUCTS_MAX} products"));
            }
            let allowed = |char: char| char.is_ascii_alphanumeric() || "-/=:_.@".contains(char);
            if !(1..=255).contains(&product.code.len()) || !product.code.chars().all(allowed) {
                return invalid(format!(
                    "expected a product code of 1 to 255 of a-zA-Z0-9-/=:_.@, found {}",
                    product.code
                ));
            }
            product.dimensions.insert(API_DIMENSION.to_owned());
            if product.dimensions.len() > DIMENSIONS_MAX {
                return invalid(format!("there are at most {DIMENSIONS_MAX} dimensions of a product"));
            }
            if let Some(wrong) = product.dimensions.iter().find(|name| !metering::is_dimension(name)) {
                return invalid(format!(
                    "expected a dimension of 1 to 255 characters without line ends, found {wrong:?}"
                ));
            }
            product.created = known.map_or_else(|| self.clock.now(), |known| known.created);
            Ok(self.catalog.marketplace_products.put(product).await?)
        })
    }
}
