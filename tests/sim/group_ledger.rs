//! What the members of a simulated group know together, and what must hold between them.
//!
//! Invariant: a broken rule is told to the history at once, with the time in the trace.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use shards::types::Mono;

use crate::history::History;

/// Partitions of the topic that the group reads.
pub const PARTITIONS: u8 = 6;

/// What a member was given last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub generation: i32,
    pub parts: BTreeSet<u8>,
}

/// When a member had a partition for certain: from `heard` or earlier to `asked` or later. Both are the client's times; the
/// broker's lie somewhere between a request and its reply, and a reply may be late by more than a session. It outlives the
/// member: what was cannot become wrong.
#[derive(Clone, Copy, Debug)]
struct Hold {
    /// The reply that gave it was there.
    heard: Mono,
    /// The last request went out by which the broker showed that the member has it; at first, the one that got it.
    asked: Mono,
}

impl Hold {
    /// Whether one cannot have ended before the other began, whichever was first.
    fn overlaps(self, other: Hold) -> bool {
        self.heard < other.asked && other.heard < self.asked
    }
}

#[derive(Clone)]
pub struct Ledger {
    history: History,
    /// Generation and partition → whoever was given it.
    owners: Rc<RefCell<BTreeMap<(i32, u8), String>>>,
    /// Partition → highest offset whose commit was acked.
    acked: Rc<RefCell<BTreeMap<u8, i64>>>,
    /// Member's number → its share, while it believes in it.
    shares: Rc<RefCell<BTreeMap<usize, Share>>>,
    /// Partition and member's number → when the member had it last.
    holds: Rc<RefCell<BTreeMap<(u8, usize), Hold>>>,
    /// No member leaves, dies or sleeps any more.
    calm: Rc<Cell<bool>>,
}

impl Ledger {
    pub fn new(history: History) -> Ledger {
        Ledger {
            history,
            owners: Rc::default(),
            acked: Rc::default(),
            shares: Rc::default(),
            holds: Rc::default(),
            calm: Rc::default(),
        }
    }

    pub fn is_calm(&self) -> bool {
        self.calm.get()
    }

    pub fn calm_down(&self) {
        self.calm.set(true);
    }

    /// A member that asked at `asked` was given partitions: nobody else has them in this generation.
    pub fn gained(&self, number: usize, id: &str, share: Share, asked: Mono, now: Mono) {
        for part in &share.parts {
            let owner =
                self.owners.borrow_mut().entry((share.generation, *part)).or_insert_with(|| id.to_owned()).clone();
            if owner != id {
                let generation = share.generation;
                self.history.unexpected(format!("generation {generation}, partition {part}: {owner} and {id} own it"));
            }
        }
        self.took(number, share, asked, now);
    }

    /// As [`Ledger::gained`], where generations do not tell who was first.
    pub fn took(&self, number: usize, share: Share, asked: Mono, now: Mono) {
        let before = self.shares.borrow().get(&number).map(|share| share.parts.clone()).unwrap_or_default();
        let added = share.parts.difference(&before).map(|part| ((*part, number), Hold { heard: now, asked }));
        self.holds.borrow_mut().extend(added);
        self.shares.borrow_mut().insert(number, share);
    }

    /// The broker took what the member sent at `asked`, when it had these: so nobody else had them meanwhile.
    pub fn accepted(&self, number: usize, parts: impl IntoIterator<Item = u8>, asked: Mono) {
        let mut holds = self.holds.borrow_mut();
        for part in parts {
            let Some(own) = holds.get_mut(&(part, number)) else {
                self.history.unexpected(format!("member {number} reads partition {part}, and was not given it"));
                continue;
            };
            own.asked = asked;
            let own = *own;
            for ((_, other), hold) in holds.range((part, 0)..=(part, usize::MAX)) {
                if *other != number && own.overlaps(*hold) {
                    let what =
                        format!("partition {part} is member {number}'s, {own:?}, and member {other}'s, {hold:?}");
                    self.history.unexpected(what);
                }
            }
        }
    }

    pub fn lost(&self, number: usize) {
        self.shares.borrow_mut().remove(&number);
    }

    /// The least that a fetch that is asked for from now on may say.
    pub fn floors(&self) -> BTreeMap<u8, i64> {
        self.acked.borrow().clone()
    }

    pub fn fetched(&self, floors: &BTreeMap<u8, i64>, part: u8, offset: i64) {
        let floor = floors.get(&part).copied().unwrap_or(-1);
        if offset < floor {
            self.history.unexpected(format!("partition {part}: offset {offset} is stored, {floor} was acked"));
        }
    }

    pub fn committed(&self, part: u8, offset: i64) {
        let mut acked = self.acked.borrow_mut();
        let known = acked.entry(part).or_insert(offset);
        *known = offset.max(*known);
    }

    /// All `members` are in one generation, and have all partitions between them.
    pub fn has_converged(&self, members: usize) -> bool {
        let shares = self.shares.borrow();
        let generations: BTreeSet<i32> = shares.values().map(|share| share.generation).collect();
        let parts: usize = shares.values().map(|share| share.parts.len()).sum();
        shares.len() == members && generations.len() == 1 && parts == usize::from(PARTITIONS)
    }

    /// All `members` are there, and each partition is one member's.
    pub fn is_shared(&self, members: usize) -> bool {
        let shares = self.shares.borrow();
        let all: BTreeSet<u8> = shares.values().flat_map(|share| share.parts.iter().copied()).collect();
        let parts: usize = shares.values().map(|share| share.parts.len()).sum();
        shares.len() == members && all.len() == usize::from(PARTITIONS) && parts == all.len()
    }

    pub fn describe(&self) -> String {
        format!("{:?}", self.shares.borrow())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Event;

    const PART: u8 = 1;

    fn gives(ledger: &Ledger, number: usize, asked: u64, heard: u64) {
        let share = Share { generation: 1, parts: BTreeSet::from([PART]) };
        ledger.took(number, share, Mono(asked), Mono(heard));
    }

    fn is_broken(story: impl FnOnce(&Ledger)) -> bool {
        let history = History::default();
        story(&Ledger::new(history.clone()));
        history.with(|events| events.iter().any(|event| matches!(event, Event::Unexpected { .. })))
    }

    #[test]
    fn a_partition_that_goes_from_one_member_to_the_next_breaks_nothing() {
        assert!(!is_broken(|ledger| {
            gives(ledger, 1, 10, 20);
            ledger.accepted(1, [PART], Mono(30));
            ledger.lost(1);
            // What 1 asked for at 30 was served before what 2 asked for at 25.
            gives(ledger, 2, 25, 40);
            ledger.accepted(2, [PART], Mono(50));
            ledger.lost(2);
            gives(ledger, 1, 60, 70);
            ledger.accepted(1, [PART], Mono(80));
        }));
    }

    #[test]
    fn a_reply_that_comes_when_its_member_is_long_fenced_breaks_nothing() {
        assert!(!is_broken(|ledger| {
            gives(ledger, 2, 30, 40);
            ledger.accepted(2, [PART], Mono(45));
            gives(ledger, 1, 10, 50);
            ledger.accepted(2, [PART], Mono(60));
        }));
        assert!(!is_broken(|ledger| {
            gives(ledger, 1, 10, 20);
            gives(ledger, 2, 40, 50);
            ledger.accepted(1, [PART], Mono(30));
        }));
    }

    #[test]
    fn a_member_that_goes_on_after_another_was_given_its_partition_is_caught() {
        assert!(is_broken(|ledger| {
            gives(ledger, 1, 10, 20);
            gives(ledger, 2, 30, 40);
            ledger.lost(2);
            ledger.accepted(1, [PART], Mono(50));
        }));
    }

    #[test]
    fn two_members_that_both_go_on_are_caught_whoever_was_first() {
        let both = |first, second| {
            is_broken(|ledger| {
                gives(ledger, 1, 10, 50);
                gives(ledger, 2, 10, 50);
                ledger.accepted(first, [PART], Mono(60));
                ledger.accepted(second, [PART], Mono(70));
            })
        };
        assert!(both(1, 2) && both(2, 1));
    }

    #[test]
    fn a_member_that_was_given_nothing_and_reads_is_caught() {
        assert!(is_broken(|ledger| ledger.accepted(1, [PART], Mono(10))));
    }
}
