//! Topics and event subscriptions: an event is published once and delivered to everybody who wants it.
//!
//! A published event is durable in its topic's stream before it is acknowledged. Each subscription reads that stream for
//! itself, with a position and a set of waiting retries of its own, so a dead subscriber delays nobody and a restart loses
//! nothing: at least once, in no order. Read next: [`engine`] (the operations), `task` (one subscription at work),
//! [`filter`] (who wants what), [`schema`] (the JSON of events), [`message`] (events that are messages, in a form of their
//! protocol's), [`schedule`] (when a delivery is tried again).

mod dead_letter;
mod endpoint;
pub mod engine;
mod error;
pub mod filter;
pub mod log;
pub mod message;
pub mod outcome;
pub mod schedule;
pub mod schema;
mod task;
pub mod webhook;

pub use endpoint::RecordForm;
pub use engine::{Events, MessageSettings, MessageSubscription, NewMessageTopic, NewSubscription, NewTopic, Options};
pub use error::EventError;
pub use filter::FilterError;
pub use log::{Delivery, SubscriptionStatus};
pub use message::{Message, NotificationForm};
pub use outcome::Outcome;
pub use schedule::RetrySchedule;
pub use schema::{Event, SchemaError};
pub use webhook::WebhookWords;
