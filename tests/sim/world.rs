//! One simulated world: a broker with its disk, hosts for clients, and the power over both.
//!
//! The broker is the real one: launch, shards, listeners, connections and handlers, on the simulated runtime. Only the
//! process around them is played here. Invariant: nothing here waits for a real clock, so the seed decides everything.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use corelog::api::{ApiSettings, LogDir, NoLog, OffsetsTopic, SessionLimits};
use corelog::http::{Ask, CoreReport};
use corelog::launch::core::{self, CoreError, CorePlan, CoreSummary, Lifecycle};
use corelog::listen::{Admission, ListenSettings, ListenerPlan, ServerPlan};
use shards::catalog::config::GroupDefaults;
use shards::catalog::{CatalogSettings, TopicDefaults};
use shards::group::GroupSettings;
use shards::runtime::Runtime;
use shards::runtime::sim::{HostId, Sim, SimDisk};
use shards::shard::fence::Fence;
use shards::shard::settings::{CleanerSettings, Layout, ShardSettings};
use shards::shard::start;

use crate::history::{Event, History};

pub const PORT: u16 = 9092;
pub const ROOT: &str = "/corelog";
/// A start that takes longer than this hangs.
const START_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(60);
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// What was taken out of a log goes at once, while a crash is likely to come, or when one has likely come.
const DELETE_DELAYS_MS: [&str; 3] = ["0", "30", "400"];

/// A map of two dozen keys: most logs take several passes.
const CLEANER_MAP_BYTES: usize = 24 * 26;
/// Turns of both kinds are made: many of these worlds have some more partitions than this.
const SEGMENTS_SYNCED_SINGLY: usize = 3;

/// What a world is made of, but for its seed.
#[derive(Clone)]
pub struct Setup {
    pub journal_bytes: u64,
    pub window_bytes: u64,
    pub cache_bytes: u64,
    pub catalog_snapshot_bytes: u64,
    pub clients: usize,
    pub retention_check_ms: u64,
    /// What the broker's configuration says of topics that do not say.
    pub topic_defaults: fn(&str) -> Option<&'static str>,
}

impl Default for Setup {
    /// Small enough that write-behind, eviction, turns and rolls all happen within seconds of load.
    fn default() -> Setup {
        Setup {
            journal_bytes: 4 << 20,
            window_bytes: 512 << 10,
            cache_bytes: 256 << 10,
            catalog_snapshot_bytes: 1 << 10,
            clients: 3,
            retention_check_ms: 1_000,
            topic_defaults: |_| None,
        }
    }
}

/// Times of consumer groups, as short as those that classic members ask for.
fn consumer_times(setting: &str) -> Option<&'static str> {
    match setting {
        "group.consumer.min.session.timeout.ms" => Some("1000"),
        "group.consumer.session.timeout.ms" => Some("2000"),
        "group.consumer.min.heartbeat.interval.ms" => Some("50"),
        "group.consumer.heartbeat.interval.ms" => Some("100"),
        _ => None,
    }
}

/// Holds clients back while the broker is down, so that what a start found can be looked at before anything is added.
#[derive(Clone, Default)]
pub struct Gate {
    open: Rc<Cell<bool>>,
    /// Grows with every opening: a connection from before is over.
    pub round: Rc<Cell<u64>>,
    /// Clients end what they do and go.
    over: Rc<Cell<bool>>,
}

impl Gate {
    pub fn is_open(&self) -> bool {
        self.open.get()
    }

    pub fn is_over(&self) -> bool {
        self.over.get()
    }

    fn set(&self, open: bool) {
        if open {
            self.round.set(self.round.get() + 1);
        }
        self.open.set(open);
    }

    pub fn finish(&self) {
        self.over.set(true);
    }
}

pub struct World {
    pub sim: Rc<Sim>,
    pub broker: HostId,
    pub clients: Vec<HostId>,
    pub history: History,
    pub gate: Gate,
    setup: Setup,
    /// Of topics that do not say: by the seed alone, so that it changes nothing else of what a seed decides.
    delete_delay_ms: &'static str,
    running: Option<Running>,
}

/// A broker process from its start to its end.
struct Running {
    controls: Vec<Control>,
    readies: flume::Receiver<Result<Vec<SocketAddr>, CoreError>>,
    fence: Arc<Fence>,
    ends: Rc<RefCell<Vec<CoreSummary>>>,
}

struct Control {
    stop: flume::Sender<()>,
    drained: flume::Receiver<()>,
    close: flume::Sender<()>,
    asks: flume::Sender<Ask>,
}

impl World {
    pub fn new(seed: u64, setup: Setup) -> World {
        let sim = Rc::new(Sim::new(seed));
        let broker = sim.add_host("broker");
        // As `DataDir::open` leaves it.
        sim.block_on(broker, |rt| async move {
            rt.create_dir_all(Path::new(ROOT)).await.expect("an empty disk");
            rt.sync_dir(Path::new("/")).await.expect("an empty disk");
        });
        let clients = (0..setup.clients).map(|n| sim.add_host(&format!("client-{n}"))).collect();
        World {
            sim,
            broker,
            clients,
            history: History::default(),
            gate: Gate::default(),
            setup,
            delete_delay_ms: DELETE_DELAYS_MS[usize::try_from(seed % 3).expect("an index")],
            running: None,
        }
    }

    pub fn addr(&self) -> SocketAddr {
        SocketAddr::new(self.sim.ip(self.broker), PORT)
    }

    pub fn disk(&self) -> SimDisk<'_> {
        self.sim.disk(self.broker)
    }

    pub fn pick(&self, below: u64) -> u64 {
        self.sim.pick(below)
    }

    /// True once in `n` times.
    pub fn one_in(&self, n: u64) -> bool {
        self.pick(n) == 0
    }

    pub fn between(&self, from: Duration, to: Duration) -> Duration {
        let span = u64::try_from((to - from).as_micros()).expect("short times");
        from + Duration::from_micros(self.pick(span.max(1)))
    }

    /// Starts the broker's process without waiting for it.
    pub fn spawn_broker(&mut self, shards: u32) {
        assert!(self.running.is_none(), "one process at a time");
        let settings = ShardSettings {
            layout: Layout { root: PathBuf::from(ROOT) },
            node_id: 1,
            shards,
            journal_bytes: self.setup.journal_bytes,
            journal_bytes_max: self.setup.journal_bytes * 2,
            window_bytes: self.setup.window_bytes,
            window_bytes_max: self.setup.window_bytes * 2,
            cache_bytes: self.setup.cache_bytes,
            segments_synced_singly: SEGMENTS_SYNCED_SINGLY,
            open_files: 4,
            index_cache_bytes: 64 << 10,
            producer_ids_max: 10_000,
            producer_expiration_ms: 86_400_000,
            retention_check_ms: self.setup.retention_check_ms,
            cleaner: CleanerSettings { map_bytes: CLEANER_MAP_BYTES, backoff_ms: 20, ..CleanerSettings::default() },
            catalog_snapshot_bytes: self.setup.catalog_snapshot_bytes,
            mailbox_bytes: 1 << 20,
            mailbox_messages: 64,
            groups: GroupSettings {
                initial_rebalance_delay_ms: 200,
                session_timeouts_ms: 100..=60_000,
                ..GroupSettings::default()
            },
        };
        let catalog = CatalogSettings {
            topic_defaults: TopicDefaults::from_broker(|setting| match setting {
                "log.segment.delete.delay.ms" => Some(self.delete_delay_ms),
                _ => (self.setup.topic_defaults)(setting),
            })
            .expect("within their bounds"),
            group_defaults: GroupDefaults::from_broker(consumer_times).expect("within their bounds"),
            ..CatalogSettings::new("sim-cluster", 1)
        };
        let server = ServerPlan {
            listeners: vec![ListenerPlan { name: "PLAINTEXT".into(), addr: self.addr(), advertised: None }],
            settings: ListenSettings::default(),
            api: ApiSettings {
                node_id: 1,
                cluster_id: "sim-cluster".into(),
                rack: None,
                logger: Arc::new(NoLog),
                described: [].into(),
                auto_create_topics: false,
                delete_topics: true,
                fetch_bytes_max: 4 << 20,
                decompressed_bytes_max: 16 << 20,
                log_dir: LogDir { path: "/broker".into(), space: |_| None },
                page_partitions_max: 2000,
                offsets_topic: OffsetsTopic { partitions: 4, segment_bytes: 1 << 20 },
                sessions: SessionLimits::default(),
            },
            budget_bytes: 16 << 20,
            admission: Admission::new(usize::MAX),
        };
        // Nobody listens at the other end: the test asks the fence itself.
        let (told, _) = flume::bounded(1);
        let fence = Arc::new(Fence::new(told));
        let ends = Rc::new(RefCell::new(Vec::new()));
        let (ready, readies) = flume::bounded(4);
        let mut controls = Vec::new();
        for shard in start::plans(shards, &settings, &catalog, &[], &fence) {
            let (lifecycle, control) = lifecycle(ready.clone());
            let plan = CorePlan { shard, server: server.clone(), lifecycle };
            let ends = ends.clone();
            self.sim.spawn(self.broker, |rt| async move {
                let end = core::run(rt, plan).await;
                ends.borrow_mut().push(end);
            });
            controls.push(control);
        }
        self.running = Some(Running { controls, readies, fence, ends });
    }

    /// Waits until clients may connect; says why if they never may.
    pub fn wait_ready(&mut self) -> Result<(), String> {
        let running = self.running.as_ref().expect("a start was begun");
        let count = running.controls.len();
        let readies = &running.readies;
        let ups = Cell::new(0);
        let failed = RefCell::new(None);
        // As the process does: the first error ends it.
        let reached = self.sim.run_until(START_MAX, || {
            match readies.try_recv() {
                Ok(Ok(_)) => ups.set(ups.get() + 1),
                Ok(Err(error)) => *failed.borrow_mut() = Some(error.to_string()),
                Err(_) => {}
            }
            ups.get() == count || failed.borrow().is_some()
        });
        match failed.take() {
            Some(why) => Err(why),
            None if reached => Ok(()),
            None => Err("the start hangs".to_owned()),
        }
    }

    /// Lets clients go on.
    pub fn open_gate(&self) {
        self.gate.set(true);
    }

    /// Clients rest, though the broker is up.
    pub fn close_gate(&self) {
        self.gate.set(false);
    }

    pub fn fence_reason(&self) -> Option<String> {
        self.running.as_ref().and_then(|running| running.fence.why().map(str::to_owned))
    }

    /// What every core says of itself.
    pub fn reports(&self) -> Vec<CoreReport> {
        let running = self.running.as_ref().expect("it runs");
        let asked = running.controls.iter().map(|control| {
            let (asker, answer) = flume::bounded(1);
            control.asks.send(Ask::Report(asker)).expect("the core listens to what it is asked");
            answer
        });
        let answers: Vec<_> = asked.collect();
        let answered = || answers.iter().all(|answer| !answer.is_empty());
        assert!(self.sim.run_until(ANSWER_MAX, answered), "a core does not answer");
        answers.iter().map(|answer| answer.recv().expect("it is there")).collect()
    }

    /// Runs until a write or sync has failed; true if one did within `limit`.
    pub fn run_until_fenced(&self, limit: Duration) -> bool {
        let running = self.running.as_ref().expect("it runs");
        self.sim.run_until(limit, || running.fence.why().is_some())
    }

    /// The power goes.
    pub fn power_cut(&mut self) {
        self.gate.set(false);
        self.sim.crash(self.broker);
        self.running = None;
        self.history.push(Event::PowerCut { when: self.sim.now() });
    }

    /// The process is killed; the machine goes on.
    pub fn kill(&mut self) {
        self.gate.set(false);
        self.sim.kill(self.broker);
        self.running = None;
        self.history.push(Event::Killed { when: self.sim.now() });
    }

    /// The orderly stop; whether it left nothing to replay.
    pub fn stop(&mut self) -> bool {
        let running = self.running.take().expect("it runs");
        self.gate.set(false);
        for control in &running.controls {
            control.stop.send(()).expect("the core listens to its stop");
        }
        let drained = |control: &Control| !control.drained.is_empty() || control.drained.is_disconnected();
        assert!(self.sim.run_until(STOP_MAX, || running.controls.iter().all(drained)), "the drain hangs");
        for control in &running.controls {
            control.close.send(()).expect("the core waits for the others");
        }
        let count = running.controls.len();
        assert!(self.sim.run_until(STOP_MAX, || running.ends.borrow().len() == count), "the stop hangs");
        let clean = running.ends.borrow().iter().all(|end| end.clean);
        // What is left of the process ends with it.
        self.sim.kill(self.broker);
        if clean {
            self.history.push(Event::Stopped);
        }
        clean
    }
}

fn lifecycle(ready: flume::Sender<Result<Vec<SocketAddr>, CoreError>>) -> (Lifecycle, Control) {
    let (stop, stop_rx) = flume::bounded(1);
    let (drained_tx, drained) = flume::bounded(1);
    let (close, close_rx) = flume::bounded(1);
    let (asks, asks_rx) = flume::bounded(1);
    let (to_write, _) = flume::bounded(1);
    let lifecycle = Lifecycle { ready, stop: stop_rx, drained: drained_tx, close: close_rx, to_write, asks: asks_rx };
    (lifecycle, Control { stop, drained, close, asks })
}
