//! From a configuration to the plan of a process: memory parted, listeners resolved, the data directory locked.
//!
//! Invariant: what the parts of a shard's memory come to is never over its share of `memory`.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use shards::catalog::{CatalogSettings, LoggerChange};
use shards::group::{GroupSettings, Migration};
use shards::runtime::uring::space_now;
use shards::shard::settings::{CleanerSettings, Layout, ShardSettings};
use shards::types::base64_url;
use tracing::level_filters::LevelFilter;

use super::addresses::{addresses, endpoints};
use super::journals::{Journals, journals};
use super::meta::{DataDir, MetaError};
use super::preflight::{self, Descriptors, PreflightError};
use super::process::ProcessPlan;
use crate::api::{ApiSettings, LogDir, Logger, OffsetsTopic, SessionLimits};
use crate::config::described::{BrokerSetting, described};
use crate::config::keys::KEYS;
use crate::config::machine::{Machine, raise_open_files};
use crate::config::topology::{self, Topology, TopologyError};
use crate::config::value::Listener;
use crate::config::{Config, ConfigError, Origin};
use crate::http::{HttpPlan, LogLevel};
use crate::listen::{Admission, ListenSettings, ListenerPlan, ServerPlan};
use crate::wire::Str;

/// Least memory of a shard for requests and replies, in bytes: a frame may take half of it.
const REQUESTS_BYTES_MIN: u64 = 8 << 20;
/// Of one batch, where there is memory for it.
const DECOMPRESSED_BYTES_MOST: u64 = 256 << 20;
/// Four of these are on their way at a time, a millisecond or two each. What other programs have written to the file system,
/// and a sync of all waits for, takes longer.
const SEGMENTS_SYNCED_SINGLY: usize = 256;

#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{origin}: {source}")]
    Topology { origin: Origin, source: TopologyError },
    #[error("no data directory is set: set data_dir in the file, or add --set data_dir=DIR")]
    NoDataDir,
    #[error(
        "{memory} bytes of memory for {shards} shards leave {left} of each for requests, and {REQUESTS_BYTES_MIN} is the \
         least: raise `memory`, or lower `shards`, write.window.bytes, read.cache.bytes, index.cache.bytes, \
         group.memory.bytes or io.memory.bytes"
    )]
    Memory { memory: u64, shards: u64, left: u64 },
    #[error(
        "{shards} shards with journals of up to {most} bytes (`journal.bytes.max`) have {total} bytes of them, and a start after \
         a crash holds what is in them in memory: this machine, or the cgroup, has {machine}; lower journal.bytes.max, \
         journal.bytes or `shards`"
    )]
    Journals { shards: u64, most: u64, total: u64, machine: u64 },
    #[error("{origin}: listener {name}: {host} has no address here: {why}; give an address of this machine")]
    Address { origin: Origin, name: String, host: String, why: String },
    #[error("{origin}: {host} has no address here: {why}; give an address of this machine")]
    Admin { origin: Origin, host: String, why: String },
    #[error(
        "{origin}: listeners {one} and {other} both get the connections of {addr}: give one of them another port, or leave it out"
    )]
    SameAddress { origin: Origin, one: String, other: String, addr: SocketAddr },
    #[error(transparent)]
    Data(#[from] MetaError),
    #[error(transparent)]
    Preflight(#[from] PreflightError),
}

impl BrokerError {
    /// Another configuration is the cure.
    pub fn is_configuration(&self) -> bool {
        !matches!(self, BrokerError::Data(_) | BrokerError::Preflight(_))
    }
}

/// How a shard's share of the memory is parted, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub window: u64,
    /// How far the window widens with the number of partitions.
    pub window_most: u64,
    pub cache: u64,
    pub index: u64,
    pub groups: u64,
    pub io: u64,
    pub requests: u64,
}

impl Memory {
    /// The whole share of one shard.
    pub fn share(&self) -> u64 {
        self.window_most + self.cache + self.index + self.groups + self.io + self.requests
    }
}

/// What a configuration comes to on this machine. Takes nothing and changes nothing.
#[derive(Debug)]
pub struct Outline {
    pub topology: Topology,
    pub memory: Memory,
    pub journals: Journals,
    /// Every listener with the address that it binds.
    pub addresses: Vec<(Listener, SocketAddr)>,
}

/// Works out whether, and how, a broker could run with this configuration.
pub fn outline(config: &Config, machine: &Machine) -> Result<Outline, BrokerError> {
    let mut topology = topology::plan(config, machine)
        .map_err(|source| BrokerError::Topology { origin: config.origin("cores"), source })?;
    let shards = topology.cpus.len() as u64;
    let memory = memory(config, machine.memory_bytes, shards)?;
    let journals = journals(config, memory.share(), machine.memory_bytes, shards, &mut topology.warnings)?;
    let addresses = addresses(config)?;
    Ok(Outline { topology, memory, journals, addresses })
}

/// The directory that a broker must be given.
pub fn data_dir(config: &Config) -> Result<PathBuf, BrokerError> {
    config.text("data_dir").map(PathBuf::from).ok_or(BrokerError::NoDataDir)
}

/// Makes the plan, and takes the data directory.
pub fn plan(config: &Config, level: &LogLevel) -> Result<ProcessPlan, BrokerError> {
    preflight::check_clock(SystemTime::now())?;
    let Outline { topology: Topology { cpus, warnings }, memory, journals, addresses } =
        outline(config, &Machine::look())?;
    let root = data_dir(config)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let shards = cpus.len() as u64;
    let topic_defaults = config.topic_defaults()?;
    let node_id = number(config, "node.id");
    let descriptors = descriptors(config, shards)?;
    let data = DataDir::open(&root, node_id, new_cluster_id)?;
    preflight::check_direct_io(&data.path)?;
    let layout = Layout { root: root.clone() };
    if let Some(behind) = preflight::clock_behind(&layout, SystemTime::now()) {
        tracing::warn!(
            data_dir = %root.display(),
            "the clock is {} days behind what the last run left here: it is wrong now, or was then; set it (`timedatectl \
             set-ntp true`) and start again. Where it was wrong then, records that the broker dated stay as much longer than \
             retention.ms says",
            behind.as_secs() / (24 * 3600)
        );
    }
    let cluster_id = data.meta.cluster_id.clone();
    tracing::info!(
        data_dir = %root.display(), shards, cpus = %told(&cpus), requests_bytes_per_shard = memory.requests, "starting"
    );

    let shard = ShardSettings {
        layout,
        node_id,
        shards: narrow(shards),
        journal_bytes: journals.least,
        journal_bytes_max: journals.most,
        window_bytes: memory.window,
        window_bytes_max: memory.window_most,
        cache_bytes: memory.cache,
        segments_synced_singly: SEGMENTS_SYNCED_SINGLY,
        open_files: narrow(descriptors.segments),
        index_cache_bytes: narrow(memory.index),
        producer_ids_max: number(config, "producer.ids.max"),
        producer_expiration_ms: config.int("producer.id.expiration.ms"),
        retention_check_ms: number(config, "log.retention.check.interval.ms"),
        cleaner: CleanerSettings {
            enabled: config.flag("log.cleaner.enable"),
            map_bytes: narrow(config.bytes("log.cleaner.dedupe.buffer.size") / shards),
            bytes_per_second: config.bytes("log.cleaner.io.max.bytes.per.second") / shards,
            backoff_ms: number(config, "log.cleaner.backoff.ms"),
        },
        catalog_snapshot_bytes: config.bytes("metadata.log.max.record.bytes.between.snapshots"),
        mailbox_bytes: narrow(config.bytes("mailbox.bytes")),
        mailbox_messages: number(config, "mailbox.messages"),
        groups: groups(config, memory.groups),
    };
    let catalog = CatalogSettings {
        num_partitions: number(config, "num.partitions"),
        default_replication_factor: number(config, "default.replication.factor"),
        partitions_max: number(config, "partitions.max"),
        topic_defaults,
        group_defaults: config.group_defaults()?,
        ..CatalogSettings::new(cluster_id.clone(), node_id)
    };
    let computed = [
        ("shards", shards),
        ("memory", memory.share() * shards),
        ("write.window.bytes", memory.window),
        ("read.cache.bytes", memory.cache),
        ("index.cache.bytes", memory.index),
        ("group.memory.bytes", memory.groups),
        ("io.memory.bytes", memory.io),
        ("journal.bytes", journals.least),
        ("journal.bytes.max", journals.most),
        ("segment.files.open.max", shard.open_files as u64),
        ("batch.decompressed.bytes.max", decompressed_bytes_max(config, memory.requests)),
    ];
    let endpoints = endpoints(config, &addresses);
    let described = described(config, &computed, &endpoints).into();
    let admission =
        Admission::new(number(config, "max.connections.per.shard")).at_most(narrow(descriptors.connections));
    let logger = Arc::new(level.clone());
    let server = server(config, &addresses, memory.requests, node_id, &cluster_id, described, logger, admission);
    Ok(ProcessPlan {
        http: http(config, &root, &cluster_id)?,
        data,
        shard,
        catalog,
        endpoints,
        cpus,
        spin: Duration::from_micros(number(config, "spin_us")),
        io_memory_bytes: narrow(memory.io),
        server: Box::new(move |_| server.clone()),
        listen: addresses.into_iter().map(|(_, addr)| addr).collect(),
    })
}

/// `None`: it is off.
fn http(config: &Config, data_dir: &Path, cluster_id: &str) -> Result<Option<HttpPlan>, BrokerError> {
    let Some((host, port)) = config.admin_listen() else { return Ok(None) };
    let failed = |why: String| BrokerError::Admin { origin: config.origin("admin.listen"), host: host.clone(), why };
    let mut found = (host.as_str(), port).to_socket_addrs().map_err(|e| failed(e.to_string()))?;
    let addr = found.next().ok_or_else(|| failed("it resolves to nothing".to_owned()))?;
    let settings = KEYS.iter().map(
        |key| json!({ "key": key.name, "value": config.in_force(key), "origin": config.origin(key.name).to_string() }),
    );
    Ok(Some(HttpPlan {
        addr,
        asked_for: config.given("admin.listen").is_some(),
        config: Arc::new(json!({ "settings": settings.collect::<Value>() })),
        cluster_id: cluster_id.into(),
        data_dir: data_dir.display().to_string().into(),
    }))
}

impl Logger for LogLevel {
    fn level(&self) -> Str {
        LevelFilter::current().to_string().to_ascii_uppercase().into()
    }

    fn change(&self, change: LoggerChange) -> Result<(), String> {
        let changed = match change {
            LoggerChange::Set(level) => self.set(level),
            LoggerChange::Unset => self.unset(),
        };
        changed.map_err(|e| e.to_string())
    }
}

fn groups(config: &Config, memory_bytes: u64) -> GroupSettings {
    const MINUTE_MS: i64 = 60_000;
    let shortest = number(config, "group.min.session.timeout.ms");
    GroupSettings {
        initial_rebalance_delay_ms: number(config, "group.initial.rebalance.delay.ms"),
        session_timeouts_ms: shortest..=number(config, "group.max.session.timeout.ms"),
        members_max: number(config, "group.max.size"),
        memory_bytes: narrow(memory_bytes),
        consumer_members_max: number(config, "group.consumer.max.size"),
        consumer_migration: match config.text("group.consumer.migration.policy") {
            Some("upgrade") => Migration::Upgrade,
            Some("downgrade") => Migration::Downgrade,
            Some("disabled") => Migration::Disabled,
            Some(_) | None => Migration::Bidirectional,
        },
        offset_metadata_units_max: number(config, "offset.metadata.max.bytes"),
        offsets_retention_ms: config.int("offsets.retention.minutes") * MINUTE_MS,
        retention_check_ms: number(config, "offsets.retention.check.interval.ms"),
    }
}

/// Each shard gets the same; connections are counted together.
fn server(
    config: &Config,
    addresses: &[(Listener, SocketAddr)],
    requests_bytes: u64,
    node_id: i32,
    cluster_id: &str,
    described: Arc<[BrokerSetting]>,
    logger: Arc<dyn Logger>,
    admission: Admission,
) -> ServerPlan {
    let advertised = config.advertised_listeners();
    let told = |name: &str| advertised.iter().find(|l| l.name == name).map(|l| (l.host.clone(), l.port));
    let listener = |(listener, addr): &(Listener, SocketAddr)| ListenerPlan {
        name: listener.name.clone(),
        addr: *addr,
        advertised: told(&listener.name),
    };
    let millis = |name| Duration::from_millis(number(config, name));
    ServerPlan {
        listeners: addresses.iter().map(listener).collect(),
        settings: ListenSettings {
            frame_bytes_max: narrow(config.bytes("socket.request.max.bytes")),
            idle_max: millis("connections.max.idle.ms"),
            partial_frame_max: millis("partial.frame.max.ms"),
            unread_max: millis("unread.reply.max.ms"),
            slow_min: millis("slow.request.ms"),
            in_flight_max: number(config, "requests.in.flight.per.connection.max"),
            backlog: number(config, "socket.listen.backlog.size"),
        },
        api: ApiSettings {
            node_id,
            cluster_id: cluster_id.into(),
            rack: config.text("broker.rack").map(Into::into),
            logger,
            described,
            auto_create_topics: config.flag("auto.create.topics.enable"),
            delete_topics: config.flag("delete.topic.enable"),
            fetch_bytes_max: narrow(config.bytes("fetch.max.bytes")),
            decompressed_bytes_max: narrow(decompressed_bytes_max(config, requests_bytes)),
            log_dir: LogDir { path: absolute(config.text("data_dir").unwrap_or_default()).into(), space },
            page_partitions_max: number(config, "max.request.partition.size.limit"),
            offsets_topic: OffsetsTopic {
                partitions: number(config, "offsets.topic.num.partitions"),
                segment_bytes: number(config, "offsets.topic.segment.bytes"),
            },
            sessions: SessionLimits {
                slots: number(config, "max.incremental.fetch.session.cache.slots"),
                partitions_max: number(config, "fetch.session.partitions.max"),
                ..SessionLimits::default()
            },
        },
        budget_bytes: narrow(requests_bytes),
        admission,
    }
}

fn decompressed_bytes_max(config: &Config, requests_bytes: u64) -> u64 {
    config.bytes_given("batch.decompressed.bytes.max").unwrap_or(DECOMPRESSED_BYTES_MOST.min(requests_bytes / 2))
}

fn memory(config: &Config, machine_bytes: u64, shards: u64) -> Result<Memory, BrokerError> {
    let memory = config.bytes_given("memory").unwrap_or(machine_bytes / 4);
    let share = memory / shards;
    let part = |name: &str, most: u64, divisor: u64| config.bytes_given(name).unwrap_or(most.min(share / divisor));
    let window = part("write.window.bytes", 32 << 20, 8);
    let window_most = part("write.window.bytes", 1 << 30, 8);
    let cache = part("read.cache.bytes", 128 << 20, 4);
    let index = part("index.cache.bytes", 16 << 20, 16);
    let groups = part("group.memory.bytes", 128 << 20, 16);
    let io = part("io.memory.bytes", 32 << 20, 8);
    let requests = [window_most, cache, index, groups, io].iter().fold(share, |left, part| left.saturating_sub(*part));
    if requests < REQUESTS_BYTES_MIN {
        return Err(BrokerError::Memory { memory, shards, left: requests });
    }
    Ok(Memory { window, window_most, cache, index, groups, io, requests })
}

/// A path as tools name it, whatever directory the broker was started in.
fn absolute(path: &str) -> String {
    std::path::absolute(path).map_or_else(|_| path.to_owned(), |path| path.display().to_string())
}

/// Bytes of the file system under a path, and those that are left for us.
fn space(path: &str) -> Option<(u64, u64)> {
    let told = space_now(Path::new(path)).ok()?;
    Some((told.total_bytes, told.free_bytes))
}

/// Parts the limit of open files; says so if there is less room for connections than was set.
fn descriptors(config: &Config, shards: u64) -> Result<Descriptors, PreflightError> {
    let limit = raise_open_files();
    let segments = config.int_given("segment.files.open.max").map(i64::unsigned_abs);
    let parted = Descriptors::part(limit, shards, segments)?;
    let total = config.given("max.connections").map(|_| config.int("max.connections").unsigned_abs());
    let of_shards = config.int("max.connections.per.shard").unsigned_abs() * shards;
    let of_shards = config.given("max.connections.per.shard").map(|_| of_shards);
    if let Some(wanted) = total.into_iter().chain(of_shards).min().filter(|wanted| *wanted > parted.connections) {
        tracing::warn!(
            "the limit of open files ({limit}) has room for {} connections, and {wanted} are allowed: raise it with `ulimit -n \
             {}` or more, or LimitNOFILE= (systemd)",
            parted.connections,
            parted.limit_for(wanted, limit)
        );
    }
    Ok(parted)
}

/// 16 random bytes, written as Kafka writes an id.
fn new_cluster_id() -> String {
    base64_url(super::random())
}

/// A checked setting in the width of whoever uses it; the table's range fits.
fn number<N: TryFrom<i64>>(config: &Config, name: &str) -> N {
    let value = config.int(name);
    N::try_from(value).unwrap_or_else(|_| unreachable!("the range of {name} holds {value}"))
}

fn narrow<N: TryFrom<u64>>(value: u64) -> N {
    N::try_from(value).unwrap_or_else(|_| unreachable!("{value} is in the range of its key"))
}

fn told(cpus: &[Option<usize>]) -> String {
    let pinned: Vec<usize> = cpus.iter().flatten().copied().collect();
    if pinned.is_empty() { "not pinned".to_owned() } else { topology::ranges(&pinned) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flag;
    use crate::config::keys::{Default, Kind};

    fn config(settings: &[&str]) -> Config {
        let flags: Vec<Flag> = settings.iter().map(|text| Flag::set(text).expect("a flag")).collect();
        Config::load(None, [], &flags).expect("a good configuration")
    }

    #[test]
    fn the_parts_of_the_memory_are_its_whole() {
        for (total, shards) in [(64 << 20, 1), (1 << 30, 2), (6 << 30, 1), (100 << 30, 64)] {
            let parts = memory(&config(&[]), total * 4, shards).expect("enough");
            assert_eq!(parts.share(), total / shards);
            assert!(parts.requests >= total / shards / 8, "{parts:?}");
        }
        let set = memory(&config(&["memory=1GiB", "read.cache.bytes=300MiB"]), 0, 2).expect("enough");
        assert_eq!((set.cache, set.window), (300 << 20, 32 << 20));
    }

    #[test]
    fn too_little_memory_is_refused_with_what_to_change() {
        let refused = memory(&config(&["memory=64MiB"]), 0, 8).expect_err("8 MiB each").to_string();
        assert!(refused.contains("raise `memory`"), "{refused}");
        assert!(memory(&config(&["memory=1GiB", "read.cache.bytes=1GiB"]), 0, 1).is_err());
    }

    #[test]
    fn a_cluster_id_is_as_kafkas() {
        let (one, other) = (new_cluster_id(), new_cluster_id());
        assert_ne!(one, other);
        assert!(one.len() == 22 && one.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)), "{one}");
    }

    #[test]
    fn a_plan_takes_the_directory_and_every_default_fits_its_user() {
        let dir = tempfile::tempdir().expect("a directory");
        let data = format!("data_dir={}", dir.path().display());
        let config = config(&[&data, "shards=3", "pin=false", "listeners=A://127.0.0.1:0", "memory=1GiB"]);
        let (_, level) = LogLevel::filter(LevelFilter::INFO);
        let plan = plan(&config, &level).expect("a plan");
        assert_eq!((plan.cpus.len(), plan.shard.shards, plan.endpoints.len()), (3, 3, 1));
        let api = (plan.server)(0).api;
        let told = |name: &str| api.described.iter().find(|setting| setting.name == name).and_then(|s| s.value());
        assert_eq!(told("batch.decompressed.bytes.max"), Some(api.decompressed_bytes_max.to_string().as_str()));
        // What acts is told; "none" is what the page of settings says where nothing does.
        for key in KEYS.iter().filter(|key| key.kind != Kind::TopicDefault) {
            let acts = matches!(key.default, Default::Is(_))
                || matches!(key.default, Default::Computed(words) if !words.starts_with("none"));
            assert!(!acts || told(key.name).is_some(), "{} is told as null", key.name);
        }
        assert!(matches!(super::plan(&config, &level), Err(BrokerError::Data(MetaError::Locked { .. }))));
    }
}
