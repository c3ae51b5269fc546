//! The coordinators of a core: one for each `__consumer_offsets` partition that it owns. Owning core only.
//!
//! `load` reads a partition's log into a machine, `tasks` are time-outs, expiry, and replies that wait for the disk.
//!
//! Invariant: what a coordinator says leaves only when everything that it appended before is durable (R1). A machine whose
//! append failed is ahead of its log: it is thrown away and made anew from the log.

mod load;
mod tasks;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use super::append::AppendResult;
use super::core::ShardCore;
use crate::batch::{BatchBuilder, NewRecord, ValidBatch};
use crate::group::{AskId, Effects, GroupError, GroupRecord, GroupReply, GroupRequest, GroupSettings, Groups, Now};
use crate::planted::{PlantedFault, is_planted};
use crate::request::{AppendError, AppendPart, GroupPlace, GroupsPart};
use crate::router::oneshot::{Asked, Reply, oneshot};
use crate::types::{Mono, Offset, PartitionId};

pub use load::run as run_loads;
pub use tasks::{run_expiry, run_outbox, run_replies, run_timers};

/// What an asker gets: the machine's answer, or why there is none.
pub type GroupAnswer = Result<GroupReply, GroupError>;

/// A batch of at least so many records ends before the next group's; one of offsets stays far below what every reader
/// takes.
const RECORDS_PER_BATCH: usize = 1000;

/// Replies that leave in one go: each wakes the task of a connection, which makes it and writes it to its socket. A rebalance
/// answers all members of a group; what wakes together runs together, for some milliseconds where they are hundreds.
const REPLIES_AT_ONCE: usize = 4;

/// Groups that are listed in one step: each takes about 1 µs.
const LISTED_PER_STEP: usize = 128;

/// Refusals for want of memory are told on stderr no more often.
const FULL_TOLD_EVERY: Duration = Duration::from_secs(10);

/// All coordinators of this core.
pub struct Coordinators {
    settings: Arc<GroupSettings>,
    of: BTreeMap<PartitionId, Coordinator>,
    to_load: VecDeque<PartitionId>,
    /// What the coordinators hold, about.
    held_bytes: usize,
    /// In the order of their appends.
    unsent: VecDeque<Unsent>,
    /// Replies that may leave, when those of their step before them have.
    outbox: VecDeque<(Reply<GroupAnswer>, GroupReply)>,
    next_ask: u64,
    /// When it was last told that groups hold too much.
    full_told_at: Option<Mono>,
    /// When the time-outs are looked at next, as far as their task knows, and whose were fired last.
    next_look: Mono,
    fired: Option<PartitionId>,
}

struct Coordinator {
    state: State,
    /// What all coordinators' count has of it.
    counted: usize,
    /// Who waits for a later step.
    askers: BTreeMap<AskId, Reply<GroupAnswer>>,
    /// Steps that append or wait for what was appended, and those of them that are over: the others are not durable yet.
    steps: u64,
    steps_over: u64,
    /// Deleted topics whose offsets may still be in the log, in the order of their deletions.
    gone: Vec<GoneTopic>,
}

/// A deleted topic, and the end of the log then: what lies before it is the deleted topic's, what comes later is another's.
struct GoneTopic {
    name: Arc<str>,
    log_end: Offset,
    /// The machine's walk that takes its offsets out of the groups; known once there is a machine.
    walk: u64,
    /// The steps by which the walk was over: when they are durable, the tombstones are.
    forgotten_at: Option<u64>,
}

impl GoneTopic {
    fn new(name: Arc<str>, log_end: Offset) -> GoneTopic {
        GoneTopic { name, log_end, walk: 0, forgotten_at: None }
    }
}

enum State {
    Loading,
    Ready(Groups),
    /// The log cannot be read.
    Failed,
}

/// What may leave once an append is durable.
struct Unsent {
    partition: PartitionId,
    /// `None`: there was nothing to append, and something before it is not durable yet.
    appended: Option<Asked<Vec<AppendResult>>>,
    replies: Vec<(Reply<GroupAnswer>, GroupReply)>,
}

impl Coordinators {
    pub fn new(settings: Arc<GroupSettings>) -> Coordinators {
        Coordinators {
            settings,
            of: BTreeMap::new(),
            to_load: VecDeque::new(),
            held_bytes: 0,
            unsent: VecDeque::new(),
            outbox: VecDeque::new(),
            next_ask: 0,
            full_told_at: None,
            next_look: Mono(0),
            fired: None,
        }
    }

    pub fn count(&self) -> usize {
        let machine = |coordinator: &Coordinator| match &coordinator.state {
            State::Ready(machine) => machine.len(),
            State::Loading | State::Failed => 0,
        };
        self.of.values().map(machine).sum()
    }

    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Coordinators whose log cannot be read.
    pub fn failed(&self) -> usize {
        self.of.values().filter(|coordinator| matches!(coordinator.state, State::Failed)).count()
    }
}

impl ShardCore {
    /// This core owns a partition that holds groups; a fresh one has nothing to be read.
    pub fn add_coordinator(&mut self, partition: PartitionId, is_fresh: bool) {
        let state = if is_fresh { State::Ready(Groups::new(self.groups.settings.clone())) } else { State::Loading };
        let coordinator =
            Coordinator { state, counted: 0, askers: BTreeMap::new(), steps: 0, steps_over: 0, gone: Vec::new() };
        self.remove_coordinator(partition);
        self.groups.of.insert(partition, coordinator);
    }

    /// Whether the partition holds groups: only their coordinator appends to it.
    pub fn has_coordinator(&self, partition: PartitionId) -> bool {
        self.groups.of.contains_key(&partition)
    }

    /// The partition is gone, and its groups with it.
    pub fn remove_coordinator(&mut self, partition: PartitionId) {
        if let Some(mut coordinator) = self.groups.of.remove(&partition) {
            coordinator.turn_all_away();
            self.groups.held_bytes -= coordinator.counted;
        }
    }

    /// Reads the logs of what a start found. Until then whoever asks is told to come again.
    pub fn load_coordinators(&mut self) {
        let groups = &mut self.groups;
        let loading = groups.of.iter().filter(|(_, coordinator)| matches!(coordinator.state, State::Loading));
        groups.to_load = loading.map(|(partition, _)| *partition).collect();
        self.signals.group_loads.notify();
    }

    /// Carries out a request about a group; the answer may come in a later step.
    pub fn ask_group(
        &mut self,
        now: Mono,
        wall_ms: i64,
        partition: PartitionId,
        request: GroupRequest,
        reply: Reply<GroupAnswer>,
    ) {
        let may_append = self.may_append_records(partition);
        let groups = &mut self.groups;
        let room = groups.settings.memory_bytes.saturating_sub(groups.held_bytes);
        let Some(coordinator) = groups.of.get_mut(&partition) else {
            return reply.send(Err(GroupError::NotCoordinator));
        };
        let machine = match &mut coordinator.state {
            State::Loading => return reply.send(Err(GroupError::Loading)),
            State::Failed => return reply.send(Err(GroupError::NotAvailable)),
            State::Ready(machine) => machine,
        };
        // Whatever changes a group may have to store it.
        if let Err(error) = may_append
            && !request.only_reads()
        {
            return reply.send(Err(error));
        }
        if let Err(error) = machine.has_room_for(&request, room) {
            if groups.full_told_at.is_none_or(|at| now.since(at) >= FULL_TOLD_EVERY) {
                groups.full_told_at = Some(now);
                tracing::warn!(group = %request.group(), "refused: the group, or all groups of this core, hold too much");
            }
            return reply.send(Err(error));
        }
        groups.next_ask += 1;
        let ask = AskId(groups.next_ask);
        let effects = machine.handle(Now { mono: now, wall_ms }, &self.catalog.borrow(), ask, request);
        coordinator.askers.insert(ask, reply);
        self.carry_out(now, wall_ms, partition, effects);
    }

    /// The next groups of this core's coordinators, [some](LISTED_PER_STEP) at most: others are served between two such steps,
    /// and what is there then counts. Fails at a coordinator that cannot tell yet. Of one whose log cannot be read nothing is
    /// known, and those of the others are told, as Kafka does.
    pub fn list_groups(&self, after: Option<&GroupPlace>) -> Result<GroupsPart, GroupError> {
        let from = after.map_or(Bound::Unbounded, |place| Bound::Included(place.partition));
        let mut part = GroupsPart::default();
        for (partition, coordinator) in self.groups.of.range((from, Bound::Unbounded)) {
            let machine = match &coordinator.state {
                State::Loading => return Err(GroupError::Loading),
                State::Failed => continue,
                State::Ready(machine) => machine,
            };
            let behind = after.filter(|place| place.partition == *partition).map(|place| &place.group);
            part.groups.extend(machine.list(behind, LISTED_PER_STEP - part.groups.len()));
            if part.groups.len() == LISTED_PER_STEP {
                part.last =
                    part.groups.last().map(|last| GroupPlace { partition: *partition, group: last.group.clone() });
                break;
            }
        }
        Ok(part)
    }

    /// Topics are gone: no group keeps offsets in them. The time-outs' task sees to that, when it can be stored.
    pub fn forget_offsets_of(&mut self, topics: &[Arc<str>]) {
        if topics.is_empty() {
            return;
        }
        let names: BTreeSet<&str> = topics.iter().map(|topic| &**topic).collect();
        let ends: BTreeMap<PartitionId, Offset> =
            self.groups.of.keys().filter_map(|id| Some((*id, self.get(self.slot_of(*id)?)?.log.log_end()))).collect();
        for (partition, coordinator) in &mut self.groups.of {
            let Some(log_end) = ends.get(partition) else { continue };
            let walk = match &mut coordinator.state {
                State::Ready(machine) => {
                    // What was to be forgotten of an earlier one lies before this end as well.
                    coordinator.gone.retain(|known| !names.contains(&*known.name));
                    let walk = machine.next_walk();
                    topics.iter().for_each(|topic| machine.forget_topic(topic.clone()));
                    walk
                }
                State::Loading => 0,
                // No log is read here any more in this run; a start asks the catalog.
                State::Failed => continue,
            };
            coordinator
                .gone
                .extend(topics.iter().map(|topic| GoneTopic { walk, ..GoneTopic::new(topic.clone(), *log_end) }));
        }
        self.signals.group_timers.notify();
    }

    /// Whether a record would be taken now.
    fn may_append_records(&self, partition: PartitionId) -> Result<(), GroupError> {
        if self.stopping {
            return Err(GroupError::NotCoordinator);
        }
        let known = self.slot_of(partition).and_then(|slot| self.get(slot)).ok_or(GroupError::NotCoordinator)?;
        if self.disk_full || known.offline.is_some() { Err(GroupError::NotAvailable) } else { Ok(()) }
    }

    /// After a step on a coordinator's machine: appends records and lets replies go once they may.
    fn carry_out(&mut self, now: Mono, wall_ms: i64, partition: PartitionId, effects: Effects) {
        let Effects { records, replies } = effects;
        let appended = (!records.is_empty()).then(|| {
            let (reply, appended) = oneshot();
            match parts_of(partition, &records, wall_ms) {
                Ok(parts) => self.append(now, wall_ms, parts, reply),
                Err(why) => {
                    tracing::error!(partition = partition.index, why, "records of groups cannot be written");
                    reply.send(vec![Err(AppendError::Unknown)]);
                }
            }
            appended
        });
        let Some(coordinator) = self.groups.of.get_mut(&partition) else { return };
        let mut replies: Vec<_> =
            replies.into_iter().filter_map(|(ask, answer)| Some((coordinator.askers.remove(&ask)?, answer))).collect();
        let may_leave = appended.is_none() && coordinator.unsynced() == 0;
        let waits = !may_leave && (appended.is_some() || !replies.is_empty());
        coordinator.steps += u64::from(waits);
        coordinator.note_forgotten();
        if may_leave {
            self.send(replies);
        } else if waits {
            if is_planted(PlantedFault::GroupToldEarly) {
                self.send(std::mem::take(&mut replies));
            }
            self.groups.unsent.push_back(Unsent { partition, appended, replies });
            self.signals.group_replies.notify();
        }
        self.groups.recount(partition);
        if self.next_deadline_of(partition).is_some_and(|next| next < self.groups.next_look) {
            self.signals.group_timers.notify();
        }
    }

    /// Lets replies go that may: the first of many at once, the others by and by.
    fn send(&mut self, mut replies: Vec<(Reply<GroupAnswer>, GroupReply)>) {
        // At the end of a core nobody sends what is left behind.
        if replies.len() > REPLIES_AT_ONCE && !self.stopping {
            self.groups.outbox.extend(replies.drain(REPLIES_AT_ONCE..));
            self.signals.group_outbox.notify();
        }
        for (reply, answer) in replies {
            reply.send(Ok(answer));
        }
    }

    /// The next time-out of a coordinator that could be fired when it is due.
    fn next_deadline_of(&self, partition: PartitionId) -> Option<Mono> {
        match &self.groups.of.get(&partition)?.state {
            State::Ready(machine) if self.may_append_records(partition).is_ok() => machine.next_deadline(),
            State::Ready(_) | State::Loading | State::Failed => None,
        }
    }

    /// The next of all coordinators'.
    fn next_group_deadline(&self) -> Option<Mono> {
        self.groups.of.keys().filter_map(|partition| self.next_deadline_of(*partition)).min()
    }

    /// A step's records are durable, or will never be. After one that failed, what later steps say rests on it too: it
    /// stays here as well. The coordinator is not loaded before all of them are over.
    fn step_is_over(&mut self, unsent: Unsent, outcome: Result<(), AppendError>) {
        let Some(coordinator) = self.groups.of.get_mut(&unsent.partition) else { return };
        coordinator.steps_over += 1;
        let is_ready = matches!(coordinator.state, State::Ready(_));
        if outcome.is_ok() {
            coordinator.note_forgotten();
        }
        let error = match outcome {
            Ok(()) if is_ready => return self.send(unsent.replies),
            Ok(()) => None,
            Err(error) => Some(error),
        };
        for (reply, _) in unsent.replies {
            reply.send(Err(GroupError::NotAvailable));
        }
        if let Some(error) = error.filter(|_| is_ready) {
            tracing::warn!(partition = unsent.partition.index, %error, "groups could not be stored: they are read anew");
            coordinator.state = State::Loading;
            for topic in &mut coordinator.gone {
                topic.forgotten_at = None;
            }
            coordinator.turn_all_away();
            self.groups.recount(unsent.partition);
            self.groups.to_load.push_back(unsent.partition);
            self.signals.group_loads.notify();
        }
    }
}

impl Coordinators {
    /// A coordinator's machine has changed, or there is none any more.
    fn recount(&mut self, partition: PartitionId) {
        let Some(coordinator) = self.of.get_mut(&partition) else { return };
        let now = coordinator.bytes();
        self.held_bytes = self.held_bytes - std::mem::replace(&mut coordinator.counted, now) + now;
    }

    fn has_outbox(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// The next replies leave.
    fn send_some(&mut self) {
        for (reply, answer) in self.outbox.drain(..self.outbox.len().min(REPLIES_AT_ONCE)) {
            reply.send(Ok(answer));
        }
    }

    /// Nobody waits any more.
    pub fn turn_all_away(&mut self) {
        while self.has_outbox() {
            self.send_some();
        }
        for coordinator in self.of.values_mut() {
            coordinator.turn_all_away();
        }
    }
}

impl Coordinator {
    fn bytes(&self) -> usize {
        match &self.state {
            State::Ready(machine) => machine.bytes(),
            State::Loading | State::Failed => 0,
        }
    }

    /// How many steps are not durable yet.
    fn unsynced(&self) -> u64 {
        self.steps - self.steps_over
    }

    /// Deleted topics whose last offset is out of the log are done with.
    fn note_forgotten(&mut self) {
        let State::Ready(machine) = &self.state else { return };
        let (walks_over, steps, steps_over) = (machine.walks_over(), self.steps, self.steps_over);
        self.gone.retain_mut(|topic| {
            if topic.walk <= walks_over {
                topic.forgotten_at.get_or_insert(steps);
            }
            topic.forgotten_at.is_none_or(|steps| steps > steps_over)
        });
    }

    /// Whoever waits looks for the coordinator again.
    fn turn_all_away(&mut self) {
        for reply in std::mem::take(&mut self.askers).into_values() {
            reply.send(Err(GroupError::NotCoordinator));
        }
    }
}

/// The records as batches, in their order. What a step changes of one group is in one batch, however much that is, and so
/// in one commit: a start finds all of it or nothing.
fn parts_of(partition: PartitionId, records: &[GroupRecord], wall_ms: i64) -> Result<Vec<AppendPart>, String> {
    let mut chunks: Vec<&[GroupRecord]> = Vec::new();
    let mut begin = 0;
    for (at, pair) in (1..).zip(records.windows(2)) {
        let is_other_group = !matches!(pair, [before, next] if before.group() == next.group());
        if at - begin >= RECORDS_PER_BATCH && is_other_group {
            chunks.extend(records.get(begin..at));
            begin = at;
        }
    }
    chunks.extend(records.get(begin..));
    let batches = chunks.into_iter().map(|some| {
        let mut builder = BatchBuilder::new(wall_ms);
        for record in some {
            let (key, value) = record.encode().map_err(|e| e.to_string())?;
            let new = NewRecord { timestamp_ms: wall_ms, key: Some(&key), value: value.as_deref(), headers: &[] };
            builder.push(&new);
        }
        let bytes = builder.finish().map_err(|e| e.to_string())?;
        let batch = ValidBatch::parse(bytes).map_err(|e| e.to_string())?;
        Ok(AppendPart { partition, batch, acks_all: false })
    });
    batches.collect()
}
