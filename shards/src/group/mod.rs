//! The group coordinator: members, generations and stored offsets of the groups of one `__consumer_offsets` partition, as a
//! pure machine over its records. The core that owns the partition drives it. No await, no clock, no randomness, no I/O.
//!
//! [`Groups::handle`] takes a request and [`Groups::fire`] the time; both answer with [`Effects`]: records to append to
//! the partition, and replies that may leave once everything appended so far is durable (R1). A record is applied in the
//! same step that makes it, by the [`Groups::apply`] that a start uses too.
//!
//! `classic` is the protocol of JoinGroup and SyncGroup, `consumer` that of KIP-848, `offsets` what every kind of group
//! has, `memory` what all of it holds and may hold. What a group is besides its offsets is [`group::Kind`]: another protocol
//! is another variant.
//!
//! Invariant: replaying the records of a live run gives the same offsets and the same groups, but for rebalances that were
//! under way: of those, the generation before is left, as in Kafka.

mod classic;
mod consumer;
mod deadlines;
mod embedded;
mod forget;
mod format;
#[expect(clippy::module_inception, reason = "one group among the groups of a partition")]
mod group;
mod groups;
mod memory;
mod migrate;
mod offsets;
mod record;
mod request;
mod settings;
mod tally;
#[cfg(test)]
mod tests;
mod turn;

pub use consumer::assign::Assignor;
pub use consumer::{ConsumerRecord, MemberSaid, Parts};
pub use format::RecordError;
pub use groups::{AskId, Effects, Groups, Now};
pub use record::{ClassicRecord, GroupRecord, MemberRecord, StoredOffset};
pub use request::*;
pub use settings::{GroupSettings, Migration};

/// The topic whose records these are.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Which of `partitions` holds a group: Java's hash of the id, made positive as Kafka makes it.
pub fn partition_of(group: &str, partitions: i32) -> i32 {
    // Kafka's `Utils.abs`: the one number without a positive counterpart becomes 0.
    java_hash(group).checked_abs().unwrap_or(0) % partitions.max(1)
}

/// Java's hash of a text.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}
