//! The operations on groups.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use millstream_storage::{Storage, StorageError, Transaction, to_the_end};
use millstream_types::{BoxFuture, Clock, LogId, Millis};
use tokio::sync::Notify;

use crate::error::GroupError;
use crate::group::{Group, Phase};
use crate::member::MemberDescription;
use crate::membership::{Assigned, Join, Joined, Seat};
use crate::offsets::{Committed, GroupId, METADATA_BYTES_MAX, Offsets};

/// Groups of a node.
pub const GROUPS_MAX: usize = 10_000;
/// Bytes of what the members of all groups say and are given.
const BYTES_MAX: usize = 256 << 20;
/// Bytes of a group's name.
const NAME_BYTES_MAX: usize = 255;
/// How long the offsets of a group without members are kept: a week.
const KEPT_MS: Millis = 7 * 24 * 3_600_000;
/// The longest time between two looks at who was silent: the machine's clock may be set.
const LOOK: Duration = Duration::from_secs(1);

/// Makes ids of members that nobody else has, from what a client calls itself.
pub type NewId = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What kind of group it is; empty for one that never had members.
    pub protocol_type: String,
    /// What its members are about.
    pub phase: Phase,
}

/// A group with its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// What its members are about.
    pub phase: Phase,
    /// What kind of group it is.
    pub protocol_type: String,
    /// The protocol that all members know.
    pub protocol: String,
    /// Its members.
    pub members: Vec<MemberDescription>,
}

/// The group engine. Cheap to clone.
#[derive(Clone)]
pub struct Groups {
    storage: Storage,
    offsets: Offsets,
    clock: Arc<dyn Clock>,
    new_id: NewId,
    state: Arc<Mutex<State>>,
    /// Told when a deadline may have come nearer.
    sooner: Arc<Notify>,
}

#[derive(Default)]
struct State {
    groups: HashMap<GroupId, Group>,
    /// The latest time seen: it does not go back when the machine's does.
    now: Millis,
}

impl Groups {
    /// Reads which groups there are. Reads the disk: not for an async worker.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn open(storage: Storage, clock: Arc<dyn Clock>, new_id: NewId) -> Result<Self, StorageError> {
        let offsets = Offsets::new(storage.clone());
        let mut state = State { now: clock.now(), ..State::default() };
        for id in offsets.groups()? {
            // How long it had no members before is not known: its time begins again.
            let mut group = Group::new(state.now);
            group.has_offsets = true;
            state.groups.insert(id, group);
        }
        Ok(Self { storage, offsets, clock, new_id, state: Arc::new(Mutex::new(state)), sooner: Arc::default() })
    }

    /// Becomes a member of a group, which is made when it is not there; waits until the group's members have come
    /// together.
    ///
    /// # Errors
    /// [`GroupError`]: with [`GroupError::MemberIdRequired`] the id to come back with.
    pub fn join<'a>(&'a self, id: &'a GroupId, join: &'a Join) -> BoxFuture<'a, Result<Joined, GroupError>> {
        Box::pin(async move {
            check_name(id)?;
            let joined = self.with(|groups, now| {
                // What it said when it joined before goes for what it says now.
                let said = groups.get(id).map_or(0, |group| group.said_by(join));
                bounded(groups, join.bytes().saturating_sub(said))?;
                let group = entry(groups, id, now)?;
                let joined = group.join(join, now, &|| (self.new_id)(&join.client));
                forget_nothing(groups, id);
                joined
            });
            self.sooner.notify_one();
            let joined = joined?;
            joined.await.unwrap_or(Err(GroupError::UnknownMember))
        })
    }

    /// Asks for what the leader gave; the leader brings it. Waits for the leader.
    ///
    /// # Errors
    /// [`GroupError`].
    pub fn sync<'a>(
        &'a self,
        id: &'a GroupId,
        seat: &'a Seat,
        assignments: Vec<(String, Bytes)>,
    ) -> BoxFuture<'a, Result<Assigned, GroupError>> {
        Box::pin(async move {
            let given: usize = assignments.iter().map(|(_, given)| given.len()).sum();
            let assigned = self.with(|groups, now| {
                bounded(groups, given)?;
                known(groups, id)?.sync(seat, assignments, now)
            })?;
            self.sooner.notify_one();
            assigned.await.unwrap_or(Err(GroupError::UnknownMember))
        })
    }

    /// A member says that it is there.
    ///
    /// # Errors
    /// [`GroupError`]: [`GroupError::Rebalancing`] asks it to join again.
    pub fn heartbeat(&self, id: &GroupId, seat: &Seat) -> Result<(), GroupError> {
        self.with(|groups, now| known(groups, id)?.heartbeat(seat, now))
    }

    /// A member goes: by its id, or by its fixed name.
    ///
    /// # Errors
    /// [`GroupError`].
    pub fn leave(&self, id: &GroupId, member: &str, instance: Option<&str>) -> Result<(), GroupError> {
        let left = self.with(|groups, now| {
            let left = known(groups, id)?.leave(member, instance, now);
            forget_nothing(groups, id);
            left
        });
        self.sooner.notify_one();
        left
    }

    /// Keeps how far a group has read: all of the offsets, or none. `offsets` are the first that are not read, with what
    /// the consumer says of them.
    ///
    /// # Errors
    /// [`GroupError`].
    pub fn commit<'a>(
        &'a self,
        id: &'a GroupId,
        seat: &'a Seat,
        offsets: Vec<(LogId, u64, String)>,
    ) -> BoxFuture<'a, Result<(), GroupError>> {
        Box::pin(async move {
            check_name(id)?;
            if offsets.iter().any(|(_, _, metadata)| metadata.len() > METADATA_BYTES_MAX) {
                return Err(GroupError::MetadataTooLarge { max: METADATA_BYTES_MAX });
            }
            let time = self.with(|groups, now| {
                // A group that nobody joined may be used as a place to keep offsets.
                let group = if seat.generation < 0 { entry(groups, id, now)? } else { known(groups, id)? };
                let allowed = group.may_commit(seat, now);
                if allowed.is_ok() {
                    group.used = now;
                }
                if allowed.is_ok() && !offsets.is_empty() {
                    group.has_offsets = true;
                    group.committing += 1;
                }
                forget_nothing(groups, id);
                allowed.map(|()| now)
            })?;
            if offsets.is_empty() {
                return Ok(());
            }
            let keep = |(log, offset, metadata)| (log, Committed { offset, metadata, time });
            let offsets: Vec<_> = offsets.into_iter().map(keep).collect();
            let (groups, id) = (self.clone(), id.clone());
            to_the_end(async move {
                let kept = groups.storage.commit(groups.offsets.keep(&id, &offsets)).await;
                groups.change(&id, |group| group.committing -= 1);
                Ok(kept.map(drop)?)
            })
            .await
        })
    }

    /// How far a group has read.
    ///
    /// # Errors
    /// [`GroupError::Storage`].
    pub fn committed<'a>(&'a self, id: &'a GroupId) -> BoxFuture<'a, Result<BTreeMap<LogId, Committed>, GroupError>> {
        Box::pin(async move {
            if !self.with(|groups, _| groups.contains_key(id)) {
                return Ok(BTreeMap::new());
            }
            let (offsets, id) = (self.offsets.clone(), id.clone());
            Ok(blocking(move || offsets.of_group(&id)).await?)
        })
    }

    /// The groups of a space in the order of their names.
    #[must_use]
    pub fn list(&self, space: &str) -> Vec<Listed> {
        let mut listed: Vec<Listed> = self.with(|groups, _| {
            let of_space = groups.iter().filter(|(id, _)| id.space == space);
            let list = |(id, group): (&GroupId, &Group)| Listed {
                name: id.name.clone(),
                protocol_type: group.protocol_type.clone(),
                phase: group.phase,
            };
            of_space.map(list).collect()
        });
        listed.sort_by(|one, other| one.name.cmp(&other.name));
        listed
    }

    /// A group; `None` when there is none of that name.
    #[must_use]
    pub fn describe(&self, id: &GroupId) -> Option<Description> {
        self.with(|groups, _| {
            let group = groups.get(id)?;
            Some(Description {
                phase: group.phase,
                protocol_type: group.protocol_type.clone(),
                protocol: group.protocol.clone(),
                members: group.describe(),
            })
        })
    }

    /// Removes a group without members and its offsets. Nobody joins it or keeps offsets in it meanwhile.
    ///
    /// # Errors
    /// [`GroupError::NotFound`], [`GroupError::NotEmpty`], [`GroupError::Busy`], [`GroupError::Storage`].
    pub fn delete<'a>(&'a self, id: &'a GroupId) -> BoxFuture<'a, Result<(), GroupError>> {
        Box::pin(async move {
            self.with(|groups, _| {
                let group = groups.get_mut(id).ok_or(GroupError::NotFound)?;
                match group.phase {
                    Phase::Empty if group.going || group.committing > 0 => Err(GroupError::Busy),
                    Phase::Empty => {
                        group.going = true;
                        Ok(())
                    }
                    _ => Err(GroupError::NotEmpty),
                }
            })?;
            let (groups, id) = (self.clone(), id.clone());
            to_the_end(async move {
                let forgotten = groups.forget(&id).await;
                groups.change(&id, |group| {
                    group.going = false;
                    group.has_offsets &= forgotten.is_err();
                });
                Ok(forgotten?)
            })
            .await
        })
    }

    async fn forget(&self, id: &GroupId) -> Result<(), StorageError> {
        let (offsets, id) = (self.offsets.clone(), id.clone());
        self.keep(move || offsets.forget(&id)).await
    }

    /// Forgets offsets of logs that are not there any more; `there` tells which are. Called now and then.
    ///
    /// # Errors
    /// [`GroupError::Storage`].
    pub async fn forget_logs(
        &self,
        there: impl FnOnce() -> BTreeSet<LogId> + Send + 'static,
    ) -> Result<(), GroupError> {
        let offsets = self.offsets.clone();
        Ok(self.keep(move || offsets.forget_logs(there)).await?)
    }

    /// Makes durable what is found out by reading the disk.
    async fn keep(
        &self,
        transaction: impl FnOnce() -> Result<Transaction, StorageError> + Send + 'static,
    ) -> Result<(), StorageError> {
        let transaction = blocking(transaction).await?;
        if !transaction.is_empty() {
            self.storage.commit(transaction).await?;
        }
        Ok(())
    }

    /// Changes a group that is there, and forgets it if nothing is left of it.
    fn change(&self, id: &GroupId, change: impl FnOnce(&mut Group)) {
        self.with(|groups, _| {
            if let Some(group) = groups.get_mut(id) {
                change(group);
            }
            forget_nothing(groups, id);
        });
    }

    /// Lets time pass for all groups: sees who was silent too long, and forgets what nobody has used for a week. Never ends;
    /// the server runs it beside the listeners.
    pub fn keep_time(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            loop {
                let wait = self.look().await;
                // Nothing changed that could end the wait sooner, or something did: both look again.
                let _ = tokio::time::timeout(wait, self.sooner.notified()).await;
            }
        })
    }

    /// Looks once; gives how long nothing is to be done then.
    async fn look(&self) -> Duration {
        let (next, old) = self.with(|groups, now| {
            groups.values_mut().for_each(|group| group.pass(now));
            groups.retain(|_, group| !group.is_nothing());
            let next = groups.values().filter_map(Group::deadline).min().map(|at| (at - now).max(1));
            let is_old = |group: &Group| group.phase == Phase::Empty && group.used + KEPT_MS <= now;
            (next, groups.iter().find(|(_, group)| is_old(group)).map(|(id, _)| id.clone()))
        });
        if let Some(id) = old
            && let Err(error) = self.delete(&id).await
        {
            tracing::warn!(group = %id.name, %error, "cannot forget a group that nobody uses");
        }
        next.map_or(LOOK, |ms| Duration::from_millis(ms.unsigned_abs()).min(LOOK))
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<GroupId, Group>, Millis) -> T) -> T {
        let mut state: MutexGuard<'_, State> = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.now = state.now.max(self.clock.now());
        let now = state.now;
        act(&mut state.groups, now)
    }
}

fn check_name(id: &GroupId) -> Result<(), GroupError> {
    let good = (1..=NAME_BYTES_MAX).contains(&id.name.len()) && id.space.len() <= NAME_BYTES_MAX;
    if good { Ok(()) } else { Err(GroupError::Name) }
}

/// Whether members of all groups may say or be given so many bytes more.
fn bounded(groups: &HashMap<GroupId, Group>, more: usize) -> Result<(), GroupError> {
    let now: usize = groups.values().map(|group| group.bytes).sum();
    if now + more > BYTES_MAX { Err(GroupError::TooMuchSaid { bytes_max: BYTES_MAX }) } else { Ok(()) }
}

fn known<'g>(groups: &'g mut HashMap<GroupId, Group>, id: &GroupId) -> Result<&'g mut Group, GroupError> {
    groups.get_mut(id).ok_or(GroupError::UnknownMember)
}

fn entry<'g>(groups: &'g mut HashMap<GroupId, Group>, id: &GroupId, now: Millis) -> Result<&'g mut Group, GroupError> {
    match groups.get(id) {
        Some(group) if group.going => return Err(GroupError::Busy),
        None if groups.len() >= GROUPS_MAX => return Err(GroupError::TooManyGroups { max: GROUPS_MAX }),
        _ => {}
    }
    Ok(groups.entry(id.clone()).or_insert_with(|| Group::new(now)))
}

fn forget_nothing(groups: &mut HashMap<GroupId, Group>, id: &GroupId) {
    if groups.get(id).is_some_and(Group::is_nothing) {
        groups.remove(id);
    }
}

async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    tokio::task::spawn_blocking(act).await.map_err(|_| StorageError::Closed)?
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use millstream_types::ManualClock;

    use super::*;

    fn groups(storage: &Storage) -> Groups {
        groups_at(storage, Arc::new(ManualClock::at(5)))
    }

    fn groups_at(storage: &Storage, clock: Arc<ManualClock>) -> Groups {
        Groups::open(storage.clone(), clock, Arc::new(|client| client.to_owned())).unwrap()
    }

    fn id(name: &str) -> GroupId {
        GroupId { space: "default".to_owned(), name: name.to_owned() }
    }

    #[tokio::test]
    async fn offsets_are_kept_through_a_restart_until_the_group_is_deleted() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(5)));
        let nobody = Seat { member: String::new(), instance: None, generation: -1 };
        let first = groups(&storage);
        let offsets = vec![(LogId(1), 40, "note".to_owned()), (LogId(2), 7, String::new())];
        first.commit(&id("g"), &nobody, offsets).await.unwrap();
        first.commit(&id("g2"), &nobody, vec![(LogId(1), 1, String::new())]).await.unwrap();
        let again = groups(&storage);
        let found = again.committed(&id("g")).await.unwrap();
        let note = Committed { offset: 40, metadata: "note".to_owned(), time: 5 };
        assert_eq!((found.len(), &found[&LogId(1)]), (2, &note));
        assert_eq!(again.list("default").len(), 2);
        assert!(again.list("other").is_empty());
        again.delete(&id("g")).await.unwrap();
        assert!(again.committed(&id("g")).await.unwrap().is_empty());
        assert!(matches!(again.delete(&id("g")).await, Err(GroupError::NotFound)));
        assert_eq!(again.committed(&id("g2")).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_cannot_be_kept_is_refused() {
        let groups = groups(&Storage::in_memory(Arc::new(ManualClock::at(5))));
        let nobody = Seat { member: String::new(), instance: None, generation: -1 };
        let long = vec![(LogId(1), 1, "x".repeat(METADATA_BYTES_MAX + 1))];
        assert!(matches!(groups.commit(&id("g"), &nobody, long).await, Err(GroupError::MetadataTooLarge { .. })));
        assert!(matches!(groups.commit(&id(""), &nobody, vec![]).await, Err(GroupError::Name)));
        let member = Seat { member: "m".to_owned(), instance: None, generation: 1 };
        assert!(matches!(groups.commit(&id("g"), &member, vec![]).await, Err(GroupError::UnknownMember)));
        assert!(groups.list("default").is_empty());
    }

    fn nobody() -> Seat {
        Seat { member: String::new(), instance: None, generation: -1 }
    }

    fn one_offset(log: u64) -> Vec<(LogId, u64, String)> {
        vec![(LogId(log), 1, String::new())]
    }

    #[tokio::test]
    async fn the_time_of_a_group_without_members_begins_again_with_the_node() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(5)));
        groups(&storage).commit(&id("g"), &nobody(), one_offset(1)).await.unwrap();
        let clock = Arc::new(ManualClock::at(5 + KEPT_MS + 86_400_000));
        let again = groups_at(&storage, clock.clone());
        again.look().await;
        assert_eq!(again.committed(&id("g")).await.unwrap().len(), 1);
        clock.advance(KEPT_MS);
        again.look().await;
        assert!(again.committed(&id("g")).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_commit_of_nothing_makes_no_group() {
        let groups = groups(&Storage::in_memory(Arc::new(ManualClock::at(5))));
        groups.commit(&id("g"), &nobody(), vec![]).await.unwrap();
        assert!(groups.list("default").is_empty());
    }

    #[tokio::test]
    async fn offsets_are_those_of_one_group_and_of_logs_that_are_there() {
        let groups = groups(&Storage::in_memory(Arc::new(ManualClock::at(5))));
        for (name, log) in [("a", 1), ("a", u64::MAX), ("b", 1), ("aa", 2)] {
            groups.commit(&id(name), &nobody(), one_offset(log)).await.unwrap();
        }
        let logs = async |name: &str| -> Vec<u64> {
            groups.committed(&id(name)).await.unwrap().into_keys().map(|log| log.0).collect()
        };
        assert_eq!((logs("a").await, logs("aa").await), (vec![1, u64::MAX], vec![2]));
        groups.forget_logs(|| [LogId(2), LogId(u64::MAX)].into()).await.unwrap();
        assert_eq!((logs("a").await, logs("b").await, logs("aa").await), (vec![u64::MAX], vec![], vec![2]));
    }

    #[tokio::test]
    async fn what_is_being_removed_takes_nothing_and_is_removed_though_the_caller_goes() {
        let groups = groups(&Storage::in_memory(Arc::new(ManualClock::at(5))));
        groups.commit(&id("g"), &nobody(), one_offset(1)).await.unwrap();
        // Asked once, then given up.
        assert!(groups.delete(&id("g")).now_or_never().is_none());
        assert!(matches!(groups.commit(&id("g"), &nobody(), one_offset(2)).await, Err(GroupError::Busy)));
        assert!(matches!(groups.delete(&id("g")).await, Err(GroupError::Busy | GroupError::NotFound)));
        while !groups.list("default").is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(groups.committed(&id("g")).await.unwrap().is_empty());
        // A commit that is under way is not cut off.
        assert!(groups.commit(&id("g"), &nobody(), one_offset(3)).now_or_never().is_none());
        assert!(matches!(groups.delete(&id("g")).await, Err(GroupError::Busy)));
    }
}
