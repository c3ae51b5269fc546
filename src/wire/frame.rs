//! Frames: a length of four bytes, then a header, then a body. Every core.
//!
//! Invariant: a frame's length is judged before anything is allocated for it.

use shards::codec::{Bytes, Elements, EncodeError, Str, Writer};
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
    #[error("frame of {bytes} bytes is over the limit of {bytes_max}")]
    TooLarge { bytes: usize, bytes_max: usize },
}

/// Length of the frame that follows `prefix`, in bytes; `bytes_max` is the most that we take.
pub fn frame_len(prefix: [u8; PREFIX_BYTES], bytes_max: usize) -> Result<usize, FrameError> {
    let raw = i32::from_be_bytes(prefix);
    match usize::try_from(raw) {
        Ok(bytes) if bytes > bytes_max => Err(FrameError::TooLarge { bytes, bytes_max }),
        Ok(bytes) if bytes > 0 => Ok(bytes),
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

/// As [`encode_response`], with these in its first array without elements.
pub fn encode_long_response(
    response: &Response,
    elements: Elements,
    version: i16,
    correlation_id: i32,
) -> Result<Vec<Bytes>, EncodeError> {
    frame(|w| {
        ResponseHeader { correlation_id }.encode(w, response.api(), version);
        w.fill(elements);
        response.encode(w, version)?;
        assert!(!w.is_filling(), "{:?} has no place for a list", response.api());
        Ok(())
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

#[cfg(test)]
mod tests {
    use shards::codec::Reader;

    use super::*;
    use crate::wire::messages::ApiKey;
    use crate::wire::messages::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
    use crate::wire::messages::metadata::MetadataRequest;

    #[test]
    fn a_frame_says_its_length_and_comes_back_whole() {
        let records = Bytes::from(vec![1; 10_000]);
        let partitions = vec![PartitionData { records: Some(records.into()), ..Default::default() }];
        let responses = vec![FetchableTopicResponse { partitions, ..Default::default() }];
        let response = Response::from(FetchResponse { responses, ..Default::default() });
        let frame = Bytes::from(encode_response(&response, 12, 41).unwrap().concat());

        let body = frame.slice(PREFIX_BYTES..);
        let prefix = *frame.first_chunk().unwrap();
        assert_eq!(frame_len(prefix, 20_000), Ok(body.len()));
        assert_eq!(frame_len(prefix, 9_999), Err(FrameError::TooLarge { bytes: body.len(), bytes_max: 9_999 }));

        let mut r = Reader::new(&body);
        let header = ResponseHeader::decode(&mut r, ApiKey::Fetch, 12).unwrap();
        assert_eq!(header.correlation_id, 41);
        assert_eq!(Response::decode(ApiKey::Fetch, &mut r, 12), Ok(response));
        assert_eq!(r.left(), 0);
    }

    #[test]
    fn a_request_frame_carries_its_key_version_and_client() {
        let request = Request::from(MetadataRequest::default());
        let frame = Bytes::from(encode_request(&request, 9, 5, Some(&"cli".into())).unwrap().concat());
        let body = frame.slice(PREFIX_BYTES..);
        let mut r = Reader::new(&body);
        let header = RequestHeader::decode(&mut r).unwrap();
        assert_eq!((header.api_key, header.api_version, header.correlation_id), (3, 9, 5));
        assert_eq!(header.client_id.as_deref(), Some("cli"));
        assert_eq!(Request::decode(ApiKey::Metadata, &mut r, 9), Ok(request));
    }

    #[test]
    fn lengths_that_no_frame_has_are_refused() {
        assert_eq!(frame_len([0; 4], 100), Err(FrameError::NotPositive(0)));
        assert_eq!(frame_len([0xff; 4], 100), Err(FrameError::NotPositive(-1)));
    }
}
