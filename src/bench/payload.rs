//! The bytes of records: windows of one pool that is made beforehand, so that making a record costs one copy. One thread's.
//!
//! Invariant: no bytes of the pool come twice within the pool's length, however long or short the records are: no codec finds
//! more to compress than was asked for.

use super::random::Random;
use super::sizes::Sizes;
use super::stamp::{STAMP_BYTES, Stamp};

/// Windows begin at different places of so many bytes, each where the one before it ended.
const POOL_BYTES: usize = 4 << 20;
/// The farthest that a codec looks back for something that it has seen: zstd at its usual level. The others see 64 KiB at most.
const LOOK_BACK_BYTES: usize = 2 << 20;
const _: () = assert!(POOL_BYTES > LOOK_BACK_BYTES, "what comes again is out of sight");
/// The part of so many bytes that compresses is in one piece: long enough to be found by every codec.
const PIECE_BYTES: usize = 64;

pub struct Payload {
    pool: Vec<u8>,
    at: usize,
    /// What the last stamp lies over, and where.
    under: (usize, [u8; STAMP_BYTES]),
    sizes: Sizes,
    random: Random,
}

impl Payload {
    /// For records of these sizes that compress to about `1 / compressibility`.
    pub fn new(sizes: Sizes, compressibility: f64, mut random: Random) -> Payload {
        let incompressible = (PIECE_BYTES as f64 / compressibility.max(1.0)).round() as usize;
        let byte = |at: usize| if at % PIECE_BYTES < incompressible { random.next() as u8 } else { b'.' };
        let pool: Vec<u8> = (0..POOL_BYTES + sizes.most().max(STAMP_BYTES)).map(byte).collect();
        let mut payload = Payload { pool, at: 0, under: (0, [0; STAMP_BYTES]), sizes, random };
        payload.lift(0);
        payload
    }

    /// How long another record is, in bytes.
    pub fn draw(&mut self) -> usize {
        self.sizes.next(&mut self.random).max(STAMP_BYTES)
    }

    /// A value of so many bytes, as they were drawn; another one than those before it.
    pub fn value(&mut self, bytes: usize, stamp: Stamp) -> &[u8] {
        let from = self.at;
        self.at = (from + bytes) % POOL_BYTES;
        // Stamps are much alike: a pool that kept them would soon hold little else.
        let (at, under) = self.under;
        self.pool[at..at + STAMP_BYTES].copy_from_slice(&under);
        self.lift(from);
        let value = &mut self.pool[from..from + bytes];
        value[..STAMP_BYTES].copy_from_slice(&stamp.to_bytes());
        value
    }

    /// Keeps what a stamp at this place will lie over.
    fn lift(&mut self, at: usize) {
        self.under.0 = at;
        self.under.1.copy_from_slice(&self.pool[at..at + STAMP_BYTES]);
    }
}

#[cfg(test)]
mod tests {
    use shards::batch::{BatchBuilder, Compression, CompressionLevels, NewRecord};

    use super::*;

    fn stamp(sequence: u64) -> Stamp {
        Stamp { run: 1, client: 2, sequence, due_ns: 3 }
    }

    #[test]
    fn a_value_begins_with_its_stamp_and_has_its_size_wherever_its_window_is() {
        let mut payload = Payload::new(Sizes::Fixed(5000), 2.0, Random::new(1));
        for sequence in 0..3000 {
            let bytes = payload.draw();
            let value = payload.value(bytes, stamp(sequence));
            assert_eq!((value.len(), Stamp::parse(value)), (5000, Some(stamp(sequence))));
        }
    }

    #[test]
    fn every_codec_finds_what_is_to_be_compressed_and_no_more() {
        for size in [1000, 20_000, 60_000] {
            for (compressibility, least, most) in [(1.0, 0.95, 1.05), (2.0, 1.6, 2.1), (4.0, 2.6, 4.2)] {
                holds(size, 600_000, compressibility, least..=most);
            }
        }
    }

    /// Half of such a record is its stamp and what the batch says of it, which come much alike.
    #[test]
    fn short_records_do_not_come_again_within_a_batch() {
        holds(100, 1_000_000, 1.0, 0.95..=1.6);
        holds(40, 1_000_000, 1.0, 0.95..=3.0);
    }

    #[test]
    fn the_pool_is_after_many_rounds_what_it_was() {
        let mut payload = Payload::new(Sizes::Even(24, 3000), 2.0, Random::new(1));
        let before = payload.pool.clone();
        for sequence in 0..20_000 {
            let bytes = payload.draw();
            payload.value(bytes, stamp(sequence));
        }
        let differ = before.iter().zip(&payload.pool).filter(|(before, now)| before != now).count();
        assert!(differ <= STAMP_BYTES, "{differ} bytes");
    }

    /// How many times smaller every codec makes a batch of so many bytes of values.
    #[track_caller]
    fn holds(size: usize, bytes: usize, compressibility: f64, bounds: std::ops::RangeInclusive<f64>) {
        for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
            let mut payload = Payload::new(Sizes::Fixed(size), compressibility, Random::new(1));
            let mut builder = BatchBuilder::new(0).compression(codec, CompressionLevels::default());
            for sequence in 0..bytes / size {
                let bytes = payload.draw();
                let value = Some(payload.value(bytes, stamp(sequence as u64)));
                builder.push(&NewRecord { timestamp_ms: 0, value, ..NewRecord::default() });
            }
            let ratio = bytes as f64 / builder.finish().expect("the codec takes any bytes").len() as f64;
            assert!(bounds.contains(&ratio), "{codec:?}, {size} bytes: {ratio} of {compressibility}");
        }
    }
}
