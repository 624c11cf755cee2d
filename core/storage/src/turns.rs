//! Turns: whoever changes a thing waits for who changes the same already.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Turns of all things together; two that share one wait for each other, which is seldom and does no harm.
const TURNS: usize = 64;

/// The turns of things of one kind. A turn lasts as long as what [`Turns::of`] gives is held, so it can be taken along to the end
/// of a change ([`crate::to_the_end()`]). Who holds one must not ask for another.
pub struct Turns([Arc<Mutex<()>>; TURNS]);

impl Default for Turns {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Arc::default()))
    }
}

impl Turns {
    /// Waits for the turn of a thing, which is told from others by its hash.
    pub async fn of(&self, thing: &(impl Hash + ?Sized)) -> OwnedMutexGuard<()> {
        let mut hasher = DefaultHasher::new();
        thing.hash(&mut hasher);
        let at = (hasher.finish() % TURNS as u64) as usize;
        Arc::clone(&self.0[at]).lock_owned().await
    }
}
