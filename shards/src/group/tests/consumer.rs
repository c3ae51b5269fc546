//! Consumer groups (KIP-848) as their members see them, and replay of what they leave in the log.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::catalog::CatalogRecord;

pub(super) const T: TopicId = TopicId([7; 16]);
const U: TopicId = TopicId([8; 16]);
/// Longer than the interval between two targets.
pub(super) const LATER_MS: u64 = 1_500;

impl World {
    pub(super) fn with_topic(mut self, name: &str, id: TopicId, partitions: i32) -> World {
        self.add_topic(name, id, partitions);
        self
    }

    fn add_topic(&mut self, name: &str, id: TopicId, partitions: i32) {
        self.catalog.apply(&CatalogRecord::Topic { name: name.to_owned(), id }).expect("a new topic");
        for index in 0..partitions {
            let record = CatalogRecord::Partition { topic: id, index, replicas: vec![1], leader_epoch: 0 };
            self.catalog.apply(&record).expect("the next partition");
        }
    }

    pub(super) fn beat(&mut self, beat: ConsumerBeat) -> Result<ConsumerTold, Refused> {
        match self.now(GroupRequest::ConsumerBeat(beat)) {
            GroupReply::ConsumerBeat(answer) => answer,
            other => panic!("a heartbeat's answer, not {other:?}"),
        }
    }

    fn refusal(&mut self, beat: ConsumerBeat) -> GroupError {
        self.beat(beat).expect_err("a refusal").error
    }

    pub(super) fn consumers(&mut self) -> ConsumerDescribed {
        match self.now(GroupRequest::DescribeConsumer { group: "g".into() }) {
            GroupReply::ConsumerDescribed(described) => described.expect("a consumer group"),
            other => panic!("a description, not {other:?}"),
        }
    }

    fn check_replay(&self) {
        self.groups.agrees_with(&self.restarted().groups).expect("the same");
    }
}

/// A client that does as it is told.
#[derive(Debug, Clone)]
pub(super) struct Consumer {
    id: Arc<str>,
    pub(super) instance: Option<Arc<str>>,
    pub(super) epoch: i32,
    pub(super) owns: Parts,
    topics: BTreeSet<Arc<str>>,
    /// An answer was lost: the next heartbeat says all, and so is told all.
    missed: bool,
}

impl Consumer {
    pub(super) fn new(id: &str) -> Consumer {
        Consumer {
            id: id.into(),
            instance: None,
            epoch: 0,
            owns: Parts::new(),
            topics: BTreeSet::from(["t".into()]),
            missed: false,
        }
    }

    pub(super) fn as_static(id: &str) -> Consumer {
        Consumer { instance: Some("i".into()), ..Consumer::new(id) }
    }

    pub(super) fn joins(&self) -> ConsumerBeat {
        ConsumerBeat {
            epoch: 0,
            rebalance_timeout_ms: REBALANCE_MS,
            topics: Some(self.topics.clone()),
            owns: Some(Parts::new()),
            ..self.beats()
        }
    }

    pub(super) fn beats(&self) -> ConsumerBeat {
        ConsumerBeat {
            group: "g".into(),
            member: self.id.clone(),
            epoch: self.epoch,
            instance: self.instance.clone(),
            rack: None,
            client_id: "c".into(),
            client_host: "/127.0.0.1".into(),
            rebalance_timeout_ms: if self.missed { REBALANCE_MS } else { -1 },
            topics: self.missed.then(|| self.topics.clone()),
            regex: None,
            assignor: None,
            owns: Some(self.owns.clone()),
            fresh: [3; 16],
        }
    }

    pub(super) fn hear(&mut self, told: ConsumerTold) {
        (self.epoch, self.missed) = (told.epoch, false);
        if let Some(assignment) = told.assignment {
            self.owns = assignment;
        }
    }

    pub(super) fn step(&mut self, world: &mut World) {
        let beat = if self.epoch == 0 { self.joins() } else { self.beats() };
        let told = world.beat(beat).expect("accepted");
        self.hear(told);
    }

    pub(super) fn count(&self) -> usize {
        self.owns.values().map(BTreeSet::len).sum()
    }
}

/// All beat until nothing changes.
fn settle(world: &mut World, consumers: &mut [Consumer]) {
    for _ in 0..6 {
        world.pass(LATER_MS);
        for consumer in consumers.iter_mut() {
            consumer.step(world);
        }
    }
    assert_eq!(world.consumers().state, ConsumerState::Stable);
}

#[test]
fn the_first_member_gets_all_partitions_in_epoch_2() {
    let mut world = World::new().with_topic("t", T, 3);
    let told = world.beat(Consumer::new("a").joins()).expect("joined");
    assert_eq!((told.epoch, told.heartbeat_interval_ms), (2, 5000));
    assert_eq!(told.assignment, Some(Parts::from([(T, BTreeSet::from([0, 1, 2]))])));
    assert_eq!(world.consumers().state, ConsumerState::Stable);
    world.check_replay();
}

#[test]
fn a_member_that_reads_nothing_is_in_epoch_1() {
    let mut world = World::new();
    let told = world.beat(ConsumerBeat { topics: Some(BTreeSet::new()), ..Consumer::new("a").joins() });
    let told = told.expect("joined");
    assert_eq!((told.epoch, told.assignment), (1, Some(Parts::new())));
}

#[test]
fn a_second_member_gets_its_half_once_the_first_has_given_it_up() {
    let mut world = World::new().with_topic("t", T, 4);
    let (mut a, mut b) = (Consumer::new("a"), Consumer::new("b"));
    a.step(&mut world);
    // Within a second of the last target there is no new one.
    b.step(&mut world);
    assert_eq!((b.epoch, b.count()), (2, 0));
    assert_eq!(world.consumers().state, ConsumerState::Assigning);
    world.pass(LATER_MS);
    b.step(&mut world);
    assert_eq!((b.epoch, b.count()), (3, 0));
    // Told to give up two it has, and heard again when it did.
    let told = world.beat(a.beats()).expect("a heartbeat");
    assert_eq!(told.epoch, 2);
    let before = a.clone();
    a.hear(told);
    assert_eq!(a.count(), 2);
    // Until it says that it has given them up, they are described as its own.
    let described = world.consumers().members.into_iter().find(|one| &*one.member == "a").expect("a member");
    assert_eq!(described.assigned.iter().map(|topic| topic.partitions.len()).sum::<usize>(), 4);
    let unrevoked = world.beat(before.beats()).expect("it has them still");
    assert_eq!((unrevoked.epoch, unrevoked.assignment), (2, None));
    b.step(&mut world);
    assert_eq!(b.count(), 0);
    a.step(&mut world);
    assert_eq!(a.epoch, 3);
    b.step(&mut world);
    assert_eq!((a.count(), b.count()), (2, 2));
    assert_eq!(world.consumers().state, ConsumerState::Stable);
    world.check_replay();
}

#[test]
fn epochs_that_are_not_the_members_are_fenced_but_for_the_one_before() {
    let mut world = World::new().with_topic("t", T, 2);
    let mut a = Consumer::new("a");
    a.step(&mut world);
    assert_eq!(world.refusal(ConsumerBeat { epoch: 9, ..a.beats() }), GroupError::FencedEpoch);
    assert_eq!(world.refusal(ConsumerBeat { epoch: 1, ..a.beats() }), GroupError::FencedEpoch);
    world.pass(LATER_MS);
    // The answer with epoch 3 is lost.
    let beat = ConsumerBeat { topics: Some(BTreeSet::from(["t".into(), "u".into()])), ..a.beats() };
    assert_eq!(world.beat(beat).map(|told| told.epoch), Ok(3));
    assert_eq!(world.beat(a.beats()).map(|told| told.epoch), Ok(3));
    let foreign = Parts::from([(U, BTreeSet::from([0]))]);
    assert_eq!(world.refusal(ConsumerBeat { owns: Some(foreign), ..a.beats() }), GroupError::FencedEpoch);
    assert_eq!(world.refusal(Consumer { epoch: 3, ..Consumer::new("z") }.beats()), GroupError::UnknownMember);
}

#[test]
fn a_silent_member_goes_after_its_session_and_the_others_share_what_it_had() {
    let mut world = World::new().with_topic("t", T, 4);
    let mut consumers = vec![Consumer::new("a"), Consumer::new("b")];
    settle(&mut world, &mut consumers);
    let mut b = consumers.remove(1);
    world.pass(44_000);
    b.step(&mut world);
    world.pass(2_000);
    b.step(&mut world);
    assert_eq!(b.count(), 4);
    assert_eq!(world.refusal(consumers[0].beats()), GroupError::UnknownMember);
    world.check_replay();
}

#[test]
fn a_member_that_does_not_give_up_in_time_is_fenced() {
    let mut world = World::new().with_topic("t", T, 4);
    let (mut a, mut b) = (Consumer::new("a"), Consumer::new("b"));
    a.step(&mut world);
    world.pass(LATER_MS);
    b.step(&mut world);
    for _ in 0..7 {
        world.pass(10_000);
        b.step(&mut world);
        if world.beat(a.beats()).is_err() {
            break;
        }
    }
    world.pass(LATER_MS);
    b.step(&mut world);
    assert_eq!(b.count(), 4);
}

#[test]
fn a_static_member_that_is_away_has_its_partitions_back_without_a_rebalance() {
    let mut world = World::new().with_topic("t", T, 4);
    let mut consumers = vec![Consumer::as_static("a"), Consumer::new("b")];
    settle(&mut world, &mut consumers);
    let epoch = world.consumers().epoch;
    assert_eq!(world.refusal(Consumer::as_static("c").joins()), GroupError::UnreleasedInstance);
    world.beat(ConsumerBeat { epoch: -2, ..consumers[0].beats() }).expect("away");
    world.pass(LATER_MS);
    let told = world.beat(Consumer::as_static("c").joins()).expect("back");
    assert_eq!((told.epoch, told.assignment.as_ref()), (epoch, Some(&consumers[0].owns)));
    assert_eq!(world.consumers().epoch, epoch);
    assert_eq!(world.refusal(consumers[0].beats()), GroupError::FencedInstance);
    world.check_replay();
}

#[test]
fn a_static_member_that_stays_away_goes_with_its_session() {
    let mut world = World::new().with_topic("t", T, 2);
    let mut a = Consumer::as_static("a");
    a.step(&mut world);
    world.beat(ConsumerBeat { epoch: -2, ..a.beats() }).expect("away");
    world.pass(46_000);
    assert_eq!(world.consumers().state, ConsumerState::Empty);
}

#[test]
fn a_groups_own_times_act_from_the_next_heartbeat_on() {
    let mut world = World::new().with_topic("t", T, 2);
    let mut a = Consumer::new("a");
    a.step(&mut world);
    for (key, value) in [("consumer.session.timeout.ms", "60000"), ("consumer.heartbeat.interval.ms", "7000")] {
        let record = CatalogRecord::GroupConfig { group: "g".into(), key: key.into(), value: Some(value.into()) };
        world.catalog.apply(&record).expect("a config of groups");
    }
    let told = world.beat(a.beats()).expect("a member");
    assert_eq!(told.heartbeat_interval_ms, 7_000);
    world.pass(59_000);
    assert_eq!(world.consumers().members.len(), 1, "silent for less than its session");
    world.pass(2_000);
    assert_eq!(world.consumers().state, ConsumerState::Empty);
}

#[test]
fn an_expression_reads_the_topics_that_match_it_and_new_ones_when_they_come() {
    let mut world = World::new().with_topic("t1", T, 2).with_topic("other", U, 2);
    let mut a = Consumer::new("a");
    let beat = ConsumerBeat { topics: None, regex: Some("t.*".into()), ..a.joins() };
    a.hear(world.beat(beat).expect("joined"));
    assert_eq!(a.owns, Parts::from([(T, BTreeSet::from([0, 1]))]));
    world.add_topic("t2", TopicId([9; 16]), 3);
    world.pass(LATER_MS);
    a.step(&mut world);
    assert_eq!(a.count(), 5);
    let invalid = ConsumerBeat { topics: None, regex: Some("(".into()), ..Consumer::new("b").joins() };
    assert_eq!(world.refusal(invalid), GroupError::InvalidRegex);
    world.check_replay();
}

#[test]
fn offsets_are_taken_in_the_members_epoch_and_before_it_for_what_it_holds_since() {
    let mut world = World::new().with_topic("t", T, 2);
    let mut consumers = vec![Consumer::new("a")];
    settle(&mut world, &mut consumers);
    let first = consumers[0].epoch;
    world.commit(member(&"a".into(), first), 5).expect("its epoch");
    assert_eq!(world.commit(member(&"a".into(), first + 1), 5), Err(GroupError::StaleEpoch));
    assert_eq!(world.commit(member(&"z".into(), first), 5), Err(GroupError::UnknownMember));
    assert_eq!(world.commit(nobody(), 5), Err(GroupError::UnknownMember));
    let old = Commit { knows_missing_group: false, ..commit(member(&"a".into(), first), 5) };
    assert_eq!(world.now(GroupRequest::Commit(old)), GroupReply::Committed(Err(GroupError::UnsupportedVersion)));
    // A rebalance later it holds partition 0 still, since the first epoch.
    consumers.push(Consumer::new("b"));
    settle(&mut world, &mut consumers);
    assert_eq!(world.commit(member(&"a".into(), first), 6), Ok(()));
    assert_eq!(world.commit(member(&"a".into(), first - 1), 6), Err(GroupError::StaleEpoch));
    assert_eq!(world.committed("t"), Some(6));
}

#[test]
fn offsets_are_told_to_members_in_their_epoch_and_to_whoever_says_nothing() {
    let mut world = World::new().with_topic("t", T, 1);
    world.beat(Consumer::new("a").joins()).expect("joined");
    let mut fetch = |member| world.now(GroupRequest::FetchOffsets { group: "g".into(), topics: None, member });
    assert_eq!(fetch(None), GroupReply::Offsets(Ok(Vec::new())));
    assert_eq!(fetch(Some(("a".into(), 2))), GroupReply::Offsets(Ok(Vec::new())));
    assert_eq!(fetch(Some(("a".into(), 1))), GroupReply::Offsets(Err(GroupError::StaleEpoch)));
    assert_eq!(fetch(Some(("b".into(), 2))), GroupReply::Offsets(Err(GroupError::UnknownMember)));
}

#[test]
fn an_empty_group_of_one_kind_makes_way_for_the_other_and_keeps_its_offsets() {
    let mut world = World::new().with_topic("t", T, 1);
    world.commit(nobody(), 3).expect("nobody's group");
    let a = Consumer::new("a");
    world.beat(a.joins()).expect("joined");
    assert_eq!(world.describe(), Err(GroupError::NotClassic));
    let connect = || Join { protocol_type: "connect".into(), ..joining("c") };
    let ask = world.join(connect());
    assert_eq!(world.refused(ask).error, GroupError::InconsistentProtocol);
    world.beat(ConsumerBeat { epoch: -1, ..a.beats() }).expect("left");
    let ask = world.join(connect());
    world.pass(10_000);
    assert_eq!(world.joined(ask).generation, 1);
    assert_eq!(world.refusal(a.joins()), GroupError::NotConsumer);
    assert_eq!(world.committed("t"), Some(3));
    world.check_replay();
}

#[test]
fn a_join_that_is_refused_leaves_no_group_behind() {
    let mut world = World::new();
    let invalid = ConsumerBeat { topics: None, regex: Some("[".into()), ..Consumer::new("a").joins() };
    assert_eq!(world.refusal(invalid), GroupError::InvalidRegex);
    assert_eq!(world.refusal(Consumer { epoch: 1, ..Consumer::new("a") }.beats()), GroupError::UnknownGroup);
    assert!(world.groups.is_empty() && world.log.is_empty());
}

#[test]
fn a_group_is_deleted_only_when_it_is_empty_and_nothing_of_it_stays() {
    let mut world = World::new().with_topic("t", T, 1);
    let a = Consumer::new("a");
    world.beat(a.joins()).expect("joined");
    let delete = || GroupRequest::Delete { group: "g".into() };
    assert_eq!(world.now(delete()), GroupReply::Deleted(Err(GroupError::NotEmpty)));
    world.beat(ConsumerBeat { epoch: -1, ..a.beats() }).expect("left");
    assert_eq!(world.now(delete()), GroupReply::Deleted(Ok(())));
    assert!(world.groups.is_empty() && world.restarted().groups.is_empty());
}

#[derive(Debug, Clone)]
enum Op {
    /// Client, and whether the answer is lost.
    Beat(usize, bool),
    Leave(usize, bool),
    Rejoin(usize),
    Subscribe(usize, bool),
    Pass(u16),
    AddTopic,
    Restart,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let client = 0usize..4;
    let op = prop_oneof![
        12 => (client.clone(), prop::bool::weighted(0.15)).prop_map(|(c, lost)| Op::Beat(c, lost)),
        2 => (client.clone(), any::<bool>()).prop_map(|(c, away)| Op::Leave(c, away)),
        1 => client.clone().prop_map(Op::Rejoin),
        1 => (client, any::<bool>()).prop_map(|(c, both)| Op::Subscribe(c, both)),
        5 => (0u16..4_000).prop_map(Op::Pass),
        1 => Just(Op::Pass(40_000)),
        1 => Just(Op::AddTopic),
        1 => Just(Op::Restart),
    ];
    prop::collection::vec(op, 0..120)
}

/// Each partition has at most one reader among the clients that the group still counts in: what they go on reading, whatever it has
/// told them or means to tell them.
fn check_one_reader(world: &mut World, clients: &[Consumer]) {
    // Asked of a copy: a heartbeat changes the group.
    let mut copy = world.restarted();
    let mut read = BTreeMap::new();
    for client in clients.iter().filter(|client| client.epoch > 0) {
        if copy.beat(client.beats()).is_err() {
            continue;
        }
        for (topic, indexes) in &client.owns {
            for index in indexes {
                let other = read.insert((*topic, *index), client.id.clone());
                assert!(other.is_none(), "{other:?} and {:?} read {index}", client.id);
            }
        }
    }
    let mut seen = BTreeSet::new();
    let Ok(GroupReply::ConsumerDescribed(Ok(described))) =
        Ok::<_, ()>(world.now(GroupRequest::DescribeConsumer { group: "g".into() }))
    else {
        return;
    };
    for member in described.members {
        for topic in member.assigned {
            for index in topic.partitions {
                assert!(seen.insert((topic.id, index)), "two readers of {index}");
            }
        }
    }
}

proptest! {
    #[test]
    fn one_reader_each_and_replay_equals_live_whatever_members_do(ops in ops()) {
        let mut world = World::new().with_topic("t", T, 5);
        let mut clients: Vec<Consumer> = ["a", "b", "c", "d"].into_iter().map(Consumer::new).collect();
        clients[3].instance = Some("i".into());
        for (n, op) in ops.iter().enumerate() {
            match op {
                Op::Beat(c, lost) => {
                    let client = &mut clients[*c];
                    let beat = if client.epoch <= 0 { client.joins() } else { client.beats() };
                    match world.beat(beat) {
                        Ok(_) if *lost => client.missed = true,
                        Ok(told) => client.hear(told),
                        Err(_) => (client.epoch, client.owns) = (0, Parts::new()),
                    }
                }
                Op::Leave(c, away) => {
                    let client = &mut clients[*c];
                    let epoch = if *away && client.instance.is_some() { -2 } else { -1 };
                    drop(world.beat(ConsumerBeat { epoch, ..client.beats() }));
                    (client.epoch, client.owns) = (0, Parts::new());
                    if client.instance.is_some() {
                        client.id = format!("d{n}").into();
                    }
                }
                Op::Rejoin(c) => (clients[*c].epoch, clients[*c].owns) = (0, Parts::new()),
                Op::Subscribe(c, both) => {
                    let client = &mut clients[*c];
                    client.topics = if *both { ["t".into(), "u".into()].into() } else { ["u".into()].into() };
                    if client.epoch > 0 {
                        let beat = ConsumerBeat { topics: Some(client.topics.clone()), ..client.beats() };
                        if let Ok(told) = world.beat(beat) {
                            client.hear(told);
                        }
                    }
                }
                Op::Pass(ms) => world.pass(u64::from(*ms)),
                Op::AddTopic if world.catalog.topic("u").is_none() => world.add_topic("u", U, 3),
                Op::AddTopic => {}
                Op::Restart => {
                    let asked = world.asked;
                    world = World { asked, ..world.restarted() };
                }
            }
            check_one_reader(&mut world, &clients);
            if let Err(differs) = world.groups.agrees_with(&world.restarted().groups) {
                prop_assert!(false, "after {:?}: {}", op, differs);
            }
        }
        // All beat on, past the session of a static member that is not known to be away: everything that is read is
        // somebody's in the end.
        for _ in 0..45 {
            world.pass(LATER_MS);
            for client in &mut clients {
                let beat = if client.epoch <= 0 { client.joins() } else { client.beats() };
                match world.beat(beat) {
                    Ok(told) => client.hear(told),
                    Err(_) => (client.epoch, client.owns) = (0, Parts::new()),
                }
            }
        }
        let described = world.consumers();
        if described.members.len() == clients.len() {
            prop_assert_eq!(described.state, ConsumerState::Stable);
            let reads = |topic: &str| clients.iter().any(|client| client.topics.contains(topic));
            let of_t = if reads("t") { 5 } else { 0 };
            let of_u = if reads("u") && world.catalog.topic("u").is_some() { 3 } else { 0 };
            prop_assert_eq!(clients.iter().map(Consumer::count).sum::<usize>(), of_t + of_u);
        }
    }
}

#[test]
fn groups_that_are_gone_hold_no_memory() {
    let mut world = World::new().with_topic("t", T, 6);
    let mut a = Consumer::new("a");
    a.step(&mut world);
    let alone = world.groups.bytes();
    let mut b = Consumer::new("b");
    b.step(&mut world);
    assert!(world.groups.bytes() > alone);
    let regex = Some("t.*".into());
    world.beat(ConsumerBeat { regex, ..Consumer::new("c").joins() }).expect("joined");
    world.commit(nobody(), 5).expect_err("it has members");
    world.check_replay();
    for id in ["a", "b", "c"] {
        world.beat(ConsumerBeat { epoch: -1, ..Consumer::new(id).beats() }).expect("left");
    }
    world.commit(nobody(), 5).expect("stored");
    world.check_replay();
    assert!(world.groups.bytes() > 0);
    assert_eq!(world.now(GroupRequest::Delete { group: "g".into() }), GroupReply::Deleted(Ok(())));
    assert_eq!(world.groups.bytes(), 0);
    world.stable(&["a", "b"]);
    assert!(world.groups.bytes() > 0);
    world.pass(3_600_000);
    assert_eq!(world.now(GroupRequest::Delete { group: "g".into() }), GroupReply::Deleted(Ok(())));
    assert_eq!(world.groups.bytes(), 0);
}

#[test]
fn who_is_gone_leaves_no_time_out_behind() {
    let mut world = World::new().with_topic("t", T, 6);
    for _ in 0..20 {
        let mut one = Consumer::new("a");
        one.step(&mut world);
        world.beat(ConsumerBeat { epoch: -1, ..one.beats() }).expect("it goes");
    }
    assert_eq!(world.groups.deadlines.len(), 0);
}

#[test]
fn a_static_member_that_goes_away_is_not_fenced_for_what_it_was_to_give_up() {
    let mut world = World::new().with_topic("t", T, 6);
    let mut away = Consumer::as_static("a");
    away.step(&mut world);
    world.pass(LATER_MS);
    let mut other = Consumer::new("b");
    other.step(&mut world);
    let quick = ConsumerBeat { rebalance_timeout_ms: 10_000, ..away.beats() };
    let told = world.beat(quick).expect("accepted");
    assert_eq!(told.assignment.map(|parts| parts[&T].len()), Some(3), "it is to give three up");
    let epoch = world.consumers().epoch;
    world.beat(ConsumerBeat { epoch: -2, ..away.beats() }).expect("it goes away");
    world.pass(12_000);
    assert_eq!(world.consumers().epoch, epoch, "nobody was fenced");
    let mut back = Consumer::as_static("c");
    back.step(&mut world);
    assert_eq!(back.count(), 3, "it has its place");
    world.check_replay();
}

#[test]
fn time_outs_of_a_consumer_group_come_one_in_a_step() {
    let mut world = World::new().with_topic("t", T, 6);
    for name in ["a", "b", "c"] {
        Consumer::new(name).step(&mut world);
    }
    world.now.mono = world.now.mono.after(Duration::from_secs(3600));
    for left in [2, 1, 0] {
        let effects = world.groups.fire(world.now, &world.catalog, 64);
        world.take(effects);
        assert_eq!(world.consumers().members.len(), left);
    }
}

#[test]
fn topics_are_read_as_long_as_anybody_names_them() {
    let mut world = World::new().with_topic("t", T, 2).with_topic("u", U, 2);
    let both = Consumer { topics: BTreeSet::from(["t".into(), "u".into()]), ..Consumer::new("a") };
    world.beat(both.joins()).expect("accepted");
    let mut one = Consumer::new("b");
    one.step(&mut world);
    let reads = |world: &World, topic: &str| world.groups.groups["g"].kind.reads(topic);
    assert!(reads(&world, "t") && reads(&world, "u"));
    world.beat(ConsumerBeat { epoch: -1, ..both.beats() }).expect("it goes");
    assert!(reads(&world, "t") && !reads(&world, "u"));
    world.beat(ConsumerBeat { topics: Some(BTreeSet::from(["u".into()])), ..one.beats() }).expect("accepted");
    assert!(!reads(&world, "t") && reads(&world, "u"));
    world.check_replay();
}
