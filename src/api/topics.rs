//! From what a request names to the partition that is meant. Every core; reads the applied catalog.

use shards::catalog::{Catalog, Topic};
use shards::types::{LeaderEpoch, PartitionId, TopicId};

use crate::wire::ErrorCode;

/// A topic by id where the request's version has ids, else by name.
pub(super) fn find<'a>(catalog: &'a Catalog, by_id: bool, name: &str, id: TopicId) -> Result<&'a Topic, ErrorCode> {
    if by_id {
        catalog.topic_by_id(id).ok_or(ErrorCode::UnknownTopicId)
    } else {
        catalog.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)
    }
}

/// A partition of a topic that was looked up once for all of its partitions.
pub(super) fn partition(topic: Result<&Topic, ErrorCode>, index: i32) -> Result<PartitionId, ErrorCode> {
    topic?.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// An epoch as requests carry it: -1 where the client does not say. What is below is older than any epoch.
pub(super) fn epoch_told(epoch: i32) -> Option<LeaderEpoch> {
    (epoch != -1).then_some(LeaderEpoch(epoch))
}
