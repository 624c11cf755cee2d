//! Signatures with a shared key: HMAC-SHA256, compared in a time that tells nothing. Pure.
//!
//! What is signed differs from service to service and is theirs to say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Whether `signature` is that of `text` with `key`, both in base64 as people and headers have them.
pub(crate) fn is_signed(key: &str, text: &str, signature: &str) -> bool {
    let (Ok(key), Ok(signature)) = (BASE64.decode(key), BASE64.decode(signature)) else { return false };
    is_signed_with(&key, text, &signature)
}

/// The same of bytes.
pub(crate) fn is_signed_with(key: &[u8], text: &str, signature: &[u8]) -> bool {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else { return false };
    mac.chain_update(text.as_bytes()).verify_slice(signature).is_ok()
}

/// The signature of a text, in base64: what clients send.
#[cfg(test)]
pub(crate) fn sign(key: &str, text: &str) -> String {
    let key = BASE64.decode(key).unwrap();
    let mac = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(text.as_bytes());
    BASE64.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_makes_the_signature() {
        let (key, other) = (BASE64.encode("key"), BASE64.encode("other"));
        let signature = sign(&key, "text");
        assert_eq!(signature, "avqQRqlXnK0UOjhMG1ZLmiUNJ9b2pj+fIL86dZTJ4sY=");
        assert!(is_signed(&key, "text", &signature));
        for (key, text, signature) in
            [(&other, "text", signature.as_str()), (&key, "texts", &signature), (&key, "text", ""), (&key, "text", "%")]
        {
            assert!(!is_signed(key, text, signature));
        }
    }
}
