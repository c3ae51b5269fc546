//! The way of one member to its part of the target, one step with each heartbeat: what it shall not have any more it gives
//! up first, and what others have still it gets once they gave it up. Pure functions.
//!
//! Invariant: a partition is assigned only while nobody else holds it; a member's epoch moves only forward.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{Current, MemberState, Owned, Parts};
use crate::planted::{PlantedFault, is_planted};
use crate::types::TopicId;

/// What a step is taken on.
pub struct Step<'a> {
    pub target_epoch: i32,
    pub target: &'a Parts,
    /// The topics that the member reads.
    pub reads: &'a BTreeSet<TopicId>,
    /// It reads other topics than before: what it may not read any more goes at once.
    pub subscription_changed: bool,
    /// What the member says that it has; `None`: as it said before.
    pub owns: Option<&'a Parts>,
    /// Whether anybody, this member included, holds a partition.
    pub is_held: &'a dyn Fn(TopicId, i32) -> bool,
}

/// A state of a later release cannot be gone on from: the member must begin anew.
#[derive(Debug, PartialEq, Eq)]
pub struct MustRejoin;

impl Step<'_> {
    /// The member's next state.
    pub fn take(&self, from: &Current) -> Result<Current, MustRejoin> {
        match from.state {
            MemberState::Stable if from.epoch != self.target_epoch => Ok(self.toward_target(from, from.epoch)),
            MemberState::Stable => Ok(self.if_subscription_changed(from)),
            MemberState::UnrevokedPartitions if self.owns_any(&from.revoking) => Ok(self.if_subscription_changed(from)),
            MemberState::UnrevokedPartitions | MemberState::UnreleasedPartitions => {
                Ok(self.toward_target(from, from.epoch))
            }
            MemberState::Unknown if self.owns.is_some_and(BTreeMap::is_empty) => {
                Ok(self.toward_target(from, self.target_epoch))
            }
            MemberState::Unknown => Err(MustRejoin),
        }
    }

    /// Whether the member has any of these partitions still; it does if it does not say.
    fn owns_any(&self, of: &Owned) -> bool {
        let Some(owns) = self.owns else { return true };
        owns.iter().any(|(topic, indexes)| {
            of.get(topic).is_some_and(|epochs| indexes.iter().any(|index| epochs.contains_key(index)))
        })
    }

    fn toward_target(&self, from: &Current, epoch: i32) -> Current {
        let nothing = BTreeSet::new();
        let target = |topic: &TopicId| match self.target.get(topic) {
            Some(indexes) if self.reads.contains(topic) => indexes,
            _ => &nothing,
        };
        let (mut assigned, mut revoking) = (Owned::new(), Owned::new());
        for (topic, epochs) in &from.assigned {
            for (index, epoch) in epochs {
                let to = if target(topic).contains(index) { &mut assigned } else { &mut revoking };
                to.entry(*topic).or_default().insert(*index, *epoch);
            }
        }
        if !revoking.is_empty() && self.owns_any(&revoking) {
            let state = MemberState::UnrevokedPartitions;
            return Current { epoch, previous_epoch: from.epoch, state, assigned, revoking };
        }
        let mut unreleased = false;
        for topic in self.target.keys() {
            for index in target(topic) {
                let has = assigned.get(topic).is_some_and(|epochs| epochs.contains_key(index));
                if has {
                    continue;
                }
                let was_its_own = from.revoking.get(topic).is_some_and(|epochs| epochs.contains_key(index));
                let is_held = (self.is_held)(*topic, *index) && !is_planted(PlantedFault::RevocationNotAwaited);
                if is_held && !was_its_own {
                    unreleased = true;
                } else {
                    assigned.entry(*topic).or_default().insert(*index, self.target_epoch);
                }
            }
        }
        let state = if unreleased { MemberState::UnreleasedPartitions } else { MemberState::Stable };
        let epoch = self.target_epoch;
        Current { epoch, previous_epoch: from.epoch, state, assigned, revoking: Owned::new() }
    }

    /// Without a new target: topics that the member reads no more are taken from it.
    fn if_subscription_changed(&self, from: &Current) -> Current {
        let (mut assigned, mut revoking) = (from.assigned.clone(), from.revoking.clone());
        if !self.subscription_changed {
            return from.clone();
        }
        let gone: Vec<TopicId> = assigned.keys().filter(|topic| !self.reads.contains(*topic)).copied().collect();
        if gone.is_empty() {
            return from.clone();
        }
        for topic in gone {
            if let Some(epochs) = assigned.remove(&topic) {
                revoking.entry(topic).or_default().extend(epochs);
            }
        }
        let (epoch, previous_epoch) = (from.epoch, from.epoch);
        if self.owns_any(&revoking) {
            Current { epoch, previous_epoch, state: MemberState::UnrevokedPartitions, assigned, revoking }
        } else {
            // It gave them up before it was asked to.
            Current { epoch, previous_epoch, assigned, ..from.clone() }
        }
    }
}
