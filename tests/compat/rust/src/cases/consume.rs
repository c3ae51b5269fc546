//! Consuming by assignment: from where, how far, and what ListOffsets says.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::topic_partition_list::Offset;

use super::{records, same};
use crate::client::{Cluster, Record, STEP, about_coordinator, code_of, poll_records};
use crate::report::{Outcome, Report, ensure};

const T0: i64 = 1_600_000_000_000;

pub fn run(cluster: &Cluster, report: &mut Report) {
    report.case("earliest offset", "reading starts at the earliest, at an offset, or near the end", || {
        let topic = cluster.create("from", 1, &[])?;
        let sent = records(0, 100);
        cluster.produce_all(&topic, &[("batch.num.messages", "9")], &sent)?;
        same(&sent, &cluster.read(&topic, 0, Offset::Beginning, 100)?, 0)?;
        // In the middle of a batch.
        same(&sent[41..], &cluster.read(&topic, 0, Offset::Offset(41), 59)?, 41)?;
        same(&sent[97..], &cluster.read(&topic, 0, Offset::OffsetTail(3), 3)?, 97)
    });
    report.case("latest", "reading from the latest sees only what comes after", || {
        let topic = cluster.create("latest", 1, &[])?;
        cluster.produce_all(&topic, &[], &records(0, 10))?;
        let consumer = cluster.assigned(&topic, &[(0, Offset::End)])?;
        // The position is known once the client has asked for the end; nothing may come before then.
        for _ in 0..10 {
            let early = consumer.poll(Duration::from_millis(100));
            let quiet = early.as_ref().is_none_or(|r| r.as_ref().is_err_and(about_coordinator));
            ensure(quiet, || format!("an old record or an error came: {early:?}"))?;
        }
        let later = records(0, 5);
        cluster.produce_all(&topic, &[], &later)?;
        let read: Vec<_> = poll_records(&consumer, 5)?.into_iter().map(|(_, record)| record).collect();
        same(&later, &read, 10)
    });
    report.case("timestamp", "offsets are found by timestamp, and reading starts there", || {
        let topic = cluster.create("by-time", 1, &[])?;
        let stamped =
            |at: i64| Record { timestamp_ms: Some(T0 + at * 1_000), value: Some(vec![at as u8]), ..Record::default() };
        let sent: Vec<Record> = (0..60).map(stamped).collect();
        cluster.produce_all(&topic, &[("batch.num.messages", "7")], &sent)?;
        for (at_ms, expected) in [(0, 0), (30_000, 30), (30_001, 31), (-5, 0), (59_000, 59)] {
            let found = cluster.offset_at(&topic, 0, T0 + at_ms)?;
            ensure(found == Offset::Offset(expected), || format!("T0 + {at_ms} ms: {found:?}, not {expected}"))?;
        }
        let beyond = cluster.offset_at(&topic, 0, T0 + 59_001)?;
        ensure(beyond == Offset::End, || format!("after the last record: {beyond:?}"))?;
        same(&sent[30..], &cluster.read(&topic, 0, cluster.offset_at(&topic, 0, T0 + 30_000)?, 30)?, 30)
    });
    report.case("timestamp", "timestamps out of order are found all the same", || {
        let topic = cluster.create("time-disorder", 1, &[])?;
        let stamps = [50, 10, 40, 20, 90, 30];
        let record = |at: &i64| Record { timestamp_ms: Some(T0 + at), value: Some(vec![1]), ..Record::default() };
        let sent: Vec<Record> = stamps.iter().map(record).collect();
        cluster.produce_all(&topic, &[("batch.num.messages", "1")], &sent)?;
        for (at, expected) in [(15, 0), (50, 0), (51, 4), (90, 4)] {
            let found = cluster.offset_at(&topic, 0, T0 + at)?;
            ensure(found == Offset::Offset(expected), || format!("T0 + {at} ms: {found:?}, not {expected}"))?;
        }
        Ok(())
    });
    report.case("list-offsets", "watermarks are 0 and 0 on an empty partition and move with its records", || {
        let topic = cluster.create("watermarks", 2, &[])?;
        cluster.produce_all(&topic, &[], &records(0, 11))?;
        let consumer = cluster.consumer()?;
        for (partition, expected) in [(0, (0, 11)), (1, (0, 0))] {
            let found = consumer.fetch_watermarks(&topic, partition, STEP)?;
            ensure(found == expected, || format!("partition {partition}: {found:?}, not {expected:?}"))?;
        }
        Ok(())
    });
    report.case("offset", "an offset beyond the end is out of range", || {
        let topic = cluster.create("out-of-range", 1, &[])?;
        cluster.produce_all(&topic, &[], &records(0, 3))?;
        let consumer = cluster.assigned(&topic, &[(0, Offset::Offset(100))])?;
        let deadline = std::time::Instant::now() + STEP;
        loop {
            ensure(std::time::Instant::now() < deadline, || "no error came".into())?;
            match consumer.poll(Duration::from_millis(100)) {
                None => {}
                Some(Err(error)) if about_coordinator(&error) => {}
                // With auto.offset.reset=error the client reports why it gave up, under a code of its own.
                Some(Err(error)) if matches!(code_of(&error), Code::AutoOffsetReset | Code::OffsetOutOfRange) => {
                    return Ok(());
                }
                Some(other) => return Err(format!("{other:?}").into()),
            }
        }
    });
    report.case("many", "many partitions are read at once, each in order", || {
        let topic = cluster.create("fan-in", 16, &[])?;
        let sent: Vec<Record> = (0..50).flat_map(|_| (0..16).flat_map(|partition| records(partition, 1))).collect();
        cluster.produce_all(&topic, &[], &sent)?;
        let all: Vec<(i32, Offset)> = (0..16).map(|partition| (partition, Offset::Beginning)).collect();
        let mut next = [0; 16];
        for (partition, found) in poll_records(&cluster.assigned(&topic, &all)?, sent.len())? {
            let expected = &mut next[partition as usize];
            ensure(found.offset == *expected, || format!("partition {partition}: {}, not {expected}", found.offset))?;
            *expected += 1;
        }
        Ok(())
    });
    report.case("latest", "a waiting reader gets a record soon after it is sent", || wake(cluster));
}

/// A parked fetch is answered when a record comes, not at its deadline.
fn wake(cluster: &Cluster) -> Outcome {
    let topic = cluster.create("wake", 1, &[])?;
    let settings = [
        ("group.id", "assigned"),
        ("enable.auto.commit", "false"),
        ("fetch.wait.max.ms", "20000"),
        ("socket.timeout.ms", "60000"),
    ];
    let consumer: rdkafka::consumer::BaseConsumer = cluster.config(&settings).create()?;
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Beginning)?;
    consumer.assign(&list)?;
    drop(consumer.poll(Duration::from_secs(2)));
    let begun = std::time::Instant::now();
    cluster.produce_all(&topic, &[], &records(0, 1))?;
    poll_records(&consumer, 1)?;
    let waited = begun.elapsed();
    ensure(waited < Duration::from_secs(5), || format!("it came after {waited:?}"))
}
