//! A bounded map that lets go of what was used least lately. Owning core only. Invariant: the weights of what it holds add up
//! to at most the limit, unless a single entry is heavier.

use std::collections::BTreeMap;

#[derive(Debug)]
pub struct Lru<K, V> {
    limit: usize,
    weight: usize,
    tick: u64,
    entries: BTreeMap<K, Entry<V>>,
    by_age: BTreeMap<u64, K>,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    weight: usize,
    used: u64,
}

impl<K: Ord + Clone, V: Clone> Lru<K, V> {
    pub fn new(limit: usize) -> Lru<K, V> {
        Lru { limit, weight: 0, tick: 0, entries: BTreeMap::new(), by_age: BTreeMap::new() }
    }

    pub fn get(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.get_mut(key)?;
        self.tick += 1;
        self.by_age.remove(&entry.used);
        entry.used = self.tick;
        self.by_age.insert(self.tick, key.clone());
        Some(entry.value.clone())
    }

    /// Returns what had to go.
    pub fn insert(&mut self, key: K, value: V, weight: usize) -> Vec<V> {
        let mut gone: Vec<V> = self.remove(&key).into_iter().collect();
        while self.weight + weight > self.limit {
            let Some(oldest) = self.pop_oldest() else { break };
            gone.push(oldest);
        }
        self.tick += 1;
        self.weight += weight;
        self.by_age.insert(self.tick, key.clone());
        self.entries.insert(key, Entry { value, weight, used: self.tick });
        gone
    }

    /// Takes out what was used least lately.
    pub fn pop_oldest(&mut self) -> Option<V> {
        let (_, key) = self.by_age.pop_first()?;
        let entry = self.entries.remove(&key)?;
        self.weight -= entry.weight;
        Some(entry.value)
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.by_age.remove(&entry.used);
        self.weight -= entry.weight;
        Some(entry.value)
    }

    /// Takes out everything whose key is in the range.
    pub fn remove_range(&mut self, range: impl std::ops::RangeBounds<K>) -> Vec<V> {
        let keys: Vec<K> = self.entries.range(range).map(|(key, _)| key.clone()).collect();
        keys.iter().filter_map(|key| self.remove(key)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_least_lately_goes_first() {
        let mut cache = Lru::new(2);
        cache.insert(1, "a", 1);
        cache.insert(2, "b", 1);
        assert_eq!(cache.get(&1), Some("a"));
        assert_eq!(cache.insert(3, "c", 1), ["b"]);
        assert_eq!((cache.get(&1), cache.get(&2), cache.get(&3)), (Some("a"), None, Some("c")));
    }

    #[test]
    fn what_is_taken_out_by_age_makes_room_for_as_much() {
        let mut cache = Lru::new(2);
        assert_eq!(cache.pop_oldest(), None);
        cache.insert(1, "a", 1);
        cache.insert(2, "b", 1);
        cache.get(&1);
        assert_eq!(cache.pop_oldest(), Some("b"));
        assert!(cache.insert(3, "c", 1).is_empty());
    }

    #[test]
    fn a_heavy_entry_stays_alone() {
        let mut cache = Lru::new(4);
        cache.insert(1, "a", 2);
        assert_eq!(cache.insert(2, "b", 9), ["a"]);
        assert_eq!(cache.get(&2), Some("b"));
        assert_eq!(cache.insert(3, "c", 1), ["b"]);
    }
}
