//! Produce: acks, names and ids, partitions; a topic's rules for its records; idempotent producers.

use bytes::Bytes;
use corelog::wire::messages::init_producer_id::InitProducerIdRequest;
use corelog::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use corelog::wire::{Str, TopicId};
use shards::batch::{BatchBuilder, Compression, CompressionLevels, NewRecord};

use crate::batches::{batch, build, of_producer, patched};
use crate::case::{Case, case};
use crate::world::{TIMEOUT_MS, World, reply};

/// These records for partition 0 of a topic, named by its name or by its id, as the version wants.
pub fn ask(w: &mut World, tag: &str, records: Bytes, version: i16) -> ProduceRequest {
    let topic = to(w, tag, &[(0, records)], version);
    request(vec![topic])
}

fn to(w: &mut World, tag: &str, partitions: &[(i32, Bytes)], version: i16) -> TopicProduceData {
    let topic_id = if version < 13 { TopicId::ZERO } else { w.id(tag) };
    let partition =
        |(index, records): &(i32, Bytes)| PartitionProduceData { index: *index, records: Some(records.clone()) };
    TopicProduceData { name: w.name(tag), topic_id, partition_data: partitions.iter().map(partition).collect() }
}

fn request(topic_data: Vec<TopicProduceData>) -> ProduceRequest {
    ProduceRequest { acks: -1, timeout_ms: TIMEOUT_MS, topic_data, ..Default::default() }
}

fn producer(w: &mut World) -> i64 {
    let ask = InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: 60_000, ..Default::default() };
    reply!(InitProducerId, w.ask(ask, 4).expect("a reply")).producer_id
}

pub fn cases() -> Vec<Case> {
    let mut cases = of_requests();
    cases.extend(of_rules());
    cases.extend(of_producers());
    cases
}

fn of_requests() -> Vec<Case> {
    vec![
        case("two batches in turn", 3..=13, |w, v| {
            w.topic("a", 1);
            for first_ms in [0, 10] {
                let asked = ask(w, "a", batch(w, first_ms, &["x", "y"]), v);
                w.ask(asked, v);
            }
        }),
        case("acks of the leader only", 3..=13, |w, v| {
            w.topic("a", 1);
            let asked = ask(w, "a", batch(w, 0, &["x"]), v);
            w.ask(ProduceRequest { acks: 1, ..asked }, v);
        }),
        case("no acks", 3..=13, |w, v| {
            w.topic("a", 1);
            let asked = ask(w, "a", batch(w, 0, &["x"]), v);
            w.tell(ProduceRequest { acks: 0, ..asked }, v);
        }),
        case("no acks, and an error", 3..=12, |w, v| {
            let asked = ask(w, "unknown", batch(w, 0, &["x"]), v);
            w.tell(ProduceRequest { acks: 0, ..asked }, v);
        }),
        case("acks that there are not", 3..=13, |w, v| {
            w.topic("a", 1);
            for acks in [2, -2, i16::MAX] {
                let asked = ask(w, "a", batch(w, 0, &["x"]), v);
                w.ask(ProduceRequest { acks, ..asked }, v);
            }
        }),
        case("acks that there are not, with records that are wrong", 3..=13, |w, v| {
            w.topic("a", 1);
            let good = batch(w, 0, &["x"]);
            let mut damaged = good.to_vec();
            damaged[17] ^= 1;
            let (count, magic) = (patched(&good, 60, &[7]), patched(&good, 16, &[1]));
            for records in [damaged.into(), count, magic, Bytes::new()] {
                let asked = ask(w, "a", records, v);
                w.ask(ProduceRequest { acks: 2, ..asked }, v);
            }
        }),
        case("acks that there are not, to an unknown topic", 3..=12, |w, v| {
            let asked = ask(w, "unknown", batch(w, 0, &["x"]), v);
            w.ask(ProduceRequest { acks: 2, ..asked }, v);
        }),
        case("unknown topics and partitions beside known ones", 3..=12, |w, v| {
            w.topic("a", 1);
            let records = batch(w, 0, &["x"]);
            let known = to(w, "a", &[(0, records.clone()), (1, records.clone()), (-1, records.clone())], v);
            let unknown = to(w, "unknown", &[(0, records)], v);
            w.ask(request(vec![known, unknown]), v);
        }),
        case("ids that no topic has", 13..=13, |w, v| {
            w.topic("a", 1);
            let records = batch(w, 0, &["x"]);
            let known = to(w, "a", &[(0, records.clone())], v);
            let mut unknown = to(w, "a", &[(0, records.clone())], v);
            unknown.topic_id = TopicId([0x5a; 16]);
            w.ask(request(vec![known, unknown.clone()]), v);
            unknown.topic_id = TopicId::ZERO;
            w.ask(request(vec![unknown]), v);
        }),
        case("names that no topic can have", 3..=12, |w, v| {
            for name in ["", "a b"] {
                let partition_data = vec![PartitionProduceData { index: 0, records: Some(batch(w, 0, &["x"])) }];
                w.ask(request(vec![TopicProduceData { name: name.into(), partition_data, ..Default::default() }]), v);
            }
        }),
        case("two partitions, one of them twice", 3..=13, |w, v| {
            w.topic("a", 2);
            let records = batch(w, 0, &["x"]);
            let topic = to(w, "a", &[(0, records.clone()), (1, records.clone()), (0, records)], v);
            w.ask(request(vec![topic]), v);
        }),
        case("a topic twice", 3..=13, |w, v| {
            w.topic("a", 2);
            let records = batch(w, 0, &["x"]);
            let (first, second) = (to(w, "a", &[(0, records.clone())], v), to(w, "a", &[(1, records)], v));
            w.ask(request(vec![first, second]), v);
        }),
        case("a sound partition beside one of another magic", 3..=13, |w, v| {
            w.topic("a", 2);
            let records = batch(w, 0, &["x"]);
            for magic in [0, 1, 3, 0xff] {
                let topic = to(w, "a", &[(0, records.clone()), (1, patched(&records, 16, &[magic]))], v);
                w.ask(request(vec![topic]), v);
            }
        }),
        case("no topics, no partitions", 3..=13, |w, v| {
            w.topic("a", 1);
            w.ask(request(vec![]), v);
            let empty = to(w, "a", &[], v);
            w.ask(request(vec![empty]), v);
        }),
        case("no time to wait", 3..=13, |w, v| {
            w.topic("a", 1);
            for timeout_ms in [0, -1] {
                let asked = ask(w, "a", batch(w, 0, &["x"]), v);
                w.ask(ProduceRequest { timeout_ms, ..asked }, v);
            }
        }),
        case("a transactional id with records that are in no transaction", 3..=13, |w, v| {
            w.topic("a", 1);
            for transactional_id in ["t", ""] {
                let asked = ask(w, "a", batch(w, 0, &["x"]), v);
                w.ask(ProduceRequest { transactional_id: Some(transactional_id.into()), ..asked }, v);
            }
        }),
    ]
}

fn of_rules() -> Vec<Case> {
    vec![
        case("times of the append", 3..=13, |w, v| {
            w.topic_with("a", 1, &[("message.timestamp.type", "LogAppendTime")]);
            let asked = ask(w, "a", batch(w, 0, &["x", "y"]), v);
            w.ask(asked, v);
        }),
        case("times too early and too late", 3..=13, |w, v| {
            let (day, limits) = (24 * 3600 * 1000, ["7200000", "60000"]);
            w.topic_with(
                "a",
                1,
                &[("message.timestamp.before.max.ms", limits[0]), ("message.timestamp.after.max.ms", limits[1])],
            );
            for first_ms in [-day, day] {
                let asked = ask(w, "a", batch(w, first_ms, &["x", "y"]), v);
                w.ask(asked, v);
            }
            let mixed = mixed(w);
            let asked = ask(w, "a", mixed, v);
            w.ask(asked, v);
        }),
        case("records without a key in a compacted topic", 3..=13, |w, v| {
            w.topic_with("a", 1, &[("cleanup.policy", "compact")]);
            let mut builder = BatchBuilder::new(w.time(0));
            for key in [Some(&b"k"[..]), None, None] {
                builder.push(&NewRecord { timestamp_ms: w.time(0), key, value: Some(b"v"), ..Default::default() });
            }
            let asked = ask(w, "a", builder.finish().expect("no codec"), v);
            w.ask(asked, v);
        }),
        case("a batch that is too large", 3..=13, |w, v| {
            w.topic_with("a", 1, &[("max.message.bytes", "100")]);
            for len in [20, 40, 200] {
                let asked = ask(w, "a", batch(w, 0, &[&"x".repeat(len)]), v);
                w.ask(asked, v);
            }
        }),
        case("a batch that is too large before it is compressed, and one that is after", 3..=13, |w, v| {
            w.topic_with("a", 1, &[("max.message.bytes", "300"), ("compression.type", "gzip")]);
            w.topic_with("b", 1, &[("max.message.bytes", "300"), ("compression.type", "uncompressed")]);
            let values = &["x".repeat(400)];
            let values = values.each_ref().map(String::as_str);
            let codec = BatchBuilder::new(w.time(0)).compression(Compression::Gzip, CompressionLevels::default());
            let (plain, compressed) = (batch(w, 0, &values), build(codec, w, 0, &values));
            for (tag, records) in [("a", &plain), ("a", &compressed), ("b", &plain), ("b", &compressed)] {
                let asked = ask(w, tag, records.clone(), v);
                w.ask(asked, v);
            }
        }),
        case("a batch that is too large and wrong otherwise", 3..=13, |w, v| {
            w.topic_with("a", 1, &[("max.message.bytes", "100"), ("cleanup.policy", "compact")]);
            let value = "x".repeat(200);
            let good = batch(w, 0, &[&value]);
            let mut damaged = good.to_vec();
            damaged[17] ^= 1;
            let mut keyless = BatchBuilder::new(w.time(0));
            keyless.push(&NewRecord { timestamp_ms: w.time(0), value: Some(value.as_bytes()), ..Default::default() });
            let wrong = [
                Bytes::from(damaged),
                keyless.finish().expect("no codec"),
                batch(w, 48 * 3600 * 1000, &[&value]),
                patched(&good, 57, &3i32.to_be_bytes()),
                patched(&good, 0, &5i64.to_be_bytes()),
                patched(&good, 21, &0x20i16.to_be_bytes()),
                patched(&good, 21, &1i16.to_be_bytes()),
            ];
            for records in wrong {
                let asked = ask(w, "a", records, v);
                w.ask(asked, v);
            }
        }),
        case("records without a key and records out of time in one batch", 3..=13, |w, v| {
            w.topic_with("a", 1, &[("cleanup.policy", "compact"), ("message.timestamp.after.max.ms", "60000")]);
            let day = 48 * 3600 * 1000;
            let key = Some(&b"k"[..]);
            for records in [
                &[(None, 0), (key, day), (key, 0)][..],
                &[(None, day), (key, 0), (None, 0)],
                &[(key, day), (None, day)],
            ] {
                let mut builder = BatchBuilder::new(w.time(0));
                for (key, after_ms) in records {
                    let timestamp_ms = w.time(*after_ms);
                    builder.push(&NewRecord { timestamp_ms, key: *key, value: Some(b"v"), ..Default::default() });
                }
                let asked = ask(w, "a", builder.finish().expect("no codec"), v);
                w.ask(asked, v);
            }
        }),
        case("said to be of the append's time where such times count", 3..=13, |w, v| {
            w.topic_with("a", 1, &[("message.timestamp.type", "LogAppendTime")]);
            w.topic_with("b", 1, &[("message.timestamp.type", "LogAppendTime"), ("cleanup.policy", "compact")]);
            w.topic("c", 1);
            let marked = patched(&batch(w, 0, &["x", "y"]), 21, &0x08i16.to_be_bytes());
            let mut keyless = BatchBuilder::new(w.time(0));
            keyless.push(&NewRecord { timestamp_ms: w.time(0), value: Some(b"v"), ..Default::default() });
            let keyless = patched(&keyless.finish().expect("no codec"), 21, &0x08i16.to_be_bytes());
            let one = patched(&batch(w, 0, &["x"]), 21, &0x08i16.to_be_bytes());
            let nobodys = [27, 35].iter().fold(one, |batch, at| patched(&batch, *at, &(-1i64).to_be_bytes()));
            for (tag, records) in [("a", &marked), ("b", &marked), ("b", &keyless), ("c", &nobodys)] {
                let asked = ask(w, tag, records.clone(), v);
                w.ask(asked, v);
            }
        }),
        case("a batch that is larger than a segment", 3..=13, |w, v| {
            w.topic_with("a", 1, &[("segment.bytes", "1048576"), ("max.message.bytes", "2097152")]);
            let asked = ask(w, "a", batch(w, 0, &[&"x".repeat(1_100_000)]), v);
            w.ask(asked, v);
        }),
        case("every codec", 3..=13, |w, v| {
            w.topic("a", 1);
            let codecs =
                [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd].map(|codec| (codec, v));
            for (codec, version) in codecs {
                let builder = BatchBuilder::new(w.time(0)).compression(codec, CompressionLevels::default());
                let asked = ask(w, "a", build(builder, w, 0, &["xxxxxxxxxxxx", "yyyyyyyyyyyyyyy"]), version);
                w.ask(asked, version);
            }
        }),
        case("too few replicas in sync", 3..=13, |w, v| {
            w.topic_with("a", 1, &[("min.insync.replicas", "2")]);
            for acks in [-1, 1] {
                let asked = ask(w, "a", batch(w, 0, &["x"]), v);
                w.ask(ProduceRequest { acks, ..asked }, v);
            }
        }),
    ]
}

/// A record of a good time, one too early, one too late.
fn mixed(w: &World) -> Bytes {
    let mut builder = BatchBuilder::new(w.time(0));
    for day in [0, -2, 2] {
        let timestamp_ms = w.time(day * 24 * 3600 * 1000);
        builder.push(&NewRecord { timestamp_ms, value: Some(b"v"), ..Default::default() });
    }
    builder.finish().expect("no codec")
}

fn of_producers() -> Vec<Case> {
    /// Sends one record for each of these epochs and sequences.
    fn sequences(w: &mut World, v: i16, id: i64, sent: &[(i16, i32, usize)]) {
        for &(epoch, sequence, count) in sent {
            w.note(&format!("epoch {epoch} sequence {sequence} records {count}"));
            let values = vec!["x"; count];
            let asked = ask(w, "a", of_producer(w, (id, epoch, sequence), &values), v);
            w.ask(asked, v);
        }
    }
    vec![
        case("sequences in order, and each batch once more", 3..=13, |w, v| {
            w.topic("a", 1);
            let id = producer(w);
            sequences(w, v, id, &[(0, 0, 1), (0, 1, 2), (0, 3, 1), (0, 0, 1), (0, 1, 2), (0, 3, 1)]);
        }),
        case("a batch again after five others", 3..=13, |w, v| {
            w.topic("a", 1);
            let id = producer(w);
            let six: Vec<_> = (0..6).map(|sequence| (0, sequence, 1)).collect();
            sequences(w, v, id, &six);
            sequences(w, v, id, &[(0, 0, 1), (0, 1, 1)]);
        }),
        case("part of a batch again", 3..=13, |w, v| {
            w.topic("a", 1);
            let id = producer(w);
            sequences(w, v, id, &[(0, 0, 3), (0, 0, 2), (0, 1, 2), (0, 2, 2)]);
        }),
        case("a gap in the sequence", 3..=13, |w, v| {
            w.topic("a", 1);
            let id = producer(w);
            sequences(w, v, id, &[(0, 0, 1), (0, 2, 1), (0, 1, 1)]);
        }),
        case("a first sequence above zero", 3..=13, |w, v| {
            w.topic("a", 1);
            let id = producer(w);
            sequences(w, v, id, &[(0, 5, 1), (0, 6, 1)]);
        }),
        case("an epoch of -1", 3..=13, |w, v| {
            w.topic("a", 1);
            let id = producer(w);
            sequences(w, v, id, &[(-1, 0, 1), (-1, 0, 1), (-1, 7, 1)]);
        }),
        case("a newer epoch from zero, from above, and the old one", 3..=13, |w, v| {
            w.topic("a", 1);
            let id = producer(w);
            sequences(w, v, id, &[(0, 0, 1), (1, 1, 1), (1, 0, 1), (0, 1, 1)]);
        }),
        case("sequences that wrap", 3..=13, |w, v| {
            w.topic("a", 1);
            let id = producer(w);
            let last = i32::MAX;
            sequences(w, v, id, &[(0, last - 1, 2), (0, 0, 1), (0, last - 1, 2), (0, last, 1)]);
            let other = producer(w);
            sequences(w, v, other, &[(0, last, 2), (0, 1, 1)]);
        }),
        case("ids, epochs and sequences below zero", 3..=13, |w, v| {
            w.topic("a", 1);
            sequences(w, v, 77, &[(-1, 0, 1), (0, -1, 1), (0, -2, 1)]);
            sequences(w, v, -1, &[(0, 0, 1)]);
            sequences(w, v, -2, &[(0, 0, 1)]);
        }),
        case("an id that nobody was given", 3..=13, |w, v| {
            w.topic("a", 1);
            sequences(w, v, 123_456_789, &[(3, 0, 1), (3, 1, 1)]);
        }),
        case("a retry where the times are those of the append", 3..=13, |w, v| {
            w.topic_with("a", 1, &[("message.timestamp.type", "LogAppendTime")]);
            let id = producer(w);
            sequences(w, v, id, &[(0, 0, 1), (0, 0, 1)]);
        }),
        case("a producer's batches in two partitions", 3..=13, |w, v| {
            w.topic("a", 2);
            let id = producer(w);
            let records = of_producer(w, (id, 0, 0), &["x"]);
            let topic = to(w, "a", &[(0, records.clone()), (1, records)], v);
            w.ask(request(vec![topic]), v);
        }),
    ]
}

/// A name for other files' requests.
pub fn topic(name: Str, partitions: Vec<PartitionProduceData>) -> ProduceRequest {
    request(vec![TopicProduceData { name, partition_data: partitions, ..Default::default() }])
}
