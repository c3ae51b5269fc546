//! Topics: made, refused, grown, deleted, made by use.

use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::topic_partition_list::Offset;

use super::{records, same};
use crate::client::{Cluster, Record, STEP, poll_records};
use crate::report::{Failure, Outcome, Report, ensure};

const MANY: i32 = 1_000;

pub fn run(cluster: &Cluster, report: &mut Report) {
    report.case("create", "a new topic shows its partitions in metadata", || {
        let topic = cluster.create("new", 7, &[("segment.bytes", "1048576"), ("retention.ms", "-1")])?;
        shows(cluster, &topic, Some(7))
    });
    report.case("create", "a topic that exists, a bad name, no partitions and a bad config are refused", || {
        let topic = cluster.create("once", 1, &[])?;
        let refused = |name: &str, partitions, settings: &[(&str, &str)], code| -> Outcome {
            let answer = cluster.try_create(name, partitions, settings)?;
            ensure(answer == Err(code), || format!("{name:?}, {partitions}, {settings:?}: {answer:?}, not {code:?}"))
        };
        refused(&topic, 1, &[], Code::TopicAlreadyExists)?;
        refused("../up", 1, &[], Code::InvalidTopic)?;
        refused(&"x".repeat(250), 1, &[], Code::InvalidTopic)?;
        refused(&cluster.name("none"), 0, &[], Code::InvalidPartitions)?;
        refused(&cluster.name("bad"), 1, &[("segment.bytes", "many")], Code::InvalidConfig)?;
        refused(&cluster.name("unknown"), 1, &[("no.such.config", "1")], Code::InvalidConfig)
    });
    report.case("grow", "a topic grows and its new partitions take records", || {
        let topic = cluster.create("grow", 2, &[])?;
        cluster.grow(&topic, 5)?.map_err(|code| format!("growing: {code}"))?;
        shows(cluster, &topic, Some(5))?;
        let sent = records(4, 10);
        cluster.produce_all(&topic, &[], &sent)?;
        same(&sent, &cluster.read(&topic, 4, Offset::Beginning, 10)?, 0)?;
        let answer = cluster.grow(&topic, 3)?;
        ensure(answer == Err(Code::InvalidPartitions), || format!("shrinking: {answer:?}"))
    });
    report.case("create", "a deleted topic is gone, and its name can be used again, empty", || {
        let topic = cluster.create("gone", 2, &[])?;
        cluster.produce_all(&topic, &[], &records(0, 10))?;
        cluster.delete(&topic)?.map_err(|code| format!("deleting: {code}"))?;
        shows(cluster, &topic, None)?;
        let answer = cluster.delete(&topic)?;
        ensure(answer == Err(Code::UnknownTopicOrPartition), || format!("deleting twice: {answer:?}"))?;
        cluster.create("gone", 2, &[])?;
        let sent = records(0, 3);
        let offsets = cluster.produce_all(&topic, &[], &sent)?;
        ensure(offsets == [0, 1, 2], || format!("offsets {offsets:?}"))?;
        same(&sent, &cluster.read(&topic, 0, Offset::Beginning, 3)?, 0)
    });
    report.case("by-use", "producing to an unknown topic makes it", || {
        let topic = cluster.name("made-by-use");
        let sent = records(0, 5);
        cluster.produce_all(&topic, &[], &sent)?;
        same(&sent, &cluster.read(&topic, 0, Offset::Beginning, 5)?, 0)
    });
    report.case("many", "1,000 partitions are made, written and read", || many_partitions(cluster));
}

fn many_partitions(cluster: &Cluster) -> Outcome {
    let topic = cluster.create("many", MANY, &[])?;
    shows(cluster, &topic, Some(MANY as usize))?;
    let value = |partition: i32, round: i32| format!("{partition}:{round}").into_bytes();
    let record = |partition, round| Record { partition, value: Some(value(partition, round)), ..Record::default() };
    let sent: Vec<Record> = (0..3).flat_map(|round| (0..MANY).map(move |partition| record(partition, round))).collect();
    cluster.produce_all(&topic, &[("enable.idempotence", "true")], &sent)?;
    let all: Vec<(i32, Offset)> = (0..MANY).map(|partition| (partition, Offset::Beginning)).collect();
    let consumer = cluster.assigned(&topic, &all)?;
    let mut next = vec![0; MANY as usize];
    for (partition, found) in poll_records(&consumer, sent.len())? {
        let round = &mut next[partition as usize];
        let right = found.offset == i64::from(*round) && found.value == Some(value(partition, *round));
        ensure(right, || format!("partition {partition}, round {round}: {found:?}"))?;
        *round += 1;
    }
    ensure(next.iter().all(|n| *n == 3), || "a partition gave other than three records".into())?;
    cluster.delete(&topic)?.map_err(|code| -> Failure { format!("deleting: {code}").into() })
}

/// Metadata shows that many partitions (`None`: no such topic) within a step's time.
fn shows(cluster: &Cluster, topic: &str, partitions: Option<usize>) -> Outcome {
    let deadline = Instant::now() + STEP;
    loop {
        let shown = cluster.partitions(topic)?;
        if shown == partitions {
            return Ok(());
        }
        ensure(Instant::now() < deadline, || format!("metadata shows {shown:?}, not {partitions:?}"))?;
        std::thread::sleep(Duration::from_millis(20));
    }
}
