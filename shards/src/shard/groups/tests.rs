//! Coordinators on a core whose appends the test ends as it likes: what leaves, and when.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::{block_on, poll_once};

use super::*;
use crate::batch::BatchHeader;
use crate::catalog::{Catalog, CatalogRecord, CatalogSettings, TopicConfig};
use crate::group::{Commit, CommitOffset, FetchTopic, Join, MemberRef};
use crate::journal::format::RunId;
use crate::router::placement::ShardIndex;
use crate::runtime::buf::IoBuf;
use crate::shard::catalog::fresh;
use crate::shard::fence::Fence;
use crate::shard::settings::{Layout, ShardSettings};
use crate::types::{LeaderEpoch, TopicId};

const PARTITION: PartitionId = PartitionId { topic: TopicId([7; 16]), index: 0 };
const NOW: Mono = Mono(1_000_000_000);
const WALL_MS: i64 = 1_000_000;

/// A core with one partition of groups, whose journal has no file: an append stays where it is.
fn core() -> ShardCore {
    core_with(GroupSettings { initial_rebalance_delay_ms: 0, ..GroupSettings::default() })
}

fn core_with(groups: GroupSettings) -> ShardCore {
    let settings = ShardSettings {
        layout: Layout { root: "/nowhere".into() },
        node_id: 1,
        shards: 1,
        journal_bytes: 1 << 20,
        journal_bytes_max: 1 << 20,
        window_bytes: 1 << 20,
        window_bytes_max: 1 << 20,
        cache_bytes: 1 << 20,
        segments_synced_singly: 100,
        open_files: 1,
        index_cache_bytes: 0,
        producer_ids_max: 1,
        producer_expiration_ms: 1,
        retention_check_ms: 1,
        cleaner: Default::default(),
        catalog_snapshot_bytes: 1 << 20,
        mailbox_bytes: 1 << 20,
        mailbox_messages: 1,
        groups,
    };
    let catalog = Rc::new(RefCell::new(Catalog::new(CatalogSettings::new("cluster", 1))));
    let (told, _) = flume::bounded(1);
    let alloc = Rc::new(IoBuf::heap);
    let fence = Arc::new(Fence::new(told));
    let config = catalog.borrow().metadata_topic().config.clone();
    let mut core = ShardCore::new(ShardIndex(0), RunId(1), settings, fence, catalog, alloc, Rc::new(|| Mono(0)));
    core.insert(fresh(PARTITION, "__consumer_offsets".into(), config, LeaderEpoch(0)));
    core.add_coordinator(PARTITION, true);
    core
}

fn ask(core: &mut ShardCore, request: GroupRequest) -> Asked<GroupAnswer> {
    let (reply, asked) = oneshot();
    core.ask_group(NOW, WALL_MS, PARTITION, request, reply);
    asked
}

fn commit(offset: i64) -> GroupRequest {
    commit_of("g", offset)
}

fn commit_of(group: &str, offset: i64) -> GroupRequest {
    let member = MemberRef { group: group.into(), member: "".into(), instance: None, generation: -1 };
    let one = CommitOffset {
        topic: "t".into(),
        topic_id: TopicId::ZERO,
        partition: 0,
        offset,
        leader_epoch: -1,
        metadata: "".into(),
    };
    GroupRequest::Commit(Commit { member, retention_ms: None, offsets: vec![one], knows_missing_group: true })
}

fn fetch() -> GroupRequest {
    let topic = FetchTopic { name: "t".into(), id: TopicId::ZERO, partitions: vec![0] };
    GroupRequest::FetchOffsets { group: "g".into(), topics: Some(vec![topic]), member: None }
}

fn join() -> GroupRequest {
    join_to("g", 0)
}

/// A member that says so many bytes.
fn join_to(group: &str, bytes: usize) -> GroupRequest {
    GroupRequest::Join(Join {
        group: group.into(),
        member: "".into(),
        instance: None,
        client_id: "c".into(),
        client_host: "h".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), vec![0u8; bytes].into())],
        fresh: [1; 16],
        needs_id: false,
        may_skip_assignment: false,
        reason: None,
    })
}

/// Ends the first step that waits.
fn end_step(core: &mut ShardCore, outcome: Result<(), AppendError>) {
    let unsent = core.groups.unsent.pop_front().expect("a step waits");
    core.step_is_over(unsent, outcome);
}

#[test]
fn an_answer_that_shows_what_is_not_durable_waits_and_fails_with_it() {
    let mut core = core();
    let committed = ask(&mut core, commit(5));
    let mut fetched = ask(&mut core, fetch());
    let mut committed_later = ask(&mut core, commit(6));
    assert_eq!(block_on(poll_once(&mut fetched)), None, "offset 5 is not durable");
    end_step(&mut core, Err(AppendError::Stopping));
    end_step(&mut core, Ok(()));
    end_step(&mut core, Ok(()));
    assert_eq!(block_on(committed), Some(Err(GroupError::NotAvailable)));
    assert_eq!(block_on(fetched), Some(Err(GroupError::NotAvailable)));
    assert_eq!(block_on(poll_once(&mut committed_later)), Some(Some(Err(GroupError::NotAvailable))));
    assert_eq!(core.groups.to_load, [PARTITION], "once");
    assert_eq!(block_on(ask(&mut core, fetch())), Some(Err(GroupError::Loading)));
}

/// A commit of offsets in so many partitions.
fn commit_many(partitions: i32) -> GroupRequest {
    let GroupRequest::Commit(mut many) = commit(5) else { panic!("a commit") };
    let one = many.offsets.remove(0);
    many.offsets = (0..partitions).map(|partition| CommitOffset { partition, ..one.clone() }).collect();
    GroupRequest::Commit(many)
}

#[test]
fn what_a_step_changes_of_a_group_is_one_batch_even_where_segments_are_smaller() {
    let mut core = core();
    let slot = core.slot_of(PARTITION).expect("it is there");
    let partition = core.get_mut(slot).expect("it is there");
    partition.config = Arc::new(TopicConfig { segment_bytes: 1000, ..(*partition.config).clone() });
    let mut committed = ask(&mut core, commit_many(1500));
    let mut unsent = core.groups.unsent.pop_front().expect("a step");
    assert_eq!(block_on(poll_once(unsent.appended.as_mut().expect("an append"))), None, "it is on its way");
    core.step_is_over(unsent, Ok(()));
    assert!(matches!(block_on(poll_once(&mut committed)), Some(Some(Ok(_)))));
}

#[test]
fn batches_end_where_the_next_groups_records_begin() {
    let of =
        |group: &str, partition| GroupRecord::Offset { group: group.into(), topic: "t".into(), partition, value: None };
    let records: Vec<GroupRecord> = [("a", 1500), ("b", 400), ("c", 700), ("d", 1)]
        .into_iter()
        .flat_map(|(group, count)| (0..count).map(move |partition| of(group, partition)))
        .collect();
    let parts = parts_of(PARTITION, &records, WALL_MS).expect("batches");
    let counts: Vec<i32> = parts.iter().map(|part| part.batch.header().record_count).collect();
    assert_eq!(counts, [1500, 1100, 1]);
}

#[test]
fn an_answer_leaves_when_all_before_it_is_durable() {
    let mut core = core();
    let _committed = ask(&mut core, commit(5));
    let mut fetched = ask(&mut core, fetch());
    end_step(&mut core, Ok(()));
    assert_eq!(block_on(poll_once(&mut fetched)), None, "its own turn has not come");
    end_step(&mut core, Ok(()));
    let Some(Ok(GroupReply::Offsets(Ok(topics)))) = block_on(fetched) else { panic!("offsets") };
    assert_eq!(topics[0].partitions[0].1.as_ref().map(|stored| stored.offset), Some(5));
}

#[test]
fn time_outs_that_cannot_be_stored_are_looked_at_once_in_a_tick() {
    let mut core = core();
    let _joining = ask(&mut core, join());
    let due = NOW.after(Duration::from_secs(3600));
    core.disk_full = true;
    assert!(core.groups.unsent.iter().all(|unsent| unsent.replies.is_empty()), "the join waits");
    assert_eq!(core.fire_groups(due, WALL_MS), due.after(crate::shard::timers::TICK));
    core.disk_full = false;
    assert!(core.fire_groups(due, WALL_MS) > due, "what was due is fired, and what comes next is later");
    assert!(core.groups.unsent.iter().any(|unsent| !unsent.replies.is_empty()), "the join is answered");
}

#[test]
fn groups_are_listed_some_in_a_step_and_each_once_whatever_comes_and_goes_meanwhile() {
    let mut core = core();
    let other = PartitionId { index: 1, ..PARTITION };
    let config = core.catalog.borrow().metadata_topic().config.clone();
    core.insert(fresh(other, "__consumer_offsets".into(), config, LeaderEpoch(0)));
    core.add_coordinator(other, true);
    let tell = |core: &mut ShardCore, partition, request| {
        let (reply, _asked) = oneshot();
        core.ask_group(NOW, WALL_MS, partition, request, reply);
    };
    let stays: Vec<String> = (0..3 * LISTED_PER_STEP).map(|n| format!("g{n:04}")).collect();
    for (n, group) in stays.iter().enumerate() {
        tell(&mut core, if n % 3 == 0 { other } else { PARTITION }, commit_of(group, 1));
    }
    let (mut listed, mut after, mut steps): (Vec<Arc<str>>, _, _) = (Vec::new(), None, 0);
    loop {
        let part = core.list_groups(after.as_ref()).expect("all can tell");
        assert!(part.groups.len() <= LISTED_PER_STEP, "{} in one step", part.groups.len());
        listed.extend(part.groups.into_iter().map(|group| group.group));
        steps += 1;
        let Some(last) = part.last else { break };
        // The one that was told last goes, and others come on both sides of its place.
        tell(&mut core, last.partition, GroupRequest::Delete { group: last.group.clone() });
        tell(&mut core, last.partition, commit_of("a", 1));
        tell(&mut core, last.partition, commit_of(&format!("{}x", last.group), 1));
        after = Some(last);
    }
    assert!(steps > 3, "{steps}");
    for group in &stays {
        assert_eq!(listed.iter().filter(|one| one.as_ref() == group).count(), 1, "{group}");
    }
    core.groups.of.get_mut(&other).expect("it is there").state = State::Loading;
    assert_eq!(core.list_groups(after.as_ref()).err(), Some(GroupError::Loading), "those behind are not known");
}

/// What group `g` has stored, asked when all is durable.
fn stored(core: &mut ShardCore) -> Option<i64> {
    let fetched = ask(core, fetch());
    while !core.groups.unsent.is_empty() {
        end_step(core, Ok(()));
    }
    let Some(Ok(GroupReply::Offsets(Ok(topics)))) = block_on(fetched) else { panic!("offsets") };
    topics[0].partitions[0].1.as_ref().map(|stored| stored.offset)
}

#[test]
fn a_topic_deleted_while_the_disk_is_full_is_forgotten_when_there_is_room() {
    let mut core = core();
    let _committed = ask(&mut core, commit(5));
    core.disk_full = true;
    core.forget_offsets_of(&["t".into()]);
    core.fire_groups(NOW, WALL_MS);
    assert_eq!(stored(&mut core), Some(5));
    core.disk_full = false;
    core.fire_groups(NOW, WALL_MS);
    assert_eq!(stored(&mut core), None);
    core.fire_groups(NOW, WALL_MS);
    assert!(core.groups.of.values().all(|coordinator| coordinator.gone.is_empty()));
}

#[test]
fn a_deleted_topic_is_remembered_until_its_tombstones_are_durable() {
    let mut core = core();
    let _committed = ask(&mut core, commit(5));
    end_step(&mut core, Ok(()));
    core.forget_offsets_of(&["t".into()]);
    core.fire_groups(NOW, WALL_MS);
    core.fire_groups(NOW, WALL_MS);
    end_step(&mut core, Err(AppendError::Stopping));
    let coordinator = core.groups.of.get(&PARTITION).expect("it is there");
    assert!(matches!(coordinator.state, State::Loading));
    let gone: Vec<&str> = coordinator.gone.iter().map(|topic| &*topic.name).collect();
    assert_eq!(gone, ["t"], "for whoever reads the log anew");
}

/// Ends all steps that wait, and gives the answer of the last.
fn answer(core: &mut ShardCore, request: GroupRequest) -> GroupAnswer {
    let mut asked = ask(core, request);
    while !core.groups.unsent.is_empty() {
        end_step(core, Ok(()));
    }
    block_on(poll_once(&mut asked)).flatten().expect("an answer")
}

#[test]
fn groups_hold_no_more_than_they_may_and_go_on_with_what_they_have() {
    let mut core = core_with(GroupSettings { memory_bytes: 256 << 10, ..GroupSettings::default() });
    answer(&mut core, commit(5)).expect("stored");
    let mut waiting = Vec::new();
    let refused = (0..100).find_map(|number| {
        let mut asked = ask(&mut core, join_to(&format!("g{number}"), 10 << 10));
        match block_on(poll_once(&mut asked)) {
            Some(answer) => answer,
            None => {
                waiting.push(asked);
                None
            }
        }
    });
    assert_eq!(refused, Some(Err(GroupError::MaxSizeReached)));
    assert!((15..25).contains(&waiting.len()), "{} members of 10 KiB", waiting.len());
    assert_eq!(answer(&mut core, commit_many(200)), Err(GroupError::NotAvailable), "a member comes again");
    answer(&mut core, commit(6)).expect("it takes the place of the one before");
    assert_eq!(stored(&mut core), Some(6));
    // The members' clients are gone.
    core.fire_groups(NOW.after(Duration::from_secs(3600)), WALL_MS);
    core.fire_groups(NOW.after(Duration::from_secs(7200)), WALL_MS);
    answer(&mut core, commit_many(200)).expect("there is room again");
    let held: usize = core.groups.of.values().map(Coordinator::bytes).sum();
    assert_eq!(core.groups.held_bytes, held);
    core.remove_coordinator(PARTITION);
    assert_eq!(core.groups.held_bytes, 0);
}

#[test]
fn the_replies_of_a_large_step_leave_some_at_a_time_and_the_leaders_first() {
    let mut core = core();
    let mut joining: Vec<Asked<GroupAnswer>> = (0..40u8)
        .map(|n| {
            let GroupRequest::Join(join) = join() else { panic!("a join") };
            // The first one leads; its id is the last.
            ask(&mut core, GroupRequest::Join(Join { fresh: [250 - n; 16], ..join }))
        })
        .collect();
    core.fire_groups(NOW.after(Duration::from_secs(1)), WALL_MS);
    while !core.groups.unsent.is_empty() {
        end_step(&mut core, Ok(()));
    }
    let mut led = false;
    let mut answered = |joining: &mut [Asked<GroupAnswer>]| {
        let told = joining.iter_mut().enumerate().filter_map(|(n, asked)| Some((n, block_on(poll_once(asked))??)));
        let told: Vec<(usize, GroupAnswer)> = told.collect();
        led |= told.iter().any(|(n, _)| *n == 0);
        assert!(led, "the leader's part is waited for");
        told.len()
    };
    let mut told = vec![answered(&mut joining)];
    while core.groups.has_outbox() {
        core.groups.send_some();
        told.push(answered(&mut joining));
    }
    assert_eq!(told.pop(), Some(40 % REPLIES_AT_ONCE).filter(|rest| *rest > 0).or(Some(REPLIES_AT_ONCE)));
    assert_eq!(told, vec![REPLIES_AT_ONCE; 40_usize.div_ceil(REPLIES_AT_ONCE) - 1]);
}

#[test]
fn when_a_core_ends_all_replies_leave() {
    let mut core = core();
    let mut replies = Vec::new();
    let mut asked: Vec<Asked<GroupAnswer>> = Vec::new();
    for _ in 0..40 {
        let (reply, one) = oneshot();
        replies.push((reply, GroupReply::Heartbeat(Ok(()))));
        asked.push(one);
    }
    core.send(replies);
    core.groups.turn_all_away();
    assert!(asked.iter_mut().all(|one| block_on(poll_once(one)) == Some(Some(Ok(GroupReply::Heartbeat(Ok(())))))));
}

#[test]
fn coordinators_fire_their_time_outs_in_turn_one_in_a_step() {
    let mut core = core();
    let other = PartitionId { index: 1, ..PARTITION };
    let config = core.catalog.borrow().metadata_topic().config.clone();
    core.insert(fresh(other, "__consumer_offsets".into(), config, LeaderEpoch(0)));
    core.add_coordinator(other, true);
    let mut waiting = Vec::new();
    for (partition, groups) in [(PARTITION, 70), (other, 1)] {
        for group in 0..groups {
            let (reply, asked) = oneshot();
            core.ask_group(NOW, WALL_MS, partition, join_to(&format!("g{group}"), 0), reply);
            waiting.push(asked);
        }
    }
    let due = NOW.after(Duration::from_secs(3600));
    let mut fired = Vec::new();
    while core.fire_groups(due, WALL_MS) <= due {
        fired.extend(core.groups.fired);
    }
    fired.extend(core.groups.fired);
    assert_eq!(fired.get(..3), Some(&[PARTITION, other, PARTITION][..]), "{fired:?}");
}

#[test]
fn one_group_holds_no_more_than_one_write_takes() {
    let mut core = core();
    let _first = ask(&mut core, join_to("g", 20 << 20));
    assert_eq!(answer(&mut core, join_to("g", 20 << 20)), Err(GroupError::MaxSizeReached));
    let mut other = ask(&mut core, join_to("h", 20 << 20));
    assert_eq!(block_on(poll_once(&mut other)), None, "it waits for its generation");
}

/// How many deleted topics the coordinator remembers.
fn gone(core: &ShardCore) -> usize {
    core.groups.of.values().map(|coordinator| coordinator.gone.len()).sum()
}

#[test]
fn a_coordinator_that_always_has_something_on_its_way_forgets_topics_whose_tombstones_are_durable() {
    let mut core = core();
    let _committed = ask(&mut core, commit(0));
    for round in 1..100 {
        core.forget_offsets_of(&[format!("t{round}").into()]);
        core.fire_groups(NOW, WALL_MS);
        core.fire_groups(NOW, WALL_MS);
        let _committed = ask(&mut core, commit(round));
        end_step(&mut core, Ok(()));
        assert!(gone(&core) <= 2, "{} in round {round}", gone(&core));
    }
}

#[test]
fn a_name_deleted_again_and_again_is_remembered_once_and_an_unreadable_log_remembers_none() {
    let mut core = core();
    core.disk_full = true;
    for _ in 0..10 {
        core.forget_offsets_of(&["t".into()]);
    }
    assert_eq!(gone(&core), 1);
    let coordinator = core.groups.of.get_mut(&PARTITION).expect("it is there");
    coordinator.gone.clear();
    coordinator.state = State::Failed;
    core.forget_offsets_of(&["t".into()]);
    assert_eq!(gone(&core), 0);
}

/// Reads the batches of commits from `base`, one record each, as a load does that knows of the deletion of `t` at `gone`.
fn load_commits(base: i64, offsets: &[i64], gone: Option<i64>, catalog: &Catalog) -> Groups {
    let now = Now { mono: NOW, wall_ms: WALL_MS };
    let mut machine = Groups::new(Arc::new(GroupSettings::default()));
    let mut gone: Vec<GoneTopic> = gone.into_iter().map(|end| GoneTopic::new("t".into(), Offset(end))).collect();
    let mut replay = load::Replay::new(Groups::new(Arc::new(GroupSettings::default())), &gone);
    for (at, offset) in (base..).zip(offsets) {
        let effects = machine.handle(now, catalog, AskId(1), commit(*offset));
        let batch = parts_of(PARTITION, &effects.records, WALL_MS).expect("a batch").remove(0).batch;
        let header = BatchHeader { base_offset: at, ..*batch.header() };
        let seen = replay.apply(&header, batch.payload()).expect("readable");
        replay.note_absent(seen, catalog);
    }
    let (mut loaded, _) = replay.end(&mut gone, Offset(base + 10));
    while loaded.is_forgetting() {
        loaded.fire(now, catalog, 4);
    }
    loaded
}

fn offset_in(mut groups: Groups) -> Option<i64> {
    let now = Now { mono: NOW, wall_ms: WALL_MS };
    let effects = groups.handle(now, &Catalog::new(CatalogSettings::new("cluster", 1)), AskId(1), fetch());
    let Some((_, GroupReply::Offsets(Ok(topics)))) = effects.replies.first() else { panic!("offsets") };
    topics[0].partitions[0].1.as_ref().map(|stored| stored.offset)
}

#[test]
fn a_load_forgets_what_was_stored_before_a_topic_was_deleted_and_keeps_what_its_successor_has() {
    let catalog = catalog_with("t");
    let loaded = |gone| offset_in(load_commits(10, &[5, 6], gone, &catalog));
    assert_eq!(loaded(None), Some(6), "never deleted");
    assert_eq!(loaded(Some(10)), Some(6), "deleted before both");
    assert_eq!(loaded(Some(11)), Some(6), "deleted between");
    assert_eq!(loaded(Some(12)), None, "deleted after both");
}

#[test]
fn a_start_forgets_topics_that_the_catalog_does_not_have() {
    let catalog = Catalog::new(CatalogSettings::new("cluster", 1));
    assert_eq!(offset_in(load_commits(10, &[5, 6], None, &catalog)), None);
}

fn catalog_with(topic: &str) -> Catalog {
    let mut catalog = Catalog::new(CatalogSettings::new("cluster", 1));
    let id = TopicId([9; 16]);
    catalog.apply(&CatalogRecord::Topic { id, name: topic.into() }).expect("a new topic");
    catalog
}
