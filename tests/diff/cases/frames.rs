//! Frames and bodies that are not as they should be: lengths, keys, versions, bytes too few and too many, nulls.

use corelog::wire::messages::ApiKey;

use crate::case::{Case, case};
use crate::world::{World, framed};

/// A header of version 1 without a client id.
fn header(key: i16, version: i16) -> Vec<u8> {
    [&key.to_be_bytes()[..], &version.to_be_bytes(), &[0, 0, 0, 9], &[0xff, 0xff]].concat()
}

/// Whether the broker still answers on a connection of the case.
fn served(w: &mut World) {
    w.send(&framed(&[&header(22, 0)[..], &[0xff, 0xff, 0, 0, 0, 0]].concat()), ApiKey::InitProducerId, 0);
}

fn frame(name: &'static str, bytes: impl Fn() -> Vec<u8> + 'static) -> Case {
    case(name, 0..=0, move |w, _| {
        w.send(&bytes(), ApiKey::ApiVersions, 0);
        served(w);
    })
}

/// A body of one API, in each of its versions, for which the versions' own forms do not matter.
fn body(name: &'static str, api: ApiKey, bytes: &'static [u8]) -> Case {
    let versions = api.versions();
    case(name, versions.min..=versions.max, move |w, v| {
        w.ask_raw(api, v, bytes);
        served(w);
    })
}

pub fn cases() -> Vec<Case> {
    vec![
        frame("a length of zero", || vec![0; 4]),
        frame("a length below zero", || (-1i32).to_be_bytes().to_vec()),
        frame("a length of the least number", || i32::MIN.to_be_bytes().to_vec()),
        frame("a length of more than 100 MiB", || (100 * 1024 * 1024 + 1i32).to_be_bytes().to_vec()),
        frame("a length of the largest number", || i32::MAX.to_be_bytes().to_vec()),
        frame("a frame of one byte", || framed(&[0])),
        frame("a frame of half a header", || framed(&[0, 3, 0, 1])),
        frame("a header without a client id", || framed(&[0, 3, 0, 1, 0, 0, 0, 9])),
        frame("a client id that is longer than the frame", || framed(&[0, 3, 0, 1, 0, 0, 0, 9, 0x7f, 0xff, 65])),
        frame("a client id of a length below -1", || framed(&[0, 18, 0, 0, 0, 0, 0, 9, 0xff, 0xfe])),
        frame("a client id that is not UTF-8", || framed(&[0, 18, 0, 0, 0, 0, 0, 9, 0, 2, 0xff, 0xfe])),
        frame("keys that there are not", || framed(&header(999, 0))),
        frame("a key below zero", || framed(&header(-1, 0))),
        frame("a key of Kafka's controllers", || framed(&header(62, 0))),
        frame("the removed key of LeaderAndIsr", || framed(&header(4, 0))),
        case("versions below those that are served", 0..=0, |w, _| {
            for (api, version) in
                [(ApiKey::Produce, 2), (ApiKey::Produce, 0), (ApiKey::Fetch, 3), (ApiKey::ListOffsets, 0)]
            {
                w.send(&framed(&[&header(api.key(), version)[..], &[0; 40]].concat()), api, api.versions().min);
                served(w);
            }
        }),
        case("versions above those that are served", 0..=0, |w, _| {
            for api in ApiKey::ALL.iter().filter(|api| **api != ApiKey::ApiVersions) {
                w.note(api.name());
                let above = api.versions().max + 1;
                w.send(&framed(&[&header(api.key(), above)[..], &[0; 40]].concat()), *api, api.versions().min);
            }
            served(w);
        }),
        case("bytes after a body", 0..=5, |w, v| {
            let body: &[u8] = match v {
                0 | 1 => &[0xff, 0xff, 0, 0, 0, 0, 1, 2, 3],
                2 => &[0, 0, 0, 0, 0, 0, 1, 2, 3],
                _ => &[0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 1, 2, 3],
            };
            w.ask_raw(ApiKey::InitProducerId, v, body);
            served(w);
        }),
        case("tagged fields that nobody knows", 2..=5, |w, v| {
            let start: &[u8] = if v == 2 {
                &[0, 0, 0, 0, 0]
            } else {
                &[0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]
            };
            w.ask_raw(ApiKey::InitProducerId, v, &[start, &[2, 5, 1, 0xaa, 9, 2, 1, 2]].concat());
            w.ask_raw(ApiKey::InitProducerId, v, &[start, &[1, 5, 200, 1, 0xaa]].concat());
            w.ask_raw(ApiKey::InitProducerId, v, &[start, &[2, 9, 1, 0xaa, 5, 1, 2]].concat());
        }),
        body("no body for Metadata", ApiKey::Metadata, &[]),
        body("no body for Produce", ApiKey::Produce, &[]),
        body("no body for Fetch", ApiKey::Fetch, &[]),
        body("no body for ListOffsets", ApiKey::ListOffsets, &[]),
        body("no body for CreateTopics", ApiKey::CreateTopics, &[]),
        body("no body for DeleteTopics", ApiKey::DeleteTopics, &[]),
        body("no body for CreatePartitions", ApiKey::CreatePartitions, &[]),
        body("no body for DeleteRecords", ApiKey::DeleteRecords, &[]),
        body("no body for InitProducerId", ApiKey::InitProducerId, &[]),
        body("no body for OffsetForLeaderEpoch", ApiKey::OffsetForLeaderEpoch, &[]),
        body("no body for DescribeCluster", ApiKey::DescribeCluster, &[]),
        body("no body for ApiVersions", ApiKey::ApiVersions, &[]),
        case("null topics", 0..=3, |w, v| {
            let body: &[u8] = if v < 2 { &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0] } else { &[0, 0, 0, 0, 0, 0, 0] };
            w.ask_raw(ApiKey::CreatePartitions, v, body);
            w.ask_raw(ApiKey::DeleteRecords, v.min(2), body);
        }),
        case("null topics for Metadata", 0..=13, |w, v| {
            let body: &[u8] = if v < 9 { &[0xff, 0xff, 0xff, 0xff, 1, 0, 0] } else { &[0, 1, 0, 0, 0] };
            w.ask_raw(ApiKey::Metadata, v, body);
        }),
        case("a count below -1", 0..=8, |w, v| {
            w.ask_raw(ApiKey::Metadata, v, &[0xff, 0xff, 0xff, 0xfe, 1, 0, 0]);
        }),
        case("a count of billions", 0..=13, |w, v| {
            let body: &[u8] = if v < 9 { &[0x7f, 0xff, 0xff, 0xff, 1] } else { &[0xff, 0xff, 0xff, 0xff, 7, 1] };
            w.ask_raw(ApiKey::Metadata, v, body);
            served(w);
        }),
        case("a name that is null, too long, not UTF-8", 0..=8, |w, v| {
            for name in [&[0xff, 0xff][..], &[0xff, 0xfe], &[0x7f, 0xff, 65], &[0, 2, 0xff, 0xfe]] {
                w.ask_raw(ApiKey::Metadata, v, &[&[0, 0, 0, 1], name, &[0, 0, 0]].concat());
            }
        }),
        case("a compact name that is null", 9..=13, |w, v| {
            let id: &[u8] = if v < 10 { &[] } else { &[0; 16] };
            w.ask_raw(ApiKey::Metadata, v, &[&[2], id, &[0, 0, 0, 0, 0, 0]].concat());
        }),
        case("several requests in one write", 0..=0, |w, _| {
            let one = framed(&[&header(22, 0)[..], &[0xff, 0xff, 0, 0, 0, 0]].concat());
            w.send(&[&one[..], &one, &one].concat(), ApiKey::InitProducerId, 0);
            w.next(ApiKey::InitProducerId, 0);
            w.next(ApiKey::InitProducerId, 0);
        }),
        case("requests behind which the peer ends its side", 0..=0, |w, _| {
            let one = framed(&[&header(22, 0)[..], &[0xff, 0xff, 0, 0, 0, 0]].concat());
            w.send_last(&[&one[..], &one, &one].concat(), ApiKey::InitProducerId, 0);
            for _ in 0..3 {
                w.next(ApiKey::InitProducerId, 0);
            }
        }),
        case("half a request behind a whole one, and the peer ends its side", 0..=0, |w, _| {
            let one = framed(&[&header(22, 0)[..], &[0xff, 0xff, 0, 0, 0, 0]].concat());
            w.send_last(&[&one[..], &one[..9]].concat(), ApiKey::InitProducerId, 0);
            w.next(ApiKey::InitProducerId, 0);
        }),
        case("a good request before a bad one", 0..=0, |w, _| {
            let good = framed(&[&header(22, 0)[..], &[0xff, 0xff, 0, 0, 0, 0]].concat());
            w.send(&[&good[..], &framed(&header(999, 0))].concat(), ApiKey::InitProducerId, 0);
            w.next(ApiKey::InitProducerId, 0);
        }),
        case("a bool that is neither 0 nor 1", 4..=8, |w, v| {
            w.ask_raw(ApiKey::Metadata, v, &[0, 0, 0, 0, 2, 0xff, 7]);
        }),
    ]
}
