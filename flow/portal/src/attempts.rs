//! Attempts within a window of time, counted exactly: at most so many by one name, whatever comes at once.
//!
//! An attempt counts before its outcome is known, so a thousand at once are not a thousand free ones.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use millstream_types::Millis;

use crate::error::PortalError;

/// Names that are remembered. When there are more, the one whose last attempt is longest ago is forgotten.
const NAMES_MAX: usize = 20_000;

/// Who calls from an address: of IPv6 everybody has a whole network of 64 bits, so its addresses are one client.
pub(crate) fn client(from: IpAddr) -> String {
    match from.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_string()
        }
    }
}

/// Attempts by name.
pub(crate) struct Attempts {
    limit: usize,
    window: Millis,
    made: Mutex<HashMap<String, VecDeque<Millis>>>,
}

impl Attempts {
    /// At most `limit` in any `window` milliseconds.
    pub(crate) fn new(limit: usize, window: Millis) -> Self {
        Self { limit, window, made: Mutex::default() }
    }

    /// Counts an attempt, or says how long to wait.
    pub(crate) fn take(&self, name: &str, now: Millis) -> Result<(), PortalError> {
        let mut made = self.made();
        if !made.contains_key(name) && made.len() >= NAMES_MAX {
            self.make_room(&mut made, now);
        }
        let times = made.entry(name.to_owned()).or_default();
        // A clock that goes back must not keep somebody out for longer than the window.
        times.retain(|time| *time <= now && now - *time < self.window);
        if times.len() >= self.limit {
            let wait = times.front().map_or(self.window, |first| first + self.window - now);
            return Err(PortalError::Attempts { seconds: u64::try_from((wait + 999) / 1_000).unwrap_or(1).max(1) });
        }
        times.push_back(now);
        Ok(())
    }

    /// Takes back what a success should not count.
    pub(crate) fn forgive(&self, name: &str) {
        self.made().remove(name);
    }

    fn make_room(&self, made: &mut HashMap<String, VecDeque<Millis>>, now: Millis) {
        let last = |times: &VecDeque<Millis>| times.back().copied().unwrap_or(Millis::MIN);
        made.retain(|_, times| now - last(times) < self.window);
        if made.len() >= NAMES_MAX
            && let Some(oldest) = made.iter().min_by_key(|(_, times)| last(times)).map(|(name, _)| name.clone())
        {
            made.remove(&oldest);
        }
    }

    fn made(&self) -> MutexGuard<'_, HashMap<String, VecDeque<Millis>>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_in_any_window_and_no_more() {
        let attempts = Attempts::new(3, 1_000);
        for now in [0, 100, 200] {
            attempts.take("a", now).unwrap();
        }
        assert!(matches!(attempts.take("a", 999), Err(PortalError::Attempts { seconds: 1 })));
        attempts.take("b", 999).unwrap();
        attempts.take("a", 1_000).unwrap();
        assert!(attempts.take("a", 1_001).is_err());
        attempts.forgive("a");
        attempts.take("a", 1_001).unwrap();
    }

    #[test]
    fn what_comes_at_once_is_counted_exactly() {
        let attempts = Attempts::new(10, 1_000);
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| (0..50).filter(|_| attempts.take("a", 5).is_ok()).count())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 10);
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let of = |text: &str| client(text.parse().unwrap());
        assert_eq!(of("2001:db8:0:1::7"), of("2001:db8:0:1:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:0:1::7"), of("2001:db8:0:2::7"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[test]
    fn names_are_bounded() {
        let attempts = Attempts::new(1, 1_000_000);
        for name in 0..=NAMES_MAX {
            attempts.take(&name.to_string(), i64::try_from(name).unwrap()).unwrap();
        }
        assert_eq!(attempts.made().len(), NAMES_MAX);
        assert!(attempts.take("5", 30_000).is_err());
        assert!(attempts.take("0", 30_000).is_ok());
    }
}
