//! Webhooks: requests to addresses that users name.
//!
//! Whoever may define a subscription could make the node call anything, so what may be called is decided where the address
//! is known: behind name resolution. Read next: [`client`], [`handshake`], [`farewell`].

mod client;
mod farewell;
mod handshake;

use http::HeaderName;

pub(crate) use client::{Answer, WebhookClient, WebhookError};
pub(crate) use farewell::{FAREWELLS_MAX, Farewell};
pub(crate) use handshake::{Consent, Handshake};

/// What webhooks see of the node by the protocol's names: a front's business, plugged in by the server.
#[derive(Debug, Clone)]
pub struct WebhookWords {
    /// The header that tells deliveries from handshakes.
    pub kind: HeaderName,
    /// Its value for deliveries.
    pub notification: &'static str,
    /// Its value for handshakes.
    pub validation: &'static str,
    /// The header with the subscription's name.
    pub subscription: HeaderName,
    /// The header that says how often a delivery was tried before.
    pub delivery_count: HeaderName,
    /// The header with the version of an event's own members.
    pub metadata_version: HeaderName,
    /// The header with the version of an event's data.
    pub data_version: HeaderName,
    /// The header with the event's id.
    pub event_id: HeaderName,
    /// The type of the event that asks a webhook for its consent.
    pub validation_event_type: &'static str,
    /// Who asks, in the handshake of CloudEvents.
    pub origin: &'static str,
    /// The header's value for what says that a subscription has ended.
    pub deletion: &'static str,
    /// The type of the event that says so.
    pub deletion_event_type: &'static str,
    /// The member of its data that names the subscription.
    pub deletion_member: &'static str,
    /// A subscription's id, by its topic's address and its name.
    pub subscription_id: fn(&str, &str) -> String,
}

impl WebhookWords {
    /// Whether a header is one of these.
    pub(crate) fn is_own(&self, name: &HeaderName) -> bool {
        let Self { kind, subscription, delivery_count, metadata_version, data_version, event_id, .. } = self;
        [kind, subscription, delivery_count, metadata_version, data_version, event_id].contains(&name)
    }
}
