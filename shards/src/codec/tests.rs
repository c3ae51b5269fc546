//! Tests of the codec: primitives at their edges, the bounds of decoding, and what `message!` expands to.

use bytes::Bytes;
use proptest::prelude::*;
use smallvec::smallvec;

use super::{DecodeError, EncodeError, List, Message, Reader, RecordParts, Str, Writer};

crate::message! {
    /// One of everything that a declaration can say.
    Sample, key 7, versions 1..=4, flexible 3..;
    name: str,
    note: str (2.., null 2.., or None, ignorable),
    strict: i32 (2.., or -1),
    old: i64 (0..=2, ignorable),
    records: record_parts (0.., null 3..),
    items: [Item] { id: uuid, weights: [i32], extra: bool (3.., tag 3) } (1.., null 2..),
    cursor: Cursor { topic: str, index: i32 } (4.., null 4.., or None),
    epoch: i64 (3.., or -1, tag 0),
    labels: [str] (3.., tag 1, ignorable),
}

fn encoded(sample: &Sample, version: i16) -> Result<Bytes, EncodeError> {
    let mut w = Writer::default();
    sample.encode(&mut w, version)?;
    Ok(w.into_bytes())
}

fn decoded(bytes: &Bytes, version: i16) -> Result<Sample, DecodeError> {
    Sample::decode(&mut Reader::new(bytes), version)
}

fn full() -> Sample {
    let item = Item { id: [7; 16], weights: vec![1, -2], extra: true };
    Sample {
        name: "orders".into(),
        note: Some("n".into()),
        strict: 5,
        old: 0,
        records: Some(RecordParts::from(Bytes::from_static(b"records"))),
        items: Some(vec![item.clone(), item]),
        cursor: Some(Cursor { topic: "t".into(), index: 3 }),
        epoch: 9,
        labels: vec!["a".into(), "b".into()],
    }
}

#[test]
fn what_the_latest_version_carries_comes_back_as_it_was() {
    assert_eq!(decoded(&encoded(&full(), 4).unwrap(), 4), Ok(full()));
}

#[test]
fn defaults_are_those_declared() {
    let sample = Sample::default();
    assert_eq!((sample.strict, sample.epoch), (-1, -1));
    assert_eq!((sample.note, sample.cursor), (None, None));
    assert_eq!((sample.records, sample.items), (Some(RecordParts::default()), Some(Vec::new())));
}

#[test]
fn a_tagged_field_at_its_default_is_not_written() {
    let bytes = encoded(&Sample::default(), 4).unwrap();
    // name, note, strict, records, items, cursor, and no tags.
    assert_eq!(&bytes[..], [1, 0, 0xff, 0xff, 0xff, 0xff, 1, 1, 0xff, 0]);
}

#[test]
fn an_ignorable_value_that_the_version_lacks_is_dropped_and_another_is_an_error() {
    let sample = Sample { note: Some("lost".into()), labels: vec!["lost".into()], ..Sample::default() };
    assert_eq!(decoded(&encoded(&sample, 1).unwrap(), 1), Ok(Sample::default()));
    let strict = Sample { strict: 0, ..Sample::default() };
    assert_eq!(encoded(&strict, 1), Err(EncodeError::FieldNotInVersion { field: "strict", version: 1 }));
    let tagged = Sample { epoch: 0, ..Sample::default() };
    assert_eq!(encoded(&tagged, 2), Err(EncodeError::FieldNotInVersion { field: "epoch", version: 2 }));
    let nested = Sample { items: Some(vec![Item { extra: true, ..Item::default() }]), ..Sample::default() };
    assert_eq!(encoded(&nested, 2), Err(EncodeError::FieldNotInVersion { field: "extra", version: 2 }));
}

#[test]
fn null_is_refused_both_ways_where_the_version_has_none() {
    let sample = Sample { records: None, ..Sample::default() };
    assert_eq!(encoded(&sample, 2), Err(EncodeError::UnexpectedNull { field: "records", version: 2 }));
    assert_eq!(decoded(&encoded(&sample, 3).unwrap(), 3), Ok(sample));
    // Version 1: name "", records null, items empty.
    let null = Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    assert_eq!(decoded(&null, 1), Err(DecodeError::UnexpectedNull));
}

#[test]
fn unknown_tags_are_skipped_and_a_known_one_must_fill_its_length() {
    let mut bytes = encoded(&Sample::default(), 4).unwrap().to_vec();
    bytes.pop();
    let tail = |tail: &[u8]| Bytes::from([&bytes, tail].concat());
    let seven = Sample { epoch: 7, ..Sample::default() };
    let known_and_unknown = tail(&[2, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7, 99, 2, 1, 1]);
    assert_eq!(decoded(&known_and_unknown, 4), Ok(seven));
    assert_eq!(decoded(&tail(&[1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 7, 0]), 4), Err(DecodeError::TagLength { left: 1 }));
    let short = tail(&[1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 7]);
    assert_eq!(decoded(&short, 4), Err(DecodeError::Truncated { wanted: 8, left: 7 }));
}

#[test]
fn a_count_is_checked_against_what_is_left_before_anything_is_allocated() {
    let mut r = Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff, 0, 0]);
    let count = 0x7fff_ffff;
    assert_eq!(Reader::new(&r).array_len(false, 4), Err(DecodeError::CountBeyondInput { count, left: 2 }));
    r = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0]);
    let count = 0xffff_fffe;
    assert_eq!(Reader::new(&r).array_len(true, 1), Err(DecodeError::CountBeyondInput { count, left: 1 }));
    r = Bytes::from_static(&[0xff, 0xff, 0xff, 0xfe]);
    assert_eq!(Reader::new(&r).array_len(false, 1), Ok(None), "any negative length is null");
}

#[test]
fn elements_of_all_arrays_of_a_message_share_one_cap() {
    let bytes = encoded(&full(), 4).unwrap();
    // Two items of two weights each, two labels.
    assert!(Sample::decode(&mut Reader::new(&bytes).with_objects_max(8), 4).is_ok());
    let capped = Sample::decode(&mut Reader::new(&bytes).with_objects_max(7), 4);
    assert_eq!(capped, Err(DecodeError::TooManyObjects { max: 7 }));
}

#[test]
fn varints_at_their_limits() {
    let read = |bytes: &'static [u8]| Bytes::from_static(bytes);
    assert_eq!(Reader::new(&read(&[0xff, 0xff, 0xff, 0xff, 0x0f])).uvarint(), Ok(u32::MAX));
    let long = Err(DecodeError::VarintTooLong);
    assert_eq!(Reader::new(&read(&[0xff, 0xff, 0xff, 0xff, 0x1f])).uvarint(), long);
    assert_eq!(Reader::new(&read(&[0x80, 0x80, 0x80, 0x80, 0x80, 0])).uvarint(), long);
    let top = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    assert_eq!(Reader::new(&Bytes::copy_from_slice(&top)).uvarlong(), Ok(u64::MAX));
    assert_eq!(
        Reader::new(&read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2])).uvarlong(),
        Err(DecodeError::VarintTooLong)
    );
    assert_eq!(Reader::new(&read(&[0x80])).uvarint(), Err(DecodeError::Truncated { wanted: 1, left: 0 }));
}

#[test]
fn strings_must_be_utf8_and_fit_their_length() {
    assert_eq!(Reader::new(&Bytes::from_static(&[0, 2, 0xc3, 0x28])).string(false), Err(DecodeError::NotUtf8));
    let long = "x".repeat(32_768);
    let compact = Bytes::from([&[0x81, 0x80, 2], long.as_bytes()].concat());
    assert_eq!(Reader::new(&compact).string(true), Err(DecodeError::StringTooLong { len: 32_768 }));
    assert_eq!(Writer::default().string(Some(&long), true), Err(EncodeError::TooLong { len: 32_768 }));
    assert_eq!(Writer::default().string(Some(&long), false), Err(EncodeError::TooLong { len: 32_768 }));
}

#[test]
fn byte_fields_share_the_memory_of_the_frame() {
    let bytes = encoded(&full(), 4).unwrap();
    let sample = decoded(&bytes, 4).unwrap();
    let frame = bytes.as_ptr_range();
    let records = sample.records.unwrap().into_bytes();
    assert!(frame.contains(&records.as_ptr()) && frame.contains(&sample.name.as_ptr()));
}

#[test]
fn large_records_are_segments_of_their_own_and_small_ones_are_copied() {
    let large = Bytes::from(vec![1u8; 4096]);
    let small = Bytes::from_static(b"tail");
    let parts = RecordParts::from(smallvec::SmallVec::<[Bytes; 2]>::from_iter([large.clone(), small, large.clone()]));
    let sample = Sample { records: Some(parts), ..full() };
    let mut w = Writer::default();
    sample.encode(&mut w, 4).unwrap();
    let len = w.len();
    let segments = w.finish();
    assert_eq!(segments.iter().filter(|segment| segment.as_ptr() == large.as_ptr()).count(), 2);
    assert_eq!(segments.iter().map(Bytes::len).collect::<Vec<_>>()[1..4], [4096, 4, 4096]);
    assert_eq!(segments.iter().map(Bytes::len).sum::<usize>(), len);
    assert_eq!(decoded(&segments.concat().into(), 4), Ok(sample));
}

#[test]
fn a_list_whose_elements_were_written_one_by_one_is_the_same_message() {
    for (version, count) in [(2, 0), (2, 3), (4, 3), (4, 20_000)] {
        let item = |id: usize| Item { id: [1; 16], weights: vec![7; id % 5], extra: version > 2 && id % 3 == 1 };
        let whole = Sample { note: None, items: Some((0..count).map(item).collect()), ..Sample::default() };
        let mut list = List::of::<Sample>(version);
        for id in 0..count {
            list.push(&item(id)).unwrap();
        }
        let expected = encoded(&whole, version).unwrap();
        assert!(list.bytes() < expected.len());
        let mut w = Writer::default();
        w.fill(list.finish());
        Sample { items: Some(Vec::new()), ..whole }.encode(&mut w, version).unwrap();
        assert!(!w.is_filling());
        assert_eq!(w.into_bytes(), expected);
    }
}

#[test]
fn record_parts_are_equal_when_their_bytes_are() {
    let cut = |parts: &[&'static [u8]]| {
        RecordParts::from(parts.iter().map(|part| Bytes::from_static(part)).collect::<smallvec::SmallVec<[Bytes; 2]>>())
    };
    assert_eq!(cut(&[b"ab", b"", b"c"]), cut(&[b"a", b"bc"]));
    assert_ne!(cut(&[b"ab"]), cut(&[b"a", b"c"]));
    assert!(cut(&[b"", b""]).is_empty());
    assert_eq!(cut(&[b"ab", b"c"]).into_bytes(), "abc");
    let none: smallvec::SmallVec<[Bytes; 2]> = smallvec![];
    assert_eq!(RecordParts::from(none), RecordParts::default());
}

#[test]
fn a_version_outside_the_range_is_refused() {
    let error = Err(DecodeError::UnsupportedVersion { message: "Sample", version: 5 });
    assert_eq!(decoded(&Bytes::new(), 5), error);
    assert_eq!(encoded(&Sample::default(), 0), Err(EncodeError::UnsupportedVersion { message: "Sample", version: 0 }));
}

proptest! {
    #[test]
    fn every_varint_comes_back(a: i32, b: i64, c: u32, d: u64) {
        let mut w = Writer::default();
        w.varint(a);
        w.varlong(b);
        w.uvarint(c);
        w.uvarlong(d);
        let bytes = w.into_bytes();
        let mut r = Reader::new(&bytes);
        prop_assert_eq!((r.varint(), r.varlong(), r.uvarint(), r.uvarlong()), (Ok(a), Ok(b), Ok(c), Ok(d)));
        prop_assert_eq!(r.left(), 0);
    }

    #[test]
    fn every_string_comes_back(text: Option<String>, compact: bool) {
        let mut w = Writer::default();
        w.string(text.as_deref(), compact).unwrap();
        let bytes = w.into_bytes();
        prop_assert_eq!(Reader::new(&bytes).string(compact), Ok(text.map(Str::from)));
    }
}
