//! What is sold at the marketplace, and who subscribed.

use std::collections::BTreeSet;

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::collection::Definition;

/// A product.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarketplaceProductDefinition {
    /// The product code: unique.
    pub code: String,
    /// What its usage is metered in.
    pub dimensions: BTreeSet<String>,
    /// The topic that is told of subscribers who come and go; `None`: nobody is.
    #[serde(default)]
    pub topic: Option<String>,
    /// When it was made.
    pub created: Millis,
}

/// A customer's subscription to a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarketplaceSubscriptionDefinition {
    /// Unique; the license that the customer got.
    pub id: String,
    /// The product's code.
    pub product: String,
    /// The customer's name towards the seller; the same for all products.
    pub customer: String,
    /// The customer's account: 12 digits.
    pub account: String,
    /// Where it is in its life.
    pub state: MarketplaceSubscriptionState,
    /// When it was made.
    pub created: Millis,
    /// When its state changed last.
    pub updated: Millis,
}

/// Where a subscription is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarketplaceSubscriptionState {
    /// The customer uses the product.
    Active,
    /// The customer left; the last usage may still be metered.
    Ending,
    /// It is over.
    Ended,
}

impl Definition for MarketplaceProductDefinition {
    const KIND: &'static str = "marketplace product";

    fn key(&self) -> &str {
        &self.code
    }
}

impl Definition for MarketplaceSubscriptionDefinition {
    const KIND: &'static str = "marketplace subscription";

    fn key(&self) -> &str {
        &self.id
    }
}
