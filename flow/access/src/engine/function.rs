//! The credentials of functions' processes: they live as long as the node, and their rights are those of the function's role
//! whenever they are used.

use std::collections::HashMap;
use std::sync::PoisonError;

use subtle::ConstantTimeEq as _;

use super::Access;
use crate::caller::{Caller, Grant, Origin, TemporaryCredentials};
use crate::secret;

/// The credentials that were given out.
#[derive(Default)]
pub(super) struct FunctionKeys {
    by_function: HashMap<String, TemporaryCredentials>,
    functions: HashMap<String, String>,
}

impl Access {
    /// The credentials of a function's processes, made at the first call: whatever the function calls on this node is known
    /// to come from it.
    #[must_use]
    pub fn function_credentials(&self, function: &str) -> TemporaryCredentials {
        let mut keys = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = keys.by_function.get(function) {
            return known.clone();
        }
        let made = TemporaryCredentials {
            access_key: format!("MSFN{}", secret::letters(16)),
            secret: secret::secret(),
            token: secret::secret(),
            expires: None,
        };
        keys.functions.insert(made.access_key.clone(), function.to_owned());
        keys.by_function.insert(function.to_owned(), made.clone());
        made
    }

    /// What a function's key grants together with its token.
    pub(super) fn function_grant(&self, key: &str, token: &str) -> Option<Grant> {
        let keys = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        let name = keys.functions.get(key)?;
        let known = keys.by_function.get(name)?;
        bool::from(known.token.as_bytes().ct_eq(token.as_bytes())).then(|| Grant {
            secret: known.secret.clone(),
            caller: Caller::Function { name: name.clone() },
            origin: Origin::Function { name: name.clone() },
        })
    }
}
