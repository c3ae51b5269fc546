//! How far groups have read: for each partition what is stored, where the log ends, and who reads it. Of many groups at once,
//! so that there are a few requests for all of them and not some for each.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::client::{self, ClientError, Cluster, Glance, GroupInfo, GroupMember, LogRange, TopicPartition};

/// Groups that are looked at in one go: bounds what is held of them, and what a broker has to answer at once.
pub const GROUPS_AT_ONCE: usize = 100;

/// One partition of a group.
pub struct Place {
    pub topic: String,
    pub partition: i32,
    /// `None`: nothing is stored.
    pub committed: Option<i64>,
    /// `None`: the topic is gone, or nobody leads the partition.
    pub range: Option<LogRange>,
    /// Index among the group's members.
    pub reader: Option<usize>,
    /// Milliseconds since 1970 of the first record that is not read yet.
    pub unread_since_ms: Option<i64>,
}

impl Place {
    /// Where the log ends.
    pub fn end(&self) -> Option<i64> {
        self.range.map(|range| range.end)
    }

    /// `None`: nobody knows, as what is there was never read, or is not there any more.
    pub fn lag(&self) -> Option<i64> {
        let range = self.range?;
        match self.committed {
            Some(committed) => Some(range.end.saturating_sub(committed).max(0)),
            // Nothing is there that could be read.
            None => (range.first == range.end).then_some(0),
        }
    }

    /// Somebody reads it, and how far is not stored: where its readers begin is for them to say.
    pub fn is_unknown(&self) -> bool {
        self.reader.is_some() && self.range.is_some() && self.lag().is_none()
    }

    /// The first offset that is not read yet, if there is one. What retention took away is not read any more: the oldest that
    /// is there counts.
    fn unread(&self) -> Option<i64> {
        let (committed, range) = (self.committed?, self.range?);
        Some(committed.max(range.first)).filter(|offset| *offset < range.end)
    }

    fn at(&self) -> TopicPartition {
        (self.topic.clone(), self.partition)
    }
}

/// Every partition that a group has an offset of or that a member reads, by topic and number; for each group, in this order.
pub fn places(cluster: &mut Cluster, groups: &[GroupInfo]) -> Result<Vec<Vec<Place>>, ClientError> {
    let names: Vec<&str> = groups.iter().map(|group| group.id.as_str()).collect();
    let mut committed = client::committed_offsets_of(cluster, &names)?;
    let looks: Vec<(BTreeMap<TopicPartition, i64>, HashMap<TopicPartition, usize>)> =
        groups.iter().map(|group| (committed.remove(&group.id).unwrap_or_default(), readers(&group.members))).collect();
    let all = looks.iter().flat_map(|(committed, readers)| committed.keys().chain(readers.keys())).cloned().collect();
    // After what is stored, so that nobody is ahead of the end.
    let ranges = client::log_ranges(cluster, &all)?;
    let places_of = |(committed, readers): (BTreeMap<TopicPartition, i64>, HashMap<TopicPartition, usize>)| {
        let both: BTreeSet<TopicPartition> = committed.keys().chain(readers.keys()).cloned().collect();
        let place = |at: TopicPartition| Place {
            committed: committed.get(&at).copied(),
            range: ranges.get(&at).copied(),
            reader: readers.get(&at).copied(),
            unread_since_ms: None,
            topic: at.0,
            partition: at.1,
        };
        both.into_iter().map(place).collect()
    };
    Ok(looks.into_iter().map(places_of).collect())
}

fn readers(members: &[GroupMember]) -> HashMap<TopicPartition, usize> {
    let each = members.iter().enumerate().flat_map(|(at, member)| {
        let topics = member.partitions.iter();
        topics.flat_map(move |(topic, all)| all.iter().map(move |partition| ((topic.clone(), *partition), at)))
    });
    each.collect()
}

/// Looks at the first unread record of each place that has one, for its time. Reads only: no offset moves.
pub fn look_at_unread(cluster: &mut Cluster, groups: &mut [Vec<Place>]) -> Result<(), ClientError> {
    let mut unread: BTreeMap<TopicPartition, (Vec<i64>, i64)> = BTreeMap::new();
    for place in groups.iter().flatten() {
        let Some((offset, end)) = place.unread().zip(place.end()) else { continue };
        let (offsets, known_end) = unread.entry(place.at()).or_insert((Vec::new(), end));
        offsets.push(offset);
        *known_end = end.max(*known_end);
    }
    let glances = unread.into_iter().map(|(at, (offsets, end))| Glance::new(at, offsets, end)).collect();
    let times = client::times_of(cluster, glances)?;
    for place in groups.iter_mut().flatten() {
        place.unread_since_ms = place.unread().and_then(|offset| times.get(&(place.at(), offset)).copied());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_read_has_no_lag_and_what_is_empty_has_none() {
        let place = |committed, range: Option<(i64, i64)>| Place {
            topic: "t".to_owned(),
            partition: 0,
            committed,
            range: range.map(|(first, end)| LogRange { first, end }),
            reader: Some(0),
            unread_since_ms: None,
        };
        for (place, lag, unknown) in [
            (place(Some(4), Some((0, 10))), Some(6), false),
            (place(Some(12), Some((0, 10))), Some(0), false),
            (place(None, Some((0, 10))), None, true),
            (place(None, Some((7, 7))), Some(0), false),
            (place(Some(4), None), None, false),
            (Place { reader: None, ..place(None, Some((0, 10))) }, None, false),
        ] {
            assert_eq!((place.lag(), place.is_unknown()), (lag, unknown));
        }
    }

    #[test]
    fn the_first_unread_record_is_one_that_is_there() {
        let place = |committed, first| Place {
            topic: "t".to_owned(),
            partition: 0,
            committed,
            range: Some(LogRange { first, end: 10 }),
            reader: None,
            unread_since_ms: None,
        };
        for (committed, first, unread) in
            [(Some(4), 0, Some(4)), (Some(4), 7, Some(7)), (Some(4), 10, None), (Some(10), 0, None), (None, 0, None)]
        {
            assert_eq!(place(committed, first).unread(), unread, "{committed:?} of {first} to 10");
        }
    }
}
