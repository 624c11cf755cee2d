//! The text of a shared access signature: `SharedAccessSignature sr=RESOURCE&sig=SIGNATURE&se=END&skn=POLICY`.

use millstream_namespace::{Claims, Namespaces, Token, TokenError};
use percent_encoding::percent_decode_str;

use super::address;

/// What a token begins with.
const SCHEME: &str = "SharedAccessSignature ";

/// Takes a token apart.
///
/// # Errors
/// What is missing or not readable.
pub fn parse(text: &str) -> Result<Token, String> {
    let Some(fields) = text.trim().strip_prefix(SCHEME) else {
        return Err(format!("expected a token that begins with `{SCHEME}`"));
    };
    let field = |name: &str| {
        let found = fields.split('&').filter_map(|field| field.split_once('=')).find(|(key, _)| *key == name);
        found.map(|(_, value)| value).ok_or_else(|| format!("expected the field `{name}` in the token"))
    };
    let decoded = |value: &str| {
        let text = percent_decode_str(value).decode_utf8().map(|text| text.into_owned());
        text.map_err(|_| "expected UTF-8 in the token's fields".to_owned())
    };
    let resource = field("sr")?;
    let uri = decoded(resource)?;
    // Without a scheme the resource begins with the host all the same.
    let uri = if uri.contains("://") { uri } else { format!("sb://{uri}") };
    Ok(Token {
        path: address::path(&uri).into_iter().map(str::to_owned).collect(),
        resource: resource.to_owned(),
        expiry: decoded(field("se")?)?,
        signature: decoded(field("sig")?)?,
        policy: decoded(field("skn")?)?,
    })
}

/// What a token's text proves in a namespace.
///
/// # Errors
/// The service's own words on why it proves nothing.
pub fn verify(text: &str, namespaces: &Namespaces, namespace: &str) -> Result<Claims, String> {
    let token = parse(text).map_err(|reason| format!("InvalidToken: {reason}"))?;
    namespaces.verify(namespace, &token).map_err(|error| match error {
        TokenError::UnknownPolicy(_) | TokenError::Signature => format!("InvalidSignature: {error}"),
        TokenError::Expired(_) => format!("ExpiredToken: {error}"),
        TokenError::Expiry(_) => format!("InvalidToken: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_is_kept_as_it_was_signed() {
        let token = parse("SharedAccessSignature sr=sb%3A%2F%2Fhost%2Fhub&sig=a%2Bb%3D&se=17&skn=Root").unwrap();
        assert_eq!(token.resource, "sb%3A%2F%2Fhost%2Fhub");
        assert_eq!((token.path, token.signature, token.expiry), (vec!["hub".to_owned()], "a+b=".into(), "17".into()));
        assert_eq!(parse("SharedAccessSignature sr=host%2Fhub&sig=&se=&skn=").unwrap().path, ["hub"]);
        for bad in
            ["", "Bearer x", "SharedAccessSignature sr=x&sig=y&se=1", "SharedAccessSignature sr=%ff&sig=&se=&skn="]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
