//! The newest offset of each key in a stretch of log. Pure; owning core only, for the time of one pass.
//!
//! Keys are known by a keyed 128-bit hash (SipHash with a key that is new for each pass), so that nobody can make two keys look
//! alike and chance does so less often than memory fails.
//!
//! Invariant: never more than `keys_max` keys, in memory that was reserved at the start; it neither grows nor moves.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::types::Offset;

/// Two words of hash, and the offset plus one: zero is an empty slot.
type Slot = [u64; 3];

/// Bytes of a slot.
pub const SLOT_BYTES: usize = std::mem::size_of::<Slot>();
/// Keys that a hundred slots take, as in Kafka (`log.cleaner.io.buffer.load.factor`): more would make look-ups long.
const LOAD_PERCENT: usize = 90;

#[derive(Debug)]
pub struct KeyMap {
    seed: u128,
    slots: Vec<Slot>,
    keys: usize,
    keys_max: usize,
}

/// A map without room for another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapIsFull;

impl KeyMap {
    /// A map of at most `bytes_max` bytes, and no more than `keys` keys need; it takes at least one.
    pub fn new(seed: u128, bytes_max: usize, keys: usize) -> KeyMap {
        let needed = keys.saturating_mul(100) / LOAD_PERCENT + 2;
        let slots = needed.min(bytes_max / SLOT_BYTES).max(2);
        // Zeroed by the system when it is first touched: nothing waits for all of it here.
        KeyMap { seed, slots: vec![[0; 3]; slots], keys: 0, keys_max: (slots * LOAD_PERCENT / 100).max(1) }
    }

    pub fn len(&self) -> usize {
        self.keys
    }

    pub fn is_empty(&self) -> bool {
        self.keys == 0
    }

    /// Notes that `key` is at `offset`; offsets come in order.
    ///
    /// # Errors
    /// When the key is new and there is no room for it.
    pub fn insert(&mut self, key: &[u8], offset: Offset) -> Result<(), MapIsFull> {
        let hash = self.hash(key);
        let at = self.find(hash);
        let Some(slot) = self.slots.get_mut(at) else { return Err(MapIsFull) };
        if slot[2] == 0 {
            if self.keys == self.keys_max {
                return Err(MapIsFull);
            }
            self.keys += 1;
        }
        *slot = [hash.0, hash.1, offset.0.cast_unsigned() + 1];
        Ok(())
    }

    /// The newest offset of `key`, if it is in the map.
    pub fn newest(&self, key: &[u8]) -> Option<Offset> {
        let slot = self.slots.get(self.find(self.hash(key)))?;
        (slot[2] != 0).then(|| Offset((slot[2] - 1).cast_signed()))
    }

    fn hash(&self, key: &[u8]) -> (u64, u64) {
        let mut hasher = SipHasher13::new_with_keys(self.seed as u64, (self.seed >> 64) as u64);
        hasher.write(key);
        let hash = hasher.finish128();
        (hash.h1, hash.h2)
    }

    /// Where the hash is, or the empty slot where it would be. There always is one: the map is never full.
    fn find(&self, hash: (u64, u64)) -> usize {
        // The upper bits of a product map a hash evenly to any number of slots.
        let mut at = ((u128::from(hash.0) * self.slots.len() as u128) >> 64) as usize;
        loop {
            match self.slots.get(at) {
                None => at = 0,
                Some(slot) if slot[2] == 0 || (slot[0], slot[1]) == hash => return at,
                Some(_) => at += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_map_takes_newer_offsets_of_its_keys_and_no_new_key() {
        let mut map = KeyMap::new(1, 10 * SLOT_BYTES, usize::MAX);
        for n in 0..9u8 {
            assert_eq!(map.insert(&[n], Offset(i64::from(n))), Ok(()));
        }
        assert_eq!(map.insert(b"new", Offset(9)), Err(MapIsFull));
        assert_eq!(map.insert(&[3], Offset(10)), Ok(()));
        assert_eq!((map.len(), map.newest(&[3]), map.newest(b"new")), (9, Some(Offset(10)), None));
    }

    #[test]
    fn the_smallest_map_takes_one_key() {
        let mut map = KeyMap::new(1, 0, 0);
        assert_eq!(map.insert(b"", Offset(0)), Ok(()));
        assert_eq!(map.insert(b"x", Offset(1)), Err(MapIsFull));
        assert_eq!((map.newest(b""), map.newest(b"x")), (Some(Offset(0)), None));
    }

    proptest! {
        #[test]
        fn it_answers_as_a_plain_map_does(keys in proptest::collection::vec(0u16..300, 0..800), seed: u128) {
            let mut map = KeyMap::new(seed, usize::MAX, keys.len());
            let mut model = BTreeMap::new();
            for (offset, key) in (0i64..).zip(&keys) {
                prop_assert_eq!(map.insert(&key.to_le_bytes(), Offset(offset)), Ok(()));
                model.insert(*key, Offset(offset));
            }
            prop_assert_eq!(map.len(), model.len());
            for key in 0..300u16 {
                prop_assert_eq!(map.newest(&key.to_le_bytes()), model.get(&key).copied());
            }
        }
    }
}
