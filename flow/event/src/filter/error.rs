//! What can be wrong with a filter.

/// Why a filter is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Over a limit.
    #[error("expected at most {max} {what}, found {found}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// A text is too long.
    #[error("expected {what} of at most {max} characters, found {found}")]
    TooLong {
        /// Which text.
        what: String,
        /// Its characters.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// A condition names nothing that such events have.
    #[error("expected a key among {expected}, found `{key}`")]
    UnknownKey {
        /// The key.
        key: String,
        /// Those that there are.
        expected: &'static str,
    },
    /// A pattern says what cannot be asked.
    #[error("{what}")]
    Pattern {
        /// What is wrong, as users of patterns are told.
        what: String,
    },
    /// A pattern has too many fields or combinations.
    #[error("Filter policy is too complex")]
    TooComplex,
    /// A condition has nothing to compare with.
    #[error("expected a value for `{key}`, found none")]
    NoValues {
        /// The key.
        key: String,
    },
    /// A range ends before it begins.
    #[error("expected the range of `{key}` to rise, found {from} to {to}")]
    EmptyRange {
        /// The key.
        key: String,
        /// Its first end.
        from: String,
        /// Its last end.
        to: String,
    },
}
