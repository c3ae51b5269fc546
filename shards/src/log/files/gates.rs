//! Who may change what the name of a directory means: one at a time, whichever core it is on. One set for the whole process.
//!
//! A topic that is deleted and made again has the same names and another id, so that its partitions are usually another core's: the
//! removal on one core meets the making on the other.
//!
//! Invariant: a gate is entered once and left before it is entered again; who is inside enters no other one.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::PartitionDir;

/// Partition directories that are made, renamed or synced at once: many more than all cores do, so that names that hash alike seldom
/// wait for each other.
const GATES: usize = 512;

/// One gate for all directories whose names hash alike.
#[derive(Debug)]
pub struct Gates([Gate; GATES]);

impl Default for Gates {
    fn default() -> Gates {
        Gates(std::array::from_fn(|_| Gate::new()))
    }
}

impl Gates {
    /// Waits until nobody else is at work on a directory of this name.
    pub(super) async fn enter(&self, dir: &PartitionDir) -> Inside<'_> {
        let mut hasher = DefaultHasher::new();
        (&dir.topic_name, dir.id.index).hash(&mut hasher);
        self.0[hasher.finish() as usize % GATES].enter().await
    }
}

/// Lets one in at a time.
#[derive(Debug)]
pub struct Gate {
    token: flume::Receiver<()>,
    back: flume::Sender<()>,
}

pub struct Inside<'a>(&'a Gate);

impl Gate {
    pub fn new() -> Gate {
        let (back, token) = flume::bounded(1);
        back.try_send(()).expect("the channel is empty");
        Gate { token, back }
    }

    pub async fn enter(&self) -> Inside<'_> {
        self.token.recv_async().await.expect("the gate holds its own sender");
        Inside(self)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.back.try_send(()).expect("there is one token");
    }
}
