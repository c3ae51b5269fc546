//! The bytes of records: windows of one pool that is made beforehand, so that making a record costs one copy. One thread's.

use super::random::Random;
use super::stamp::Stamp;

/// Windows begin at different places of so many bytes.
const POOL_BYTES: usize = 4 << 20;
/// … and so far from each other that the stamps, which are written into the pool, touch little of it.
const WINDOW_STEP_BYTES: usize = 4 << 10;

pub struct Payload {
    pool: Vec<u8>,
    at: usize,
}

impl Payload {
    /// For records of at most so many bytes: hexadecimal digits, which compress about two to one.
    pub fn new(record_bytes_max: usize, random: &mut Random) -> Payload {
        let digit = |n: u64| b"0123456789abcdef"[(n & 15) as usize];
        let pool = (0..POOL_BYTES + record_bytes_max).map(|_| digit(random.next())).collect();
        Payload { pool, at: 0 }
    }

    /// The value of the next record; another one than those before it.
    pub fn next(&mut self, stamp: Stamp, bytes: usize) -> &[u8] {
        let from = self.at;
        self.at = (from + WINDOW_STEP_BYTES) % POOL_BYTES;
        let bytes = stamp.to_bytes().len().max(bytes);
        let value = &mut self.pool[from..from + bytes];
        for (into, byte) in value.iter_mut().zip(stamp.to_bytes()) {
            *into = byte;
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_begins_with_its_stamp_and_has_its_size_wherever_its_window_is() {
        let mut payload = Payload::new(5000, &mut Random::new(1));
        for sequence in 0..3000 {
            let stamp = Stamp { run: 1, client: 2, sequence, due_ns: 3 };
            let value = payload.next(stamp, 5000);
            assert_eq!((value.len(), Stamp::parse(value)), (5000, Some(stamp)));
        }
    }
}
