//! Who may do what: users, roles, keys, policies, and the verdict on a call. Knows no request and no signature.
//!
//! Read next: [`policy`] (the policy language: pure), [`engine`] (the operations), [`caller`] (who calls), `session`
//! (temporary credentials).

pub mod caller;
mod definition_cache;
pub mod engine;
mod error;
mod management;
pub mod policy;
mod secret;
mod session;

pub use caller::{Caller, Grant, Origin, RoleSession, TemporaryCredentials};
pub use definition_cache::DefinitionCache;
pub use engine::{
    Access, AccessKey, AssumeRole, DEVELOPMENT_ACCOUNT, DEVELOPMENT_KEY, Denial, Entity, Holder, NewPolicy, NewRole,
    NewUser, PolicyKind, ResourcePolicy, ServicePolicy,
};
pub use error::AccessError;
pub use management::Management;
pub use session::SessionKey;
