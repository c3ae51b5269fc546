//! How far a group has read: for each partition what is stored, where the log ends, and who reads it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::client::{self, ClientError, Cluster, Consumer, GroupInfo, GroupMember, OffsetAt, TopicPartition};

/// How long one look at records waits; they are there, so it seldom does.
const WAIT: Duration = Duration::from_millis(500);

/// One partition of a group.
pub struct Place {
    pub topic: String,
    pub partition: i32,
    /// `None`: nothing is stored.
    pub committed: Option<i64>,
    /// Where the log begins, of partitions with nothing stored; `None` as with `end`.
    pub first: Option<i64>,
    /// `None`: the topic is gone, or nobody leads the partition.
    pub end: Option<i64>,
    /// Index among the group's members.
    pub reader: Option<usize>,
    /// Milliseconds since 1970 of the first record that is not read yet.
    pub unread_since_ms: Option<i64>,
}

impl Place {
    /// `None`: nobody knows, as what is there was never read, or is not there any more.
    pub fn lag(&self) -> Option<i64> {
        let from = match self.committed {
            Some(committed) => committed,
            // Nothing is there that could be read.
            None => self.end.filter(|end| self.first == Some(*end))?,
        };
        Some(self.end?.saturating_sub(from).max(0))
    }

    /// Somebody reads it, and how far is not stored: where its readers begin is for them to say.
    pub fn is_unknown(&self) -> bool {
        self.reader.is_some() && self.end.is_some() && self.lag().is_none()
    }
}

/// Every partition that the group has an offset of or that a member reads, by topic and number.
pub fn places(cluster: &mut Cluster, group: &GroupInfo) -> Result<Vec<Place>, ClientError> {
    let committed = client::committed_offsets(cluster, &group.id)?;
    let readers = readers(&group.members);
    let both: BTreeSet<&TopicPartition> = committed.keys().chain(readers.keys()).collect();
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in &both {
        topics.entry(topic).or_default().push(*partition);
    }
    let mut places = Vec::new();
    for (topic, partitions) in topics {
        let ends = offsets(cluster, topic, &partitions, OffsetAt::End)?;
        let unstored = |partition: &&i32| !committed.contains_key(&(topic.to_owned(), **partition));
        let unstored: Vec<i32> = partitions.iter().filter(unstored).copied().collect();
        let firsts = match unstored.is_empty() {
            true => BTreeMap::new(),
            false => offsets(cluster, topic, &unstored, OffsetAt::Beginning)?,
        };
        places.extend(partitions.into_iter().map(|partition| {
            let key = (topic.to_owned(), partition);
            Place {
                committed: committed.get(&key).copied(),
                first: firsts.get(&partition).copied().flatten(),
                end: ends.get(&partition).copied().flatten(),
                reader: readers.get(&key).copied(),
                unread_since_ms: None,
                topic: key.0,
                partition,
            }
        }));
    }
    Ok(places)
}

fn readers(members: &[GroupMember]) -> HashMap<TopicPartition, usize> {
    let each = members.iter().enumerate().flat_map(|(at, member)| {
        let topics = member.partitions.iter();
        topics.flat_map(move |(topic, all)| all.iter().map(move |partition| ((topic.clone(), *partition), at)))
    });
    each.collect()
}

/// Where the partitions begin or end that are still there.
fn offsets(
    cluster: &mut Cluster,
    topic: &str,
    asked: &[i32],
    at: OffsetAt,
) -> Result<BTreeMap<i32, Option<i64>>, ClientError> {
    let info = match cluster.topic(topic, false) {
        Ok(info) => info,
        Err(ClientError::NoTopic { .. }) => return Ok(BTreeMap::new()),
        Err(e) => return Err(e),
    };
    let led = info.partitions.iter().filter(|part| part.leader >= 0 && asked.contains(&part.index));
    let led: Vec<i32> = led.map(|part| part.index).collect();
    client::offsets_at(cluster, topic, &led, at)
}

/// Looks at the first unread record of each place that has one, for its time. Reads only: no offset moves.
pub fn look_at_unread(cluster: Cluster, places: &mut [Place]) -> Result<Cluster, ClientError> {
    let mut cluster = cluster;
    let mut from = 0;
    while let Some(first) = places.get(from) {
        let topic = first.topic.clone();
        let until = places.iter().skip(from).take_while(|place| place.topic == topic).count() + from;
        if let Some(of_topic) = places.get_mut(from..until) {
            cluster = look_at_topic(cluster, &topic, of_topic)?;
        }
        from = until;
    }
    Ok(cluster)
}

fn look_at_topic(mut cluster: Cluster, topic: &str, places: &mut [Place]) -> Result<Cluster, ClientError> {
    let unread = |place: &Place| place.lag().is_some_and(|lag| lag > 0);
    let partitions: Vec<i32> = places.iter().filter(|place| unread(place)).map(|place| place.partition).collect();
    if partitions.is_empty() {
        return Ok(cluster);
    }
    let firsts = client::offsets_at(&mut cluster, topic, &partitions, OffsetAt::Beginning)?;
    let mut consumer = Consumer::glancing(cluster, topic);
    for place in places.iter().filter(|place| unread(place)) {
        // What retention took away is not read any more: the oldest that is there counts.
        let first = firsts.get(&place.partition).copied().flatten().unwrap_or(0);
        consumer.assign(place.partition, place.committed.unwrap_or(first).max(first));
    }
    while !consumer.positions().is_empty() {
        let before = consumer.positions().clone();
        for record in consumer.poll(WAIT)? {
            let place = places.iter_mut().find(|place| place.partition == record.partition);
            if let Some(place) = place.filter(|place| place.unread_since_ms.is_none()) {
                place.unread_since_ms = Some(record.timestamp_ms);
            }
            consumer.unassign(record.partition);
        }
        // What is left has no record that a reader would see, such as the end of a transaction.
        if *consumer.positions() == before {
            break;
        }
    }
    Ok(consumer.into_cluster())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_read_has_no_lag_and_what_is_empty_has_none() {
        let place = |committed, first, end| Place {
            topic: "t".to_owned(),
            partition: 0,
            committed,
            first,
            end,
            reader: Some(0),
            unread_since_ms: None,
        };
        for (place, lag, unknown) in [
            (place(Some(4), None, Some(10)), Some(6), false),
            (place(Some(12), None, Some(10)), Some(0), false),
            (place(None, Some(0), Some(10)), None, true),
            (place(None, Some(7), Some(7)), Some(0), false),
            (place(Some(4), None, None), None, false),
            (Place { reader: None, ..place(None, Some(0), Some(10)) }, None, false),
        ] {
            assert_eq!((place.lag(), place.is_unknown()), (lag, unknown));
        }
    }
}
