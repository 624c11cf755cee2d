//! Who calls: the principals that requests come from.

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

/// Whose credentials a request was made with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Caller {
    /// The node's owner, who may do everything.
    Root,
    /// A user, with its own key or with temporary credentials.
    User {
        /// Its name.
        name: String,
    },
    /// Somebody who took on a role.
    Role(RoleSession),
    /// A function's process: it has its role's rights, as the role is when it calls.
    Function {
        /// The function's name, or `NAME:VERSION` for a version of it.
        name: String,
    },
}

/// A role that somebody took on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RoleSession {
    /// The role's name.
    pub role: String,
    /// Its id: the session ends when the role is deleted, even if another of its name is made.
    pub role_id: String,
    /// The name that the caller gave the session.
    pub session: String,
    /// A policy that narrows what the role may do.
    #[serde(default)]
    pub policy: Option<String>,
    /// When it was taken on.
    pub since: Millis,
}

/// What a key grants: the secret that signatures are made with, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The secret.
    pub secret: String,
    /// Whose key it is.
    pub caller: Caller,
    /// The lasting key behind it, or the key itself.
    pub origin: Origin,
}

/// The lasting credentials that temporary ones were first asked for with, however many roles were taken on since: they end
/// when it does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The published key, which only development nodes take.
    Development,
    /// An access key.
    Key {
        /// Its id.
        id: String,
        /// The id of the user whose it is; `None`: the root's.
        user: Option<String>,
    },
    /// The credentials of a function's processes.
    Function {
        /// The function's name.
        name: String,
    },
}

/// Credentials that end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemporaryCredentials {
    /// The key's id.
    pub access_key: String,
    /// Its secret.
    pub secret: String,
    /// What must come along with each request.
    pub token: String,
    /// When they end; `None`: when the node does.
    pub expires: Option<Millis>,
}
