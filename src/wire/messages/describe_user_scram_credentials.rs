//! DescribeUserScramCredentials (key 50): which users have SCRAM credentials, never the credentials (KIP-554).

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    DescribeUserScramCredentialsRequest, key 50, versions 0..=0, flexible 0..;
    /// Null or empty: all users.
    users: [UserName] { name: str } (0.., null 0..),
}

message! {
    DescribeUserScramCredentialsResponse, key 50, versions 0..=0, flexible 0..;
    throttle_time_ms: i32,
    error_code: ErrorCode,
    error_message: str (0.., null 0..),
    results: [DescribeUserScramCredentialsResult] {
        user: str,
        error_code: ErrorCode,
        error_message: str (0.., null 0..),
        credential_infos: [CredentialInfo] { mechanism: i8, iterations: i32 },
    },
}
