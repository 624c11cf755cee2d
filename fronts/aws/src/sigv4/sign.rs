//! Signing as a client.

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use millstream_types::Millis;

use super::canonical::{Parts, request as canonical_request};
use super::{ALGORITHM, Scope, keys, sha256_hex, signature, time};

/// A key id and its secret.
#[derive(Clone)]
pub struct Credentials {
    /// The key's id.
    pub access_key: String,
    /// Its secret.
    pub secret: String,
    /// What temporary credentials bring along.
    pub session_token: Option<String>,
}

/// Signs a request: all its headers, its address and its body. Adds `host`, `x-amz-date`,
/// `x-amz-security-token` for temporary credentials, and `authorization`.
///
/// # Errors
/// When the address, the key id or the session token cannot be a header's value.
pub fn sign(
    request: &mut Request<Bytes>,
    credentials: &Credentials,
    region: &str,
    service: &str,
    now: Millis,
) -> Result<(), header::InvalidHeaderValue> {
    let time = time::text(now);
    let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    if !request.headers().contains_key(header::HOST) {
        request.headers_mut().insert(header::HOST, HeaderValue::from_str(&authority)?);
    }
    request.headers_mut().insert("x-amz-date", HeaderValue::from_str(&time)?);
    if let Some(token) = &credentials.session_token {
        request.headers_mut().insert("x-amz-security-token", HeaderValue::from_str(token)?);
    }
    let mut signed: Vec<&str> = request.headers().keys().map(header::HeaderName::as_str).collect();
    signed.sort_unstable();
    signed.dedup();
    let scope = Scope { date: time[..8].to_owned(), region: region.to_owned(), service: service.to_owned() };
    let parts = Parts {
        method: request.method(),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or_default(),
        headers: request.headers(),
        authority: &authority,
    };
    let hash = sha256_hex(request.body());
    // Every signed header was just taken from the request.
    let canonical = canonical_request(&parts, service, &signed, &hash).unwrap_or_default();
    let signature = signature(&keys::derive(&credentials.secret, &scope), &scope, &time, &canonical);
    let authorization = format!(
        "{ALGORITHM} Credential={}/{}, SignedHeaders={}, Signature={signature}",
        credentials.access_key,
        scope.text(),
        signed.join(";"),
    );
    request.headers_mut().insert(header::AUTHORIZATION, HeaderValue::from_str(&authorization)?);
    Ok(())
}
