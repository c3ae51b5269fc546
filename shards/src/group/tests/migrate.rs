//! Groups that change their protocol while members of both are there: what each of them sees, who reads what, and replay.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::consumer::{Consumer, LATER_MS, T};
use super::*;

/// A client of the classic protocol that does as it is told, and leads when it must. It gives up all that it has before it
/// joins again, or only what it is to give up.
#[derive(Debug, Clone)]
struct Classic {
    name: &'static str,
    id: Arc<str>,
    instance: Option<Arc<str>>,
    generation: i32,
    owns: BTreeSet<i32>,
    is_cooperative: bool,
    joining: Option<AskId>,
    syncing: Option<AskId>,
    /// It is to join again.
    is_called: bool,
}

/// What it embeds: version 1, the topic `t`, what it has of it.
fn words(owns: &BTreeSet<i32>) -> Bytes {
    let mut bytes = b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\x01\0\x01t".to_vec();
    bytes.extend(i32::try_from(owns.len()).expect("few").to_be_bytes());
    bytes.extend(owns.iter().flat_map(|index| index.to_be_bytes()));
    bytes.into()
}

/// The partitions of `t` at the end of what is embedded.
fn partitions(bytes: &[u8], start: usize) -> BTreeSet<i32> {
    let rest = bytes.get(start..).unwrap_or_default();
    let count = rest.get(..4).map_or(0, |count| i32::from_be_bytes(count.try_into().expect("four bytes")));
    let indexes = rest.get(4..).unwrap_or_default().chunks_exact(4).take(usize::try_from(count).expect("a count"));
    indexes.map(|index| i32::from_be_bytes(index.try_into().expect("four bytes"))).collect()
}

/// Version 1 of an assignment of `t`.
fn assigned(indexes: &BTreeSet<i32>) -> Bytes {
    let mut bytes = b"\0\x01\0\0\0\x01\0\x01t".to_vec();
    bytes.extend(i32::try_from(indexes.len()).expect("few").to_be_bytes());
    bytes.extend(indexes.iter().flat_map(|index| index.to_be_bytes()));
    bytes.extend(b"\xff\xff\xff\xff");
    bytes.into()
}

impl Classic {
    fn new(name: &'static str) -> Classic {
        Classic {
            name,
            id: "".into(),
            instance: None,
            generation: -1,
            owns: BTreeSet::new(),
            is_cooperative: false,
            joining: None,
            syncing: None,
            is_called: true,
        }
    }

    /// All that it may do now, once.
    fn step(&mut self, world: &mut World) {
        if let Some(ask) = self.joining {
            match world.answer(ask) {
                None => {}
                Some(GroupReply::Joined(Ok(joined))) => self.joined(world, &joined),
                Some(GroupReply::Joined(Err(refused))) => {
                    self.joining = None;
                    match refused.error {
                        GroupError::MemberIdRequired => (self.id, self.is_called) = (refused.member, true),
                        GroupError::RebalanceInProgress => self.is_called = true,
                        _ => self.begin_anew(),
                    }
                }
                Some(other) => panic!("{other:?}"),
            }
        } else if let Some(ask) = self.syncing {
            match world.answer(ask) {
                None => {}
                Some(GroupReply::Synced(Ok(synced))) => self.synced(&synced.assignment),
                Some(GroupReply::Synced(Err(GroupError::RebalanceInProgress))) => {
                    (self.syncing, self.is_called) = (None, true);
                }
                Some(GroupReply::Synced(Err(_))) => self.begin_anew(),
                Some(other) => panic!("{other:?}"),
            }
        } else if self.is_called {
            self.join(world);
        } else {
            match world.heartbeat_of(self.member()) {
                Ok(()) => {}
                Err(GroupError::RebalanceInProgress) => self.is_called = true,
                Err(_) => self.begin_anew(),
            }
        }
    }

    fn member(&self) -> MemberRef {
        MemberRef { instance: self.instance.clone(), ..member(&self.id, self.generation) }
    }

    fn join(&mut self, world: &mut World) {
        if !self.is_cooperative {
            self.owns.clear();
        }
        self.is_called = false;
        self.joining = Some(world.join(Join {
            member: self.id.clone(),
            instance: self.instance.clone(),
            protocols: vec![("range".into(), words(&self.owns))],
            needs_id: true,
            ..joining(self.name)
        }));
    }

    fn joined(&mut self, world: &mut World, joined: &Joined) {
        (self.joining, self.id, self.generation) = (None, joined.member.clone(), joined.generation);
        let mut parts: Vec<(Arc<str>, BTreeSet<i32>)> =
            joined.members.iter().map(|one| (one.member.clone(), BTreeSet::new())).collect();
        let owned: Vec<BTreeSet<i32>> = joined.members.iter().map(|one| partitions(&one.said, 20)).collect();
        for index in 0..PARTITIONS {
            let Some(to) = usize::try_from(index).expect("small").checked_rem(parts.len()) else { break };
            // Nobody gets what another has to give up first.
            if owned.iter().enumerate().all(|(holder, owns)| holder == to || !owns.contains(&index)) {
                parts[to].1.insert(index);
            }
        }
        let assignments = parts.into_iter().map(|(id, part)| (id, assigned(&part))).collect();
        let (protocol_type, protocol) = (joined.protocol_type.clone(), joined.protocol.clone());
        let member = self.member();
        self.syncing = Some(world.ask(GroupRequest::Sync(Sync { member, protocol_type, protocol, assignments })));
    }

    fn synced(&mut self, assignment: &Bytes) {
        let part = partitions(assignment, 9);
        // What it gives up others may have: it joins again to say that it did.
        self.is_called = self.owns.iter().any(|index| !part.contains(index));
        (self.syncing, self.owns) = (None, part);
    }

    fn begin_anew(&mut self) {
        *self =
            Classic { instance: self.instance.clone(), is_cooperative: self.is_cooperative, ..Classic::new(self.name) };
    }

    fn leave(&mut self, world: &mut World) {
        let _refused_or_not = world.leave(&self.id);
        self.begin_anew();
    }
}

const PARTITIONS: i32 = 6;

impl World {
    fn heartbeat_of(&mut self, member: MemberRef) -> Result<(), GroupError> {
        match self.now(GroupRequest::Heartbeat(member)) {
            GroupReply::Heartbeat(answer) => answer,
            other => panic!("a heartbeat's answer, not {other:?}"),
        }
    }

    fn listed_type(&self) -> &'static str {
        self.groups.list(None, 1).next().map_or("none", |listed| listed.state.type_name())
    }
}

fn world() -> World {
    World::with(GroupSettings { initial_rebalance_delay_ms: 0, ..GroupSettings::default() })
        .with_topic("t", T, PARTITIONS)
}

/// All go on, on a clock that goes on, until everything has a reader.
fn settle(world: &mut World, classic: &mut [Classic], consumers: &mut [Consumer]) {
    for _ in 0..40 {
        world.pass(LATER_MS);
        for client in classic.iter_mut() {
            client.step(world);
        }
        for client in consumers.iter_mut() {
            client.step(world);
        }
        check_readers(classic, consumers);
    }
    let all: usize = classic.iter().map(|one| one.owns.len()).sum::<usize>()
        + consumers.iter().map(|one| one.count()).sum::<usize>();
    assert_eq!(all, usize::try_from(PARTITIONS).expect("small"), "{classic:?} {consumers:?}");
    world.groups.agrees_with(&world.restarted().groups).expect("the same");
}

/// No partition is read by two clients.
fn check_readers(classic: &[Classic], consumers: &[Consumer]) {
    let mut seen = BTreeSet::new();
    let of_consumers = consumers.iter().flat_map(|one| one.owns.values().flatten());
    for index in classic.iter().flat_map(|one| &one.owns).chain(of_consumers) {
        assert!(seen.insert(*index), "two read {index}: {classic:?} {consumers:?}");
    }
}

#[test]
fn a_group_changes_over_member_by_member_and_back() {
    for is_cooperative in [false, true] {
        let mut world = world();
        let mut classic: Vec<Classic> = ["x", "y"].map(|name| Classic { is_cooperative, ..Classic::new(name) }).into();
        settle(&mut world, &mut classic, &mut []);
        assert_eq!((world.listed_type(), classic[0].owns.len()), ("classic", 3));
        world.commit(classic[0].member(), 5).expect("stored");
        let mut consumers = vec![Consumer::new("a")];
        settle(&mut world, &mut classic, &mut consumers);
        assert_eq!((world.listed_type(), consumers[0].count()), ("consumer", 2));
        assert_eq!(world.committed("t"), Some(5));
        classic[1].leave(&mut world);
        let mut last = vec![classic[0].clone()];
        settle(&mut world, &mut last, &mut consumers);
        assert_eq!((last[0].owns.len(), consumers[0].count()), (3, 3));
        // The last member of the consumer protocol goes.
        world.beat(ConsumerBeat { epoch: -1, ..consumers[0].beats() }).expect("left");
        settle(&mut world, &mut last, &mut []);
        assert_eq!((world.listed_type(), world.state()), ("classic", ClassicState::Stable));
        assert_eq!(world.committed("t"), Some(5));
    }
}

#[test]
fn members_are_called_not_fenced_and_go_when_they_do_not_join_in_time() {
    let mut world = world();
    let mut classic = vec![Classic::new("x")];
    settle(&mut world, &mut classic, &mut []);
    let x = classic.remove(0);
    let mut a = Consumer::new("a");
    a.step(&mut world);
    assert_eq!(a.epoch, x.generation + 1);
    assert_eq!(world.heartbeat_of(x.member()), Err(GroupError::RebalanceInProgress));
    assert_eq!(world.commit(x.member(), 7), Ok(()), "it holds what it held");
    // It shows that it lives, and does not join.
    for _ in 0..12 {
        assert_eq!(world.consumers().members.len(), 2);
        world.pass(4_900);
        let _called_or_gone = world.heartbeat_of(x.member());
        a.step(&mut world);
    }
    world.pass(4_900);
    assert_eq!(world.heartbeat_of(x.member()), Err(GroupError::UnknownMember));
    assert_eq!(world.listed_type(), "consumer");
}

#[test]
fn the_silence_of_the_last_consumer_makes_the_group_classic() {
    let mut world = world();
    let mut classic = vec![Classic::new("x")];
    let mut consumers = vec![Consumer::new("a")];
    settle(&mut world, &mut classic, &mut consumers);
    for _ in 0..5 {
        assert_eq!(world.heartbeat_of(classic[0].member()), Ok(()));
        world.pass(9_000);
    }
    world.pass(100);
    assert_eq!(world.listed_type(), "classic");
    assert_eq!(world.heartbeat_of(classic[0].member()), Err(GroupError::RebalanceInProgress));
    settle(&mut world, &mut classic, &mut []);
}

#[test]
fn who_waits_when_the_group_changes_is_asked_to_come_again() {
    let mut world = world();
    let mut classic = vec![Classic::new("x"), Classic { is_cooperative: true, ..Classic::new("y") }];
    settle(&mut world, &mut classic, &mut []);
    // It says that it has something now, and waits for the other.
    classic[1].join(&mut world);
    let waiting = classic[1].joining.expect("it asks");
    Consumer::new("a").step(&mut world);
    assert_eq!(world.refused(waiting).error, GroupError::RebalanceInProgress);
}

#[test]
fn a_static_member_takes_its_place_in_the_other_protocol() {
    let mut world = world();
    let mut classic = vec![Classic { instance: Some("i".into()), ..Classic::new("x") }, Classic::new("y")];
    settle(&mut world, &mut classic, &mut []);
    // Restarted with the consumer protocol, and nobody had to leave.
    let mut consumers = vec![Consumer::as_static("a")];
    let mut other = vec![classic[1].clone()];
    settle(&mut world, &mut other, &mut consumers);
    assert_eq!(world.consumers().members.len(), 2);
    assert_eq!(world.heartbeat_of(classic[0].member()), Err(GroupError::FencedInstance));
    // And back: the last of the consumer protocol is replaced, with what it had and without a rebalance.
    let (owned, epoch) = (consumers[0].count(), consumers[0].epoch);
    let mut back = Classic { instance: Some("i".into()), ..Classic::new("x") };
    back.step(&mut world);
    back.step(&mut world);
    back.step(&mut world);
    assert_eq!((world.listed_type(), back.generation, back.owns.len()), ("classic", epoch, owned));
    assert_eq!(world.heartbeat_of(other[0].member()), Ok(()));
    assert_eq!(world.groups.agrees_with(&world.restarted().groups), Ok(()));
}

#[test]
fn the_policy_of_the_broker_says_which_way_a_group_may_change() {
    for (policy, may_upgrade, may_downgrade) in [
        (Migration::Disabled, false, false),
        (Migration::Upgrade, true, false),
        (Migration::Downgrade, false, true),
        (Migration::Bidirectional, true, true),
    ] {
        let settings =
            GroupSettings { initial_rebalance_delay_ms: 0, consumer_migration: policy, ..GroupSettings::default() };
        let mut world = World::with(settings.clone()).with_topic("t", T, PARTITIONS);
        let mut classic = vec![Classic::new("x")];
        settle(&mut world, &mut classic, &mut []);
        assert_eq!(world.beat(Consumer::new("a").joins()).is_ok(), may_upgrade, "{policy:?}");
        let mut world = World::with(settings).with_topic("t", T, PARTITIONS);
        let mut a = Consumer::new("a");
        a.step(&mut world);
        let mut x = Classic::new("x");
        (0..6).for_each(|_| x.step(&mut world));
        assert_eq!(x.generation > 0, policy != Migration::Disabled, "{policy:?}");
        world.beat(ConsumerBeat { epoch: -1, ..a.beats() }).expect("left");
        if policy != Migration::Disabled {
            assert_eq!(world.listed_type() == "classic", may_downgrade, "{policy:?}");
        }
    }
}

#[test]
fn whoever_only_reads_changes_no_group() {
    let settings = GroupSettings { consumer_migration: Migration::Upgrade, ..GroupSettings::default() };
    let mut world = World::with(settings).with_topic("t", T, PARTITIONS);
    let mut a = Consumer::new("a");
    a.step(&mut world);
    let mut x = Classic::new("x");
    (0..6).for_each(|_| x.step(&mut world));
    world.beat(ConsumerBeat { epoch: -1, ..a.beats() }).expect("left");
    // The policy is another now: what is left of the group is to be classic.
    let mut world = world.restarted();
    let stored = world.log.len();
    assert_eq!(world.committed("t"), None);
    world.consumers();
    assert_eq!(world.log.len(), stored);
    x.step(&mut world);
    assert_eq!(world.listed_type(), "classic");
}

#[test]
fn a_group_that_cannot_change_stays_as_it_was() {
    let mut world = World::new();
    for (protocol_type, said, why) in [
        ("connect", &b""[..], "the group does not use the consumer embedded protocol"),
        ("consumer", &b"\0"[..], "the embedded consumer protocol is malformed"),
    ] {
        let ask = world.join(Join {
            protocol_type: protocol_type.into(),
            protocols: vec![("range".into(), Bytes::from_static(said))],
            ..joining("x")
        });
        world.pass(3_000);
        let joined = world.joined(ask);
        let refused = world.beat(Consumer::new("a").joins()).expect_err("refused");
        assert_eq!(refused.error, GroupError::NotConsumer);
        assert!(refused.why.contains(why), "{}", refused.why);
        assert_eq!((world.listed_type(), world.heartbeat(&joined.member, joined.generation)), ("classic", Ok(())));
        world.leave(&joined.member).expect("it was there");
    }
    let joined = world.stable(&["x"]);
    let ask = world.join(Join { member: joined[0].member.clone(), ..joining("x") });
    let again = world.joined(ask);
    let of_an_assignor = [(&again.member, "\0\0\0\0\0\0\0\0\0\x01x")];
    let ask = world.sync(&again, &of_an_assignor);
    world.synced(ask).expect("synced");
    let refused = world.beat(Consumer::new("a").joins()).expect_err("refused");
    assert!(refused.why.contains("an unsupported custom assignor is in use"), "{}", refused.why);
}

#[test]
fn what_a_classic_member_may_not_ask_of_a_consumer_group_is_refused() {
    let mut world = world();
    Consumer::new("a").step(&mut world);
    let refused = |world: &mut World, join: Join| {
        let ask = world.join(join);
        world.refused(ask).error
    };
    let other_type = Join { protocol_type: "connect".into(), ..joining("x") };
    assert_eq!(refused(&mut world, other_type), GroupError::InconsistentProtocol);
    let malformed = Join { protocols: vec![("range".into(), Bytes::from_static(b"\0"))], ..joining("x") };
    assert_eq!(refused(&mut world, malformed), GroupError::Malformed);
    let mut x = Classic::new("x");
    (0..6).for_each(|_| x.step(&mut world));
    let other = Join { protocols: vec![("sticky".into(), words(&BTreeSet::new()))], ..joining("z") };
    assert_eq!(refused(&mut world, other), GroupError::InconsistentProtocol);
    let stale = MemberRef { generation: x.generation - 1, ..x.member() };
    assert_eq!(world.heartbeat_of(stale), Err(GroupError::IllegalGeneration));
    assert_eq!(world.heartbeat_of(member(&"a".into(), 2)), Err(GroupError::UnknownMember), "it speaks the other one");
    let wrong = Sync {
        member: x.member(),
        protocol_type: Some("consumer".into()),
        protocol: Some("sticky".into()),
        assignments: Vec::new(),
    };
    assert_eq!(world.now(GroupRequest::Sync(wrong)), GroupReply::Synced(Err(GroupError::InconsistentProtocol)));
    // An administrator takes members of either protocol out.
    assert_eq!(world.leave(&"a".into()), Ok(()));
    assert_eq!(world.listed_type(), "classic");
}

#[derive(Debug, Clone)]
enum Op {
    Classic(usize),
    Consumer(usize),
    Leave(usize),
    Go(usize),
    Pass(u16),
    Restart,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let client = 0usize..3;
    let op = prop_oneof![
        12 => client.clone().prop_map(Op::Classic),
        8 => client.clone().prop_map(Op::Consumer),
        1 => client.clone().prop_map(Op::Leave),
        2 => client.prop_map(Op::Go),
        5 => (0u16..3_000).prop_map(Op::Pass),
        1 => Just(Op::Restart),
    ];
    prop::collection::vec(op, 0..150)
}

proptest! {
    #[test]
    fn mixed_groups_replay_as_they_live_and_come_to_rest(ops in ops()) {
        let mut world = world();
        let mut classic: Vec<Classic> = ["x", "y", "z"].into_iter().map(Classic::new).collect();
        classic[1].instance = Some("k".into());
        classic[2].is_cooperative = true;
        let mut consumers: Vec<Consumer> = ["a", "b", "c"].into_iter().map(Consumer::new).collect();
        consumers[2].instance = Some("i".into());
        for op in &ops {
            match op {
                Op::Classic(c) => classic[*c].step(&mut world),
                Op::Leave(c) => classic[*c].leave(&mut world),
                Op::Consumer(c) => step(&mut consumers[*c], &mut world),
                Op::Go(c) => {
                    let one = &mut consumers[*c];
                    drop(world.beat(ConsumerBeat { epoch: -1, ..one.beats() }));
                    (one.epoch, one.owns) = (0, Parts::new());
                }
                Op::Pass(ms) => world.pass(u64::from(*ms)),
                Op::Restart => {
                    let asked = world.asked;
                    world = World { asked, ..world.restarted() };
                    for client in &mut classic {
                        let waits = client.joining.take().is_some() | client.syncing.take().is_some();
                        client.is_called |= waits;
                    }
                }
            }
            if let Err(differs) = world.groups.agrees_with(&world.restarted().groups) {
                prop_assert!(false, "after {:?}: {}", op, differs);
            }
        }
        // The consumers go, one after the other, and the classic members go on.
        for left in (0..consumers.len()).rev() {
            for _ in 0..30 {
                world.pass(LATER_MS);
                classic.iter_mut().for_each(|client| client.step(&mut world));
                consumers[..=left].iter_mut().for_each(|client| step(client, &mut world));
            }
            check_readers(&classic, &consumers);
            let count = classic.iter().map(|one| one.owns.len()).sum::<usize>() + consumers.iter().map(Consumer::count).sum::<usize>();
            prop_assert_eq!(count, 6, "{:?} {:?}", &classic, &consumers);
            drop(world.beat(ConsumerBeat { epoch: -1, ..consumers[left].beats() }));
            consumers[left].owns = Parts::new();
        }
        prop_assert_eq!(world.listed_type(), "classic");
    }
}

/// As [`Consumer::step`], whatever comes of it.
fn step(consumer: &mut Consumer, world: &mut World) {
    let beat = if consumer.epoch <= 0 { consumer.joins() } else { consumer.beats() };
    match world.beat(beat) {
        Ok(told) => consumer.hear(told),
        Err(_) => (consumer.epoch, consumer.owns) = (0, Parts::new()),
    }
}

#[test]
fn classic_members_that_are_left_alone_in_a_consumer_group_share_what_the_last_consumer_had() {
    let consumer_migration = Migration::Upgrade;
    let settings = GroupSettings { initial_rebalance_delay_ms: 0, consumer_migration, ..GroupSettings::default() };
    let mut world = World::with(settings).with_topic("t", T, PARTITIONS);
    let mut classic = [Classic::new("a"), Classic::new("b")];
    let mut consumer = [Consumer::new("c")];
    settle(&mut world, &mut classic, &mut []);
    settle(&mut world, &mut classic, &mut consumer);
    assert_eq!(consumer[0].count(), 2);
    world.beat(ConsumerBeat { epoch: -1, ..consumer[0].beats() }).expect("it goes");
    settle(&mut world, &mut classic, &mut []);
    assert_eq!(world.listed_type(), "consumer");
    assert_eq!(classic.iter().map(|one| one.owns.len()).sum::<usize>(), 6, "{classic:?}");
}
