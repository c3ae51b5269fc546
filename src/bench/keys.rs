//! The keys of records, some of which come more often than others. One thread's.
//!
//! Invariant: the n-th most frequent key comes n^-skew times as often as the first (Zipf); the same key has the same
//! partition, that of Java's clients.

use std::sync::Arc;

use super::random::Random;
use crate::client::partition_of;

/// A number in hexadecimal digits.
pub type Key = [u8; 8];

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyRange {
    /// How many different keys there are.
    pub count: u32,
    /// 0: all come as often; 1: as words of a language do.
    pub skew: f64,
}

#[derive(Clone, Debug)]
pub struct Keys {
    /// By rank: the share of records that have this key or a more frequent one.
    up_to: Arc<[f64]>,
    partitions: i32,
    random: Random,
}

impl Keys {
    pub fn new(range: KeyRange, partitions: i32, random: Random) -> Keys {
        let weights = (1..=range.count.max(1)).map(|rank| f64::from(rank).powf(-range.skew));
        let sums: Vec<f64> = weights
            .scan(0.0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            })
            .collect();
        let all = sums.last().copied().unwrap_or(1.0);
        Keys { up_to: sums.into_iter().map(|sum| sum / all).collect(), partitions, random }
    }

    /// Those of another thread: the same ones, in another order.
    pub fn another(&self, random: Random) -> Keys {
        Keys { random, ..self.clone() }
    }

    /// The key of the next record, and its partition.
    pub fn next(&mut self) -> (Key, usize) {
        let share = self.random.share();
        let rank = self.up_to.partition_point(|up_to| *up_to < share).min(self.up_to.len() - 1);
        let key = key(rank);
        (key, usize::try_from(partition_of(&key, self.partitions)).unwrap_or(0))
    }
}

fn key(rank: usize) -> Key {
    let digit = |at: usize| b"0123456789abcdef"[(rank >> (4 * (7 - at))) & 15];
    std::array::from_fn(digit)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn drawn(count: u32, skew: f64) -> Vec<usize> {
        let mut keys = Keys::new(KeyRange { count, skew }, 7, Random::new(1));
        let mut times: BTreeMap<Key, usize> = BTreeMap::new();
        for _ in 0..100_000 {
            let (key, partition) = keys.next();
            assert!(partition < 7 && partition == usize::try_from(partition_of(&key, 7)).expect("a partition"));
            *times.entry(key).or_default() += 1;
        }
        (0..count as usize).map(|rank| times.get(&key(rank)).copied().unwrap_or(0)).collect()
    }

    #[test]
    fn keys_without_skew_come_as_often_as_each_other() {
        assert!(drawn(10, 0.0).iter().all(|times| times.abs_diff(10_000) < 500));
    }

    #[test]
    fn keys_with_skew_come_less_often_by_their_rank() {
        let times = drawn(1000, 1.0);
        // The share of the first: 1 over the sum of 1/n.
        assert!(times[0].abs_diff(13_360) < 500, "{}", times[0]);
        assert!((times[0] as f64 / times[9] as f64 - 10.0).abs() < 1.5, "{} {}", times[0], times[9]);
    }

    #[test]
    fn a_single_key_is_always_the_same() {
        assert_eq!(drawn(1, 2.0), [100_000]);
    }
}
