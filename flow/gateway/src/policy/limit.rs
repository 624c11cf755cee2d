//! What `rate-limit`, `quota` and their kinds by key say: how much, of what, and what callers are told. Counting itself is
//! [`crate::managed`]'s business.

use http::HeaderName;
use millstream_types::Millis;

use super::condition::Condition;
use super::expression::Expression;

/// At most so many calls in any time of that length.
#[derive(Debug, Clone, PartialEq)]
pub struct RateLimit {
    /// Calls and seconds.
    pub rate: Rate,
    /// What is counted.
    pub counted: Counted,
    /// What callers and later policies are told.
    pub told: Told,
    /// What holds besides for single APIs and operations.
    pub parts: Vec<Part<Rate>>,
}

/// At most so many calls or kilobytes in a fixed period, over restarts.
#[derive(Debug, Clone, PartialEq)]
pub struct Quota {
    /// Calls, kilobytes and seconds.
    pub allowed: Allowed,
    /// When a period begins, from which all others are reckoned; `None`: with the first call.
    pub first_period: Option<Millis>,
    /// What is counted.
    pub counted: Counted,
    /// What holds besides for single APIs and operations.
    pub parts: Vec<Part<Allowed>>,
}

/// Calls in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Calls.
    pub calls: u32,
    /// Seconds.
    pub renewal_s: u32,
}

/// Calls or bytes in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// Calls.
    pub calls: Option<u64>,
    /// Kilobytes of requests and answers.
    pub bandwidth_kb: Option<u64>,
    /// Seconds; zero: for good.
    pub renewal_s: u64,
}

/// Which calls count, and how much.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counted {
    /// What is counted together; `None`: a subscription's calls.
    pub key: Option<Expression>,
    /// Only calls of which this holds.
    pub when: Option<Condition>,
    /// As how many calls one counts; `None`: one.
    pub by: Option<Expression>,
}

/// What is told of a rate limit, besides `Retry-After`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// The variable that gets the seconds to wait.
    pub retry_variable: Option<String>,
    /// The header that has the seconds to wait.
    pub retry_header: Option<HeaderName>,
    /// The variable that gets the calls that are left.
    pub remaining_variable: Option<String>,
    /// The header that has the calls that are left.
    pub remaining_header: Option<HeaderName>,
    /// The header that has the calls that are allowed.
    pub total_header: Option<HeaderName>,
}

/// A limit of an API or, in it, of an operation. Each counts for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<L> {
    /// The API's name, as its address or as people have it.
    pub api: String,
    /// The operation's; `None`: all of the API.
    pub operation: Option<String>,
    /// How much.
    pub limit: L,
}
