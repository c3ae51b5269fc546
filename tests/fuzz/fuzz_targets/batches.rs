//! A record batch of any bytes, as it comes and with its frame set right: length, magic and CRC as they must be, so
//! that the checks behind them are reached.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use shards::batch::ValidBatch;

/// Where Kafka's v2 batch has its fields, and where each ends.
const LENGTH: std::ops::Range<usize> = 8..12;
const MAGIC: usize = 16;
const CRC: std::ops::Range<usize> = 17..21;

fuzz_target!(|bytes: &[u8]| {
    let _ = ValidBatch::parse(Bytes::copy_from_slice(bytes));

    let mut batch = bytes.to_vec();
    if batch.len() < CRC.end {
        return;
    }
    let length = u32::try_from(batch.len() - LENGTH.end).expect("an input is small");
    batch[LENGTH].copy_from_slice(&length.to_be_bytes());
    batch[MAGIC] = 2;
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &batch[CRC.end..]);
    batch[CRC].copy_from_slice(&u32::try_from(crc).expect("32 bits").to_be_bytes());
    let _ = ValidBatch::parse(batch.into());
});
