//! Looks at single records of many partitions for their times, without reading what lies between. Blocking; no offset of a
//! group moves.
//!
//! Invariant: a round asks each leader once, about [some](PARTITIONS_AT_ONCE) partitions at most, and brings at least one
//! of them further or gives it up.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::cluster::{Cluster, unasked};
use super::consumer::{Received, fetch_request, read_data};
use super::error::ClientError;
use super::offsets::TopicPartition;
use crate::wire::messages::fetch::{FetchPartition, FetchTopic, FetchableTopicResponse, PartitionData};
use crate::wire::messages::{Request, Response};
use crate::wire::{ErrorCode, Str};

/// Partitions in one round.
const PARTITIONS_AT_ONCE: usize = 1000;
/// Of one partition in one round; a larger batch comes whole, one in each reply. What lies close together is seen at once.
const GLANCE_BYTES: i32 = 16 << 10;
/// How long a round waits; the records are there, so it seldom does.
const WAIT: Duration = Duration::from_millis(500);

/// Places in one partition's log, each to be asked for the time of the first record from there on.
#[derive(Debug)]
pub struct Glance {
    at: TopicPartition,
    /// Ascending.
    places: VecDeque<i64>,
    /// What lies before it is looked at.
    position: i64,
    /// Behind the last record that there is.
    end: i64,
}

impl Glance {
    /// None of these places is at `end` or behind it.
    pub fn new(at: TopicPartition, mut places: Vec<i64>, end: i64) -> Glance {
        places.sort_unstable();
        places.dedup();
        let position = places.first().copied().unwrap_or(end);
        Glance { at, places: places.into(), position, end }
    }

    fn is_over(&self) -> bool {
        self.places.is_empty() || self.position >= self.end
    }

    /// What was read from the position on, in order, and where reading stands now. A place without a record yet waits for the
    /// next one.
    fn take(&mut self, records: &[Received], position: i64, times: &mut Times) {
        for record in records {
            while let Some(place) = self.places.pop_front_if(|place| *place <= record.offset) {
                times.insert((self.at.clone(), place), record.timestamp_ms);
            }
        }
        let next = self.places.front().copied().unwrap_or(self.end);
        self.position = position.max(next);
    }
}

/// By partition and place: milliseconds since 1970, -1 where a record has no time.
pub type Times = BTreeMap<(TopicPartition, i64), i64>;

/// The times of the first records from the places on; of places where no record follows that a reader would see, such as
/// the end of a transaction, and of those that retention took meanwhile, there is none.
pub fn times_of(cluster: &mut Cluster, glances: Vec<Glance>) -> Result<Times, ClientError> {
    let mut times = Times::new();
    let mut pending: VecDeque<Glance> = glances.into_iter().filter(|glance| !glance.is_over()).collect();
    while !pending.is_empty() {
        let mut round: BTreeMap<TopicPartition, Glance> = BTreeMap::new();
        let mut order = Vec::new();
        for glance in pending.drain(..pending.len().min(PARTITIONS_AT_ONCE)) {
            order.push(glance.at.clone());
            round.insert(glance.at.clone(), glance);
        }
        let told = cluster.retrying(|cluster| ask(cluster, &order, &round))?;
        let mut has_moved = false;
        for (at, data) in told {
            let Some(mut glance) = round.remove(&at) else { continue };
            let Some(data) = data else {
                has_moved = true;
                continue;
            };
            let (mut position, mut records) = (glance.position, Vec::new());
            read_data(&at.0, &data, &mut position, &mut records)?;
            if position == glance.position {
                round.insert(at, glance);
                continue;
            }
            has_moved = true;
            glance.take(&records, position, &mut times);
            if !glance.is_over() {
                pending.push_back(glance);
            }
        }
        // A large batch comes alone, so who got nothing is asked about first. Where nobody got anything, nothing is there.
        if has_moved {
            for at in order.iter().rev() {
                if let Some(glance) = round.remove(at) {
                    pending.push_front(glance);
                }
            }
        }
    }
    Ok(times)
}

/// A partition and its part of a reply; `None`: what was asked for is not there any more.
type Told = (TopicPartition, Option<PartitionData>);

/// What each leader says, in one request.
fn ask(
    cluster: &mut Cluster,
    order: &[TopicPartition],
    round: &BTreeMap<TopicPartition, Glance>,
) -> Result<Vec<Told>, ClientError> {
    let mut told = Vec::new();
    let mut by_leader: BTreeMap<i32, Vec<FetchTopic>> = BTreeMap::new();
    for at in order {
        let Some(glance) = round.get(at) else { continue };
        let leader = match cluster.leader(&at.0, at.1) {
            Ok(leader) => leader,
            Err(ClientError::NoTopic { .. } | ClientError::NoPartition { .. }) => {
                told.push((at.clone(), None));
                continue;
            }
            Err(e) => return Err(e),
        };
        let part = FetchPartition {
            partition: at.1,
            fetch_offset: glance.position,
            partition_max_bytes: GLANCE_BYTES,
            ..FetchPartition::default()
        };
        let topics = by_leader.entry(leader).or_default();
        match topics.last_mut().filter(|last| last.topic.as_str() == at.0) {
            Some(last) => last.partitions.push(part),
            None => topics.push(FetchTopic {
                topic: Str::from(at.0.as_str()),
                partitions: vec![part],
                ..FetchTopic::default()
            }),
        }
    }
    let leaders = u32::try_from(by_leader.len()).unwrap_or(u32::MAX).max(1);
    let request = |(leader, topics)| (leader, Request::from(fetch_request(topics, WAIT / leaders)));
    let requests = by_leader.into_iter().map(request).collect();
    for reply in cluster.call_each(requests) {
        let reply = match reply? {
            Response::Fetch(reply) => reply,
            other => return Err(unasked("the leader", &other)),
        };
        if reply.error_code != ErrorCode::None {
            return Err(ClientError::refused("reading records", reply.error_code));
        }
        for FetchableTopicResponse { topic, partitions, .. } in reply.responses {
            for data in partitions {
                let at = (topic.to_string(), data.partition_index);
                match data.error_code {
                    ErrorCode::None => told.push((at, Some(data))),
                    ErrorCode::OffsetOutOfRange | ErrorCode::UnknownTopicOrPartition => told.push((at, None)),
                    code => return Err(ClientError::refused(format!("reading {}-{}", at.0, at.1), code)),
                }
            }
        }
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: i64) -> Received {
        Received { partition: 0, offset, timestamp_ms: 100 + offset, key: None, value: None, headers: Vec::new() }
    }

    #[test]
    fn a_place_has_the_time_of_the_first_record_from_there_on_and_what_lies_far_behind_is_not_read() {
        let at = ("t".to_owned(), 0);
        let mut glance = Glance::new(at.clone(), vec![70, 3, 4, 6, 3], 100);
        let mut times = Times::new();
        glance.take(&[record(3), record(5)], 6, &mut times);
        assert_eq!((glance.position, glance.is_over()), (6, false), "6 waits for its record");
        glance.take(&[], 9, &mut times);
        assert_eq!(glance.position, 9, "nothing for readers there");
        glance.take(&[record(9)], 12, &mut times);
        assert_eq!(glance.position, 70);
        glance.take(&[record(70)], 71, &mut times);
        assert!(glance.is_over());
        let told: Vec<_> = times.iter().map(|((_, place), ms)| (*place, *ms)).collect();
        assert_eq!(told, [(3, 103), (4, 105), (6, 109), (70, 170)]);
        assert!(Glance::new(at, Vec::new(), 5).is_over());
    }
}
