//! Who reads which partition: readers of a level shut out those below, the others share up to a limit.
//!
//! Lives as long as the node: readers come back after a restart and take their places again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;

/// Readers without a level at one partition in one consumer group.
pub const SHARED_READERS_MAX: usize = 5;

/// A partition as one consumer group reads it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    stream: String,
    group: String,
    partition: u32,
}

#[derive(Default)]
struct Present {
    owner: Option<(i64, Reader)>,
    shared: Vec<Reader>,
}

struct Reader {
    id: u64,
    displaced_by: Arc<OnceLock<i64>>,
    wake: Arc<Notify>,
}

impl Reader {
    fn displace(&self, level: i64) {
        let _ = self.displaced_by.set(level);
        self.wake.notify_one();
    }
}

#[derive(Default)]
struct State {
    places: BTreeMap<Place, Present>,
    next_id: u64,
}

/// All readers of a node. Cheap to clone.
#[derive(Clone, Default)]
pub struct Readers {
    state: Arc<Mutex<State>>,
}

/// Why a reader gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A reader of a higher level is there (or one of any level, when the new one has none).
    #[error("a reader of level {current} reads the partition already")]
    Owned {
        /// Its level.
        current: i64,
    },
    /// Too many readers without a level.
    #[error("expected at most {SHARED_READERS_MAX} readers without a level at a partition in a consumer group")]
    TooMany,
}

/// A reader's place; free again when dropped.
pub struct Lease {
    readers: Readers,
    place: Place,
    id: u64,
    displaced_by: Arc<OnceLock<i64>>,
}

impl Readers {
    /// Takes a place. A reader with a level displaces all those without and the one of the same or a lower level; each
    /// is woken through its `wake`.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn take(
        &self,
        (stream, group, partition): (&str, &str, u32),
        level: Option<i64>,
        wake: Arc<Notify>,
    ) -> Result<Lease, Refused> {
        let place = Place { stream: stream.to_owned(), group: group.to_ascii_lowercase(), partition };
        let mut state = self.state();
        state.next_id += 1;
        let id = state.next_id;
        let displaced_by = Arc::new(OnceLock::new());
        let reader = Reader { id, displaced_by: Arc::clone(&displaced_by), wake };
        let present = state.places.entry(place.clone()).or_default();
        match (level, &present.owner) {
            (Some(level), Some((current, _))) if *current > level => return Err(Refused::Owned { current: *current }),
            (None, Some((current, _))) => return Err(Refused::Owned { current: *current }),
            (None, None) if present.shared.len() >= SHARED_READERS_MAX => return Err(Refused::TooMany),
            (None, None) => present.shared.push(reader),
            (Some(level), _) => {
                present.shared.drain(..).for_each(|shared| shared.displace(level));
                if let Some((_, before)) = present.owner.replace((level, reader)) {
                    before.displace(level);
                }
            }
        }
        drop(state);
        Ok(Lease { readers: self.clone(), place, id, displaced_by })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// The level of the reader that took the place, once one did.
    #[must_use]
    pub fn displaced_by(&self) -> Option<i64> {
        self.displaced_by.get().copied()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.readers.state();
        if let Some(present) = state.places.get_mut(&self.place) {
            present.shared.retain(|reader| reader.id != self.id);
            if present.owner.as_ref().is_some_and(|(_, reader)| reader.id == self.id) {
                present.owner = None;
            }
            if present.owner.is_none() && present.shared.is_empty() {
                state.places.remove(&self.place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: (&str, &str, u32) = ("trades", "$Default", 0);

    #[test]
    fn a_level_displaces_the_same_and_those_below() {
        let readers = Readers::default();
        let take = |level| readers.take(PLACE, level, Arc::new(Notify::new()));
        let shared = take(None).unwrap();
        let first = take(Some(1)).unwrap();
        assert_eq!(shared.displaced_by(), Some(1));
        assert_eq!(take(None).err(), Some(Refused::Owned { current: 1 }));
        let second = take(Some(1)).unwrap();
        assert_eq!((first.displaced_by(), second.displaced_by()), (Some(1), None));
        assert_eq!(take(Some(0)).err(), Some(Refused::Owned { current: 1 }));
        drop(first);
        assert!(take(None).is_err(), "the place belongs to the second");
        drop(second);
        take(None).unwrap();
    }

    #[test]
    fn readers_without_a_level_share_up_to_the_limit() {
        let readers = Readers::default();
        let take = || readers.take(PLACE, None, Arc::new(Notify::new()));
        let places: Vec<Lease> = (0..SHARED_READERS_MAX).map(|_| take().unwrap()).collect();
        assert_eq!(take().err(), Some(Refused::TooMany));
        assert!(readers.take(("trades", "other", 0), None, Arc::new(Notify::new())).is_ok());
        drop(places);
        assert!(take().is_ok());
        assert!(readers.state().places.is_empty());
    }
}
