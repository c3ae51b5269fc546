//! What decoding costs, whatever the bytes: no panic, and memory in proportion to the input.
//! Owns the allocator of this test binary, which counts for each thread what it asks for.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use corelog::wire::messages::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
use corelog::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use corelog::wire::messages::{ApiKey, Request, Response};
use corelog::wire::{Message, Reader, RequestHeader, Writer, encode_response, frame_len};
use proptest::prelude::*;
use shards::codec::sample::Dice;

thread_local! {
    /// Bytes asked for, and how often.
    static ASKED: Cell<usize> = const { Cell::new(0) };
    static TIMES: Cell<usize> = const { Cell::new(0) };
}

/// Passes everything on to the system and adds up what each thread asks for.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count(bytes: usize) {
    // A thread that is ending has no counter any more, and no test either.
    let _ = ASKED.try_with(|asked| asked.set(asked.get() + bytes));
    let _ = TIMES.try_with(|times| times.set(times.get() + 1));
}

// SAFETY: every call goes to `System` as it came; counting touches no memory of the allocator's user.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps `alloc`'s contract, which is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above; `ptr` came from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as above; `ptr` came from `System`.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

/// Most that a byte of input may make us allocate. Nested arrays are the worst: each may claim all the bytes that are
/// left. In a request of OffsetFetch 8 a group is 96 bytes in memory for 3 on the wire, a topic in it 72, a partition 4
/// for 4; in a reply to ListGroups 3 a group is 128 for 3.
const BYTES_PER_BYTE: usize = 64;

/// Decodes `bytes` in every way there is, and checks what each of them allocates.
fn decode_all(bytes: &Bytes) {
    bounded(bytes, "header", |r| drop(RequestHeader::decode(r)));
    for &api in ApiKey::ALL {
        // One version either side of the range too.
        for version in api.versions().min - 1..=api.versions().max + 1 {
            bounded(bytes, api.name(), |r| drop(Request::decode(api, r, version)));
            bounded(bytes, api.name(), |r| drop(Response::decode(api, r, version)));
        }
    }
}

fn bounded(bytes: &Bytes, what: &str, decode: impl FnOnce(&mut Reader<'_>)) {
    let before = ASKED.get();
    decode(&mut Reader::new(bytes));
    let asked = ASKED.get() - before;
    assert!(asked <= BYTES_PER_BYTE * bytes.len(), "{what}: {asked} bytes allocated for {}", bytes.len());
}

/// What to do to a valid message.
#[derive(Clone, Debug)]
enum Damage {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Cut(prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte = prop_oneof![Just(0u8), Just(0x7f), Just(0x80), Just(0xff), any::<u8>()];
    prop_oneof![
        4 => (any::<prop::sample::Index>(), byte.clone()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        2 => (any::<prop::sample::Index>(), prop::collection::vec(byte, 1..8)).prop_map(|(at, it)| Damage::Insert(at, it)),
        1 => any::<prop::sample::Index>().prop_map(Damage::Cut),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        match damage {
            Damage::Set(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Damage::Set(..) => {}
            Damage::Insert(at, more) => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, more.iter().copied());
            }
            Damage::Cut(at) => bytes.truncate(at.index(bytes.len() + 1)),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_bytes_never_panic_nor_allocate_beyond_their_length(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        decode_all(&bytes.into());
    }

    #[test]
    fn small_bytes_never_panic_nor_allocate_beyond_their_length(
        // Mostly 0, 1 and 2: lengths and counts that are believed, so that decoding goes deep.
        bytes in prop::collection::vec(prop_oneof![0u8..4, 0u8..4, 0u8..4, any::<u8>()], 0..2000),
    ) {
        decode_all(&bytes.into());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn damaged_messages_never_panic_nor_allocate_beyond_their_length(
        api in prop::sample::select(ApiKey::ALL),
        version in any::<prop::sample::Index>(),
        seed: u64,
        damages in prop::collection::vec(damage(), 1..6),
    ) {
        let versions = api.versions();
        let version = versions.iter().nth(version.index(versions.iter().count())).unwrap();
        let mut dice = Dice::seeded(seed);

        let mut w = Writer::default();
        Request::random(api, &mut dice, version).encode(&mut w, version).unwrap();
        let bytes = Bytes::from(damaged(w.into_bytes().to_vec(), &damages));
        bounded(&bytes, api.name(), |r| drop(Request::decode(api, r, version)));

        let mut w = Writer::default();
        Response::random(api, &mut dice, version).encode(&mut w, version).unwrap();
        let bytes = Bytes::from(damaged(w.into_bytes().to_vec(), &damages));
        bounded(&bytes, api.name(), |r| drop(Response::decode(api, r, version)));
    }

    #[test]
    fn a_frame_length_is_positive_and_within_the_limit_or_an_error(prefix: [u8; 4], max in 0usize..200 << 20) {
        let raw = i32::from_be_bytes(prefix);
        match frame_len(prefix, max) {
            Ok(len) => prop_assert!(len > 0 && len <= max && i32::try_from(len) == Ok(raw)),
            Err(_) => prop_assert!(raw <= 0 || usize::try_from(raw).unwrap() > max),
        }
    }
}

#[test]
fn eleven_bytes_that_claim_two_billion_elements_allocate_nothing() {
    let claim = Bytes::from_static(&[0, 0, 0, 1, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]);
    decode_all(&claim);
    let before = ASKED.get();
    let metadata = Request::decode(ApiKey::Metadata, &mut Reader::new(&claim.slice(7..)), 1);
    assert!(metadata.is_err());
    assert_eq!(ASKED.get(), before);
}

#[test]
fn a_produce_of_100_partitions_is_decoded_in_two_allocations() {
    let records = Some(Bytes::from(vec![7; 16 << 10]));
    let partition_data = (0..100).map(|index| PartitionProduceData { index, records: records.clone() }).collect();
    let topic_data = vec![TopicProduceData { name: "orders".into(), partition_data, ..Default::default() }];
    let mut w = Writer::default();
    ProduceRequest { topic_data, ..Default::default() }.encode(&mut w, 9).unwrap();
    let frame = w.into_bytes();
    // The first slice of a frame makes its memory shared, which is an allocation of the frame's own.
    let _shared = frame.clone();

    let before = (TIMES.get(), ASKED.get());
    let request = ProduceRequest::decode(&mut Reader::new(&frame), 9).unwrap();
    let (times, asked) = (TIMES.get() - before.0, ASKED.get() - before.1);
    assert_eq!(request.topic_data[0].partition_data.len(), 100);
    assert_eq!(times, 2);
    assert!(asked < 8 << 10, "{asked} bytes");
}

#[test]
fn a_reply_with_records_is_encoded_without_room_for_them() {
    let records = Bytes::from(vec![7; 16 << 10]);
    let part = |partition_index| PartitionData {
        partition_index,
        records: Some(records.clone().into()),
        ..Default::default()
    };
    let partitions = (0..100).map(part).collect();
    let responses = vec![FetchableTopicResponse { partitions, ..Default::default() }];
    let reply = Response::from(FetchResponse { responses, ..Default::default() });

    let before = ASKED.get();
    let segments = encode_response(&reply, 16, 1).unwrap();
    let asked = ASKED.get() - before;
    assert_eq!(segments.iter().filter(|segment| segment.as_ptr() == records.as_ptr()).count(), 100);
    assert!(asked < 64 << 10, "{asked} bytes for 1.6 MiB of records");
}
