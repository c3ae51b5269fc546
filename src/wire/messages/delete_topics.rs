//! DeleteTopics (key 20): by name, from version 6 also by id.

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    DeleteTopicsRequest, key 20, versions 1..=6, flexible 4..;
    /// From version 6; either a name or an id.
    topics: [DeleteTopicState] {
        name: str (6.., null 6.., or None),
        topic_id: topic_id (6..),
    } (6..),
    topic_names: [str] (0..=5, ignorable),
    timeout_ms: i32,
}

message! {
    DeleteTopicsResponse, key 20, versions 1..=6, flexible 4..;
    throttle_time_ms: i32 (1.., ignorable),
    responses: [DeletableTopicResult] {
        name: str (0.., null 6..),
        topic_id: topic_id (6.., ignorable),
        error_code: ErrorCode,
        error_message: str (5.., null 5.., or None, ignorable),
    },
}
