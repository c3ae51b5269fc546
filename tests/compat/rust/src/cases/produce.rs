//! Producing: codecs, sizes, acks, idempotence, timestamps, order.

use std::time::{SystemTime, UNIX_EPOCH};

use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::Timestamp;
use rdkafka::topic_partition_list::Offset;

use super::{CODECS, mixed_bytes, noise, records, same};
use crate::client::{Cluster, Record};
use crate::report::{Outcome, Report, ensure};

pub fn run(cluster: &Cluster, report: &mut Report) {
    for codec in CODECS {
        report.case(codec, &format!("records with keys and headers in {codec} come back as sent"), || {
            let topic = cluster.create(&format!("codec-{codec}"), 1, &[])?;
            round_trip(cluster, &topic, &[("compression.type", codec), ("linger.ms", "20")], &records(0, 500))
        });
    }
    for feature in CODECS {
        // Topics have their own word for it.
        let codec = if feature == "none" { "uncompressed" } else { feature };
        report.case(
            feature,
            &format!("a topic with compression.type={codec} recompresses what producers send"),
            || {
                let topic = cluster.create(&format!("recompress-{codec}"), 1, &[("compression.type", codec)])?;
                let sent = records(0, 200);
                for (round, producer) in (0..).zip(CODECS) {
                    cluster.produce_all(&topic, &[("compression.type", producer), ("linger.ms", "20")], &sent)?;
                    let first = round * sent.len() as i64;
                    same(&sent, &cluster.read(&topic, 0, Offset::Offset(first), sent.len())?, first)?;
                }
                Ok(())
            },
        );
    }
    report.case("idempotent", "idempotent records are acked once each, in order", || {
        let topic = cluster.create("idempotent", 1, &[])?;
        let settings = [("enable.idempotence", "true"), ("linger.ms", "0"), ("batch.num.messages", "7")];
        round_trip(cluster, &topic, &settings, &records(0, 2_000))
    });
    for acks in ["0", "1", "all"] {
        report.case("none", &format!("records sent with acks={acks} are there"), || {
            let topic = cluster.create(&format!("acks-{acks}"), 1, &[])?;
            let sent = records(0, 50);
            for ack in cluster.produce(&topic, &[("acks", acks)], &sent)? {
                ack.map_err(|code| format!("refused: {code}"))?;
            }
            same(&sent, &cluster.read(&topic, 0, Offset::Beginning, sent.len())?, 0)
        });
    }
    report.case("empty", "empty values, null values and null keys stay apart", || {
        let topic = cluster.create("empty", 1, &[("cleanup.policy", "delete")])?;
        let record = |key: Option<&[u8]>, value: Option<&[u8]>| Record {
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            ..Record::default()
        };
        let (none, empty, some) = (None, Some(&b""[..]), Some(&b"x"[..]));
        let sent: Vec<Record> =
            [none, empty, some].into_iter().flat_map(|k| [none, empty, some].map(|v| record(k, v))).collect();
        round_trip(cluster, &topic, &[], &sent)
    });
    report.case("empty", "a tombstone on a compacted topic is kept; a record without a key is refused there", || {
        let topic = cluster.create("tombstone", 1, &[("cleanup.policy", "compact")])?;
        let keyed = |value: Option<&[u8]>| Record {
            key: Some(b"k".to_vec()),
            value: value.map(<[u8]>::to_vec),
            ..Record::default()
        };
        round_trip(cluster, &topic, &[], &[keyed(Some(b"v")), keyed(None)])?;
        let keyless = Record { value: Some(b"v".to_vec()), ..Record::default() };
        let acks = cluster.produce(&topic, &[], &[keyless])?;
        ensure(acks == [Err(Code::InvalidRecord)], || format!("no key: {acks:?}"))
    });
    report.case("large", "records of 950,000 bytes come back as sent", || {
        let topic = cluster.create("large", 1, &[])?;
        let large = |seed| Record { value: Some(noise(seed, 950_000)), ..Record::default() };
        let sent: Vec<Record> = (0..12).map(large).collect();
        round_trip(cluster, &topic, &[("message.max.bytes", "2000000")], &sent)
    });
    report.case("too-large", "a record over max.message.bytes is refused, and the next one is taken", || {
        let topic = cluster.create("too-large", 1, &[("max.message.bytes", "100000")])?;
        let settings = [("message.max.bytes", "2000000"), ("batch.num.messages", "1")];
        let of = |len| Record { value: Some(noise(1, len)), ..Record::default() };
        let acks = cluster.produce(&topic, &settings, &[of(90_000), of(100_001), of(10)])?;
        ensure(acks == [Ok((0, 0)), Err(Code::MessageSizeTooLarge), Ok((0, 1))], || format!("{acks:?}"))?;
        let default = cluster.create("too-large-default", 1, &[])?;
        let acks = cluster.produce(&default, &settings, &[of(1_100_000)])?;
        ensure(acks == [Err(Code::MessageSizeTooLarge)], || format!("default limit: {acks:?}"))
    });
    report.case("idempotent", "ten producers at once keep their order in each of six partitions", || order(cluster));
    report.case("timestamp", "CreateTime keeps the producer's timestamps, LogAppendTime sets the broker's", || {
        let asked = Record { timestamp_ms: Some(1_500_000_000_123), value: Some(vec![1]), ..Record::default() };
        let topic = cluster.create("create-time", 1, &[])?;
        cluster.produce_all(&topic, &[], std::slice::from_ref(&asked))?;
        let read = cluster.read(&topic, 0, Offset::Beginning, 1)?;
        ensure(read[0].timestamp == Timestamp::CreateTime(1_500_000_000_123), || format!("{:?}", read[0].timestamp))?;
        let topic = cluster.create("append-time", 1, &[("message.timestamp.type", "LogAppendTime")])?;
        let before = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
        cluster.produce_all(&topic, &[], &[asked])?;
        let stamp = cluster.read(&topic, 0, Offset::Beginning, 1)?[0].timestamp;
        let right = matches!(stamp, Timestamp::LogAppendTime(ms) if (before..before + 60_000).contains(&ms));
        ensure(right, || format!("{stamp:?}, sent at {before}"))
    });
    report.case("timestamp", "a timestamp outside the topic's bounds is refused", || {
        let topic = cluster.create("bounds", 1, &[("message.timestamp.before.max.ms", "60000")])?;
        let old = Record { timestamp_ms: Some(1_500_000_000_000), value: Some(vec![1]), ..Record::default() };
        let acks = cluster.produce(&topic, &[], &[old])?;
        ensure(acks == [Err(Code::InvalidTimestamp)], || format!("{acks:?}"))
    });
}

/// All are acked with the offsets 0, 1, 2 … and come back as sent.
fn round_trip(cluster: &Cluster, topic: &str, settings: &[(&str, &str)], sent: &[Record]) -> Outcome {
    let offsets = cluster.produce_all(topic, settings, sent)?;
    ensure(offsets.iter().copied().eq(0..sent.len() as i64), || format!("acked at {offsets:?}"))?;
    same(sent, &cluster.read(topic, 0, Offset::Beginning, sent.len())?, 0)
}

fn order(cluster: &Cluster) -> Outcome {
    const PRODUCERS: u8 = 10;
    const RECORDS: u32 = 600;
    let topic = cluster.create("order", 6, &[])?;
    let send = |producer: u8| {
        let record = |n: u32| Record {
            partition: (n % 6) as i32,
            key: Some(vec![producer]),
            value: Some([&n.to_be_bytes()[..], &mixed_bytes(u64::from(n), 200)].concat()),
            ..Record::default()
        };
        let sent: Vec<Record> = (0..RECORDS).map(record).collect();
        let settings = [("enable.idempotence", "true"), ("linger.ms", "1"), ("compression.type", "lz4")];
        cluster.produce_all(&topic, &settings, &sent).map(drop)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..PRODUCERS).map(|producer| scope.spawn(move || send(producer))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a producer panicked")?)
    })?;
    for partition in 0..6u32 {
        let count = PRODUCERS as usize * RECORDS as usize / 6;
        let mut next = vec![partition; PRODUCERS as usize];
        for found in cluster.read(&topic, partition as i32, Offset::Beginning, count)? {
            let producer = found.key.as_ref().and_then(|key| key.first()).ok_or("a record without its key")?;
            let value =
                found.value.as_ref().and_then(|value| value.first_chunk()).ok_or("a record without its number")?;
            let expected = &mut next[usize::from(*producer)];
            let n = u32::from_be_bytes(*value);
            ensure(n == *expected, || format!("partition {partition}, producer {producer}: {n}, not {expected}"))?;
            *expected += 6;
        }
    }
    Ok(())
}
