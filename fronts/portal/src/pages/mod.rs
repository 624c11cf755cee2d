//! What visitors see: one file a page. What owners see besides is in [`crate::owner`].

pub mod account;
pub mod api;
pub mod home;
pub mod invitation;
pub mod log_in;
pub mod operation;
pub mod plans;
pub mod sign_up;
pub mod subscription;
pub mod try_call;

use serde::Deserialize;

use crate::frame::notice;

/// What the address of a page may say.
#[derive(Debug, Default, Deserialize)]
pub struct Asked {
    /// What was just done.
    #[serde(default)]
    said: String,
    /// Where to go after a log-in.
    #[serde(default)]
    pub next: String,
    /// The secret of a link.
    #[serde(default)]
    pub link: String,
}

impl Asked {
    /// What was just done, as a sentence.
    pub fn notice(&self) -> Option<&'static str> {
        notice(&self.said)
    }
}
