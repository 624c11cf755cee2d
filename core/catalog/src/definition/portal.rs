//! The developer portal: how it presents itself, the APIs that it publishes, the plans that it offers, and the accounts of
//! those who subscribe.

use std::collections::BTreeMap;

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use super::money::Price;
use crate::collection::Definition;

/// How the portal presents itself. There is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortalDefinition {
    /// Its title.
    pub title: String,
    /// What visitors read first.
    #[serde(default)]
    pub introduction: String,
    /// The currency of all prices: `EUR`.
    pub currency: String,
}

/// An API as the portal shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortalApiDefinition {
    /// Unique; part of its address.
    pub name: String,
    /// The deployed API that answers calls.
    pub api: String,
    /// Its stage.
    pub stage: String,
    /// Its description: an OpenAPI 3 document as JSON.
    pub document: String,
    /// Whether visitors see it.
    pub published: bool,
    /// When it was made.
    pub created: Millis,
    /// When it was last changed.
    pub updated: Millis,
}

/// A usage plan as the portal offers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortalOfferDefinition {
    /// The usage plan.
    pub plan: String,
    /// Whether visitors can subscribe.
    pub offered: bool,
    /// Whether the owner has to agree first.
    pub approval: bool,
    /// What new subscriptions cost; those that there are keep what they were made with.
    pub price: Price,
}

/// Somebody who can log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortalAccountDefinition {
    /// Unique, in lower case.
    pub email: String,
    /// Never given twice.
    pub id: String,
    /// For people.
    pub name: String,
    /// What the account may do.
    pub role: PortalRole,
    /// `None`: no password was chosen yet.
    #[serde(default)]
    pub password: Option<PasswordHash>,
    /// A link that lets its reader choose a password.
    #[serde(default)]
    pub invitation: Option<PortalInvitation>,
    /// Whether the owner keeps it out.
    #[serde(default)]
    pub blocked: bool,
    /// When it was made.
    pub created: Millis,
    /// Subscriptions by id, those that ended too: their usage was paid for.
    #[serde(default)]
    pub subscriptions: BTreeMap<String, PortalSubscription>,
}

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortalRole {
    /// Subscribe.
    Visitor,
    /// Everything.
    Owner,
}

/// A password as it is kept: Argon2id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash {
    /// Memory, KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// The salt, hexadecimal.
    pub salt: String,
    /// The hash, hexadecimal.
    pub hash: String,
}

/// A link that lets its reader choose a password, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortalInvitation {
    /// SHA-256 of its secret, hexadecimal.
    pub digest: String,
    /// When it ends.
    pub until: Millis,
}

/// An account's subscription to a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortalSubscription {
    /// Never given twice.
    pub id: String,
    /// The usage plan.
    pub plan: String,
    /// The plan's name at that time: what is shown when the plan is gone.
    pub plan_name: String,
    /// Where it stands.
    pub state: PortalSubscriptionState,
    /// What it costs; agreed when it was made.
    pub price: Price,
    /// When it was asked for.
    pub requested: Millis,
    /// When its key was made.
    #[serde(default)]
    pub began: Option<Millis>,
    /// When it was refused or ended.
    #[serde(default)]
    pub ended: Option<Millis>,
    /// The gateway's key, also after the end: its usage was paid for.
    #[serde(default)]
    pub key: Option<String>,
}

/// Where a subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortalSubscriptionState {
    /// The owner has to agree.
    Requested,
    /// Its key opens the plan's APIs.
    Active,
    /// The owner did not agree.
    Rejected,
    /// The visitor or the owner ended it.
    Ended,
}

impl Definition for PortalDefinition {
    const KIND: &'static str = "portal";

    fn key(&self) -> &str {
        "portal"
    }
}

impl Definition for PortalApiDefinition {
    const KIND: &'static str = "portal api";

    fn key(&self) -> &str {
        &self.name
    }
}

impl Definition for PortalOfferDefinition {
    const KIND: &'static str = "portal offer";

    fn key(&self) -> &str {
        &self.plan
    }
}

impl Definition for PortalAccountDefinition {
    const KIND: &'static str = "portal account";

    fn key(&self) -> &str {
        &self.email
    }
}
