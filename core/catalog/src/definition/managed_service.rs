//! A managed API service: APIs with operations, products, subscriptions, and the policies of each.

use std::collections::{BTreeMap, BTreeSet};

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::collection::Definition;

/// A service with all that it holds. Policies are kept as their makers wrote them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedServiceDefinition {
    /// Unique; part of its address.
    pub name: String,
    /// When it was made.
    pub created: Millis,
    /// The policies of all its APIs, as XML.
    #[serde(default)]
    pub policy: Option<String>,
    /// APIs by name.
    #[serde(default)]
    pub apis: BTreeMap<String, ManagedApi>,
    /// Products by name.
    #[serde(default)]
    pub products: BTreeMap<String, Product>,
    /// Subscriptions by name.
    #[serde(default)]
    pub subscriptions: BTreeMap<String, Subscription>,
    /// Named values by name.
    #[serde(default)]
    pub named_values: BTreeMap<String, NamedValue>,
    /// Backends by name.
    #[serde(default)]
    pub backends: BTreeMap<String, ManagedBackend>,
    /// Users by name.
    #[serde(default)]
    pub users: BTreeMap<String, ManagedUser>,
}

/// Somebody who may own subscriptions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedUser {
    /// Unique in its service.
    pub name: String,
    /// An address; unique in its service.
    pub email: String,
    /// For people.
    pub first_name: String,
    /// For people.
    pub last_name: String,
    /// Words of its maker.
    #[serde(default)]
    pub note: String,
    /// Whether the user's subscriptions open nothing for now.
    #[serde(default)]
    pub blocked: bool,
    /// When it was made.
    pub created: Millis,
}

/// A text that policies name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedValue {
    /// Unique in its service.
    pub name: String,
    /// How policies name it; unique in its service.
    pub display_name: String,
    /// The text.
    pub value: String,
    /// Whether it is shown only to those who ask for it.
    #[serde(default)]
    pub secret: bool,
    /// Words of its maker.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// A backend that policies name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedBackend {
    /// Unique in its service.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub title: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Its address.
    pub url: String,
}

/// An API of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedApi {
    /// Unique in its service.
    pub name: String,
    /// For people.
    pub display_name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Where it begins, without slashes around: `events`, `shop/orders`; unique in its service.
    pub path: String,
    /// Its backend's address; `None` when policies say it.
    #[serde(default)]
    pub backend: Option<String>,
    /// Whether callers need a key.
    pub subscription_required: bool,
    /// The header that carries the key.
    pub key_header: String,
    /// The parameter of the query that carries the key.
    pub key_query: String,
    /// Its policies, as XML.
    #[serde(default)]
    pub policy: Option<String>,
    /// Operations by name.
    #[serde(default)]
    pub operations: BTreeMap<String, ManagedOperation>,
}

/// An operation of an API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedOperation {
    /// Unique in its API.
    pub name: String,
    /// For people.
    pub display_name: String,
    /// The HTTP method.
    pub method: String,
    /// The path behind the API's, with parameters in braces: `/orders/{id}`.
    pub template: String,
    /// Its policies, as XML.
    #[serde(default)]
    pub policy: Option<String>,
}

/// APIs that are offered together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Unique in its service.
    pub name: String,
    /// For people.
    pub display_name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Whether callers need a key; an open product lets anybody call its APIs.
    pub subscription_required: bool,
    /// Whether it is offered.
    pub published: bool,
    /// Its APIs.
    #[serde(default)]
    pub apis: BTreeSet<String>,
    /// Its policies, as XML.
    #[serde(default)]
    pub policy: Option<String>,
}

/// Two keys for some APIs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Unique in its service.
    pub name: String,
    /// Never given twice: what is counted for it does not come back with another of its name.
    pub id: String,
    /// For people.
    pub display_name: String,
    /// The user whose it is; `None`: nobody's.
    #[serde(default)]
    pub owner: Option<String>,
    /// What it lets call.
    pub scope: SubscriptionScope,
    /// Whether it does so now.
    pub state: ManagedSubscriptionState,
    /// The first key.
    pub primary_key: String,
    /// The second key: to change one while the other is in use.
    pub secondary_key: String,
    /// When it was made.
    pub created: Millis,
}

/// What a subscription lets call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionScope {
    /// Every API of the service.
    AllApis,
    /// The APIs of a product.
    Product(String),
    /// One API.
    Api(String),
}

/// Whether a subscription's keys open anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManagedSubscriptionState {
    /// They do.
    Active,
    /// They do not for now.
    Suspended,
    /// Somebody has to agree first.
    Submitted,
    /// Somebody did not agree.
    Rejected,
    /// Its owner ended it.
    Cancelled,
    /// Its time is over.
    Expired,
}

impl Definition for ManagedServiceDefinition {
    const KIND: &'static str = "managed service";

    fn key(&self) -> &str {
        &self.name
    }
}
