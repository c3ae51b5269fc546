//! The numbers that govern coordinators; made from the broker's configuration, the same on every core.

use std::ops::RangeInclusive;

/// Times in milliseconds.
#[derive(Debug, Clone)]
pub struct GroupSettings {
    /// `group.initial.rebalance.delay.ms`: how long a new group waits for more members.
    pub initial_rebalance_delay_ms: i32,
    /// `group.min.session.timeout.ms` to `group.max.session.timeout.ms`.
    pub session_timeouts_ms: RangeInclusive<i32>,
    /// `group.max.size`.
    pub members_max: usize,
    pub consumer: ConsumerSettings,
    /// `offset.metadata.max.bytes`, which counts UTF-16 units in Kafka and so here.
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub retention_check_ms: u64,
}

/// Of consumer groups (KIP-848). Times in milliseconds.
#[derive(Debug, Clone)]
pub struct ConsumerSettings {
    /// `group.consumer.session.timeout.ms`.
    pub session_timeout_ms: i32,
    /// `group.consumer.heartbeat.interval.ms`.
    pub heartbeat_interval_ms: i32,
    /// `group.consumer.assignment.interval.ms`: between two targets of a group (KIP-1263).
    pub assignment_interval_ms: i32,
    /// `group.consumer.max.size`.
    pub members_max: usize,
}

/// Kafka's defaults.
impl Default for ConsumerSettings {
    fn default() -> ConsumerSettings {
        ConsumerSettings {
            session_timeout_ms: 45_000,
            heartbeat_interval_ms: 5_000,
            assignment_interval_ms: 1_000,
            members_max: i32::MAX as usize,
        }
    }
}

/// Kafka's defaults.
impl Default for GroupSettings {
    fn default() -> GroupSettings {
        GroupSettings {
            initial_rebalance_delay_ms: 3_000,
            session_timeouts_ms: 6_000..=1_800_000,
            members_max: i32::MAX as usize,
            consumer: ConsumerSettings::default(),
            offset_metadata_max: 4096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1000,
            retention_check_ms: 600_000,
        }
    }
}
