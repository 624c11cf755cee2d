#![allow(clippy::unwrap_used)]
//! The rules of a group, step by step.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

type Waiting = oneshot::Receiver<Result<Joined, GroupError>>;

fn ask(member: &str) -> Join {
    Join {
        member: member.to_owned(),
        instance: None,
        client: "client".to_owned(),
        host: "host".to_owned(),
        session_ms: 10_000,
        rebalance_ms: 60_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), "said".into())],
        takes_id_first: false,
        takes_lead_of_given: false,
    }
}

fn fixed(instance: &str) -> Join {
    Join { instance: Some(instance.to_owned()), ..ask("") }
}

struct Case {
    group: Group,
    ids: AtomicU32,
}

impl Case {
    fn new() -> Self {
        Self { group: Group::new(0), ids: AtomicU32::new(0) }
    }

    fn join(&mut self, join: &Join, now: Millis) -> Result<Waiting, GroupError> {
        let ids = &self.ids;
        self.group.join(join, now, &|| format!("m{}", ids.fetch_add(1, Ordering::Relaxed)))
    }

    /// Two members, in their first generation.
    fn two() -> (Self, Seat, Seat) {
        let mut case = Self::new();
        let (mut one, mut other) = (case.join(&ask(""), 0).unwrap(), case.join(&ask(""), 1).unwrap());
        case.group.pass(FIRST_WAIT_MS);
        let (one, other) = (seat(&mut one), seat(&mut other));
        (case, one, other)
    }

    /// As [`Case::two`], and the leader has said who reads what.
    fn stable() -> (Self, Seat, Seat) {
        let (mut case, one, other) = Self::two();
        drop(case.group.sync(&other, Vec::new(), 400).unwrap());
        drop(case.group.sync(&one, vec![("m0".into(), "a".into()), ("m1".into(), "b".into())], 400).unwrap());
        assert_eq!(case.group.phase, Phase::Stable);
        (case, one, other)
    }
}

fn joined(waiting: &mut Waiting) -> Joined {
    waiting.try_recv().unwrap().unwrap()
}

fn seat(waiting: &mut Waiting) -> Seat {
    let joined = joined(waiting);
    Seat { member: joined.member, instance: None, generation: joined.generation }
}

#[test]
fn the_first_members_wait_for_each_other_and_one_leads() {
    let mut case = Case::new();
    let (mut one, mut other) = (case.join(&ask(""), 0).unwrap(), case.join(&ask(""), 1).unwrap());
    assert!(one.try_recv().is_err());
    assert_eq!(case.group.deadline(), Some(FIRST_WAIT_MS));
    case.group.pass(FIRST_WAIT_MS);
    let (one, other) = (joined(&mut one), joined(&mut other));
    assert_eq!((one.generation, one.leader.as_str(), one.members.len()), (1, "m0", 2));
    assert_eq!((other.leader.as_str(), other.members.len(), other.protocol.as_str()), ("m0", 0, "range"));
    assert_eq!(case.group.phase, Phase::Syncing);
}

#[test]
fn members_get_what_the_leader_gives() {
    let (mut case, one, other) = Case::two();
    let mut waits = case.group.sync(&other, Vec::new(), 400).unwrap();
    assert!(waits.try_recv().is_err());
    let given = vec![("m0".into(), "a".into()), ("m1".into(), "b".into())];
    let mut led = case.group.sync(&one, given, 400).unwrap();
    assert_eq!(led.try_recv().unwrap().unwrap().assignment, "a");
    assert_eq!(waits.try_recv().unwrap().unwrap().assignment, "b");
    case.group.heartbeat(&one, 500).unwrap();
    let other_generation = Seat { generation: 9, ..one.clone() };
    assert!(matches!(case.group.heartbeat(&other_generation, 500), Err(GroupError::Generation)));
    assert!(matches!(case.group.sync(&Seat { member: "x".into(), ..one }, vec![], 0), Err(GroupError::UnknownMember)));
}

#[test]
fn who_comes_makes_all_join_anew() {
    let (mut case, one, other) = Case::stable();
    let mut third = case.join(&ask(""), 1_000).unwrap();
    assert!(matches!(case.group.heartbeat(&one, 1_001), Err(GroupError::Rebalancing)));
    let mut first = case.join(&ask(&one.member), 1_002).unwrap();
    assert!(third.try_recv().is_err());
    let mut second = case.join(&ask(&other.member), 1_003).unwrap();
    assert_eq!(joined(&mut third).generation, 2);
    assert_eq!((joined(&mut first).members.len(), joined(&mut second).members.len()), (3, 0));
}

#[test]
fn who_does_not_join_anew_is_gone_in_the_end() {
    let (mut case, one, _) = Case::stable();
    let mut third = case.join(&ask(""), 1_000).unwrap();
    let mut first = case.join(&ask(&one.member), 1_000).unwrap();
    // The other member is heard of no more.
    case.group.pass(10_400);
    assert_eq!(joined(&mut third).generation, 2);
    assert_eq!(joined(&mut first).members.len(), 2);
}

#[test]
fn who_is_silent_or_leaves_is_gone() {
    let (mut case, one, other) = Case::stable();
    case.group.heartbeat(&one, 10_000).unwrap();
    case.group.pass(10_400);
    assert_eq!(case.group.phase, Phase::Joining);
    assert!(matches!(case.group.heartbeat(&other, 10_401), Err(GroupError::UnknownMember)));
    case.group.leave(&one.member, None, 10_402).unwrap();
    assert_eq!(case.group.phase, Phase::Empty);
    assert!(case.group.is_nothing());
    assert!(matches!(case.group.leave("m0", None, 10_403), Err(GroupError::UnknownMember)));
}

#[test]
fn a_leader_that_gives_nothing_is_replaced() {
    let (mut case, _, other) = Case::two();
    let mut waits = case.group.sync(&other, Vec::new(), 400).unwrap();
    case.group.pass(10_400);
    assert!(matches!(waits.try_recv().unwrap(), Err(GroupError::Rebalancing)));
    let mut again = case.join(&ask(&other.member), 10_500).unwrap();
    assert_eq!(joined(&mut again).leader, other.member);
}

#[test]
fn a_new_member_may_have_to_come_back_with_its_id() {
    let mut case = Case::new();
    let new = Join { takes_id_first: true, ..ask("") };
    let Err(GroupError::MemberIdRequired { member }) = case.join(&new, 0) else { panic!() };
    assert!(!case.group.is_nothing());
    case.join(&Join { takes_id_first: true, ..ask(&member) }, 1).unwrap();
    assert!(matches!(case.join(&ask("m9"), 1), Err(GroupError::UnknownMember)));
    let mut idle = Case::new();
    let _ = idle.join(&new, 0);
    idle.group.pass(10_000);
    assert!(idle.group.is_nothing());
}

#[test]
fn members_need_a_protocol_in_common() {
    let (mut case, ..) = Case::stable();
    let other = Join { protocols: vec![("sticky".into(), Bytes::new())], ..ask("") };
    assert!(matches!(case.join(&other, 0), Err(GroupError::Protocol)));
    assert!(matches!(case.join(&Join { protocol_type: "connect".into(), ..ask("") }, 0), Err(GroupError::Protocol)));
    assert!(matches!(Case::new().join(&Join { protocols: vec![], ..ask("") }, 0), Err(GroupError::Protocol)));
    let short = Join { session_ms: 1, ..ask("") };
    assert!(matches!(Case::new().join(&short, 0), Err(GroupError::SessionTimeout { .. })));
}

#[test]
fn a_fixed_name_keeps_its_place() {
    let mut case = Case::new();
    let (mut one, mut other) = (case.join(&fixed("a"), 0).unwrap(), case.join(&fixed("b"), 0).unwrap());
    case.group.pass(FIRST_WAIT_MS);
    let (one, other) = (seat(&mut one), seat(&mut other));
    drop(case.group.sync(&one, vec![(other.member.clone(), "b".into())], 400).unwrap());
    let mut back = case.join(&fixed("b"), 500).unwrap();
    let back = seat(&mut back);
    assert_eq!((back.generation, case.group.phase), (1, Phase::Stable), "nobody has to join anew");
    let named = Seat { instance: Some("b".into()), ..back.clone() };
    let mut assigned = case.group.sync(&named, Vec::new(), 600).unwrap();
    assert_eq!(assigned.try_recv().unwrap().unwrap().assignment, "b");
    let old = Seat { instance: Some("b".into()), ..other };
    assert!(matches!(case.group.heartbeat(&old, 600), Err(GroupError::Fenced)));
    case.group.leave("", Some("b"), 700).unwrap();
    assert!(matches!(case.group.heartbeat(&back, 700), Err(GroupError::UnknownMember)));
}

#[test]
fn a_leader_that_comes_back_under_its_name_leads_without_giving_anew() {
    for knows in [false, true] {
        let mut case = Case::new();
        let (mut one, mut other) = (case.join(&fixed("a"), 0).unwrap(), case.join(&fixed("b"), 0).unwrap());
        case.group.pass(FIRST_WAIT_MS);
        let (one, other) = (seat(&mut one), seat(&mut other));
        let given = vec![(one.member.clone(), "a".into()), (other.member.clone(), "b".into())];
        drop(case.group.sync(&one, given, 400).unwrap());
        // It may say something else under the protocol: what it was given counts until somebody comes or goes.
        let again = Join { protocols: vec![("range".into(), "more".into())], takes_lead_of_given: knows, ..fixed("a") };
        let mut back = case.join(&again, 500).unwrap();
        let back = joined(&mut back);
        assert_eq!((back.generation, case.group.phase), (1, Phase::Stable), "nobody has to join anew");
        let leads = back.leader == back.member;
        assert_eq!((leads, back.is_given, back.members.len()), if knows { (true, true, 2) } else { (false, false, 0) });
        let named = Seat { member: back.member.clone(), instance: Some("a".into()), generation: 1 };
        let mut assigned = case.group.sync(&named, Vec::new(), 600).unwrap();
        assert_eq!(assigned.try_recv().unwrap().unwrap().assignment, "a");
        assert!(case.group.heartbeat(&Seat { instance: Some("b".into()), ..other.clone() }, 600).is_ok());
        // When somebody goes it leads the next generation as any leader.
        case.group.leave(&other.member, None, 700).unwrap();
        let mut next = case.join(&Join { member: back.member.clone(), ..again }, 800).unwrap();
        let next = joined(&mut next);
        assert_eq!((next.generation, &next.leader, next.is_given), (2, &back.member, false));
    }
}

#[test]
fn who_comes_back_and_knows_other_protocols_brings_a_new_generation() {
    let mut case = Case::new();
    let both = |instance| Join {
        protocols: vec![("range".into(), "".into()), ("sticky".into(), "".into())],
        ..fixed(instance)
    };
    let (mut one, mut other) = (case.join(&both("a"), 0).unwrap(), case.join(&both("b"), 0).unwrap());
    case.group.pass(FIRST_WAIT_MS);
    let (one, _) = (seat(&mut one), seat(&mut other));
    drop(case.group.sync(&one, Vec::new(), 400).unwrap());
    let chosen = case.group.protocol.clone();
    let another = if chosen == "range" { "sticky" } else { "range" };
    drop(case.join(&Join { protocols: vec![(another.into(), "".into())], ..fixed("b") }, 500).unwrap());
    assert_eq!(case.group.phase, Phase::Joining);
}

#[test]
fn offsets_are_kept_for_members_or_when_there_are_none() {
    let nobody = Seat { member: String::new(), instance: None, generation: -1 };
    assert!(Case::new().group.may_commit(&nobody, 0).is_ok());
    let (mut case, one, _) = Case::two();
    assert!(matches!(case.group.may_commit(&one, 0), Err(GroupError::Rebalancing)));
    assert!(matches!(case.group.may_commit(&nobody, 0), Err(GroupError::UnknownMember)));
    let (mut case, one, _) = Case::stable();
    assert!(case.group.may_commit(&one, 0).is_ok());
    let early = Seat { generation: 0, ..one };
    assert!(matches!(case.group.may_commit(&early, 0), Err(GroupError::Generation)));
}

#[test]
fn what_members_say_and_get_is_bounded() {
    let said = |bytes: usize| vec![("range".to_owned(), Bytes::from(vec![0; bytes]))];
    let mut case = Case::new();
    let large = Join { protocols: said(MEMBER_BYTES_MAX), ..ask("") };
    assert!(matches!(case.join(&large, 0), Err(GroupError::TooManyMembers { .. })));
    let many = (0..=PROTOCOLS_MAX).map(|number| (number.to_string(), Bytes::new())).collect();
    assert!(matches!(case.join(&Join { protocols: many, ..ask("") }, 0), Err(GroupError::Protocol)));
    let twice = [said(1), said(1)].concat();
    assert!(matches!(case.join(&Join { protocols: twice, ..ask("") }, 0), Err(GroupError::Protocol)));
    let most = Join { protocols: said(MEMBER_BYTES_MAX - 100), ..ask("") };
    let mut waiting = Vec::new();
    let refused = loop {
        match case.join(&most, 0) {
            Ok(waits) => waiting.push(waits),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, GroupError::TooManyMembers { .. }));
    assert!((60..70).contains(&waiting.len()) && case.group.bytes <= GROUP_BYTES_MAX);
    case.group.pass(FIRST_WAIT_MS);
    let leader = seat(&mut waiting[0]);
    let given = vec![(leader.member.clone(), Bytes::from(vec![0; MEMBER_BYTES_MAX]))];
    assert!(matches!(case.group.sync(&leader, given, 400), Err(GroupError::TooManyMembers { .. })));
    case.group.pass(60_000 + FIRST_WAIT_MS);
    assert_eq!(case.group.bytes, 0, "those who are gone count no more");
}

#[test]
fn a_member_that_asks_again_does_not_speak_for_others() {
    let (mut case, one, other) = Case::stable();
    let mut again = case.group.sync(&one, Vec::new(), 9_000).unwrap();
    assert_eq!(again.try_recv().unwrap().unwrap().assignment, "a");
    case.group.pass(10_400);
    assert!(matches!(case.group.heartbeat(&other, 10_401), Err(GroupError::UnknownMember)), "it was silent");
}
