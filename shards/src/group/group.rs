//! One group: its offsets and what kind of group it is. Owning core only; pure.

use std::sync::Arc;

use super::classic::ClassicGroup;
use super::offsets::Offsets;
use super::record::ClassicRecord;
use super::request::GroupError;

/// A group that exists: somebody joined it, or stored an offset in it.
#[derive(Debug)]
pub struct Group {
    pub offsets: Offsets,
    pub kind: Kind,
}

/// The protocol that members speak.
#[derive(Debug)]
pub enum Kind {
    Classic(ClassicGroup),
}

impl Group {
    /// A group without members or offsets: classic, until somebody joins it otherwise.
    pub fn new(id: Arc<str>) -> Group {
        Group { offsets: Offsets::default(), kind: Kind::Classic(ClassicGroup::new(id)) }
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
        let Kind::Classic(classic) = &self.kind;
        if classic.is_empty() { Ok(()) } else { Err(GroupError::NotEmpty) }
    }
}
