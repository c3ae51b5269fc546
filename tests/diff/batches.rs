//! Record batches as cases send them: sound ones from the builder, and ones that are wrong in one place.

use bytes::Bytes;
use shards::batch::crc::crc32c;
use shards::batch::{BatchBuilder, CRC_FROM, NewRecord, PREFIX_BYTES};

use crate::world::World;

/// A batch of these values, one millisecond apart from `T+first_ms` on.
pub fn batch(world: &World, first_ms: i64, values: &[&str]) -> Bytes {
    build(BatchBuilder::new(world.time(first_ms)), world, first_ms, values)
}

/// A batch of an idempotent producer.
pub fn of_producer(world: &World, (id, epoch, sequence): (i64, i16, i32), values: &[&str]) -> Bytes {
    build(BatchBuilder::new(world.time(0)).producer(id, epoch, sequence), world, 0, values)
}

pub fn build(mut builder: BatchBuilder, world: &World, first_ms: i64, values: &[&str]) -> Bytes {
    for (at, value) in (first_ms..).zip(values) {
        let (key, value) = (Some(&b"key"[..]), Some(value.as_bytes()));
        builder.push(&NewRecord { timestamp_ms: world.time(at), key, value, ..Default::default() });
    }
    builder.finish().expect("no codec, no error")
}

/// The batch with these bytes behind its records, and the length and checksum that they ask for.
pub fn longer(batch: &Bytes, bytes: &[u8]) -> Bytes {
    let all = [batch, bytes].concat();
    let len = i32::try_from(all.len() - PREFIX_BYTES).expect("a small batch");
    patched(&all.into(), PREFIX_BYTES - 4, &len.to_be_bytes())
}

/// The batch with these bytes from `at` on, and the checksum that they ask for.
pub fn patched(batch: &Bytes, at: usize, bytes: &[u8]) -> Bytes {
    let mut patched = batch.to_vec();
    patched[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc32c(&patched[CRC_FROM..]);
    patched[CRC_FROM - 4..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    patched.into()
}
