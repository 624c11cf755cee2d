//! How fast a body has to come. Pure.
//!
//! A body holds its whole declared length from the beginning, so one that is declared large and sent slowly would keep
//! memory from others for nothing. It has to come so fast that it is whole in time; a steady sender that makes it in time is
//! never behind.

use std::time::Duration;

/// How long a body may take to come.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// How long a sender may take to begin, or pause, before it is measured.
const GRACE: Duration = Duration::from_secs(5);

/// Bytes of a body up to which only the whole time counts: it keeps hardly anything from others.
const UNPACED_BYTES_MAX: usize = 64 << 10;

/// How fast one body has to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Its length, when it is measured.
    declared: Option<usize>,
}

impl Pace {
    /// The pace of a body of a length that was declared, or of one of none: that holds only what came.
    pub(super) fn of(declared: Option<usize>) -> Self {
        Self { declared: declared.filter(|bytes| *bytes > UNPACED_BYTES_MAX) }
    }

    /// When more than `received` bytes have to be there, counted from the beginning.
    pub(super) fn next_by(self, received: usize) -> Duration {
        match self.declared {
            Some(declared) => {
                let part = received.min(declared) as f64 / declared as f64;
                GRACE + (TIMEOUT - GRACE).mul_f64(part)
            }
            None => TIMEOUT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_sender_of_much_is_cut_off_early() {
        let pace = Pace::of(Some(100 << 20));
        assert_eq!(pace.next_by(0), GRACE);
        assert_eq!(pace.next_by(50 << 20), GRACE + (TIMEOUT - GRACE) / 2);
        assert_eq!(pace.next_by(100 << 20), TIMEOUT);
    }

    #[test]
    fn a_steady_sender_that_is_in_time_is_never_behind() {
        let (declared, pace) = (60_usize << 20, Pace::of(Some(60 << 20)));
        for second in 0..30_u32 {
            let received = declared / 30 * second as usize;
            assert!(pace.next_by(received) > Duration::from_secs(second.into()), "{second}");
        }
    }

    #[test]
    fn small_and_undeclared_bodies_have_the_whole_time() {
        assert_eq!(Pace::of(Some(UNPACED_BYTES_MAX)).next_by(0), TIMEOUT);
        assert_eq!(Pace::of(None).next_by(7), TIMEOUT);
    }
}
