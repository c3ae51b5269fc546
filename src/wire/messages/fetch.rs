//! Fetch (key 1): reads batches, in sessions if the reader likes (KIP-227).

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    FetchRequest, key 1, versions 4..=18, flexible 12..;
    cluster_id: str (12.., null 12.., or None, tag 0, ignorable),
    /// -1 for a consumer. From version 15 in `replica_state`.
    replica_id: i32 (0..=14, or -1),
    replica_state: ReplicaState {
        replica_id: i32 (15.., or -1),
        replica_epoch: i64 (15.., or -1),
    } (15.., tag 1),
    max_wait_ms: i32,
    min_bytes: i32,
    max_bytes: i32 (3.., or i32::MAX, ignorable),
    /// 0 read uncommitted, 1 read committed.
    isolation_level: i8 (4.., ignorable),
    /// 0: no session, or a new one.
    session_id: i32 (7.., ignorable),
    /// -1: no session; 0: a new one.
    session_epoch: i32 (7.., or -1, ignorable),
    topics: [FetchTopic] {
        topic: str (0..=12, ignorable),
        topic_id: topic_id (13.., ignorable),
        partitions: [FetchPartition] {
            partition: i32,
            current_leader_epoch: i32 (9.., or -1, ignorable),
            fetch_offset: i64,
            last_fetched_epoch: i32 (12.., or -1),
            log_start_offset: i64 (5.., or -1, ignorable),
            partition_max_bytes: i32,
            replica_directory_id: uuid (17.., tag 0, ignorable),
            high_watermark: i64 (18.., or i64::MAX, tag 1, ignorable),
        },
    },
    /// Leaves the session.
    forgotten_topics_data: [ForgottenTopic] {
        topic: str (7..=12, ignorable),
        topic_id: topic_id (13.., ignorable),
        partitions: [i32] (7..),
    } (7..),
    rack_id: str (11.., ignorable),
}

message! {
    FetchResponse, key 1, versions 4..=18, flexible 12..;
    throttle_time_ms: i32 (1.., ignorable),
    error_code: ErrorCode (7.., ignorable),
    session_id: i32 (7..),
    responses: [FetchableTopicResponse] {
        topic: str (0..=12, ignorable),
        topic_id: topic_id (13.., ignorable),
        partitions: [PartitionData] {
            partition_index: i32,
            error_code: ErrorCode,
            /// This and the two below are -1 with an error.
            high_watermark: i64,
            last_stable_offset: i64 (4.., or -1, ignorable),
            log_start_offset: i64 (5.., or -1, ignorable),
            /// Where the reader's log parts from ours (KIP-595).
            diverging_epoch: EpochEndOffset {
                epoch: i32 (12.., or -1),
                end_offset: i64 (12.., or -1),
            } (12.., tag 0),
            current_leader: LeaderIdAndEpoch {
                leader_id: i32 (12.., or -1),
                leader_epoch: i32 (12.., or -1),
            } (12.., tag 1),
            snapshot_id: SnapshotId {
                end_offset: i64 (0.., or -1),
                epoch: i32 (0.., or -1),
            } (12.., tag 2),
            /// Null for a reader of uncommitted records.
            aborted_transactions: [AbortedTransaction] {
                producer_id: i64 (4..),
                first_offset: i64 (4..),
            } (4.., null 4.., ignorable),
            preferred_read_replica: i32 (11.., or -1),
            /// Empty where there is nothing; never null in what we send.
            records: record_parts (0.., null 0..),
        },
    },
    node_endpoints: [NodeEndpoint] {
        node_id: i32 (16..),
        host: str (16..),
        port: i32 (16..),
        rack: str (16.., null 16.., or None),
    } (16.., tag 0),
}
