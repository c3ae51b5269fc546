//! The table of topic configs: name, type, default, the broker settings behind the default, what it means.
//! Every core; constant. From it come parsing, validation, descriptions and the pages of the manual.
//!
//! Invariant: in the order in which Kafka checks them, so that of two bad values the same one is named.

/// One config that a topic can have.
#[derive(Debug)]
pub struct ConfigKey {
    pub name: &'static str,
    pub kind: Kind,
    /// As text; `None` is Kafka's null. Kafka's own but for `flush.messages`.
    pub default: Option<&'static str>,
    /// Broker settings that give the default; the first that is set counts.
    pub synonyms: &'static [Synonym],
    /// It does something; else it is checked, stored and described.
    pub acted_on: bool,
    /// Not described until it is set.
    pub internal: bool,
    pub doc: &'static str,
}

impl ConfigKey {
    /// The default of one of the settings behind this key.
    pub fn setting_default(&self, setting: &Synonym) -> Option<&'static str> {
        match setting.default {
            SettingDefault::Same => self.default,
            SettingDefault::Is(text) => Some(text),
            SettingDefault::Null => None,
        }
    }

    pub fn is_list(&self) -> bool {
        matches!(self.kind, Kind::ListOf(_) | Kind::AnyList | Kind::ThrottledReplicas)
    }
}

/// Type and range of a config.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Int {
        min: i32,
        max: i32,
    },
    /// 1 to 9, or -1 for the codec's own.
    GzipLevel,
    Long {
        min: i64,
    },
    /// A number from 0 to 1.
    Ratio,
    Bool,
    OneOf(&'static [&'static str]),
    ListOf(&'static [&'static str]),
    /// Whatever the items are.
    AnyList,
    /// `*` or `partition:broker,…`.
    ThrottledReplicas,
    /// `earliest`, `latest` or `by_duration:` and a duration of ISO 8601.
    OffsetReset,
}

/// A broker setting that stands behind a topic config. Its value times `times` is the topic's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synonym {
    pub key: &'static str,
    pub times: i64,
    /// May be changed while the broker runs, as in Kafka.
    pub dynamic: bool,
    pub default: SettingDefault,
}

/// What a broker's setting is where nobody set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingDefault {
    /// The topic config's own default.
    Same,
    Is(&'static str),
    /// Kafka's null: a setting of another unit counts.
    Null,
}

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// The only setting behind a topic config.
const fn same(key: &'static str) -> Synonym {
    Synonym { key, times: 1, dynamic: true, default: SettingDefault::Same }
}

/// The setting of the finest unit, where coarser ones follow.
const fn finest(key: &'static str) -> Synonym {
    Synonym { key, times: 1, dynamic: true, default: SettingDefault::Null }
}

/// A setting of a coarser unit, or one that only stands in for another.
const fn coarser(key: &'static str, times: i64, default: SettingDefault) -> Synonym {
    Synonym { key, times, dynamic: false, default }
}

const fn int(min: i32) -> Kind {
    Kind::Int { min, max: i32::MAX }
}

const fn long(min: i64) -> Kind {
    Kind::Long { min }
}

/// A key that acts.
const fn acts(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    synonyms: &'static [Synonym],
    doc: &'static str,
) -> ConfigKey {
    ConfigKey { name, kind, default: Some(default), synonyms, acted_on: true, internal: false, doc }
}

/// A key that is checked, stored and described, and does nothing yet.
const fn kept(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    synonyms: &'static [Synonym],
    doc: &'static str,
) -> ConfigKey {
    ConfigKey { name, kind, default: Some(default), synonyms, acted_on: false, internal: false, doc }
}

const LONG_MAX: &str = "9223372036854775807";
const NO_SYNONYM: &[Synonym] = &[];

/// Every config of a topic.
pub static TOPIC_CONFIGS: [ConfigKey; 34] = [
    acts(
        "segment.bytes",
        int(1024 * 1024),
        "1073741824",
        &[same("log.segment.bytes")],
        "Size at which a segment file is closed and the next one begun. No batch may be larger.",
    ),
    acts(
        "segment.ms",
        long(1),
        "604800000",
        &[finest("log.roll.ms"), coarser("log.roll.hours", HOUR_MS, SettingDefault::Is("168"))],
        "Age at which a segment is closed even if it is not full, so that retention can take it.",
    ),
    acts(
        "segment.jitter.ms",
        long(0),
        "0",
        &[finest("log.roll.jitter.ms"), coarser("log.roll.jitter.hours", HOUR_MS, SettingDefault::Is("0"))],
        "Most that is taken off segment.ms at random, so that segments are not all closed at once.",
    ),
    kept(
        "segment.index.bytes",
        int(4),
        "10485760",
        &[same("log.index.size.max.bytes")],
        "Size of Kafka's preallocated index file. Our indexes grow as needed.",
    ),
    acts(
        "flush.messages",
        long(1),
        "1",
        &[same("log.flush.interval.messages")],
        "Records after which a sync is due. 1, the default here (Kafka: never), acks only what is synced; more acks before the sync.",
    ),
    acts(
        "flush.ms",
        long(0),
        LONG_MAX,
        &[finest("log.flush.interval.ms"), coarser("log.flush.scheduler.interval.ms", 1, SettingDefault::Is(LONG_MAX))],
        "Longest that a record acked before its sync waits for it.",
    ),
    acts(
        "retention.bytes",
        long(i64::MIN),
        "-1",
        &[same("log.retention.bytes")],
        "Bytes of a partition above which its oldest segments are deleted. Negative: no limit.",
    ),
    acts(
        "retention.ms",
        long(-1),
        "604800000",
        &[
            finest("log.retention.ms"),
            coarser("log.retention.minutes", MINUTE_MS, SettingDefault::Null),
            coarser("log.retention.hours", HOUR_MS, SettingDefault::Is("168")),
        ],
        "Age of its newest record above which a segment is deleted. -1: no limit.",
    ),
    acts(
        "max.message.bytes",
        int(0),
        "1048588",
        &[same("message.max.bytes")],
        "Largest record batch taken, compressed, its 12 bytes of log overhead included.",
    ),
    kept(
        "index.interval.bytes",
        int(0),
        "4096",
        &[same("log.index.interval.bytes")],
        "Bytes of log between two entries of the offset index.",
    ),
    acts(
        "delete.retention.ms",
        long(0),
        "86400000",
        &[same("log.cleaner.delete.retention.ms")],
        "Time for which compaction keeps a tombstone, so that readers see the deletion.",
    ),
    acts(
        "min.compaction.lag.ms",
        long(0),
        "0",
        &[same("log.cleaner.min.compaction.lag.ms")],
        "Age below which a record is left alone by compaction.",
    ),
    acts(
        "max.compaction.lag.ms",
        long(1),
        LONG_MAX,
        &[same("log.cleaner.max.compaction.lag.ms")],
        "Age at which a record is due for compaction whatever the dirty ratio.",
    ),
    acts(
        "file.delete.delay.ms",
        long(0),
        "60000",
        &[same("log.segment.delete.delay.ms")],
        "Time for which a segment that is out of the log, or the directory of a deleted topic, stays on the disk under another name. Not while the disk is nearly full.",
    ),
    acts(
        "min.cleanable.dirty.ratio",
        Kind::Ratio,
        "0.5",
        &[same("log.cleaner.min.cleanable.ratio")],
        "Share of a log that must be uncompacted before compaction starts.",
    ),
    acts(
        "cleanup.policy",
        Kind::ListOf(&["compact", "delete"]),
        "delete",
        &[same("log.cleanup.policy")],
        "What happens to old segments: delete, compact, both, or nothing (empty). With compact every record needs a key, and the newest one of each key stays.",
    ),
    kept(
        "unclean.leader.election.enable",
        Kind::Bool,
        "false",
        &[same("unclean.leader.election.enable")],
        "Lets a replica that is not in sync lead, which may lose records.",
    ),
    acts(
        "min.insync.replicas",
        int(1),
        "1",
        &[same("min.insync.replicas")],
        "Replicas that must be in sync for a produce with acks=all to be taken; never more than the partition has, so one on one node.",
    ),
    acts(
        "compression.type",
        Kind::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        "producer",
        &[same("compression.type")],
        "Codec of the batches in the log; producer keeps what the client chose.",
    ),
    acts(
        "compression.gzip.level",
        Kind::GzipLevel,
        "-1",
        &[same("compression.gzip.level")],
        "Level when compression.type is gzip; -1 is the codec's own.",
    ),
    acts(
        "compression.lz4.level",
        Kind::Int { min: 1, max: 17 },
        "9",
        &[same("compression.lz4.level")],
        "Level when compression.type is lz4.",
    ),
    acts(
        "compression.zstd.level",
        Kind::Int { min: -131_072, max: 22 },
        "3",
        &[same("compression.zstd.level")],
        "Level when compression.type is zstd.",
    ),
    kept(
        "preallocate",
        Kind::Bool,
        "false",
        &[same("log.preallocate")],
        "Reserves a segment's whole size when it is begun.",
    ),
    acts(
        "message.timestamp.type",
        Kind::OneOf(&["CreateTime", "LogAppendTime"]),
        "CreateTime",
        &[same("log.message.timestamp.type")],
        "Whose clock stamps the records: the producer's or the broker's.",
    ),
    acts(
        "message.timestamp.before.max.ms",
        long(0),
        LONG_MAX,
        &[same("log.message.timestamp.before.max.ms")],
        "How far a producer's timestamp may lie behind the broker's clock.",
    ),
    acts(
        "message.timestamp.after.max.ms",
        long(0),
        "3600000",
        &[same("log.message.timestamp.after.max.ms")],
        "How far a producer's timestamp may lie ahead of the broker's clock.",
    ),
    kept(
        "leader.replication.throttled.replicas",
        Kind::ThrottledReplicas,
        "",
        NO_SYNONYM,
        "Replicas whose leader limits what it sends: partition:broker pairs or *.",
    ),
    kept(
        "follower.replication.throttled.replicas",
        Kind::ThrottledReplicas,
        "",
        NO_SYNONYM,
        "Replicas that limit what they fetch: partition:broker pairs or *.",
    ),
    kept(
        "remote.storage.enable",
        Kind::Bool,
        "false",
        NO_SYNONYM,
        "Moves closed segments to tiered storage, which this broker does not have: true is refused.",
    ),
    kept(
        "local.retention.ms",
        long(-2),
        "-2",
        &[same("log.local.retention.ms")],
        "Time for which a segment that is in tiered storage also stays here; -2 follows retention.ms.",
    ),
    kept(
        "local.retention.bytes",
        long(-2),
        "-2",
        &[same("log.local.retention.bytes")],
        "Bytes kept here of what is in tiered storage too; -2 follows retention.bytes.",
    ),
    kept(
        "remote.log.copy.disable",
        Kind::Bool,
        "false",
        NO_SYNONYM,
        "Stops copying to tiered storage and leaves what is there readable.",
    ),
    kept(
        "remote.log.delete.on.disable",
        Kind::Bool,
        "false",
        NO_SYNONYM,
        "Deletes what is in tiered storage when it is switched off for the topic.",
    ),
    ConfigKey {
        name: "internal.segment.bytes",
        kind: Kind::Int { min: i32::MIN, max: i32::MAX },
        default: None,
        synonyms: NO_SYNONYM,
        acted_on: false,
        internal: true,
        doc: "Kafka's own tests use it for segments below 1 MiB.",
    },
];

/// The topic config behind which a broker's setting stands, and the setting; `None`: it stands behind none.
pub fn setting_key(name: &str) -> Option<(&'static ConfigKey, &'static Synonym)> {
    let within = |key: &'static ConfigKey| Some((key, key.synonyms.iter().find(|setting| setting.key == name)?));
    TOPIC_CONFIGS.iter().find_map(within)
}

/// `None`: no topic config has this name.
pub fn config_key(name: &str) -> Option<&'static ConfigKey> {
    TOPIC_CONFIGS.iter().find(|key| key.name == name)
}
