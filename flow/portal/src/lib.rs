//! The developer portal: published APIs, accounts of those who use them, their subscriptions to plans, and what they cost.
//!
//! A room upon the gateway, which counts and limits calls; here stands who holds which of its keys and for what price. Knows
//! no page and no request.
//! Read next: [`portal`] (what all parts share), `account` and `session` (who), `publish` and [`openapi`] (what),
//! `subscription` and [`bill`] (for what price).

mod account;
mod attempts;
pub mod bill;
mod error;
mod field;
mod keys;
pub mod openapi;
mod password;
pub mod portal;
mod publish;
pub mod secret;
mod session;
pub mod subscription;
pub mod usage;

pub use error::PortalError;
pub use password::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN};
pub use portal::{DEVELOPMENT_OWNER, Portal};
pub use publish::{NewPortalApi, Put};
pub use session::SESSION_MS;
