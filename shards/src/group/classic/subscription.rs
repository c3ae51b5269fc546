//! What the members of a consumer group read, out of what they say to their leader. Owning core only; pure.
//!
//! Invariant: only the beginning that all versions of the consumer protocol share is read.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::embedded;
use super::super::offsets::ExpiryFrom;
use super::super::request::ClassicState;
use super::ClassicGroup;

/// The protocol type of consumers; others, such as `connect`, say what only they understand.
pub(super) const CONSUMER: &str = "consumer";

impl ClassicGroup {
    pub(super) fn speaks_consumer(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// Whether the group reads a topic. A consumer group whose words cannot be read may read any.
    pub fn reads(&self, topic: &str) -> bool {
        match &self.topics {
            Some(topics) => topics.contains(topic),
            None => self.speaks_consumer(),
        }
    }

    /// From when on the retention of its offsets counts.
    pub fn offsets_expire_from(&self) -> ExpiryFrom {
        match (&self.protocol_type, self.state) {
            // Nobody ever joined: the offsets are somebody's who does not need a group.
            (None, _) => ExpiryFrom::Commit,
            (Some(_), ClassicState::Empty) => self.since_ms.map_or(ExpiryFrom::Commit, ExpiryFrom::Empty),
            (Some(_), ClassicState::Stable) if self.speaks_consumer() && self.topics.is_some() => ExpiryFrom::Commit,
            (Some(_), _) => ExpiryFrom::Never,
        }
    }

    /// What all members read; `None` when that is not known.
    pub(super) fn read_topics(&self) -> Option<BTreeSet<Arc<str>>> {
        if !self.speaks_consumer() {
            return None;
        }
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            let said = member.said_for(Some(self.protocol.as_deref()?));
            topics.extend(embedded::topics(&said).ok()?);
        }
        Some(topics)
    }
}
