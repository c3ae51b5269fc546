//! One group: its offsets and what kind of group it is. Owning core only; pure.

use std::sync::Arc;

use super::classic::ClassicGroup;
use super::consumer::ConsumerGroup;
use super::deadlines::Deadlines;
use super::offsets::{ExpiryFrom, Offsets};
use super::record::{ClassicRecord, GroupRecord};
use super::request::{GroupError, ListedGroup};

/// A group that exists: somebody joined it, or stored an offset in it.
#[derive(Debug)]
pub struct Group {
    pub offsets: Offsets,
    pub kind: Kind,
    /// What all groups' count has of it.
    pub(super) counted: usize,
}

/// The protocol that members speak.
#[derive(Debug)]
pub enum Kind {
    Classic(ClassicGroup),
    Consumer(Box<ConsumerGroup>),
}

impl Group {
    /// A group without members or offsets: classic, until somebody joins it otherwise.
    pub fn new(id: Arc<str>) -> Group {
        Group { offsets: Offsets::default(), kind: Kind::Classic(ClassicGroup::new(id)), counted: 0 }
    }

    /// The record of a group at the moment of its first join.
    pub fn first_record(wall_ms: i64) -> ClassicRecord {
        ClassicRecord {
            protocol_type: None,
            generation: 0,
            protocol: None,
            leader: None,
            since_ms: Some(wall_ms),
            members: Vec::new(),
        }
    }

    pub fn may_be_deleted(&self) -> Result<(), GroupError> {
        if self.kind.is_empty() { Ok(()) } else { Err(GroupError::NotEmpty) }
    }

    /// Tombstones of what the log has of the group beside its offsets.
    pub fn tombstones(&self, id: &Arc<str>) -> Vec<GroupRecord> {
        match &self.kind {
            Kind::Classic(_) => vec![GroupRecord::Classic { group: id.clone(), value: None }],
            Kind::Consumer(consumer) => {
                let records = consumer.tombstones().into_iter();
                records.map(|record| GroupRecord::Consumer { group: id.clone(), record }).collect()
            }
        }
    }
}

impl Kind {
    pub fn is_empty(&self) -> bool {
        match self {
            Kind::Classic(classic) => classic.is_empty(),
            Kind::Consumer(consumer) => consumer.is_empty(),
        }
    }

    /// The group is gone, or is of another kind.
    pub fn cancel_all(&mut self, deadlines: &mut Deadlines) {
        match self {
            Kind::Classic(classic) => classic.cancel_all(deadlines),
            Kind::Consumer(consumer) => consumer.cancel_all(deadlines),
        }
    }

    /// Whether the group reads a topic.
    pub fn reads(&self, topic: &str) -> bool {
        match self {
            Kind::Classic(classic) => classic.reads(topic),
            Kind::Consumer(consumer) => consumer.reads(topic),
        }
    }

    /// From when on the retention of its offsets counts.
    pub fn offsets_expire_from(&self) -> ExpiryFrom {
        match self {
            Kind::Classic(classic) => classic.offsets_expire_from(),
            Kind::Consumer(consumer) => consumer.offsets_expire_from(),
        }
    }

    pub fn may_delete_offsets(&self) -> Result<(), GroupError> {
        match self {
            Kind::Classic(classic) => classic.may_delete_offsets(),
            Kind::Consumer(_) => Ok(()),
        }
    }

    pub fn list(&self, id: &Arc<str>) -> ListedGroup {
        match self {
            Kind::Classic(classic) => classic.list(id),
            Kind::Consumer(consumer) => consumer.list(id),
        }
    }
}
