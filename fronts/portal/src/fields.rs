//! What a form sends: its fields, within bounds, and only with the token of the page that it was on.

use std::collections::HashMap;

use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::response::{IntoResponse, Response};
use millstream_portal::secret::same;
use percent_encoding::percent_decode_str;

use crate::error::PageError;
use crate::visitor::Visitor;

/// The longest form, bytes; pages that take documents take more.
pub const FORM_BYTES_MAX: usize = 64 << 10;

/// Fields of a form.
const FIELDS_MAX: usize = 300;

/// The fields of a form.
#[derive(Debug)]
pub struct Fields(HashMap<String, String>);

impl Fields {
    /// A field's text; empty when it was not sent.
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }

    /// A field's text for good: for passwords, which are not copied.
    pub fn take(&mut self, name: &str) -> String {
        self.0.remove(name).unwrap_or_default()
    }

    /// Whether a box is ticked.
    pub fn ticked(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn read(body: &str) -> Option<Self> {
        let mut fields = HashMap::new();
        for pair in body.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let unescape = |text: &str| {
                percent_decode_str(&text.replace('+', " ")).decode_utf8().map(|text| text.into_owned()).ok()
            };
            fields.insert(unescape(name)?, unescape(value)?);
            if fields.len() > FIELDS_MAX {
                return None;
            }
        }
        Some(Self(fields))
    }
}

impl<S: Sync + Send> FromRequest<S> for Fields {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let Ok(visitor) = Visitor::from_request_parts(&mut parts, state).await;
        let request = Request::from_parts(parts, body);
        let body = String::from_request(request, state).await.map_err(|_| PageError::Form.into_response())?;
        let fields = Self::read(&body).ok_or_else(|| PageError::Form.into_response())?;
        if !same(fields.text("token"), &visitor.token) {
            return Err(PageError::Token.into_response());
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_within_bounds() {
        let fields = Fields::read("a=1+2&b=%3Cx%3E&c&a%20b=%C3%A4").unwrap();
        assert_eq!((fields.text("a"), fields.text("b"), fields.text("a b"), fields.text("z")), ("1 2", "<x>", "ä", ""));
        assert!(fields.ticked("c") && !fields.ticked("d"));
        assert!(Fields::read("a=%FF").is_none());
        let many: String = (0..=FIELDS_MAX).map(|index| format!("f{index}=1&")).collect();
        assert!(Fields::read(&many).is_none());
    }
}
