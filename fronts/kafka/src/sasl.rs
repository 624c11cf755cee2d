//! PLAIN: `$ConnectionString` with a connection string as the password, or an access key with its secret.
//!
//! Source: RFC 4616, and the Event Hubs documentation for Kafka clients.

use millstream_access::Caller;
use millstream_namespace::{Claims, Token, signature};
use subtle::ConstantTimeEq as _;

use crate::service::Kafka;
use crate::session::Session;

/// The only mechanism.
pub const PLAIN: &str = "PLAIN";

/// The user name that says that the password is a connection string.
const CONNECTION_STRING: &str = "$ConnectionString";

/// A key proves its policy's rights for as long as the connection is there: the end of the token that stands for it, in
/// seconds since 1970 (the year 9999).
const NEVER: &str = "253402300799";

/// What a client said of itself.
#[derive(Debug, PartialEq, Eq)]
struct Plain<'m> {
    user: &'m str,
    password: &'m str,
}

/// The parts of a connection string that prove something.
#[derive(Debug, PartialEq, Eq)]
struct ConnectionString<'m> {
    host: &'m str,
    policy: &'m str,
    key: &'m str,
    entity: Option<&'m str>,
}

/// Takes a client's message; gives why it proves nothing.
pub fn authenticate(kafka: &Kafka, session: &mut Session, message: &[u8]) -> Result<(), String> {
    let Plain { user, password } = Plain::parse(message)?;
    if user == CONNECTION_STRING {
        let (namespace, claims, token) = of_connection_string(kafka, password)?;
        session.prove_policy(namespace, claims, token);
    } else {
        session.prove_key(of_access_key(kafka, user, password)?, user.to_owned());
    }
    Ok(())
}

fn of_connection_string(kafka: &Kafka, text: &str) -> Result<(String, Claims, Token), String> {
    let parts = ConnectionString::parse(text)?;
    let namespace = kafka.namespaces.of_host(parts.host);
    let path: Vec<String> = parts.entity.into_iter().map(str::to_owned).collect();
    let resource = path.join("/");
    // What a key could sign it may do itself.
    let signature = signature(parts.key, &resource, NEVER).ok_or("the key cannot be used")?;
    let token = Token { resource, path, expiry: NEVER.to_owned(), signature, policy: parts.policy.to_owned() };
    let claims = kafka.namespaces.verify(&namespace, &token).map_err(|_| refusal())?;
    Ok((namespace, claims, token))
}

fn of_access_key(kafka: &Kafka, key: &str, secret: &str) -> Result<Caller, String> {
    let grant = kafka.access.grant(key, None, kafka.clock.now()).map_err(|_| refusal())?;
    let same: bool = grant.secret.as_bytes().ct_eq(secret.as_bytes()).into();
    if same { Ok(grant.caller) } else { Err(refusal()) }
}

/// The same for every reason: who guesses learns nothing.
fn refusal() -> String {
    "expected `$ConnectionString` with a connection string of this namespace, or an access key with its secret"
        .to_owned()
}

impl<'m> Plain<'m> {
    fn parse(message: &'m [u8]) -> Result<Self, String> {
        let wrong =
            || "expected an authorization identity (or none), a user and a password, each behind a zero".to_owned();
        let text = std::str::from_utf8(message).map_err(|_| wrong())?;
        let mut parts = text.split('\0');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(_), Some(user), Some(password), None) if !user.is_empty() => Ok(Self { user, password }),
            _ => Err(wrong()),
        }
    }
}

impl<'m> ConnectionString<'m> {
    fn parse(text: &'m str) -> Result<Self, String> {
        let field = |name: &str| {
            let fields = text.split(';').filter_map(|field| field.split_once('='));
            fields.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
        };
        let needed = |name: &str| field(name).ok_or_else(|| format!("expected `{name}` in the connection string"));
        let endpoint = needed("Endpoint")?;
        let host = endpoint.split_once("://").map_or(endpoint, |(_, host)| host);
        Ok(Self {
            host: host.split('/').next().unwrap_or_default(),
            policy: needed("SharedAccessKeyName")?,
            key: needed("SharedAccessKey")?,
            entity: field("EntityPath").filter(|entity| !entity.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_holds_a_user_and_a_password() {
        let good = Plain { user: "test", password: "secret" };
        for message in [&b"\0test\0secret"[..], b"whoever\0test\0secret"] {
            assert_eq!(Plain::parse(message).as_ref(), Ok(&good));
        }
        for bad in [&b""[..], b"test", b"\0\0secret", b"\0a\0b\0c", b"\0\xff\0b"] {
            assert!(Plain::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_connection_string_names_host_policy_key_and_entity() {
        let text =
            "Endpoint=sb://shop.localhost:9093/;SharedAccessKeyName=Root;SharedAccessKey=a+b/c==;EntityPath=orders";
        let parts = ConnectionString::parse(text).unwrap();
        let whole =
            ConnectionString { host: "shop.localhost:9093", policy: "Root", key: "a+b/c==", entity: Some("orders") };
        assert_eq!(parts, whole);
        assert!(ConnectionString::parse("Endpoint=sb://h/;SharedAccessKeyName=Root").is_err());
    }
}
