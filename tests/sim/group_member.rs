//! A member of a group that speaks the classic protocol: joins, assigns if it leads, commits, and now and then leaves, dies
//! or sleeps past its session. What it held back of an earlier generation it may say late (`group_late`). It may be static, and cooperative as all of its group are; and its next life may speak the
//! consumer protocol.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use corelog::wire::messages::find_coordinator::FindCoordinatorRequest;
use corelog::wire::messages::heartbeat::HeartbeatRequest;
use corelog::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use corelog::wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use corelog::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use corelog::wire::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use corelog::wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use corelog::wire::messages::{Request, Response};
use corelog::wire::{ErrorCode, Str};
use shards::runtime::Runtime;
use shards::runtime::sim::SimRuntime;

use crate::client::{Clients, one_in, pause, pick};
use crate::group_late::Late;
use crate::group_ledger::{Ledger, PARTITIONS, Share};
use crate::link::{Broken, Link};

pub const TOPIC: &str = "read";
pub const GROUP: &str = "group";
pub const SESSION: Duration = Duration::from_secs(2);
pub const REBALANCE: Duration = Duration::from_secs(3);
/// A join waits for the others, all else is answered at once.
const JOIN_MAX: Duration = Duration::from_secs(10);
pub const REPLY_MAX: Duration = Duration::from_secs(10);

/// What a refusal makes a member do.
pub enum Refused {
    /// Goes on under the same id.
    JoinAgain,
    /// The group does not know it any more.
    JoinAnew,
    Wait,
}

/// What kind of member it is.
#[derive(Clone, Copy)]
pub struct Habits {
    /// Its place outlives it: whoever is started anew takes it.
    pub is_static: bool,
    /// Keeps what it reads while it joins again, and gives up only what it is told to.
    pub is_cooperative: bool,
    /// Each life speaks the one protocol or the other.
    pub changes_protocol: bool,
}

pub struct GroupMember {
    pub rt: SimRuntime,
    pub clients: Clients,
    pub ledger: Ledger,
    pub number: usize,
    pub instance: Option<Str>,
    pub habits: Habits,
    speaks_consumer: bool,
    pub id: Str,
    /// What it holds back of an earlier generation.
    pub late: Option<Late>,
    /// What a cooperative member says that it has.
    owns: BTreeSet<u8>,
}

impl GroupMember {
    pub fn new(rt: SimRuntime, clients: Clients, ledger: Ledger, number: usize, habits: Habits) -> GroupMember {
        let instance = habits.is_static.then(|| Str::from(format!("instance-{number}")));
        let (id, owns) = (Str::default(), BTreeSet::new());
        let (speaks_consumer, late) = (false, None);
        GroupMember { rt, clients, ledger, number, instance, habits, speaks_consumer, id, late, owns }
    }

    /// Lives again and again, for as long as there is a broker and a test.
    pub async fn run(mut self) {
        while self.clients.wait_open(&self.rt).await {
            let round = self.clients.gate.round.get();
            match self.live(round).await {
                Err(Broken::Nonsense(what)) => self.clients.history.unexpected(what),
                // A commit may be on its way still: whoever sends more under the same id could be overtaken by it.
                Err(_) if self.clients.is_current(round) => self.begin_anew(),
                // The broker is another: nothing is on its way, and the id is good.
                Err(_) | Ok(()) => {}
            }
            self.ledger.lost(self.number);
            pause(&self.rt, Duration::from_millis(1 + pick(&self.rt, 200))).await;
        }
    }

    /// One life on one connection.
    async fn live(&mut self, round: u64) -> Result<(), Broken> {
        let mut link = Link::open(&self.rt, self.clients.addr).await?;
        let find = FindCoordinatorRequest { coordinator_keys: vec![GROUP.into()], ..Default::default() };
        let Response::FindCoordinator(found) = link.ask(find, 6, REPLY_MAX).await? else { return Err(another()) };
        if let Some(refused) =
            found.coordinators.first().and_then(|one| self.refused("FindCoordinator", one.error_code))
        {
            self.give_way(refused).await;
            return Ok(());
        }
        while self.clients.is_current(round) {
            self.ledger.lost(self.number);
            if self.habits.changes_protocol && self.id.as_str().is_empty() {
                self.speaks_consumer = one_in(&self.rt, 2);
            }
            let ended = if self.speaks_consumer {
                self.live_as_consumer(&mut link, round).await?
            } else {
                match self.enter(&mut link).await? {
                    Ok(share) => self.work(&mut link, round, share).await?,
                    Err(refused) => Some(refused),
                }
            };
            let Some(refused) = ended else { return Ok(()) };
            self.give_way(refused).await;
        }
        Ok(())
    }

    /// Joins and syncs.
    async fn enter(&mut self, link: &mut Link) -> Result<Result<Share, Refused>, Broken> {
        if !self.habits.is_cooperative {
            self.owns.clear();
        }
        let join = JoinGroupRequest {
            group_id: GROUP.into(),
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone(),
            session_timeout_ms: millis(SESSION),
            rebalance_timeout_ms: millis(REBALANCE),
            protocol_type: "consumer".into(),
            protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata: said(&self.owns) }],
            ..Default::default()
        };
        let Response::JoinGroup(joined) = link.ask(join, 9, JOIN_MAX).await? else { return Err(another()) };
        if joined.error_code == ErrorCode::MemberIdRequired {
            self.id = joined.member_id.clone();
            return Ok(Err(Refused::JoinAgain));
        }
        if let Some(refused) = self.refused("JoinGroup", joined.error_code) {
            return Ok(Err(refused));
        }
        self.id = joined.member_id.clone();
        if one_in(&self.rt, 10) {
            self.linger().await;
        }
        let sync = SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id: joined.generation_id,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone(),
            protocol_type: joined.protocol_type.clone(),
            protocol_name: joined.protocol_name.clone(),
            assignments: if joined.leader == self.id && !joined.skip_assignment { assign(&joined) } else { Vec::new() },
        };
        let asked = self.rt.now();
        let Response::SyncGroup(synced) = link.ask(sync, 5, JOIN_MAX).await? else { return Err(another()) };
        if let Some(refused) = self.refused("SyncGroup", synced.error_code) {
            return Ok(Err(refused));
        }
        let share = Share { generation: joined.generation_id, parts: assigned(&synced.assignment) };
        // The next life of a static member goes on in the generation that it was in.
        if self.habits.changes_protocol {
            // A group that is empty when it changes counts from the start.
            self.ledger.took(self.number, share.clone(), asked, self.rt.now());
        } else {
            let id = self.instance.as_ref().unwrap_or(&self.id);
            self.ledger.gained(self.number, id.as_str(), share.clone(), asked, self.rt.now());
        }
        let gives_up = self.owns.iter().any(|part| !share.parts.contains(part));
        self.owns = share.parts.clone();
        // Others may have it once it says that it has not.
        Ok(if gives_up { Err(Refused::JoinAgain) } else { Ok(share) })
    }

    /// Commits and shows that it lives; ends with the refusal that ends its share, or with its own end.
    async fn work(&mut self, link: &mut Link, round: u64, share: Share) -> Result<Option<Refused>, Broken> {
        let mut positions = match self.fetch(link, &share).await? {
            Ok(positions) => positions,
            Err(refused) => return Ok(Some(refused)),
        };
        while self.clients.is_current(round) {
            if self.rests_or_dies().await {
                if self.says_goodbye() {
                    self.leave(link).await?;
                }
                self.begin_anew();
                return Ok(None);
            }
            if let Some(refused) = self.read_on(link, share.generation, &mut positions).await? {
                self.hold_back(share.generation, positions);
                return Ok(Some(refused));
            }
            let beat = HeartbeatRequest {
                group_id: GROUP.into(),
                generation_id: share.generation,
                member_id: self.id.clone(),
                group_instance_id: self.instance.clone(),
            };
            let asked = self.rt.now();
            let Response::Heartbeat(heard) = link.ask(beat, 4, REPLY_MAX).await? else { return Err(another()) };
            if let Some(refused) = self.refused("Heartbeat", heard.error_code) {
                self.hold_back(share.generation, positions);
                return Ok(Some(refused));
            }
            self.ledger.accepted(self.number, positions.keys().copied(), asked);
            self.speak_late(link, &share).await?;
        }
        Ok(None)
    }

    /// A pause, at times longer than its session. Whether its life is over.
    pub async fn rests_or_dies(&self) -> bool {
        let pause_us = u64::try_from(self.clients.load.get().pause_max.as_micros()).expect("short");
        // However busy it is: about one life in some seconds ends, and one in some has a sleep.
        let steps = (3_000_000 / pause_us.max(1)).max(1);
        pause(&self.rt, Duration::from_micros(pick(&self.rt, pause_us))).await;
        if !self.ledger.is_calm() && one_in(&self.rt, steps) {
            return true;
        }
        if one_in(&self.rt, steps) {
            self.linger().await;
        }
        false
    }

    /// Some say that they go, some die without a word.
    pub fn says_goodbye(&self) -> bool {
        one_in(&self.rt, 2)
    }

    /// Reads some and commits it.
    pub async fn read_on(
        &self,
        link: &mut Link,
        generation: i32,
        positions: &mut BTreeMap<u8, i64>,
    ) -> Result<Option<Refused>, Broken> {
        for position in positions.values_mut() {
            *position += i64::try_from(pick(&self.rt, 3)).expect("small");
        }
        if positions.is_empty() { Ok(None) } else { self.commit(link, generation, positions).await }
    }

    /// Where the group stands in the partitions of a share.
    pub async fn fetch(&self, link: &mut Link, share: &Share) -> Result<Result<BTreeMap<u8, i64>, Refused>, Broken> {
        let partition_indexes = share.parts.iter().map(|part| i32::from(*part)).collect();
        let topics = vec![OffsetFetchRequestTopics { name: TOPIC.into(), partition_indexes, ..Default::default() }];
        let group = OffsetFetchRequestGroup { group_id: GROUP.into(), topics: Some(topics), ..Default::default() };
        let request = OffsetFetchRequest { topics: Some(Vec::new()), groups: vec![group], ..Default::default() };
        let floors = self.ledger.floors();
        let Response::OffsetFetch(reply) = link.ask(request, 9, REPLY_MAX).await? else { return Err(another()) };
        let Some(group) = reply.groups.first() else { return Err(another()) };
        if let Some(refused) = self.refused("OffsetFetch", group.error_code) {
            return Ok(Err(refused));
        }
        let mut positions = BTreeMap::new();
        for partition in group.topics.iter().flat_map(|topic| &topic.partitions) {
            let part = u8::try_from(partition.partition_index).map_err(|_| another())?;
            self.ledger.fetched(&floors, part, partition.committed_offset);
            positions.insert(part, partition.committed_offset.max(0));
        }
        Ok(Ok(positions))
    }

    async fn commit(
        &self,
        link: &mut Link,
        generation: i32,
        positions: &BTreeMap<u8, i64>,
    ) -> Result<Option<Refused>, Broken> {
        let request = self.offsets(&self.id, generation, positions);
        let asked = self.rt.now();
        let Response::OffsetCommit(reply) = link.ask(request, 9, REPLY_MAX).await? else { return Err(another()) };
        for partition in reply.topics.iter().flat_map(|topic| &topic.partitions) {
            if let Some(refused) = self.refused("OffsetCommit", partition.error_code) {
                return Ok(Some(refused));
            }
            let part = u8::try_from(partition.partition_index).map_err(|_| another())?;
            self.ledger.accepted(self.number, [part], asked);
            self.ledger.committed(part, positions.get(&part).copied().unwrap_or(0));
            self.clients.acks.set(self.clients.acks.get() + 1);
        }
        Ok(None)
    }

    /// A commit.
    pub fn offsets(&self, member: &Str, generation: i32, positions: &BTreeMap<u8, i64>) -> OffsetCommitRequest {
        let partitions = positions.iter().map(|(part, position)| OffsetCommitRequestPartition {
            partition_index: i32::from(*part),
            committed_offset: *position,
            ..Default::default()
        });
        let partitions = partitions.collect();
        OffsetCommitRequest {
            group_id: GROUP.into(),
            generation_id_or_member_epoch: generation,
            member_id: member.clone(),
            group_instance_id: self.instance.clone(),
            topics: vec![OffsetCommitRequestTopic { name: TOPIC.into(), partitions, ..Default::default() }],
            ..Default::default()
        }
    }

    async fn leave(&self, link: &mut Link) -> Result<(), Broken> {
        let group_instance_id = self.instance.clone();
        let members = vec![MemberIdentity { member_id: self.id.clone(), group_instance_id, ..Default::default() }];
        let request = LeaveGroupRequest { group_id: GROUP.into(), members, ..Default::default() };
        let Response::LeaveGroup(_) = link.ask(Request::from(request), 5, REPLY_MAX).await? else {
            return Err(another());
        };
        Ok(())
    }

    /// Sleeps for up to twice its session.
    async fn linger(&self) {
        if !self.ledger.is_calm() {
            pause(&self.rt, Duration::from_millis(pick(&self.rt, 4_000))).await;
        }
    }

    /// What to do about an error; one that this broker must not give goes into the history.
    pub fn refused(&self, api: &str, error: ErrorCode) -> Option<Refused> {
        match error {
            ErrorCode::None => None,
            ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration => Some(Refused::JoinAgain),
            ErrorCode::UnknownMemberId => Some(Refused::JoinAnew),
            // The group has become one of the other kind, without it.
            ErrorCode::GroupIdNotFound if self.habits.changes_protocol => Some(Refused::JoinAnew),
            // Its last life had the place, and did not say that it goes.
            ErrorCode::UnreleasedInstanceId if self.speaks_consumer => Some(Refused::Wait),
            // An answer with its new id was lost.
            ErrorCode::FencedInstanceId if self.instance.is_some() => Some(Refused::JoinAnew),
            ErrorCode::CoordinatorLoadInProgress | ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => {
                Some(Refused::Wait)
            }
            other => {
                self.clients.history.unexpected(format!("{api}: {}", other.name()));
                Some(Refused::Wait)
            }
        }
    }

    pub fn begin_anew(&mut self) {
        self.id = Str::default();
        self.owns.clear();
    }

    async fn give_way(&mut self, refused: Refused) {
        match refused {
            Refused::JoinAgain => {}
            Refused::JoinAnew => self.begin_anew(),
            Refused::Wait => pause(&self.rt, Duration::from_millis(20)).await,
        }
    }
}

pub fn another() -> Broken {
    Broken::Nonsense("another reply than asked for".to_owned())
}

pub fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).expect("short")
}

/// A consumer's subscription to the topic, version 1, with what it has of it.
fn said(owns: &BTreeSet<u8>) -> Bytes {
    let mut said = b"\0\x01\0\0\0\x01".to_vec();
    push_topic(&mut said);
    // No user data, then one topic that it has something of.
    said.extend_from_slice(b"\0\0\0\0\0\0\0\x01");
    push_topic(&mut said);
    said.extend_from_slice(&u32::try_from(owns.len()).expect("few").to_be_bytes());
    said.extend(owns.iter().flat_map(|part| u32::from(*part).to_be_bytes()));
    said.into()
}

fn push_topic(said: &mut Vec<u8>) {
    said.push(0);
    said.push(u8::try_from(TOPIC.len()).expect("short"));
    said.extend_from_slice(TOPIC.as_bytes());
}

/// What [`said`] says that a member has.
fn owned(said: &[u8]) -> BTreeSet<u8> {
    let start = 6 + 2 * (2 + TOPIC.len()) + 8 + 4;
    said[start..].chunks_exact(4).map(|part| part[3]).collect()
}

/// One partition after the other to one member after the other, but nobody gets what another has: that is given up first.
fn assign(joined: &JoinGroupResponse) -> Vec<SyncGroupRequestAssignment> {
    let owned: Vec<BTreeSet<u8>> = joined.members.iter().map(|member| owned(&member.metadata)).collect();
    let is_free = |part: u8, at: usize| owned.iter().enumerate().all(|(of, owns)| of == at || !owns.contains(&part));
    let members = joined.members.iter().enumerate().map(|(at, member)| {
        let parts = (0..PARTITIONS).filter(|part| usize::from(*part) % joined.members.len() == at);
        let assignment = assignment(&parts.filter(|part| is_free(*part, at)).collect());
        SyncGroupRequestAssignment { member_id: member.member_id.clone(), assignment }
    });
    members.collect()
}

/// A consumer's assignment, version 1.
fn assignment(parts: &BTreeSet<u8>) -> Bytes {
    let mut assignment = b"\0\x01\0\0\0\x01".to_vec();
    push_topic(&mut assignment);
    assignment.extend_from_slice(&u32::try_from(parts.len()).expect("few").to_be_bytes());
    assignment.extend(parts.iter().flat_map(|part| u32::from(*part).to_be_bytes()));
    assignment.extend_from_slice(&[0xff; 4]);
    assignment.into()
}

/// What an assignment gives: of one topic or of none.
fn assigned(assignment: &[u8]) -> BTreeSet<u8> {
    let start = 6 + 2 + TOPIC.len();
    let count = assignment.get(start..start + 4).map_or(0, |count| usize::from(count[3]));
    assignment.get(start + 4..).unwrap_or_default().chunks_exact(4).take(count).map(|part| part[3]).collect()
}
