//! Against messages that Kafka 4.3.1's own classes wrote (`tests/oracle-java`), for what the crate lacks.

use std::fmt::Write;

use bytes::Bytes;
use corelog::wire::messages::{ApiKey, Request, Response};
use corelog::wire::{EncodeError, Reader, Writer};

use super::NOT_IN_CRATE;
use super::canon::canon;

/// Fields that Kafka's JSON leaves out because the version lacks them, at the defaults that ours then have.
const NOT_IN_VERSION: [(&str, &str); 4] = [
    (" retentiontimems: -1", ""),
    (" name: \"\" topicid:", " topicid:"),
    (" groupid: \"\" topics: [ ] groups:", " groups:"),
    (" topics: [ ] errorcode: 0 groups:", " groups:"),
];

const FIXTURES: &str = include_str!("fixtures/java.txt");

#[test]
fn what_kafkas_classes_wrote_means_the_same_to_us_and_is_written_the_same() {
    for (api, version) in NOT_IN_CRATE {
        for direction in ["Request", "Response"] {
            let message = format!("{}{direction} {version} ", api.name());
            let fixtures: Vec<_> = FIXTURES.lines().filter_map(|line| line.strip_prefix(&message)).collect();
            assert!(fixtures.len() >= 25, "{message}: {} fixtures", fixtures.len());
            for fixture in fixtures {
                let (hex, json) = fixture.split_once(' ').expect("bytes, then JSON");
                let (debug, again) = reread(api, direction, version, &unhex(hex));
                let ours = NOT_IN_VERSION.iter().fold(canon(&debug), |text, (field, rest)| text.replace(field, rest));
                assert_eq!(ours, canon(json), "{message}{hex}");
                assert_eq!(again, hex, "{message}{json}");
            }
        }
    }
}

/// What we understand of the bytes, and the bytes that we make of that.
fn reread(api: ApiKey, direction: &str, version: i16, bytes: &Bytes) -> (String, String) {
    let mut r = Reader::new(bytes);
    let (debug, again) = if direction == "Request" {
        let request = Request::decode(api, &mut r, version).unwrap();
        (format!("{request:?}"), hex(|w| request.encode(w, version)))
    } else {
        let response = Response::decode(api, &mut r, version).unwrap();
        (format!("{response:?}"), hex(|w| response.encode(w, version)))
    };
    assert_eq!(r.left(), 0);
    (debug, again)
}

fn hex(encode: impl FnOnce(&mut Writer) -> Result<(), EncodeError>) -> String {
    let mut w = Writer::default();
    encode(&mut w).unwrap();
    w.into_bytes().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

fn unhex(hex: &str) -> Bytes {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}
