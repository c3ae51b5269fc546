//! The actor of one core: owns its partitions, its journal and its segment files. Nobody else touches them.
//!
//! `core` is the state and its steps, `handle` the door; `append`, `read`, `log_start` and `catalog` the steps by subject;
//! `at_rest` what tools see of it while no broker runs.
//! Around them run the tasks of the core, generic over the runtime: `commit` (group commit), `write_behind` (segments),
//! `turn` (reuse of journal files), `disk` (cold reads), `timers` (deadlines, retention), `compaction`, `clean_up` (renames,
//! unlinks), `groups` (the coordinators of groups), `start`, `recovery`, `settle` and `stop`. `ballast` is the disk space that
//! is held back, `nearly_full` the word before that is needed, `descriptors` the wait for one where files are opened; `stages`,
//! `trace` and `report` say what all of it does.
//!
//! Invariant: a step never awaits and a task never holds a borrow of the core across an await: mutate, then await.

pub mod adopted;
pub mod append;
pub mod at_rest;
pub mod ballast;
pub mod catalog;
pub mod clean_up;
#[cfg(test)]
mod cold_tail_tests;
pub mod commit;
pub mod compaction;
pub mod core;
mod descriptors;
#[cfg(test)]
mod descriptors_tests;
pub mod disk;
pub mod fence;
#[cfg(test)]
mod flush_tests;
pub mod groups;
pub mod handle;
pub mod hash;
pub mod leftovers;
pub mod log_start;
pub mod nearly_full;
pub mod pace;
pub mod partition;
pub mod read;
pub mod recovery;
pub mod report;
#[cfg(test)]
mod retention_tests;
#[cfg(test)]
mod retry_tests;
#[cfg(test)]
mod room_tests;
pub mod settings;
pub mod settle;
#[cfg(test)]
mod settle_tests;
pub mod signal;
pub mod snapshot;
#[cfg(test)]
mod spread_tests;
pub mod stages;
pub mod start;
pub mod stop;
#[cfg(test)]
mod stop_tests;
#[cfg(test)]
mod sweep_tests;
pub mod timers;
pub mod trace;
pub mod turn;
pub mod watch;
pub mod write_behind;

use std::cell::{Cell, RefCell};
use std::io;
use std::path::Path;
use std::rc::Rc;

use self::core::{ShardCore, Signals};
use self::fence::Fence;
use crate::journal::files::JournalFile;
use crate::journal::run::Run;
use crate::journal::space::FileIndex;
use crate::log::Store;
use crate::router::mailbox::Letter;
use crate::runtime::{Runtime, is_full, is_out_of_descriptors};
use crate::types::Mono;

/// A shard and the machine it runs on. Cheap to clone; one for each task of the core.
pub struct Shard<R: Runtime> {
    inner: Rc<Inner<R>>,
}

struct Inner<R: Runtime> {
    rt: R,
    core: Rc<RefCell<ShardCore>>,
    signals: Rc<Signals>,
    store: Store<R>,
    journal: RefCell<Vec<Rc<JournalFile<R>>>>,
    run: Run,
    /// No commit comes any more.
    journal_closed: Cell<bool>,
    /// When it was last said that there are no descriptors.
    descriptors_told: Cell<Mono>,
}

impl<R: Runtime> Clone for Shard<R> {
    fn clone(&self) -> Shard<R> {
        Shard { inner: self.inner.clone() }
    }
}

impl<R: Runtime> Shard<R> {
    pub fn new(rt: R, core: Rc<RefCell<ShardCore>>, store: Store<R>, run: Run) -> Shard<R> {
        let signals = core.borrow().signals.clone();
        let inner = Inner {
            rt,
            core,
            signals,
            store,
            journal: RefCell::default(),
            run,
            journal_closed: Cell::new(false),
            descriptors_told: Cell::default(),
        };
        Shard { inner: Rc::new(inner) }
    }

    /// Starts the tasks of this core; they end when the shard has stopped.
    pub fn spawn_tasks(&self, mailbox: flume::Receiver<Letter>) {
        let rt = &self.inner.rt;
        rt.spawn(commit::run(self.clone()));
        rt.spawn(write_behind::run(self.clone()));
        rt.spawn(write_behind::run_given_up(self.clone()));
        rt.spawn(turn::run(self.clone()));
        rt.spawn(disk::run_jobs(self.clone()));
        rt.spawn(disk::run_tails(self.clone()));
        rt.spawn(timers::run_deadlines(self.clone()));
        rt.spawn(timers::run_retention(self.clone()));
        rt.spawn(compaction::run(self.clone()));
        rt.spawn(ballast::run(self.clone()));
        rt.spawn(clean_up::run(self.clone()));
        rt.spawn(groups::run_loads(self.clone()));
        rt.spawn(groups::run_replies(self.clone()));
        rt.spawn(groups::run_outbox(self.clone()));
        rt.spawn(groups::run_timers(self.clone()));
        rt.spawn(groups::run_expiry(self.clone()));
        rt.spawn(take_letters(self.clone(), mailbox));
    }

    /// One step on the state, with the time.
    pub fn step<T>(&self, step: impl FnOnce(&mut ShardCore, Mono, i64) -> T) -> T {
        let (now, wall_ms) = (self.inner.rt.now(), self.inner.rt.wall_ms());
        step(&mut self.inner.core.borrow_mut(), now, wall_ms)
    }

    pub fn core(&self) -> Rc<RefCell<ShardCore>> {
        self.inner.core.clone()
    }

    fn signals(&self) -> Rc<Signals> {
        self.inner.signals.clone()
    }

    fn fence(&self) -> std::sync::Arc<Fence> {
        self.inner.core.borrow().fence.clone()
    }

    fn rt(&self) -> &R {
        &self.inner.rt
    }

    fn run(&self) -> Run {
        self.inner.run
    }

    fn store(&self) -> &Store<R> {
        &self.inner.store
    }

    fn now(&self) -> Mono {
        self.inner.rt.now()
    }

    fn wall_ms(&self) -> i64 {
        self.inner.rt.wall_ms()
    }

    fn random(&self) -> u64 {
        self.inner.rt.random()
    }

    fn journal_file(&self, index: FileIndex) -> Rc<JournalFile<R>> {
        self.inner.journal.borrow()[index.0].clone()
    }

    fn journal_is_closed(&self) -> bool {
        self.inner.journal_closed.get()
    }

    /// Adds a journal file to those in use.
    fn take_in_journal_file(&self, file: JournalFile<R>) {
        let index = self.step(|core, _, _| core.space.add(file.bytes));
        let mut files = self.inner.journal.borrow_mut();
        assert_eq!(index.0, files.len(), "files and their bookkeeping agree");
        files.push(Rc::new(file));
    }
}

/// Takes up what other cores ask, all that is there in one turn.
async fn take_letters<R: Runtime>(shard: Shard<R>, mailbox: flume::Receiver<Letter>) {
    while let Ok(first) = mailbox.recv_async().await {
        shard.step(|core, now, wall_ms| {
            core.take_letter(now, wall_ms, first);
            for letter in mailbox.try_iter().take(LETTERS_PER_STEP) {
                core.take_letter(now, wall_ms, letter);
            }
        });
        shard.rt().quantum().await;
    }
}

/// Letters taken up before the other tasks of the core get their turn.
const LETTERS_PER_STEP: usize = 64;
/// Partitions looked at, or put into a checkpoint, before the other tasks of the core get their turn.
const PARTITIONS_PER_STEP: usize = 256;

/// Words for a failed operation on a file: what the fence says before the process leaves (R16).
fn fail(path: &Path, operation: &str, error: &io::Error) -> String {
    let cure = match error {
        full if is_full(full) => "make space on its disk",
        out if is_out_of_descriptors(out) => "raise the limit of open files (`ulimit -n`, LimitNOFILE=)",
        _ => "check the disk",
    };
    format!("{}: {operation} failed: {error}. Nothing was acked after it; {cure}, then start again", path.display())
}
