//! OffsetFetch (key 9): stored offsets of one group, from version 8 of several.

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    OffsetFetchRequest, key 9, versions 1..=10, flexible 6..;
    group_id: str (0..=7),
    /// Null for all; also in `groups`.
    topics: [OffsetFetchRequestTopic] {
        name: str (0..=7),
        partition_indexes: [i32] (0..=7),
    } (0..=7, null 2..),
    groups: [OffsetFetchRequestGroup] {
        group_id: str (8..),
        member_id: str (9.., null 9.., or None, ignorable),
        member_epoch: i32 (9.., or -1, ignorable),
        topics: [OffsetFetchRequestTopics] {
            name: str (8..=9, ignorable),
            topic_id: topic_id (10.., ignorable),
            partition_indexes: [i32] (8..),
        } (8.., null 8..),
    } (8..),
    /// Offsets of a transaction in flight are an error, not passed over.
    require_stable: bool (7..),
}

message! {
    OffsetFetchResponse, key 9, versions 1..=10, flexible 6..;
    throttle_time_ms: i32 (3.., ignorable),
    topics: [OffsetFetchResponseTopic] {
        name: str (0..=7),
        partitions: [OffsetFetchResponsePartition] {
            partition_index: i32 (0..=7),
            /// -1: none is stored.
            committed_offset: i64 (0..=7),
            committed_leader_epoch: i32 (5..=7, or -1, ignorable),
            metadata: str (0..=7, null 0..),
            error_code: ErrorCode (0..=7),
        } (0..=7),
    } (0..=7),
    error_code: ErrorCode (2..=7, ignorable),
    groups: [OffsetFetchResponseGroup] {
        group_id: str (8..),
        topics: [OffsetFetchResponseTopics] {
            name: str (8..=9, ignorable),
            topic_id: topic_id (10.., ignorable),
            partitions: [OffsetFetchResponsePartitions] {
                partition_index: i32 (8..),
                committed_offset: i64 (8..),
                committed_leader_epoch: i32 (8.., or -1, ignorable),
                metadata: str (8.., null 8..),
                error_code: ErrorCode (8..),
            } (8..),
        } (8..),
        error_code: ErrorCode (8..),
    } (8..),
}
