//! What a coordinator holds in memory for its members. Owns the allocator of this test binary, which counts for each thread
//! what it holds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use shards::catalog::{Catalog, CatalogRecord, CatalogSettings};
use shards::group::{
    AskId, ConsumerBeat, GroupReply, GroupRequest, GroupSettings, Groups, Join, Joined, MemberRef, Now, Parts, Sync,
};
use shards::types::{Mono, TopicId};

thread_local! {
    /// Bytes that were asked for and not given back.
    static HELD: Cell<isize> = const { Cell::new(0) };
}

/// Passes everything on to the system and counts it.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count(bytes: isize) {
    // A thread that is ending has no counter any more, and no test either.
    let _ = HELD.try_with(|held| held.set(held.get() + bytes));
}

// SAFETY: every call goes to `System` as it came; counting touches no memory of the allocator's user.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps `alloc`'s contract, which is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: as above; `ptr` came from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size.cast_signed() - layout.size().cast_signed());
        // SAFETY: as above; `ptr` came from `System`.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

const GROUPS: usize = 20;
const MEMBERS: usize = 100;
/// One for each member.
const PARTITIONS: i32 = 100;
const TOPIC: &str = "memory";
const CLIENT: &str = "bench-clients";
const HOST: &str = "/127.0.0.1";

/// Most for each member that joined, with one partition and a text or two of a dozen bytes.
const CLASSIC_BYTES_MAX: usize = 1000;
const CONSUMER_BYTES_MAX: usize = 2500;

/// A coordinator and its clock.
struct World {
    groups: Groups,
    catalog: Catalog,
    now: Now,
    asked: u64,
    before: isize,
}

impl World {
    fn new() -> World {
        let mut catalog = Catalog::new(CatalogSettings::new("cluster", 1));
        let topic = TopicId([7; 16]);
        catalog.apply(&CatalogRecord::Topic { name: TOPIC.into(), id: topic }).expect("a new topic");
        for index in 0..PARTITIONS {
            let record = CatalogRecord::Partition { topic, index, replicas: vec![1], leader_epoch: 0 };
            catalog.apply(&record).expect("the next partition");
        }
        let groups = Groups::new(Arc::new(GroupSettings::default()));
        let now = Now { mono: Mono(1), wall_ms: 1_000_000 };
        World { groups, catalog, now, asked: 0, before: HELD.get() }
    }

    /// Its answer, if it comes at once.
    fn ask(&mut self, request: GroupRequest) -> Option<GroupReply> {
        self.asked += 1;
        let ask = AskId(self.asked);
        self.groups.handle(self.now, &self.catalog, ask, request).replies.into_iter().map(|(_, reply)| reply).next()
    }

    fn pass(&mut self, ms: u16) -> Vec<GroupReply> {
        self.now.mono = self.now.mono.after(Duration::from_millis(u64::from(ms)));
        self.now.wall_ms += i64::from(ms);
        let mut replies = Vec::new();
        while self.groups.next_deadline().is_some_and(|next| next <= self.now.mono) {
            replies.extend(self.groups.fire(self.now, &self.catalog, 100).replies.into_iter().map(|(_, reply)| reply));
        }
        replies
    }

    /// For each member, as the allocator has it; it must not be more than is said to be, and be told to those who look.
    fn check_held(&self, most: usize) {
        let members = GROUPS * MEMBERS;
        let held = (HELD.get() - self.before).cast_unsigned() / members;
        let counted = self.groups.bytes() / members;
        println!("{held} bytes a member are held, {counted} are counted");
        assert!(held <= most, "{held} bytes a member are held");
        // About: a tenth either way does not fill a machine.
        assert!(held <= counted + counted / 10, "{held} bytes a member are held, {counted} are counted");
    }
}

/// Requests have texts of their own, each time anew.
fn text(text: &str) -> Arc<str> {
    text.into()
}

fn member(group: &str, id: &str, generation: i32) -> MemberRef {
    MemberRef { group: text(group), member: text(id), instance: None, generation }
}

/// What a classic member that reads the topic says.
fn join(group: &str, id: &str, number: usize) -> GroupRequest {
    GroupRequest::Join(Join {
        group: text(group),
        member: text(id),
        instance: None,
        client_id: text(CLIENT),
        client_host: text(HOST),
        // All of them live to the end.
        session_timeout_ms: 1_800_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: text("consumer"),
        protocols: vec![(text("range"), Bytes::copy_from_slice(b"\0\0\0\0\0\x01\0\x06memory\xff\xff\xff\xff"))],
        fresh: (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes(),
        needs_id: true,
        may_skip_assignment: true,
        reason: None,
    })
}

/// Who joined; the generation begins when the group has waited for more.
fn joined(world: &mut World, group: &str) -> Vec<Joined> {
    for number in 0..MEMBERS {
        let Some(GroupReply::Joined(Err(refused))) = world.ask(join(group, "", number)) else {
            panic!("a new member is given an id")
        };
        assert!(world.ask(join(group, &refused.member, number)).is_none());
    }
    let mut joined = Vec::new();
    while joined.len() < MEMBERS {
        joined.extend(world.pass(3000).into_iter().map(|reply| match reply {
            GroupReply::Joined(joined) => joined.expect("a generation"),
            other => panic!("joined, not {other:?}"),
        }));
    }
    joined
}

#[test]
fn a_classic_member_takes_less_than_a_kilobyte() {
    let mut world = World::new();
    for group in 0..GROUPS {
        let group = format!("memory-classic-{group}");
        let joined = joined(&mut world, &group);
        let assignment = b"\0\0\0\0\0\x01\0\x06memory\0\0\0\x01\0\0\0\x05\xff\xff\xff\xff";
        // The first leads.
        for one in joined.iter().rev() {
            let parts = one.members.iter().map(|one| (text(&one.member), Bytes::copy_from_slice(assignment)));
            world.ask(GroupRequest::Sync(Sync {
                member: member(&group, &one.member, one.generation),
                protocol_type: Some(text("consumer")),
                protocol: Some(text("range")),
                assignments: parts.collect(),
            }));
        }
        for one in joined {
            let beat = world.ask(GroupRequest::Heartbeat(member(&group, &one.member, one.generation)));
            assert!(matches!(beat, Some(GroupReply::Heartbeat(Ok(())))), "{beat:?}");
        }
    }
    world.check_held(CLASSIC_BYTES_MAX);
}

#[test]
fn a_member_of_a_consumer_group_takes_less_than_two_and_a_half() {
    let mut world = World::new();
    for group in 0..GROUPS {
        let group = format!("memory-consumer-{group}");
        let mut members: Vec<(i32, Parts)> = vec![(0, Parts::new()); MEMBERS];
        // Until each has its partition, and has said so.
        for _ in 0..8 {
            for (number, (epoch, owns)) in members.iter_mut().enumerate() {
                world.pass(2);
                let joins = *epoch == 0;
                let beat = world.ask(GroupRequest::ConsumerBeat(ConsumerBeat {
                    group: text(&group),
                    member: text(&format!("member-of-22-bytes-{number:03}")),
                    epoch: *epoch,
                    instance: None,
                    rack: None,
                    client_id: text(CLIENT),
                    client_host: text(HOST),
                    rebalance_timeout_ms: if joins { 60_000 } else { -1 },
                    topics: joins.then(|| BTreeSet::from([text(TOPIC)])),
                    regex: None,
                    assignor: None,
                    owns: Some(owns.clone()),
                    fresh: [0; 16],
                }));
                let Some(GroupReply::ConsumerBeat(Ok(told))) = beat else { panic!("told, not {beat:?}") };
                *epoch = told.epoch;
                *owns = told.assignment.unwrap_or_else(|| std::mem::take(owns));
            }
        }
        assert!(members.iter().all(|(_, owns)| owns.values().map(BTreeSet::len).sum::<usize>() == 1), "{members:?}");
    }
    world.check_held(CONSUMER_BYTES_MAX);
}
