//! The headers of requests and replies. Every core.
//!
//! Invariant: which header a message has follows from its API and version alone, and is decided here only.

use shards::codec::{DecodeError, EncodeError, Reader, Str, Writer};

use super::messages::ApiKey;

/// Header of a request: version 1, or 2 (with tagged fields) where the API's version is flexible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: Option<Str>,
}

/// The part of a header that every version has, so that a request which we cannot parse further can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderStart {
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
}

impl HeaderStart {
    pub fn decode(r: &mut Reader<'_>) -> Result<HeaderStart, DecodeError> {
        Ok(HeaderStart { api_key: r.i16()?, api_version: r.i16()?, correlation_id: r.i32()? })
    }
}

impl RequestHeader {
    /// The whole header; the reader then stands at the body. Fails for an API or version without messages, so that
    /// ApiVersions of a version above ours must be caught at its [`HeaderStart`].
    pub fn decode(r: &mut Reader<'_>) -> Result<RequestHeader, DecodeError> {
        let start = HeaderStart::decode(r)?;
        let api = known(start.api_key, start.api_version)?;
        start.decode_rest(r, api)
    }

    pub fn encode(&self, w: &mut Writer) -> Result<(), EncodeError> {
        w.i16(self.api_key);
        w.i16(self.api_version);
        w.i32(self.correlation_id);
        // Never compact, so that a broker can read the client id of any version (KIP-511).
        w.string(self.client_id.as_deref(), false)?;
        if ApiKey::from_key(self.api_key).is_ok_and(|api| api.flexible().contains(self.api_version)) {
            w.uvarint(0);
        }
        Ok(())
    }
}

impl HeaderStart {
    /// What follows the start: the client id, and in flexible versions tagged fields, of which none is known.
    pub fn decode_rest(self, r: &mut Reader<'_>, api: ApiKey) -> Result<RequestHeader, DecodeError> {
        let HeaderStart { api_key, api_version, correlation_id } = self;
        let client_id = r.string(false)?;
        if api.flexible().contains(api_version) {
            skip_tags(r)?;
        }
        Ok(RequestHeader { api_key, api_version, correlation_id, client_id })
    }
}

/// Header of a reply: version 0, or 1 (with tagged fields) where the API's version is flexible. The reply to
/// ApiVersions always has version 0: its reader does not know yet what the broker speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHeader {
    pub correlation_id: i32,
}

impl ResponseHeader {
    pub fn decode(r: &mut Reader<'_>, api: ApiKey, version: i16) -> Result<ResponseHeader, DecodeError> {
        let correlation_id = r.i32()?;
        if has_tags(api, version) {
            skip_tags(r)?;
        }
        Ok(ResponseHeader { correlation_id })
    }

    pub fn encode(self, w: &mut Writer, api: ApiKey, version: i16) {
        w.i32(self.correlation_id);
        if has_tags(api, version) {
            w.uvarint(0);
        }
    }
}

fn has_tags(api: ApiKey, version: i16) -> bool {
    api != ApiKey::ApiVersions && api.flexible().contains(version)
}

fn known(key: i16, version: i16) -> Result<ApiKey, DecodeError> {
    let api = ApiKey::from_key(key)?;
    if !api.versions().contains(version) {
        return Err(DecodeError::UnsupportedVersion { message: api.name(), version });
    }
    Ok(api)
}

fn skip_tags(r: &mut Reader<'_>) -> Result<(), DecodeError> {
    for _ in 0..r.uvarint()? {
        let (_, after) = r.enter_tag()?;
        r.skip_rest();
        r.leave_tag(after)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use shards::codec::Bytes;

    use super::*;

    fn header(api_key: i16, api_version: i16) -> Bytes {
        let mut w = Writer::default();
        let client_id = Some("client".into());
        RequestHeader { api_key, api_version, correlation_id: 9, client_id }.encode(&mut w).unwrap();
        w.into_bytes()
    }

    #[test]
    fn versions_below_and_above_an_apis_range_and_unknown_keys_are_refused() {
        let decode = |key, version| RequestHeader::decode(&mut Reader::new(&header(key, version)));
        for version in [-1, 0, 1, 2, 14] {
            let refused = DecodeError::UnsupportedVersion { message: "Produce", version };
            assert_eq!(decode(0, version), Err(refused));
        }
        assert!(decode(0, 3).is_ok());
        assert_eq!(decode(999, 0), Err(DecodeError::UnknownApi { key: 999 }));
    }

    #[test]
    fn the_start_of_a_header_is_readable_whatever_its_version() {
        let start = HeaderStart { api_key: 18, api_version: 99, correlation_id: 9 };
        assert_eq!(HeaderStart::decode(&mut Reader::new(&header(18, 99))), Ok(start));
    }

    #[test]
    fn the_reply_to_api_versions_has_no_tags_in_its_header_at_any_version() {
        for (api, version, len) in [(ApiKey::ApiVersions, 4, 4), (ApiKey::Metadata, 9, 5), (ApiKey::Metadata, 8, 4)] {
            let mut w = Writer::default();
            ResponseHeader { correlation_id: 1 }.encode(&mut w, api, version);
            assert_eq!(w.len(), len, "{} {version}", api.name());
        }
    }

    #[test]
    fn tagged_fields_of_a_header_are_skipped() {
        let mut bytes = header(3, 9).to_vec();
        bytes.pop();
        let with_tag = Bytes::from([bytes.as_slice(), &[1, 5, 2, 0xaa, 0xbb, 0x77]].concat());
        let mut r = Reader::new(&with_tag);
        let decoded = RequestHeader::decode(&mut r).unwrap();
        assert_eq!((decoded.client_id.as_deref(), r.left()), (Some("client"), 1));
    }
}
