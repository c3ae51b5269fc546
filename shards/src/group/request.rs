//! What can be asked of a coordinator and what it answers. Crosses cores as plain values.
//!
//! Invariant: text and bytes are copies of their own, never slices of a request's frame: some of them are kept for long.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use super::consumer::{MemberSaid, Parts};
use super::record::StoredOffset;
use crate::types::TopicId;

/// A request about one group.
#[derive(Debug)]
pub enum GroupRequest {
    Join(Join),
    Sync(Sync),
    Heartbeat(MemberRef),
    ConsumerBeat(ConsumerBeat),
    Leave {
        group: Arc<str>,
        members: Vec<Leaver>,
    },
    Commit(Commit),
    /// `topics`: all when `None`.
    FetchOffsets {
        group: Arc<str>,
        topics: Option<Vec<FetchTopic>>,
        /// Id and epoch of a member, if somebody says that it is one.
        member: Option<(Arc<str>, i32)>,
    },
    DeleteOffsets {
        group: Arc<str>,
        topics: Vec<(Arc<str>, Vec<i32>)>,
    },
    /// A classic group.
    Describe {
        group: Arc<str>,
    },
    /// A consumer group.
    DescribeConsumer {
        group: Arc<str>,
    },
    Delete {
        group: Arc<str>,
    },
}

impl GroupRequest {
    /// The group that it is about.
    pub fn group(&self) -> &Arc<str> {
        match self {
            GroupRequest::Join(join) => &join.group,
            GroupRequest::Sync(sync) => &sync.member.group,
            GroupRequest::Heartbeat(member) => &member.group,
            GroupRequest::ConsumerBeat(beat) => &beat.group,
            GroupRequest::Commit(commit) => &commit.member.group,
            GroupRequest::Leave { group, .. }
            | GroupRequest::FetchOffsets { group, .. }
            | GroupRequest::DeleteOffsets { group, .. }
            | GroupRequest::Describe { group }
            | GroupRequest::DescribeConsumer { group }
            | GroupRequest::Delete { group } => group,
        }
    }

    /// Whether it can be answered while nothing can be stored.
    pub fn only_reads(&self) -> bool {
        matches!(
            self,
            GroupRequest::FetchOffsets { .. } | GroupRequest::Describe { .. } | GroupRequest::DescribeConsumer { .. }
        )
    }

    /// About what it holds in a mailbox, bytes: its texts and lists, however they are divided.
    pub fn bytes(&self) -> usize {
        let partitions = |name: usize, partitions: &Vec<i32>| name + partitions.len() * size_of::<i32>();
        match self {
            GroupRequest::Join(join) => join.protocols.iter().map(|(name, said)| name.len() + said.len()).sum(),
            GroupRequest::Sync(sync) => sync.assignments.iter().map(|(id, part)| id.len() + part.len()).sum(),
            GroupRequest::Commit(commit) => {
                commit.offsets.iter().map(|one| size_of::<CommitOffset>() + one.metadata.len()).sum()
            }
            GroupRequest::Leave { members, .. } => members
                .iter()
                .map(|one| size_of::<Leaver>() + one.member.len() + text(&one.instance) + text(&one.reason))
                .sum(),
            GroupRequest::FetchOffsets { topics, .. } => {
                topics.iter().flatten().map(|topic| partitions(topic.name.len(), &topic.partitions)).sum()
            }
            GroupRequest::DeleteOffsets { topics, .. } => {
                topics.iter().map(|(name, indexes)| partitions(name.len(), indexes)).sum()
            }
            GroupRequest::ConsumerBeat(beat) => {
                let names: usize = beat.topics.iter().flatten().map(|topic| topic.len()).sum();
                let owned: usize = beat.owns.iter().flatten().map(|(_, p)| p.len() * size_of::<i32>()).sum();
                names + owned + text(&beat.regex)
            }
            GroupRequest::Heartbeat(_)
            | GroupRequest::Describe { .. }
            | GroupRequest::DescribeConsumer { .. }
            | GroupRequest::Delete { .. } => 0,
        }
    }
}

fn text(text: &Option<Arc<str>>) -> usize {
    text.as_ref().map_or(0, |text| text.len())
}

/// Who says that it is a member.
#[derive(Debug, Clone)]
pub struct MemberRef {
    pub group: Arc<str>,
    pub member: Arc<str>,
    pub instance: Option<Arc<str>>,
    pub generation: i32,
}

#[derive(Debug)]
pub struct Join {
    pub group: Arc<str>,
    /// Empty: not known to the group yet.
    pub member: Arc<str>,
    pub instance: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub protocol_type: Arc<str>,
    /// Names in the order of preference, with what the member says for each.
    pub protocols: Vec<(Arc<str>, Bytes)>,
    /// A random UUID, for the id of a new member.
    pub fresh: [u8; 16],
    /// A dynamic member must come back with the id that it is given (KIP-394).
    pub needs_id: bool,
    /// The client understands that a leader has nothing to assign (KIP-814).
    pub may_skip_assignment: bool,
    pub reason: Option<Arc<str>>,
}

/// A heartbeat of a member of a consumer group; `None`: as it said before.
#[derive(Debug, Clone)]
pub struct ConsumerBeat {
    pub group: Arc<str>,
    /// Empty: a client of version 0 that is to be given one.
    pub member: Arc<str>,
    /// 0 joins, -1 leaves, -2 leaves for a short while as a static member.
    pub epoch: i32,
    pub instance: Option<Arc<str>>,
    pub rack: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    /// -1: as it said before.
    pub rebalance_timeout_ms: i32,
    pub topics: Option<BTreeSet<Arc<str>>>,
    pub regex: Option<Arc<str>>,
    /// One that the broker has.
    pub assignor: Option<Arc<str>>,
    /// The partitions that it reads.
    pub owns: Option<Parts>,
    /// A random UUID, for the id of a new member.
    pub fresh: [u8; 16],
}

#[derive(Debug)]
pub struct Sync {
    pub member: MemberRef,
    pub protocol_type: Option<Arc<str>>,
    pub protocol: Option<Arc<str>>,
    /// From the leader: member and its part.
    pub assignments: Vec<(Arc<str>, Bytes)>,
}

/// A member that leaves. Without an id the instance names it.
#[derive(Debug)]
pub struct Leaver {
    pub member: Arc<str>,
    pub instance: Option<Arc<str>>,
    pub reason: Option<Arc<str>>,
}

#[derive(Debug)]
pub struct Commit {
    /// Generation -1 and no id: not a member.
    pub member: MemberRef,
    /// A retention of its own, in milliseconds; `None`: as the broker keeps offsets.
    pub retention_ms: Option<i64>,
    pub offsets: Vec<CommitOffset>,
    /// The client knows GROUP_ID_NOT_FOUND; others are told an illegal generation.
    pub knows_missing_group: bool,
}

#[derive(Debug, Clone)]
pub struct CommitOffset {
    pub topic: Arc<str>,
    pub topic_id: TopicId,
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: Arc<str>,
}

#[derive(Debug)]
pub struct FetchTopic {
    pub name: Arc<str>,
    /// Zero when it was asked for by name.
    pub id: TopicId,
    pub partitions: Vec<i32>,
}

/// The answer to a request of the same name.
#[derive(Debug, Clone, PartialEq)]
pub enum GroupReply {
    Joined(Result<Joined, JoinRefused>),
    Synced(Result<Synced, GroupError>),
    Heartbeat(Result<(), GroupError>),
    ConsumerBeat(Result<ConsumerTold, Refused>),
    /// One for each member, in the order asked.
    Left(Result<Vec<Result<(), GroupError>>, GroupError>),
    /// One for each offset, in the order asked.
    Committed(Result<Vec<Result<(), GroupError>>, GroupError>),
    Offsets(Result<Vec<TopicOffsets>, GroupError>),
    /// One for each partition, in the order asked.
    OffsetsDeleted(Result<Vec<Result<(), GroupError>>, GroupError>),
    Described(Result<Described, GroupError>),
    ConsumerDescribed(Result<ConsumerDescribed, GroupError>),
    Deleted(Result<(), GroupError>),
}

/// The member is part of a generation.
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    pub member: Arc<str>,
    pub generation: i32,
    pub protocol_type: Option<Arc<str>>,
    pub protocol: Option<Arc<str>>,
    pub leader: Option<Arc<str>>,
    pub skip_assignment: bool,
    /// For the leader; empty for others.
    pub members: Vec<JoinedMember>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct JoinedMember {
    pub member: Arc<str>,
    pub instance: Option<Arc<str>>,
    pub said: Bytes,
}

#[derive(Debug, Clone, PartialEq)]
pub struct JoinRefused {
    pub error: GroupError,
    /// The id to come with, or the one that came.
    pub member: Arc<str>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Synced {
    pub protocol_type: Option<Arc<str>>,
    pub protocol: Option<Arc<str>>,
    pub assignment: Bytes,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TopicOffsets {
    pub name: Arc<str>,
    /// As asked.
    pub id: TopicId,
    /// `None`: nothing is stored.
    pub partitions: Vec<(i32, Option<StoredOffset>)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    pub state: ClassicState,
    pub protocol_type: Arc<str>,
    /// Empty, as what members say and are assigned, unless the group is stable.
    pub protocol: Arc<str>,
    pub members: Vec<DescribedMember>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DescribedMember {
    pub member: Arc<str>,
    pub instance: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub said: Bytes,
    pub assignment: Bytes,
}

/// A refusal that the client shows to its user.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    pub error: GroupError,
    pub why: String,
}

/// What a member of a consumer group hears.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerTold {
    pub member: Arc<str>,
    pub epoch: i32,
    pub heartbeat_interval_ms: i32,
    /// `None`: what it has is right.
    pub assignment: Option<Parts>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerDescribed {
    pub state: ConsumerState,
    pub epoch: i32,
    pub target_epoch: i32,
    pub assignor: &'static str,
    pub members: Vec<ConsumerMemberDescribed>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerMemberDescribed {
    pub member: Arc<str>,
    pub epoch: i32,
    pub said: MemberSaid,
    pub assigned: Vec<NamedParts>,
    pub target: Vec<NamedParts>,
}

/// Partitions of a topic.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedParts {
    pub name: Arc<str>,
    pub id: TopicId,
    pub partitions: Vec<i32>,
}

/// A line of ListGroups.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedGroup {
    pub group: Arc<str>,
    pub protocol_type: Arc<str>,
    pub state: GroupState,
}

/// Of which type a group is, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupState {
    Classic(ClassicState),
    Consumer(ConsumerState),
}

impl GroupState {
    /// Kafka's name of the state.
    pub const fn name(self) -> &'static str {
        match self {
            GroupState::Classic(state) => state.name(),
            GroupState::Consumer(state) => state.name(),
        }
    }

    /// Kafka's name of the type, as it is told.
    pub const fn type_name(self) -> &'static str {
        match self {
            GroupState::Classic(_) => "classic",
            GroupState::Consumer(_) => "consumer",
        }
    }
}

/// Where a consumer group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsumerState {
    Empty,
    /// There is no target for the epoch yet.
    Assigning,
    /// Members are on their way to the target.
    Reconciling,
    Stable,
}

impl ConsumerState {
    /// Kafka's name.
    pub const fn name(self) -> &'static str {
        match self {
            ConsumerState::Empty => "Empty",
            ConsumerState::Assigning => "Assigning",
            ConsumerState::Reconciling => "Reconciling",
            ConsumerState::Stable => "Stable",
        }
    }
}

/// Where a classic group stands. One that does not exist is told as "Dead".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassicState {
    Empty,
    /// Members are to join the next generation.
    Preparing,
    /// Members are to take their assignment, which the leader is to bring.
    Completing,
    Stable,
}

impl ClassicState {
    /// Kafka's name.
    pub const fn name(self) -> &'static str {
        match self {
            ClassicState::Empty => "Empty",
            ClassicState::Preparing => "PreparingRebalance",
            ClassicState::Completing => "CompletingRebalance",
            ClassicState::Stable => "Stable",
        }
    }
}

/// Why a coordinator refuses; the number in brackets is Kafka's code.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
pub enum GroupError {
    /// (14)
    #[error("the groups of this partition are still being read")]
    Loading,
    /// (15)
    #[error("the coordinator cannot store anything now")]
    NotAvailable,
    /// (16)
    #[error("this broker does not coordinate the group")]
    NotCoordinator,
    /// (22)
    #[error("not the group's generation")]
    IllegalGeneration,
    /// (23)
    #[error("not a protocol of the group")]
    InconsistentProtocol,
    /// (25)
    #[error("no such member")]
    UnknownMember,
    /// (26)
    #[error("the session time-out is out of the broker's range")]
    InvalidSessionTimeout,
    /// (27)
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// (12)
    #[error("the metadata of an offset is too long")]
    MetadataTooLarge,
    /// (35)
    #[error("members of a consumer group store offsets with OffsetCommit 9 or later")]
    UnsupportedVersion,
    /// (68)
    #[error("the group has members")]
    NotEmpty,
    /// (69)
    #[error("no such group")]
    UnknownGroup,
    /// (69)
    #[error("the group is not a classic one")]
    NotClassic,
    /// (69)
    #[error("the group is not a consumer group")]
    NotConsumer,
    /// (79)
    #[error("join again with the given id")]
    MemberIdRequired,
    /// (81)
    #[error("the group is full")]
    MaxSizeReached,
    /// (82)
    #[error("another member has the instance id")]
    FencedInstance,
    /// (86)
    #[error("the group reads the topic")]
    Subscribed,
    /// (110)
    #[error("not the member's epoch: it must begin anew")]
    FencedEpoch,
    /// (111)
    #[error("a member that has not left has the instance id")]
    UnreleasedInstance,
    /// (113)
    #[error("not the member's epoch")]
    StaleEpoch,
    /// (128)
    #[error("no regular expression")]
    InvalidRegex,
    /// (-1)
    #[error("what the member embeds for its protocol cannot be read")]
    Malformed,
}
