//! Numbers of a pipeline file and their limits, told at the line of the number.

use toml::Spanned;

use super::resolve::Resolver;
use crate::definition::EventOrder;

/// Bytes that a shard may be limited to, 0 for no limit.
pub(super) const RETENTION_BYTES: (u64, u64) = (0, i64::MAX.unsigned_abs());

/// The longest tolerance for late events: 20 days, the service's own limit.
const LATE_SECONDS: (u64, u64) = (0, 1_728_000);

impl Resolver<'_> {
    /// A number within its limits, or the usual one where the file says none.
    pub(super) fn number<N: Copy + Into<u64>>(
        &mut self,
        what: &str,
        given: Option<Spanned<N>>,
        usual: N,
        limits: (u64, u64),
    ) -> N {
        self.within(what, given.as_ref(), limits).unwrap_or(usual)
    }

    /// A number within its limits, if the file says one.
    pub(super) fn within<N: Copy + Into<u64>>(
        &mut self,
        what: &str,
        given: Option<&Spanned<N>>,
        limits: (u64, u64),
    ) -> Option<N> {
        let given = given?;
        let line = self.line(given);
        self.range(line, what, (*given.get_ref()).into(), limits);
        Some(*given.get_ref())
    }

    /// How late events may be, ms.
    pub(super) fn late_tolerance(&mut self, seconds: &Spanned<i64>) -> i64 {
        match *seconds.get_ref() {
            -1 => EventOrder::LATE_WITHOUT_LIMIT,
            found if found < 0 => {
                let line = self.line(seconds);
                let message = format!("expected late_tolerance_seconds of 0 or more, or -1, found {found}");
                self.wrong(line, message, "-1 takes events however late they are");
                0
            }
            found => {
                let line = self.line(seconds);
                self.range(line, "late_tolerance_seconds", found.unsigned_abs(), LATE_SECONDS);
                found.saturating_mul(1_000)
            }
        }
    }
}
