//! Coordinators on a core whose appends the test ends as it likes: what leaves, and when.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::{block_on, poll_once};

use super::*;
use crate::catalog::CatalogSettings;
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
    let settings = ShardSettings {
        layout: Layout { root: "/nowhere".into() },
        node_id: 1,
        shards: 1,
        journal_bytes: 1 << 20,
        journal_bytes_max: 1 << 20,
        window_bytes: 1 << 20,
        cache_bytes: 1 << 20,
        open_files: 1,
        index_cache_bytes: 0,
        producer_ids_max: 1,
        producer_expiration_ms: 1,
        retention_check_ms: 1,
        cleaner: Default::default(),
        catalog_snapshot_bytes: 1 << 20,
        mailbox_bytes: 1 << 20,
        mailbox_messages: 1,
        groups: GroupSettings { initial_rebalance_delay_ms: 0, ..GroupSettings::default() },
    };
    let catalog = Rc::new(RefCell::new(Catalog::new(CatalogSettings::new("cluster", 1))));
    let (told, _) = flume::bounded(1);
    let alloc = Rc::new(IoBuf::heap);
    let fence = Arc::new(Fence::new(told));
    let config = catalog.borrow().metadata_topic().config.clone();
    let mut core = ShardCore::new(ShardIndex(0), RunId(1), settings, fence, catalog, alloc);
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
    let member = MemberRef { group: "g".into(), member: "".into(), instance: None, generation: -1 };
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
    GroupRequest::Join(Join {
        group: "g".into(),
        member: "".into(),
        instance: None,
        client_id: "c".into(),
        client_host: "h".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), bytes::Bytes::new())],
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
