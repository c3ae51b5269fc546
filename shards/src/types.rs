//! The newtypes of the field. Every core; plain values without behaviour beyond what keeps them apart, and how an id is written.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Position of a record in its partition, counted in records from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

impl Offset {
    pub const ZERO: Offset = Offset(0);
    /// What Kafka puts on the wire where there is no offset.
    pub const UNKNOWN: Offset = Offset(-1);

    pub fn plus(self, records: i64) -> Offset {
        Offset(self.0 + records)
    }
}

/// Byte position inside one segment file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePos(pub u64);

/// Leader epoch of a partition: grows by one at every start of the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaderEpoch(pub i32);

/// Producer id (KIP-98); -1 is "no producer".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub i64);

impl ProducerId {
    pub const NONE: ProducerId = ProducerId(-1);
}

/// Topic id: a UUID that is never used again, from the day the topic is made.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// "No id" on the wire.
    pub const ZERO: TopicId = TopicId([0; 16]);
    /// The metadata log's own id (KIP-631: the UUID 0…01).
    pub const METADATA: TopicId = TopicId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).hyphenated().fmt(f)
    }
}

/// 16 bytes as Kafka writes an id in texts: base64 for URLs, without padding.
pub fn base64_url(id: [u8; 16]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = u128::from_be_bytes(id);
    // 128 bits are 21 digits of six, and one of two bits that are its upper ones.
    let digits = (0..22).map(|n| {
        let six = if n < 21 { bits >> (122 - 6 * n) } else { bits << 4 };
        char::from(DIGITS[(six & 63) as usize])
    });
    digits.collect()
}

/// A partition, named the way that journals and shard requests name it: by id, never by topic name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId {
    pub topic: TopicId,
    pub index: i32,
}

/// A record found by ListOffsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    pub offset: Offset,
    pub timestamp_ms: i64,
    pub epoch: LeaderEpoch,
}

impl Listed {
    /// No record qualifies.
    pub const NOT_FOUND: Listed = Listed { offset: Offset::UNKNOWN, timestamp_ms: -1, epoch: LeaderEpoch(-1) };

    pub fn is_found(&self) -> bool {
        self.offset != Offset::UNKNOWN
    }
}

/// Monotonic time in nanoseconds (CLOCK_BOOTTIME on a machine, virtual in the simulator). Never compared across processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

impl Mono {
    pub const FAR: Mono = Mono(u64::MAX);

    pub fn after(self, wait: Duration) -> Mono {
        Mono(self.0.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
    }

    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// How many connections there may be; Kafka's settings of these names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLimits {
    pub total_max: usize,
    pub per_ip_max: usize,
    pub per_ip_overrides: Vec<(IpAddr, usize)>,
}

impl Default for ConnectionLimits {
    /// As Kafka: as many as an INT can say.
    fn default() -> ConnectionLimits {
        ConnectionLimits { total_max: i32::MAX as usize, per_ip_max: i32::MAX as usize, per_ip_overrides: Vec::new() }
    }
}
