//! Which shard owns a partition. Pure; the same on every core of a run.
//!
//! Invariant: it depends on the partition's id and the number of shards only, so nothing is stored and the number may
//! change between runs.

use crate::types::{PartitionId, TopicId};

/// Index of a shard, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardIndex(pub u32);

/// The shard that leads the catalog.
pub const CATALOG_SHARD: ShardIndex = ShardIndex(0);

/// (hash(topic id) + partition) mod shards; the metadata log is always shard 0's.
pub fn owner(partition: PartitionId, shards: u32) -> ShardIndex {
    if partition.topic == TopicId::METADATA {
        return CATALOG_SHARD;
    }
    let hash = fnv1a(&partition.topic.0);
    let sum = hash.wrapping_add(u64::from(partition.index.unsigned_abs()));
    ShardIndex(u32::try_from(sum % u64::from(shards.max(1))).unwrap_or(0))
}

/// FNV-1a, 64 bits: small, and the same in every build.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_partitions_go_to_neighbouring_shards() {
        let topic = TopicId([7; 16]);
        let of = |index| owner(PartitionId { topic, index }, 4).0;
        assert_eq!((of(1) + 4 - of(0)) % 4, 1);
        assert_eq!(of(0), of(4));
    }

    #[test]
    fn single_partition_topics_spread_over_the_shards() {
        let mut counts = [0u32; 4];
        for n in 0u128..4000 {
            let topic = TopicId((n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834)).to_be_bytes());
            counts[owner(PartitionId { topic, index: 0 }, 4).0 as usize] += 1;
        }
        assert!(counts.iter().all(|c| (800..1200).contains(c)), "{counts:?}");
    }
}
