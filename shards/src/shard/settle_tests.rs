//! Starts after crashes, on one simulated shard: what they carry is in segments before anything forgets it, and is there after
//! whatever comes next.

use std::path::Path;
use std::time::Duration;

use super::partition::Slot;
use super::room_tests::{batch_of, settings, start_shard, start_shard_as};
use super::settings::ShardSettings;
use super::start::StartedShard;
use crate::catalog::{CatalogCommand, NewTopic, TopicRef};
use crate::log::METADATA_FILE;
use crate::request::AppendPart;
use crate::runtime::Runtime;
use crate::runtime::sim::{DiskSpeed, HostId, Sim, SimRuntime};
use crate::types::{Offset, PartitionId, TopicId};

const PARTITIONS: i32 = 8;
/// More than two blocks, and not whole ones.
const BATCH_BYTES: usize = 10_000;
/// Longer than it takes to put all of them into segments.
const LATER: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(1);

/// One broker, started again and again.
struct World {
    sim: Sim,
    host: HostId,
    topic: TopicId,
}

type Broker = StartedShard<SimRuntime>;

impl World {
    /// A broker that crashed after one batch for each partition.
    fn crashed() -> World {
        World::crashed_as(settings(), PARTITIONS, BATCH_BYTES)
    }

    fn crashed_as(settings: ShardSettings, partitions: i32, batch_bytes: usize) -> World {
        let is_in_memory =
            async |rt: &SimRuntime, _: &Broker| assert!(logs(rt).is_empty(), "the window is far from full");
        World::appended(settings, partitions, batch_bytes, is_in_memory)
    }

    /// A broker that did that after one batch for each partition, and crashed.
    fn appended(
        settings: ShardSettings,
        partitions: i32,
        batch_bytes: usize,
        and_then: impl AsyncFnOnce(&SimRuntime, &Broker) + 'static,
    ) -> World {
        let sim = Sim::new(1);
        let host = sim.add_host("broker");
        let topic = sim.block_on(host, |rt| async move {
            let broker = start_shard_as(&rt, &settings).await;
            let topics = vec![NewTopic { partitions, ..NewTopic::named("t") }];
            let made = broker.shards.change(CatalogCommand::CreateTopics { topics, validate_only: false }).await;
            made.expect("the topic is made");
            let topic = broker.shards.catalog().topic("t").expect("it is known").id;
            for index in 0..partitions {
                assert_eq!(append(&rt, &broker, PartitionId { topic, index }, batch_bytes).await, Offset(0));
            }
            and_then(&rt, &broker).await;
            topic
        });
        let world = World { sim, host, topic };
        world.sim.crash(world.host);
        world
    }

    /// Starts the broker, lets it do that, and cuts its power.
    fn run<T: 'static>(&self, what: impl AsyncFnOnce(SimRuntime, Broker, TopicId) -> T + 'static) -> T {
        let topic = self.topic;
        let told = self.sim.block_on(self.host, |rt| async move {
            let broker = start_shard(&rt).await;
            what(rt, broker, topic).await
        });
        self.sim.crash(self.host);
        told
    }
}

async fn append(rt: &SimRuntime, broker: &Broker, id: PartitionId, bytes: usize) -> Offset {
    let part = AppendPart { partition: id, batch: batch_of(bytes), acks_all: true };
    let results = broker.shards.append(rt.now(), vec![part]).await;
    results.first().expect("a result").as_ref().expect("it is acked").base_offset
}

fn ids(topic: TopicId) -> impl Iterator<Item = PartitionId> {
    (0..PARTITIONS).map(move |index| PartitionId { topic, index })
}

async fn append_to_all(rt: &SimRuntime, broker: &Broker, topic: TopicId, expected: Offset) {
    for id in ids(topic) {
        assert_eq!(append(rt, broker, id, BATCH_BYTES).await, expected);
    }
}

/// The files of segments.
fn logs(rt: &SimRuntime) -> Vec<String> {
    let root = settings().layout.partitions();
    let names = |dir: &Path| rt.disk().list(dir).unwrap_or_default().into_iter().map(|entry| entry.name);
    let found = names(&root).filter(|name| name.starts_with("t-")).flat_map(|dir| names(&root.join(dir)));
    found.filter(|name| Path::new(name).extension().is_some_and(|ending| ending == "log")).collect()
}

fn slots(broker: &Broker, topic: TopicId) -> Vec<Slot> {
    broker.shard.step(|core, _, _| ids(topic).filter_map(|id| core.slot_of(id)).collect())
}

/// Where each partition ends, if it is in service.
fn ends(broker: &Broker, topic: TopicId) -> Vec<Option<Offset>> {
    let slots = slots(broker, topic);
    let end = |slot: Slot| {
        broker.shard.step(|core, _, _| core.get(slot).filter(|p| p.offline.is_none()).map(|p| p.high_watermark))
    };
    slots.into_iter().map(end).collect()
}

fn all_at(offset: i64) -> Vec<Option<Offset>> {
    ids(TopicId([0; 16])).map(|_| Some(Offset(offset))).collect()
}

#[test]
fn a_start_serves_before_what_it_replayed_is_in_files_and_they_come_after_it() {
    let world = World::crashed();
    world.run(async |rt, broker, topic| {
        assert!(logs(&rt).is_empty(), "{:?}", logs(&rt));
        assert_eq!(ends(&broker, topic), all_at(1));
        append_to_all(&rt, &broker, topic, Offset(1)).await;
        rt.sleep_until(rt.now().after(LATER)).await;
        assert_eq!(logs(&rt).len(), PARTITIONS as usize);
        for slot in slots(&broker, topic) {
            broker.shard.step(|core, _, _| {
                assert!(core.unsettled.is_empty());
                let log = &mut core.get_mut(slot).expect("it is known").log;
                assert_eq!(log.evict_through(0), 0, "no memory of the last run is left");
                assert!(log.needs_file_sync().is_none());
            });
        }
    });
    world.run(async |_, broker, topic| assert_eq!(ends(&broker, topic), all_at(2)));
}

#[test]
fn a_crash_right_after_such_a_start_loses_nothing_however_often_it_comes() {
    let world = World::crashed();
    for n in 1..5 {
        world.run(async move |rt, broker, topic| {
            assert_eq!(ends(&broker, topic), all_at(n));
            append_to_all(&rt, &broker, topic, Offset(n)).await;
        });
    }
    world.run(async |_, broker, topic| assert_eq!(ends(&broker, topic), all_at(5)));
}

#[test]
fn a_stop_right_after_such_a_start_leaves_nothing_to_carry() {
    let world = World::crashed();
    world.run(async |rt, broker, _| {
        assert!(broker.shard.stop().await);
        assert_eq!(logs(&rt).len(), PARTITIONS as usize);
    });
    world.run(async |_, broker, topic| {
        assert_eq!(ends(&broker, topic), all_at(1));
        for slot in slots(&broker, topic) {
            let unwritten = broker.shard.step(|core, _, _| core.get(slot).expect("it is known").log.unwritten_bytes());
            assert!(unwritten < 4096, "whole blocks are in the file: {unwritten}");
        }
    });
}

#[test]
fn no_journal_file_is_free_before_all_that_a_start_carried_in_it_is_in_files() {
    let world = World::crashed();
    let appended = world.run(async |rt, broker, topic| {
        let ms = Duration::from_millis;
        // The turn comes long before the rest would be over.
        rt.disk().set_speed(DiskSpeed { write: ms(20)..ms(30), ..DiskSpeed::default() });
        let turns = || broker.shard.step(|core, _, _| core.counters.turns);
        let busy = PartitionId { topic, index: 0 };
        let mut appended = 1;
        while turns() == 0 {
            assert_eq!(append(&rt, &broker, busy, 900 << 10).await, Offset(appended));
            appended += 1;
        }
        // So that the freed file is used again.
        for _ in 0..4 {
            assert_eq!(append(&rt, &broker, busy, 900 << 10).await, Offset(appended));
            appended += 1;
            rt.sleep_until(rt.now().after(LOOK)).await;
        }
        appended
    });
    world.run(async move |_, broker, topic| {
        let mut expected = all_at(1);
        expected[0] = Some(Offset(appended));
        assert_eq!(ends(&broker, topic), expected);
    });
}

#[test]
fn a_start_on_a_disk_that_is_nearly_full_puts_all_into_files_first() {
    let world = World::crashed();
    world.sim.disk(world.host).set_capacity(world.sim.disk(world.host).used_bytes() + (16 << 20));
    world.run(async |rt, broker, topic| {
        assert_eq!(logs(&rt).len(), PARTITIONS as usize);
        assert!(broker.shard.step(|core, _, _| core.unsettled.is_empty()));
        assert_eq!(ends(&broker, topic), all_at(1));
    });
}

#[test]
fn a_start_that_carried_as_much_as_the_journal_puts_it_into_files_one_after_the_other() {
    const MANY: i32 = 16;
    let large = 32 << 20;
    let settings = ShardSettings {
        journal_bytes: large,
        journal_bytes_max: large,
        window_bytes: large,
        window_bytes_max: large,
        ..settings()
    };
    let world = World::crashed_as(settings, MANY, 250_000);
    let logs_after = world.run(async |rt, broker, topic| {
        let ms = Duration::from_millis;
        rt.disk().set_speed(DiskSpeed { write: ms(5)..ms(10), ..DiskSpeed::default() });
        let left = || broker.shard.step(|core, _, _| core.unsettled.len());
        let all = left();
        assert_eq!(all, MANY as usize + 1, "they and the metadata log fit into the journal");
        let mut appended = 1;
        while left() > 0 {
            // There is room for appends meanwhile.
            assert_eq!(append(&rt, &broker, PartitionId { topic, index: 15 }, 1_000).await, Offset(appended));
            appended += 1;
            let (written, waiting) = (logs(&rt).len(), left());
            assert!(written + waiting <= all, "{written} are in files, {waiting} still wait");
            assert_eq!(broker.shard.step(|core, _, _| core.counters.turns), 0);
            rt.sleep_until(rt.now().after(LOOK)).await;
        }
        logs(&rt).len()
    });
    assert_eq!(logs_after, MANY as usize);
}

#[test]
fn a_partition_whose_open_segment_is_gone_is_offline_after_a_start_and_all_others_are_served() {
    let world = World::crashed();
    world.run(async |rt, broker, topic| {
        rt.sleep_until(rt.now().after(LATER)).await;
        append_to_all(&rt, &broker, topic, Offset(1)).await;
    });
    let gone = settings().layout.partitions().join("t-3/00000000000000000000.log");
    let lost = gone.clone();
    world.sim.block_on(world.host, |rt| async move { rt.remove_file(&lost).await.expect("it was there") });
    let others = |offset| {
        let mut ends = all_at(offset);
        ends[3] = None;
        ends
    };
    // The next start knows it from the checkpoint.
    for n in 2..4 {
        let gone = gone.display().to_string();
        world.run(async move |rt, broker, topic| {
            assert_eq!(ends(&broker, topic), others(n));
            let why = broker.shard.step(|core, _, _| {
                assert_eq!(core.partitions_offline, 1);
                let slot = core.slot_of(PartitionId { topic, index: 3 }).expect("it is known");
                core.get(slot).expect("it is known").offline_reason().expect("it is offline")
            });
            assert!(why.starts_with(&gone) && why.contains("8192 bytes") && why.contains("offset 0"), "{why}");
            let journals = rt.disk().list(&settings().layout.journal(0)).expect("a directory");
            assert!(journals.iter().any(|file| file.name.ends_with(".kept")), "{journals:?}");
            for id in ids(topic).filter(|id| id.index != 3) {
                assert_eq!(append(&rt, &broker, id, BATCH_BYTES).await, Offset(n));
            }
            rt.sleep_until(rt.now().after(LATER)).await;
        });
    }
}

#[test]
fn a_topic_that_is_deleted_right_after_such_a_start_leaves_no_directory_that_no_checkpoint_knew() {
    let directories = |rt: &SimRuntime| {
        let names = rt.disk().list(&settings().layout.partitions()).unwrap_or_default();
        names.into_iter().filter(|entry| entry.name.starts_with("t-")).count()
    };
    let world = World::appended(settings(), PARTITIONS, BATCH_BYTES, async |rt, broker| {
        broker.shard.step(|core, _, _| core.want_drained());
        rt.sleep_until(rt.now().after(LATER)).await;
        assert_eq!(logs(rt).len(), PARTITIONS as usize);
        for dir in 0..PARTITIONS {
            let dir = settings().layout.partitions().join(format!("t-{dir}"));
            rt.sync_file(&dir.join(METADATA_FILE)).await.expect("synced");
            rt.sync_dir(&dir).await.expect("synced");
        }
        rt.sync_dir(&settings().layout.partitions()).await.expect("synced");
    });
    world.run(async move |rt, broker, topic| {
        rt.disk().set_speed(DiskSpeed { write: LOOK * 100..LOOK * 101, ..DiskSpeed::default() });
        assert_eq!(directories(&rt), PARTITIONS as usize);
        let topics = vec![TopicRef::Id(topic)];
        broker.shards.change(CatalogCommand::DeleteTopics { topics }).await.expect("deleted");
        // What `file.delete.delay.ms` is by default.
        rt.sleep_until(rt.now().after(LATER + Duration::from_secs(60))).await;
        assert_eq!(directories(&rt), 0);
    });
}
