//! A record batch of any bytes, as it comes and with its frame set right: length, magic and CRC as they must be, so
//! that the checks behind them are reached.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use shards::batch::{Compression, CompressionLevels, TimestampType, TopicRules, ValidBatch, apply};

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
    // Through the topic's rules too: they look into the records, decompressed if need be, and rewrite the batch.
    for compression in [None, Some(Compression::Lz4)] {
        if let Ok(batch) = ValidBatch::parse(batch.clone().into()) {
            let _ = apply(batch, &rules(compression), 1_000);
        }
    }
});

fn rules(compression: Option<Compression>) -> TopicRules {
    TopicRules {
        max_message_bytes: 1 << 20,
        compression,
        levels: CompressionLevels::default(),
        timestamp_type: TimestampType::Create,
        before_max_ms: i64::MAX,
        after_max_ms: 3_600_000,
        needs_keys: false,
        decompressed_bytes_max: 1 << 20,
    }
}
