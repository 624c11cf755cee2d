//! What a connection has proved: the claims of the tokens that it has put.

use millstream_namespace::{Claims, Right};
use millstream_types::Millis;

/// Claims that one connection keeps: clients put a token for each of their links.
const CLAIMS_MAX: usize = 1_024;

/// A connection's claims.
#[derive(Debug, Default)]
pub struct ClaimSet {
    claims: Vec<Claims>,
}

impl ClaimSet {
    /// Adds claims in place of those for the same path; `false` when there are too many already.
    pub fn put(&mut self, claims: Claims, now: Millis) -> bool {
        self.claims.retain(|known| known.expires > now && (known.path != claims.path || known.rights != claims.rights));
        if self.claims.len() >= CLAIMS_MAX {
            return false;
        }
        self.claims.push(claims);
        true
    }

    /// Whether something is allowed at a path, now.
    pub fn allow(&self, right: Right, path: &[&str], now: Millis) -> bool {
        self.claims.iter().any(|claims| claims.allow(right, path, now))
    }
}
