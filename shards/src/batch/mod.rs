//! Kafka's v2 record batch: header view, checks, records, codecs. Pure; depends on nothing but the codec crates.

/// A batch that passed its checks; owns its bytes.
#[derive(Debug, Clone)]
pub struct ValidBatch;
