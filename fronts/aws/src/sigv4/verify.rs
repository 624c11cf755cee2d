//! Checking a signature: who claims to have signed, whether the time is near, whether the signature is right.

use std::collections::BTreeMap;

use http::{HeaderMap, Method, header};
use millstream_types::Millis;
use percent_encoding::percent_decode_str;
use subtle::ConstantTimeEq as _;

use super::canonical::{Parts, request as canonical_request};
use super::{ALGORITHM, Scope, SigningKeys, sha256_hex, signature, time};

/// How far a client's clock may be off.
const SKEW_MS: Millis = 5 * 60 * 1_000;

/// Why a request is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It is not signed at all.
    #[error("Missing Authentication Token")]
    Missing,
    /// It is signed, but not in the form of version 4.
    #[error("{0}")]
    Incomplete(String),
    /// Nobody has this key.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// The credentials were temporary and have ended.
    #[error("The security token included in the request is expired")]
    Expired,
    /// Its time is too far from the node's, or the signature is another.
    #[error("{0}")]
    Invalid(String),
}

/// A signature as a request carries it, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The key's id.
    pub access_key: String,
    /// What the key was derived for.
    pub scope: Scope,
    time: String,
    signed: Vec<String>,
    signature: String,
    /// In a presigned address: how long it is good for.
    expires_seconds: Option<i64>,
}

impl Claim {
    /// Reads the signature from the header `authorization` or from a presigned address.
    ///
    /// # Errors
    /// [`SignatureError::Missing`], [`SignatureError::Incomplete`].
    pub fn read(headers: &HeaderMap, query: &str) -> Result<Self, SignatureError> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        if let Some(authorization) = text(header::AUTHORIZATION.as_str()) {
            let Some(rest) = authorization.strip_prefix(ALGORITHM) else {
                return Err(SignatureError::Incomplete(format!(
                    "Authorization header requires the algorithm {ALGORITHM}"
                )));
            };
            let fields: BTreeMap<String, String> = rest.split(',').filter_map(field).collect();
            return Self::from_fields(&fields, "Authorization header", text("x-amz-date"), None);
        }
        let fields: BTreeMap<String, String> = query.split('&').filter_map(field).collect();
        if !fields.contains_key("X-Amz-Signature") {
            return Err(SignatureError::Missing);
        }
        let renamed = ["Credential", "SignedHeaders", "Signature"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), fields.get(&format!("X-Amz-{name}"))?.clone())))
            .collect();
        let expires = fields.get("X-Amz-Expires").and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
        Self::from_fields(&renamed, "Query string", fields.get("X-Amz-Date").cloned(), Some(expires))
    }

    fn from_fields(
        fields: &BTreeMap<String, String>,
        place: &str,
        time: Option<String>,
        expires_seconds: Option<i64>,
    ) -> Result<Self, SignatureError> {
        let take = |name: &str| {
            let missing = || SignatureError::Incomplete(format!("{place} requires '{name}' parameter."));
            fields.get(name).filter(|value| !value.is_empty()).cloned().ok_or_else(missing)
        };
        let time =
            time.ok_or_else(|| SignatureError::Incomplete(format!("{place} requires existence of 'X-Amz-Date'.")))?;
        let credential = take("Credential")?;
        let parts: Vec<&str> = credential.split('/').collect();
        let [access_key @ .., date, region, service, "aws4_request"] = parts.as_slice() else {
            return Err(SignatureError::Incomplete(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{credential}'"
            )));
        };
        Ok(Self {
            access_key: access_key.join("/"),
            scope: Scope { date: (*date).to_owned(), region: (*region).to_owned(), service: (*service).to_owned() },
            time,
            signed: take("SignedHeaders")?.split(';').map(str::to_owned).collect(),
            signature: take("Signature")?,
            expires_seconds,
        })
    }

    /// Checks the claim against the key's secret.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`], [`SignatureError::Incomplete`].
    pub fn check(
        &self,
        (keys, secret): (&SigningKeys, &str),
        (method, path, query): (&Method, &str, &str),
        headers: &HeaderMap,
        authority: &str,
        body: &[u8],
        now: Millis,
    ) -> Result<(), SignatureError> {
        self.check_time(now)?;
        let payload_hash = match headers.get("x-amz-content-sha256").and_then(|value| value.to_str().ok()) {
            Some("UNSIGNED-PAYLOAD") if self.scope.service == "s3" => "UNSIGNED-PAYLOAD".to_owned(),
            _ if self.expires_seconds.is_some() && self.scope.service == "s3" => "UNSIGNED-PAYLOAD".to_owned(),
            _ => sha256_hex(body),
        };
        let parts = Parts { method, path, query, headers, authority };
        let signed: Vec<&str> = self.signed.iter().map(String::as_str).collect();
        let expected = canonical_request(&parts, &self.scope.service, &signed, &payload_hash)
            .map(|canonical| signature(&keys.of(secret, &self.scope), &self.scope, &self.time, &canonical));
        let right = expected.is_some_and(|expected| bool::from(expected.as_bytes().ct_eq(self.signature.as_bytes())));
        if right && self.signs_enough(headers) {
            return Ok(());
        }
        Err(SignatureError::Invalid(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key \
             and signing method. Consult the service documentation for details."
                .to_owned(),
        ))
    }

    /// Whether all headers are signed that must be: whoever carries a request could otherwise make another one of it, by its
    /// operation, its date or what it says of its body. Those that begin with `x-amz-` must; no client of the vendor's leaves any
    /// of them out. (`x-amzn-trace-id`, which all leave out since proxies change it, does not begin so.) The media type need not
    /// be, since the JavaScript SDK of the second generation never signs it: it may not decide what a request asks for.
    fn signs_enough(&self, headers: &HeaderMap) -> bool {
        let signs = |name: &str| self.signed.iter().any(|signed| signed == name);
        let unsigned = |name: &header::HeaderName| name.as_str().starts_with("x-amz-") && !signs(name.as_str());
        signs(header::HOST.as_str()) && !headers.keys().any(unsigned)
    }

    fn check_time(&self, now: Millis) -> Result<(), SignatureError> {
        let wrong =
            || SignatureError::Incomplete(format!("Date must be in ISO-8601 'basic format'. Got '{}'.", self.time));
        let signed = time::read(&self.time).ok_or_else(wrong)?;
        if !self.time.starts_with(&self.scope.date) {
            return Err(SignatureError::Invalid(format!(
                "Credential should be scoped with a date that matches the request's, {} is not of {}.",
                self.scope.date, self.time
            )));
        }
        let tolerance = self.expires_seconds.map_or(SKEW_MS, |seconds| seconds.clamp(0, 604_800) * 1_000);
        if signed < now - tolerance {
            return Err(SignatureError::Invalid(format!(
                "Signature expired: {} is now earlier than {} ({} - {} min.)",
                self.time,
                time::text(now - tolerance),
                time::text(now),
                tolerance / 60_000,
            )));
        }
        if signed > now + SKEW_MS {
            return Err(SignatureError::Invalid(format!(
                "Signature not yet current: {} is still later than {} ({} + 5 min.)",
                self.time,
                time::text(now + SKEW_MS),
                time::text(now),
            )));
        }
        Ok(())
    }
}

/// `name=value`, unescaped.
fn field(pair: &str) -> Option<(String, String)> {
    let (name, value) = pair.trim().split_once('=')?;
    let unescape = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some((unescape(name), unescape(value)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;

    use super::super::{Credentials, sign};
    use super::*;

    const NOW: Millis = 1_440_938_160_000; // 2015-08-30T12:36:00Z

    /// The published example of the signing documentation: `ListUsers` of IAM.
    #[test]
    fn the_published_example_is_right() {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/x-www-form-urlencoded; charset=utf-8".parse().unwrap());
        headers.insert("host", "iam.amazonaws.com".parse().unwrap());
        headers.insert("x-amz-date", "20150830T123600Z".parse().unwrap());
        headers.insert(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
                .parse()
                .unwrap(),
        );
        let query = "Action=ListUsers&Version=2010-05-08";
        let claim = Claim::read(&headers, query).unwrap();
        let keys = SigningKeys::default();
        let check = |secret| claim.check((&keys, secret), (&Method::GET, "/", query), &headers, "", b"", NOW);
        assert_eq!(check("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), Ok(()));
        assert!(matches!(check("other"), Err(SignatureError::Invalid(_))));
    }

    fn signed(now: Millis) -> Request<Bytes> {
        let mut request =
            Request::post("http://localhost:4566/a%20b//c?z=1&a=%2F").body(Bytes::from_static(b"{}")).unwrap();
        let credentials = Credentials { access_key: "test".into(), secret: "test".into(), session_token: None };
        sign(&mut request, &credentials, "us-east-1", "lambda", now).unwrap();
        request
    }

    fn verify(request: &Request<Bytes>, now: Millis) -> Result<(), SignatureError> {
        let query = request.uri().query().unwrap_or_default();
        let claim = Claim::read(request.headers(), query)?;
        let place = (request.method(), request.uri().path(), query);
        claim.check((&SigningKeys::default(), "test"), place, request.headers(), "localhost:4566", request.body(), now)
    }

    #[test]
    fn what_is_signed_here_verifies_here_and_nothing_else_does() {
        let request = signed(NOW);
        assert_eq!(verify(&request, NOW), Ok(()));
        let mut other_body = request.clone();
        *other_body.body_mut() = Bytes::from_static(b"{ }");
        assert!(matches!(verify(&other_body, NOW), Err(SignatureError::Invalid(_))));
        let mut other_query = request.clone();
        *other_query.uri_mut() = "http://localhost:4566/a%20b//c?z=2&a=%2F".parse().unwrap();
        assert!(matches!(verify(&other_query, NOW), Err(SignatureError::Invalid(_))));
    }

    /// Whoever carries a request must not be able to make another one of it.
    #[test]
    fn headers_that_mean_something_must_be_signed() {
        for (name, value, expected) in [
            ("x-amz-target", "DynamoDB_20120810.DeleteTable", false),
            ("x-amz-invocation-type", "Event", false),
            ("x-amz-anything", "", false),
            // What clients leave out, and what proxies add afterwards.
            ("content-type", "application/json", true),
            ("x-amzn-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793", true),
            ("user-agent", "aws-cli/1.44.0", true),
            ("content-length", "2", true),
            ("accept-encoding", "identity", true),
        ] {
            let mut request = signed(NOW);
            request.headers_mut().insert(name, value.parse().unwrap());
            assert_eq!(verify(&request, NOW).is_ok(), expected, "{name}");
        }
    }

    #[test]
    fn clocks_may_be_off_by_five_minutes() {
        let request = signed(NOW);
        assert_eq!(verify(&request, NOW + SKEW_MS), Ok(()));
        let late = verify(&request, NOW + SKEW_MS + 1_000).unwrap_err().to_string();
        assert_eq!(
            late,
            "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)"
        );
        let early = verify(&request, NOW - SKEW_MS - 1_000).unwrap_err().to_string();
        assert!(early.starts_with("Signature not yet current: 20150830T123600Z"), "{early}");
    }

    #[test]
    fn broken_forms_are_named() {
        let read = |authorization: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", authorization.parse().unwrap());
            headers.insert("x-amz-date", "20150830T123600Z".parse().unwrap());
            Claim::read(&headers, "")
        };
        for broken in
            ["Basic x", "AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=x"]
        {
            assert!(matches!(read(broken), Err(SignatureError::Incomplete(_))), "{broken}");
        }
        assert_eq!(Claim::read(&HeaderMap::new(), ""), Err(SignatureError::Missing));
    }
}
