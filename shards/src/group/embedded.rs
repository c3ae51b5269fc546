//! What consumers of the classic protocol embed in JoinGroup and SyncGroup (Kafka's ConsumerProtocol): what they read and
//! have, and what they are to read. Owning core only; pure.
//!
//! Invariant: a version later than the newest known is read as that one, which it begins with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::consumer::Parts;
use super::format::shared;
use crate::catalog::Catalog;
use crate::codec::{DecodeError, EncodeError, Message, Reader, Writer};
use crate::message;

message! {
    Subscription, versions 0..=3, flexible 4..;
    topics: [str],
    user_data: bytes (0.., null 0.., or None),
    owned_partitions: [OwnedTopic] { topic: str, partitions: [i32] } (1..),
    generation_id: i32 (2.., or -1),
    rack_id: str (3.., null 3.., or None),
}

message! {
    Assignment, versions 0..=3, flexible 4..;
    assigned_partitions: [AssignedTopic] { topic: str, partitions: [i32] },
    user_data: bytes (0.., null 0.., or None),
}

/// What a member says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub topics: BTreeSet<Arc<str>>,
    /// Of topics that exist.
    pub owns: Parts,
    pub rack: Option<Arc<str>>,
}

/// What a leader assigned to a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// Of topics that exist.
    pub parts: Parts,
    /// An assignor of its own sent more than partitions.
    pub has_user_data: bool,
}

/// The topics alone, which every version begins with.
pub fn topics(said: &Bytes) -> Result<BTreeSet<Arc<str>>, DecodeError> {
    let mut reader = Reader::new(said);
    let _version = reader.i16()?;
    let subscription = TopicsOnly::decode(&mut reader, 0)?;
    Ok(subscription.topics.iter().map(shared).collect())
}

message! {
    TopicsOnly, versions 0..=0, flexible 1..;
    topics: [str],
}

/// Reads a subscription.
pub fn subscription(said: &Bytes, catalog: &Catalog) -> Result<Said, DecodeError> {
    let mut reader = Reader::new(said);
    let version = known_version(&mut reader)?;
    let read = Subscription::decode(&mut reader, version)?;
    let owned = read.owned_partitions.iter().map(|one| (one.topic.as_str(), &one.partitions));
    Ok(Said {
        topics: read.topics.iter().map(shared).collect(),
        owns: parts(owned, catalog),
        rack: read.rack_id.as_ref().map(shared),
    })
}

/// Reads an assignment; no bytes are none.
pub fn assignment(bytes: &Bytes, catalog: &Catalog) -> Result<Assigned, DecodeError> {
    if bytes.is_empty() {
        return Ok(Assigned { parts: Parts::new(), has_user_data: false });
    }
    let mut reader = Reader::new(bytes);
    let version = known_version(&mut reader)?;
    let read = Assignment::decode(&mut reader, version)?;
    let assigned = read.assigned_partitions.iter().map(|one| (one.topic.as_str(), &one.partitions));
    let has_user_data = read.user_data.as_ref().is_some_and(|data| !data.is_empty());
    Ok(Assigned { parts: parts(assigned, catalog), has_user_data })
}

/// Writes an assignment for a member that said `said`, in the version that it said it in.
pub fn write_assignment(said: &Bytes, parts: &Parts, catalog: &Catalog) -> Result<Bytes, EncodeError> {
    // What it said was read when it came.
    let version = known_version(&mut Reader::new(said)).unwrap_or(0);
    let named = parts.iter().filter_map(|(id, indexes)| Some((catalog.topic_by_id(*id)?, indexes)));
    let assigned_partitions = named
        .map(|(topic, indexes)| AssignedTopic {
            topic: (&*topic.name).into(),
            partitions: indexes.iter().copied().collect(),
        })
        .collect();
    let mut writer = Writer::default();
    writer.i16(version);
    Assignment { assigned_partitions, user_data: None }.encode(&mut writer, version)?;
    Ok(writer.into_bytes())
}

fn known_version(reader: &mut Reader<'_>) -> Result<i16, DecodeError> {
    let version = reader.i16()?;
    if version < 0 {
        return Err(DecodeError::UnsupportedVersion { message: Subscription::NAME, version });
    }
    Ok(version.min(Subscription::VERSIONS.max))
}

fn parts<'a>(named: impl Iterator<Item = (&'a str, &'a Vec<i32>)>, catalog: &Catalog) -> Parts {
    let mut parts: BTreeMap<_, BTreeSet<i32>> = Parts::new();
    for (topic, indexes) in named {
        if let Some(known) = catalog.topic(topic).filter(|_| !indexes.is_empty()) {
            parts.entry(known.id).or_default().extend(indexes.iter().copied());
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{CatalogRecord, CatalogSettings};
    use crate::types::TopicId;

    const T: TopicId = TopicId([7; 16]);

    fn catalog() -> Catalog {
        let mut catalog = Catalog::new(CatalogSettings::new("cluster", 1));
        catalog.apply(&CatalogRecord::Topic { name: "t".into(), id: T }).expect("a new topic");
        catalog
    }

    fn parts_of(indexes: &[i32]) -> Parts {
        Parts::from([(T, indexes.iter().copied().collect())])
    }

    /// Topic `t`, partitions 0 and 1 of it owned in generation 5, rack `r1`: as far as each version goes.
    const SAID: [&[u8]; 4] = [
        b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff",
        b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\x01\0\x01t\0\0\0\x02\0\0\0\0\0\0\0\x01",
        b"\0\x02\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\x01\0\x01t\0\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0\x05",
        b"\0\x03\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\x01\0\x01t\0\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0\x05\0\x02r1",
    ];

    #[test]
    fn every_version_of_a_subscription_is_read() {
        let catalog = catalog();
        for (version, bytes) in SAID.iter().enumerate() {
            let read = subscription(&Bytes::from_static(bytes), &catalog).expect("whole");
            assert_eq!(read.topics, BTreeSet::from(["t".into()]));
            assert_eq!(read.owns, if version == 0 { Parts::new() } else { parts_of(&[0, 1]) });
            assert_eq!(read.rack.as_deref(), (version == 3).then_some("r1"));
            assert_eq!(topics(&Bytes::from_static(bytes)).expect("whole"), read.topics);
        }
        let mut later = SAID[3].to_vec();
        later[1] = 9;
        later.extend(b"more");
        assert_eq!(subscription(&later.into(), &catalog).expect("its beginning").owns, parts_of(&[0, 1]));
    }

    #[test]
    fn what_is_cut_short_is_an_error_and_no_panic() {
        let catalog = catalog();
        for end in 0..SAID[3].len() {
            assert!(subscription(&Bytes::from_static(&SAID[3][..end]), &catalog).is_err(), "{end}");
        }
        assert!(subscription(&Bytes::from_static(b"\xff\xff\0\0\0\0\xff\xff\xff\xff"), &catalog).is_err());
    }

    #[test]
    fn an_assignment_is_written_in_the_members_version_and_read_back() {
        let catalog = catalog();
        for (version, said) in SAID.iter().enumerate() {
            let written = write_assignment(&Bytes::from_static(said), &parts_of(&[2, 5]), &catalog).expect("short");
            assert_eq!(usize::from(written[1]), version);
            let read = assignment(&written, &catalog).expect("whole");
            assert_eq!(read, Assigned { parts: parts_of(&[2, 5]), has_user_data: false });
        }
        let of_an_assignor = Bytes::from_static(b"\0\0\0\0\0\0\0\0\0\x01x");
        assert!(assignment(&of_an_assignor, &catalog).expect("whole").has_user_data);
    }
}
