//! DescribeClientQuotas (key 48): quotas of users, client ids and addresses (KIP-546).

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    DescribeClientQuotasRequest, key 48, versions 0..=1, flexible 1..;
    components: [ComponentData] {
        entity_type: str,
        /// 0 this name, 1 the default, 2 any name.
        match_type: i8,
        match_: str (0.., null 0..),
    },
    strict: bool,
}

message! {
    DescribeClientQuotasResponse, key 48, versions 0..=1, flexible 1..;
    throttle_time_ms: i32,
    error_code: ErrorCode,
    error_message: str (0.., null 0..),
    /// Null where there is an error.
    entries: [EntryData] {
        entity: [EntityData] { entity_type: str, entity_name: str (0.., null 0..) },
        values: [ValueData] { key: str, value: f64 },
    } (0.., null 0..),
}
