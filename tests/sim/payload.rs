//! Records that prove themselves: a value's bytes follow from its number, so a wrong bit anywhere shows.

use bytes::Bytes;
use shards::batch::crc::crc32c;
use shards::batch::{
    BatchBuilder, CRC_FROM, Compression, CompressionLevels, HEADER_BYTES, NewRecord, Records, decompress, walk,
};

use crate::history::{Found, Value};

const DECOMPRESSED_MAX: usize = 16 << 20;

/// A producer's name for its batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub id: i64,
    pub epoch: i16,
}

/// What comes before the bytes that follow from the number: the number and their count.
const HEAD_BYTES: usize = 16;

/// The bytes of a value: its number, then `len` bytes that follow from it.
fn content(value: Value, len: usize) -> Vec<u8> {
    let total = HEAD_BYTES + len;
    let mut bytes = Vec::with_capacity(total + WORD_BYTES);
    bytes.extend_from_slice(&value.to_be_bytes());
    bytes.extend_from_slice(&(len as u64).to_be_bytes());
    bytes.extend_from_slice(&word_of(value));
    // By doubling, not byte by byte: the payload is most of what a seed makes and checks.
    while bytes.len() < total {
        let more = (bytes.len() - HEAD_BYTES).min(total - bytes.len());
        bytes.extend_from_within(HEAD_BYTES..HEAD_BYTES + more);
    }
    bytes.truncate(total);
    bytes
}

const WORD_BYTES: usize = size_of::<Value>();

/// What the bytes of a value repeat.
fn word_of(value: Value) -> [u8; WORD_BYTES] {
    value.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()
}

/// Keys of compacted topics: many values share one.
const KEYS: u64 = 40;

/// The key of a value: follows from it, as its bytes do.
pub fn key_of(value: Value) -> u64 {
    value.wrapping_mul(0x9E37_79B9_7F4A_7C15) % KEYS
}

/// Some values of compacted topics delete their key.
pub fn is_tombstone(value: Value) -> bool {
    value.is_multiple_of(5)
}

/// Where a record without a value has its number.
const NUMBER_HEADER: &[u8] = b"number";

pub fn batch(
    values: &[Value],
    keyed: bool,
    filler_bytes: usize,
    codec: Compression,
    who: Identity,
    first: i32,
    now_ms: i64,
) -> Bytes {
    let mut builder =
        BatchBuilder::new(now_ms).compression(codec, CompressionLevels::default()).producer(who.id, who.epoch, first);
    for value in values {
        let (content, key) = (content(*value, filler_bytes), key_of(*value).to_be_bytes());
        let key = keyed.then_some(&key[..]);
        let (value, headers) = match keyed && is_tombstone(*value) {
            true => (None, &[(NUMBER_HEADER, Some(&content[..]))][..]),
            false => (Some(&content[..]), &[][..]),
        };
        builder.push(&NewRecord { timestamp_ms: now_ms, key, value, headers });
    }
    builder.finish().expect("a batch of ours")
}

/// What is in a fetch.
pub struct Read {
    pub found: Vec<Found>,
    /// One past the offsets that its batches cover, whether these hold records or not.
    pub next: Option<i64>,
}

/// The records of a fetch, each checked to its last byte; an incomplete batch at the end does not count.
pub fn read(bytes: &[u8]) -> Result<Read, String> {
    let (mut found, mut next) = (Vec::new(), None);
    for (at, header) in walk(bytes) {
        let total = header.total_bytes().ok_or("a batch without a length")?;
        let batch = &bytes[at..at + total];
        if crc32c(&batch[CRC_FROM..]) != header.crc {
            return Err(format!("the batch at offset {} has another checksum", header.base_offset));
        }
        let mut body = Vec::new();
        let codec = Compression::from_code(header.compression_code()).map_err(|e| e.to_string())?;
        decompress(codec, &batch[HEADER_BYTES..], DECOMPRESSED_MAX, &mut body).map_err(|e| e.to_string())?;
        for record in Records::new(&body, header.record_count).with_gaps() {
            let record = record.map_err(|e| e.to_string())?;
            let offset = header.base_offset + i64::from(record.offset_delta);
            let is_deletion = record.value.is_none();
            let mut headers = record.headers;
            let number = headers.find(|header| header.key == NUMBER_HEADER).and_then(|header| header.value);
            let content = record.value.or(number).unwrap_or_default();
            let value = value_of(content).ok_or(format!("offset {offset}: no value of ours"))?;
            if record.key.is_some_and(|key| key != key_of(value).to_be_bytes()) {
                return Err(format!("offset {offset}: value {value} has another key"));
            }
            if is_deletion != (record.key.is_some() && is_tombstone(value)) {
                return Err(format!("offset {offset}: {value} is a value where it was none, or the other way"));
            }
            found.push(Found { offset, value, epoch: header.leader_epoch });
        }
        next = Some(header.last_offset() + 1);
    }
    Ok(Read { found, next })
}

fn value_of(bytes: &[u8]) -> Option<Value> {
    let value = u64::from_be_bytes(*bytes.first_chunk()?);
    let len = u64::from_be_bytes(*bytes.get(8..)?.first_chunk()?);
    let filler = bytes.get(HEAD_BYTES..)?;
    // What repeats a word begins with it, or with its part, and equals itself a word further.
    let (first, shifted) = filler.split_at(filler.len().min(WORD_BYTES));
    let is_ours = len == filler.len() as u64 && word_of(value).starts_with(first) && filler.starts_with(shifted);
    is_ours.then_some(value)
}
