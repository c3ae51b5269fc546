//! Frames: a length of four bytes, then a header, then a body. Every core.
//!
//! Invariant: a frame's length is judged before anything is allocated for it.

use shards::codec::{Bytes, EncodeError, Str, Writer};
use thiserror::Error;

use super::header::{RequestHeader, ResponseHeader};
use super::messages::{Request, Response};

/// Bytes of the length that precedes every frame.
pub const PREFIX_BYTES: usize = 4;

/// Room for headers and a typical reply, so that a small one takes one allocation.
const REPLY_BYTES: usize = 256;

/// A length that no frame has. The connection is closed, as Kafka does.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    #[error("frame length {0} is not positive")]
    NotPositive(i32),
    #[error("frame of {len} bytes is over the limit of {max}")]
    TooLarge { len: usize, max: usize },
}

/// Length of the frame that follows `prefix`, in bytes; `max` is the most that we take.
pub fn frame_len(prefix: [u8; PREFIX_BYTES], max: usize) -> Result<usize, FrameError> {
    let raw = i32::from_be_bytes(prefix);
    match usize::try_from(raw) {
        Ok(len) if len > max => Err(FrameError::TooLarge { len, max }),
        Ok(len) if len > 0 => Ok(len),
        _ => Err(FrameError::NotPositive(raw)),
    }
}

/// A whole reply frame, prefix included, as segments to send in this order; records are not copied.
pub fn encode_response(response: &Response, version: i16, correlation_id: i32) -> Result<Vec<Bytes>, EncodeError> {
    frame(|w| {
        ResponseHeader { correlation_id }.encode(w, response.api(), version);
        response.encode(w, version)
    })
}

/// A whole request frame, prefix included, as segments to send in this order; records are not copied.
pub fn encode_request(
    request: &Request,
    version: i16,
    correlation_id: i32,
    client_id: Option<&Str>,
) -> Result<Vec<Bytes>, EncodeError> {
    frame(|w| {
        let api_key = request.api().key();
        RequestHeader { api_key, api_version: version, correlation_id, client_id: client_id.cloned() }.encode(w)?;
        request.encode(w, version)
    })
}

fn frame(write: impl FnOnce(&mut Writer) -> Result<(), EncodeError>) -> Result<Vec<Bytes>, EncodeError> {
    let mut w = Writer::with_capacity(REPLY_BYTES);
    w.i32(0);
    write(&mut w)?;
    let len = w.len().saturating_sub(PREFIX_BYTES);
    w.patch_front(i32::try_from(len).map_err(|_| EncodeError::TooLong { len })?);
    Ok(w.finish())
}
