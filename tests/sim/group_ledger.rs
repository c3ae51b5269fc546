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

#[derive(Clone)]
pub struct Ledger {
    history: History,
    /// Generation and partition → whoever was given it.
    owners: Rc<RefCell<BTreeMap<(i32, u8), String>>>,
    /// Partition → highest offset whose commit was acked.
    acked: Rc<RefCell<BTreeMap<u8, i64>>>,
    /// Member's number → its share, while it believes in it.
    shares: Rc<RefCell<BTreeMap<usize, Share>>>,
    /// Partition → the number of the member that was given it last, and when.
    takers: Rc<RefCell<BTreeMap<u8, (usize, Mono)>>>,
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
            takers: Rc::default(),
            calm: Rc::default(),
        }
    }

    pub fn is_calm(&self) -> bool {
        self.calm.get()
    }

    pub fn calm_down(&self) {
        self.calm.set(true);
    }

    /// A member was given partitions: nobody else has them in this generation.
    pub fn gained(&self, number: usize, id: &str, share: Share, now: Mono) {
        for part in &share.parts {
            let owner =
                self.owners.borrow_mut().entry((share.generation, *part)).or_insert_with(|| id.to_owned()).clone();
            if owner != id {
                let generation = share.generation;
                self.history.unexpected(format!("generation {generation}, partition {part}: {owner} and {id} own it"));
            }
        }
        self.took(number, share, now);
    }

    /// As [`Ledger::gained`], where generations do not tell who was first.
    pub fn took(&self, number: usize, share: Share, now: Mono) {
        let before = self.shares.borrow().get(&number).map(|share| share.parts.clone()).unwrap_or_default();
        let added = share.parts.difference(&before).map(|part| (*part, (number, now)));
        self.takers.borrow_mut().extend(added);
        self.shares.borrow_mut().insert(number, share);
    }

    /// The broker took what the member sent at `asked`, when it had these: so nobody was given them before.
    pub fn accepted(&self, number: usize, parts: impl IntoIterator<Item = u8>, asked: Mono) {
        let takers = self.takers.borrow();
        for part in parts {
            if let Some((taker, at)) = takers.get(&part).filter(|(taker, at)| *taker != number && *at < asked) {
                let what = format!("member {number} reads partition {part} at {asked:?}, and {taker} since {at:?}");
                self.history.unexpected(what);
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
