//! What owners see and do: one file a page.

pub mod account;
pub mod accounts;
pub mod apis;
pub mod plans;
pub mod settings;
pub mod summary;
