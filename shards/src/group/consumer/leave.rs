//! Members that go: by their last heartbeat, for a short while as a static member, or by silence. Owning core only; pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::request::{ConsumerBeat, ConsumerTold, Refused};
use super::super::turn::Turn;
use super::ConsumerGroup;
use super::member::AWAY;
use super::record::{ConsumerRecord, Current, Owned};

impl ConsumerGroup {
    /// The epoch says how: -1 for good, -2 as a static member that keeps its place until its session time-out.
    pub(super) fn leave(&mut self, turn: &mut Turn<'_>, beat: &ConsumerBeat) -> Result<ConsumerTold, Refused> {
        match &beat.instance {
            None if self.members.contains_key(&beat.member) => {}
            None => return Err(self.unknown(&beat.member)),
            Some(instance) => {
                let known = self.statics.get(instance).and_then(|id| self.members.get(id));
                self.check_static(known, instance, &beat.member)?;
            }
        }
        let is_for_good = beat.epoch != AWAY || beat.instance.is_none();
        tracing::info!(group = %self.id, member = %beat.member, is_for_good, "a member leaves");
        if is_for_good {
            self.remove_members(turn, &BTreeSet::from([beat.member.clone()]));
        } else if let Some(member) = self.members.get_mut(&beat.member) {
            // What it was to give up it has given up; it is not to be fenced for it before it comes back.
            member.rebalance.disarm();
            let away = Current { epoch: AWAY, revoking: Owned::new(), ..member.current.clone() };
            self.put(turn, ConsumerRecord::Current { member: beat.member.clone(), value: Some(away) });
        }
        Ok(ConsumerTold { member: beat.member.clone(), epoch: beat.epoch, heartbeat_interval_ms: 0, assignment: None })
    }

    /// Members are gone, what they had is free, and the others share that in a new epoch: or as a classic group, if that is
    /// what it becomes.
    pub(super) fn remove_members(&mut self, turn: &mut Turn<'_>, ids: &BTreeSet<Arc<str>>) {
        if ids.is_empty() {
            return;
        }
        for id in ids {
            self.forget_in_log(turn, id);
        }
        self.forget_patterns(turn);
        if !self.is_to_be_downgraded(turn.settings) {
            self.begin_epoch_if(turn, true);
        }
    }

    /// The tombstones of a member, in Kafka's order.
    pub(super) fn forget_in_log(&mut self, turn: &mut Turn<'_>, id: &Arc<str>) {
        self.put(turn, ConsumerRecord::Current { member: id.clone(), value: None });
        self.put(turn, ConsumerRecord::Target { member: id.clone(), value: None });
        self.put(turn, ConsumerRecord::Member { member: id.clone(), value: None });
    }
}
