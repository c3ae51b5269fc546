//! The bytes of records, against what Kafka 4.3.1 writes.

use super::*;

#[test]
fn an_offset_is_written_as_kafka_writes_it() {
    let record = |expires_ms, topic_id| GroupRecord::Offset {
        group: "g".into(),
        topic: "t".into(),
        partition: 1,
        value: Some(StoredOffset {
            offset: 5,
            leader_epoch: 3,
            metadata: "m".into(),
            committed_ms: 7,
            expires_ms,
            topic_id,
        }),
    };
    let (key, value) = record(None, TopicId::ZERO).encode().expect("short");
    assert_eq!(key.as_ref(), b"\0\x01\0\x01g\0\x01t\0\0\0\x01");
    assert_eq!(value.expect("a value").as_ref(), b"\0\x04\0\0\0\0\0\0\0\x05\0\0\0\x03\x02m\0\0\0\0\0\0\0\x07\0");
    let (_, value) = record(None, TopicId([9; 16])).encode().expect("short");
    assert_eq!(value.expect("a value")[24..], [&[1, 0, 16][..], &[9; 16]].concat());
    let (_, value) = record(Some(11), TopicId::ZERO).encode().expect("short");
    assert_eq!(
        value.expect("a value").as_ref(),
        b"\0\x01\0\0\0\0\0\0\0\x05\0\x01m\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x0b"
    );
}

#[test]
fn a_tombstone_has_no_value() {
    let record = GroupRecord::Classic { group: "g".into(), value: None };
    let (key, value) = record.encode().expect("short");
    assert_eq!((key.as_ref(), value.is_none()), (&b"\0\x02\0\x01g"[..], true));
}

#[test]
fn kinds_that_this_release_has_no_use_for_are_passed_over_and_damage_is_not() {
    let decode = |key: &'static [u8], value: &'static [u8]| {
        GroupRecord::decode(Some(&Bytes::from_static(key)), Some(&Bytes::from_static(value)))
    };
    assert_eq!(decode(b"\0\x0b\0\x01g", b"\0\0"), Ok(None));
    assert!(decode(b"\0\x01\0\x01g", b"\0\x04").is_err());
    assert!(decode(b"\0\x02\0\x01g", b"\0\x63").is_err());
    assert!(GroupRecord::decode(None, None).is_err());
}

#[test]
fn a_group_is_in_the_partition_that_javas_hash_says() {
    assert_eq!(partition_of("", 50), 0);
    // "console-consumer-1".hashCode() and "a".hashCode() in Java.
    assert_eq!(partition_of("a", 50), 97 % 50);
    assert_eq!(partition_of("group", 50), 98629247 % 50);
    // A hash of i32::MIN has no positive counterpart.
    assert_eq!(partition_of("polygenelubricants", 50), 0);
}
