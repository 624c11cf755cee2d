//! Values of policies: texts, or one of the few expressions that are known.

use http::HeaderMap;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// A text as it is written.
    Literal(String),
    /// `@(context.Request.Headers.GetValueOrDefault("name","otherwise"))`
    Header {
        /// The header.
        name: String,
        /// The value without it.
        otherwise: String,
    },
    /// `@(context.Subscription.Id)`
    SubscriptionId,
    /// `@(context.Request.IpAddress)`
    IpAddress,
    /// `@(context.RequestId)`
    RequestId,
}

/// What expressions see.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'s> {
    /// The request's headers as they are now.
    pub headers: &'s HeaderMap,
    /// The subscription's name; empty without one.
    pub subscription: &'s str,
    /// Who calls.
    pub address: &'s str,
    /// The request's id.
    pub request_id: &'s str,
}

impl Expression {
    /// Reads a value.
    ///
    /// # Errors
    /// What was not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let refused = || format!("The expression `{trimmed}` is not supported by this node");
        if trimmed.starts_with("@{") {
            return Err(refused());
        }
        let Some(inner) = trimmed.strip_prefix("@(") else { return Ok(Self::Literal(text.to_owned())) };
        let inner = inner.strip_suffix(')').ok_or_else(refused)?.trim();
        match inner {
            "context.Subscription.Id" => return Ok(Self::SubscriptionId),
            "context.Request.IpAddress" => return Ok(Self::IpAddress),
            "context.RequestId" => return Ok(Self::RequestId),
            _ => {}
        }
        let arguments = inner.strip_prefix("context.Request.Headers.GetValueOrDefault(").ok_or_else(refused)?;
        let (name, rest) = quoted(arguments.trim_start()).ok_or_else(refused)?;
        let rest = rest.trim_start().strip_prefix(',').ok_or_else(refused)?;
        let (otherwise, rest) = quoted(rest.trim_start()).ok_or_else(refused)?;
        if rest.trim() != ")" {
            return Err(refused());
        }
        Ok(Self::Header { name, otherwise })
    }

    /// The value for a request.
    #[must_use]
    pub fn value(&self, sight: &Sight<'_>) -> String {
        match self {
            Self::Literal(text) => text.clone(),
            Self::Header { name, otherwise } => {
                let value = sight.headers.get(name).and_then(|value| value.to_str().ok());
                value.unwrap_or(otherwise).to_owned()
            }
            Self::SubscriptionId => sight.subscription.to_owned(),
            Self::IpAddress => sight.address.to_owned(),
            Self::RequestId => sight.request_id.to_owned(),
        }
    }
}

/// A text in double quotes without escapes, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (inside, rest) = text.strip_prefix('"')?.split_once('"')?;
    (!inside.contains('\\')).then(|| (inside.to_owned(), rest))
}
