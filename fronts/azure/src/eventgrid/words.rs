//! The service's names on the wire of webhooks, for the event engine.

use http::HeaderName;
use millstream_event::WebhookWords;

use super::place;

/// What webhooks see. Sources: "Event Grid delivery headers", "Webhook event delivery", and the data of system events.
#[must_use]
pub fn webhook_words() -> WebhookWords {
    WebhookWords {
        kind: HeaderName::from_static("aeg-event-type"),
        notification: "Notification",
        validation: "SubscriptionValidation",
        subscription: HeaderName::from_static("aeg-subscription-name"),
        delivery_count: HeaderName::from_static("aeg-delivery-count"),
        metadata_version: HeaderName::from_static("aeg-metadata-version"),
        data_version: HeaderName::from_static("aeg-data-version"),
        event_id: HeaderName::from_static("aeg-output-event-id"),
        validation_event_type: "Microsoft.EventGrid.SubscriptionValidationEvent",
        origin: "eventgrid.azure.net",
        deletion: "SubscriptionDeletion",
        deletion_event_type: "Microsoft.EventGrid.SubscriptionDeletedEvent",
        deletion_member: "eventSubscriptionId",
        subscription_id: place::subscription_id,
    }
}
