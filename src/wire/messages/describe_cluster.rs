//! DescribeCluster (key 60): brokers and controller, without the topics of Metadata.

use shards::codec::message;

use crate::wire::ErrorCode;
use crate::wire::messages::metadata::OPERATIONS_NOT_ASKED;

message! {
    DescribeClusterRequest, key 60, versions 0..=2, flexible 0..;
    include_cluster_authorized_operations: bool,
    /// 1 brokers, 2 controllers.
    endpoint_type: i8 (1.., or 1),
    include_fenced_brokers: bool (2..),
}

message! {
    DescribeClusterResponse, key 60, versions 0..=2, flexible 0..;
    throttle_time_ms: i32,
    error_code: ErrorCode,
    error_message: str (0.., null 0.., or None),
    endpoint_type: i8 (1.., or 1),
    cluster_id: str,
    controller_id: i32 (0.., or -1),
    brokers: [DescribeClusterBroker] {
        broker_id: i32,
        host: str,
        port: i32,
        rack: str (0.., null 0.., or None),
        is_fenced: bool (2..),
    },
    cluster_authorized_operations: i32 (0.., or OPERATIONS_NOT_ASKED),
}
