//! The memory that groups hold, about: a coordinator counts it as it goes, and refuses what would take too much. Owning
//! core only; pure.
//!
//! Invariant: what frees memory, or takes none, is never refused, however much is held: a start may find more in the log
//! than may be held now.

use super::group::{Group, Kind};
use super::groups::Groups;
use super::record::StoredOffset;
use super::request::{GroupError, GroupRequest};

/// Most of one group, bytes: what a step changes of it is one batch, and one write of the journal.
const GROUP_BYTES_MAX: usize = 32 << 20;

/// About what there is beside texts and bytes: of a group, a member with its time-outs, an id that was given out, an offset,
/// a topic, a partition that a member has.
pub(super) const GROUP: usize = 1024;
pub(super) const MEMBER: usize = 1024;
/// Of a member of a consumer group: what it is to read, and what it may read now, are maps of its own.
pub(super) const CONSUMER: usize = 2048;
pub(super) const PENDING: usize = 2048;
pub(super) const OFFSET: usize = 128;
pub(super) const TOPIC: usize = 64;
pub(super) const PARTITION: usize = 64;

/// What an offset holds.
pub(super) fn of_offset(stored: &StoredOffset) -> usize {
    OFFSET + stored.metadata.len()
}

impl Group {
    pub(super) fn bytes(&self) -> usize {
        let kind = match &self.kind {
            Kind::Classic(classic) => classic.bytes(),
            Kind::Consumer(consumer) => consumer.bytes(),
        };
        GROUP + self.offsets.bytes() + kind
    }

    fn bytes_of_member(&self, id: &str) -> usize {
        match &self.kind {
            Kind::Classic(classic) => classic.bytes_of(id),
            Kind::Consumer(consumer) => consumer.bytes_of(id),
        }
    }

    /// What the parts hold that the leader gave out last.
    fn bytes_assigned(&self) -> usize {
        match &self.kind {
            Kind::Classic(classic) => classic.bytes_assigned(),
            Kind::Consumer(_) => 0,
        }
    }
}

impl Groups {
    /// What all groups hold.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a request may be carried out that finds `room` bytes.
    ///
    /// # Errors
    /// The group, or all of them, would hold too much: `MaxSizeReached` for who joins, `NotAvailable` for members, whose clients
    /// come again for that and would end for the other.
    pub fn has_room_for(&self, request: &GroupRequest, room: usize) -> Result<(), GroupError> {
        let known = self.groups.get(request.group());
        let more = growth(known, request);
        let of_group = known.map_or(0, Group::bytes) + more;
        if more == 0 || (more <= room && of_group <= GROUP_BYTES_MAX) {
            return Ok(());
        }
        match request {
            GroupRequest::Commit(_) | GroupRequest::Sync(_) => Err(GroupError::NotAvailable),
            _ => Err(GroupError::MaxSizeReached),
        }
    }

    /// A step is over that may have changed a group.
    pub(super) fn count(&mut self, id: &str) {
        let Some(group) = self.groups.get_mut(id) else { return };
        let now = group.bytes();
        let before = std::mem::replace(&mut group.counted, now);
        self.bytes = self.bytes - before + now;
    }

    /// A group is taken out.
    pub(super) fn discount(&mut self, group: &Group) {
        self.bytes -= group.counted;
    }
}

/// How much more memory there may be held after a request; 0 for those that only read or free.
fn growth(known: Option<&Group>, request: &GroupRequest) -> usize {
    let made = if known.is_none() { GROUP } else { 0 };
    let new = match request {
        GroupRequest::Join(join) => {
            let own = if matches!(known, Some(Group { kind: Kind::Consumer(_), .. })) { CONSUMER } else { MEMBER };
            let member = own + request.bytes() + join.client_id.len() + join.client_host.len();
            member.saturating_sub(known.map_or(0, |group| group.bytes_of_member(&join.member)))
        }
        GroupRequest::ConsumerBeat(beat) if beat.epoch >= 0 => {
            let topics = beat.topics.iter().flatten().map(|topic| TOPIC + topic.len());
            let texts = [&beat.instance, &beat.rack, &beat.regex, &beat.assignor].into_iter().flatten();
            let ids = beat.member.len() + beat.client_id.len() + beat.client_host.len();
            let member = CONSUMER + ids + topics.sum::<usize>() + texts.map(|text| text.len()).sum::<usize>();
            member.saturating_sub(known.map_or(0, |group| group.bytes_of_member(&beat.member)))
        }
        GroupRequest::Sync(_) => request.bytes().saturating_sub(known.map_or(0, Group::bytes_assigned)),
        GroupRequest::Commit(commit) => {
            let more = commit.offsets.iter().map(|one| {
                let before = known.and_then(|group| group.offsets.get(&one.topic, one.partition));
                (OFFSET + one.metadata.len()).saturating_sub(before.map_or(0, of_offset))
            });
            more.sum()
        }
        _ => 0,
    };
    if new > 0 { new + made } else { 0 }
}
