//! What can be wrong with bytes (decode) or with a value for a version (encode). Every core; plain values.

use thiserror::Error;

/// Why bytes are not the message that they claim to be. The peer is at fault: close the connection.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    #[error("{wanted} bytes wanted, {left} left")]
    Truncated { wanted: usize, left: usize },
    #[error("{count} elements claimed, {left} bytes left")]
    CountBeyondInput { count: usize, left: usize },
    #[error("more than {max} elements in one message")]
    TooManyObjects { max: usize },
    #[error("null where this version allows none")]
    UnexpectedNull,
    #[error("string of {len} bytes is over 32767")]
    StringTooLong { len: usize },
    #[error("string is not UTF-8")]
    NotUtf8,
    #[error("varint is longer than its type")]
    VarintTooLong,
    #[error("a tagged field left {left} of its bytes unread")]
    TagLength { left: usize },
    #[error("{message} has no version {version}")]
    UnsupportedVersion { message: &'static str, version: i16 },
    #[error("no API with key {key}")]
    UnknownApi { key: i16 },
}

/// Why a value cannot be written in a version. The caller is at fault.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum EncodeError {
    #[error("{message} has no version {version}")]
    UnsupportedVersion { message: &'static str, version: i16 },
    #[error("field {field} is set, and version {version} cannot carry it")]
    FieldNotInVersion { field: &'static str, version: i16 },
    #[error("field {field} is null, and version {version} allows no null")]
    UnexpectedNull { field: &'static str, version: i16 },
    #[error("length {len} does not fit its prefix")]
    TooLong { len: usize },
}
