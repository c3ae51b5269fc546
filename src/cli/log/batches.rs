//! Batches and their records, as a dump shows them.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use shards::batch::{Compression, Header, Record, Records, STORED_DECOMPRESSED_BYTES_MAX, TimestampType, decompress};
use shards::group::OFFSETS_TOPIC;
use shards::log::StoredBatch;

use super::{catalog, group};
use crate::cli::record_json::put;

/// Which records mean something to the broker itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Only to its readers.
    None,
    Groups,
    Catalog,
}

impl Meaning {
    pub fn of(topic: &str) -> Meaning {
        match topic {
            OFFSETS_TOPIC => Meaning::Groups,
            shards::catalog::METADATA_TOPIC => Meaning::Catalog,
            _ => Meaning::None,
        }
    }
}

/// The head of a batch.
pub fn head(batch: &StoredBatch) -> Value {
    let header = &batch.header;
    let codec = Compression::from_code(header.compression_code());
    let producer = header.has_producer();
    json!({
        "base_offset": header.base_offset,
        "last_offset": header.last_offset(),
        "records": header.record_count,
        "position": batch.position,
        "bytes": batch.bytes.len(),
        "codec": codec.map_or_else(|_| header.compression_code().to_string(), |codec| codec.name().to_owned()),
        "leader_epoch": header.leader_epoch,
        "timestamp_type": match header.timestamp_type() {
            TimestampType::Create => "create",
            TimestampType::LogAppend => "append",
        },
        "base_timestamp": header.base_timestamp,
        "max_timestamp": header.max_timestamp,
        "producer_id": producer.then_some(header.producer_id),
        "producer_epoch": producer.then_some(header.producer_epoch),
        "base_sequence": producer.then_some(header.base_sequence),
        "transactional": header.is_transactional().then_some(true),
        "control": header.is_control().then_some(true),
        "crc": if batch.crc_is_right { "ok" } else { "wrong" },
    })
}

/// The batch's records, each as its kind and its parts; ends with what keeps the rest from being read, if anything does.
pub fn records(batch: &StoredBatch, meaning: Meaning) -> Result<Vec<(&'static str, Value)>, String> {
    let mut inflated = Vec::new();
    let payload = match Compression::from_code(batch.header.compression_code()).map_err(|e| e.to_string())? {
        Compression::None => batch.payload(),
        codec => {
            decompress(codec, batch.payload(), STORED_DECOMPRESSED_BYTES_MAX, &mut inflated)
                .map_err(|e| e.to_string())?;
            &inflated
        }
    };
    let records = Records::new(payload, batch.header.record_count).with_gaps();
    records.map(|record| Ok(told(batch, &record.map_err(|e| e.to_string())?, meaning))).collect()
}

fn told(batch: &StoredBatch, record: &Record<'_>, meaning: Meaning) -> (&'static str, Value) {
    let header = &batch.header;
    let mut parts = Map::new();
    parts.insert("offset".to_owned(), header.base_offset.saturating_add(i64::from(record.offset_delta)).into());
    let timestamp = match header.timestamp_type() {
        TimestampType::Create => header.base_timestamp.saturating_add(record.timestamp_delta),
        TimestampType::LogAppend => header.max_timestamp,
    };
    parts.insert("timestamp".to_owned(), timestamp.into());
    if header.is_control() {
        parts.extend(control(record));
        return ("control", Value::Object(parts));
    }
    let decoded = match meaning {
        Meaning::None => None,
        Meaning::Groups => Some(group::decoded(record.key, record.value)),
        Meaning::Catalog => Some(catalog::decoded(record.value)),
    };
    match decoded {
        Some(Ok((kind, decoded))) => {
            parts.extend(decoded);
            (kind, Value::Object(parts))
        }
        undecoded => {
            put(&mut parts, "key", record.key);
            put(&mut parts, "value", record.value);
            if !record.headers.is_empty() {
                parts.insert("headers".to_owned(), record.headers.map(pair).collect());
            }
            if let Some(Err(why)) = undecoded {
                parts.insert("not_decoded".to_owned(), why.into());
            }
            ("record", Value::Object(parts))
        }
    }
}

fn pair(header: Header<'_>) -> Value {
    let mut map = Map::new();
    put(&mut map, "name", Some(header.key));
    put(&mut map, "value", header.value);
    Value::Object(map)
}

/// Kafka's control records: a version and a type in the key.
fn control(record: &Record<'_>) -> Map<String, Value> {
    let number = |at: usize| {
        let bytes = record.key.and_then(|key| key.get(at..at + 2)?.first_chunk::<2>());
        bytes.map(|bytes| i16::from_be_bytes(*bytes))
    };
    let kind = number(2).map(|kind| match kind {
        0 => "abort".to_owned(),
        1 => "commit".to_owned(),
        2 => "leader_change".to_owned(),
        3 => "snapshot_header".to_owned(),
        4 => "snapshot_footer".to_owned(),
        5 => "kraft_version".to_owned(),
        6 => "voters".to_owned(),
        other => other.to_string(),
    });
    let mut parts = Map::new();
    parts.insert("type".to_owned(), kind.into());
    parts.insert("version".to_owned(), number(0).into());
    put(&mut parts, "value", record.value);
    parts
}

/// A slice of a record's bytes by itself.
pub(super) fn owned(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
