//! Keys that signatures are made with: derived from a secret for a day, a region and a service, and kept.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ring::hmac;

use super::Scope;

/// Derived keys that are kept; with their names at most 600 bytes each.
const KEYS_MAX: usize = 4_096;
/// Bytes of a scope whose key is kept. It is the client's text, and nothing is proven yet when its key is asked for.
const SCOPE_BYTES_MAX: usize = 128;

/// The keys derived so far: deriving one takes four digests by key, and all requests of a client's day are signed with the same.
#[derive(Default)]
pub struct SigningKeys(Mutex<HashMap<(String, String), hmac::Key>>);

impl SigningKeys {
    /// The key of a secret for a scope. Only secrets that somebody has may be asked for: each asked for is kept.
    pub(super) fn of(&self, secret: &str, scope: &Scope) -> hmac::Key {
        let scope_text = scope.text();
        if scope_text.len() > SCOPE_BYTES_MAX {
            return derive(secret, scope);
        }
        let name = (scope_text, secret.to_owned());
        // A panic elsewhere left whole keys behind.
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = keys.get(&name) {
            return key.clone();
        }
        // Clients choose regions and services, so they could fill this: it begins anew then.
        if keys.len() >= KEYS_MAX {
            keys.clear();
        }
        let key = derive(secret, scope);
        keys.insert(name, key.clone());
        key
    }
}

/// The key of a secret for a scope.
pub(super) fn derive(secret: &str, scope: &Scope) -> hmac::Key {
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes());
    for part in [&scope.date, &scope.region, &scope.service, "aws4_request"] {
        key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(region: &str) -> Scope {
        Scope { date: "20261121".into(), region: region.into(), service: "kinesis".into() }
    }

    #[test]
    fn each_secret_has_its_key_for_each_scope_and_few_are_kept() {
        let keys = SigningKeys::default();
        let signed = |key: &hmac::Key| hmac::sign(key, b"text").as_ref().to_vec();
        for (secret, region) in [("a", "x"), ("b", "x"), ("a", "y"), ("a", "x")] {
            let expected = signed(&derive(secret, &scope(region)));
            assert_eq!(signed(&keys.of(secret, &scope(region))), expected, "{secret} {region}");
        }
        let long = scope(&"x".repeat(SCOPE_BYTES_MAX));
        assert_eq!(signed(&keys.of("a", &long)), signed(&derive("a", &long)));
        assert_eq!(keys.0.lock().unwrap().len(), 3, "a long one is not kept");
        for n in 0..2 * KEYS_MAX {
            keys.of("a", &scope(&n.to_string()));
        }
        assert!(keys.0.lock().unwrap().len() <= KEYS_MAX);
    }
}
