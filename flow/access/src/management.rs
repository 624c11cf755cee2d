//! The token that lets its bearer manage the node: make, change and delete resources where a protocol has no keys for that.

use millstream_catalog::CatalogError;
use millstream_types::Millis;
use subtle::ConstantTimeEq as _;

use crate::Access;

/// The account under which the token is kept.
const ACCOUNT: &str = "management";

/// Who may manage the node.
#[derive(Debug, Clone)]
pub struct Management {
    /// Empty: a development node, which takes any token.
    token: String,
}

impl Management {
    /// Whoever has `token`; with an empty one, everybody.
    #[must_use]
    pub fn by(token: String) -> Self {
        Self { token }
    }

    /// The token to show to who owns the node; `None` when none is needed.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        (!self.token.is_empty()).then_some(self.token.as_str())
    }

    /// Whether a token lets its bearer in. Takes a time that tells nothing of the right one.
    #[must_use]
    pub fn admits(&self, token: &str) -> bool {
        self.token.is_empty() || bool::from(self.token.as_bytes().ct_eq(token.as_bytes()))
    }
}

impl Access {
    /// Who may manage this node: the bearer of a token that is made from `seed` at the first call and kept; on development
    /// nodes everybody.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub async fn management(&self, seed: impl FnOnce() -> String, now: Millis) -> Result<Management, CatalogError> {
        Ok(Management::by(self.account_key(ACCOUNT, "", seed, now).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_lets_in() {
        let management = Management::by("secret".to_owned());
        assert!(management.admits("secret"));
        for wrong in ["", "secre", "secrets", "Secret"] {
            assert!(!management.admits(wrong), "{wrong}");
        }
        let open = Management::by(String::new());
        assert!(open.admits("anything") && open.admits("") && open.token().is_none());
    }
}
