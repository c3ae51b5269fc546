//! Groups that change between the classic and the consumer protocol while they have members (KIP-848). Owning core only; pure.
//!
//! Invariant: the records of a change are of one step: a start finds the group before it or after it.

use std::sync::Arc;

use super::consumer::ConsumerGroup;
use super::group::{Group, Kind};
use super::groups::{Effects, Groups, Now};
use super::record::GroupRecord;
use super::request::{ConsumerBeat, ConsumerTold, GroupError, Refused};
use super::turn::Turn;
use crate::catalog::Catalog;

impl Groups {
    /// A member of the consumer protocol comes to a group that is classic, or to none. Members that are there go on as members
    /// of a consumer group. If it may not join, all stays as it was.
    pub(super) fn upgrade(
        &mut self,
        now: Now,
        catalog: &Catalog,
        beat: &ConsumerBeat,
        effects: &mut Effects,
    ) -> Result<ConsumerTold, Refused> {
        let (settings, deadlines) = (&self.settings, &mut self.deadlines);
        let mut turn = Turn { now, settings, catalog, deadlines, effects };
        let mut made = match self.groups.get(&beat.group).map(|known| &known.kind) {
            Some(Kind::Classic(classic)) => {
                let members = if classic.is_empty() {
                    Vec::new()
                } else {
                    let refused = |why| Refused { error: GroupError::NotConsumer, why };
                    classic.members_to_upgrade(&turn).map_err(refused)?
                };
                turn.effects.records.push(GroupRecord::Classic { group: beat.group.clone(), value: None });
                if members.is_empty() {
                    ConsumerGroup::new(beat.group.clone())
                } else {
                    ConsumerGroup::upgraded(&mut turn, beat.group.clone(), classic.generation(), members)
                }
            }
            Some(Kind::Consumer(_)) | None => ConsumerGroup::new(beat.group.clone()),
        };
        let told = made.heartbeat(&mut turn, beat);
        if told.is_err() {
            turn.effects.records.clear();
            made.cancel_all(turn.deadlines);
            return told;
        }
        let mut before = self.groups.remove(&beat.group);
        if let Some(Group { kind: Kind::Classic(classic), .. }) = &mut before {
            classic.turn_all_away(&mut turn);
            classic.cancel_all(turn.deadlines);
            made.loaded(&mut turn);
        }
        let (offsets, counted) = before.map(|known| (known.offsets, known.counted)).unwrap_or_default();
        self.groups.insert(beat.group.clone(), Group { offsets, kind: Kind::Consumer(Box::new(made)), counted });
        told
    }

    /// The last member of the consumer protocol may have gone: then the group is a classic one again. `is_replacement`: a
    /// static member of the classic protocol took its place.
    pub(super) fn downgrade_if_due(
        &mut self,
        now: Now,
        catalog: &Catalog,
        id: &Arc<str>,
        is_replacement: bool,
        effects: &mut Effects,
    ) {
        let Some(Group { kind, .. }) = self.groups.get_mut(id) else { return };
        let Kind::Consumer(consumer) = kind else { return };
        if !consumer.is_to_be_downgraded(&self.settings) {
            return;
        }
        let (settings, deadlines) = (&self.settings, &mut self.deadlines);
        let mut turn = Turn { now, settings, catalog, deadlines, effects };
        let made = consumer.downgraded(&mut turn, is_replacement);
        consumer.cancel_all(turn.deadlines);
        *kind = Kind::Classic(made);
    }
}
