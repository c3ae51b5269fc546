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
    /// `group.memory.bytes`: what the groups of a core may hold, about.
    pub memory_bytes: usize,
    /// `group.consumer.max.size`, of consumer groups (KIP-848). Their times are configs of the group, in the catalog.
    pub consumer_members_max: usize,
    pub consumer_migration: Migration,
    /// `offset.metadata.max.bytes`, which counts UTF-16 units in Kafka and so here.
    pub offset_metadata_units_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub retention_check_ms: u64,
}

/// `group.consumer.migration.policy`: which way a group may change its protocol while it has members (KIP-848).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migration {
    Disabled,
    /// From the classic to the consumer protocol.
    Upgrade,
    Downgrade,
    Bidirectional,
}

impl Migration {
    pub fn may_upgrade(self) -> bool {
        matches!(self, Migration::Upgrade | Migration::Bidirectional)
    }

    pub fn may_downgrade(self) -> bool {
        matches!(self, Migration::Downgrade | Migration::Bidirectional)
    }
}

/// Kafka's defaults.
impl Default for GroupSettings {
    fn default() -> GroupSettings {
        GroupSettings {
            initial_rebalance_delay_ms: 3_000,
            session_timeouts_ms: 6_000..=1_800_000,
            members_max: i32::MAX as usize,
            memory_bytes: 128 << 20,
            consumer_members_max: i32::MAX as usize,
            consumer_migration: Migration::Bidirectional,
            offset_metadata_units_max: 4096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1000,
            retention_check_ms: 600_000,
        }
    }
}
