//! Starts after crashes, on one simulated shard: what they carry is in segments before anything forgets it, and is there after
//! whatever comes next.

use std::path::Path;
use std::time::Duration;

use super::partition::Slot;
use super::room_tests::{batch_of, settings, start_shard};
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
        World::appended(async |rt: &SimRuntime, _: &Broker| assert!(logs(rt).is_empty(), "the window is far from full"))
    }

    /// A broker that did that after one batch for each partition, and crashed.
    fn appended(and_then: impl AsyncFnOnce(&SimRuntime, &Broker) + 'static) -> World {
        let sim = Sim::new(1);
        let host = sim.add_host("broker");
        let topic = sim.block_on(host, |rt| async move {
            let broker = start_shard(&rt).await;
            let topics = vec![NewTopic { partitions: PARTITIONS, ..NewTopic::named("t") }];
            let made = broker.shards.change(CatalogCommand::CreateTopics { topics, validate_only: false }).await;
            made.expect("the topic is made");
            let topic = broker.shards.catalog().topic("t").expect("it is known").id;
            append_to_all(&rt, &broker, topic, Offset(0)).await;
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
fn a_topic_that_is_deleted_right_after_such_a_start_leaves_no_directory_that_no_checkpoint_knew() {
    let directories = |rt: &SimRuntime| {
        let names = rt.disk().list(&settings().layout.partitions()).unwrap_or_default();
        names.into_iter().filter(|entry| entry.name.starts_with("t-")).count()
    };
    let world = World::appended(async |rt, broker| {
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
        rt.sleep_until(rt.now().after(LATER)).await;
        assert_eq!(directories(&rt), 0);
    });
}
