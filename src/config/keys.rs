//! The one table of broker settings: name, type, default, what it does and what it costs. Read at start only.
//! From it come parsing, ranges, the nearest name of a misspelt key, and the table in tuning.md.
//!
//! Invariant: a setting that Kafka has carries Kafka's name, and every broker setting behind a topic config is here once.

use shards::catalog::config::{ConfigKey, Kind as TopicKind, TOPIC_CONFIGS};

/// One setting of the broker.
#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    pub default: Default,
    /// What it does and what it costs, in sentences. Empty for a topic config's default: that table says it.
    pub doc: &'static str,
}

/// Type and range of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// From `min` to `max`.
    Int {
        min: i64,
        max: i64,
    },
    /// Bytes: a number, or a text such as "64 MiB".
    Bytes {
        min: u64,
        max: u64,
    },
    Bool,
    Text,
    Path,
    OneOf(&'static [&'static str]),
    /// "0-3,8", a count, or "all".
    Cores,
    /// "0-3,8", or nothing.
    CpuList,
    /// `NAME://HOST:PORT`, several with commas or as an array.
    Listeners,
    /// `ADDRESS:COUNT`, several with commas.
    IpCounts,
    /// `HOST:PORT`; nothing or 0: none.
    Address,
    /// The default of the topic config that names this setting as a synonym: its rules hold.
    TopicDefault,
}

/// What holds where nothing is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    Is(&'static str),
    /// Nothing, or worked out at start, as this says.
    Computed(&'static str),
}

const fn key(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { name, kind, default: Default::Is(default), doc }
}

const fn computed_key(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { name, kind, default: Default::Computed(default), doc }
}

/// The default of a topic config, under the broker's name for it.
const fn topic_key(name: &'static str) -> Key {
    Key { name, kind: Kind::TopicDefault, default: Default::Computed(""), doc: "" }
}

const fn int(min: i64, max: i64) -> Kind {
    Kind::Int { min, max }
}

const fn bytes(min: u64, max: u64) -> Kind {
    Kind::Bytes { min, max }
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
const I32_MAX: i64 = i32::MAX as i64;

/// Every setting, by subject.
pub static KEYS: &[Key] = &[
    // Who and where.
    computed_key(
        "data_dir",
        Kind::Path,
        "none: `serve` needs it, `dev` makes a temporary one",
        "Directory of everything that is kept. Its file system must take direct I/O (ext4, XFS and Btrfs do). One broker at a time.",
    ),
    key(
        "node.id",
        int(0, I32_MAX),
        "1",
        "Number of this broker, written into the data directory at its first start; a directory of another node is refused.",
    ),
    computed_key("broker.rack", Kind::Text, "none", "Rack that clients are told of this broker. Costs nothing."),
    key(
        "listeners",
        Kind::Listeners,
        "PLAINTEXT://127.0.0.1:9092",
        "Where to listen: NAME://HOST:PORT, several with commas or as an array. An empty host means all addresses. Kafka listens on all addresses by default; as there is no authentication yet, here it is this machine only. The names SSL, SASL_PLAINTEXT and SASL_SSL are refused until they are true.",
    ),
    computed_key(
        "advertised.listeners",
        Kind::Listeners,
        "none: clients are told the address that they came in on",
        "What clients are told, by the names of `listeners`. Needed behind NAT, a proxy or a container's port mapping.",
    ),
    key(
        "admin.listen",
        Kind::Address,
        "127.0.0.1:9644",
        "Where the broker's own HTTP listens: /metrics, /livez, /readyz, /v1/stages and the like. 0 or nothing turns it off. There is no authentication: an address that others reach lets them read all of it and set the level of the log. If the port is taken, the broker does without and says so, unless this is set: then it does not start.",
    ),
    // Cores.
    key(
        "cores",
        Kind::Cores,
        "all",
        "CPUs to use: a list (\"0-3,8\"), a count, or \"all\". Only CPUs of the process's affinity mask count; \"all\" also keeps to the cgroup's CPU quota, rounded up.",
    ),
    key(
        "exclude",
        Kind::CpuList,
        "",
        "CPUs that `cores` leaves out, whatever it says, such as those that serve interrupts.",
    ),
    key(
        "pin",
        Kind::Bool,
        "true",
        "Pins each shard's thread to its CPU. `dev` without --cores does not. Pinned threads hold their caches; on a CPU that others use as well, they wait for them.",
    ),
    computed_key(
        "shards",
        int(1, 1000),
        "as many as `cores` gives",
        "Shards: threads with a share of the partitions, a journal and connections each. May change between runs. More than cores share CPUs; each costs a journal (`journal.bytes`) and its part of `memory`.",
    ),
    key(
        "spin_us",
        int(0, 1_000_000),
        "0",
        "Microseconds for which a shard looks for work before it sleeps. Acts only where shards are pinned. Saves the time of a wake-up, and burns CPU that long before each sleep.",
    ),
    key(
        "mailbox.bytes",
        bytes(64 << 10, GIB),
        "8388608",
        "Bytes on their way from one shard to another. When they are used up, the sending connection waits.",
    ),
    key(
        "mailbox.messages",
        int(16, 1_000_000),
        "1024",
        "Messages on their way from one shard to another; when they are used up, the sending connection waits.",
    ),
    // Memory.
    computed_key(
        "memory",
        bytes(64 * MIB, 64 * TIB),
        "a quarter of the cgroup's limit, or of the machine",
        "Budget of the whole process, in equal parts for the shards. Of each part come the write window, the read cache, the index cache, the groups and the I/O memory; the rest is for requests and replies. When that rest is used up, sockets are not read.",
    ),
    computed_key(
        "write.window.bytes",
        bytes(MIB, 64 * GIB),
        "32 MiB, or 16 KiB for each partition up to 1 GiB, at most an eighth of the shard's memory",
        "Of each shard: bytes that are synced in the journal and not yet in segments. A larger window lets more small writes become one; when it is full, produce requests wait for the segments.",
    ),
    computed_key(
        "read.cache.bytes",
        bytes(0, TIB),
        "128 MiB, at most a quarter of the shard's memory",
        "Of each shard: newest bytes that stay readable from memory after they are in segments. Consumers further behind read from the disk, past the page cache.",
    ),
    computed_key(
        "index.cache.bytes",
        bytes(64 << 10, 64 * GIB),
        "16 MiB, at most a sixteenth of the shard's memory",
        "Of each shard: offset and time indexes of closed segments in memory. A miss costs a read of the index file.",
    ),
    computed_key(
        "group.memory.bytes",
        bytes(MIB, 64 * GIB),
        "128 MiB, at most a sixteenth of the shard's memory",
        "Of each shard: what its groups may hold in memory, about: members with what they say and are assigned, and stored offsets, some 130 bytes for each. When it is used up, whatever would take more is refused: a new member with GROUP_MAX_SIZE_REACHED, an offset of another partition or a larger assignment with COORDINATOR_NOT_AVAILABLE, so that clients come again; what is there goes on. One group may hold at most 32 MiB.",
    ),
    computed_key(
        "io.memory.bytes",
        bytes(MIB, 4 * GIB),
        "32 MiB, at most an eighth of the shard's memory",
        "Of each shard: memory registered with io_uring, for the buffers of journal and segments. What does not fit comes from the heap, and the kernel maps it for each write.",
    ),
    // Journal and files.
    computed_key(
        "journal.bytes",
        bytes(4 * MIB, 64 * GIB),
        "64 MiB, at most the shard's memory",
        "Of each shard: journal files made at start, as disk space. Below 16 KiB for each partition it grows to that. As much again, 5 MiB and three times the checkpoint are reserved, so that a full disk loses nothing that was acked and does not keep the broker from starting.",
    ),
    computed_key(
        "journal.bytes.max",
        bytes(4 * MIB, 64 * GIB),
        "256 MiB, at most the shard's memory, and not below `journal.bytes`",
        "Of each shard: how far the journal grows under load. A start after a crash replays at most this, and its own journal is larger by what it carries over of it, at most as much again. It holds what it replays in memory, beside `memory`: journals that together are larger than the machine or the cgroup are refused. A larger journal is recycled less often.",
    ),
    key(
        "metadata.log.max.record.bytes.between.snapshots",
        bytes(1 << 10, GIB),
        "20971520",
        "Bytes of the metadata log after which topics and configs are put into a snapshot, and the log before it is deleted. A start reads the last snapshot and the log behind it; a smaller value starts faster after many changes, and writes the whole catalog more often.",
    ),
    computed_key(
        "segment.files.open.max",
        int(16, 1_000_000),
        "1000, at most half of what the limit of open files leaves beside 128 and 64 for each shard, divided by `shards`",
        "Of each shard: segment files held open. Beyond it the longest unused is closed; its next use opens it again. More than the limit of open files has room for are refused at the start.",
    ),
    key(
        "log.retention.check.interval.ms",
        int(1, i64::MAX),
        "300000",
        "Time between two looks for segments that are due for deletion. Each look passes over every partition, in memory.",
    ),
    key(
        "log.cleaner.enable",
        Kind::Bool,
        "true",
        "Compact the logs of topics with `cleanup.policy=compact`. Without it they grow without bound, `__consumer_offsets` too.",
    ),
    key(
        "log.cleaner.dedupe.buffer.size",
        bytes(MIB, TIB),
        "134217728",
        "Memory for the keys of the logs that are being compacted, divided among the shards, taken only meanwhile and only as far as needed. 24 bytes a key; a log with more keys takes several passes, each of which reads all of it.",
    ),
    key(
        "log.cleaner.io.max.bytes.per.second",
        bytes(1024, i64::MAX as u64),
        "9223372036854775807",
        "Bytes that compaction reads and writes a second, divided among the shards. The default is no limit: it takes what the other work of a core leaves. May be changed while the broker runs (kafka-configs).",
    ),
    key(
        "log.cleaner.backoff.ms",
        int(1, i64::MAX),
        "15000",
        "Time between two looks for logs that are due for compaction, when there were none. Each look passes over every partition, in memory. May be changed while the broker runs (kafka-configs).",
    ),
    // Topics and producers.
    key("num.partitions", int(1, I32_MAX), "1", "Partitions of a topic whose creator does not say."),
    key(
        "default.replication.factor",
        int(1, 1),
        "1",
        "Replicas of a topic whose creator does not say. There is one broker, so 1.",
    ),
    key(
        "auto.create.topics.enable",
        Kind::Bool,
        "true",
        "A client that asks for a topic that is not there makes it, if it allows that itself. A misspelt name makes a topic, too.",
    ),
    key(
        "delete.topic.enable",
        Kind::Bool,
        "true",
        "Clients may delete topics. If false, DeleteTopics gets TOPIC_DELETION_DISABLED. Costs some 30 bytes of memory for each partition that is deleted, until the next start; on a full disk, a topic that may be deleted is the quickest way to space.",
    ),
    key(
        "partitions.max",
        int(1, 10_000_000),
        "100000",
        "Partitions of the whole broker; one over it is refused with POLICY_VIOLATION. An idle partition takes a few KiB of memory, and 16 KiB of journal once there are thousands.",
    ),
    key(
        "producer.ids.max",
        int(1, 100_000_000),
        "100000",
        "Of each shard: idempotent producers remembered, counted once for each partition that they write to. Some 350 bytes each. One more is refused with POLICY_VIOLATION until others expire.",
    ),
    key(
        "producer.id.expiration.ms",
        int(1, i64::MAX),
        "86400000",
        "Time after its last batch at which an idempotent producer is forgotten, and a repeat of that batch would be taken again.",
    ),
    // Groups.
    key(
        "group.initial.rebalance.delay.ms",
        int(0, I32_MAX),
        "3000",
        "How long a group that was empty waits for more members before its first rebalance; each one that comes puts the end off, up to the members' own rebalance time-out. Costs that much time before the first record; saves a rebalance for each member that starts a little later.",
    ),
    key(
        "group.min.session.timeout.ms",
        int(0, I32_MAX),
        "6000",
        "Shortest session time-out that a member may have. Shorter ones find dead members sooner, and cost more heartbeats.",
    ),
    key(
        "group.max.session.timeout.ms",
        int(0, I32_MAX),
        "1800000",
        "Longest session time-out that a member may have: for so long nobody reads what a dead member was to read.",
    ),
    key(
        "group.max.size",
        int(1, I32_MAX),
        "2147483647",
        "Members of one group. One more is refused with GROUP_MAX_SIZE_REACHED.",
    ),
    key(
        "group.consumer.session.timeout.ms",
        int(1, I32_MAX),
        "45000",
        "How long a member of a consumer group (KIP-848) may be silent before the others get its partitions. Shorter ones find dead members sooner; they must be longer than the heartbeat interval.",
    ),
    key(
        "group.consumer.heartbeat.interval.ms",
        int(1, I32_MAX),
        "5000",
        "How often members of consumer groups (KIP-848) are told to show that they live. A change of the assignment reaches a member with its next heartbeat.",
    ),
    key(
        "group.consumer.assignment.interval.ms",
        int(0, I32_MAX),
        "1000",
        "Least time between two assignments of a consumer group (KIP-1263), so that members that come together cost one.",
    ),
    key(
        "group.consumer.min.session.timeout.ms",
        int(1, I32_MAX),
        "45000",
        "Shortest session time-out that a consumer group may be given (its config consumer.session.timeout.ms), and the broker's default may be.",
    ),
    key(
        "group.consumer.max.session.timeout.ms",
        int(1, I32_MAX),
        "60000",
        "Longest session time-out that a consumer group may be given.",
    ),
    key(
        "group.consumer.min.heartbeat.interval.ms",
        int(1, I32_MAX),
        "5000",
        "Shortest heartbeat interval that a consumer group may be given (consumer.heartbeat.interval.ms). Each member costs a request in that time.",
    ),
    key(
        "group.consumer.max.heartbeat.interval.ms",
        int(1, I32_MAX),
        "15000",
        "Longest heartbeat interval that a consumer group may be given.",
    ),
    key(
        "group.consumer.min.assignment.interval.ms",
        int(0, I32_MAX),
        "0",
        "Least time between assignments that a consumer group may be given (consumer.assignment.interval.ms).",
    ),
    key(
        "group.consumer.max.assignment.interval.ms",
        int(0, I32_MAX),
        "15000",
        "Longest time between assignments that a consumer group may be given.",
    ),
    key(
        "group.consumer.migration.policy",
        Kind::OneOf(&["bidirectional", "upgrade", "downgrade", "disabled"]),
        "bidirectional",
        "Which way a group may change its protocol while it has members: `upgrade` from the classic to the consumer protocol (KIP-848), when the first member of the latter comes; `downgrade` when the last one goes.",
    ),
    key(
        "group.consumer.max.size",
        int(1, I32_MAX),
        "2147483647",
        "Members of one consumer group (KIP-848). One more is refused with GROUP_MAX_SIZE_REACHED.",
    ),
    key(
        "offset.metadata.max.bytes",
        int(0, I32_MAX),
        "4096",
        "Longest text that a client may store with an offset, in UTF-16 units as Kafka counts. All of it is in memory.",
    ),
    key(
        "offsets.retention.minutes",
        int(1, I32_MAX),
        "10080",
        "How long stored offsets are kept once their group is empty, or, without a group, once they were stored.",
    ),
    key(
        "offsets.retention.check.interval.ms",
        int(1, i64::MAX),
        "600000",
        "Time between two looks for stored offsets that are due for deletion. Each look passes over every group, in memory, in small steps.",
    ),
    key(
        "offsets.topic.num.partitions",
        int(1, I32_MAX),
        "50",
        "Partitions of `__consumer_offsets`, which is made when the first group is looked for. A group belongs to one of them, and so to one core; changing this later has no effect.",
    ),
    key(
        "offsets.topic.segment.bytes",
        int(1024 * 1024, I32_MAX),
        "104857600",
        "Segment size of `__consumer_offsets`, when it is made.",
    ),
    // What peers may do.
    key(
        "socket.request.max.bytes",
        bytes(1024, I32_MAX as u64),
        "104857600",
        "Longest request. Half of the shard's memory for requests is the limit as well. A longer one closes its connection.",
    ),
    key(
        "fetch.max.bytes",
        bytes(1024, I32_MAX as u64),
        "57671680",
        "Most bytes of one fetch reply, whatever the client asks for. The reply is in memory until it is sent.",
    ),
    computed_key(
        "batch.decompressed.bytes.max",
        bytes(MIB, 2 * GIB),
        "256 MiB, at most half of the shard's memory for requests",
        "Size that a produced batch may decompress to. A batch over it is refused with INVALID_RECORD; each one that is checked may take this much memory for a moment.",
    ),
    key(
        "max.request.partition.size.limit",
        int(1, I32_MAX),
        "2000",
        "Most partitions of one reply of DescribeTopicPartitions, whatever the client asks for; it asks again for the rest.",
    ),
    key(
        "max.incremental.fetch.session.cache.slots",
        int(0, 1_000_000),
        "1000",
        "Of each shard: fetch sessions (KIP-227). A consumer without one names all its partitions in every fetch.",
    ),
    key(
        "fetch.session.partitions.max",
        int(0, 100_000_000),
        "200000",
        "Of each shard: partitions of all fetch sessions. Some 150 bytes each.",
    ),
    key(
        "max.connections",
        int(0, I32_MAX),
        "2147483647",
        "Connections of the whole broker; one more is closed at once. May be changed while the broker runs (kafka-configs). What the limit of open files (`ulimit -n`, LimitNOFILE=) leaves beside 128, 64 for each shard and its segment.files.open.max is the limit as well, so that files can be opened however many connections there are.",
    ),
    key(
        "max.connections.per.ip",
        int(0, I32_MAX),
        "2147483647",
        "Connections of one client address; one more is closed at once. May be changed while the broker runs (kafka-configs).",
    ),
    key(
        "max.connections.per.ip.overrides",
        Kind::IpCounts,
        "",
        "Another limit for some addresses: \"10.0.0.5:200,10.0.0.6:0\". Addresses only, no host names. May be changed while the \
         broker runs (kafka-configs).",
    ),
    key(
        "max.connections.per.shard",
        int(1, I32_MAX),
        "2147483647",
        "Connections of one shard; one more is closed at once.",
    ),
    key(
        "socket.listen.backlog.size",
        int(1, I32_MAX),
        "4096",
        "Connections that may wait to be accepted, for each shard. Kafka's default is 50: too few when many clients come back at once. The kernel's net.core.somaxconn holds as well. Costs nothing while they do not wait.",
    ),
    key(
        "requests.in.flight.per.connection.max",
        int(1, 100_000),
        "256",
        "Requests of one connection that may wait for their replies; beyond that its socket is not read. Clients keep 5 to 100 in flight. More cost memory, within the budget of the shard.",
    ),
    key(
        "connections.max.idle.ms",
        int(1, i64::MAX),
        "600000",
        "A connection that asks nothing for so long is closed. Clients connect again when they need to.",
    ),
    key(
        "partial.frame.max.ms",
        int(100, i64::MAX),
        "30000",
        "A request that began to come must be whole after this time, or come at 64 KiB/s: its memory is held all the while. Where others wait for memory, it must be whole after 5 s, or come at 1 MiB/s; a large one after 1 s, or come at 64 KiB/s.",
    ),
    key(
        "unread.reply.max.ms",
        int(100, i64::MAX),
        "60000",
        "A client that takes nothing of a reply for so long is closed: the reply is held all the while. Where others wait for its memory, 3 s without a byte or less than 64 KiB/s are enough.",
    ),
    // What the broker says of itself.
    key(
        "slow.request.ms",
        int(0, i64::MAX),
        "100",
        "A request that takes longer, the wait of a fetch for records left out, keeps a trace of its stages: the last 64 of each shard, at /v1/slow. 0 keeps every request.",
    ),
    key(
        "log_level",
        Kind::OneOf(&["error", "warn", "info", "debug", "trace"]),
        "info",
        "Least level of the lines on stderr. debug and trace slow the broker down.",
    ),
    // Defaults of topic configs.
    topic_key("log.segment.bytes"),
    topic_key("log.roll.ms"),
    topic_key("log.roll.hours"),
    topic_key("log.roll.jitter.ms"),
    topic_key("log.roll.jitter.hours"),
    topic_key("log.index.size.max.bytes"),
    topic_key("log.flush.interval.messages"),
    topic_key("log.flush.interval.ms"),
    topic_key("log.flush.scheduler.interval.ms"),
    topic_key("log.retention.bytes"),
    topic_key("log.retention.ms"),
    topic_key("log.retention.minutes"),
    topic_key("log.retention.hours"),
    topic_key("message.max.bytes"),
    topic_key("log.index.interval.bytes"),
    topic_key("log.cleaner.delete.retention.ms"),
    topic_key("log.cleaner.min.compaction.lag.ms"),
    topic_key("log.cleaner.max.compaction.lag.ms"),
    topic_key("log.segment.delete.delay.ms"),
    topic_key("log.cleaner.min.cleanable.ratio"),
    topic_key("log.cleanup.policy"),
    topic_key("unclean.leader.election.enable"),
    topic_key("min.insync.replicas"),
    topic_key("compression.type"),
    topic_key("compression.gzip.level"),
    topic_key("compression.lz4.level"),
    topic_key("compression.zstd.level"),
    topic_key("log.preallocate"),
    topic_key("log.message.timestamp.type"),
    topic_key("log.message.timestamp.before.max.ms"),
    topic_key("log.message.timestamp.after.max.ms"),
    topic_key("log.local.retention.ms"),
    topic_key("log.local.retention.bytes"),
];

/// Names that Kafka's users try and that are called otherwise here, or are not needed.
const ELSEWHERE: &[(&str, &str)] = &[
    ("log.dir", "data_dir"),
    ("log.dirs", "data_dir"),
    ("broker.id", "node.id"),
    ("port", "listeners"),
    ("host.name", "listeners"),
    ("num.network.threads", "shards"),
    ("num.io.threads", "shards"),
];

impl Key {
    /// The variable of the environment that sets it.
    pub fn variable(&self) -> String {
        format!("CORELOG_{}", self.name.replace('.', "_").to_ascii_uppercase())
    }

    /// The value in force where nothing is set; `None`: it is worked out, or another setting counts, as
    /// [`Key::default_words`] says.
    pub fn default_text(&self) -> Option<String> {
        match (self.default, self.topic_config()) {
            (Default::Is(text), _) => Some(text.to_owned()),
            (Default::Computed(_), None) => None,
            (Default::Computed(_), Some(config)) => {
                // Of several names the last has the default, as in Kafka.
                let synonym = config.synonyms.last().filter(|synonym| synonym.key == self.name)?;
                let default = config.default.unwrap_or_default();
                match default.parse::<i64>() {
                    Ok(number) if synonym.times > 1 => Some((number / synonym.times).to_string()),
                    _ => Some(default.to_owned()),
                }
            }
        }
    }

    /// How the value is found where nothing is set and there is no text for it.
    pub fn default_words(&self) -> String {
        match (self.default, self.topic_config().and_then(|config| config.synonyms.last())) {
            (Default::Computed(_), Some(counts)) => format!("none: `{}` counts", counts.key),
            (Default::Computed(words) | Default::Is(words), _) => words.to_owned(),
        }
    }

    /// What it does; behind a topic config's default that config says it.
    pub fn explanation(&self) -> &'static str {
        self.topic_config().map_or(self.doc, |config| config.doc)
    }

    /// The topic config whose default this is.
    pub fn topic_config(&self) -> Option<&'static ConfigKey> {
        TOPIC_CONFIGS.iter().find(|config| config.broker_settings().any(|setting| setting == self.name))
    }
}

/// `None`: no setting has this name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The setting that is most likely meant by a name that is none.
pub fn nearest(name: &str) -> &'static Key {
    if let Some(ours) = ELSEWHERE.iter().find(|(theirs, _)| *theirs == name).and_then(|(_, ours)| find(ours)) {
        return ours;
    }
    let plain = name.to_ascii_lowercase().replace('_', ".");
    let distance = |key: &&Key| strsim::osa_distance(&key.name.replace('_', "."), &plain);
    KEYS.iter().min_by_key(distance).unwrap_or_else(|| unreachable!("the table of keys has rows"))
}

impl Kind {
    /// Type and range, for people.
    pub fn range(self) -> String {
        match self {
            Kind::Int { min, max: i64::MAX } => format!("{min} or more"),
            Kind::Int { min, max } if min == max => format!("{min}"),
            Kind::Int { min, max } => format!("{min} to {max}"),
            Kind::Bytes { min, max } => format!("{} to {}", binary(min), binary(max)),
            Kind::Bool => "true, false".to_owned(),
            Kind::Text => "text".to_owned(),
            Kind::Path => "path".to_owned(),
            Kind::OneOf(allowed) => allowed.join(", "),
            Kind::Cores => "list, count, \"all\"".to_owned(),
            Kind::CpuList => "list of CPUs".to_owned(),
            Kind::Listeners => "NAME://HOST:PORT, …".to_owned(),
            Kind::IpCounts => "ADDRESS:COUNT, …".to_owned(),
            Kind::Address => "HOST:PORT, or 0".to_owned(),
            Kind::TopicDefault => "as the topic config".to_owned(),
        }
    }
}

/// Type and range of a topic config, for people.
pub fn topic_range(kind: TopicKind) -> String {
    match kind {
        TopicKind::Int { min: i32::MIN, .. } | TopicKind::Long { min: i64::MIN } => "any number".to_owned(),
        TopicKind::Int { min, max: i32::MAX } => format!("{min} or more"),
        TopicKind::Int { min, max } => format!("{min} to {max}"),
        TopicKind::GzipLevel => "1 to 9, -1".to_owned(),
        TopicKind::Long { min } => format!("{min} or more"),
        TopicKind::Ratio => "0 to 1".to_owned(),
        TopicKind::Bool => "true, false".to_owned(),
        TopicKind::OneOf(allowed) | TopicKind::ListOf(allowed) => allowed.join(", "),
        TopicKind::AnyList => "any items".to_owned(),
        TopicKind::OffsetReset => "earliest, latest, or by_duration:PnDTnHnMn.nS".to_owned(),
        TopicKind::ThrottledReplicas => "PARTITION:BROKER, …, or *".to_owned(),
    }
}

/// Bytes in the largest unit that divides them.
pub fn binary(bytes: u64) -> String {
    let units = [(TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (1024, "KiB")];
    match units.iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => bytes.to_string(),
    }
}
