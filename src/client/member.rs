//! A member of a classic consumer group that reads one topic: it joins, takes its share, and stores how far it has come.
//! Blocking; its heartbeats go on by themselves (`pulse`).
//!
//! Invariant: only offsets that its user has marked as done are stored, and before a share is given up they are. What is
//! done and could not be stored does not come again, unless somebody else has read there since.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::admin::{OffsetAt, offset_at, offsets_at};
use super::cluster::{Cluster, GROWTH_EVERY, unasked};
use super::consumer::{Consumer, Received};
use super::error::ClientError;
use super::groups::CONSUMER;
use super::offsets::{Committer, commit_offsets, committed_offsets};
use super::pulse::{Pulse, leaving};
use super::subscription::{Assignment, RANGE, Subscription, by_ranges};
use crate::wire::messages::Response;
use crate::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use crate::wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use crate::wire::{Bytes, ErrorCode, Str};

const SESSION: Duration = Duration::from_secs(10);
/// How long the others wait for this member in a rebalance; below the time that a reply is waited for.
const REBALANCE: Duration = Duration::from_secs(45);
/// How often what is done is stored.
const COMMIT: Duration = Duration::from_secs(1);

pub struct Member {
    consumer: Consumer,
    group: String,
    topic: String,
    /// Where to begin in a partition of which the group has no offset.
    otherwise: OffsetAt,
    /// The coordinator's name for it; empty before the first join.
    id: String,
    /// `None`: it has to join.
    generation: Option<i32>,
    pulse: Pulse,
    committed: Instant,
    /// Next offsets that are done and not stored yet.
    done: BTreeMap<i32, i64>,
    /// What the group has stored of each partition of its share, as far as it knows.
    stored: BTreeMap<i32, i64>,
    /// Of a leader: how many partitions there were of each topic when it shared them out.
    counted: BTreeMap<Str, i32>,
    looked: Instant,
}

impl Member {
    pub fn new(cluster: Cluster, group: &str, topic: &str, otherwise: OffsetAt) -> Member {
        Member {
            pulse: Pulse::start(cluster.origin(), group),
            consumer: Consumer::new(cluster, topic),
            group: group.to_owned(),
            topic: topic.to_owned(),
            otherwise,
            id: String::new(),
            generation: None,
            committed: Instant::now(),
            done: BTreeMap::new(),
            stored: BTreeMap::new(),
            counted: BTreeMap::new(),
            looked: Instant::now(),
        }
    }

    /// The next offset of each partition of its share.
    pub fn positions(&self) -> &BTreeMap<i32, i64> {
        self.consumer.positions()
    }

    /// This record need not come again.
    pub fn done(&mut self, record: &Received) {
        self.done.insert(record.partition, record.offset.saturating_add(1));
    }

    /// What has come for its share; waits for it no longer than `wait`, beside the time that a rebalance takes.
    pub fn poll(&mut self, wait: Duration) -> Result<Vec<Received>, ClientError> {
        if !self.keeps_its_share()? {
            self.join()?;
        }
        if self.consumer.positions().is_empty() {
            // More members than partitions.
            std::thread::sleep(wait);
            return Ok(Vec::new());
        }
        self.consumer.poll(wait)
    }

    /// For whoever takes long over what it was handed, in between: stores what is done. False: the share is given up, and
    /// what is left of it comes again, to this member or to another.
    pub fn keeps_its_share(&mut self) -> Result<bool, ClientError> {
        let told = self.pulse.alive();
        if self.committed.elapsed() >= COMMIT || told == Some(ErrorCode::RebalanceInProgress) {
            self.commit()?;
        }
        match told {
            None => {}
            Some(code) => self.rejoin_after(ClientError::refused(format!("group \"{}\"", self.group), code))?,
        }
        if self.generation.is_some() && !self.counted.is_empty() && self.looked.elapsed() >= GROWTH_EVERY {
            self.look_for_growth()?;
        }
        Ok(self.generation.is_some())
    }

    /// Stores what is done.
    pub fn commit(&mut self) -> Result<(), ClientError> {
        self.committed = Instant::now();
        let Some(generation) = self.generation.filter(|_| !self.done.is_empty()) else { return Ok(()) };
        let offsets = self.done.iter().map(|(partition, offset)| ((self.topic.clone(), *partition), *offset)).collect();
        let committer = Committer { member: &self.id, generation };
        match commit_offsets(self.consumer.cluster(), &self.group, committer, &offsets) {
            Ok(()) => self.stored.append(&mut self.done),
            Err(e) => self.rejoin_after(e)?,
        }
        Ok(())
    }

    /// Stores what is done and gives its share to the others at once. An error where it could not be stored, because the
    /// group has gone on without this member.
    pub fn leave(mut self) -> Result<(), ClientError> {
        self.commit()?;
        if self.generation.is_none() {
            return match self.done.is_empty() {
                true => Ok(()),
                false => Err(ClientError::NotStored { group: self.group }),
            };
        }
        self.pulse.rest();
        match self.consumer.cluster().call_coordinator(&self.group, leaving(&self.group, &self.id))? {
            Response::LeaveGroup(_) => Ok(()),
            other => Err(unasked("the coordinator", &other)),
        }
    }

    /// The leader shares out anew when a topic has another number of partitions: when it joins again, all do.
    fn look_for_growth(&mut self) -> Result<(), ClientError> {
        self.looked = Instant::now();
        let Member { consumer, counted, .. } = self;
        let mut grown = false;
        for (topic, count) in counted {
            grown |= partitions_of(consumer.cluster(), topic)? != *count;
        }
        if grown {
            self.commit()?;
            self.generation = None;
            self.pulse.rest();
        }
        Ok(())
    }

    /// Joins anew after an error that only says that the group went on without it.
    fn rejoin_after(&mut self, error: ClientError) -> Result<(), ClientError> {
        let ClientError::Refused { code, .. } = &error else { return Err(error) };
        match code {
            // It is a member still: under a new id the others would wait for the old one.
            ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration => {}
            ErrorCode::UnknownMemberId => self.id.clear(),
            _ => return Err(error),
        }
        self.generation = None;
        self.pulse.rest();
        Ok(())
    }

    fn join(&mut self) -> Result<(), ClientError> {
        loop {
            let joined = self.ask_to_join()?;
            match joined.error_code {
                ErrorCode::None => {}
                // The coordinator has given it a name to join with (KIP-394).
                ErrorCode::MemberIdRequired => {
                    self.id = joined.member_id.to_string();
                    continue;
                }
                ErrorCode::RebalanceInProgress => continue,
                ErrorCode::UnknownMemberId => {
                    self.id.clear();
                    continue;
                }
                code => return Err(ClientError::refused(format!("group \"{}\" was not joined", self.group), code)),
            }
            self.id = joined.member_id.to_string();
            let Some(share) = self.sync(&joined)? else { continue };
            self.pulse.keep(&self.id, joined.generation_id);
            self.generation = Some(joined.generation_id);
            return self.take(&share);
        }
    }

    fn ask_to_join(&mut self) -> Result<JoinGroupResponse, ClientError> {
        let metadata = Subscription::to(&[&self.topic]).write()?;
        let request = JoinGroupRequest {
            group_id: self.group.as_str().into(),
            session_timeout_ms: millis(SESSION),
            rebalance_timeout_ms: millis(REBALANCE),
            member_id: self.id.as_str().into(),
            protocol_type: CONSUMER.into(),
            protocols: vec![JoinGroupRequestProtocol { name: RANGE.into(), metadata }],
            ..Default::default()
        };
        let group = self.group.as_str();
        self.consumer.cluster().retrying(|cluster| match cluster.call_coordinator(group, request.clone())? {
            Response::JoinGroup(reply) => passing(group, reply.error_code).map(|_| reply),
            other => Err(unasked("the coordinator", &other)),
        })
    }

    /// Its share of the generation; the leader brings everybody's. `None`: the group has moved on meanwhile.
    fn sync(&mut self, joined: &JoinGroupResponse) -> Result<Option<Vec<i32>>, ClientError> {
        let leads = joined.leader == joined.member_id && !joined.skip_assignment;
        self.counted.clear();
        let assignments = if leads { self.assign(joined)? } else { Vec::new() };
        let request = SyncGroupRequest {
            group_id: self.group.as_str().into(),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            protocol_type: Some(CONSUMER.into()),
            protocol_name: Some(RANGE.into()),
            assignments,
            ..Default::default()
        };
        let group = self.group.as_str();
        let reply =
            self.consumer.cluster().retrying(|cluster| match cluster.call_coordinator(group, request.clone())? {
                Response::SyncGroup(reply) => passing(group, reply.error_code).map(|_| reply),
                other => Err(unasked("the coordinator", &other)),
            })?;
        match reply.error_code {
            ErrorCode::None => {}
            ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration => return Ok(None),
            ErrorCode::UnknownMemberId => {
                self.id.clear();
                return Ok(None);
            }
            code => return Err(ClientError::refused(format!("the share of group \"{group}\""), code)),
        }
        // A leader that had nothing for it sends nothing.
        let assignment = match reply.assignment.is_empty() {
            true => Assignment::default(),
            false => read(&reply.assignment, Assignment::read)?,
        };
        let of_topic = assignment.partitions.into_iter().filter(|assigned| assigned.topic.as_str() == self.topic);
        Ok(Some(of_topic.flat_map(|assigned| assigned.partitions).collect()))
    }

    /// What each member of the generation is to read. Others may read topics that this one does not.
    fn assign(&mut self, joined: &JoinGroupResponse) -> Result<Vec<SyncGroupRequestAssignment>, ClientError> {
        let mut readers: BTreeMap<Str, Vec<Str>> = BTreeMap::new();
        for member in &joined.members {
            readers.insert(member.member_id.clone(), read(&member.metadata, Subscription::read)?.topics);
        }
        let cluster = self.consumer.cluster();
        let mut partitions: BTreeMap<Str, i32> = BTreeMap::new();
        for topic in readers.values().flatten() {
            if !partitions.contains_key(topic) {
                partitions.insert(topic.clone(), partitions_of(cluster, topic)?);
            }
        }
        let mut assignments = Vec::new();
        for (member_id, share) in by_ranges(&readers, &partitions) {
            assignments.push(SyncGroupRequestAssignment { member_id, assignment: share.write()? });
        }
        (self.counted, self.looked) = (partitions, Instant::now());
        Ok(assignments)
    }

    /// Reads this share from where the group stands in it.
    fn take(&mut self, share: &[i32]) -> Result<(), ClientError> {
        for partition in self.consumer.positions().keys().copied().collect::<Vec<_>>() {
            self.consumer.unassign(partition);
        }
        let (group, topic, otherwise) = (self.group.as_str(), self.topic.as_str(), self.otherwise);
        let cluster = self.consumer.cluster();
        // Its leader may know of partitions that this member has not heard of.
        cluster.topic_anew(topic)?;
        let mut stored = committed_offsets(cluster, group)?;
        let firsts = offsets_at(cluster, topic, share, OffsetAt::Beginning)?;
        let known = std::mem::take(&mut self.stored);
        self.done.retain(|partition, _| share.contains(partition));
        for &partition in share {
            let stored = stored.remove(&(topic.to_owned(), partition));
            self.stored.extend(stored.map(|offset| (partition, offset)));
            let first = firsts.get(&partition).copied().flatten().unwrap_or(0);
            if stored != known.get(&partition).copied() {
                // Somebody else was there since.
                self.done.remove(&partition);
            }
            let offset = match self.done.get(&partition).copied().or(stored) {
                // Retention may have passed it.
                Some(offset) => offset.max(first),
                None => {
                    let cluster = self.consumer.cluster();
                    let wanted = offset_at(cluster, topic, partition, otherwise)?;
                    let end = offset_at(cluster, topic, partition, OffsetAt::End)?;
                    wanted.or(end).unwrap_or(first)
                }
            };
            self.consumer.assign(partition, offset);
        }
        Ok(())
    }
}

/// How many partitions a topic has now; none if it is gone.
fn partitions_of(cluster: &mut Cluster, topic: &str) -> Result<i32, ClientError> {
    match cluster.topic_anew(topic) {
        Ok(info) => Ok(i32::try_from(info.partitions.len()).unwrap_or(i32::MAX)),
        Err(ClientError::NoTopic { .. }) => Ok(0),
        Err(e) => Err(e),
    }
}

/// Errors that go away are tried again; the others are for the caller to read.
fn passing(group: &str, code: ErrorCode) -> Result<ErrorCode, ClientError> {
    let error = ClientError::refused(format!("group \"{group}\""), code);
    if code != ErrorCode::None && error.is_passing() { Err(error) } else { Ok(code) }
}

fn read<T>(bytes: &Bytes, read: impl Fn(&Bytes) -> Result<T, crate::wire::DecodeError>) -> Result<T, ClientError> {
    read(bytes).map_err(|e| super::error::not_kafka("a member of the group", e))
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}
