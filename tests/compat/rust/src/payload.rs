//! The bytes of each record, computed from who wrote it and which one it is: a reader can tell every byte that is wrong
//! without keeping what was sent.

use crate::random::{Random, mix};

const MAGIC: &[u8; 4] = b"cl9\n";
const HEAD_BYTES: usize = 4 + 4 + 4 + 4 + 8;

/// One record as its writer names it; unique within a partition of one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value {
    pub producer: u32,
    /// Counts from 0, without gaps, for each producer and partition.
    pub n: u64,
}

/// What a reader found in place of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Value(Value),
    /// Bytes that nobody wrote here, and how they differ.
    Wrong(String),
}

/// Names the topic and partition that records belong to; their bytes differ from one `Place` to another.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// One topic of a run; topics of different eras may have the same name.
    pub era: u32,
    pub partition: i32,
}

/// A record's value: a head that names it, then bytes that no codec can shrink.
pub fn value_bytes(place: Place, value: Value) -> Vec<u8> {
    let mut filler = Random::new(seed_of(place, value));
    let len = HEAD_BYTES + filler_bytes(&mut filler);
    let mut bytes = Vec::with_capacity(len + 8);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&place.era.to_be_bytes());
    bytes.extend_from_slice(&place.partition.to_be_bytes());
    bytes.extend_from_slice(&value.producer.to_be_bytes());
    bytes.extend_from_slice(&value.n.to_be_bytes());
    while bytes.len() < len {
        bytes.extend_from_slice(&filler.draw().to_be_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// A record's key, and the value of its only header.
pub fn key_bytes(value: Value) -> Vec<u8> {
    format!("{}/{}", value.producer, value.n).into_bytes()
}

/// Which record this is, if every byte of it is right.
pub fn read(place: Place, key: Option<&[u8]>, header: Option<&[u8]>, bytes: Option<&[u8]>) -> Found {
    let Some(bytes) = bytes else { return Found::Wrong("a null value".into()) };
    let Some(head) = bytes.first_chunk::<HEAD_BYTES>() else {
        return Found::Wrong(format!("{} bytes, less than any record has", bytes.len()));
    };
    if &head[..4] != MAGIC {
        return Found::Wrong(format!("begins with {:02x?}", &head[..4]));
    }
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (era, partition) = (word(4), word(8) as i32);
    if era != place.era || partition != place.partition {
        return Found::Wrong(format!("a record of era {era}, partition {partition}"));
    }
    let value = Value { producer: word(12), n: u64::from(word(16)) << 32 | u64::from(word(20)) };
    let right = value_bytes(place, value);
    if bytes != right {
        let at = bytes.iter().zip(&right).position(|(a, b)| a != b).unwrap_or(bytes.len().min(right.len()));
        return Found::Wrong(format!(
            "record {value:?}: {} bytes, {} written, first difference at {at}",
            bytes.len(),
            right.len()
        ));
    }
    let right = key_bytes(value);
    if key != Some(&right) || header != Some(&right) {
        return Found::Wrong(format!("record {value:?}: key {key:?} and header {header:?}, written {right:?}"));
    }
    Found::Value(value)
}

fn seed_of(place: Place, value: Value) -> u64 {
    let place = mix(u64::from(place.era) << 32 | u64::from(place.partition as u32));
    mix(place ^ mix(u64::from(value.producer) << 40 ^ value.n))
}

/// Mostly small, some of a few KiB, now and then one larger than any block or write buffer.
fn filler_bytes(random: &mut Random) -> usize {
    let top = match random.within(0, 999) {
        0..=599 => 600,
        600..=969 => 4_000,
        970..=997 => 40_000,
        _ => 900_000,
    };
    random.within(0, top) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place = Place { era: 3, partition: 1 };
    const ONE: Value = Value { producer: 7, n: 1 << 33 };

    fn read_back(place: Place, key: &[u8], bytes: &[u8]) -> Found {
        read(place, Some(key), Some(&key_bytes(ONE)), Some(bytes))
    }

    #[test]
    fn a_record_is_known_by_its_bytes() {
        assert_eq!(read_back(HERE, &key_bytes(ONE), &value_bytes(HERE, ONE)), Found::Value(ONE));
    }

    #[test]
    fn every_flipped_byte_is_noticed() {
        let right = value_bytes(HERE, ONE);
        for at in (0..right.len()).step_by(1 + right.len() / 500) {
            let mut bytes = right.clone();
            bytes[at] ^= 0x10;
            assert!(matches!(read_back(HERE, &key_bytes(ONE), &bytes), Found::Wrong(_)), "byte {at}");
        }
    }

    #[test]
    fn a_cut_an_extended_and_an_empty_record_are_noticed() {
        let right = value_bytes(HERE, ONE);
        let longer = [right.as_slice(), &[0]].concat();
        for bytes in [&right[..right.len() - 1], &right[..10], &[], &longer] {
            assert!(matches!(read_back(HERE, &key_bytes(ONE), bytes), Found::Wrong(_)));
        }
    }

    #[test]
    fn a_record_of_another_partition_or_topic_or_with_another_key_is_noticed() {
        let bytes = value_bytes(HERE, ONE);
        for place in [Place { partition: 2, ..HERE }, Place { era: 4, ..HERE }] {
            assert!(matches!(read_back(place, &key_bytes(ONE), &bytes), Found::Wrong(_)));
        }
        assert!(matches!(read_back(HERE, b"7/2", &bytes), Found::Wrong(_)));
    }

    #[test]
    fn sizes_range_from_the_head_alone_to_hundreds_of_kib() {
        let sizes: Vec<usize> = (0..20_000).map(|n| value_bytes(HERE, Value { producer: 1, n }).len()).collect();
        assert!(sizes.iter().any(|&s| s < 40) && sizes.iter().any(|&s| s > 300_000));
        let mean = sizes.iter().sum::<usize>() / sizes.len();
        assert!((1_000..4_000).contains(&mean), "{mean}");
    }
}
