//! The coordinator as its clients see it, on a clock that the test moves; every record goes into a log.

mod classic;
mod consumer;
mod forget;
mod migrate;
mod offsets;
mod records;
mod replay;
mod statics;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::catalog::{Catalog, CatalogSettings};
use crate::types::{Mono, TopicId};

/// Time-outs of the members of these tests, in milliseconds.
const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 60_000;

/// A coordinator, its clock, its log, and the answers that came.
struct World {
    groups: Groups,
    catalog: Catalog,
    now: Now,
    log: Vec<GroupRecord>,
    answers: BTreeMap<AskId, GroupReply>,
    asked: u64,
}

impl World {
    fn new() -> World {
        World::with(GroupSettings::default())
    }

    fn with(settings: GroupSettings) -> World {
        World {
            groups: Groups::new(Arc::new(settings)),
            catalog: Catalog::new(CatalogSettings::new("cluster", 1)),
            now: Now { mono: Mono(1), wall_ms: 1_000_000 },
            log: Vec::new(),
            answers: BTreeMap::new(),
            asked: 0,
        }
    }

    fn take(&mut self, effects: Effects) {
        self.log.extend(effects.records);
        for (ask, reply) in effects.replies {
            assert!(self.answers.insert(ask, reply).is_none(), "an asker is answered once");
        }
    }

    fn ask(&mut self, request: GroupRequest) -> AskId {
        self.asked += 1;
        let ask = AskId(self.asked);
        let effects = self.groups.handle(self.now, &self.catalog, ask, request);
        self.take(effects);
        ask
    }

    fn answer(&mut self, ask: AskId) -> Option<GroupReply> {
        self.answers.remove(&ask)
    }

    /// The answer to what is answered at once.
    fn now(&mut self, request: GroupRequest) -> GroupReply {
        let ask = self.ask(request);
        self.answer(ask).expect("an answer at once")
    }

    /// Moves the clock, and fires what comes due on the way.
    fn pass(&mut self, ms: u64) {
        let end = self.now.mono.after(Duration::from_millis(ms));
        while let Some(next) = self.groups.next_deadline().filter(|next| *next <= end) {
            let next = next.max(self.now.mono);
            self.now.wall_ms += i64::try_from(next.since(self.now.mono).as_millis()).expect("small");
            self.now.mono = next;
            let effects = self.groups.fire(self.now, &self.catalog, 1);
            self.take(effects);
        }
        self.now.wall_ms += i64::try_from(end.since(self.now.mono).as_millis()).expect("small");
        self.now.mono = end;
    }

    fn join(&mut self, join: Join) -> AskId {
        self.ask(GroupRequest::Join(join))
    }

    fn joined(&mut self, ask: AskId) -> Joined {
        match self.answer(ask) {
            Some(GroupReply::Joined(Ok(joined))) => joined,
            other => panic!("joined, not {other:?}"),
        }
    }

    fn refused(&mut self, ask: AskId) -> JoinRefused {
        match self.answer(ask) {
            Some(GroupReply::Joined(Err(refused))) => refused,
            other => panic!("refused, not {other:?}"),
        }
    }

    /// Gets an id, as clients since JoinGroup 4 do.
    fn id(&mut self, name: &str) -> Arc<str> {
        let ask = self.join(Join { needs_id: true, ..joining(name) });
        let refused = self.refused(ask);
        assert_eq!(refused.error, GroupError::MemberIdRequired);
        refused.member
    }

    fn sync(&mut self, joined: &Joined, assignments: &[(&Arc<str>, &'static str)]) -> AskId {
        let assignments =
            assignments.iter().map(|(id, part)| ((*id).clone(), Bytes::from_static(part.as_bytes()))).collect();
        let member = member(&joined.member, joined.generation);
        self.ask(GroupRequest::Sync(Sync { member, protocol_type: None, protocol: None, assignments }))
    }

    fn synced(&mut self, ask: AskId) -> Result<Bytes, GroupError> {
        match self.answer(ask) {
            Some(GroupReply::Synced(synced)) => synced.map(|synced| synced.assignment),
            other => panic!("synced, not {other:?}"),
        }
    }

    fn heartbeat(&mut self, id: &Arc<str>, generation: i32) -> Result<(), GroupError> {
        match self.now(GroupRequest::Heartbeat(member(id, generation))) {
            GroupReply::Heartbeat(answer) => answer,
            other => panic!("a heartbeat's answer, not {other:?}"),
        }
    }

    fn leave(&mut self, id: &Arc<str>) -> Result<(), GroupError> {
        let leaver = Leaver { member: id.clone(), instance: None, reason: None };
        match self.now(GroupRequest::Leave { group: "g".into(), members: vec![leaver] }) {
            GroupReply::Left(answers) => answers.and_then(|answers| answers[0]),
            other => panic!("a departure's answer, not {other:?}"),
        }
    }

    fn describe(&mut self) -> Result<Described, GroupError> {
        match self.now(GroupRequest::Describe { group: "g".into() }) {
            GroupReply::Described(described) => described,
            other => panic!("a description, not {other:?}"),
        }
    }

    fn state(&mut self) -> ClassicState {
        self.describe().expect("the group is there").state
    }

    fn commit(&mut self, member: MemberRef, offset: i64) -> Result<(), GroupError> {
        match self.now(GroupRequest::Commit(commit(member, offset))) {
            GroupReply::Committed(answers) => answers.and_then(|answers| answers[0]),
            other => panic!("a commit's answer, not {other:?}"),
        }
    }

    fn committed(&mut self, topic: &str) -> Option<i64> {
        let topics = vec![FetchTopic { name: topic.into(), id: TopicId::ZERO, partitions: vec![0] }];
        match self.now(GroupRequest::FetchOffsets { group: "g".into(), topics: Some(topics), member: None }) {
            GroupReply::Offsets(Ok(told)) => told[0].partitions[0].1.as_ref().map(|stored| stored.offset),
            other => panic!("offsets, not {other:?}"),
        }
    }

    /// A stable group of members that joined one after the other; the first leads.
    fn stable(&mut self, names: &[&str]) -> Vec<Joined> {
        let asks: Vec<AskId> = names
            .iter()
            .map(|name| {
                let id = self.id(name);
                self.join(Join { member: id, ..joining(name) })
            })
            .collect();
        self.pass(10_000);
        let joined: Vec<Joined> = asks.into_iter().map(|ask| self.joined(ask)).collect();
        self.settle(&joined);
        joined
    }

    /// The leader assigns to each member its own id, and all sync.
    fn settle(&mut self, joined: &[Joined]) {
        let leader = joined[0].leader.clone();
        let lead = joined.iter().find(|joined| Some(&joined.member) == leader.as_ref()).expect("the leader is there");
        let parts: Vec<_> = lead.members.iter().map(|one| (&one.member, "part")).collect();
        // Whoever waits for the leader has its session put off by the answer; who comes later has not.
        let others = joined.iter().filter(|one| one.member != lead.member);
        let mut asks: Vec<AskId> = others.map(|one| self.sync(one, &[])).collect();
        asks.push(self.sync(lead, &parts));
        for ask in asks {
            assert_eq!(self.synced(ask), Ok(Bytes::from_static(b"part")));
        }
        assert_eq!(self.state(), ClassicState::Stable);
    }

    /// Another coordinator that reads the log of this one, as a start does.
    fn restarted(&self) -> World {
        let mut world = World::new();
        world.now = self.now;
        world.catalog = self.catalog.clone();
        for record in &self.log {
            let (key, value) = record.encode().expect("a record of our own");
            let read = GroupRecord::decode(Some(&key), value.as_ref()).expect("whole").expect("known");
            assert_eq!(read, *record);
            world.groups.apply(&read);
            world.log.push(read);
        }
        let mut effects = Effects::default();
        let mut from = None;
        loop {
            from = world.groups.loaded(world.now, &world.catalog, from.as_ref(), 1, &mut effects);
            if from.is_none() {
                break;
            }
        }
        world.take(effects);
        world
    }
}

fn member(id: &Arc<str>, generation: i32) -> MemberRef {
    MemberRef { group: "g".into(), member: id.clone(), instance: None, generation }
}

/// Somebody who is no member.
fn nobody() -> MemberRef {
    member(&"".into(), -1)
}

/// What a consumer says: version 1, the topic `t`, and that it has nothing of it.
fn said() -> Bytes {
    Bytes::from_static(b"\0\x01\0\0\0\x01\0\x01t\0\0\0\0\0\0\0\0")
}

/// The first join of a client, in the form that needs no id.
fn joining(client: &str) -> Join {
    let mut fresh = [0; 16];
    for (into, from) in fresh.iter_mut().zip(client.bytes()) {
        *into = from;
    }
    Join {
        group: "g".into(),
        member: "".into(),
        instance: None,
        client_id: client.into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), said()), ("roundrobin".into(), said())],
        fresh,
        needs_id: false,
        may_skip_assignment: true,
        reason: None,
    }
}

fn commit(member: MemberRef, offset: i64) -> Commit {
    Commit {
        member,
        retention_ms: None,
        offsets: vec![CommitOffset {
            topic: "t".into(),
            topic_id: TopicId::ZERO,
            partition: 0,
            offset,
            leader_epoch: 3,
            metadata: "m".into(),
        }],
        knows_missing_group: true,
    }
}
