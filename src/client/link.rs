//! One connection without its socket: requests become frames, frames become replies. No I/O, no clock.
//!
//! Invariant: replies come in the order of their requests, and each is read in the version that its request was sent in.

use std::collections::{HashMap, VecDeque};

use super::error::{ClientError, not_kafka};
use crate::wire::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use crate::wire::messages::{ApiKey, Request, Response};
use crate::wire::{Bytes, ErrorCode, Reader, ResponseHeader, Str, Versions, encode_request};

/// Elements of one reply: a broker's metadata may name a million partitions.
const REPLY_OBJECTS_MAX: usize = 1 << 24;

/// The highest versions that this client speaks, where later ones name topics by id instead of by name.
const BY_NAME_MAX: &[(ApiKey, i16)] = &[
    (ApiKey::Produce, 12),
    (ApiKey::Fetch, 12),
    (ApiKey::OffsetCommit, 9),
    (ApiKey::OffsetFetch, 9),
    (ApiKey::DeleteTopics, 5),
];

/// The first version of ApiVersions that names the client. A broker that lacks it answers in version 0.
const NAMED_HELLO_VERSION: i16 = 3;

/// The protocol side of one connection.
#[derive(Debug)]
pub struct Link {
    /// For error texts.
    address: String,
    client_id: Str,
    /// What the broker serves; empty before it has said so.
    served: HashMap<i16, Versions>,
    next_correlation_id: i32,
    /// Correlation id, API and version of each request without a reply, oldest first.
    waiting: VecDeque<(i32, ApiKey, i16)>,
}

impl Link {
    pub fn new(address: impl Into<String>, client_id: impl Into<Str>) -> Link {
        Link {
            address: address.into(),
            client_id: client_id.into(),
            served: HashMap::new(),
            next_correlation_id: 0,
            waiting: VecDeque::new(),
        }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// The first request of a connection: what do you serve? Says who we are (KIP-511), unless `plainly`: in version 0,
    /// which every broker knows.
    pub fn hello(&mut self, plainly: bool) -> Result<Vec<Bytes>, ClientError> {
        let request = ApiVersionsRequest {
            client_software_name: "corelog".into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
        };
        self.send(&request.into(), if plainly { 0 } else { NAMED_HELLO_VERSION })
    }

    /// Takes in the answer to [`Link::hello`]. False: the broker does not know that version, ask it plainly.
    pub fn greeted(&mut self, reply: &ApiVersionsResponse) -> Result<bool, ClientError> {
        match reply.error_code {
            ErrorCode::None => {}
            ErrorCode::UnsupportedVersion => return Ok(false),
            code => return Err(ClientError::refused("the broker does not say what it serves", code)),
        }
        let served = reply.api_keys.iter().map(|api| (api.api_key, Versions::new(api.min_version, api.max_version)));
        self.served = served.collect();
        Ok(true)
    }

    /// The version to speak an API in: the highest that both know.
    pub fn version(&self, api: ApiKey) -> Result<i16, ClientError> {
        let theirs = self.served.get(&api.key()).ok_or(ClientError::NotServed { api: api.name() })?;
        let ours = api.versions();
        let most = BY_NAME_MAX.iter().find(|(of, _)| *of == api).map_or(ours.max, |(_, max)| ours.max.min(*max));
        let version = most.min(theirs.max);
        if version < ours.min || version < theirs.min {
            return Err(ClientError::NoCommonVersion {
                api: api.name(),
                theirs_min: theirs.min,
                theirs_max: theirs.max,
                ours_min: ours.min,
                ours_max: most,
            });
        }
        Ok(version)
    }

    /// The frame of a request, in pieces to be sent in this order.
    pub fn request(&mut self, request: &Request) -> Result<Vec<Bytes>, ClientError> {
        let version = self.version(request.api())?;
        self.send(request, version)
    }

    fn send(&mut self, request: &Request, version: i16) -> Result<Vec<Bytes>, ClientError> {
        let correlation_id = self.next_correlation_id;
        let frame = encode_request(request, version, correlation_id, Some(&self.client_id))?;
        self.next_correlation_id = correlation_id.wrapping_add(1);
        self.waiting.push_back((correlation_id, request.api(), version));
        Ok(frame)
    }

    /// The reply in a frame, which comes without its length.
    pub fn reply(&mut self, frame: &Bytes) -> Result<Response, ClientError> {
        let unexpected = |what: &str| ClientError::NotKafka { address: self.address.clone(), what: what.to_owned() };
        let Some((correlation_id, api, version)) = self.waiting.pop_front() else {
            return Err(unexpected("a reply came that answers no request"));
        };
        let mut reader = Reader::new(frame).with_objects_max(REPLY_OBJECTS_MAX);
        let header = ResponseHeader::decode(&mut reader, api, version).map_err(|e| not_kafka(&self.address, e))?;
        if header.correlation_id != correlation_id {
            return Err(unexpected("a reply came out of order"));
        }
        // An old broker answers a new ApiVersions in version 0, with error 35 in its first two bytes.
        let refused = frame.get(4..6) == Some(&ErrorCode::UnsupportedVersion.code().to_be_bytes());
        let version = if api == ApiKey::ApiVersions && refused { 0 } else { version };
        Response::decode(api, &mut reader, version).map_err(|e| not_kafka(&self.address, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::encode_response;
    use crate::wire::messages::api_versions::ApiVersion;
    use crate::wire::messages::metadata::{MetadataRequest, MetadataResponse};

    fn greeted(served: &[(ApiKey, i16, i16)]) -> Link {
        let mut link = Link::new("broker:9092", "test");
        let api_keys = served.iter().map(|&(api, min_version, max_version)| ApiVersion {
            api_key: api.key(),
            min_version,
            max_version,
        });
        let reply = ApiVersionsResponse { api_keys: api_keys.collect(), ..Default::default() };
        assert!(link.greeted(&reply).expect("a greeting"));
        link
    }

    /// A reply frame without its length.
    fn frame(reply: impl Into<Response>, version: i16, correlation_id: i32) -> Bytes {
        Bytes::from(encode_response(&reply.into(), version, correlation_id).expect("a reply").concat()).slice(4..)
    }

    #[test]
    fn each_api_is_spoken_in_the_highest_version_that_both_know_and_that_names_topics() {
        let link = greeted(&[(ApiKey::Metadata, 0, 99), (ApiKey::Fetch, 4, 18), (ApiKey::Produce, 0, 8)]);
        assert_eq!(link.version(ApiKey::Metadata).ok(), Some(ApiKey::Metadata.versions().max));
        assert_eq!(link.version(ApiKey::Fetch).ok(), Some(12));
        assert_eq!(link.version(ApiKey::Produce).ok(), Some(8));
        assert!(matches!(link.version(ApiKey::CreateTopics), Err(ClientError::NotServed { .. })));
        let link = greeted(&[(ApiKey::Produce, 0, 2), (ApiKey::Fetch, 13, 18)]);
        for api in [ApiKey::Produce, ApiKey::Fetch] {
            assert!(matches!(link.version(api), Err(ClientError::NoCommonVersion { .. })), "{}", api.name());
        }
    }

    #[test]
    fn replies_are_read_in_the_version_of_their_request_and_in_order() {
        let mut link = greeted(&[(ApiKey::Metadata, 0, 9)]);
        let request = Request::from(MetadataRequest::default());
        link.request(&request).expect("a frame");
        link.request(&request).expect("a frame");
        let reply = MetadataResponse { controller_id: 7, ..Default::default() };
        assert_eq!(link.reply(&frame(reply.clone(), 9, 0)).ok(), Some(reply.clone().into()));
        assert!(matches!(link.reply(&frame(reply.clone(), 9, 5)), Err(ClientError::NotKafka { .. })), "out of order");
        assert!(matches!(link.reply(&frame(reply, 9, 2)), Err(ClientError::NotKafka { .. })), "nothing was asked");
    }

    #[test]
    fn a_broker_that_does_not_know_the_named_greeting_is_greeted_plainly() {
        let mut link = Link::new("broker:9092", "test");
        link.hello(false).expect("a frame");
        let refusal = ApiVersionsResponse { error_code: ErrorCode::UnsupportedVersion, ..Default::default() };
        let Ok(Response::ApiVersions(reply)) = link.reply(&frame(refusal, 0, 0)) else { panic!("a refusal") };
        assert_eq!(link.greeted(&reply).ok(), Some(false));
        link.hello(true).expect("a frame");
        let Ok(Response::ApiVersions(reply)) = link.reply(&frame(ApiVersionsResponse::default(), 0, 1)) else {
            panic!("an answer")
        };
        assert_eq!(link.greeted(&reply).ok(), Some(true));
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        let mut link = Link::new("broker:9092", "test");
        for bytes in [&b""[..], b"HTTP", b"HTTP/1.1 400 Bad Request\r\n"] {
            link.hello(false).expect("a frame");
            assert!(matches!(link.reply(&Bytes::from_static(bytes)), Err(ClientError::NotKafka { .. })), "{bytes:?}");
        }
    }
}
