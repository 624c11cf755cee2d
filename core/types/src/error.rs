//! What a caller can do about an error, whatever the service that reports it.

/// The kinds of failure a caller acts on differently. Engines map their errors to one; fronts map them to the
/// service's own code and status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is malformed or breaks a rule; sending it again unchanged fails again.
    Invalid,
    /// The caller did not prove who it is.
    Unauthenticated,
    /// The caller may not do this.
    Forbidden,
    /// The named thing does not exist.
    NotFound,
    /// A thing of that name exists already.
    Exists,
    /// A condition did not hold, or the thing is in a state that does not allow this.
    Conflict,
    /// Over a rate or capacity limit; later it may work.
    Throttled,
    /// Over a size limit.
    TooLarge,
    /// The node cannot serve this now (shutting down, disk full, poisoned journal).
    Unavailable,
    /// A defect of ours.
    Internal,
}
