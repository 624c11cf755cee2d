//! Whether a function may be brought what a source holds.

use millstream_catalog::EventSource;

/// What functions' roles let mappings read: a front's business, plugged in by the server. Asked before each look at a source,
/// so that a role that changes counts at once.
pub trait SourcePermits: Send + Sync + 'static {
    /// Whether a mapping may read a source for a function.
    ///
    /// # Errors
    /// A sentence that says what the function's role lacks.
    fn check(&self, function: &str, source: &EventSource) -> Result<(), String>;
}
