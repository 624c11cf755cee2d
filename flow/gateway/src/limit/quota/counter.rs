//! What is counted under one key in one period, and its form on the disk. Pure.

use millstream_types::Millis;

/// The bytes of a counter on the disk: begin, calls, bytes, granted, end, place. Those of older versions end sooner.
const STATE_BYTES: usize = 48;

/// How long a counter without a period stays when nobody calls, milliseconds: longer than a year.
pub(super) const UNUSED_MAX: Millis = 400 * 24 * 3_600_000;

/// What a quota allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    pub(crate) calls: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) period: Period,
}

/// When counting begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Period {
    /// Never.
    Forever,
    /// So many milliseconds after the first call, and so on.
    FromFirstCall(Millis),
    /// At these times, whoever calls.
    Fixed { begin: Millis, end: Millis },
}

/// Why a call is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// The calls are used up; milliseconds until the next period.
    Calls(Millis),
    /// The bytes are used up; milliseconds until the next period.
    Bytes(Millis),
}

/// What is counted under one key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counter {
    pub(super) begin: Millis,
    pub(super) calls: u64,
    pub(super) bytes: u64,
    /// Calls of this period beyond the allowance; negative: fewer.
    pub(super) granted: i64,
    /// When the period is over, or nobody has called for very long: from then on it is a new one's like.
    pub(super) end: Millis,
    /// Calls of this period that are counted in memory and not settled.
    pub(super) reserved: u32,
    /// The offset of the first line of the access log whose call is not settled here.
    pub(super) place: u64,
    /// Whether calls were settled that the disk does not have.
    pub(super) ahead: bool,
}

impl Counter {
    /// Calls that are left of an allowance in the period that the counter is in.
    pub(crate) fn left(&self, calls: u64) -> u64 {
        calls.saturating_add_signed(self.granted).saturating_sub(self.calls)
    }

    /// Whether it must not be read again from the disk.
    pub(super) fn is_needed(&self) -> bool {
        self.ahead || self.reserved > 0
    }

    /// Settles a call that was reserved in the period that began `from`; the lines before `place` are settled then.
    pub(super) fn settle(&mut self, from: Millis, place: u64) {
        if from == self.begin {
            self.reserved = self.reserved.saturating_sub(1);
        }
        (self.place, self.ahead) = (place, true);
    }

    /// Gives back a call that was reserved in the period that began `from`.
    pub(super) fn give_back(&mut self, from: Millis) {
        if from == self.begin {
            self.reserved = self.reserved.saturating_sub(1);
            self.calls = self.calls.saturating_sub(1);
        }
    }

    /// Counts the call of a line at `offset` that was reserved in the period that began `from`, unless it is counted.
    pub(super) fn count_again(&mut self, from: Millis, offset: u64) {
        if offset < self.place {
            return;
        }
        if from > self.begin {
            *self = Self { begin: from, end: from.saturating_add(UNUSED_MAX), ..Self::default() };
        }
        if from == self.begin {
            self.calls += 1;
        }
        (self.place, self.ahead) = (offset + 1, true);
    }

    /// Counts a call, or says why not.
    pub(super) fn take(&mut self, allowance: Allowance, as_many: u64, now: Millis) -> Result<(), Exceeded> {
        let end = self.renew(allowance.period, now);
        let wait = if end == Millis::MAX { end } else { end - now };
        if allowance.calls.is_some_and(|calls| self.left(calls) == 0) {
            return Err(Exceeded::Calls(wait));
        }
        if allowance.bytes.is_some_and(|bytes| self.bytes >= bytes) {
            return Err(Exceeded::Bytes(wait));
        }
        self.calls = self.calls.saturating_add(as_many);
        Ok(())
    }

    /// Begins anew when the period is over; gives the end of the period.
    pub(super) fn renew(&mut self, period: Period, now: Millis) -> Millis {
        let fresh = self.calls == 0 && self.bytes == 0 && self.granted == 0;
        let begin = match period {
            Period::Forever if fresh => Some(now),
            Period::FromFirstCall(length) if fresh || now >= self.begin.saturating_add(length) => Some(now),
            Period::Fixed { begin, .. } if fresh || self.begin < begin => Some(begin),
            _ => None,
        };
        if let Some(begin) = begin {
            *self = Self { begin, place: self.place, ahead: self.ahead, ..Self::default() };
        }
        let end = match period {
            Period::Forever => Millis::MAX,
            Period::FromFirstCall(length) => self.begin.saturating_add(length),
            Period::Fixed { end, .. } => end,
        };
        self.end = end.min(now.saturating_add(UNUSED_MAX));
        end
    }

    /// What is settled of it.
    pub(super) fn encoded(&self) -> [u8; STATE_BYTES] {
        let mut bytes = [0; STATE_BYTES];
        let settled = self.calls.saturating_sub(self.reserved.into());
        bytes[..8].copy_from_slice(&self.begin.to_be_bytes());
        bytes[8..16].copy_from_slice(&settled.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.bytes.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.granted.to_be_bytes());
        bytes[32..40].copy_from_slice(&self.end.to_be_bytes());
        bytes[40..].copy_from_slice(&self.place.to_be_bytes());
        bytes
    }

    pub(super) fn decoded(bytes: &[u8]) -> Option<Self> {
        let (begin, rest) = bytes.split_first_chunk::<8>()?;
        let (calls, rest) = rest.split_first_chunk::<8>()?;
        let (used, rest) = rest.split_first_chunk::<8>()?;
        let granted = rest.first_chunk::<8>().map_or(0, |granted| i64::from_be_bytes(*granted));
        // Without an end it stays until it counts again.
        let end = rest.get(8..).and_then(|rest| rest.first_chunk::<8>());
        let place = rest.get(16..).and_then(|rest| rest.first_chunk::<8>());
        Some(Self {
            begin: Millis::from_be_bytes(*begin),
            calls: u64::from_be_bytes(*calls),
            bytes: u64::from_be_bytes(*used),
            granted,
            end: end.map_or(Millis::MAX, |end| Millis::from_be_bytes(*end)),
            reserved: 0,
            place: place.map_or(0, |place| u64::from_be_bytes(*place)),
            ahead: false,
        })
    }
}
