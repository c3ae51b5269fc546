//! A frame of any bytes: header and body, as the listener would read it, and the body as a reply too.
//! An input that begins with a key below 0 stands for a made-up message, and how to damage it.
//!
//! Beyond not crashing: what decodes must encode in the same version, to bytes that decode to the same.

#![no_main]

use bytes::Bytes;
use corelog::wire::messages::{ApiKey, Request, Response};
use corelog::wire::{Reader, RequestHeader, Writer};
use libfuzzer_sys::fuzz_target;
use shards::codec::sample::Dice;

fuzz_target!(|bytes: &[u8]| {
    if let [0x80..=0xff, api, version, seed, damage @ ..] = bytes {
        let api = ApiKey::ALL[usize::from(*api) % ApiKey::ALL.len()];
        let versions = api.versions();
        let version = versions.min + i16::from(*version) % (versions.max - versions.min + 1);
        let mut dice = Dice::seeded(u64::from(*seed));
        let request = written(|w| Request::random(api, &mut dice, version).encode(w, version));
        let response = written(|w| Response::random(api, &mut dice, version).encode(w, version));
        check_request(api, version, &damaged(request, damage));
        check_response(api, version, &damaged(response, damage));
        return;
    }
    let frame = Bytes::copy_from_slice(bytes);
    let mut r = Reader::new(&frame);
    let Ok(header) = RequestHeader::decode(&mut r) else { return };
    let Ok(api) = ApiKey::from_key(header.api_key) else { return };
    let body = frame.slice(frame.len() - r.left()..);
    check_request(api, header.api_version, &body);
    check_response(api, header.api_version, &body);
});

fn check_request(api: ApiKey, version: i16, body: &Bytes) {
    if let Ok(request) = Request::decode(api, &mut Reader::new(body), version) {
        let again = written(|w| request.encode(w, version));
        assert_eq!(Request::decode(api, &mut Reader::new(&again), version), Ok(request));
    }
}

fn check_response(api: ApiKey, version: i16, body: &Bytes) {
    if let Ok(response) = Response::decode(api, &mut Reader::new(body), version) {
        let again = written(|w| response.encode(w, version));
        assert_eq!(Response::decode(api, &mut Reader::new(&again), version), Ok(response));
    }
}

/// Overwrites one byte for each pair of the damage: where, counted from the last one, and with what.
fn damaged(message: Bytes, damage: &[u8]) -> Bytes {
    let mut message = message.to_vec();
    let mut at = 0;
    for pair in damage.chunks_exact(2) {
        at += usize::from(pair[0]);
        if let Some(byte) = message.get_mut(at) {
            *byte = pair[1];
        }
    }
    message.into()
}

/// Writes what was made up or decoded, which cannot fail: decoding takes nothing that encoding would refuse.
fn written<E>(encode: impl FnOnce(&mut Writer) -> Result<(), E>) -> Bytes {
    let mut w = Writer::default();
    assert!(encode(&mut w).is_ok(), "what was decoded must encode");
    w.into_bytes()
}
