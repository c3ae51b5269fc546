//! Partitions whose topic is deleted. Owning core only; shared by its state and its files.
//!
//! Invariant: an id is in it from the step on in which its core learns of the deletion. A topic of the same name is made only after
//! every core has, so nothing of that one can be taken for the old one's.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::types::PartitionId;

/// Cheap to clone: all clones are one set. It grows by one id for each partition that is deleted while the process lives, as some
/// job may still be under way for any of them.
#[derive(Clone, Debug, Default)]
pub struct Removed(Rc<RefCell<BTreeSet<PartitionId>>>);

impl Removed {
    pub fn add(&self, id: PartitionId) {
        self.0.borrow_mut().insert(id);
    }

    pub fn contains(&self, id: PartitionId) -> bool {
        self.0.borrow().contains(&id)
    }
}
