//! Errors of the shards as Kafka's codes. Every core; pure. Invariant: each match is exhaustive, so that a new error must
//! choose its code here.

use shards::catalog::CatalogError;
use shards::catalog::config::ConfigError;
use shards::group::GroupError;
use shards::request::{AppendError, ReadError};

use crate::wire::{ErrorCode, Str};

pub(super) fn append_error(e: &AppendError) -> ErrorCode {
    match e {
        AppendError::Unknown => ErrorCode::UnknownTopicOrPartition,
        AppendError::Offline { .. } | AppendError::DiskFull => ErrorCode::KafkaStorageError,
        AppendError::NotEnoughReplicas { .. } => ErrorCode::NotEnoughReplicas,
        AppendError::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
        AppendError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        AppendError::OldProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        AppendError::Transactional => ErrorCode::InvalidTxnState,
        // Kafka has no such limit; this one tells a producer not to try again.
        AppendError::TooManyProducers { .. } => ErrorCode::PolicyViolation,
        // Clients look for the leader again and retry, which is right whether this broker comes back or not.
        AppendError::Stopping => ErrorCode::NotLeaderOrFollower,
    }
}

pub(super) fn read_error(e: &ReadError) -> ErrorCode {
    match e {
        ReadError::Unknown => ErrorCode::UnknownTopicOrPartition,
        ReadError::Offline { .. } | ReadError::Unopened { .. } => ErrorCode::KafkaStorageError,
        ReadError::OutOfRange { .. } | ReadError::FutureFetchedEpoch => ErrorCode::OffsetOutOfRange,
        ReadError::FencedEpoch { .. } => ErrorCode::FencedLeaderEpoch,
        ReadError::UnknownEpoch { .. } => ErrorCode::UnknownLeaderEpoch,
        ReadError::Stopping => ErrorCode::NotLeaderOrFollower,
    }
}

pub(super) fn catalog_error(e: &CatalogError) -> ErrorCode {
    match e {
        CatalogError::TopicExists { .. } => ErrorCode::TopicAlreadyExists,
        CatalogError::InvalidTopicName { .. } | CatalogError::TopicCollides { .. } => ErrorCode::InvalidTopicException,
        CatalogError::InvalidRequest { .. } => ErrorCode::InvalidRequest,
        CatalogError::InvalidPartitions { .. } => ErrorCode::InvalidPartitions,
        CatalogError::InvalidReplicationFactor { .. } => ErrorCode::InvalidReplicationFactor,
        CatalogError::InvalidReplicaAssignment { .. } => ErrorCode::InvalidReplicaAssignment,
        CatalogError::InvalidConfig(e) => config_error(e),
        CatalogError::UnknownTopic { .. } => ErrorCode::UnknownTopicOrPartition,
        CatalogError::UnknownTopicId { .. } => ErrorCode::UnknownTopicId,
        CatalogError::PolicyViolation { .. } | CatalogError::TooManyPartitions { .. } => ErrorCode::PolicyViolation,
        CatalogError::NotStored { .. } => ErrorCode::KafkaStorageError,
        // Clients look for the controller again and retry.
        CatalogError::Stopping => ErrorCode::NotController,
        CatalogError::ProducerIdsExhausted | CatalogError::UnknownConfigOp { .. } | CatalogError::Internal { .. } => {
            ErrorCode::UnknownServerError
        }
    }
}

fn config_error(e: &ConfigError) -> ErrorCode {
    match e {
        ConfigError::UnknownOfMetrics { .. } | ConfigError::Interval { .. } => ErrorCode::InvalidRequest,
        ConfigError::Unknown { .. }
        | ConfigError::UnknownOfGroup { .. }
        | ConfigError::Pattern { .. }
        | ConfigError::Null { .. }
        | ConfigError::Invalid { .. }
        | ConfigError::TooLong { .. }
        | ConfigError::EmptyItem { .. }
        | ConfigError::CompactionLag { .. }
        | ConfigError::TieredStorage
        | ConfigError::NotAList { .. }
        | ConfigError::NotAListSetting { .. }
        | ConfigError::OutOfBounds { .. }
        | ConfigError::NotLonger { .. }
        | ConfigError::NoLogger { .. }
        | ConfigError::NoLogLevel { .. } => ErrorCode::InvalidConfig,
    }
}

pub(super) fn group_error(e: GroupError) -> ErrorCode {
    match e {
        GroupError::Loading => ErrorCode::CoordinatorLoadInProgress,
        GroupError::NotAvailable => ErrorCode::CoordinatorNotAvailable,
        GroupError::NotCoordinator => ErrorCode::NotCoordinator,
        GroupError::IllegalGeneration => ErrorCode::IllegalGeneration,
        GroupError::InconsistentProtocol => ErrorCode::InconsistentGroupProtocol,
        GroupError::UnknownMember => ErrorCode::UnknownMemberId,
        GroupError::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
        GroupError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        GroupError::MetadataTooLarge => ErrorCode::OffsetMetadataTooLarge,
        GroupError::NotEmpty => ErrorCode::NonEmptyGroup,
        GroupError::UnsupportedVersion => ErrorCode::UnsupportedVersion,
        GroupError::UnknownGroup | GroupError::NotClassic | GroupError::NotConsumer => ErrorCode::GroupIdNotFound,
        GroupError::MemberIdRequired => ErrorCode::MemberIdRequired,
        GroupError::MaxSizeReached => ErrorCode::GroupMaxSizeReached,
        GroupError::FencedInstance => ErrorCode::FencedInstanceId,
        GroupError::Subscribed => ErrorCode::GroupSubscribedToTopic,
        GroupError::FencedEpoch => ErrorCode::FencedMemberEpoch,
        GroupError::UnreleasedInstance => ErrorCode::UnreleasedInstanceId,
        GroupError::StaleEpoch => ErrorCode::StaleMemberEpoch,
        GroupError::InvalidRegex => ErrorCode::InvalidRegularExpression,
        GroupError::Malformed => ErrorCode::UnknownServerError,
    }
}

/// The code with the text that the client shows to its user.
pub(super) fn catalog_error_told(e: &CatalogError) -> (ErrorCode, Option<Str>) {
    let text = match e {
        CatalogError::UnknownConfigOp { .. } => None,
        _ => Some(Str::from(e.to_string())),
    };
    (catalog_error(e), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_should_retry_has_a_code_that_it_retries() {
        assert_eq!(append_error(&AppendError::Stopping), ErrorCode::NotLeaderOrFollower);
        assert_eq!(read_error(&ReadError::Stopping), ErrorCode::NotLeaderOrFollower);
        assert_eq!(append_error(&AppendError::DiskFull), ErrorCode::KafkaStorageError);
    }

    #[test]
    fn a_text_goes_with_the_code() {
        let (code, text) = catalog_error_told(&CatalogError::TopicExists { name: "a".into() });
        assert_eq!((code, text.as_deref()), (ErrorCode::TopicAlreadyExists, Some("Topic 'a' already exists.")));
    }
}
