//! Many groups at once, against two brokers that share an address and count what they are asked.

use std::collections::BTreeSet;

use shards::batch::{BatchBuilder, NewRecord};

use super::*;
use crate::wire::messages::consumer_group_describe::{self, ConsumerGroupDescribeResponse};
use crate::wire::messages::delete_groups::{DeletableGroupResult, DeleteGroupsResponse};
use crate::wire::messages::describe_groups::{DescribeGroupsResponse, DescribedGroup};
use crate::wire::messages::find_coordinator::{Coordinator, FindCoordinatorResponse};
use crate::wire::messages::list_groups::{ListGroupsResponse, ListedGroup};
use crate::wire::messages::offset_fetch::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};

/// Where all logs begin and end. The record at an offset is as many milliseconds old as that says.
const RANGE: LogRange = LogRange { first: 10, end: 1000 };
/// Topics, each of as many partitions.
const TOPICS: usize = 7;
const PARTITIONS: usize = 4;

#[derive(Clone)]
struct Brokers {
    address: SocketAddr,
    /// From before there were requests about several groups.
    old: bool,
    asked: Arc<Mutex<Vec<ApiKey>>>,
}

/// What group `g<n>` is: its number.
fn number(group: &str) -> usize {
    group.trim_start_matches('g').parse().expect("a number")
}

/// Every third group is of the newer kind, where the brokers have that.
fn is_consumer(group: &str) -> bool {
    number(group).is_multiple_of(3)
}

/// What the group has stored: two partitions.
fn stored(group: &str) -> [(String, i32, i64); 2] {
    let n = number(group);
    let at = |n: usize| (format!("t{}", n % TOPICS), (n % PARTITIONS) as i32);
    let ((one, first), (other, second)) = (at(n), at(n + 1));
    [(one, first, 20 + n as i64), (other, second, RANGE.end)]
}

impl Brokers {
    fn start(old: bool) -> Brokers {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let brokers = Brokers { address: listener.local_addr().expect("its address"), old, asked: Arc::default() };
        let serving = brokers.clone();
        serve(listener, move |request| Some(serving.answer(request)));
        brokers
    }

    fn cluster(&self) -> Cluster {
        Cluster::connect(&self.address.to_string(), "test").expect("the fake answers")
    }

    /// How often it was asked since the last look, by API.
    fn asked(&self) -> Vec<(ApiKey, usize)> {
        let mut counts: Vec<(ApiKey, usize)> = Vec::new();
        for api in self.asked.lock().expect("no test has panicked in it").drain(..) {
            match counts.iter_mut().find(|(known, _)| *known == api) {
                Some((_, count)) => *count += 1,
                None => counts.push((api, 1)),
            }
        }
        counts
    }

    fn answer(&self, request: Request) -> Response {
        if !matches!(request, Request::ApiVersions(_)) {
            self.asked.lock().expect("no test has panicked in it").push(request.api());
        }
        match request {
            Request::ApiVersions(_) => {
                let old = self.old;
                api_versions(move |api| match api {
                    ApiKey::FindCoordinator if old => Some(3),
                    ApiKey::OffsetFetch if old => Some(7),
                    ApiKey::ConsumerGroupDescribe if old => None,
                    _ => Some(i16::MAX),
                })
                .into()
            }
            Request::Metadata(request) => self
                .metadata(
                    request
                        .topics
                        .unwrap_or_default()
                        .iter()
                        .map(|topic| topic.name.as_ref().expect("by name").to_string()),
                )
                .into(),
            Request::ListGroups(_) => {
                let groups = (0..5).map(|n| ListedGroup { group_id: format!("g{n}").into(), ..Default::default() });
                ListGroupsResponse { groups: groups.collect(), ..Default::default() }.into()
            }
            Request::FindCoordinator(request) => {
                let node_id = |key: &Str| 1 + (number(key) % 2) as i32;
                if self.old {
                    FindCoordinatorResponse { node_id: node_id(&request.key), ..Default::default() }.into()
                } else {
                    let one = |key: Str| Coordinator { node_id: node_id(&key), key, ..Default::default() };
                    let coordinators = request.coordinator_keys.into_iter().map(one).collect();
                    FindCoordinatorResponse { coordinators, ..Default::default() }.into()
                }
            }
            Request::ConsumerGroupDescribe(request) => {
                let one = |group_id: Str| consumer_group_describe::DescribedGroup {
                    error_code: if is_consumer(&group_id) { ErrorCode::None } else { ErrorCode::GroupIdNotFound },
                    group_id,
                    group_state: "Empty".into(),
                    ..Default::default()
                };
                let groups = request.group_ids.into_iter().map(one).collect();
                ConsumerGroupDescribeResponse { groups, ..Default::default() }.into()
            }
            Request::DescribeGroups(request) => {
                let one = |group_id: Str| DescribedGroup {
                    group_state: if number(&group_id) < 1000 { "Empty".into() } else { "Dead".into() },
                    group_id,
                    ..Default::default()
                };
                let groups = request.groups.into_iter().map(one).collect();
                DescribeGroupsResponse { groups, ..Default::default() }.into()
            }
            Request::DeleteGroups(request) => {
                // One that is loaded first; of the others some have members, and some are not there.
                let is_first = self
                    .asked
                    .lock()
                    .expect("no test has panicked in it")
                    .iter()
                    .filter(|api| **api == ApiKey::DeleteGroups)
                    .count()
                    <= 2;
                let one = |group_id: Str| DeletableGroupResult {
                    error_code: match number(&group_id) {
                        n if n >= 1000 => ErrorCode::GroupIdNotFound,
                        n if n % 10 == 4 => ErrorCode::NonEmptyGroup,
                        n if n % 10 == 5 && is_first => ErrorCode::CoordinatorLoadInProgress,
                        _ => ErrorCode::None,
                    },
                    group_id,
                };
                let results = request.groups_names.into_iter().map(one).collect();
                DeleteGroupsResponse { results, ..Default::default() }.into()
            }
            Request::OffsetFetch(request) if self.old => {
                let topic = |(name, partition_index, committed_offset): (String, i32, i64)| OffsetFetchResponseTopic {
                    name: name.into(),
                    partitions: vec![OffsetFetchResponsePartition {
                        partition_index,
                        committed_offset,
                        ..Default::default()
                    }],
                };
                let topics = stored(&request.group_id).map(topic).into();
                OffsetFetchResponse { topics, ..Default::default() }.into()
            }
            Request::OffsetFetch(request) => {
                let topic = |(name, partition_index, committed_offset): (String, i32, i64)| OffsetFetchResponseTopics {
                    name: name.into(),
                    partitions: vec![OffsetFetchResponsePartitions {
                        partition_index,
                        committed_offset,
                        ..Default::default()
                    }],
                    ..Default::default()
                };
                let groups = request.groups.into_iter().map(|group| OffsetFetchResponseGroup {
                    topics: stored(&group.group_id).map(topic).into(),
                    group_id: group.group_id,
                    ..Default::default()
                });
                OffsetFetchResponse { groups: groups.collect(), ..Default::default() }.into()
            }
            Request::ListOffsets(request) => {
                let part = |part: crate::wire::messages::list_offsets::ListOffsetsPartition| {
                    let offset = if part.timestamp == -2 { RANGE.first } else { RANGE.end };
                    let partition_index = part.partition_index;
                    ListOffsetsPartitionResponse { partition_index, offset, ..Default::default() }
                };
                let topics = request.topics.into_iter().map(|topic| ListOffsetsTopicResponse {
                    name: topic.name,
                    partitions: topic.partitions.into_iter().map(part).collect(),
                });
                ListOffsetsResponse { topics: topics.collect(), ..Default::default() }.into()
            }
            Request::Fetch(request) => {
                let part = |part: crate::wire::messages::fetch::FetchPartition| PartitionData {
                    partition_index: part.partition,
                    records: Some(batch(part.fetch_offset).into()),
                    ..Default::default()
                };
                let responses = request.topics.into_iter().map(|topic| FetchableTopicResponse {
                    topic: topic.topic,
                    partitions: topic.partitions.into_iter().map(part).collect(),
                    ..Default::default()
                });
                FetchResponse { responses: responses.collect(), ..Default::default() }.into()
            }
            other => panic!("{other:?}"),
        }
    }

    fn metadata(&self, names: impl Iterator<Item = String>) -> MetadataResponse {
        let broker = |node_id| MetadataResponseBroker {
            node_id,
            host: "127.0.0.1".into(),
            port: i32::from(self.address.port()),
            ..Default::default()
        };
        let partition = |partition_index: i32| MetadataResponsePartition {
            partition_index,
            leader_id: 1 + partition_index % 2,
            ..Default::default()
        };
        let topic = |name: String| MetadataResponseTopic {
            error_code: if name == "gone" { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::None },
            name: Some(name.into()),
            partitions: (0..PARTITIONS as i32).map(partition).collect(),
            ..Default::default()
        };
        MetadataResponse {
            brokers: vec![broker(1), broker(2)],
            topics: names.map(topic).collect(),
            ..Default::default()
        }
    }
}

/// Eight records from this offset on.
fn batch(base: i64) -> Bytes {
    let mut builder = BatchBuilder::new(base);
    for offset in base..base + 8 {
        builder.push(&NewRecord { timestamp_ms: offset, key: None, value: None, headers: &[] });
    }
    let mut bytes = builder.finish().expect("a batch").to_vec();
    stamp(&mut bytes, Offset(base), LeaderEpoch(0));
    bytes.into()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("g{n}")).collect()
}

#[test]
fn groups_are_described_and_their_offsets_read_with_a_few_requests_for_all_of_them() {
    let brokers = Brokers::start(false);
    let mut cluster = brokers.cluster();
    let names = names(100);
    let asked: Vec<&str> = names.iter().map(String::as_str).chain(["g1001"]).collect();
    let described = describe_groups(&mut cluster, &asked).expect("described");
    let kind = |name: &str| described.get(name).map(|info| (info.kind, info.state.as_str()));
    assert_eq!(
        (kind("g3"), kind("g4"), kind("g1001")),
        (Some(("consumer", "Empty")), Some(("classic", "Empty")), None)
    );
    assert_eq!(described.len(), names.len());
    let counts = [
        (ApiKey::FindCoordinator, 1),
        (ApiKey::Metadata, 1),
        (ApiKey::ConsumerGroupDescribe, 2),
        (ApiKey::DescribeGroups, 2),
    ];
    assert_eq!(brokers.asked(), counts);

    let asked: Vec<&str> = names.iter().map(String::as_str).collect();
    let committed = committed_offsets_of(&mut cluster, &asked).expect("read");
    assert_eq!(brokers.asked(), [(ApiKey::OffsetFetch, 2)], "the coordinators are known");
    assert_eq!(committed.len(), names.len());
    for (name, offsets) in &committed {
        let all = stored(name).map(|(topic, partition, offset)| ((topic, partition), offset));
        assert_eq!(offsets, &BTreeMap::from(all), "{name}");
    }
}

#[test]
fn groups_are_deleted_with_one_request_to_each_coordinator_and_those_that_load_are_asked_for_again() {
    let brokers = Brokers::start(false);
    let mut cluster = brokers.cluster();
    let names = names(50);
    let asked: Vec<&str> = names.iter().map(String::as_str).chain(["g1001"]).collect();
    let mut done = BTreeMap::new();
    delete_groups(&mut cluster, &asked, &mut done).expect("all are told of in the end");
    assert_eq!(done.len(), asked.len());
    for (name, outcome) in &done {
        match (number(name), outcome) {
            (1001, Err(ClientError::NoGroup { group })) => assert_eq!(group, name),
            (n, Err(ClientError::Refused { code: ErrorCode::NonEmptyGroup, .. })) => assert_eq!(n % 10, 4),
            (n, outcome) => assert!(outcome.is_ok() && n < 1000 && n % 10 != 4, "{name}: {outcome:?}"),
        }
    }
    // All once, and of the odd ones, which one broker has, those that were loading.
    let deletions = brokers.asked().into_iter().filter(|(api, _)| *api == ApiKey::DeleteGroups);
    assert_eq!(deletions.map(|(_, count)| count).sum::<usize>(), 3);
}

#[test]
fn brokers_that_take_one_group_at_a_time_are_asked_one_at_a_time() {
    let (old, new) = (Brokers::start(true), Brokers::start(false));
    let names = names(6);
    let asked: Vec<&str> = names.iter().map(String::as_str).collect();
    let of = |brokers: &Brokers| {
        let mut cluster = brokers.cluster();
        let described = describe_groups(&mut cluster, &asked).expect("described");
        assert_eq!(described.len(), names.len());
        committed_offsets_of(&mut cluster, &asked).expect("read")
    };
    assert_eq!(of(&old), of(&new));
    let counts =
        [(ApiKey::FindCoordinator, 6), (ApiKey::Metadata, 1), (ApiKey::DescribeGroups, 2), (ApiKey::OffsetFetch, 6)];
    let mut told = old.asked();
    told.sort_by_key(|(api, _)| counts.iter().position(|(known, _)| known == api));
    assert_eq!(told, counts);
}

#[test]
fn each_leader_is_asked_once_where_all_logs_begin_and_end_and_for_the_times_of_single_records() {
    let brokers = Brokers::start(false);
    let mut cluster = brokers.cluster();
    let mut all = BTreeSet::new();
    for topic in 0..TOPICS {
        all.extend((0..PARTITIONS).map(|partition| (format!("t{topic}"), partition as i32)));
    }
    let there = all.len();
    all.extend([("gone".to_owned(), 0), ("t0".to_owned(), 99)]);
    let ranges = log_ranges(&mut cluster, &all).expect("known");
    assert_eq!((ranges.len(), ranges.values().all(|range| *range == RANGE)), (there, true));
    assert_eq!(brokers.asked(), [(ApiKey::Metadata, 1), (ApiKey::ListOffsets, 4)]);

    let glance = |(at, range): (TopicPartition, LogRange)| Glance::new(at, vec![50, 57, 300], range.end);
    let times = times_of(&mut cluster, ranges.into_iter().map(glance).collect()).expect("read");
    let ms: BTreeSet<(i64, i64)> = times.iter().map(|((_, place), ms)| (*place, *ms)).collect();
    assert_eq!((times.len(), ms), (3 * there, BTreeSet::from([(50, 50), (57, 57), (300, 300)])));
    assert_eq!(brokers.asked(), [(ApiKey::Fetch, 4)], "two rounds: what lies together is seen at once");
}

#[test]
fn all_brokers_tell_their_groups() {
    let brokers = Brokers::start(false);
    let listed = list_groups(&mut brokers.cluster()).expect("listed");
    let ids: Vec<&str> = listed.iter().map(|group| group.id.as_str()).collect();
    assert_eq!(ids, ["g0", "g0", "g1", "g1", "g2", "g2", "g3", "g3", "g4", "g4"]);
}
