//! Storage accounts: their keys, and requests that are signed with one of them. Reads no body.

use millstream_access::Access;
use millstream_types::Millis;

use super::error::ServiceError;
use super::shared_key;
use super::target::Target;
use crate::request::AzureRequest;
use crate::{signing, time};

/// How far a client's clock may be from ours, as the services have it.
const CLOCK_SKEW_MILLIS: Millis = 15 * 60 * 1_000;

/// Whether a storage account can be called so: 3 to 24 lower-case letters and digits.
pub(crate) fn is_account(name: &str) -> bool {
    (3..=24).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Both keys of an account.
pub(crate) fn keys(access: &Access, account: &str) -> Result<[String; 2], ServiceError> {
    let found = if is_account(account) { access.storage_account(account) } else { None };
    found.ok_or_else(|| ServiceError::unauthenticated(format!("this node has no storage account {account}")))
}

/// Checks a request that is signed with an account's key.
pub(crate) fn by_key(
    access: &Access,
    request: &AzureRequest,
    target: &Target,
    authorization: &str,
    now: Millis,
) -> Result<(), ServiceError> {
    let Some((account, signature)) = authorization.strip_prefix("SharedKey ").and_then(|rest| rest.split_once(':'))
    else {
        let scheme = authorization.split(' ').next().unwrap_or_default();
        return Err(ServiceError::unauthenticated(format!(
            "expected an Authorization header of the form SharedKey ACCOUNT:SIGNATURE, found the scheme {scheme}",
        )));
    };
    if account != target.account {
        return Err(ServiceError::unauthenticated(format!(
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
        return Err(ServiceError::unauthenticated(format!(
            "The MAC signature found in the HTTP request is not the same as any computed signature. Server used following \
             string to sign: '{text}'.",
        )));
    }
    Ok(())
}

fn check_clock(request: &AzureRequest, now: Millis) -> Result<(), ServiceError> {
    let Some(text) = request.header("x-ms-date").or_else(|| request.header("date")) else {
        return Err(ServiceError::unauthenticated(
            "expected the time of the request in x-ms-date or Date, found neither",
        ));
    };
    let Some(date) = time::parse_rfc1123(text) else {
        return Err(ServiceError::unauthenticated(format!("expected a time as RFC 1123 writes it, found {text}")));
    };
    if (now - date).abs() > CLOCK_SKEW_MILLIS {
        return Err(ServiceError::unauthenticated(format!(
            "Request date header too old: '{text}'; the server's time is {}",
            time::rfc1123(now),
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_lower_case_letters_and_digits() {
        assert!(is_account("devstoreaccount1") && is_account("abc"));
        for bad in ["ab", "", "A23", "a_b", "2015-03-31", "abcdefghijklmnopqrstuvwxy"] {
            assert!(!is_account(bad), "{bad}");
        }
    }
}
