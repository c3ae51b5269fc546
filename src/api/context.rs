//! What a handler knows beside its request: its core, its peer, the time. Owning core only.
//! Invariant: handlers have no clock, no random source and no socket; all of it comes in here.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use shards::catalog::LoggerChange;
use shards::router::{Shards, Trace};
use shards::types::Mono;

use super::FirstStage;
use super::fetch::sessions::{FetchSessions, SessionLimits};
use super::long_reply::CoreMemory;
use super::table::TABLE;
use crate::config::described::BrokerSetting;
use crate::wire::Str;

/// The settings that APIs act on; the same on every core.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// `node.id`.
    pub node_id: i32,
    pub cluster_id: Str,
    /// `broker.rack`.
    pub rack: Option<Str>,
    pub logger: Arc<dyn Logger>,
    /// The settings that stay while the broker runs.
    pub described: Arc<[BrokerSetting]>,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `delete.topic.enable`.
    pub delete_topics: bool,
    /// `fetch.max.bytes`: most bytes of one fetch, whatever it asks for.
    pub fetch_bytes_max: u32,
    /// A produced batch may decompress to this many bytes.
    pub decompressed_bytes_max: usize,
    pub log_dir: LogDir,
    /// `max.request.partition.size.limit`: partitions of one page of DescribeTopicPartitions.
    pub page_partitions_max: i32,
    pub offsets_topic: OffsetsTopic,
    /// `max.incremental.fetch.session.cache.slots` of each core.
    pub sessions: SessionLimits,
}

/// The one logger, which has the level of all lines. It is the process's, not a core's.
pub trait Logger: fmt::Debug + Send + Sync {
    /// The level now, as Kafka writes one.
    fn level(&self) -> Str;
    /// The words of what kept it from that otherwise.
    fn change(&self, change: LoggerChange) -> Result<(), String>;
}

/// For a broker whose process writes no log.
#[derive(Debug)]
pub struct NoLog;

impl Logger for NoLog {
    fn level(&self) -> Str {
        Str::from_static("INFO")
    }

    fn change(&self, _: LoggerChange) -> Result<(), String> {
        Err("this process writes no log".to_owned())
    }
}

/// How `__consumer_offsets` is made when it is first needed.
#[derive(Clone, Copy, Debug)]
pub struct OffsetsTopic {
    /// `offsets.topic.num.partitions`.
    pub partitions: i32,
    /// `offsets.topic.segment.bytes`.
    pub segment_bytes: i32,
}

/// Kafka's defaults.
impl Default for OffsetsTopic {
    fn default() -> OffsetsTopic {
        OffsetsTopic { partitions: 50, segment_bytes: 100 << 20 }
    }
}

/// The one log directory.
#[derive(Clone, Debug)]
pub struct LogDir {
    /// Its absolute path, as DescribeLogDirs names it.
    pub path: Str,
    /// Bytes of its file system, and those that are left; `None` where they cannot be told.
    pub space: fn(&str) -> Option<(u64, u64)>,
}

/// A listener, as clients are told of it.
#[derive(Clone, Debug)]
pub struct ListenerInfo {
    /// `PLAINTEXT` and the like.
    pub name: String,
    /// Host and port of `advertised.listeners`; without it, clients are told the address that they came in on.
    pub advertised: Option<(Str, u16)>,
}

/// The other side of a connection, and where it came in.
#[derive(Clone, Debug)]
pub struct Peer {
    pub addr: SocketAddr,
    pub local: SocketAddr,
    pub listener: Rc<ListenerInfo>,
    /// What its first request calls it.
    pub client_id: OnceCell<Box<str>>,
}

impl Peer {
    /// The address of this broker for this peer.
    pub fn broker_address(&self) -> (Str, i32) {
        match &self.listener.advertised {
            Some((host, port)) => (host.clone(), i32::from(*port)),
            None => (Str::from(self.local.ip().to_canonical().to_string()), i32::from(self.local.port())),
        }
    }
}

/// What all requests of one core share.
pub struct ApiCore {
    pub shards: Shards,
    pub settings: Rc<ApiSettings>,
    pub sessions: RefCell<FetchSessions>,
    /// What fetches may read into, and long replies are made in.
    pub memory: Rc<dyn CoreMemory>,
    /// Requests so far, in the order of [`TABLE`].
    counts: [Cell<u64>; TABLE.len()],
    random: Cell<u64>,
}

impl ApiCore {
    /// `seed` is any random number of the runtime.
    pub fn new(
        core: u16,
        shards: Shards,
        settings: Rc<ApiSettings>,
        memory: Rc<dyn CoreMemory>,
        seed: u64,
    ) -> Rc<ApiCore> {
        let sessions = RefCell::new(FetchSessions::new(core, settings.sessions));
        let counts = std::array::from_fn(|_| Cell::new(0));
        Rc::new(ApiCore { shards, settings, sessions, memory, counts, random: Cell::new(seed) })
    }

    /// Counts a request of the row at this place in [`TABLE`].
    pub(super) fn count(&self, row: usize) {
        if let Some(count) = self.counts.get(row) {
            count.update(|count| count + 1);
        }
    }

    /// Requests so far, by API.
    pub fn requests(&self) -> Vec<(&'static str, u64)> {
        TABLE.iter().zip(&self.counts).map(|(row, count)| (row.api.name(), count.get())).collect()
    }

    /// The next of a sequence that looks random (SplitMix64); not for secrets.
    pub fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The moment at which a request was whole.
#[derive(Clone)]
pub struct Arrival {
    pub now: Mono,
    /// Milliseconds since 1970.
    pub wall_ms: i64,
    pub trace: Rc<Trace>,
}

/// One request's surroundings. Handlers take what their second stage needs out of it.
pub struct RequestContext<'a> {
    pub core: &'a Rc<ApiCore>,
    pub peer: &'a Rc<Peer>,
    pub arrival: Arrival,
    /// Of the request's header; this and the next.
    pub version: i16,
    pub client_id: Option<Str>,
    /// See [`RequestContext::go_on`].
    pub(super) rest: Cell<Option<FirstStage>>,
}

impl RequestContext<'_> {
    /// What is left of the first stage, for a handler that may have to let others run in it.
    pub fn go_on(&self, rest: impl Future<Output = ()> + 'static) {
        self.rest.set(Some(Box::pin(rest)));
    }
}
