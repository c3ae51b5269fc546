//! The offsets of deleted topics leave all groups, a bounded part of them in a step. Owning core only; pure.
//!
//! Invariant: what is stored for a topic of the same name after the deletion stays.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use super::groups::{Effects, Groups};
use super::record::GroupRecord;

/// Tombstones of one step for each group that it may look at.
const TOMBSTONES_PER_GROUP: usize = 16;

/// What is still to be forgotten, and how far that is.
#[derive(Debug, Default)]
pub struct Forgetting {
    /// Of the walk through all groups that is under way.
    topics: BTreeSet<Arc<str>>,
    /// The group that the walk finished last.
    after: Option<Arc<str>>,
    /// Deleted meanwhile: of the next walk.
    next: BTreeSet<Arc<str>>,
    /// Group, topic and partition stored since the deletion.
    renewed: BTreeSet<(Arc<str>, Arc<str>, i32)>,
}

impl Forgetting {
    /// Whether all that was deleted is forgotten.
    pub fn is_over(&self) -> bool {
        self.topics.is_empty()
    }

    fn begin(&mut self, topic: Arc<str>) {
        self.renewed.retain(|(_, renewed, _)| *renewed != topic);
        let walk = if self.after.is_none() { &mut self.topics } else { &mut self.next };
        walk.insert(topic);
    }

    /// An offset is stored.
    pub fn note_stored(&mut self, group: &Arc<str>, topic: &Arc<str>, partition: i32) {
        if self.topics.contains(topic) || self.next.contains(topic) {
            self.renewed.insert((group.clone(), topic.clone(), partition));
        }
    }

    fn is_renewed(&self, group: &Arc<str>, topic: &Arc<str>, partition: i32) -> bool {
        !self.renewed.is_empty() && self.renewed.contains(&(group.clone(), topic.clone(), partition))
    }

    fn walk_is_over(&mut self) {
        self.topics = std::mem::take(&mut self.next);
        self.after = None;
        let topics = &self.topics;
        self.renewed.retain(|(_, topic, _)| topics.contains(topic));
    }
}

impl Groups {
    /// A topic is gone: [`Groups::fire`] takes its offsets out of the groups. Those stored from now on are of another topic
    /// with its name.
    pub fn forget_topic(&mut self, topic: Arc<str>) {
        self.forgetting.begin(topic);
    }

    /// Whether offsets of topics that are gone may still be there.
    pub fn is_forgetting(&self) -> bool {
        !self.forgetting.is_over()
    }

    /// Looks through `most` groups at most; how many it was.
    pub(super) fn forget_some(&mut self, most: usize, effects: &mut Effects) -> usize {
        let mut room = most * TOMBSTONES_PER_GROUP;
        for looked in 0..most {
            if self.forgetting.is_over() || room == 0 {
                return looked;
            }
            let start = self.forgetting.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let Some((id, group)) = self.groups.range::<Arc<str>, _>((start, Bound::Unbounded)).next() else {
                self.forgetting.walk_is_over();
                continue;
            };
            let id = id.clone();
            let is_meant = |topic: &Arc<str>, index| !self.forgetting.is_renewed(&id, topic, index);
            let gone: Vec<GroupRecord> =
                group.offsets.tombstones_of(&id, &self.forgetting.topics, is_meant).take(room).collect();
            room -= gone.len();
            // A group that has more than there is room for is looked at again.
            if room > 0 {
                self.forgetting.after = Some(id);
            }
            for record in gone {
                self.append(record, effects);
            }
        }
        most
    }
}
