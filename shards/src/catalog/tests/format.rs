//! The bytes of metadata records, held against those that Kafka 4.3.1's own serializer wrote.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn topic_id() -> TopicId {
    TopicId(std::array::from_fn(|i| i as u8 + 1))
}

/// Each kind of record, and what Kafka's MetadataRecordSerde makes of it.
fn kafkas() -> Vec<(CatalogRecord, &'static str)> {
    let endpoint = Endpoint { name: "PLAINTEXT".into(), host: "h".into(), port: 9092, security_protocol: 0 };
    let config = |value: Option<&str>| CatalogRecord::TopicConfig {
        topic: "orders".into(),
        key: "retention.ms".into(),
        value: value.map(str::to_owned),
    };
    let setting = |broker, value: &str| CatalogRecord::BrokerConfig {
        broker,
        key: "log.retention.ms".into(),
        value: Some(value.to_owned()),
    };
    vec![
        (
            CatalogRecord::Topic { name: "orders".into(), id: topic_id() },
            "010200076f72646572730102030405060708090a0b0c0d0e0f1000",
        ),
        (
            CatalogRecord::Partition { topic: topic_id(), index: 3, replicas: vec![1], leader_epoch: 5 },
            "010302000000030102030405060708090a0b0c0d0e0f1002000000010200000001010100000001000000050000000002\
             0000000000000000000000000000000000",
        ),
        (CatalogRecord::RemoveTopic { id: topic_id() }, "0109000102030405060708090a0b0c0d0e0f1000"),
        (config(Some("5")), "01040002076f72646572730d726574656e74696f6e2e6d73023500"),
        (config(None), "01040002076f72646572730d726574656e74696f6e2e6d730000"),
        (setting(Some(1), "5"), "010400040231116c6f672e726574656e74696f6e2e6d73023500"),
        (setting(None, "5"), "0104000401116c6f672e726574656e74696f6e2e6d73023500"),
        (
            CatalogRecord::ProducerIds { broker: 1, run: 7, next: 2000 },
            "010f0000000001000000000000000700000000000007d000",
        ),
        (
            CatalogRecord::RegisterBroker(Registration {
                broker: 1,
                run: 7,
                incarnation: topic_id().0,
                endpoints: vec![endpoint],
                rack: Some("r".into()),
            }),
            "01000400000001000102030405060708090a0b0c0d0e0f100000000000000007020a504c41494e54455854026823840000000102\
             72000000",
        ),
        (
            CatalogRecord::FeatureLevel { name: "metadata.version".into(), level: 30 },
            "010c00116d657461646174612e76657273696f6e001e00",
        ),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn records_are_byte_for_byte_kafkas_and_come_back() {
    for (record, kafkas) in kafkas() {
        let bytes = record.encode().unwrap();
        assert_eq!(hex(&bytes), kafkas, "{record:?}");
        assert_eq!(CatalogRecord::decode(&bytes), Ok(record));
    }
}

#[test]
fn unknown_frames_types_and_versions_are_refused_and_named() {
    let decode = |bytes: &'static [u8]| CatalogRecord::decode(&Bytes::from_static(bytes)).unwrap_err();
    assert_eq!(decode(&[2, 2, 0]), RecordError::Frame { found: 2 });
    assert_eq!(decode(&[1, 20, 0, 0]), RecordError::Unknown { kind: 20, version: 0 });
    assert_eq!(decode(&[1, 2, 1, 0]), RecordError::Unknown { kind: 2, version: 1 });
    assert_eq!(decode(&[1, 2, 0xff, 0xff, 0xff, 0xff, 0x0f]), RecordError::Unknown { kind: 2, version: u32::MAX });
    assert!(matches!(decode(&[]), RecordError::Damaged { .. }));
    assert!(matches!(decode(&[1, 9, 0, 1]), RecordError::Damaged { kind: 9, .. }));
}

#[test]
fn what_only_a_cluster_would_write_is_refused() {
    let (record, _) = kafkas().remove(1);
    let mut bytes = record.encode().unwrap().to_vec();
    // The partition epoch: an election was held.
    let epoch = bytes.len() - 19;
    bytes[epoch] = 1;
    let refused = CatalogRecord::decode(&bytes.into());
    assert!(matches!(refused, Err(RecordError::NotServed { record: "PartitionRecord", .. })), "{refused:?}");
    let of_nothing = Bytes::from_static(&[1, 4, 0, 64, 2, b'1', 2, b'k', 2, b'v', 0]);
    assert!(matches!(CatalogRecord::decode(&of_nothing), Err(RecordError::NotServed { record: "ConfigRecord", .. })));
}

#[test]
fn bytes_after_a_record_are_damage() {
    for (record, _) in kafkas() {
        let longer = [&record.encode().unwrap()[..], &[0]].concat();
        assert!(matches!(CatalogRecord::decode(&longer.into()), Err(RecordError::Trailing { left: 1, .. })));
    }
}

proptest! {
    /// Whatever comes of it: that it comes back is what is tested.
    #[test]
    fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0u8..20, version in 0u8..6) {
        let _ = CatalogRecord::decode(&bytes.clone().into());
        let _ = CatalogRecord::decode(&[&[1, kind, version], &bytes[..]].concat().into());
    }
}
