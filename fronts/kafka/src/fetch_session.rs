//! Fetch sessions: a client says once which partitions it reads and from then on only what changed; it is told only of those
//! that have something new. What is kept here is what was asked and told, never records.
//!
//! Source: KIP-227. Read next: `operation/fetch.rs` (who uses them).

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use millstream_types::Millis;

use crate::error::ErrorCode;
use crate::topic::TopicKey;

/// "No session": who asks so has none, who is told so gets none.
pub const NO_SESSION: i32 = 0;
/// The epoch of who asks for all and wants no session, and of who ends one.
const FINAL_EPOCH: i32 = -1;
/// The epoch of who asks for all and takes a session.
const FIRST_EPOCH: i32 = 0;

/// Sessions of all clients. Who finds no room is answered without one and asks for all again each time.
const SESSIONS_MAX: usize = 1_000;
/// Bytes of what all sessions keep.
const SESSIONS_BYTES_MAX: usize = 32 << 20;
/// How long a session has to be unused before another one may take its room.
const UNUSED_MS: Millis = 120_000;

/// A partition that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub topic: TopicKey,
    pub index: i32,
    /// From where on.
    pub offset: i64,
    /// Bytes at most.
    pub bytes_max: usize,
    /// The epoch of its leader that the client knows; -1 for none.
    pub leader_epoch: i32,
}

/// What an answer tells of a partition beside its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    pub error: ErrorCode,
    /// The first offset that there is and the one behind the last.
    pub bounds: Option<(u64, u64)>,
    pub has_records: bool,
}

/// What a request says of its session, and which partitions it asks for.
#[derive(Debug)]
pub struct Asked {
    pub session: i32,
    pub epoch: i32,
    /// Whether topics are named by their ids.
    pub by_id: bool,
    /// All, or those that are new or asked for in another way.
    pub partitions: Vec<Wanted>,
    /// Those that are not asked for any more.
    pub forgotten: Vec<(TopicKey, i32)>,
}

/// A fetch that has begun: what is to be read for it.
#[derive(Debug)]
pub struct Fetching {
    pub partitions: Vec<Wanted>,
    of: Of,
}

/// Whose fetch it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// Nobody's who comes back.
    Nobody,
    /// Of who takes a session if there is room for one.
    New { by_id: bool },
    /// Of a session, which expects this epoch next.
    Session { id: i32, next: i32 },
}

/// The sessions of all clients.
#[derive(Debug)]
pub struct FetchSessions(Mutex<Sessions>);

#[derive(Debug)]
struct Sessions {
    by_id: HashMap<i32, Session>,
    /// The id that was given last.
    last: i32,
    /// Bytes of what all of them keep.
    bytes: usize,
}

#[derive(Debug)]
struct Session {
    /// The namespace of its client: nobody else goes on with it.
    namespace: String,
    by_id: bool,
    /// The epoch that comes next.
    next: i32,
    used: Millis,
    /// In the order in which they are read: those that had records last come behind the others, so that all get on. Beside each
    /// its bounds as they were told last; `None`: not at all, or that something is wrong.
    partitions: Vec<(Wanted, Option<(u64, u64)>)>,
    /// Of what it keeps.
    bytes: usize,
}

impl FetchSessions {
    /// None yet. Ids begin at another number each time the node starts, so that nobody goes on with another's session.
    pub fn new(now: Millis) -> Self {
        let last = (now & 0x3fff_ffff) as i32;
        Self(Mutex::new(Sessions { by_id: HashMap::new(), last, bytes: 0 }))
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a fetch.
    ///
    /// # Errors
    /// [`ErrorCode::FetchSessionIdNotFound`], [`ErrorCode::InvalidFetchSessionEpoch`], [`ErrorCode::FetchSessionTopicIdError`]:
    /// the client begins anew with all its partitions.
    pub fn begin(&self, namespace: &str, asked: Asked, now: Millis) -> Result<Fetching, ErrorCode> {
        let mut sessions = self.sessions();
        let Asked { session: id, epoch, by_id, partitions, forgotten } = asked;
        let is_own = sessions.by_id.get(&id).is_some_and(|session| session.namespace == namespace);
        if matches!(epoch, FINAL_EPOCH | FIRST_EPOCH) {
            if is_own {
                sessions.remove(id);
            }
            let takes_one = epoch == FIRST_EPOCH && !partitions.is_empty();
            return Ok(Fetching { partitions, of: if takes_one { Of::New { by_id } } else { Of::Nobody } });
        }
        let session = sessions.by_id.get_mut(&id).filter(|_| is_own).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.by_id != by_id {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        if session.next != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        session.next = epoch.checked_add(1).unwrap_or(1);
        session.used = now;
        let bytes_before = session.bytes;
        session.change(partitions, forgotten);
        let (next, bytes) = (session.next, session.bytes);
        let partitions: Vec<Wanted> = session.partitions.iter().map(|(wanted, _)| wanted.clone()).collect();
        sessions.bytes = sessions.bytes - bytes_before + bytes;
        if partitions.is_empty() {
            sessions.remove(id);
            return Ok(Fetching { partitions, of: Of::Nobody });
        }
        if sessions.bytes > SESSIONS_BYTES_MAX {
            sessions.remove(id);
            return Err(ErrorCode::FetchSessionIdNotFound);
        }
        Ok(Fetching { partitions, of: Of::Session { id, next } })
    }

    /// Ends a fetch that read so much, partition by partition: gives the session that its client has from now on, and which
    /// partitions the answer tells of.
    pub fn end(&self, namespace: &str, fetching: Fetching, told: &[Told], now: Millis) -> (i32, Vec<bool>) {
        let all = vec![true; told.len()];
        let mut sessions = self.sessions();
        match fetching.of {
            Of::Nobody => (NO_SESSION, all),
            Of::New { by_id } => {
                let partitions = fetching.partitions.into_iter().zip(told.iter().map(Told::sound)).collect();
                (sessions.add(Session::new(namespace, by_id, partitions, now), now), all)
            }
            Of::Session { id, next } => match sessions.by_id.get_mut(&id) {
                Some(session) if session.next == next => (id, session.news(told)),
                // It went on by another connection meanwhile, or had to go: the client finds out with its next request.
                _ => (id, all),
            },
        }
    }
}

impl Sessions {
    /// Gives a session an id, if there is room for it.
    fn add(&mut self, session: Session, now: Millis) -> i32 {
        while self.by_id.len() >= SESSIONS_MAX || self.bytes + session.bytes > SESSIONS_BYTES_MAX {
            let oldest = self.by_id.iter().min_by_key(|(_, session)| session.used);
            match oldest.filter(|(_, oldest)| now - oldest.used >= UNUSED_MS).map(|(id, _)| *id) {
                Some(id) => self.remove(id),
                None => return NO_SESSION,
            }
        }
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if !self.by_id.contains_key(&self.last) {
                break;
            }
        }
        self.bytes += session.bytes;
        self.by_id.insert(self.last, session);
        self.last
    }

    fn remove(&mut self, id: i32) {
        if let Some(removed) = self.by_id.remove(&id) {
            self.bytes -= removed.bytes;
        }
    }
}

impl Session {
    fn new(namespace: &str, by_id: bool, partitions: Vec<(Wanted, Option<(u64, u64)>)>, now: Millis) -> Self {
        let bytes = partitions.iter().map(|(wanted, _)| bytes_of(wanted)).sum();
        Self { namespace: namespace.to_owned(), by_id, next: FIRST_EPOCH + 1, used: now, partitions, bytes }
    }

    /// Takes what is asked for in another way than before.
    fn change(&mut self, changed: Vec<Wanted>, forgotten: Vec<(TopicKey, i32)>) {
        if changed.is_empty() && forgotten.is_empty() {
            return;
        }
        let named = |wanted: &Wanted| (wanted.topic.clone(), wanted.index);
        let places = self.partitions.iter().enumerate().map(|(place, (wanted, _))| (named(wanted), place));
        let mut places: HashMap<(TopicKey, i32), usize> = places.collect();
        for wanted in changed {
            let place = *places.entry(named(&wanted)).or_insert(self.partitions.len());
            match self.partitions.get_mut(place) {
                Some((there, _)) => *there = wanted,
                None => self.partitions.push((wanted, None)),
            }
        }
        if !forgotten.is_empty() {
            let forgotten: HashSet<(TopicKey, i32)> = forgotten.into_iter().collect();
            self.partitions.retain(|(wanted, _)| !forgotten.contains(&named(wanted)));
        }
        self.bytes = self.partitions.iter().map(|(wanted, _)| bytes_of(wanted)).sum();
    }

    /// Which partitions have something to tell since they were told of last.
    fn news(&mut self, told: &[Told]) -> Vec<bool> {
        let mut news = Vec::with_capacity(told.len());
        let (mut first, mut last) = (Vec::with_capacity(told.len()), Vec::new());
        for ((wanted, before), told) in self.partitions.drain(..).zip(told) {
            let sound = told.sound();
            news.push(told.has_records || sound.is_none() || sound != before);
            if told.has_records { last.push((wanted, sound)) } else { first.push((wanted, sound)) }
        }
        first.append(&mut last);
        self.partitions = first;
        news
    }
}

impl Told {
    /// The bounds, unless something is wrong: that is told until it is right, and that it is right is news.
    fn sound(&self) -> Option<(u64, u64)> {
        self.bounds.filter(|_| self.error == ErrorCode::None)
    }
}

/// Bytes that a partition takes, with a name that it may have alone.
fn bytes_of(wanted: &Wanted) -> usize {
    let name = if let TopicKey::Name(name) = &wanted.topic { name.len() } else { 0 };
    size_of::<(Wanted, Option<(u64, u64)>)>() + name
}

#[cfg(test)]
mod tests;
