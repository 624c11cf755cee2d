//! Policies: what is done to a request and its answer besides handing them on, as documents say it.
//!
//! A document is read whole before it is kept ([`PolicyDocument::parse`]); an element, attribute or expression that is not
//! known is refused with its line and column, never skipped. Counters and backends are [`crate::managed`]'s business.
//! Source: the API Management policy reference; sections inbound, backend, outbound, on-error.
//! Read next: `xml` (documents), `named` (what they name), `read` (from elements to policies), [`expression`], [`condition`],
//! [`term`] (values), [`limit`] (what is counted), [`exchange`] (what policies do).

pub mod condition;
pub mod exchange;
pub mod expression;
pub mod limit;
pub(crate) mod named;
mod read;
mod reader;
pub mod term;
mod xml;

use http::{HeaderName, StatusCode};
use millstream_catalog::ManagedServiceDefinition;

use condition::Condition;
use expression::Expression;
use limit::{Quota, RateLimit};
pub use read::backend as check_backend;

/// A document that was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Error in element '{element}' on line {line}, column {column}: {message}")]
pub struct PolicyError {
    /// The element it is about.
    pub element: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What was expected, what was found.
    pub message: String,
    /// Whether it names a value or a backend that the service does not have: with them it may be understood.
    pub names_other: bool,
}

/// The sections of a document, in the order in which a request meets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Section {
    /// Before the backend is called.
    Inbound,
    /// The call itself.
    Backend,
    /// On the answer.
    Outbound,
    /// Instead of the rest, when something went wrong.
    OnError,
}

impl Section {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Inbound, Self::Backend, Self::Outbound, Self::OnError];

    /// The element's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Backend => "backend",
            Self::Outbound => "outbound",
            Self::OnError => "on-error",
        }
    }
}

/// A document that was understood.
#[derive(Debug, Clone, Default)]
pub struct PolicyDocument {
    inbound: Vec<Policy>,
    backend: Vec<Policy>,
    outbound: Vec<Policy>,
    on_error: Vec<Policy>,
}

impl PolicyDocument {
    /// Reads a document; named values and backends are its service's.
    ///
    /// # Errors
    /// [`PolicyError`]: where, and what was not understood.
    pub fn parse(text: &str, service: &ManagedServiceDefinition) -> Result<Self, PolicyError> {
        let mut root = xml::parse(&named::filled(text, service)?)?;
        named::put_backends(&mut root, service)?;
        read::document(&root)
    }

    /// The document of a service that has none: the backend is called.
    #[must_use]
    pub fn forwarding() -> Self {
        Self { backend: vec![Policy::ForwardRequest { timeout_s: read::TIMEOUT_S }], ..Self::default() }
    }

    /// In place of a document that cannot be read: nobody may pass policies that are not known.
    #[must_use]
    pub fn refusing() -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self { inbound: vec![Policy::ReturnResponse { status, headers: Vec::new(), body: None }], ..Self::default() }
    }

    /// The policies of a section.
    #[must_use]
    pub fn section(&self, section: Section) -> &[Policy] {
        match section {
            Section::Inbound => &self.inbound,
            Section::Backend => &self.backend,
            Section::Outbound => &self.outbound,
            Section::OnError => &self.on_error,
        }
    }
}

/// A policy.
#[derive(Debug, Clone, PartialEq)]
pub enum Policy {
    /// The policies of the scope around this one.
    Base,
    /// Refuses requests without a header, or with another value.
    CheckHeader {
        /// The header.
        name: HeaderName,
        /// The status of the refusal.
        status: StatusCode,
        /// The message of the refusal.
        message: Expression,
        /// Whether letters' case matters not.
        ignore_case: bool,
        /// Values of which one must fit; empty: any.
        values: Vec<Expression>,
    },
    /// The path and query towards the backend.
    RewriteUri {
        /// The new path, with the operation's parameters in braces.
        template: Expression,
        /// Whether parameters of the query that the template does not use are kept.
        copy_unmatched: bool,
    },
    /// The backend's address.
    SetBackend(Expression),
    /// A header of the request (inbound, backend) or of the answer.
    SetHeader(Change),
    /// A parameter of the query.
    SetQuery(Change),
    /// The method towards the backend.
    SetMethod(http::Method),
    /// A variable of the request.
    SetVariable {
        /// Its name.
        name: String,
        /// Its value.
        value: Expression,
    },
    /// At most so many calls in any time of that length.
    RateLimit(RateLimit),
    /// At most so many calls or kilobytes in a fixed period, over restarts.
    Quota(Quota),
    /// Answers at once.
    ReturnResponse {
        /// The status.
        status: StatusCode,
        /// Headers.
        headers: Vec<Change>,
        /// The body.
        body: Option<Expression>,
    },
    /// Answers at once with a status and no content.
    MockResponse {
        /// The status.
        status: StatusCode,
        /// The media type.
        content_type: String,
    },
    /// Lets pages of other origins call.
    Cors(Cors),
    /// The policies of the first condition that holds, else those of `otherwise`.
    Choose {
        /// Conditions with their policies; none of those counts, calls the backend or stands for an outer scope.
        when: Vec<(Condition, Vec<Policy>)>,
        /// What is done when none holds.
        otherwise: Vec<Policy>,
    },
    /// Calls the backend.
    ForwardRequest {
        /// Seconds.
        timeout_s: u32,
    },
}

impl Policy {
    /// The element's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::CheckHeader { .. } => "check-header",
            Self::RewriteUri { .. } => "rewrite-uri",
            Self::SetBackend(_) => "set-backend-service",
            Self::SetHeader(_) => "set-header",
            Self::SetQuery(_) => "set-query-parameter",
            Self::SetMethod(_) => "set-method",
            Self::SetVariable { .. } => "set-variable",
            Self::RateLimit(limit) if limit.counted.key.is_none() => "rate-limit",
            Self::RateLimit(_) => "rate-limit-by-key",
            Self::Quota(quota) if quota.counted.key.is_none() => "quota",
            Self::Quota(_) => "quota-by-key",
            Self::ReturnResponse { .. } => "return-response",
            Self::MockResponse { .. } => "mock-response",
            Self::Cors(_) => "cors",
            Self::Choose { .. } => "choose",
            Self::ForwardRequest { .. } => "forward-request",
        }
    }
}

/// A header or parameter that is set.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// What happens when it is there.
    pub exists: Exists,
    /// Its values.
    pub values: Vec<Expression>,
}

/// What happens to what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exists {
    /// It is replaced.
    Override,
    /// It stays as it is.
    Skip,
    /// The values are added.
    Append,
    /// It is removed.
    Delete,
}

/// Which pages of other origins may call, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Whether they may send credentials.
    pub credentials: bool,
    /// Whether requests of other origins end here.
    pub terminate_unmatched: bool,
    /// Origins; `*`: all.
    pub origins: Vec<String>,
    /// Methods; `*`: all. Empty: GET and POST.
    pub methods: Vec<String>,
    /// Headers; `*`: all.
    pub headers: Vec<String>,
    /// Headers of the answer that pages may read.
    pub expose: Vec<String>,
    /// How long browsers may keep the answer of a preflight, seconds.
    pub max_age_s: Option<u32>,
}

#[cfg(test)]
mod tests;
