//! Which requests come in, and what a browser may do with an answer.
//!
//! A page elsewhere must not reach the portal by a name that resolves to this machine, so the `Host` must be one of ours; nor
//! may it send forms, so a `POST` must come from our own pages ([`crate::fields`] asks for the page's token besides). No page
//! has a script, and none would run.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use millstream_http::body::discard;

/// Names that always mean this machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Nothing but our own style sheet and icon.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    // Not `no-referrer`: with it browsers send our own forms with the origin `null`, which `refusal` must refuse.
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// Names besides loopback under which the portal may be asked for.
#[derive(Debug, Clone, Default)]
pub struct Hosts(pub Arc<[String]>);

/// Lets a request through if it may come in, and sets the headers of its answer.
pub async fn check(State(hosts): State<Hosts>, request: Request<Body>, next: Next) -> Response {
    let mut response = match refusal(&hosts, request.method(), request.uri(), request.headers()) {
        Some(reason) => {
            // Its sender gets to the answer when what it sends is taken.
            discard(request.into_body()).await;
            (StatusCode::FORBIDDEN, reason).into_response()
        }
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, value);
    }
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Why a request may not come in.
fn refusal(hosts: &Hosts, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<&'static str> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let authority = uri.authority().map(|authority| authority.as_str()).or_else(|| text(header::HOST));
    let known = |authority: &str| {
        let name = host_name(authority);
        LOOPBACK.iter().any(|own| own.eq_ignore_ascii_case(name))
            || hosts.0.iter().any(|own| own.eq_ignore_ascii_case(name))
    };
    let Some(authority) = authority.filter(|authority| known(authority)) else {
        return Some("this portal answers to localhost and to the name in its settings only\n");
    };
    match *method {
        Method::GET | Method::HEAD => None,
        Method::POST => {
            let own_origin = match text(header::ORIGIN) {
                Some(origin) => origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(authority)),
                // Browsers send an origin with every form to another site; without one the token alone decides.
                None => text(HeaderName::from_static("sec-fetch-site")).is_none_or(|site| site == "same-origin"),
            };
            (!own_origin).then_some("forms are taken from this portal's own pages only\n")
        }
        _ => Some("pages are read with GET, forms are sent with POST\n"),
    }
}

/// An authority without its port.
fn host_name(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: Method, pairs: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        refusal(&Hosts(vec!["portal.example".to_owned()].into()), &method, &Uri::from_static("/"), &headers).is_some()
    }

    #[test]
    fn own_names_and_own_forms_come_in() {
        for host in ["localhost:8081", "127.0.0.1", "[::1]:80", "portal.example"] {
            assert!(!refused(Method::GET, &[("host", host)]), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", ""] {
            assert!(refused(Method::GET, &[("host", host)]), "{host}");
        }
        let host = ("host", "portal.example");
        assert!(!refused(Method::POST, &[host, ("origin", "https://portal.example")]));
        for origin in ["https://evil.example", "null", "http://portal.example:1"] {
            assert!(refused(Method::POST, &[host, ("origin", origin)]), "{origin}");
        }
        assert!(refused(Method::POST, &[host, ("sec-fetch-site", "cross-site")]));
        assert!(refused(Method::PUT, &[host]));
    }
}
