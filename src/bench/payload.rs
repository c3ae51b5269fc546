//! The bytes of records: windows of one pool that is made beforehand, so that making a record costs one copy. One thread's.

use super::random::Random;
use super::sizes::Sizes;
use super::stamp::{STAMP_BYTES, Stamp};

/// Windows begin at different places of so many bytes.
const POOL_BYTES: usize = 4 << 20;
/// … and so far from each other that the stamps, which are written into the pool, touch little of it.
const WINDOW_STEP_BYTES: usize = 4 << 10;
/// The part of so many bytes that compresses is in one piece: long enough to be found by every codec.
const PIECE_BYTES: usize = 64;

pub struct Payload {
    pool: Vec<u8>,
    at: usize,
    sizes: Sizes,
    random: Random,
}

impl Payload {
    /// For records of these sizes that compress to about `1 / compressibility`.
    pub fn new(sizes: Sizes, compressibility: f64, mut random: Random) -> Payload {
        let incompressible = (PIECE_BYTES as f64 / compressibility.max(1.0)).round() as usize;
        let byte = |at: usize| if at % PIECE_BYTES < incompressible { random.next() as u8 } else { b'.' };
        let pool = (0..POOL_BYTES + sizes.most().max(STAMP_BYTES)).map(byte).collect();
        Payload { pool, at: 0, sizes, random }
    }

    /// How long another record is, in bytes.
    pub fn draw(&mut self) -> usize {
        self.sizes.next(&mut self.random).max(STAMP_BYTES)
    }

    /// A value of so many bytes, as they were drawn; another one than those before it.
    pub fn value(&mut self, bytes: usize, stamp: Stamp) -> &[u8] {
        let from = self.at;
        self.at = (from + WINDOW_STEP_BYTES) % POOL_BYTES;
        let value = &mut self.pool[from..from + bytes];
        for (into, byte) in value.iter_mut().zip(stamp.to_bytes()) {
            *into = byte;
        }
        value
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
        let levels = CompressionLevels::default();
        for (compressibility, least, most) in [(1.0, 0.95, 1.05), (2.0, 1.6, 2.1), (4.0, 2.6, 4.2)] {
            for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
                let mut payload = Payload::new(Sizes::Fixed(1000), compressibility, Random::new(1));
                let mut builder = BatchBuilder::new(0).compression(codec, levels);
                for sequence in 0..100 {
                    let bytes = payload.draw();
                    let value = Some(payload.value(bytes, stamp(sequence)));
                    builder.push(&NewRecord { timestamp_ms: 0, value, ..NewRecord::default() });
                }
                let ratio = 100_000.0 / builder.finish().expect("the codec takes any bytes").len() as f64;
                assert!((least..=most).contains(&ratio), "{codec:?}: {ratio} of {compressibility}");
            }
        }
    }
}
