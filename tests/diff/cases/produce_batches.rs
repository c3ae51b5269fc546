//! Produce: records that are no sound batch, each wrong in one place.

use bytes::Bytes;
use corelog::wire::messages::produce::PartitionProduceData;
use shards::batch::{BatchBuilder, Compression, CompressionLevels};

use super::produce::{ask, topic};
use crate::batches::{batch, build, longer, patched};
use crate::case::{Case, case};
use crate::world::World;

/// A case that sends these records, and then good ones.
fn wrong(name: &'static str, records: impl Fn(&World, Bytes) -> Bytes + 'static) -> Case {
    case(name, 3..=13, move |w, v| {
        w.topic("a", 1);
        let good = batch(w, 0, &["x", "y"]);
        let bad = records(w, good.clone());
        for records in [bad, good] {
            let asked = ask(w, "a", records, v);
            w.ask(asked, v);
        }
    })
}

fn with_codec(w: &World, codec: Compression) -> Bytes {
    build(
        BatchBuilder::new(w.time(0)).compression(codec, CompressionLevels::default()),
        w,
        0,
        &["xxxxxxxxxxxxxxxx", "yyyyyyyyyyyyyyy"],
    )
}

pub fn cases() -> Vec<Case> {
    vec![
        wrong("no bytes", |_, _| Bytes::new()),
        // Of a topic that is there Kafka never answers null.
        case("null", 3..=12, |w, v| {
            let name = w.name("unknown");
            w.ask(topic(name, vec![PartitionProduceData { index: 0, records: None }]), v);
        }),
        wrong("fewer bytes than a length", |_, good| good.slice(..11)),
        wrong("fewer bytes than a header", |_, good| good.slice(..60)),
        wrong("a batch without its last byte", |_, good| good.slice(..good.len() - 1)),
        wrong("a batch and one byte", |_, good| [&good[..], &[0]].concat().into()),
        wrong("a batch and part of another", |_, good| [&good[..], &good[..40]].concat().into()),
        wrong("two batches", |_, good| [&good[..], &good[..]].concat().into()),
        wrong("a wrong checksum", |_, good| {
            let mut bytes = good.to_vec();
            bytes[17] ^= 1;
            bytes.into()
        }),
        wrong("a byte of a record changed", |_, good| {
            let mut bytes = good.to_vec();
            let last = bytes.len() - 2;
            bytes[last] ^= 1;
            bytes.into()
        }),
        wrong("magic 0", |_, good| patched(&good, 16, &[0])),
        wrong("magic 1", |_, good| patched(&good, 16, &[1])),
        wrong("magic 3", |_, good| patched(&good, 16, &[3])),
        wrong("magic -1", |_, good| patched(&good, 16, &[0xff])),
        wrong("a base offset above zero", |_, good| patched(&good, 0, &5i64.to_be_bytes())),
        wrong("a base offset below zero", |_, good| patched(&good, 0, &(-5i64).to_be_bytes())),
        wrong("a base offset above zero and a wrong checksum", |_, good| {
            let mut bytes = patched(&good, 0, &5i64.to_be_bytes()).to_vec();
            bytes[17] ^= 1;
            bytes.into()
        }),
        wrong("zstd that came too early, with a wrong checksum", |w, _| {
            let mut bytes = with_codec(w, Compression::Zstd).to_vec();
            bytes[17] ^= 1;
            bytes.into()
        }),
        wrong("a length of zero", |_, good| patched(&good, 8, &[0; 4])),
        wrong("a length below zero", |_, good| patched(&good, 8, &(-1i32).to_be_bytes())),
        wrong("a length less than a header", |_, good| patched(&good, 8, &48i32.to_be_bytes())),
        wrong("a leader epoch", |_, good| patched(&good, 12, &9i32.to_be_bytes())),
        wrong("a last offset delta that is too large", |_, good| patched(&good, 23, &5i32.to_be_bytes())),
        wrong("a last offset delta that is too small", |_, good| patched(&good, 23, &0i32.to_be_bytes())),
        wrong("a last offset delta below zero", |_, good| patched(&good, 23, &(-1i32).to_be_bytes())),
        wrong("a count of zero", |_, good| patched(&good, 57, &0i32.to_be_bytes())),
        wrong("a count below zero", |_, good| patched(&good, 57, &(-1i32).to_be_bytes())),
        wrong("a count that is too large", |_, good| patched(&good, 57, &3i32.to_be_bytes())),
        wrong("a count that is too small", |_, good| patched(&good, 57, &1i32.to_be_bytes())),
        wrong("a count of billions", |_, good| patched(&good, 57, &i32::MAX.to_be_bytes())),
        wrong("a largest time that no record has", |w, good| patched(&good, 35, &w.time(500).to_be_bytes())),
        wrong("a largest time below the first", |w, good| patched(&good, 35, &w.time(-1).to_be_bytes())),
        wrong("a largest time of -1", |_, good| patched(&good, 35, &(-1i64).to_be_bytes())),
        wrong("times of -1", |_, good| {
            let first = patched(&good, 27, &(-1i64).to_be_bytes());
            patched(&first, 35, &(-1i64).to_be_bytes())
        }),
        wrong("a codec that there is not", |_, good| patched(&good, 21, &5i16.to_be_bytes())),
        wrong("codec 7", |_, good| patched(&good, 21, &7i16.to_be_bytes())),
        wrong("attributes that nobody knows", |_, good| patched(&good, 21, &0x7f00i16.to_be_bytes())),
        wrong("said to be of the append's time", |_, good| patched(&good, 21, &0x08i16.to_be_bytes())),
        wrong("said to be transactional", |_, good| patched(&good, 21, &0x10i16.to_be_bytes())),
        wrong("said to be a control batch", |_, good| patched(&good, 21, &0x20i16.to_be_bytes())),
        wrong("said to have a delete horizon", |_, good| patched(&good, 21, &0x40i16.to_be_bytes())),
        wrong("gzip that is none", |_, good| patched(&good, 21, &1i16.to_be_bytes())),
        wrong("snappy that is none", |_, good| patched(&good, 21, &2i16.to_be_bytes())),
        wrong("lz4 that is none", |_, good| patched(&good, 21, &3i16.to_be_bytes())),
        wrong("zstd that is none", |_, good| patched(&good, 21, &4i16.to_be_bytes())),
        wrong("a sound gzip", |w, _| with_codec(w, Compression::Gzip)),
        wrong("gzip with a count that is too large", |w, _| {
            patched(&with_codec(w, Compression::Gzip), 57, &3i32.to_be_bytes())
        }),
        wrong("gzip and a few bytes behind it", |w, _| longer(&with_codec(w, Compression::Gzip), &[7; 18])),
        wrong("gzip and many bytes behind it", |w, _| longer(&with_codec(w, Compression::Gzip), &[7; 100])),
        wrong("gzip and half a head of another behind it", |w, _| {
            longer(&with_codec(w, Compression::Gzip), &[&[0x1f, 0x8b, 8, 0][..], &[7; 26]].concat())
        }),
        wrong("lz4 with a count that is too small", |w, _| {
            patched(&with_codec(w, Compression::Lz4), 57, &1i32.to_be_bytes())
        }),
        wrong("a record longer than the batch", |_, good| patched(&good, 61, &[0x7e])),
        wrong("a record shorter than it says", |_, good| patched(&good, 61, &[0x08])),
        wrong("a record of a length below zero", |_, good| patched(&good, 61, &[0x01])),
        wrong("an offset delta out of turn", |_, good| patched(&good, 64, &[0x08])),
        wrong("a key of a length below -1", |_, good| patched(&good, 65, &[0x03])),
        wrong("attributes of a record", |_, good| patched(&good, 62, &[0x01])),
    ]
}
