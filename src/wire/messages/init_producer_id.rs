//! InitProducerId (key 22): a producer id for idempotence; with a transactional id, also a fence.

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    InitProducerIdRequest, key 22, versions 0..=5, flexible 2..;
    transactional_id: str (0.., null 0..),
    transaction_timeout_ms: i32,
    producer_id: i64 (3.., or -1),
    producer_epoch: i16 (3.., or -1),
}

message! {
    InitProducerIdResponse, key 22, versions 0..=5, flexible 2..;
    throttle_time_ms: i32 (0.., ignorable),
    error_code: ErrorCode,
    producer_id: i64 (0.., or -1),
    producer_epoch: i16,
}
