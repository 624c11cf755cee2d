//! One group: its members come together, one of them decides who reads what, all read until somebody comes or goes.
//! Pure but for the answers that members wait for; time is given to it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use millstream_types::Millis;
use tokio::sync::oneshot;

use crate::error::GroupError;
use crate::member::{Member, MemberDescription};
use crate::membership::{Assigned, Join, Joined, JoinedMember, Seat};

/// Members of one group.
pub const MEMBERS_MAX: usize = 1_000;
/// Bytes that a member may say of itself, and that a leader may give to a member.
const MEMBER_BYTES_MAX: usize = 256 << 10;
/// Bytes of what all members of one group say and are given, so that a description fits into one answer.
const GROUP_BYTES_MAX: usize = 16 << 20;
/// Protocols that a member may know; clients know three at most. Those of all members are compared under one lock.
const PROTOCOLS_MAX: usize = 64;
/// Bytes of a protocol's name.
const PROTOCOL_NAME_BYTES_MAX: usize = 255;
/// Shortest and longest time that a member may be silent, milliseconds.
const SESSION_MS: std::ops::RangeInclusive<i32> = 1_000..=1_800_000;
/// How long the first members of a group wait for more of them, so that starting many makes one generation. Milliseconds.
const FIRST_WAIT_MS: Millis = 300;
/// Members that got an id and have not come back with it.
const PENDING_MAX: usize = MEMBERS_MAX;

/// What the members of a group are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// There is none.
    Empty,
    /// They come together for a generation.
    Joining,
    /// They wait for what the leader gives them.
    Syncing,
    /// They read.
    Stable,
}

/// A group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) phase: Phase,
    pub(crate) generation: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    leader: String,
    members: BTreeMap<String, Member>,
    /// Ids that were given away, and until when they may be used.
    pending: BTreeMap<String, Millis>,
    /// When the phase is over, whoever is missing.
    ends: Millis,
    /// The first members wait until the end of the phase for others.
    first: bool,
    /// When it was last used; for groups without members.
    pub(crate) used: Millis,
    /// Whether anything is kept of it when it has no members.
    pub(crate) has_offsets: bool,
    /// Commits of offsets that are under way.
    pub(crate) committing: usize,
    /// Whether it is being removed: nothing may begin any more.
    pub(crate) going: bool,
    /// Bytes of what its members said and were given.
    pub(crate) bytes: usize,
}

impl Group {
    pub(crate) fn new(now: Millis) -> Self {
        Self {
            phase: Phase::Empty,
            generation: 0,
            protocol_type: String::new(),
            protocol: String::new(),
            leader: String::new(),
            members: BTreeMap::new(),
            pending: BTreeMap::new(),
            ends: 0,
            first: false,
            used: now,
            has_offsets: false,
            committing: 0,
            going: false,
            bytes: 0,
        }
    }

    /// Whether nothing is lost when it is forgotten.
    pub(crate) fn is_nothing(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty() && !self.has_offsets && !self.going
    }

    pub(crate) fn describe(&self) -> Vec<MemberDescription> {
        let describe = |(id, member): (&String, &Member)| MemberDescription {
            id: id.clone(),
            instance: member.instance.clone(),
            client: member.client.clone(),
            host: member.host.clone(),
            metadata: member.metadata(&self.protocol),
            assignment: member.assignment.clone(),
        };
        self.members.iter().map(describe).collect()
    }

    /// Lets somebody in; `new_id` names those who have no name.
    pub(crate) fn join(
        &mut self,
        join: &Join,
        now: Millis,
        new_id: &dyn Fn() -> String,
    ) -> Result<oneshot::Receiver<Result<Joined, GroupError>>, GroupError> {
        self.check(join)?;
        let Place { id, taken } = self.place_of(join, now, new_id)?;
        let waits = match self.members.get_mut(&id) {
            Some(member) => {
                let changed = member.protocols != join.protocols;
                member.say(join, now);
                let waits = member.wait_for_generation();
                let again = match self.phase {
                    // It reads on what it was given, unless the members would now choose another protocol.
                    Phase::Stable if taken.is_some() => self.elected() != self.protocol,
                    Phase::Stable => changed || id == self.leader,
                    Phase::Syncing => changed,
                    Phase::Joining | Phase::Empty => true,
                };
                if !again {
                    // It has come back, or its answer was lost: it gets it again.
                    let joined = self.joined_again(&id, taken, join);
                    self.member(&id)?.answer_join(Ok(joined));
                    self.weigh();
                    return Ok(waits);
                }
                waits
            }
            None => {
                if self.members.len() >= MEMBERS_MAX {
                    return Err(too_many());
                }
                if self.members.is_empty() {
                    self.protocol_type.clone_from(&join.protocol_type);
                }
                let mut member = Member::new(join, now);
                let waits = member.wait_for_generation();
                self.members.insert(id, member);
                waits
            }
        };
        self.weigh();
        self.come_together(now);
        self.complete_if_all_are_there(now);
        Ok(waits)
    }

    /// Counts the bytes of its members, after they changed.
    fn weigh(&mut self) {
        self.bytes = self.members.values().map(Member::bytes).sum();
    }

    /// The members without the one that joins, which may have been one before.
    fn others(&self, join: &Join) -> impl Iterator<Item = &Member> {
        let is_other = |(id, member): &(&String, &Member)| {
            **id != join.member && (join.instance.is_none() || member.instance != join.instance)
        };
        self.members.iter().filter(is_other).map(|(_, member)| member)
    }

    /// Bytes that go when who joins says anew what it is.
    pub(crate) fn said_by(&self, join: &Join) -> usize {
        self.bytes.saturating_sub(self.others(join).map(Member::bytes).sum())
    }

    fn check(&self, join: &Join) -> Result<(), GroupError> {
        if !SESSION_MS.contains(&join.session_ms) {
            return Err(GroupError::SessionTimeout { min_ms: *SESSION_MS.start(), max_ms: *SESSION_MS.end() });
        }
        let names: BTreeSet<&str> = join.protocols.iter().map(|(name, _)| name.as_str()).collect();
        let too_long = |name: &&str| name.len() > PROTOCOL_NAME_BYTES_MAX;
        if names.len() < join.protocols.len() || names.len() > PROTOCOLS_MAX || names.iter().any(too_long) {
            return Err(GroupError::Protocol);
        }
        if join.bytes() > MEMBER_BYTES_MAX || self.bytes - self.said_by(join) + join.bytes() > GROUP_BYTES_MAX {
            return Err(too_many());
        }
        let fits = match common(self.others(join)) {
            None => !names.is_empty(),
            Some(common) => {
                self.protocol_type == join.protocol_type && common.into_iter().any(|name| names.contains(name))
            }
        };
        if join.protocol_type.is_empty() || !fits { Err(GroupError::Protocol) } else { Ok(()) }
    }

    /// The place in which somebody joins.
    fn place_of(&mut self, join: &Join, now: Millis, new_id: &dyn Fn() -> String) -> Result<Place, GroupError> {
        let known = join.instance.as_ref().and_then(|instance| self.of_instance(instance));
        match (join.member.is_empty(), &join.instance, known) {
            (true, Some(_), Some(old)) => {
                // Whoever comes back under a fixed name takes the place of who was there under it.
                let id = new_id();
                if let Some(mut member) = self.members.remove(&old) {
                    member.answer_join(Err(GroupError::Fenced));
                    member.answer_sync(Err(GroupError::Fenced));
                    self.members.insert(id.clone(), member);
                }
                if self.leader == old {
                    self.leader.clone_from(&id);
                }
                Ok(Place { id, taken: Some(old) })
            }
            (true, None, _) if join.takes_id_first => {
                if self.pending.len() >= PENDING_MAX {
                    return Err(too_many());
                }
                let member = new_id();
                self.pending.insert(member.clone(), now + Millis::from(join.session_ms));
                Err(GroupError::MemberIdRequired { member })
            }
            (true, ..) => Ok(Place::of(new_id())),
            (false, Some(_), Some(known)) if known != join.member => Err(GroupError::Fenced),
            (false, ..) if self.members.contains_key(&join.member) => Ok(Place::of(join.member.clone())),
            (false, ..) => match self.pending.remove(&join.member) {
                Some(_) => Ok(Place::of(join.member.clone())),
                None => Err(GroupError::UnknownMember),
            },
        }
    }

    fn of_instance(&self, instance: &str) -> Option<String> {
        let of_name = |member: &Member| member.instance.as_deref() == Some(instance);
        self.members.iter().find(|(_, member)| of_name(member)).map(|(id, _)| id.clone())
    }

    fn member(&mut self, id: &str) -> Result<&mut Member, GroupError> {
        self.members.get_mut(id).ok_or(GroupError::UnknownMember)
    }

    /// Asks everybody to join anew.
    fn come_together(&mut self, now: Millis) {
        if self.phase == Phase::Joining {
            return;
        }
        for member in self.members.values_mut() {
            member.answer_sync(Err(GroupError::Rebalancing));
        }
        self.first = self.phase == Phase::Empty;
        self.phase = Phase::Joining;
        let longest = self.members.values().map(|member| member.rebalance_ms).max().unwrap_or_default();
        self.ends = now + if self.first { FIRST_WAIT_MS.min(longest) } else { longest };
    }

    fn complete_if_all_are_there(&mut self, now: Millis) {
        let all = self.pending.is_empty() && self.members.values().all(Member::is_joining);
        if self.phase == Phase::Joining && !self.first && all {
            self.complete(now);
        }
    }

    /// Begins a generation with those who have come.
    fn complete(&mut self, now: Millis) {
        self.first = false;
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.members.retain(|_, member| member.is_joining());
        let Some(one) = self.members.keys().next() else {
            self.phase = Phase::Empty;
            self.protocol.clear();
            self.leader.clear();
            self.used = now;
            self.bytes = 0;
            return;
        };
        if !self.members.contains_key(&self.leader) {
            self.leader.clone_from(one);
        }
        self.protocol = self.elected();
        self.phase = Phase::Syncing;
        self.ends = now + self.members.values().map(|member| member.rebalance_ms).max().unwrap_or_default();
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.joined(&id);
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = Bytes::new();
                member.synced = false;
                member.heard(now);
                member.answer_join(Ok(joined));
            }
        }
        self.weigh();
    }

    /// The protocol that most members like best among those that all know.
    fn elected(&self) -> String {
        let common = common(self.members.values()).unwrap_or_default();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| common.contains(&name.as_str())) {
                *votes.entry(name).or_default() += 1;
            }
        }
        votes.into_iter().max_by_key(|(_, votes)| *votes).map(|(name, _)| name.to_owned()).unwrap_or_default()
    }

    fn joined(&self, id: &str) -> Joined {
        let all = || {
            let member = |(id, member): (&String, &Member)| JoinedMember {
                id: id.clone(),
                instance: member.instance.clone(),
                metadata: member.metadata(&self.protocol),
            };
            self.members.iter().map(member).collect()
        };
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            member: id.to_owned(),
            members: if id == self.leader { all() } else { Vec::new() },
            is_given: false,
        }
    }

    /// What a member learns of a generation that it was in already. Who has taken a leader's place must not give anything:
    /// either it knows so, or it is told that another one leads, the one whose place it has.
    fn joined_again(&self, id: &str, taken: Option<String>, join: &Join) -> Joined {
        let joined = self.joined(id);
        match taken.filter(|_| self.phase == Phase::Stable && id == self.leader) {
            Some(_) if join.takes_lead_of_given => Joined { is_given: true, ..joined },
            Some(old) => Joined { leader: old, members: Vec::new(), ..joined },
            None => joined,
        }
    }

    /// A member asks for what the leader gave it; the leader brings what it gives.
    pub(crate) fn sync(
        &mut self,
        seat: &Seat,
        assignments: Vec<(String, Bytes)>,
        now: Millis,
    ) -> Result<oneshot::Receiver<Result<Assigned, GroupError>>, GroupError> {
        self.check_seat(seat)?;
        if self.phase == Phase::Joining {
            return Err(GroupError::Rebalancing);
        }
        let given: usize = assignments.iter().map(|(_, given)| given.len()).sum();
        let too_large = |(_, given): &(String, Bytes)| given.len() > MEMBER_BYTES_MAX;
        if assignments.iter().any(too_large) || self.bytes + given > GROUP_BYTES_MAX {
            return Err(too_many());
        }
        let leads = seat.member == self.leader;
        let member = self.member(&seat.member)?;
        member.heard(now);
        member.synced = true;
        let waits = member.wait_for_assignment();
        if leads && self.phase == Phase::Syncing {
            for (id, given) in assignments {
                if let Some(member) = self.members.get_mut(&id) {
                    member.assignment = given;
                }
            }
            self.phase = Phase::Stable;
            self.weigh();
        }
        if self.phase == Phase::Stable {
            let (protocol_type, protocol) = (&self.protocol_type, &self.protocol);
            for member in self.members.values_mut().filter(|member| member.is_syncing()) {
                let assignment = member.assignment.clone();
                member.heard(now);
                member.answer_sync(Ok(Assigned {
                    protocol_type: protocol_type.clone(),
                    protocol: protocol.clone(),
                    assignment,
                }));
            }
        }
        Ok(waits)
    }

    /// A member says that it is there.
    pub(crate) fn heartbeat(&mut self, seat: &Seat, now: Millis) -> Result<(), GroupError> {
        self.check_seat(seat)?;
        self.member(&seat.member)?.heard(now);
        if self.phase == Phase::Joining { Err(GroupError::Rebalancing) } else { Ok(()) }
    }

    /// Whether offsets may be kept for who asks.
    pub(crate) fn may_commit(&mut self, seat: &Seat, now: Millis) -> Result<(), GroupError> {
        if seat.generation < 0 && seat.member.is_empty() && seat.instance.is_none() {
            // Somebody who shares the group's place without being a member.
            return if self.members.is_empty() { Ok(()) } else { Err(GroupError::UnknownMember) };
        }
        self.check_seat(seat)?;
        self.member(&seat.member)?.heard(now);
        if self.phase == Phase::Syncing { Err(GroupError::Rebalancing) } else { Ok(()) }
    }

    fn check_seat(&self, seat: &Seat) -> Result<(), GroupError> {
        let known = seat.instance.as_deref().and_then(|instance| self.of_instance(instance));
        if known.is_some_and(|known| known != seat.member) {
            return Err(GroupError::Fenced);
        }
        if !self.members.contains_key(&seat.member) {
            return Err(GroupError::UnknownMember);
        }
        if seat.generation != self.generation { Err(GroupError::Generation) } else { Ok(()) }
    }

    /// A member goes: by its id, or by its fixed name.
    pub(crate) fn leave(&mut self, id: &str, instance: Option<&str>, now: Millis) -> Result<(), GroupError> {
        if self.pending.remove(id).is_some() {
            self.complete_if_all_are_there(now);
            return Ok(());
        }
        let id = match instance.and_then(|instance| self.of_instance(instance)) {
            Some(known) if !id.is_empty() && known != id => return Err(GroupError::Fenced),
            Some(known) => known,
            None => id.to_owned(),
        };
        if !self.members.contains_key(&id) {
            return Err(GroupError::UnknownMember);
        }
        self.remove(&id, now);
        Ok(())
    }

    fn remove(&mut self, id: &str, now: Millis) {
        if let Some(mut member) = self.members.remove(id) {
            member.answer_join(Err(GroupError::UnknownMember));
            member.answer_sync(Err(GroupError::UnknownMember));
        }
        self.weigh();
        self.come_together(now);
        self.complete_if_all_are_there(now);
    }

    /// The time at which [`Group::pass`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Millis> {
        let silent = self.members.values().filter(|member| !member.waits()).map(|member| member.expires);
        let phase = matches!(self.phase, Phase::Joining | Phase::Syncing).then_some(self.ends);
        silent.chain(self.pending.values().copied()).chain(phase).min()
    }

    /// Lets time pass: who was silent too long is gone, and who is waited for too long is not waited for.
    pub(crate) fn pass(&mut self, now: Millis) {
        self.pending.retain(|_, until| *until > now);
        let silent = |member: &Member| !member.waits() && member.expires <= now;
        let gone: Vec<String> =
            self.members.iter().filter(|(_, member)| silent(member)).map(|(id, _)| id.clone()).collect();
        gone.iter().for_each(|id| self.remove(id, now));
        match self.phase {
            Phase::Joining if self.ends <= now => self.complete(now),
            Phase::Joining => self.complete_if_all_are_there(now),
            Phase::Syncing if self.ends <= now => {
                let late: Vec<String> =
                    self.members.iter().filter(|(_, member)| !member.synced).map(|(id, _)| id.clone()).collect();
                late.iter().for_each(|id| self.remove(id, now));
            }
            _ => {}
        }
    }
}

/// Where somebody joins.
struct Place {
    /// The member's id.
    id: String,
    /// The id of who had the place until now, under the same fixed name.
    taken: Option<String>,
}

impl Place {
    fn of(id: String) -> Self {
        Self { id, taken: None }
    }
}

/// The names of the protocols that all members know; `None` when there are no members.
fn common<'m>(mut members: impl Iterator<Item = &'m Member>) -> Option<Vec<&'m str>> {
    let mut names: Vec<&str> = members.next()?.protocols.iter().map(|(name, _)| name.as_str()).collect();
    members.for_each(|member| names.retain(|name| member.knows(name)));
    Some(names)
}

fn too_many() -> GroupError {
    GroupError::TooManyMembers { max: MEMBERS_MAX, bytes_max: MEMBER_BYTES_MAX, all_bytes_max: GROUP_BYTES_MAX }
}

#[cfg(test)]
mod tests;
