//! Connections that wait for their next request, on the thread that had the last: it is the one that the system wakes when something
//! comes, and another would have to be woken by it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, ThreadId};
use std::time::Duration;

use http::uri::Authority;
use tokio::time::Instant;

use super::connection::Connection;

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// Idle connections that each thread keeps for one backend.
const IDLE_MAX: usize = 64;

/// Where a connection leads: with TLS or without, and to whom.
pub(super) type Place = (bool, Authority);

/// The connections. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Idle {
    kept: Arc<Mutex<Kept>>,
}

/// Since when each is idle; the last was used last.
type ByPlace = HashMap<Place, Vec<(Instant, Connection)>, foldhash::fast::RandomState>;

#[derive(Default)]
struct Kept {
    by_thread: HashMap<ThreadId, ByPlace, foldhash::fast::RandomState>,
    /// Whether a task looks for old ones.
    swept: bool,
}

impl Idle {
    /// The connection to a place that was used last.
    pub(super) fn take(&self, place: &Place) -> Option<Connection> {
        let mut kept = kept(&self.kept);
        let (_, connection) = kept.by_thread.get_mut(&thread::current().id())?.get_mut(place)?.pop()?;
        Some(connection)
    }

    /// Keeps a connection.
    pub(super) fn keep(&self, place: Place, connection: Connection) {
        let mut kept = kept(&self.kept);
        let of_place = kept.by_thread.entry(thread::current().id()).or_default().entry(place).or_default();
        if of_place.len() < IDLE_MAX {
            of_place.push((Instant::now(), connection));
        }
        if !std::mem::replace(&mut kept.swept, true) {
            tokio::spawn(sweep(Arc::downgrade(&self.kept)));
        }
    }
}

/// Lets go what is idle for too long, until there is nothing left.
async fn sweep(shared: Weak<Mutex<Kept>>) {
    loop {
        tokio::time::sleep(IDLE).await;
        let Some(shared) = shared.upgrade() else { return };
        let mut kept = kept(&shared);
        for by_place in kept.by_thread.values_mut() {
            by_place.retain(|_, of_place| {
                of_place.retain(|(since, _)| since.elapsed() < IDLE);
                !of_place.is_empty()
            });
        }
        kept.by_thread.retain(|_, by_place| !by_place.is_empty());
        if kept.by_thread.is_empty() {
            kept.swept = false;
            return;
        }
    }
}

fn kept(shared: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
