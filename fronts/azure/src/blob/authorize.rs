//! Who may do what: keys and shared access signatures. Reads no body and touches no object.

use millstream_access::Access;
use millstream_types::Millis;

use super::operation::Operation;
use super::sas::{Caller, Overrides, Sas};
use crate::request::AzureRequest;
use crate::signing;
use crate::storage::account::{self, by_key};
use crate::storage::error::ServiceError;
use crate::storage::target::Target;

/// What an authorized caller may.
#[derive(Debug, Clone, Default)]
pub(super) struct Permit {
    /// Whether the account's key was used, which allows everything.
    pub(super) by_key: bool,
    /// Whether blobs may be made but not replaced.
    pub(super) create_only: bool,
    /// Headers that a shared access signature sets for the answer.
    pub(super) overrides: Overrides,
}

/// Checks a request against its account.
pub(super) fn authorize(
    access: &Access,
    request: &AzureRequest,
    target: &Target,
    operation: Operation,
    now: Millis,
) -> Result<Permit, ServiceError> {
    let Some(authorization) = request.header("authorization") else {
        if target.parameter("sig").is_none() {
            return Err(ServiceError::no_authentication());
        }
        return by_signature(access, target, operation, Caller::of(request), now);
    };
    by_key(access, request, target, authorization, now)?;
    Ok(Permit { by_key: true, ..Permit::default() })
}

/// Checks a shared access signature in an address against the account that the address names.
pub(super) fn by_signature(
    access: &Access,
    target: &Target,
    operation: Operation,
    caller: Caller,
    now: Millis,
) -> Result<Permit, ServiceError> {
    let sas = Sas::of(target)?;
    let to_sign = sas.string_to_sign(target);
    let keys = account::keys(access, &target.account)?;
    if !keys.iter().any(|key| signing::is_signed(key, &to_sign, sas.signature())) {
        return Err(ServiceError::unauthenticated(format!(
            "Signature did not match. String to sign used was {to_sign}",
        )));
    }
    sas.check(operation, caller, now)
}
