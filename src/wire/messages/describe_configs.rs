//! DescribeConfigs (key 32): configs of topics, brokers and groups, with where each value comes from.

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    DescribeConfigsRequest, key 32, versions 1..=4, flexible 4..;
    resources: [DescribeConfigsResource] {
        /// 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        resource_type: i8,
        resource_name: str,
        /// Null: all of them.
        configuration_keys: [str] (0.., null 0..),
    },
    include_synonyms: bool (1..),
    include_documentation: bool (3..),
}

message! {
    DescribeConfigsResponse, key 32, versions 1..=4, flexible 4..;
    throttle_time_ms: i32,
    results: [DescribeConfigsResult] {
        error_code: ErrorCode,
        /// Empty, not null, where there is no error.
        error_message: str (0.., null 0..),
        resource_type: i8,
        resource_name: str,
        configs: [DescribeConfigsResourceResult] {
            name: str,
            /// Null for a sensitive one.
            value: str (0.., null 0..),
            read_only: bool,
            /// 1 topic, 2 dynamic broker, 3 dynamic default, 4 static, 5 default, 6 and 7 loggers and metrics, 8 group.
            config_source: i8 (1.., or -1, ignorable),
            is_sensitive: bool,
            synonyms: [DescribeConfigsSynonym] {
                name: str (1..),
                value: str (1.., null 0..),
                source: i8 (1..),
            } (1.., ignorable),
            /// 1 bool, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password; 0 unknown.
            config_type: i8 (3.., ignorable),
            documentation: str (3.., null 0.., ignorable),
        },
    },
}
