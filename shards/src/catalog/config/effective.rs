//! What is in force for a topic, typed. Every core; read on the hot path, never changed once made.
//!
//! Invariant: each field comes from the key of the same name in the table.

use super::error::ConfigError;
use super::table::{ConfigKey, TOPIC_CONFIGS};
use super::value::Value;

/// The configs of a topic as they act. Times in milliseconds, sizes in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicConfig {
    pub segment_bytes: i32,
    pub segment_ms: i64,
    pub segment_jitter_ms: i64,
    pub segment_index_bytes: i32,
    pub flush_messages: i64,
    pub flush_ms: i64,
    /// Negative: no limit.
    pub retention_bytes: i64,
    /// -1: no limit.
    pub retention_ms: i64,
    pub max_message_bytes: i32,
    pub index_interval_bytes: i32,
    pub delete_retention_ms: i64,
    pub min_compaction_lag_ms: i64,
    pub max_compaction_lag_ms: i64,
    pub file_delete_delay_ms: i64,
    pub min_cleanable_dirty_ratio: f64,
    pub cleanup_policy: CleanupPolicy,
    pub unclean_leader_election: bool,
    pub min_insync_replicas: i32,
    pub compression_type: &'static str,
    /// -1: the codec's own.
    pub compression_gzip_level: i32,
    pub compression_lz4_level: i32,
    pub compression_zstd_level: i32,
    pub preallocate: bool,
    pub timestamp_type: TimestampType,
    pub timestamp_before_max_ms: i64,
    pub timestamp_after_max_ms: i64,
    pub leader_throttled_replicas: Vec<String>,
    pub follower_throttled_replicas: Vec<String>,
    pub remote_storage: bool,
    pub local_retention_ms: i64,
    pub local_retention_bytes: i64,
    pub remote_log_copy_disable: bool,
    pub remote_log_delete_on_disable: bool,
    pub internal_segment_bytes: Option<i32>,
}

/// Neither: everything is kept for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CleanupPolicy {
    pub compact: bool,
    pub delete: bool,
}

/// Whose clock stamps the records. The number is the attribute bit of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    CreateTime = 0,
    LogAppendTime = 1,
}

/// What `compression.type` and its level ask of the batches in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Whatever the client chose.
    Producer,
    Uncompressed,
    /// -1: the codec's own level.
    Gzip(i32),
    Snappy,
    Lz4(i32),
    Zstd(i32),
}

impl TopicConfig {
    pub fn compression(&self) -> Compression {
        match self.compression_type {
            "uncompressed" => Compression::Uncompressed,
            "gzip" => Compression::Gzip(self.compression_gzip_level),
            "snappy" => Compression::Snappy,
            "lz4" => Compression::Lz4(self.compression_lz4_level),
            "zstd" => Compression::Zstd(self.compression_zstd_level),
            _ => Compression::Producer,
        }
    }

    /// The age at which a segment is closed: what compaction must have seen by then must be closed before.
    pub fn segment_ms_max(&self) -> i64 {
        if self.cleanup_policy.compact { self.segment_ms.min(self.max_compaction_lag_ms) } else { self.segment_ms }
    }

    /// Every record is synced before its ack.
    pub fn syncs_before_ack(&self) -> bool {
        self.flush_messages <= 1
    }

    /// What a topic without overrides has on a broker without settings.
    pub(super) fn from_table() -> TopicConfig {
        let mut config = TopicConfig::blank();
        for key in &TOPIC_CONFIGS {
            if let Some(default) = key.default {
                let set = key.parse(default).map(|value| config.set(key, value));
                assert!(set.is_ok(), "the default of {} is no value of its type", key.name);
            }
        }
        config
    }

    /// What the keys say together, beyond each by itself.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.min_compaction_lag_ms > self.max_compaction_lag_ms {
            return Err(ConfigError::CompactionLag {
                min: self.min_compaction_lag_ms,
                max: self.max_compaction_lag_ms,
            });
        }
        if self.remote_storage {
            return Err(ConfigError::TieredStorage);
        }
        Ok(())
    }

    /// Sets the field of a key. Value and key must belong together.
    pub(super) fn set(&mut self, key: &ConfigKey, value: Value) {
        match (key.name, value) {
            ("segment.bytes", Value::Int(v)) => self.segment_bytes = v,
            ("segment.ms", Value::Long(v)) => self.segment_ms = v,
            ("segment.jitter.ms", Value::Long(v)) => self.segment_jitter_ms = v,
            ("segment.index.bytes", Value::Int(v)) => self.segment_index_bytes = v,
            ("flush.messages", Value::Long(v)) => self.flush_messages = v,
            ("flush.ms", Value::Long(v)) => self.flush_ms = v,
            ("retention.bytes", Value::Long(v)) => self.retention_bytes = v,
            ("retention.ms", Value::Long(v)) => self.retention_ms = v,
            ("max.message.bytes", Value::Int(v)) => self.max_message_bytes = v,
            ("index.interval.bytes", Value::Int(v)) => self.index_interval_bytes = v,
            ("delete.retention.ms", Value::Long(v)) => self.delete_retention_ms = v,
            ("min.compaction.lag.ms", Value::Long(v)) => self.min_compaction_lag_ms = v,
            ("max.compaction.lag.ms", Value::Long(v)) => self.max_compaction_lag_ms = v,
            ("file.delete.delay.ms", Value::Long(v)) => self.file_delete_delay_ms = v,
            ("min.cleanable.dirty.ratio", Value::Double(v)) => self.min_cleanable_dirty_ratio = v,
            ("cleanup.policy", Value::List(v)) => {
                let has = |policy: &str| v.iter().any(|item| item == policy);
                self.cleanup_policy = CleanupPolicy { compact: has("compact"), delete: has("delete") };
            }
            ("unclean.leader.election.enable", Value::Bool(v)) => self.unclean_leader_election = v,
            ("min.insync.replicas", Value::Int(v)) => self.min_insync_replicas = v,
            ("compression.type", Value::Text(v)) => self.compression_type = v,
            ("compression.gzip.level", Value::Int(v)) => self.compression_gzip_level = v,
            ("compression.lz4.level", Value::Int(v)) => self.compression_lz4_level = v,
            ("compression.zstd.level", Value::Int(v)) => self.compression_zstd_level = v,
            ("preallocate", Value::Bool(v)) => self.preallocate = v,
            ("message.timestamp.type", Value::Text(v)) => {
                let broker = v == "LogAppendTime";
                self.timestamp_type = if broker { TimestampType::LogAppendTime } else { TimestampType::CreateTime };
            }
            ("message.timestamp.before.max.ms", Value::Long(v)) => self.timestamp_before_max_ms = v,
            ("message.timestamp.after.max.ms", Value::Long(v)) => self.timestamp_after_max_ms = v,
            ("leader.replication.throttled.replicas", Value::List(v)) => self.leader_throttled_replicas = v,
            ("follower.replication.throttled.replicas", Value::List(v)) => self.follower_throttled_replicas = v,
            ("remote.storage.enable", Value::Bool(v)) => self.remote_storage = v,
            ("local.retention.ms", Value::Long(v)) => self.local_retention_ms = v,
            ("local.retention.bytes", Value::Long(v)) => self.local_retention_bytes = v,
            ("remote.log.copy.disable", Value::Bool(v)) => self.remote_log_copy_disable = v,
            ("remote.log.delete.on.disable", Value::Bool(v)) => self.remote_log_delete_on_disable = v,
            ("internal.segment.bytes", Value::Int(v)) => self.internal_segment_bytes = Some(v),
            (name, value) => unreachable!("{name} has no field for {value:?}"),
        }
    }

    /// Every field at a value that the table overwrites.
    fn blank() -> TopicConfig {
        TopicConfig {
            segment_bytes: 0,
            segment_ms: 0,
            segment_jitter_ms: 0,
            segment_index_bytes: 0,
            flush_messages: 0,
            flush_ms: 0,
            retention_bytes: 0,
            retention_ms: 0,
            max_message_bytes: 0,
            index_interval_bytes: 0,
            delete_retention_ms: 0,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: 0,
            file_delete_delay_ms: 0,
            min_cleanable_dirty_ratio: 0.0,
            cleanup_policy: CleanupPolicy::default(),
            unclean_leader_election: false,
            min_insync_replicas: 0,
            compression_type: "producer",
            compression_gzip_level: 0,
            compression_lz4_level: 0,
            compression_zstd_level: 0,
            preallocate: false,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: 0,
            timestamp_after_max_ms: 0,
            leader_throttled_replicas: Vec::new(),
            follower_throttled_replicas: Vec::new(),
            remote_storage: false,
            local_retention_ms: 0,
            local_retention_bytes: 0,
            remote_log_copy_disable: false,
            remote_log_delete_on_disable: false,
            internal_segment_bytes: None,
        }
    }
}
