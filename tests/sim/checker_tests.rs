//! Histories with a planted flaw: each must be caught, and a sound one must pass.

use std::time::Duration;

use super::*;

const TOPIC: TopicId = TopicId([7; 16]);
const PART: Part = Part { topic: TOPIC, index: 0 };
const CREATED: Event = Event::Created { topic: TOPIC, may_lose: None, compacted: false, expires: false };

const CUT: Event = Event::PowerCut { when: Mono(1_000) };
const ANYTHING: MayLose = MayLose { records_max: usize::MAX, age_max: None };

fn sent(value: Value) -> Event {
    Event::Sent { part: PART, producer: 1, value }
}

fn acked(value: Value, offset: i64) -> Event {
    Event::Acked { part: PART, value, offset: Some(offset), sent: Mono(0), when: Mono(0) }
}

fn read(value: Value, offset: i64) -> Event {
    Event::Read { part: PART, asked: 0, found: Found { offset, value, epoch: 1 }, high_watermark: 1_000 }
}

fn scanned(asked: At, end: i64, values: &[Value]) -> Event {
    let found = (0..).zip(values).map(|(offset, value)| Found { offset, value: *value, epoch: 1 }).collect();
    Event::Scanned { part: PART, asked, from: 0, end, found }
}

fn deletable(upto: i64) -> Event {
    Event::DeletionAsked { part: PART, upto: Some(upto) }
}

fn starts(asked: At, log_start: i64) -> Event {
    Event::Starts { part: PART, asked, log_start }
}

fn surveyed(high_watermark: i64, epoch: i32) -> Event {
    Event::Surveyed { part: PART, high_watermark, epoch }
}

fn answered(asked: At, high_watermark: i64, log_start: i64) -> Event {
    Event::Answered { part: PART, asked, high_watermark, log_start }
}

#[track_caller]
fn caught(property: Property, events: &[Event]) {
    let found = check(events);
    assert!(found.iter().any(|violation| violation.property == property), "{property:?} is not in {found:?}");
}

#[test]
fn a_sound_history_passes_whatever_is_unknown() {
    let created = CREATED;
    let events = [created, Event::Starting, surveyed(0, 1), sent(1), sent(2), sent(3), acked(1, 0), read(2, 1)];
    let after = [CUT, Event::Starting, surveyed(2, 2), scanned(10, 2, &[1, 2])];
    assert_eq!(check(&[&events[..], &after].concat()), []);
}

#[test]
fn a_lost_ack_is_caught_by_the_survey_and_by_the_scan() {
    caught(Property::AckedIsReadable, &[sent(1), acked(1, 0), CUT, Event::Starting, surveyed(0, 1)]);
    caught(Property::AckedIsReadable, &[sent(1), acked(1, 0), scanned(2, 0, &[])]);
    caught(Property::AckedIsReadable, &[sent(1), acked(1, 0), scanned(2, 1, &[])]);
}

#[test]
fn what_was_read_once_must_stay() {
    caught(Property::AckedIsReadable, &[sent(1), read(1, 0), CUT, Event::Starting, surveyed(0, 1)]);
}

#[test]
fn a_relaxed_log_may_lose_its_end_to_a_power_cut_and_to_nothing_else() {
    let created = Event::Created { topic: TOPIC, may_lose: Some(ANYTHING), compacted: false, expires: false };
    let before = [created, sent(1), acked(1, 0)];
    let cut = [CUT, Event::Starting, surveyed(0, 1)];
    assert_eq!(check(&[&before[..], &cut].concat()), []);
    caught(Property::AckedIsReadable, &[&before[..], &cut[1..]].concat());
    // An orderly stop left nothing that a power cut could take.
    caught(Property::AckedIsReadable, &[&before[..], &[Event::Stopped], &cut].concat());
}

#[test]
fn a_relaxed_log_that_loses_more_than_its_flushing_allows_is_caught() {
    let lost = |may_lose, end| {
        let created = Event::Created { topic: TOPIC, may_lose: Some(may_lose), compacted: false, expires: false };
        let acked = |value, offset, when| Event::Acked { part: PART, value, offset: Some(offset), sent: Mono(0), when };
        let alive = [created, Event::Topics { ids: vec![TOPIC] }, sent(1), sent(2), sent(3)];
        let acks = [acked(1, 0, Mono(100)), acked(2, 1, Mono(900)), acked(3, 2, Mono(950))];
        [&alive[..], &acks, &[CUT, Event::Starting, surveyed(end, 1)]].concat()
    };
    let records = |records_max| MayLose { records_max, age_max: None };
    let age = |nanos| MayLose { records_max: usize::MAX, age_max: Some(Duration::from_nanos(nanos)) };
    assert_eq!(check(&lost(records(2), 1)), []);
    caught(Property::LossesAreBounded, &lost(records(2), 0));
    assert_eq!(check(&lost(age(100), 1)), []);
    caught(Property::LossesAreBounded, &lost(age(100), 0));
    assert_eq!(check(&lost(age(900), 0)), []);
}

#[test]
fn only_the_life_of_the_process_counts_for_what_it_may_lose() {
    let may_lose = MayLose { records_max: 1, age_max: Some(Duration::from_nanos(100)) };
    let created = Event::Created { topic: TOPIC, may_lose: Some(may_lose), compacted: false, expires: false };
    let acked = Event::Acked { part: PART, value: 1, offset: Some(0), sent: Mono(0), when: Mono(100) };
    let before = [created, Event::Topics { ids: vec![TOPIC] }, sent(1), acked];
    let cut = [Event::Starting, CUT, Event::Starting, surveyed(0, 1)];
    for end in [Event::Killed { when: Mono(200) }, Event::Fenced { when: Mono(200) }] {
        assert_eq!(check(&[&before[..], &[end], &cut].concat()), []);
    }
    caught(Property::LossesAreBounded, &[&before[..], &[Event::Killed { when: Mono(201) }], &cut].concat());
}

#[test]
fn an_offset_with_another_value_is_caught() {
    caught(Property::OffsetsStable, &[sent(1), sent(2), acked(1, 0), read(2, 0)]);
}

#[test]
fn a_value_that_nobody_sent_there_is_caught() {
    caught(Property::NothingPhantom, &[read(1, 0)]);
    let elsewhere = Event::Sent { part: Part { index: 1, ..PART }, producer: 1, value: 1 };
    caught(Property::NothingPhantom, &[elsewhere, read(1, 0)]);
}

#[test]
fn a_value_at_two_offsets_is_caught() {
    caught(Property::NoDuplicate, &[sent(1), acked(1, 0), read(1, 1)]);
}

#[test]
fn values_out_of_their_order_are_caught() {
    caught(Property::InOrder, &[sent(1), sent(2), acked(2, 0), acked(1, 1)]);
}

#[test]
fn a_high_watermark_or_log_start_that_falls_is_caught() {
    caught(Property::HighWatermarkNeverBack, &[answered(0, 5, 0), answered(1, 4, 0)]);
    caught(Property::HighWatermarkNeverBack, &[answered(0, 5, 0), Event::Starting, surveyed(4, 1)]);
    caught(Property::LogStartNeverBack, &[deletable(3), answered(1, 5, 3), answered(2, 5, 2)]);
    caught(Property::LogStartNeverBack, &[deletable(3), starts(1, 3), CUT, Event::Starting, starts(4, 0)]);
    // Asked for before the other answer was known: it may be older.
    assert_eq!(check(&[deletable(3), answered(1, 5, 3), answered(1, 4, 2)]), []);
}

#[test]
fn a_log_start_that_moves_by_itself_is_caught_unless_retention_may_move_it() {
    caught(Property::OnlyTheDeletedIsGone, &[CREATED, starts(1, 1)]);
    caught(Property::OnlyTheDeletedIsGone, &[CREATED, deletable(3), starts(2, 4)]);
    let expires = Event::Created { topic: TOPIC, may_lose: None, compacted: false, expires: true };
    assert_eq!(check(&[expires, starts(1, 4)]), []);
}

#[test]
fn a_deletion_of_all_allows_what_it_came_to_and_no_more() {
    let all = Event::DeletionAsked { part: PART, upto: None };
    let deleted = Event::AllDeleted { part: PART, log_start: 4 };
    assert_eq!(check(&[CREATED, all.clone(), starts(2, 4)]), [], "nobody knows yet how far it goes");
    let done = [CREATED, all.clone(), deleted, starts(3, 4)];
    assert_eq!(check(&done), []);
    caught(Property::OnlyTheDeletedIsGone, &[&done[..], &[starts(4, 5)]].concat());
    let cut = [CREATED, all, CUT, Event::Starting, starts(4, 6), surveyed(6, 1)];
    assert_eq!(check(&cut), [], "it came to pass, and nobody was told");
    caught(Property::OnlyTheDeletedIsGone, &[&cut[..], &[starts(6, 7)]].concat());
}

#[test]
fn what_was_deleted_and_is_read_again_is_caught() {
    let read = Event::Read { part: PART, asked: 3, found: Found { offset: 0, value: 1, epoch: 1 }, high_watermark: 9 };
    caught(Property::DeletedStaysGone, &[sent(1), deletable(1), starts(2, 1), read]);
}

#[test]
fn an_epoch_that_skips_starts_or_stands_still_is_caught() {
    let start = |epoch| [Event::Starting, surveyed(0, epoch)];
    caught(Property::LeaderEpochGrowsByOnePerStart, &[start(1), start(3)].concat());
    caught(Property::LeaderEpochGrowsByOnePerStart, &[start(1), start(1)].concat());
    assert_eq!(check(&[&start(1)[..], &[Event::Starting], &start(2)].concat()), []);
}

#[test]
fn epochs_that_fall_along_the_log_are_caught() {
    let older = Event::Read { part: PART, asked: 0, found: Found { offset: 1, value: 2, epoch: 0 }, high_watermark: 9 };
    caught(Property::EpochsAscend, &[sent(1), sent(2), read(1, 0), older]);
}

#[test]
fn a_read_above_the_high_watermark_is_caught() {
    let above = Event::Read { part: PART, asked: 0, found: Found { offset: 1, value: 1, epoch: 0 }, high_watermark: 1 };
    caught(Property::ReadsStopAtHighWatermark, &[sent(1), above]);
}

#[test]
fn an_ack_after_the_fence_is_caught() {
    let late = Event::Acked { part: PART, value: 1, offset: Some(0), sent: Mono(1), when: Mono(1) };
    caught(Property::NothingAckedAfterTheFence, &[sent(1), Event::Fenced { when: Mono(0) }, late]);
}

#[test]
fn a_topic_that_is_lost_or_comes_back_is_caught() {
    let created = CREATED;
    caught(Property::TopicsAreKept, &[created.clone(), Event::Topics { ids: vec![] }]);
    let gone = [created, Event::DeleteAsked { topic: TOPIC }, Event::Deleted { topic: TOPIC }];
    caught(Property::TopicsAreKept, &[&gone[..], &[Event::Topics { ids: vec![TOPIC] }]].concat());
    caught(Property::TopicsAreKept, &[&gone[..], &[CREATED]].concat());
}

#[test]
fn a_producer_id_that_is_given_twice_is_caught() {
    let given = |id| Event::ProducerId { id };
    assert_eq!(check(&[given(1), given(2)]), []);
    caught(Property::ProducerIdsAreUnique, &[given(1), CUT, Event::Starting, given(1)]);
}

#[test]
fn a_change_that_is_lost_or_that_nobody_asked_for_is_caught() {
    let setting = Setting::Config;
    let asked = |value| Event::ChangeAsked { topic: TOPIC, setting, value };
    let told = |value| Event::Changed { topic: TOPIC, setting, value };
    let found = |value| Event::HasNow { topic: TOPIC, setting, value };
    let before = [asked(1), told(1), asked(2)];
    for sound in [1, 2] {
        assert_eq!(check(&[&before[..], &[found(sound)]].concat()), []);
    }
    for wrong in [0, 3] {
        caught(Property::ChangesAreKept, &[&before[..], &[found(wrong)]].concat());
    }
    caught(Property::ChangesAreKept, &[&before[..], &[found(2), found(1)]].concat());
    caught(Property::ChangesAreKept, &[&before[..], &[found(1), found(2)]].concat());
}

#[test]
fn what_clients_and_the_world_notice_is_told() {
    let what = || "it".to_owned();
    caught(Property::AnswersAreExpected, &[Event::Unexpected { what: what() }]);
    caught(Property::EverybodyGetsOn, &[Event::Stuck { what: what() }]);
    caught(Property::FetchesSkipNothing, &[Event::Skipped { what: what() }]);
    caught(Property::SpaceComesBack, &[Event::SpaceKept { what: what() }]);
}

#[test]
fn a_compacted_log_may_lack_what_a_newer_record_replaced_and_nothing_else() {
    let created = || Event::Created { topic: TOPIC, may_lose: None, compacted: true, expires: false };
    // Two values that share a key, and between them one that does not.
    let old = 1;
    let other =
        (2..).find(|value| key_of(*value) != key_of(old) && !is_tombstone(*value)).expect("there are several keys");
    let new = (other + 1..).find(|value| key_of(*value) == key_of(old) && !is_tombstone(*value)).expect("keys repeat");
    let known = [created(), sent(old), sent(other), sent(new), acked(old, 0), acked(other, 1), acked(new, 2)];
    let scan = |found: &[(Value, i64)]| {
        let found = found.iter().map(|(value, offset)| Found { offset: *offset, value: *value, epoch: 1 }).collect();
        [&known[..], &[Event::Scanned { part: PART, asked: known.len(), from: 0, end: 3, found }]].concat()
    };
    assert_eq!(check(&scan(&[(old, 0), (other, 1), (new, 2)])), []);
    assert_eq!(check(&scan(&[(other, 1), (new, 2)])), []);
    caught(Property::NewestIsKept, &scan(&[(old, 0), (other, 1)]));
    caught(Property::NewestIsKept, &scan(&[(new, 2)]));
    caught(Property::OffsetsStable, &scan(&[(new, 0), (other, 1)]));
    caught(Property::DeletedStaysGone, &scan(&[(old, 0), (other, 1)]));
}

#[test]
fn a_compacted_log_may_lack_a_tombstone_unless_what_it_deletes_is_there() {
    let created = || Event::Created { topic: TOPIC, may_lose: None, compacted: true, expires: false };
    let (old, tombstone) = (0..1_000)
        .flat_map(|old| (old + 1..1_000).map(move |new| (old, new)))
        .find(|(old, new)| key_of(*old) == key_of(*new) && !is_tombstone(*old) && is_tombstone(*new))
        .expect("some keys are deleted");
    let appended = [created(), sent(old), sent(tombstone), acked(old, 0)];
    let scan = |known: &[Event], found: &[Value]| {
        let found = (0..).zip(found).map(|(offset, value)| Found { offset, value: *value, epoch: 1 }).collect();
        [known, &[Event::Scanned { part: PART, asked: known.len(), from: 0, end: 2, found }]].concat()
    };
    assert_eq!(check(&scan(&appended, &[])), [], "the tombstone came in, unknown to its sender");
    let acked = [&appended[..], &[acked(tombstone, 1)]].concat();
    assert_eq!(check(&scan(&acked, &[])), []);
    assert_eq!(check(&scan(&acked, &[old, tombstone])), []);
    caught(Property::DeletedStaysGone, &scan(&acked, &[old]));
}

#[test]
fn a_segment_that_held_more_than_the_log_after_a_cut_is_caught() {
    let relaxed = Event::Created { topic: TOPIC, may_lose: Some(ANYTHING), compacted: false, expires: false };
    let cut = |end| [relaxed.clone(), CUT, Event::InSegments { part: PART, end }, Event::Starting];
    caught(Property::SegmentsHoldTheSynced, &[&cut(8)[..], &[surveyed(7, 1)]].concat());
    assert_eq!(check(&[&cut(7)[..], &[surveyed(7, 1)]].concat()), []);
}
