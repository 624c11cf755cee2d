//! What is made of definitions and is dear to make, such as policies that are read from their texts: kept until a definition
//! changes. Knows neither what it keeps nor what it is made of.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// What is kept in memory; with more than this all is made anew.
const ENTRIES_MAX: usize = 4_096;

/// Values by name, as definitions were at a version.
pub struct DefinitionCache<V> {
    /// The versions of all kinds of definitions that values are made of.
    changes: Vec<watch::Receiver<u64>>,
    kept: Mutex<Kept<V>>,
}

struct Kept<V> {
    version: u64,
    values: HashMap<String, V>,
}

impl<V: Clone> DefinitionCache<V> {
    /// Keeps values until one of these versions moves; see `Collection::watch` of the catalog.
    #[must_use]
    pub fn new(changes: Vec<watch::Receiver<u64>>) -> Self {
        Self { changes, kept: Mutex::new(Kept { version: 0, values: HashMap::new() }) }
    }

    /// The value of a name. The version is read before definitions are: what is kept under a version is at least as new. What
    /// is not there is not kept: names that callers make up take no memory.
    pub fn get(&self, name: &str, make: impl FnOnce() -> Option<V>) -> Option<V> {
        let version = self.version();
        {
            let mut kept = self.kept();
            if kept.version != version || kept.values.len() >= ENTRIES_MAX {
                *kept = Kept { version, values: HashMap::new() };
            }
            if let Some(known) = kept.values.get(name) {
                return Some(known.clone());
            }
        }
        let value = make()?;
        let mut kept = self.kept();
        if kept.version == version {
            kept.values.insert(name.to_owned(), value.clone());
        }
        Some(value)
    }

    /// Each kind's version only rises, so their sum tells every change.
    fn version(&self) -> u64 {
        self.changes.iter().map(|version| *version.borrow()).sum()
    }

    fn kept(&self) -> MutexGuard<'_, Kept<V>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_made_once_until_a_version_moves() {
        let (queues, topics) = (watch::Sender::new(0), watch::Sender::new(7));
        let cache = DefinitionCache::new(vec![queues.subscribe(), topics.subscribe()]);
        assert_eq!(cache.get("q", || None), None);
        assert_eq!(cache.get("q", || Some("made")), Some("made"), "what was not there is asked for again");
        assert_eq!(cache.get("q", || Some("made again")), Some("made"));
        assert_eq!(cache.get("t", || Some("another")), Some("another"));
        queues.send_modify(|version| *version += 1);
        assert_eq!(cache.get("q", || Some("changed")), Some("changed"));
        topics.send_modify(|version| *version += 1);
        assert_eq!(cache.get("q", || None), None, "removed");
        assert_eq!(cache.get("t", || Some("changed too")), Some("changed too"));
    }

    #[test]
    fn what_was_made_before_a_change_is_not_kept_behind_it() {
        let queues = watch::Sender::new(0);
        let cache = DefinitionCache::new(vec![queues.subscribe()]);
        let meanwhile = cache.get("q", || {
            queues.send_modify(|version| *version += 1);
            assert_eq!(cache.get("other", || Some("new")), Some("new"));
            Some("old")
        });
        assert_eq!(meanwhile, Some("old"));
        assert_eq!(cache.get("q", || Some("new")), Some("new"));
        assert_eq!(cache.get("other", || None), Some("new"));
    }

    #[test]
    fn no_more_is_kept_than_may_be() {
        let cache = DefinitionCache::new(Vec::new());
        for number in 0..=ENTRIES_MAX {
            cache.get(&number.to_string(), || Some(number));
        }
        assert_eq!(cache.kept().values.len(), 1);
    }
}
