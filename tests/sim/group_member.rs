//! A member of a group that speaks the classic protocol: joins, assigns if it leads, commits, and now and then leaves, dies
//! or sleeps past its session.

use std::collections::BTreeMap;
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
use shards::runtime::sim::SimRuntime;

use crate::client::{Clients, one_in, pause, pick};
use crate::group_ledger::{Ledger, PARTITIONS, Share};
use crate::link::{Broken, Link};

pub const TOPIC: &str = "read";
const GROUP: &str = "group";
pub const SESSION: Duration = Duration::from_secs(2);
pub const REBALANCE: Duration = Duration::from_secs(3);
/// A join waits for the others, all else is answered at once.
const JOIN_MAX: Duration = Duration::from_secs(30);
const REPLY_MAX: Duration = Duration::from_secs(10);

/// What a refusal makes a member do.
enum Refused {
    /// Goes on under the same id.
    JoinAgain,
    /// The group does not know it any more.
    JoinAnew,
    Wait,
}

pub struct GroupMember {
    rt: SimRuntime,
    clients: Clients,
    ledger: Ledger,
    number: usize,
    id: Str,
}

impl GroupMember {
    pub fn new(rt: SimRuntime, clients: Clients, ledger: Ledger, number: usize) -> GroupMember {
        GroupMember { rt, clients, ledger, number, id: Str::default() }
    }

    /// Lives again and again, for as long as there is a broker and a test.
    pub async fn run(mut self) {
        while self.clients.wait_open(&self.rt).await {
            let round = self.clients.gate.round.get();
            match self.live(round).await {
                Err(Broken::Nonsense(what)) => self.clients.history.unexpected(what),
                // A commit may be on its way still: whoever sends more under the same id could be overtaken by it.
                Err(_) if self.clients.is_current(round) => self.id = Str::default(),
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
            let refused = match self.enter(&mut link).await? {
                Ok(share) => match self.work(&mut link, round, share).await? {
                    Some(refused) => refused,
                    None => return Ok(()),
                },
                Err(refused) => refused,
            };
            self.give_way(refused).await;
        }
        Ok(())
    }

    /// Joins and syncs.
    async fn enter(&mut self, link: &mut Link) -> Result<Result<Share, Refused>, Broken> {
        let join = JoinGroupRequest {
            group_id: GROUP.into(),
            member_id: self.id.clone(),
            session_timeout_ms: millis(SESSION),
            rebalance_timeout_ms: millis(REBALANCE),
            protocol_type: "consumer".into(),
            protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata: said() }],
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
            protocol_type: joined.protocol_type.clone(),
            protocol_name: joined.protocol_name.clone(),
            assignments: if joined.leader == self.id { assign(&joined) } else { Vec::new() },
            ..Default::default()
        };
        let Response::SyncGroup(synced) = link.ask(sync, 5, JOIN_MAX).await? else { return Err(another()) };
        if let Some(refused) = self.refused("SyncGroup", synced.error_code) {
            return Ok(Err(refused));
        }
        let share = Share { generation: joined.generation_id, parts: synced.assignment.iter().copied().collect() };
        self.ledger.gained(self.number, self.id.as_str(), share.clone());
        Ok(Ok(share))
    }

    /// Commits and shows that it lives; ends with the refusal that ends its share, or with its own end.
    async fn work(&mut self, link: &mut Link, round: u64, share: Share) -> Result<Option<Refused>, Broken> {
        let mut positions = match self.fetch(link, &share).await? {
            Ok(positions) => positions,
            Err(refused) => return Ok(Some(refused)),
        };
        while self.clients.is_current(round) {
            let pause_us = u64::try_from(self.clients.load.get().pause_max.as_micros()).expect("short");
            // However busy it is: about one life in some seconds ends, and one in some has a sleep.
            let steps = (3_000_000 / pause_us.max(1)).max(1);
            pause(&self.rt, Duration::from_micros(pick(&self.rt, pause_us))).await;
            if !self.ledger.is_calm() && one_in(&self.rt, steps) {
                // Dies without a word, or says that it goes.
                if one_in(&self.rt, 2) {
                    self.leave(link).await?;
                }
                self.id = Str::default();
                return Ok(None);
            }
            if one_in(&self.rt, steps) {
                self.linger().await;
            }
            for position in positions.values_mut() {
                *position += i64::try_from(pick(&self.rt, 3)).expect("small");
            }
            if !positions.is_empty()
                && let Some(refused) = self.commit(link, share.generation, &positions).await?
            {
                return Ok(Some(refused));
            }
            let beat = HeartbeatRequest {
                group_id: GROUP.into(),
                generation_id: share.generation,
                member_id: self.id.clone(),
                ..Default::default()
            };
            let Response::Heartbeat(heard) = link.ask(beat, 4, REPLY_MAX).await? else { return Err(another()) };
            if let Some(refused) = self.refused("Heartbeat", heard.error_code) {
                return Ok(Some(refused));
            }
        }
        Ok(None)
    }

    /// Where the group stands in the partitions of a share.
    async fn fetch(&self, link: &mut Link, share: &Share) -> Result<Result<BTreeMap<u8, i64>, Refused>, Broken> {
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
        let partitions = positions.iter().map(|(part, position)| OffsetCommitRequestPartition {
            partition_index: i32::from(*part),
            committed_offset: *position,
            ..Default::default()
        });
        let partitions = partitions.collect();
        let request = OffsetCommitRequest {
            group_id: GROUP.into(),
            generation_id_or_member_epoch: generation,
            member_id: self.id.clone(),
            topics: vec![OffsetCommitRequestTopic { name: TOPIC.into(), partitions, ..Default::default() }],
            ..Default::default()
        };
        let Response::OffsetCommit(reply) = link.ask(request, 9, REPLY_MAX).await? else { return Err(another()) };
        for partition in reply.topics.iter().flat_map(|topic| &topic.partitions) {
            if let Some(refused) = self.refused("OffsetCommit", partition.error_code) {
                return Ok(Some(refused));
            }
            let part = u8::try_from(partition.partition_index).map_err(|_| another())?;
            self.ledger.committed(part, positions.get(&part).copied().unwrap_or(0));
            self.clients.acks.set(self.clients.acks.get() + 1);
        }
        Ok(None)
    }

    async fn leave(&self, link: &mut Link) -> Result<(), Broken> {
        let members = vec![MemberIdentity { member_id: self.id.clone(), ..Default::default() }];
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
    fn refused(&self, api: &str, error: ErrorCode) -> Option<Refused> {
        match error {
            ErrorCode::None => None,
            ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration => Some(Refused::JoinAgain),
            ErrorCode::UnknownMemberId => Some(Refused::JoinAnew),
            ErrorCode::CoordinatorLoadInProgress | ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => {
                Some(Refused::Wait)
            }
            other => {
                self.clients.history.unexpected(format!("{api}: {}", other.name()));
                Some(Refused::Wait)
            }
        }
    }

    async fn give_way(&mut self, refused: Refused) {
        match refused {
            Refused::JoinAgain => {}
            Refused::JoinAnew => self.id = Str::default(),
            Refused::Wait => pause(&self.rt, Duration::from_millis(20)).await,
        }
    }
}

fn another() -> Broken {
    Broken::Nonsense("another reply than asked for".to_owned())
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).expect("short")
}

/// A consumer's subscription to the topic, version 0.
fn said() -> Bytes {
    let mut said = b"\0\0\0\0\0\x01\0".to_vec();
    said.push(u8::try_from(TOPIC.len()).expect("short"));
    said.extend_from_slice(TOPIC.as_bytes());
    said.extend_from_slice(&[0; 4]);
    said.into()
}

/// One partition after the other to one member after the other; an assignment is the partitions' numbers as bytes.
fn assign(joined: &JoinGroupResponse) -> Vec<SyncGroupRequestAssignment> {
    let members = joined.members.iter().enumerate().map(|(at, member)| {
        let parts = (0..PARTITIONS).filter(|part| usize::from(*part) % joined.members.len() == at);
        SyncGroupRequestAssignment { member_id: member.member_id.clone(), assignment: parts.collect::<Vec<_>>().into() }
    });
    members.collect()
}
