//! What members of a classic consumer group say to each other inside the group's own messages: what each reads, and what
//! the leader gives it. Also how a leader shares out by ranges. Pure.
//!
//! Invariant: the first version of either is written, which every consumer reads; of later ones the common part is read.

use std::collections::{BTreeMap, BTreeSet};

use shards::codec::{Message, Writer, message};

use crate::wire::{Bytes, DecodeError, EncodeError, Reader, Str};

/// The name of the assignor that all consumers know.
pub const RANGE: &str = "range";
const VERSION: i16 = 0;

message! {
    /// What a member reads.
    Subscription, versions 0..=0, flexible 1..;
    topics: [str],
    user_data: bytes (0.., null 0.., or None),
}

message! {
    /// What a member is to read.
    Assignment, versions 0..=0, flexible 1..;
    partitions: [AssignedTopic] {
        topic: str,
        partitions: [i32],
    },
    user_data: bytes (0.., null 0.., or None),
}

impl Subscription {
    pub fn to(topics: &[&str]) -> Subscription {
        Subscription { topics: topics.iter().map(|&topic| topic.into()).collect(), user_data: None }
    }

    pub fn read(bytes: &Bytes) -> Result<Subscription, DecodeError> {
        versioned(bytes)
    }

    pub fn write(&self) -> Result<Bytes, EncodeError> {
        with_version(self)
    }
}

impl Assignment {
    pub fn read(bytes: &Bytes) -> Result<Assignment, DecodeError> {
        versioned(bytes)
    }

    pub fn write(&self) -> Result<Bytes, EncodeError> {
        with_version(self)
    }
}

fn versioned<M: Message>(bytes: &Bytes) -> Result<M, DecodeError> {
    let mut reader = Reader::new(bytes);
    let _version = reader.i16()?;
    M::decode(&mut reader, VERSION)
}

fn with_version<M: Message>(message: &M) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::with_capacity(64);
    writer.i16(VERSION);
    message.encode(&mut writer, VERSION)?;
    Ok(writer.into_bytes())
}

/// Each topic's partitions in runs, one for each of its readers in the order of their ids; the first get one more where
/// it does not come out even.
pub fn by_ranges(readers: &BTreeMap<Str, Vec<Str>>, partitions_of: &BTreeMap<Str, i32>) -> BTreeMap<Str, Assignment> {
    let mut given: BTreeMap<Str, Assignment> =
        readers.keys().map(|member| (member.clone(), Assignment::default())).collect();
    let topics: BTreeSet<&Str> = readers.values().flatten().collect();
    for topic in topics {
        let count = partitions_of.get(topic).copied().unwrap_or(0).max(0);
        let members: Vec<&Str> = readers.iter().filter(|(_, reads)| reads.contains(topic)).map(|(id, _)| id).collect();
        let all = i32::try_from(members.len()).unwrap_or(i32::MAX);
        let (each, more) = (count / all, count % all);
        let mut next = 0;
        for (at, member) in (0..).zip(members) {
            let end = next + each + i32::from(at < more);
            if let Some(assignment) = given.get_mut(member).filter(|_| end > next) {
                assignment.partitions.push(AssignedTopic { topic: topic.clone(), partitions: (next..end).collect() });
            }
            next = end;
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_give_each_partition_to_one_reader_and_differ_by_at_most_one() {
        for (members, partitions) in [(1, 6), (2, 6), (4, 6), (6, 4), (3, 0)] {
            let ids: Vec<Str> = (0..members).map(|n| format!("m{n}").as_str().into()).collect();
            let readers = ids.iter().map(|id| (id.clone(), vec!["t".into()])).collect();
            let given = by_ranges(&readers, &BTreeMap::from([("t".into(), partitions)]));
            let shares: Vec<Vec<i32>> = ids
                .iter()
                .map(|id| given[id].partitions.iter().flat_map(|topic| topic.partitions.clone()).collect())
                .collect();
            assert_eq!(shares.concat(), (0..partitions).collect::<Vec<_>>());
            let sizes = shares.iter().map(Vec::len);
            assert!(sizes.clone().max().unwrap_or(0) - sizes.min().unwrap_or(0) <= 1, "{shares:?}");
        }
    }

    #[test]
    fn a_member_gets_only_topics_that_it_reads() {
        let readers = BTreeMap::from([("a".into(), vec!["t".into(), "u".into()]), ("b".into(), vec!["u".into()])]);
        let given = by_ranges(&readers, &BTreeMap::from([("t".into(), 2), ("u".into(), 2)]));
        let topic =
            |topic: &str, partitions: &[i32]| AssignedTopic { topic: topic.into(), partitions: partitions.into() };
        assert_eq!(given["a"].partitions, [topic("t", &[0, 1]), topic("u", &[0])]);
        assert_eq!(given["b"].partitions, [topic("u", &[1])]);
    }

    #[test]
    fn what_is_written_is_read_and_later_versions_are_read_as_far_as_known() {
        let subscription = Subscription::to(&["t", "u"]);
        let bytes = subscription.write().expect("it fits");
        assert_eq!(Subscription::read(&bytes).ok(), Some(subscription.clone()));
        // Version 1 adds owned partitions at the end.
        let later = [&[0, 1], &bytes[2..], &[0, 0, 0, 0]].concat();
        assert_eq!(Subscription::read(&Bytes::from(later)).ok(), Some(subscription));
        assert!(Assignment::read(&Bytes::from_static(&[0, 0, 127, 0])).is_err());
    }
}
