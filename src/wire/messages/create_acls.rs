//! CreateAcls (key 30): adds access rules.

use shards::codec::message;

use super::describe_acls::LITERAL;
use crate::wire::ErrorCode;

message! {
    CreateAclsRequest, key 30, versions 1..=3, flexible 2..;
    creations: [AclCreation] {
        resource_type: i8,
        resource_name: str,
        resource_pattern_type: i8 (1.., or LITERAL),
        principal: str,
        host: str,
        operation: i8,
        permission_type: i8,
    },
}

message! {
    CreateAclsResponse, key 30, versions 1..=3, flexible 2..;
    throttle_time_ms: i32,
    results: [AclCreationResult] { error_code: ErrorCode, error_message: str (0.., null 0..) },
}
