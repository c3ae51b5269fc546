//! One connection's side of the protocol, without a socket.
//!
//! Invariant: a reply is believed only if it answers the oldest request that waits; the version of a request is the highest
//! that both sides know.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use crate::wire::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use crate::wire::messages::{ApiKey, Request, Response};
use crate::wire::{
    DecodeError, EncodeError, ErrorCode, FrameError, PREFIX_BYTES, Reader, ResponseHeader, Str, encode_request,
    frame_len,
};

/// Longest reply that is taken, in bytes.
const REPLY_BYTES_MAX: usize = 256 << 20;
/// What we call ourselves.
const CLIENT_ID: &str = "corelog-cli";

#[derive(Debug, Error)]
pub enum SessionError {
    #[error("the broker sent a frame that is none: {0}")]
    Frame(#[from] FrameError),
    #[error("the broker's reply cannot be read: {0}")]
    Decode(#[from] DecodeError),
    #[error("the request does not fit the version that the broker speaks: {0}")]
    Encode(#[from] EncodeError),
    #[error("the broker does not serve {api:?} in a version that this client knows")]
    NotServed { api: ApiKey },
    #[error("the broker answered request {got}, expected {expected}")]
    Correlation { got: i32, expected: i32 },
    #[error("the broker sent a reply that nobody asked for")]
    Unasked,
    #[error("the broker refused to tell its versions: {0:?}")]
    Versions(ErrorCode),
}

struct Waiting {
    correlation_id: i32,
    api: ApiKey,
    version: i16,
}

/// The state of one connection.
#[derive(Default)]
pub struct Session {
    next_correlation: i32,
    waiting: VecDeque<Waiting>,
    received: BytesMut,
    /// Highest common version of each API; empty before the broker told.
    versions: BTreeMap<i16, i16>,
}

impl Session {
    /// The first request: which versions does the broker speak? `fallback` after it answered that it does not know ours.
    pub fn ask_versions(&mut self, fallback: bool) -> Result<Vec<Bytes>, SessionError> {
        let request = ApiVersionsRequest {
            client_software_name: "corelog".to_owned().into(),
            client_software_version: env!("CARGO_PKG_VERSION").to_owned().into(),
        };
        let version = if fallback { 0 } else { 3 };
        self.encode(request.into(), version)
    }

    /// Takes the answer; `false` means that the question must be asked again with `fallback`.
    pub fn take_versions(&mut self, reply: &ApiVersionsResponse) -> Result<bool, SessionError> {
        match reply.error_code {
            ErrorCode::None => {}
            ErrorCode::UnsupportedVersion => return Ok(false),
            code => return Err(SessionError::Versions(code)),
        }
        for theirs in &reply.api_keys {
            let Ok(api) = ApiKey::from_key(theirs.api_key) else { continue };
            let ours = api.versions();
            let version = theirs.max_version.min(ours.max);
            if version >= theirs.min_version.max(ours.min) {
                self.versions.insert(theirs.api_key, version);
            }
        }
        Ok(true)
    }

    /// The version that both sides speak, at most `limit`.
    pub fn version(&self, api: ApiKey, limit: i16) -> Result<i16, SessionError> {
        self.versions.get(&api.key()).map(|version| (*version).min(limit)).ok_or(SessionError::NotServed { api })
    }

    /// Bytes of a request, in the highest common version that is not above `limit`.
    pub fn request(&mut self, request: Request, limit: i16) -> Result<Vec<Bytes>, SessionError> {
        let version = self.version(request.api(), limit)?;
        self.encode(request, version)
    }

    fn encode(&mut self, request: Request, version: i16) -> Result<Vec<Bytes>, SessionError> {
        let correlation_id = self.next_correlation;
        self.next_correlation = self.next_correlation.wrapping_add(1);
        let frame = encode_request(&request, version, correlation_id, Some(&Str::from(CLIENT_ID)))?;
        self.waiting.push_back(Waiting { correlation_id, api: request.api(), version });
        Ok(frame)
    }

    /// Takes bytes from the socket.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
    }

    /// The next whole reply; `None` when more bytes are needed.
    pub fn reply(&mut self) -> Result<Option<Response>, SessionError> {
        let Some(prefix) = self.received.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        let len = frame_len(*prefix, REPLY_BYTES_MAX)?;
        if self.received.len() < PREFIX_BYTES + len {
            return Ok(None);
        }
        self.received.advance(PREFIX_BYTES);
        let frame = self.received.split_to(len).freeze();
        let waiting = self.waiting.pop_front().ok_or(SessionError::Unasked)?;
        let mut reader = Reader::new(&frame);
        // An ApiVersions answer to a version that the broker does not know comes in version 0.
        let mut version = waiting.version;
        let header = ResponseHeader::decode(&mut reader, waiting.api, version)?;
        if header.correlation_id != waiting.correlation_id {
            return Err(SessionError::Correlation { got: header.correlation_id, expected: waiting.correlation_id });
        }
        if waiting.api == ApiKey::ApiVersions && frame.get(4..6) == Some(&35i16.to_be_bytes()) {
            version = 0;
        }
        Ok(Some(Response::decode(waiting.api, &mut reader, version)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::encode_response;
    use crate::wire::messages::api_versions::ApiVersion;
    use crate::wire::messages::metadata::MetadataRequest;

    fn versions(error_code: ErrorCode, keys: &[(i16, i16, i16)]) -> ApiVersionsResponse {
        let key =
            |&(api_key, min_version, max_version): &(i16, i16, i16)| ApiVersion { api_key, min_version, max_version };
        ApiVersionsResponse { error_code, api_keys: keys.iter().map(key).collect(), ..Default::default() }
    }

    #[test]
    fn the_highest_common_version_is_spoken() {
        let mut session = Session::default();
        assert!(
            session.take_versions(&versions(ErrorCode::None, &[(3, 0, 8), (1, 99, 100), (999, 0, 1)])).expect("told")
        );
        assert_eq!(session.version(ApiKey::Metadata, i16::MAX).expect("common"), 8);
        assert_eq!(session.version(ApiKey::Metadata, 4).expect("common"), 4);
        assert!(matches!(session.version(ApiKey::Fetch, 99), Err(SessionError::NotServed { .. })));
    }

    #[test]
    fn an_unknown_version_is_asked_again_in_version_0() {
        let mut session = Session::default();
        session.ask_versions(false).expect("encoded");
        let reply = versions(ErrorCode::UnsupportedVersion, &[(18, 0, 2)]);
        session.receive(&encode_response(&reply.into(), 0, 0).expect("encoded").concat());
        let Ok(Some(Response::ApiVersions(reply))) = session.reply() else { panic!("the reply") };
        assert!(!session.take_versions(&reply).expect("not refused"));
    }

    #[test]
    fn a_reply_that_arrives_byte_by_byte_is_whole_at_its_last_byte() {
        let mut session = Session::default();
        session.ask_versions(true).expect("encoded");
        let frame = encode_response(&versions(ErrorCode::None, &[(3, 0, 9)]).into(), 0, 0).expect("encoded").concat();
        let (last, first) = frame.split_last().expect("bytes");
        for byte in first {
            session.receive(&[*byte]);
            assert!(session.reply().expect("no error").is_none());
        }
        session.receive(&[*last]);
        assert!(session.reply().expect("no error").is_some());
    }

    #[test]
    fn a_reply_to_another_request_is_refused() {
        let mut session = Session::default();
        session.take_versions(&versions(ErrorCode::None, &[(3, 0, 9)])).expect("told");
        session.request(MetadataRequest::default().into(), 9).expect("encoded");
        let reply = crate::wire::messages::metadata::MetadataResponse::default();
        session.receive(&encode_response(&reply.into(), 9, 41).expect("encoded").concat());
        assert!(matches!(session.reply(), Err(SessionError::Correlation { got: 41, expected: 0 })));
    }
}
