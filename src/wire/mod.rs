//! Kafka's wire format: frames, headers, messages, error codes. Every core; pure, no I/O. Nothing below `api` knows it.
//!
//! Invariant: bytes of a peer become a typed message or a typed error, at a cost bounded by their number (see
//! [`shards::codec`]). Record fields are slices of the frame, in both directions.
//!
//! The server's side:
//! ```
//! use corelog::wire::messages::{ApiKey, Request, metadata::MetadataResponse};
//! use corelog::wire::{Bytes, Reader, RequestHeader, encode_request, encode_response};
//!
//! # let request = Request::from(corelog::wire::messages::metadata::MetadataRequest::default());
//! # let frame: Bytes = encode_request(&request, 13, 7, None)?.concat().split_off(4).into();
//! let mut reader = Reader::new(&frame); // `frame` is what follows the length; see `frame_len`
//! let header = RequestHeader::decode(&mut reader)?;
//! let api = ApiKey::from_key(header.api_key)?;
//! let reply = match Request::decode(api, &mut reader, header.api_version)? {
//!     Request::Metadata(asked) => MetadataResponse { controller_id: 1, ..Default::default() },
//!     other => unreachable!("{other:?}"),
//! };
//! let segments: Vec<Bytes> = encode_response(&reply.into(), header.api_version, header.correlation_id)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! A client does the reverse with [`encode_request`], [`ResponseHeader::decode`] and [`messages::Response::decode`].
//! Where the API is known, the types' own [`Message::decode`] and [`Message::encode`] do.

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
mod frame;
mod header;
pub mod messages;

pub use shards::codec::{
    Bytes, DecodeError, Elements, EncodeError, List, Message, OBJECTS_MAX, Reader, RecordParts, Str, TopicId, Versions,
    Wire, Writer,
};

pub use self::error::ErrorCode;
pub use self::frame::{FrameError, PREFIX_BYTES, encode_long_response, encode_request, encode_response, frame_len};
pub use self::header::{HeaderStart, RequestHeader, ResponseHeader};
