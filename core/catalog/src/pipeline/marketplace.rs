//! What a pipeline file says of products at the marketplace.

use std::collections::BTreeSet;

use serde::Deserialize;
use toml::Spanned;

use super::resolve::Resolver;
use super::source::Located;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProductTable {
    code: Spanned<String>,
    /// What its usage is metered in, besides the calls of its plans.
    #[serde(default)]
    dimensions: BTreeSet<String>,
    /// The topic of messages that is told of customers who come and go.
    topic: Option<Spanned<String>>,
}

/// A product to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketplaceProductSpec {
    /// The product code.
    pub code: String,
    /// What its usage is metered in, besides the calls of its plans.
    pub dimensions: BTreeSet<String>,
    /// The topic that is told of customers who come and go.
    pub topic: Option<String>,
}

impl Resolver<'_> {
    pub(super) fn product(&mut self, table: ProductTable) -> Located<MarketplaceProductSpec> {
        let line = self.line(&table.code);
        let topic = table.topic.map(|topic| {
            let topics = self.topics.clone();
            self.refers("sns topic", &topics, &topic);
            topic.into_inner()
        });
        let value = MarketplaceProductSpec { code: table.code.into_inner(), dimensions: table.dimensions, topic };
        Located { value, line }
    }
}
