//! Replay of all records equals the live state, whatever the clients do.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Op {
    /// Client, whether it is static, whether it says something new.
    Join(u8, bool, bool),
    Sync(u8),
    Heartbeat(u8),
    Leave(u8),
    Commit(u8, bool),
    Pass(u16),
    Expire,
    Delete,
    DeleteTopic,
    Restart,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let client = 0u8..4;
    let op = prop_oneof![
        6 => (client.clone(), any::<bool>(), prop::bool::weighted(0.2)).prop_map(|(c, s, n)| Op::Join(c, s, n)),
        5 => client.clone().prop_map(Op::Sync),
        3 => client.clone().prop_map(Op::Heartbeat),
        2 => client.clone().prop_map(Op::Leave),
        3 => (client, any::<bool>()).prop_map(|(c, m)| Op::Commit(c, m)),
        4 => (0u16..8_000).prop_map(Op::Pass),
        1 => Just(Op::Pass(60_000)),
        1 => Just(Op::Expire),
        1 => Just(Op::Delete),
        1 => Just(Op::DeleteTopic),
        1 => Just(Op::Restart),
    ];
    prop::collection::vec(op, 0..80)
}

/// What a client knows of itself.
#[derive(Default, Clone)]
struct Client {
    id: Option<Arc<str>>,
    instance: Option<Arc<str>>,
    joined: Option<Joined>,
    asks: Vec<AskId>,
}

fn run(world: &mut World, clients: &mut [Client], n: usize, op: &Op) {
    match op {
        Op::Join(c, is_static, is_new) => {
            let client = &mut clients[usize::from(*c)];
            let name = format!("c{c}-{n}");
            let instance = is_static.then(|| format!("i{c}").into());
            let said = if *is_new { Bytes::from(n.to_string()) } else { said() };
            let join = Join {
                member: client.id.clone().unwrap_or_default(),
                instance: instance.clone(),
                protocols: vec![("range".into(), said.clone()), ("other".into(), said)],
                needs_id: true,
                ..joining(&name)
            };
            client.instance = instance;
            client.asks.push(world.join(join));
        }
        Op::Sync(c) => {
            let Some(joined) = clients[usize::from(*c)].joined.clone() else { return };
            let parts: Vec<_> = joined.members.iter().map(|one| (&one.member, "part")).collect();
            world.sync(&joined, &parts);
        }
        Op::Heartbeat(c) => {
            if let Some(joined) = &clients[usize::from(*c)].joined {
                let _refused_or_not = world.heartbeat(&joined.member, joined.generation);
            }
        }
        Op::Leave(c) => {
            if let Some(id) = clients[usize::from(*c)].id.take() {
                let _refused_or_not = world.leave(&id);
            }
        }
        Op::Commit(c, as_member) => {
            let member = match &clients[usize::from(*c)].joined {
                Some(joined) if *as_member => member(&joined.member, joined.generation),
                _ => nobody(),
            };
            let _refused_or_not = world.commit(member, i64::try_from(n).expect("small"));
        }
        Op::Pass(ms) => world.pass(u64::from(*ms)),
        Op::Expire => {
            world.now.wall_ms += 4 * 24 * 60 * 60 * 1000;
            let (effects, _) = world.groups.expire(world.now, None, 10);
            world.take(effects);
        }
        Op::Delete => drop(world.now(GroupRequest::Delete { group: "g".into() })),
        Op::DeleteTopic => {
            world.groups.forget_topic("t".into());
            world.pass(0);
        }
        Op::Restart => {
            let answers = std::mem::take(&mut world.answers);
            let asked = world.asked;
            *world = World { answers, asked, ..world.restarted() };
        }
    }
    for client in clients {
        client.asks.retain(|ask| match world.answers.remove(ask) {
            None => true,
            Some(GroupReply::Joined(Ok(joined))) => {
                client.id = Some(joined.member.clone());
                client.joined = Some(joined);
                false
            }
            Some(GroupReply::Joined(Err(refused))) => {
                client.id = (refused.error == GroupError::MemberIdRequired).then_some(refused.member);
                false
            }
            Some(other) => panic!("a join was answered with {other:?}"),
        });
    }
}

proptest! {
    #[test]
    fn replay_of_all_records_equals_the_live_state(ops in ops()) {
        let mut world = World::new();
        let mut clients = vec![Client::default(); 4];
        for (n, op) in ops.iter().enumerate() {
            run(&mut world, &mut clients, n, op);
            let fresh = Groups::new(Arc::new(GroupSettings::default()));
            let replayed = world.log.iter().fold(fresh, |mut groups, record| {
                groups.apply(record);
                groups
            });
            if let Err(differs) = world.groups.agrees_with(&replayed) {
                prop_assert!(false, "after {:?}: {}", op, differs);
            }
        }
    }

    #[test]
    fn a_rebalance_ends_once_everybody_comes_and_time_passes(ops in ops()) {
        let mut world = World::new();
        let mut clients = vec![Client::default(); 4];
        for (n, op) in ops.iter().enumerate() {
            run(&mut world, &mut clients, n, op);
        }
        // Everybody is silent from now on: the group must come to rest, and no asker may be left waiting.
        world.pass(20 * 60 * 1000);
        for client in &clients {
            prop_assert!(client.asks.iter().all(|ask| world.answers.contains_key(ask)) || ops.iter().any(|op| matches!(op, Op::Restart)));
        }
        if let Ok(described) = world.describe() {
            prop_assert_eq!(described.state, ClassicState::Empty);
        }
        prop_assert_eq!(world.groups.next_deadline(), None);
    }
}
