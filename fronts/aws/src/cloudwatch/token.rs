//! Where the next page begins: tokens that name the last thing of a page, so that what comes in between moves nothing. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A token of what the page before ended with.
pub(super) fn encode(last: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(last).unwrap_or_default())
}

/// What the page before ended with; `None`: nobody here made the token.
pub(super) fn decode<T: DeserializeOwned>(token: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_as_they_were_and_others_are_none() {
        let last = (3, "\u{e4}\n".to_owned());
        assert_eq!(decode::<(usize, String)>(&encode(&last)), Some(last));
        for bad in ["", "500", "*", &encode(&"x")] {
            assert_eq!(decode::<(usize, String)>(bad), None, "{bad}");
        }
    }
}
