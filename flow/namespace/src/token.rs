//! What a shared access token proves: rights on everything below a path, until a time. Pure.
//!
//! A token names a policy and a resource and carries a signature over the resource and the time it ends, made with one of
//! the policy's keys as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use millstream_catalog::{AccessPolicyDefinition, AccessRights};
use millstream_types::Millis;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// A token as it came, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The resource as it was signed, to the byte.
    pub resource: String,
    /// The resource's path in its namespace, segment by segment; empty for the whole namespace.
    pub path: Vec<String>,
    /// The end of its life in seconds since 1970, as it was signed.
    pub expiry: String,
    /// The signature in base64.
    pub signature: String,
    /// The policy's name.
    pub policy: String,
}

/// Why a token proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No policy of that name holds for the resource.
    #[error("there is no policy `{0}` for this resource")]
    UnknownPolicy(String),
    /// None of the policy's keys made the signature.
    #[error("The token has an invalid signature.")]
    Signature,
    /// Its time is over.
    #[error("The token is expired. Expiration time: {0}.")]
    Expired(String),
    /// The end of its life is no number.
    #[error("expected seconds since 1970 as the token's end, found `{0}`")]
    Expiry(String),
}

/// A right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To put records.
    Send,
    /// To read records.
    Listen,
    /// To change hubs.
    Manage,
    /// Any of them: to look at a hub.
    Any,
}

/// What a token proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The path that it holds for, and everything below.
    pub path: Vec<String>,
    /// What it allows there.
    pub rights: AccessRights,
    /// When it ends.
    pub expires: Millis,
}

impl Claims {
    /// Whether it allows something at a path, now.
    #[must_use]
    pub fn allow(&self, right: Right, path: &[&str], now: Millis) -> bool {
        let covers = self.path.len() <= path.len()
            && self.path.iter().zip(path).all(|(own, asked)| own.eq_ignore_ascii_case(asked));
        let AccessRights { send, listen, manage } = self.rights;
        let has = match right {
            Right::Send => send,
            Right::Listen => listen,
            Right::Manage => manage,
            Right::Any => send || listen || manage,
        };
        covers && has && now < self.expires
    }
}

impl Token {
    /// What it proves under these policies, of which the first of its name counts; `development_key` is accepted too.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify<'p>(
        &self,
        mut policies: impl Iterator<Item = &'p AccessPolicyDefinition>,
        development_key: Option<&str>,
        now: Millis,
    ) -> Result<Claims, TokenError> {
        let Some(policy) = policies.find(|policy| policy.name == self.policy) else {
            return Err(TokenError::UnknownPolicy(self.policy.clone()));
        };
        let keys = [Some(policy.primary_key.as_str()), Some(policy.secondary_key.as_str()), development_key];
        if !keys.into_iter().flatten().any(|key| self.is_signed_with(key)) {
            return Err(TokenError::Signature);
        }
        let seconds: i64 = self.expiry.parse().map_err(|_| TokenError::Expiry(self.expiry.clone()))?;
        let expires = seconds.saturating_mul(1_000);
        if expires <= now {
            return Err(TokenError::Expired(millstream_types::time::rfc3339(expires)));
        }
        Ok(Claims { path: self.path.clone(), rights: policy.rights, expires })
    }

    fn is_signed_with(&self, key: &str) -> bool {
        signature(key, &self.resource, &self.expiry)
            .is_some_and(|expected| expected.as_bytes().ct_eq(self.signature.as_bytes()).into())
    }
}

/// The signature over a resource and an end, in base64.
#[must_use]
pub fn signature(key: &str, resource: &str, expiry: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).ok()?;
    mac.update(resource.as_bytes());
    mac.update(b"\n");
    mac.update(expiry.as_bytes());
    Some(STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policies() -> Vec<AccessPolicyDefinition> {
        let policy = |name: &str, rights, key: &str| AccessPolicyDefinition {
            name: name.into(),
            rights,
            primary_key: key.into(),
            secondary_key: format!("{key}2"),
        };
        vec![
            policy("root", AccessRights::ALL, "k"),
            policy("send", AccessRights { send: true, ..AccessRights::default() }, "s"),
        ]
    }

    fn token(policy: &str, key: &str, expiry: &str) -> Token {
        let resource = "sb%3a%2f%2fns%2fhub".to_owned();
        let signature = signature(key, &resource, expiry).unwrap();
        Token { resource, path: vec!["hub".into()], expiry: expiry.into(), signature, policy: policy.into() }
    }

    #[test]
    fn either_key_proves_the_policys_rights_until_the_end() {
        let policies = policies();
        for key in ["s", "s2"] {
            let claims = token("send", key, "100").verify(policies.iter(), None, 99_999).unwrap();
            assert!(claims.allow(Right::Send, &["HUB", "partitions", "0"], 99_999));
            assert!(!claims.allow(Right::Send, &["hub"], 100_000));
            assert!(!claims.allow(Right::Send, &["other"], 0));
            assert!(!claims.allow(Right::Send, &[], 0));
            assert!(!claims.allow(Right::Listen, &["hub"], 0));
        }
    }

    #[test]
    fn what_proves_nothing_is_told_apart() {
        let policies = policies();
        let verify = |token: Token, now| token.verify(policies.iter(), None, now).unwrap_err();
        assert_eq!(verify(token("none", "k", "9"), 0), TokenError::UnknownPolicy("none".into()));
        assert_eq!(verify(token("root", "s", "9"), 0), TokenError::Signature);
        assert!(matches!(verify(token("root", "k", "9"), 9_000), TokenError::Expired(_)));
        assert_eq!(verify(token("root", "k", "soon"), 0), TokenError::Expiry("soon".into()));
        let mut changed = token("root", "k", "9");
        changed.expiry = "999".into();
        assert_eq!(verify(changed, 0), TokenError::Signature);
    }

    #[test]
    fn the_signature_is_the_one_that_clients_make() {
        // Made with Python's hmac over "sb%3A%2F%2Flocalhost%2Fhub\\n1700000000".
        let found = signature("SAS_KEY_VALUE", "sb%3A%2F%2Flocalhost%2Fhub", "1700000000").unwrap();
        assert_eq!(found, "ChipCjHp9obVQuFPL8dLc1uHnFkDJxHZD3nhKW4AEh4=");
    }
}
