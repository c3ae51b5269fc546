//! The start of the shards (R7): read the last run, put everything into segments or the new journal, make the new run
//! current, go.
//!
//! Shard 0 reads and deals out; every shard writes its own partitions; shard 0 switches the run file; all go on. Each
//! step may crash and be repeated: until the switch nothing of the last run is touched but by writes that say the same.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use thiserror::Error;

use super::ballast::{self, JournalSize};
use super::catalog;
use super::core::ShardCore;
use super::fence::Fence;
use super::leftovers;
use super::recovery::{self, RestoredPartition};
use super::settings::ShardSettings;
use super::{Shard, settle};
use crate::catalog::{Catalog, CatalogCommand, CatalogRecord, CatalogSettings, Endpoint};
use crate::journal::checkpoint::CheckpointError;
use crate::journal::files;
use crate::journal::replay::ReplayError;
use crate::journal::run::Run;
use crate::journal::space::FILES_MIN;
use crate::log::{Gates, ReadFailure, Store, StoreError};
use crate::planted::{PlantedFault, is_planted};
use crate::router::mailbox::{Letter, Postbox};
use crate::router::placement::{CATALOG_SHARD, ShardIndex};
use crate::router::{CatalogAsk, Clock, ShardHandle, Shards};
use crate::runtime::{Runtime, is_full};

#[derive(Debug, Error)]
pub enum StartError {
    #[error("{}: {source}{}", path.display(), ballast::cure(source))]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{}: {source}: a start with {shards} as `shards` needs about {needed_mib} MiB on this disk, and inodes \
         (`df -i`). Nothing that was acked is lost: delete files there that are not the broker's, make the disk larger, or lower `shards` to what it was before, \
         then start again", path.display()
    )]
    DiskFull { path: PathBuf, source: io::Error, shards: u32, needed_mib: u64 },
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error(
        "the metadata log cannot be read: {0}. Nothing was changed; `corelog log verify DIR` on the data directory names all that is \
         damaged: put that back from a copy"
    )]
    MetadataLog(#[from] ReadFailure),
    #[error(
        "the metadata log cannot be put together: {0}; `corelog log verify` names what is damaged: put that back from a copy"
    )]
    MetadataOffline(String),
    #[error("the metadata log has a record at offset {offset} that this build cannot take: {what}")]
    MetadataRecord { offset: i64, what: String },
    #[error(
        "{}: {why}. Nothing was changed: put it back from a copy of the disk; `corelog log verify DIR` on the data directory says what \
         else is whole", path.display()
    )]
    Snapshot { path: PathBuf, why: String },
    #[error("the catalog could not be changed at the start: {0}")]
    Catalog(#[from] crate::catalog::CatalogError),
    #[error(
        "{} is missing, which says what of this directory counts, and {} is of a run that did: nothing was changed; put the file \
         back from a copy, or choose an empty directory", run.display(), found.display()
    )]
    RunLost { run: PathBuf, found: PathBuf },
    #[error(
        "{}: the directory is gone, and acked records with it: nothing was given up for it. Mount its disk, or put it back from a \
         copy; or make an empty directory of this name, and the partition alone is out of service", path.display()
    )]
    DirectoryLost { path: PathBuf },
    #[error("{0}")]
    Fenced(String),
    #[error("another core could not start")]
    OtherCore,
}

impl From<StoreError> for StartError {
    fn from(StoreError { path, source }: StoreError) -> StartError {
        StartError::Io { path, source }
    }
}

/// What shard 0 deals out to each shard.
pub struct Seed {
    run: Run,
    catalog: Arc<[CatalogRecord]>,
    partitions: Vec<RestoredPartition>,
    journal_size: JournalSize,
}

/// All that a shard's partitions hold is in segments or in its new journal.
pub struct Written {
    /// Some of them could not be put together: the last run's journals stay.
    keep_journals: bool,
}

/// The channels by which the shards of one process start together.
pub struct StartLinks {
    /// To every shard, in their order; used by shard 0.
    pub seeds: Vec<flume::Sender<Seed>>,
    pub seed: flume::Receiver<Seed>,
    /// From every shard to shard 0: nothing of my partitions is in the last run's journals alone.
    pub written: flume::Sender<Written>,
    pub all_written: flume::Receiver<Written>,
    /// From shard 0 to every shard: the new run is current, and its leader epochs are.
    pub go: Vec<flume::Sender<()>>,
    pub gone: flume::Receiver<()>,
}

/// Everything that one shard needs to start.
pub struct ShardPlan {
    pub index: ShardIndex,
    pub settings: ShardSettings,
    pub catalog_settings: CatalogSettings,
    pub fence: Arc<Fence>,
    /// Of all shards: their partitions' directories are in one.
    pub gates: Arc<Gates>,
    /// To the mailbox of every shard, in their order.
    pub posts: Vec<flume::Sender<Letter>>,
    pub mailbox: flume::Receiver<Letter>,
    pub catalog_leader: flume::Sender<CatalogAsk>,
    /// Shard 0's only.
    pub catalog_asks: Option<flume::Receiver<CatalogAsk>>,
    /// What the broker says of its listeners in the metadata log.
    pub endpoints: Vec<Endpoint>,
    pub links: StartLinks,
}

/// A running shard and the way to all of them.
pub struct StartedShard<R: Runtime> {
    pub shard: Shard<R>,
    pub shards: Shards,
    pub postboxes: Vec<Rc<Postbox>>,
}

/// The channels of a process of `count` shards, ready to be handed to their cores.
pub fn plans(
    count: u32,
    settings: &ShardSettings,
    catalog_settings: &CatalogSettings,
    endpoints: &[Endpoint],
    fence: &Arc<Fence>,
) -> Vec<ShardPlan> {
    let count_usize = count as usize;
    let (posts, mailboxes): (Vec<_>, Vec<_>) =
        (0..count).map(|_| flume::bounded::<Letter>(settings.mailbox_messages)).unzip();
    let (seeds, seed_receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| flume::bounded(1)).unzip();
    let (go, gone): (Vec<_>, Vec<_>) = (0..count).map(|_| flume::bounded(1)).unzip();
    let (written, all_written) = flume::bounded(count_usize);
    let (catalog_leader, catalog_asks) = flume::bounded(CATALOG_ASKS_MAX);
    let mut catalog_asks = Some(catalog_asks);
    let gates = Arc::new(Gates::default());
    let mut plans = Vec::with_capacity(count_usize);
    for (index, ((mailbox, seed), gone)) in (0..count).zip(mailboxes.into_iter().zip(seed_receivers).zip(gone)) {
        plans.push(ShardPlan {
            index: ShardIndex(index),
            settings: settings.clone(),
            catalog_settings: catalog_settings.clone(),
            fence: fence.clone(),
            gates: gates.clone(),
            posts: posts.clone(),
            mailbox,
            catalog_leader: catalog_leader.clone(),
            catalog_asks: catalog_asks.take(),
            endpoints: endpoints.to_vec(),
            links: StartLinks {
                seeds: seeds.clone(),
                seed,
                written: written.clone(),
                all_written: all_written.clone(),
                go: go.clone(),
                gone,
            },
        });
    }
    plans
}

/// Changes of the catalog that may wait; more make their askers wait before they are queued.
const CATALOG_ASKS_MAX: usize = 256;

/// Starts one shard; all shards of the process must be started at the same time, each on its core.
pub async fn start<R: Runtime>(rt: R, plan: ShardPlan) -> Result<StartedShard<R>, StartError> {
    let ShardPlan {
        index,
        settings,
        catalog_settings,
        fence,
        gates,
        posts,
        mailbox,
        catalog_leader,
        catalog_asks,
        endpoints,
        links,
    } = plan;
    let partitions = settings.layout.partitions();
    let store = Store::new(rt.clone(), partitions, settings.open_files, settings.index_cache_bytes, gates);
    if index == CATALOG_SHARD {
        deal_out(&rt, &store, &settings, &catalog_settings, &links.seeds).await?;
    }
    let seed = links.seed.recv_async().await.map_err(|_| StartError::OtherCore)?;

    let catalog = Rc::new(RefCell::new(Catalog::new(catalog_settings)));
    let (alloc_rt, clock_rt) = (rt.clone(), rt.clone());
    let core = Rc::new(RefCell::new(ShardCore::new(
        index,
        seed.run.id,
        settings.clone(),
        fence.clone(),
        catalog.clone(),
        Rc::new(move |len| alloc_rt.alloc(len)),
        Rc::new(move || clock_rt.now()),
    )));
    core.borrow_mut().removed = store.removed().clone();
    let restored = recovery::restore(&mut core.borrow_mut(), &seed.catalog, seed.partitions, rt.wall_ms());
    let continued = restored.map_err(|e| StartError::MetadataRecord { offset: -1, what: e.to_string() })?;
    let shard = Shard::new(rt.clone(), core.clone(), store, seed.run);
    shard.spawn_tasks(mailbox);
    if index == CATALOG_SHARD && is_planted(PlantedFault::RunSwitchedEarly) {
        make_current(&rt, &settings, seed.run).await?;
    }

    recovery::look_for_files(&shard, continued).await?;
    let plan = shard.step(|core, _, _| core.plan_settling(seed.journal_size));
    prepare_journal(&shard, seed.journal_size, plan.carried_bytes).await?;
    // Everything that was replayed goes into segments and the new journal; then this run's checkpoint may say so.
    settle::settle(&shard, plan).await.map_err(StartError::Fenced)?;
    let keep_journals = core.borrow().partitions().any(|(_, p)| p.keeps_journals);
    links.written.send_async(Written { keep_journals }).await.map_err(|_| StartError::OtherCore)?;
    if index == CATALOG_SHARD {
        switch(&rt, &settings, seed.run, &links).await?;
    } else {
        links.gone.recv_async().await.map_err(|_| StartError::OtherCore)?;
    }
    shard.step(|core, _, _| {
        core.starting = false;
        core.sweep_all();
    });
    shard.fill_ballast(0).await;
    if let Some(why) = shard.fence().why() {
        return Err(StartError::Fenced(why.to_owned()));
    }
    shard.signals().turn.notify();

    let (shards, postboxes) = connect(&rt, index, &core, catalog, &posts, catalog_leader, settings.mailbox_bytes);
    if let Some(asks) = catalog_asks {
        let incarnation = (u128::from(rt.random()) << 64 | u128::from(rt.random())).to_be_bytes();
        let start_run = CatalogCommand::StartRun { incarnation, endpoints, rack: None };
        catalog::change(&shard, &shards, start_run).await?;
        // Not before: what comes in belongs to the new epochs (R7).
        for go in &links.go {
            go.send_async(()).await.map_err(|_| StartError::OtherCore)?;
        }
        rt.spawn(catalog::lead(shard.clone(), shards.clone(), asks));
    }
    shard.step(|core, _, _| core.load_coordinators());
    rt.spawn(settle::run(shard.clone()));
    Ok(StartedShard { shard, shards, postboxes })
}

/// Makes the new run's journal, with files of their own for `carried` bytes beside those that it should have.
async fn prepare_journal<R: Runtime>(shard: &Shard<R>, size: JournalSize, carried: u64) -> Result<(), StartError> {
    let (dir, each) =
        shard.step(|core, _, _| (core.settings.layout.journal(core.index.0), core.journal_file_bytes(size)));
    let count = FILES_MIN + settle::files_for(carried, each);
    let prepare = async || {
        let made = files::prepare(shard.rt(), &dir, shard.run().number, count, each).await;
        made.map_err(|source| StoreError { path: dir.clone(), source })
    };
    let prepared = shard.on_ballast(prepare).await.map_err(|StoreError { path, source }| {
        if !is_full(&source) {
            return StartError::Io { path, source };
        }
        let (shards, needed) = shard.step(|core, _, _| (core.settings.shards, core.start_bytes()));
        StartError::DiskFull { path, source, shards, needed_mib: needed.div_ceil(1 << 20) }
    });
    for file in prepared? {
        shard.take_in_journal_file(file);
    }
    Ok(())
}

/// Shard 0: reads the last run and gives every shard its part.
async fn deal_out<R: Runtime>(
    rt: &R,
    store: &Store<R>,
    settings: &ShardSettings,
    catalog_settings: &CatalogSettings,
    seeds: &[flume::Sender<Seed>],
) -> Result<(), StartError> {
    let root = settings.layout.root.clone();
    for dir in [settings.layout.partitions(), settings.layout.checkpoints(), settings.layout.journals()] {
        rt.create_dir_all(&dir).await.map_err(|source| StartError::Io { path: dir.clone(), source })?;
    }
    rt.sync_dir(&root).await.map_err(|source| StartError::Io { path: root.clone(), source })?;
    let last = Run::load(rt, &root).await.map_err(|source| StartError::Io { path: root.join("run"), source })?;
    let run = Run {
        number: last.map_or(1, |run| run.number + 1),
        id: crate::journal::format::RunId(u128::from(rt.random()) << 64 | u128::from(rt.random())),
        shards: settings.shards,
    };
    let last = match last {
        None => match leftovers::of_a_lost_run(rt, settings).await? {
            Some(found) => return Err(StartError::RunLost { run: root.join("run"), found }),
            None => None,
        },
        Some(last) => {
            let checkpoints = recovery::checkpoints(rt, &settings.layout, last).await?;
            // A crash between the switch to that run and the new names of the journals that it keeps left them as they were.
            let keep = checkpoints.iter().flat_map(|one| &one.partitions).any(|line| line.offline.is_some());
            leftovers::remove(rt, settings, last, keep).await?;
            Some((last, checkpoints))
        }
    };
    let journals_bytes = leftovers::give_ballast_back(rt, settings).await?;
    let recovered = recovery::recover(rt, store, settings, catalog_settings, last).await?;
    let journal_size =
        ballast::size_of_journals(rt, settings, recovered.catalog.partition_count(), journals_bytes).await?;
    // What every shard needs is the state, not how it came about.
    let catalog: Arc<[CatalogRecord]> = recovered.catalog.snapshot().into();
    let mut dealt: Vec<Vec<RestoredPartition>> = (0..settings.shards).map(|_| Vec::new()).collect();
    for partition in recovered.partitions {
        let to = crate::router::placement::owner(partition.id, settings.shards);
        dealt[to.0 as usize].push(partition);
    }
    for (seed, partitions) in seeds.iter().zip(dealt) {
        let one = Seed { run, catalog: catalog.clone(), partitions, journal_size };
        seed.send_async(one).await.map_err(|_| StartError::OtherCore)?;
    }
    Ok(())
}

/// Shard 0: when all have written, the new run becomes the current one, and what only the last one needed goes.
async fn switch<R: Runtime>(rt: &R, settings: &ShardSettings, run: Run, links: &StartLinks) -> Result<(), StartError> {
    let mut keep_journals = false;
    for _ in 0..settings.shards {
        let written = links.all_written.recv_async().await.map_err(|_| StartError::OtherCore)?;
        keep_journals |= written.keep_journals;
    }
    make_current(rt, settings, run).await?;
    leftovers::remove(rt, settings, run, keep_journals).await?;
    Ok(())
}

async fn make_current<R: Runtime>(rt: &R, settings: &ShardSettings, run: Run) -> Result<(), StartError> {
    let root = &settings.layout.root;
    run.store(rt, root).await.map_err(|source| StartError::Io { path: root.join("run"), source })
}

/// The way from this core to every shard.
fn connect<R: Runtime>(
    rt: &R,
    index: ShardIndex,
    core: &Rc<RefCell<ShardCore>>,
    catalog: Rc<RefCell<Catalog>>,
    posts: &[flume::Sender<Letter>],
    catalog_leader: flume::Sender<CatalogAsk>,
    mailbox_bytes: usize,
) -> (Shards, Vec<Rc<Postbox>>) {
    let mut postboxes = Vec::new();
    let mut handles = Vec::new();
    for (to, post) in (0u32..).zip(posts) {
        if ShardIndex(to) == index {
            handles.push(ShardHandle::Local(core.clone()));
            continue;
        }
        let postbox = Rc::new(Postbox::new(post.clone(), mailbox_bytes));
        let pump = postbox.clone();
        rt.spawn(async move { pump.pump().await });
        postboxes.push(postbox.clone());
        handles.push(ShardHandle::Remote(postbox));
    }
    let (now, wall) = (rt.clone(), rt.clone());
    let clock = Clock { now: Box::new(move || now.now()), wall_ms: Box::new(move || wall.wall_ms()) };
    (Shards::new(index, handles, catalog, catalog_leader, clock), postboxes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::checkpoint::{Checkpoint, PartitionCheckpoint};
    use crate::journal::format::RunId;
    use crate::log::LogSnapshot;
    use crate::runtime::sim::Sim;
    use crate::shard::room_tests::settings;
    use crate::types::{PartitionId, TopicId};

    /// A crash came between the switch to run 4 and the new names of run 3's journals, and a start after it failed.
    #[test]
    fn journals_that_are_to_be_kept_outlive_a_crash_at_the_switch() {
        let sim = Sim::new(1);
        let host = sim.add_host("a");
        sim.block_on(host, |rt| async move {
            let settings = settings();
            let layout = settings.layout.clone();
            let last = Run { number: 4, id: RunId(4), shards: 1 };
            for dir in [layout.checkpoints(), layout.journal(0)] {
                rt.create_dir_all(&dir).await.expect("made");
            }
            last.store(&rt, &layout.root).await.expect("stored");
            let unreadable = PartitionCheckpoint {
                id: PartitionId { topic: TopicId([7; 16]), index: 0 },
                log: LogSnapshot::default(),
                epochs: Vec::new(),
                producers: Vec::new(),
                offline: Some("a gap".into()),
            };
            let checkpoint = Checkpoint { run: last, shard: 0, first_generation: 1, partitions: vec![unreadable] };
            checkpoint.store(&rt, &layout.checkpoints()).await.expect("stored");
            let journal = |name: &str| layout.journal(0).join(name);
            for name in ["3-0.journal", "5-0.journal"] {
                rt.write_whole(&journal(name), "journal").await.expect("written");
            }
            let store = Store::new(rt.clone(), layout.partitions(), 4, 1 << 16, Arc::default());
            let (seed, seeds) = flume::bounded(1);
            let catalog = CatalogSettings::new("cluster", 1);
            deal_out(&rt, &store, &settings, &catalog, &[seed]).await.expect("a start");
            assert_eq!(seeds.len(), 1);
            let left = rt.read_dir(&layout.journal(0)).await.expect("read");
            let left: Vec<&str> = left.iter().map(|entry| &*entry.name).collect();
            assert_eq!(left, ["3-0.kept"]);
        });
    }
}
