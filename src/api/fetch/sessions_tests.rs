//! Tests of the fetch sessions: KIP-227's rules, one by one.

use std::time::Duration;

use shards::types::{Mono, TopicId};

use super::sessions::*;

const T0: Mono = Mono(1_000_000_000_000);

fn sessions(slots: usize) -> FetchSessions {
    FetchSessions::new(3, SessionLimits { slots, ..SessionLimits::default() })
}

fn want(index: i32, offset: i64) -> Want {
    let topic = TopicKey::Name("t".into());
    Want { topic, index, offset, max_bytes: 100, current_epoch: -1, last_fetched_epoch: -1 }
}

fn wants(count: i32) -> Vec<Want> {
    (0..count).map(|index| want(index, 0)).collect()
}

fn quiet(high_watermark: i64) -> Told {
    Told { high_watermark, log_start: 0, has_records: false, failed: false, diverges: false }
}

fn failed() -> Told {
    Told { high_watermark: -1, log_start: -1, has_records: false, failed: true, diverges: false }
}

/// Makes a session of `count` partitions with high watermark 10.
fn make(sessions: &mut FetchSessions, now: Mono, count: i32) -> i32 {
    let (context, all) = sessions.open(now, (0, 0), false, wants(count), &[]).expect("a full fetch");
    let told = vec![quiet(10); all.len()];
    sessions.select(now, now.0, &context, &all, &told).session_id
}

/// An incremental fetch of nothing new, whose partitions answer `told`.
fn poll(sessions: &mut FetchSessions, id: i32, epoch: i32, told: &[Told]) -> Vec<bool> {
    let (context, all) = sessions.open(T0, (id, epoch), false, Vec::new(), &[]).expect("the session is there");
    let selected = sessions.select(T0, 7, &context, &all, told);
    assert_eq!(selected.session_id, id);
    selected.told
}

#[test]
fn only_what_changed_is_told() {
    let mut s = sessions(10);
    let id = make(&mut s, T0, 3);
    assert_ne!(id, NO_SESSION);
    assert_eq!(poll(&mut s, id, 1, &[quiet(10); 3]), [false, false, false]);
    assert_eq!(poll(&mut s, id, 2, &[quiet(10), quiet(11), quiet(10)]), [false, true, false]);
    assert_eq!(poll(&mut s, id, 3, &[quiet(10), quiet(11), quiet(10)]), [false; 3], "told once");
    let cut = Told { log_start: 5, ..quiet(10) };
    assert_eq!(poll(&mut s, id, 4, &[cut, quiet(11), quiet(10)]), [true, false, false]);
    let diverges = Told { diverges: true, ..quiet(11) };
    assert_eq!(poll(&mut s, id, 5, &[cut, diverges, quiet(10)]), [false, true, false]);
}

#[test]
fn a_failing_partition_repeats_in_every_reply_and_is_told_when_it_recovers() {
    let mut s = sessions(10);
    let id = make(&mut s, T0, 2);
    assert_eq!(poll(&mut s, id, 1, &[failed(), quiet(10)]), [true, false]);
    assert_eq!(poll(&mut s, id, 2, &[failed(), quiet(10)]), [true, false]);
    assert_eq!(poll(&mut s, id, 3, &[quiet(10), quiet(10)]), [true, false]);
    assert_eq!(poll(&mut s, id, 4, &[quiet(10), quiet(10)]), [false, false]);
}

#[test]
fn a_partition_that_had_records_is_read_last_the_next_time() {
    let mut s = sessions(10);
    let id = make(&mut s, T0, 3);
    let busy = Told { has_records: true, ..quiet(10) };
    assert_eq!(poll(&mut s, id, 1, &[busy, quiet(10), quiet(10)]), [true, false, false]);
    let (_, all) = s.open(T0, (id, 2), false, Vec::new(), &[]).expect("the session is there");
    assert_eq!(all.iter().map(|want| want.index).collect::<Vec<_>>(), [1, 2, 0]);
}

#[test]
fn partitions_are_added_changed_and_forgotten() {
    let mut s = sessions(10);
    let id = make(&mut s, T0, 2);
    let topic = TopicKey::Name("t".into());
    let (_, all) =
        s.open(T0, (id, 1), false, vec![want(1, 50), want(7, 9)], &[(topic, 0)]).expect("the session is there");
    assert_eq!(all, [want(1, 50), want(7, 9)]);
}

#[test]
fn a_wrong_epoch_is_71_an_unknown_id_is_70_and_the_session_survives_both() {
    let mut s = sessions(10);
    let id = make(&mut s, T0, 1);
    assert_eq!(s.open(T0, (id, 2), false, Vec::new(), &[]), Err(SessionError::WrongEpoch));
    assert_eq!(s.open(T0, (id + 1, 1), false, Vec::new(), &[]), Err(SessionError::UnknownId));
    assert_eq!(s.open(T0, (id, 1), true, Vec::new(), &[]), Err(SessionError::NamesAndIdsMixed));
    assert_eq!(poll(&mut s, id, 1, &[quiet(10)]), [false]);
}

#[test]
fn a_session_of_another_core_is_unknown() {
    let mut here = sessions(10);
    let mut there = FetchSessions::new(4, SessionLimits::default());
    let id = make(&mut here, T0, 1);
    assert_ne!(make(&mut there, T0, 1), id, "the core is part of the id");
    assert_eq!(there.open(T0, (id, 1), false, Vec::new(), &[]), Err(SessionError::UnknownId));
    let mut last = FetchSessions::new((1 << 10) - 1, SessionLimits::default());
    assert!(make(&mut last, T0, 1) > 0, "ids are positive");
}

#[test]
fn a_full_fetch_ends_the_session_that_it_names_and_the_final_epoch_makes_none() {
    let mut s = sessions(10);
    let id = make(&mut s, T0, 1);
    let (context, _) = s.open(T0, (id, -1), false, wants(1), &[]).expect("a full fetch");
    assert_eq!(context, Context::Sessionless);
    assert!(s.is_empty());
    let id = make(&mut s, T0, 1);
    let (context, _) = s.open(T0, (id, 0), true, wants(1), &[]).expect("a full fetch");
    assert_eq!((context, s.len()), (Context::Full { by_ids: true }, 0));
}

#[test]
fn a_session_without_partitions_ends() {
    let mut s = sessions(10);
    let id = make(&mut s, T0, 1);
    let (context, all) =
        s.open(T0, (id, 1), false, Vec::new(), &[(TopicKey::Name("t".into()), 0)]).expect("still there");
    assert_eq!((context, all.len(), s.len()), (Context::Sessionless, 0, 0));
}

#[test]
fn requests_of_a_session_may_come_before_the_replies_of_those_before_them() {
    let mut s = sessions(10);
    let id = make(&mut s, T0, 1);
    let (first, all) = s.open(T0, (id, 1), false, Vec::new(), &[]).expect("there");
    let (second, _) = s.open(T0, (id, 2), false, Vec::new(), &[]).expect("there");
    let told = |told| Selected { session_id: id, told: vec![told] };
    assert_eq!(s.select(T0, 7, &first, &all, &[quiet(11)]), told(true));
    assert_eq!(s.select(T0, 7, &second, &all, &[quiet(11)]), told(false));
}

#[test]
fn a_reply_of_a_session_that_ended_is_told_in_full_whoever_has_its_id_now() {
    let mut s = sessions(10);
    let id = make(&mut s, T0, 1);
    let (first, all) = s.open(T0, (id, 1), false, Vec::new(), &[]).expect("there");
    s.open(T0, (id, -1), false, Vec::new(), &[]).expect("it ends");
    assert_eq!(make(&mut s, T0, 1), id, "the test's random numbers are all the same");
    let told = |told| Selected { session_id: id, told: vec![told] };
    assert_eq!(s.select(T0, 7, &first, &all, &[quiet(10)]), told(true));
    assert_eq!(poll(&mut s, id, 1, &[quiet(10)]), [false]);
}

#[test]
fn the_epoch_wraps_to_one() {
    let mut s = sessions(10);
    let id = make(&mut s, T0, 1);
    for epoch in [1, 2, 3] {
        poll(&mut s, id, epoch, &[quiet(10)]);
    }
    // The reader counts to the largest and goes on with 1, never with 0, which would be a full fetch.
    s.force_epoch(id, i32::MAX);
    poll(&mut s, id, i32::MAX, &[quiet(10)]);
    poll(&mut s, id, 1, &[quiet(10)]);
}

#[test]
fn a_full_set_gives_no_session_until_one_is_stale() {
    let mut s = sessions(2);
    let first = make(&mut s, T0, 5);
    let second = make(&mut s, T0.after(Duration::from_secs(100)), 5);
    assert_eq!(make(&mut s, T0.after(Duration::from_secs(110)), 50), NO_SESSION, "all are young and in use");
    let third = make(&mut s, T0.after(Duration::from_secs(121)), 1);
    assert_ne!(third, NO_SESSION, "the first is unused for two minutes");
    let at = T0.after(Duration::from_secs(121));
    assert_eq!(s.open(at, (first, 1), false, Vec::new(), &[]), Err(SessionError::UnknownId));
    assert!(s.open(at, (second, 1), false, Vec::new(), &[]).is_ok());
}

#[test]
fn an_old_session_in_use_gives_way_to_a_larger_one_only() {
    let mut s = sessions(1);
    let id = make(&mut s, T0, 5);
    let later = T0.after(Duration::from_secs(200));
    assert!(s.open(later, (id, 1), false, Vec::new(), &[]).is_ok());
    assert_eq!([4, 5].map(|count| make(&mut s, later, count)), [NO_SESSION; 2]);
    assert_ne!(make(&mut s, later, 6), NO_SESSION);
    assert_eq!(s.len(), 1);
}

#[test]
fn partitions_of_all_sessions_are_bounded() {
    let mut s = FetchSessions::new(0, SessionLimits { partitions_max: 10, ..SessionLimits::default() });
    let id = make(&mut s, T0, 8);
    assert_eq!(make(&mut s, T0, 3), NO_SESSION);
    let more = (100..103).map(|index| want(index, 0)).collect();
    assert_eq!(s.open(T0, (id, 1), false, more, &[]), Err(SessionError::UnknownId));
    assert_ne!(make(&mut s, T0, 10), NO_SESSION, "its partitions were given back");
}

#[test]
fn partitions_that_a_session_has_are_counted_once() {
    let mut s = FetchSessions::new(0, SessionLimits { partitions_max: 10, ..SessionLimits::default() });
    let id = make(&mut s, T0, 9);
    let moved = (0..9).map(|index| want(index, 5));
    let (_, all) = s.open(T0, (id, 1), false, moved.chain([want(9, 0)]).collect(), &[]).expect("it fits");
    assert_eq!(all.len(), 10);
    assert_eq!(s.open(T0, (id, 2), false, vec![want(3, 6), want(10, 0)], &[]), Err(SessionError::UnknownId));
}

#[test]
fn names_and_ids_are_different_partitions() {
    let mut s = sessions(10);
    let by_id = Want { topic: TopicKey::Id(TopicId([7; 16])), ..want(0, 0) };
    let (context, all) = s.open(T0, (0, 0), true, vec![by_id.clone()], &[]).expect("a full fetch");
    let id = s.select(T0, 9, &context, &all, &[quiet(10)]).session_id;
    let (_, all) = s.open(T0, (id, 1), true, vec![Want { offset: 3, ..by_id.clone() }], &[]).expect("there");
    assert_eq!(all, [Want { offset: 3, ..by_id }]);
}
