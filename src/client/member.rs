//! A member of a classic consumer group that reads one topic: it joins, takes its share, says that it lives, and stores
//! how far it has come. Blocking; it speaks only between two reads, which are short.
//!
//! Invariant: only offsets that its user has marked as done are stored, and before a share is given up they are.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::admin::{OffsetAt, offset_at, offsets_at};
use super::cluster::{Cluster, unasked};
use super::consumer::{Consumer, Received};
use super::error::ClientError;
use super::groups::CONSUMER;
use super::offsets::{Committer, commit_offsets, committed_offsets};
use super::subscription::{Assignment, RANGE, Subscription, by_ranges};
use crate::wire::messages::Response;
use crate::wire::messages::heartbeat::HeartbeatRequest;
use crate::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use crate::wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use crate::wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use crate::wire::{Bytes, ErrorCode, Str};

const SESSION: Duration = Duration::from_secs(10);
/// How long the others wait for this member in a rebalance; below the time that a reply is waited for.
const REBALANCE: Duration = Duration::from_secs(45);
const HEARTBEAT: Duration = Duration::from_secs(3);
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
    heard: Instant,
    committed: Instant,
    /// Next offsets that are done and not stored yet.
    done: BTreeMap<i32, i64>,
}

impl Member {
    pub fn new(cluster: Cluster, group: &str, topic: &str, otherwise: OffsetAt) -> Member {
        let now = Instant::now();
        Member {
            consumer: Consumer::new(cluster, topic),
            group: group.to_owned(),
            topic: topic.to_owned(),
            otherwise,
            id: String::new(),
            generation: None,
            heard: now,
            committed: now,
            done: BTreeMap::new(),
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
        if self.generation.is_some() && self.committed.elapsed() >= COMMIT {
            self.commit()?;
        }
        if self.generation.is_some() && self.heard.elapsed() >= HEARTBEAT {
            self.heartbeat()?;
        }
        if self.generation.is_none() {
            self.join()?;
        }
        if self.consumer.positions().is_empty() {
            // More members than partitions.
            std::thread::sleep(wait);
            return Ok(Vec::new());
        }
        self.consumer.poll(wait)
    }

    /// Stores what is done.
    pub fn commit(&mut self) -> Result<(), ClientError> {
        self.committed = Instant::now();
        let Some(generation) = self.generation.filter(|_| !self.done.is_empty()) else { return Ok(()) };
        let offsets = self.done.iter().map(|(partition, offset)| ((self.topic.clone(), *partition), *offset)).collect();
        let committer = Committer { member: &self.id, generation };
        match commit_offsets(self.consumer.cluster(), &self.group, committer, &offsets) {
            Ok(()) => self.done.clear(),
            // The share is somebody else's by now, who reads these records again.
            Err(e) => self.rejoin_after(e)?,
        }
        Ok(())
    }

    /// Stores what is done and gives its share to the others at once.
    pub fn leave(mut self) -> Result<(), ClientError> {
        self.commit()?;
        if self.generation.is_none() {
            return Ok(());
        }
        let member = MemberIdentity { member_id: self.id.as_str().into(), ..Default::default() };
        let request =
            LeaveGroupRequest { group_id: self.group.as_str().into(), members: vec![member], ..Default::default() };
        match self.consumer.cluster().call_coordinator(&self.group, request)? {
            Response::LeaveGroup(_) => Ok(()),
            other => Err(unasked("the coordinator", &other)),
        }
    }

    fn heartbeat(&mut self) -> Result<(), ClientError> {
        let request = HeartbeatRequest {
            group_id: self.group.as_str().into(),
            generation_id: self.generation.unwrap_or(-1),
            member_id: self.id.as_str().into(),
            ..Default::default()
        };
        let group = self.group.as_str();
        let code =
            self.consumer.cluster().retrying(|cluster| match cluster.call_coordinator(group, request.clone())? {
                Response::Heartbeat(reply) => passing(group, reply.error_code),
                other => Err(unasked("the coordinator", &other)),
            })?;
        self.heard = Instant::now();
        match code {
            ErrorCode::None => Ok(()),
            ErrorCode::RebalanceInProgress => {
                self.commit()?;
                self.generation = None;
                Ok(())
            }
            code => self.rejoin_after(ClientError::refused(format!("group \"{group}\""), code)),
        }
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
        self.done.clear();
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
            self.heard = Instant::now();
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
        let request = SyncGroupRequest {
            group_id: self.group.as_str().into(),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            protocol_type: Some(CONSUMER.into()),
            protocol_name: Some(RANGE.into()),
            assignments: if leads { self.assign(joined)? } else { Vec::new() },
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
                let count = match cluster.topic(topic, false) {
                    Ok(info) => i32::try_from(info.partitions.len()).unwrap_or(i32::MAX),
                    Err(ClientError::NoTopic { .. }) => 0,
                    Err(e) => return Err(e),
                };
                partitions.insert(topic.clone(), count);
            }
        }
        let mut assignments = Vec::new();
        for (member_id, share) in by_ranges(&readers, &partitions) {
            assignments.push(SyncGroupRequestAssignment { member_id, assignment: share.write()? });
        }
        Ok(assignments)
    }

    /// Reads this share from where the group stands in it.
    fn take(&mut self, share: &[i32]) -> Result<(), ClientError> {
        for partition in self.consumer.positions().keys().copied().collect::<Vec<_>>() {
            self.consumer.unassign(partition);
        }
        let (group, topic, otherwise) = (self.group.as_str(), self.topic.as_str(), self.otherwise);
        let cluster = self.consumer.cluster();
        let stored = committed_offsets(cluster, group)?;
        let firsts = offsets_at(cluster, topic, share, OffsetAt::Beginning)?;
        for &partition in share {
            let stored = stored.get(&(topic.to_owned(), partition)).copied();
            let first = firsts.get(&partition).copied().flatten().unwrap_or(0);
            let offset = match stored {
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
