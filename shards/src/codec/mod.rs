//! Kafka's wire encoding: primitives, bounded `Reader`, vectored `Writer`, and `message!`, which turns one compact
//! declaration into struct, decode and encode. Every core; pure, no I/O.
//!
//! Invariant: whatever the bytes, decoding ends in a value or a typed error. It never panics, and it never allocates
//! more than the bytes that are there can justify: a count is checked against what remains divided by the element's
//! smallest encoding, and the elements of one message are capped ([`OBJECTS_MAX`]).
//!
//! Byte fields ([`Str`], `Bytes`, [`RecordParts`]) are slices of the frame's `Bytes` on decode, and record fields are
//! handed through without a copy on encode.
//!
//! Used by the requests and replies of the front and by the records of the catalog; see [`message!`](crate::message)
//! for how to declare either.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod error;
mod list;
mod message;
mod reader;
mod records;
pub mod sample;
mod str;
mod wire;
mod writer;

#[cfg(test)]
mod tests;

pub use bytes::Bytes;

pub use self::error::{DecodeError, EncodeError};
pub use self::list::{Elements, List};
pub use self::message::{Field, Message, Versions};
pub use self::reader::{OBJECTS_MAX, Reader};
pub use self::records::RecordParts;
pub use self::str::Str;
pub use self::wire::{Cx, Struct, Wire};
pub use self::writer::Writer;
pub use crate::message;
pub use crate::types::TopicId;
