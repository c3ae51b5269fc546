//! ConsumerGroupHeartbeat: a member joins, says what it reads and has, and hears what it may read. Owning core only; pure.
//!
//! Invariant: what may be refused is checked before anything is put into the log.

use std::sync::Arc;

use super::super::request::{ConsumerBeat, ConsumerTold, GroupError, Refused};
use super::super::turn::Turn;
use super::ConsumerGroup;
use super::member::{AWAY, Member, parts_of};
use super::reconcile::Step;
use super::record::{ConsumerRecord, Current, MemberSaid, Owned, Parts};
use super::subscription::compile;

impl ConsumerGroup {
    pub fn heartbeat(&mut self, turn: &mut Turn<'_>, beat: &ConsumerBeat) -> Result<ConsumerTold, Refused> {
        if beat.epoch < 0 {
            return self.leave(turn, beat);
        }
        let most = turn.settings.consumer_members_max;
        if self.members.len() >= most && !self.members.contains_key(&beat.member) {
            let why = format!("The consumer group has reached its maximum capacity of {most} members.");
            return Err(Refused { error: GroupError::MaxSizeReached, why });
        }
        let id: Arc<str> = if beat.member.is_empty() {
            uuid::Builder::from_random_bytes(beat.fresh).into_uuid().to_string().into()
        } else {
            beat.member.clone()
        };
        let replaced = self.check_beat(beat, &id)?;
        let before = self.members.get(replaced.as_ref().unwrap_or(&id));
        let said_before = before.map_or_else(MemberSaid::nothing, |member| member.said.clone());
        let said = said_now(&said_before, beat);
        if said.regex != said_before.regex && self.is_new_pattern(&said) {
            check_pattern(&said)?;
        }

        if let Some(old) = &replaced {
            self.replace_static(turn, old, &id);
        } else if before.is_none() {
            tracing::info!(group = %self.id, member = %id, "a member joins");
        }
        let read_changed = self.take_what_is_said(turn, &id, &said_before, said);
        self.compute_target_if_due(turn);
        let had = self.members.get(&id).map(|member| member.current.assigned.clone()).unwrap_or_default();
        self.reconcile(turn, &id, beat.owns.as_ref(), read_changed)?;
        self.put_off_session(turn, &id);
        Ok(self.tell(turn, &id, beat, &had))
    }

    /// Whether the member is who it says it is. Tells the static member whose place it takes.
    fn check_beat(&self, beat: &ConsumerBeat, id: &Arc<str>) -> Result<Option<Arc<str>>, Refused> {
        let Some(instance) = &beat.instance else {
            return match self.members.get(id) {
                None if beat.epoch > 0 => Err(self.unknown(id)),
                None => Ok(None),
                Some(member) => check_epoch(beat, member).map(|()| None),
            };
        };
        let known = self.statics.get(instance).and_then(|id| self.members.get(id));
        match known {
            None if beat.epoch == 0 => Ok(None),
            Some(member) if beat.epoch == 0 => {
                // One of the classic protocol makes way without a word.
                if member.current.epoch != AWAY && member.said.classic.is_none() {
                    let why = format!(
                        "Static member {id} with instance id {instance} cannot join the group because the instance id is \
                         owned by {} member.",
                        member.id
                    );
                    return Err(Refused { error: GroupError::UnreleasedInstance, why });
                }
                Ok(Some(member.id.clone()))
            }
            known => {
                let member = self.check_static(known, instance, id)?;
                check_epoch(beat, member).map(|()| None)
            }
        }
    }

    pub(super) fn unknown(&self, id: &str) -> Refused {
        let why = format!("Member {id} is not a member of group {}.", self.id);
        Refused { error: GroupError::UnknownMember, why }
    }

    pub(super) fn check_static<'a>(
        &self,
        known: Option<&'a Member>,
        instance: &str,
        id: &str,
    ) -> Result<&'a Member, Refused> {
        let Some(member) = known else {
            let why = format!("Instance id {instance} is unknown.");
            return Err(Refused { error: GroupError::UnknownMember, why });
        };
        if *member.id != *id {
            let why = format!("Static member {id} with instance id {instance} was fenced by member {}.", member.id);
            return Err(Refused { error: GroupError::FencedInstance, why });
        }
        Ok(member)
    }

    /// The client of a static member was started anew: it has the old one's word, target and partitions under its new id.
    pub(super) fn replace_static(&mut self, turn: &mut Turn<'_>, old: &Arc<str>, id: &Arc<str>) {
        let Some(member) = self.members.get(old) else { return };
        let (said, current) = (member.said.clone(), member.current.clone());
        let target = self.targets.get(old).cloned().unwrap_or_default();
        tracing::info!(group = %self.id, member = %id, %old, "a static member comes back");
        if old != id {
            self.forget_in_log(turn, old);
        }
        self.put(turn, ConsumerRecord::Member { member: id.clone(), value: Some(said) });
        self.put(turn, ConsumerRecord::Target { member: id.clone(), value: Some(target) });
        let value = Some(Current { epoch: 0, previous_epoch: 0, ..current });
        self.put(turn, ConsumerRecord::Current { member: id.clone(), value });
    }

    /// Notes what the member says, and begins an epoch if that, or what became of topics meanwhile, changes who reads what.
    /// Whether the member reads other topics than before.
    pub(super) fn take_what_is_said(
        &mut self,
        turn: &mut Turn<'_>,
        id: &Arc<str>,
        before: &MemberSaid,
        said: MemberSaid,
    ) -> bool {
        let topics_changed = said.topics != before.topics;
        let regex_changed = said.pattern() != before.pattern();
        let is_resolved = said.pattern().is_none_or(|pattern| self.regexes.contains_key(pattern));
        if said != *before || !self.members.contains_key(id) {
            self.put(turn, ConsumerRecord::Member { member: id.clone(), value: Some(said) });
        }
        if regex_changed {
            self.forget_patterns(turn);
        }
        let mut must = topics_changed || regex_changed;
        let topics_moved = self.topics_seen != Some(turn.catalog.topic_changes());
        if topics_moved || !is_resolved {
            must |= self.resolve_patterns(turn, topics_moved);
        }
        if must || topics_moved {
            self.begin_epoch_if(turn, must);
        }
        topics_changed || regex_changed
    }

    /// One step of the member toward its part of the target.
    pub(super) fn reconcile(
        &mut self,
        turn: &mut Turn<'_>,
        id: &Arc<str>,
        owns: Option<&Parts>,
        subscription_changed: bool,
    ) -> Result<(), Refused> {
        let Some(member) = self.members.get(id) else { return Ok(()) };
        if !subscription_changed && member.is_reconciled_to(self.target_epoch.epoch) {
            return Ok(());
        }
        let nothing = Parts::new();
        let step = Step {
            target_epoch: self.target_epoch.epoch,
            target: self.targets.get(id).unwrap_or(&nothing),
            reads: &self.topics_of(&member.said, turn.catalog),
            subscription_changed,
            owns,
            is_held: &|topic, index| self.holders.contains_key(&(topic, index)),
        };
        let next = step.take(&member.current).map_err(|_| Refused {
            error: GroupError::FencedEpoch,
            why: "The consumer group member is in a unknown state. The member must abandon all its partitions and rejoin."
                .to_owned(),
        })?;
        if next != member.current {
            self.put(turn, ConsumerRecord::Current { member: id.clone(), value: Some(next) });
            self.time_revocation(turn, id);
        }
        Ok(())
    }

    /// The assignment goes along when the member asked for all there is, or when it is another than before.
    fn tell(&self, turn: &Turn<'_>, id: &Arc<str>, beat: &ConsumerBeat, had: &Owned) -> ConsumerTold {
        let current = self.members.get(id).map(|member| member.current.clone()).unwrap_or_default();
        let is_full =
            beat.rebalance_timeout_ms != -1 && (beat.topics.is_some() || beat.regex.is_some()) && beat.owns.is_some();
        let assigned = current.assigned_parts();
        let is_told = beat.epoch == 0 || is_full || assigned != parts_of(had);
        ConsumerTold {
            member: id.clone(),
            epoch: current.epoch,
            heartbeat_interval_ms: turn.catalog.group_config(&self.id).heartbeat_interval_ms,
            assignment: is_told.then_some(assigned),
        }
    }
}

/// What a member says with this heartbeat; what it leaves out is as before.
fn said_now(before: &MemberSaid, beat: &ConsumerBeat) -> MemberSaid {
    MemberSaid {
        instance: beat.instance.clone().or_else(|| before.instance.clone()),
        rack: beat.rack.clone().or_else(|| before.rack.clone()),
        client_id: beat.client_id.clone(),
        client_host: beat.client_host.clone(),
        topics: beat.topics.clone().unwrap_or_else(|| before.topics.clone()),
        regex: beat.regex.clone().or_else(|| before.regex.clone()),
        rebalance_timeout_ms: match beat.rebalance_timeout_ms {
            -1 => before.rebalance_timeout_ms,
            said => said,
        },
        assignor: beat.assignor.clone().or_else(|| before.assignor.clone()),
        classic: None,
    }
}

fn check_pattern(said: &MemberSaid) -> Result<(), Refused> {
    let Some(pattern) = said.pattern() else { return Ok(()) };
    compile(pattern).map(drop).map_err(|problem| {
        let why = format!("SubscribedTopicRegex `{pattern}` is not a valid regular expression: {problem}.");
        Refused { error: GroupError::InvalidRegex, why }
    })
}

/// The epoch is the member's. The one before will do, if it has nothing that it may not have: the answer with the new epoch
/// was lost. With 0 it begins anew.
fn check_epoch(beat: &ConsumerBeat, member: &Member) -> Result<(), Refused> {
    let (known, current) = (member.current.epoch, &member.current);
    let owns_only_its_own = || {
        beat.owns.as_ref().is_some_and(|owns| {
            owns.iter().all(|(topic, indexes)| {
                let assigned = current.assigned.get(topic);
                assigned.is_some_and(|assigned| indexes.iter().all(|index| assigned.contains_key(index)))
            })
        })
    };
    let than = match beat.epoch {
        0 => return Ok(()),
        said if said == known => return Ok(()),
        said if said > known => "greater",
        said if said == current.previous_epoch && owns_only_its_own() => return Ok(()),
        _ => "smaller",
    };
    let why = format!(
        "The consumer group member has a {than} member epoch ({}) than the one known by the group coordinator ({known}). The \
         member must abandon all its partitions and rejoin.",
        beat.epoch
    );
    Err(Refused { error: GroupError::FencedEpoch, why })
}
