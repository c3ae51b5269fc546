//! Our messages against other implementations of the protocol: the crate `kafka-protocol` for every API and version
//! that it has, Kafka's own classes (`java`) for the rest. And the bounds of decoding, for all of them (`bounds`).
//!
//! Bytes alone cannot show that two fields of one type were swapped, so values are compared too, field by field, in the
//! common notation that `canon` makes of both.

mod bounds;
mod canon;
mod java;

use bytes::{Bytes, BytesMut};
use corelog::wire::messages::{ApiKey, Request, Response};
use corelog::wire::{Reader, Writer};
use kafka_protocol::messages::{ApiKey as TheirKey, RequestKind, ResponseKind};
use shards::codec::sample::Dice;

use canon::canon;

/// Messages made up for each API, version and direction.
const SAMPLES: u64 = 100;

/// API and version that the crate lacks; compared with Kafka's classes instead.
const NOT_IN_CRATE: [(ApiKey, i16); 4] =
    [(ApiKey::ListOffsets, 11), (ApiKey::OffsetCommit, 10), (ApiKey::OffsetFetch, 10), (ApiKey::DescribeLogDirs, 5)];

/// Fields of versions that only one side has, at their defaults: InitProducerId 6, which Kafka has not released, and
/// DescribeLogDirs 5.
const ONE_SIDED: [&str; 3] = [
    " enable2pc: false keeppreparedtxn: false",
    " ongoingtxnproducerid: -1 ongoingtxnproducerepoch: -1",
    " iscordoned: false",
];

fn shared(message: &impl std::fmt::Debug) -> String {
    ONE_SIDED.iter().fold(canon(&format!("{message:?}")), |text, fields| text.replace(fields, ""))
}

fn every_version() -> impl Iterator<Item = (ApiKey, i16)> {
    ApiKey::ALL.iter().flat_map(|&api| api.versions().iter().map(move |version| (api, version)))
}

fn their_key(api: ApiKey) -> TheirKey {
    TheirKey::try_from(api.key()).expect("the crate knows every API that we have")
}

fn encoded<E: std::fmt::Debug>(encode: impl FnOnce(&mut Writer) -> Result<(), E>) -> Bytes {
    let mut w = Writer::default();
    encode(&mut w).expect("a sample holds only what its version can carry");
    w.into_bytes()
}

#[test]
fn the_crate_lacks_exactly_the_versions_that_java_covers() {
    let lacking: Vec<_> = every_version()
        .filter(|&(api, version)| {
            // The crate's table of ranges names versions that its messages refuse.
            let decoded = RequestKind::decode(their_key(api), &mut Bytes::new(), version);
            decoded.is_err_and(|e| e.root_cause().to_string().contains("version not supported"))
        })
        .collect();
    assert_eq!(lacking, NOT_IN_CRATE);
}

#[test]
fn requests_of_every_version_are_the_same_to_the_crate_both_ways() {
    for (api, version) in every_version().filter(|it| !NOT_IN_CRATE.contains(it)) {
        for seed in 0..SAMPLES {
            let ours = Request::random(api, &mut Dice::seeded(seed), version);
            let bytes = encoded(|w| ours.encode(w, version));
            let what = format!("{api:?} request {version}, seed {seed}: {ours:?}");

            let mut rest = bytes.clone();
            let theirs = RequestKind::decode(their_key(api), &mut rest, version).expect(&what);
            assert!(rest.is_empty(), "{what}: they leave {} bytes", rest.len());
            assert_eq!(shared(&ours), shared(&theirs), "{what}");

            let mut their_bytes = BytesMut::new();
            theirs.encode(&mut their_bytes, version).expect(&what);
            assert_eq!(bytes, their_bytes, "{what}");

            let mut r = Reader::new(&bytes);
            assert_eq!(Request::decode(api, &mut r, version).as_ref(), Ok(&ours), "{what}");
            assert_eq!(r.left(), 0, "{what}");
        }
    }
}

#[test]
fn replies_of_every_version_are_the_same_to_the_crate_both_ways() {
    for (api, version) in every_version().filter(|it| !NOT_IN_CRATE.contains(it)) {
        for seed in 0..SAMPLES {
            let ours = Response::random(api, &mut Dice::seeded(seed), version);
            let bytes = encoded(|w| ours.encode(w, version));
            let what = format!("{api:?} reply {version}, seed {seed}: {ours:?}");

            let mut rest = bytes.clone();
            let theirs = ResponseKind::decode(their_key(api), &mut rest, version).expect(&what);
            assert!(rest.is_empty(), "{what}: they leave {} bytes", rest.len());
            assert_eq!(shared(&ours), shared(&theirs), "{what}");

            let mut their_bytes = BytesMut::new();
            theirs.encode(&mut their_bytes, version).expect(&what);
            assert_eq!(bytes, their_bytes, "{what}");

            let mut r = Reader::new(&bytes);
            assert_eq!(Response::decode(api, &mut r, version).as_ref(), Ok(&ours), "{what}");
            assert_eq!(r.left(), 0, "{what}");
        }
    }
}

#[test]
fn headers_are_the_versions_that_the_crate_says() {
    use corelog::wire::{RequestHeader, ResponseHeader};
    use kafka_protocol::messages::{RequestHeader as TheirRequest, ResponseHeader as TheirResponse};
    use kafka_protocol::protocol::{Decodable, StrBytes};

    for (api, version) in every_version() {
        let ours = RequestHeader {
            api_key: api.key(),
            api_version: version,
            correlation_id: 77,
            client_id: (version % 2 == 0).then(|| "client".into()),
        };
        let bytes = encoded(|w| ours.encode(w));
        let mut rest = bytes.clone();
        let theirs = TheirRequest::decode(&mut rest, their_key(api).request_header_version(version)).unwrap();
        assert!(rest.is_empty());
        assert_eq!((theirs.request_api_key, theirs.request_api_version), (api.key(), version));
        assert_eq!(theirs.correlation_id, 77);
        assert_eq!(theirs.client_id.as_ref().map(StrBytes::as_str), ours.client_id.as_deref());
        assert_eq!(RequestHeader::decode(&mut Reader::new(&bytes)).as_ref(), Ok(&ours));

        let ours = ResponseHeader { correlation_id: 78 };
        let bytes = encoded(|w| {
            ours.encode(w, api, version);
            Ok::<(), ()>(())
        });
        let mut rest = bytes.clone();
        let theirs = TheirResponse::decode(&mut rest, their_key(api).response_header_version(version)).unwrap();
        assert!(rest.is_empty(), "{api:?} {version}");
        assert_eq!(theirs.correlation_id, 78);
        assert_eq!(ResponseHeader::decode(&mut Reader::new(&bytes), api, version), Ok(ours));
    }
}

#[test]
fn the_apis_are_listed_by_ascending_key_under_the_names_of_kafka() {
    assert!(ApiKey::ALL.is_sorted_by_key(|api| api.key()));
    for &api in ApiKey::ALL {
        assert_eq!(api.name(), format!("{:?}", their_key(api)));
        assert_eq!(ApiKey::from_key(api.key()), Ok(api));
    }
}

#[test]
fn tagged_fields_that_nobody_knows_are_skipped_at_every_depth() {
    use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
    use kafka_protocol::protocol::Encodable;

    let encode = |unknown: bool| {
        let mut topic = MetadataRequestTopic::default();
        let mut request = MetadataRequest::default();
        if unknown {
            topic = topic.with_unknown_tagged_field(9, Bytes::from_static(b"nested"));
            request = request.with_unknown_tagged_field(1_000, Bytes::from(vec![1; 300]));
        }
        let mut bytes = BytesMut::new();
        request.with_topics(Some(vec![topic.clone(), topic])).encode(&mut bytes, 12).unwrap();
        bytes.freeze()
    };
    let (with, without) = (encode(true), encode(false));
    assert!(with.len() > without.len() + 300);
    let ours = Request::decode(ApiKey::Metadata, &mut Reader::new(&with), 12).unwrap();
    assert_eq!(encoded(|w| ours.encode(w, 12)), without);
}
