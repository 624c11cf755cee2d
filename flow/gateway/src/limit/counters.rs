//! Counters in memory by key, never more than so many.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use millstream_types::Millis;

/// Counters at once. Beyond them all further keys share one counter: too many keys must not lift the limit.
pub(super) const COUNTERS_MAX: usize = 50_000;

/// Bytes of a key that are kept; callers may send long ones, and a longer key is known by its hash.
pub(super) const KEY_BYTES_MAX: usize = 256;

/// How long full counters are left as they are before they are looked through again, milliseconds.
const SWEEP: Millis = 1_000;

/// What a key is counted with.
pub(super) trait Counter: Default {
    /// From when on it says no more than a new one would.
    fn idle_from(&self) -> Millis;
}

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Counters<C> {
    pub(super) by_key: HashMap<String, C>,
    /// When those that count nothing any more are looked for next.
    sweep_at: Millis,
    /// Two, so that nobody finds another's hash by trying.
    hashes: [RandomState; 2],
}

impl<C: Counter> Counters<C> {
    /// The counter of a key, made if new.
    pub(super) fn of(&mut self, key: &str, now: Millis) -> &mut C {
        let name = self.name(key);
        let mut name: &str = &name;
        if self.by_key.len() >= COUNTERS_MAX && !self.by_key.contains_key(name) {
            if now >= self.sweep_at {
                self.by_key.retain(|_, counter| counter.idle_from() > now);
                self.sweep_at = now + SWEEP;
            }
            if self.by_key.len() >= COUNTERS_MAX {
                name = "";
            }
        }
        self.by_key.entry(name.to_owned()).or_default()
    }

    /// What a key's counter is kept under.
    fn name<'k>(&self, key: &'k str) -> Cow<'k, str> {
        if key.len() <= KEY_BYTES_MAX {
            return Cow::Borrowed(key);
        }
        let [first, second] = self.hashes.each_ref().map(|hash| hash.hash_one(key));
        Cow::Owned(format!("{first:016x}{second:016x}"))
    }
}
