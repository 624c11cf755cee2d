#![allow(clippy::unwrap_used)]
//! Sessions step by step: what is asked, read and told.

use super::*;

const OWN: &str = "default";

fn wanted(index: i32, offset: i64) -> Wanted {
    Wanted { topic: TopicKey::Name("t".into()), index, offset, bytes_max: 1_000, leader_epoch: -1 }
}

fn asked(session: i32, epoch: i32, partitions: &[(i32, i64)]) -> Asked {
    let partitions = partitions.iter().map(|(index, offset)| wanted(*index, *offset)).collect();
    Asked { session, epoch, by_id: false, partitions, forgotten: Vec::new() }
}

fn told(next: u64, has_records: bool) -> Told {
    Told { error: ErrorCode::None, bounds: Some((0, next)), has_records }
}

/// Begins a session over partitions 0, 1, … that end at these offsets.
fn begun(sessions: &FetchSessions, ends: &[u64], now: Millis) -> i32 {
    let all: Vec<(i32, i64)> = (0..ends.len()).map(|index| (index as i32, 0)).collect();
    let fetching = sessions.begin(OWN, asked(0, 0, &all), now).unwrap();
    let told: Vec<Told> = ends.iter().map(|end| told(*end, false)).collect();
    let (id, news) = sessions.end(OWN, fetching, &told, now);
    assert!(news.iter().all(|is_new| *is_new), "the first answer tells of all");
    id
}

fn partitions(fetching: &Fetching) -> Vec<(i32, i64)> {
    fetching.partitions.iter().map(|wanted| (wanted.index, wanted.offset)).collect()
}

#[test]
fn what_does_not_change_is_neither_asked_nor_told_again() {
    let sessions = FetchSessions::new(0);
    let id = begun(&sessions, &[5, 5, 5], 0);
    assert_ne!(id, NO_SESSION);
    let fetching = sessions.begin(OWN, asked(id, 1, &[]), 0).unwrap();
    assert_eq!(partitions(&fetching), [(0, 0), (1, 0), (2, 0)]);
    let read = [
        told(6, true),
        told(5, false),
        Told { error: ErrorCode::OffsetOutOfRange, bounds: Some((0, 5)), has_records: false },
    ];
    assert_eq!(sessions.end(OWN, fetching, &read, 0), (id, vec![true, false, true]));
    // What had records is read behind the others.
    let mut next = asked(id, 2, &[(0, 6), (3, 9)]);
    next.forgotten.push((TopicKey::Name("t".into()), 1));
    let fetching = sessions.begin(OWN, next, 0).unwrap();
    assert_eq!(partitions(&fetching), [(2, 0), (0, 6), (3, 9)]);
    let read = [told(5, false), told(6, false), told(0, false)];
    assert_eq!(sessions.end(OWN, fetching, &read, 0).1, [true, false, true], "that it is right again, and what is new");
    let fetching = sessions.begin(OWN, asked(id, 3, &[]), 0).unwrap();
    assert_eq!(sessions.end(OWN, fetching, &read, 0).1, [false; 3]);
}

#[test]
fn who_asks_out_of_turn_begins_anew() {
    let sessions = FetchSessions::new(0);
    let id = begun(&sessions, &[5], 0);
    let begin = |asked| sessions.begin(OWN, asked, 0).map(|fetching| partitions(&fetching));
    assert_eq!(begin(asked(id + 1, 1, &[])), Err(ErrorCode::FetchSessionIdNotFound));
    assert_eq!(sessions.begin("other", asked(id, 1, &[]), 0).err(), Some(ErrorCode::FetchSessionIdNotFound));
    assert_eq!(begin(asked(id, 2, &[])), Err(ErrorCode::InvalidFetchSessionEpoch));
    assert_eq!(begin(Asked { by_id: true, ..asked(id, 1, &[]) }), Err(ErrorCode::FetchSessionTopicIdError));
    assert_eq!(begin(asked(id, 1, &[])), Ok(vec![(0, 0)]));
    assert_eq!(begin(asked(id, 1, &[])), Err(ErrorCode::InvalidFetchSessionEpoch), "each epoch once");
    // Who ends a session, begins another one, or forgets all of it has it no more.
    for end in [asked(id, -1, &[]), asked(id, 0, &[])] {
        let id = begun(&sessions, &[5], 0);
        assert!(begin(Asked { session: id, ..end }).is_ok());
        assert_eq!(begin(asked(id, 1, &[])), Err(ErrorCode::FetchSessionIdNotFound));
    }
    let forgotten = vec![(TopicKey::Name("t".into()), 0)];
    assert_eq!(begin(Asked { forgotten, ..asked(id, 2, &[]) }), Ok(vec![]));
    assert_eq!(begin(asked(id, 3, &[])), Err(ErrorCode::FetchSessionIdNotFound));
    assert_eq!(sessions.sessions().bytes, 0);
}

#[test]
fn sessions_are_so_many_and_those_that_nobody_uses_make_room() {
    let sessions = FetchSessions::new(0);
    let first = begun(&sessions, &[5], 0);
    let used = begun(&sessions, &[5], 0);
    (2..SESSIONS_MAX).for_each(|_| assert_ne!(begun(&sessions, &[5], 1), NO_SESSION));
    assert_eq!(begun(&sessions, &[5], UNUSED_MS - 1), NO_SESSION, "all are in use");
    sessions.begin(OWN, asked(used, 1, &[]), 10).unwrap();
    assert_ne!(begun(&sessions, &[5], UNUSED_MS), NO_SESSION);
    assert_eq!(sessions.begin(OWN, asked(first, 1, &[]), UNUSED_MS).err(), Some(ErrorCode::FetchSessionIdNotFound));
    assert!(sessions.begin(OWN, asked(used, 2, &[]), UNUSED_MS).is_ok());
}

#[test]
fn sessions_keep_so_many_bytes() {
    let sessions = FetchSessions::new(0);
    let id = begun(&sessions, &[5], 0);
    let many: Vec<(i32, i64)> =
        (0..(SESSIONS_BYTES_MAX / bytes_of(&wanted(0, 0)) + 1) as i32).map(|index| (index, 0)).collect();
    let fetching = sessions.begin(OWN, asked(0, 0, &many), 0).unwrap();
    let read = vec![told(5, false); many.len()];
    assert_eq!(sessions.end(OWN, fetching, &read, 0).0, NO_SESSION);
    assert_eq!(sessions.begin(OWN, asked(id, 1, &many), 0).err(), Some(ErrorCode::FetchSessionIdNotFound));
    assert_eq!(sessions.sessions().bytes, 0);
}
