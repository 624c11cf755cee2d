//! Who may do what: keys and shared access signatures. Reads no body and touches no object.

use std::net::IpAddr;

use millstream_access::Access;
use millstream_types::Millis;

use super::error::BlobError;
use super::operation::Operation;
use super::sas::{Overrides, Sas};
use super::shared_key;
use super::target::{Target, is_account};
use crate::request::AzureRequest;
use crate::{signing, time};

/// How far a client's clock may be from ours, as the service has it.
const CLOCK_SKEW_MILLIS: Millis = 15 * 60 * 1_000;

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
) -> Result<Permit, BlobError> {
    let Some(authorization) = request.header("authorization") else {
        if target.parameter("sig").is_none() {
            return Err(BlobError::no_authentication());
        }
        return by_signature(access, target, operation, request.peer, now);
    };
    by_key(access, request, target, authorization, now)?;
    Ok(Permit { by_key: true, ..Permit::default() })
}

/// Checks a request that is signed with an account's key, as all storage services have it.
pub(crate) fn by_key(
    access: &Access,
    request: &AzureRequest,
    target: &Target,
    authorization: &str,
    now: Millis,
) -> Result<(), BlobError> {
    let Some((account, signature)) = authorization.strip_prefix("SharedKey ").and_then(|rest| rest.split_once(':'))
    else {
        let scheme = authorization.split(' ').next().unwrap_or_default();
        return Err(BlobError::unauthenticated(format!(
            "expected an Authorization header of the form SharedKey ACCOUNT:SIGNATURE, found the scheme {scheme}",
        )));
    };
    if account != target.account {
        return Err(BlobError::unauthenticated(format!(
            "the key is one of account {account}, the address is one of account {}",
            target.account,
        )));
    }
    check_clock(request, now)?;
    let to_sign = shared_key::strings_to_sign(request, target);
    let keys = keys(access, account)?;
    let right = to_sign.iter().any(|text| keys.iter().any(|key| signing::is_signed(key, text, signature)));
    if !right {
        let text = to_sign.first().map(String::as_str).unwrap_or_default();
        return Err(BlobError::unauthenticated(format!(
            "The MAC signature found in the HTTP request is not the same as any computed signature. Server used following \
             string to sign: '{text}'.",
        )));
    }
    Ok(())
}

/// Checks a shared access signature in an address against the account that the address names.
pub(super) fn by_signature(
    access: &Access,
    target: &Target,
    operation: Operation,
    caller: IpAddr,
    now: Millis,
) -> Result<Permit, BlobError> {
    let sas = Sas::of(target)?;
    let to_sign = sas.string_to_sign(target);
    let keys = keys(access, &target.account)?;
    if !keys.iter().any(|key| signing::is_signed(key, &to_sign, sas.signature())) {
        return Err(BlobError::unauthenticated(format!("Signature did not match. String to sign used was {to_sign}",)));
    }
    sas.check(operation, caller, now)
}

fn keys(access: &Access, account: &str) -> Result<[String; 2], BlobError> {
    let found = if is_account(account) { access.storage_account(account) } else { None };
    found.ok_or_else(|| BlobError::unauthenticated(format!("this node has no storage account {account}")))
}

fn check_clock(request: &AzureRequest, now: Millis) -> Result<(), BlobError> {
    let Some(text) = request.header("x-ms-date").or_else(|| request.header("date")) else {
        return Err(BlobError::unauthenticated("expected the time of the request in x-ms-date or Date, found neither"));
    };
    let Some(date) = time::parse_rfc1123(text) else {
        return Err(BlobError::unauthenticated(format!("expected a time as RFC 1123 writes it, found {text}")));
    };
    if (now - date).abs() > CLOCK_SKEW_MILLIS {
        return Err(BlobError::unauthenticated(format!(
            "Request date header too old: '{text}'; the server's time is {}",
            time::rfc1123(now),
        )));
    }
    Ok(())
}
