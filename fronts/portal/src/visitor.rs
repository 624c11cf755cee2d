//! Who asks: somebody with a session, or anybody. Both carry a cookie, and both get from it the token that their forms bring
//! back: a page elsewhere can send the cookie, but it cannot read the token.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};
use millstream_catalog::{PortalAccountDefinition, PortalRole};
use millstream_portal::SESSION_MS;
use millstream_portal::secret::{digest, new_secret};

use crate::Front;
use crate::address::segment;
use crate::error::PageError;

/// The cookie's name; under TLS with the prefix that keeps other hosts from setting it.
const COOKIE: &str = "portal";
const SECURE_COOKIE: &str = "__Host-portal";

/// Who asks.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The account, when there is a session.
    pub account: Option<Arc<PortalAccountDefinition>>,
    /// The cookie's value.
    pub secret: String,
    /// What forms bring back.
    pub token: String,
    /// The address that the request came from.
    pub from: IpAddr,
    /// Whether the browser speaks TLS.
    pub secure: bool,
}

impl Visitor {
    /// Whether it is an owner.
    pub fn is_owner(&self) -> bool {
        self.account.as_ref().is_some_and(|account| account.role == PortalRole::Owner)
    }
}

/// Somebody with a session.
pub struct Member {
    /// The account.
    pub account: Arc<PortalAccountDefinition>,
    /// Who asks.
    pub visitor: Visitor,
}

/// An owner with a session.
pub struct Owner(pub Visitor);

/// Finds out who asks, before any page; whoever has no cookie gets one.
pub async fn recognise(State(front): State<Front>, mut request: Request, next: Next) -> Response {
    let secure = front.is_secure(request.extensions());
    let sent = cookie(request.headers(), secure);
    let secret = sent.clone().unwrap_or_else(new_secret);
    let account = sent.as_deref().and_then(|secret| front.portal().logged_in(secret));
    let token = digest("form", &secret);
    let from = came_from(&request);
    request.extensions_mut().insert(Visitor { account, secret: secret.clone(), token, from, secure });
    let mut response = next.run(request).await;
    if sent.is_none() && !response.headers().contains_key(header::SET_COOKIE) && is_page(&response) {
        set_cookie(&mut response, &secret, secure);
    }
    response
}

/// Gives a browser another secret: a session's after a log-in, a new one after a log-out.
pub fn set_cookie(response: &mut Response, secret: &str, secure: bool) {
    let (name, flag) = if secure { (SECURE_COOKIE, "; Secure") } else { (COOKIE, "") };
    let age = SESSION_MS / 1_000;
    // Lax: whoever follows a link from elsewhere is still logged in; forms from elsewhere come without it.
    let cookie = format!("{name}={secret}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}{flag}");
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
}

fn is_page(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// The cookie's value, when it has the form of ours.
fn cookie(headers: &HeaderMap, secure: bool) -> Option<String> {
    let name = if secure { SECURE_COOKIE } else { COOKIE };
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(found, _)| *found == name)?;
    let ours = value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    ours.then(|| value.to_owned())
}

/// Where a request came from; behind a proxy on this machine, what the proxy says.
fn came_from(request: &Request) -> IpAddr {
    let peer = request.extensions().get::<SocketAddr>().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), SocketAddr::ip);
    let forwarded = request.headers().get("x-forwarded-for").and_then(|value| value.to_str().ok());
    let last = forwarded.and_then(|list| list.rsplit(',').next()).and_then(|last| last.trim().parse().ok());
    if peer.is_loopback() { last.unwrap_or(peer) } else { peer }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let nobody = || {
            let secret = new_secret();
            let token = digest("form", &secret);
            Self { account: None, secret, token, from: IpAddr::V4(Ipv4Addr::LOCALHOST), secure: false }
        };
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(nobody))
    }
}

impl<S: Sync> FromRequestParts<S> for Member {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let Ok(visitor) = Visitor::from_request_parts(parts, state).await;
        match visitor.account.clone() {
            Some(account) => Ok(Self { account, visitor }),
            None => Err(to_log_in(parts)),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Owner {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let Ok(visitor) = Visitor::from_request_parts(parts, state).await;
        match &visitor.account {
            None => Err(to_log_in(parts)),
            // Others learn nothing of what owners have.
            Some(_) if !visitor.is_owner() => Err(PageError::not_found("page", parts.uri.path()).into_response()),
            Some(_) => Ok(Self(visitor)),
        }
    }
}

/// To the log-in and from there back to the page; a form is filled in again.
fn to_log_in(parts: &Parts) -> Response {
    let page = if parts.method == http::Method::GET { parts.uri.path() } else { "/account" };
    Redirect::to(&format!("/login?next={}", segment(page))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_cookies_are_taken() {
        let of = |line: &str, secure| cookie(&HeaderMap::from_iter([(header::COOKIE, line.parse().unwrap())]), secure);
        let secret = new_secret();
        assert_eq!(of(&format!("a=b; portal={secret}"), false), Some(secret.clone()));
        assert_eq!(of(&format!("portal={secret}"), true), None);
        assert_eq!(of(&format!("__Host-portal={secret}; portal=x"), true), Some(secret));
        for line in ["portal=", "portal=<script>", "portalx=1", "portal"] {
            assert_eq!(of(line, false), None, "{line}");
        }
    }
}
