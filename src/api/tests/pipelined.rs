//! Requests that are sent without waiting for replies: each reply tells what was there before the requests behind it.

use super::*;
use crate::wire::messages::consumer_group_describe::ConsumerGroupDescribeRequest;
use crate::wire::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use crate::wire::messages::delete_groups::DeleteGroupsRequest;
use crate::wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use crate::wire::messages::describe_groups::DescribeGroupsRequest;
use crate::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use crate::wire::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup};
use crate::wire::messages::{ApiKey, Request};

/// Which broker a config is of, or which topic.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Sends all of them at once, behind a fetch of topic "t" that waits for half a second, and returns their replies.
async fn behind_a_fetch(client: &mut Client, requests: Vec<(Request, i16)>) -> Vec<Response> {
    let mut frames = frame(fetch_request("t", 500, &[(0, 0)]).into(), 11, 0);
    for (request, version) in &requests {
        frames.extend(frame(request.clone(), *version, 0));
    }
    assert!(client.send(&frames).await);
    let Response::Fetch(read) = client.reply(ApiKey::Fetch, 11).await else { panic!("another") };
    assert!(parts(read).iter().all(|part| part.error_code == ErrorCode::None && bytes(part) == 0));
    let mut replies = Vec::new();
    for (request, version) in requests {
        replies.push(client.reply(request.api(), version).await);
    }
    replies
}

fn describe(resource_type: i8, name: &str) -> (Request, i16) {
    let resource = DescribeConfigsResource { resource_type, resource_name: name.into(), configuration_keys: None };
    (DescribeConfigsRequest { resources: vec![resource], ..Default::default() }.into(), 4)
}

/// Sets one config.
fn alter(resource_type: i8, name: &str, key: &str, value: &str) -> (Request, i16) {
    let config = AlterableConfig { name: key.into(), value: Some(value.into()), ..Default::default() };
    let resource = AlterConfigsResource { resource_type, resource_name: name.into(), configs: vec![config] };
    (IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() }.into(), 1)
}

fn look(name: Option<&str>, may_create: bool) -> (Request, i16) {
    let topics = name.map(|name| vec![MetadataRequestTopic { name: Some(name.into()), ..Default::default() }]);
    (MetadataRequest { topics, allow_auto_topic_creation: may_create, ..Default::default() }.into(), 12)
}

fn new_topic(name: &str) -> (Request, i16) {
    let topic = CreatableTopic { name: name.into(), num_partitions: 1, replication_factor: 1, ..Default::default() };
    (CreateTopicsRequest { topics: vec![topic], ..Default::default() }.into(), 7)
}

fn commit(group: &str, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition { committed_offset: offset, ..Default::default() };
    OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic { name: "t".into(), partitions: vec![partition], ..Default::default() }],
        ..Default::default()
    }
}

#[test]
fn configs_are_told_as_they_were_before_a_change_that_came_in_behind() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "t", 1).await, ErrorCode::None);
        let requests = vec![
            describe(TOPIC, "t"),
            alter(TOPIC, "t", "retention.ms", "5000"),
            describe(TOPIC, "t"),
            new_topic("u"),
            alter(BROKER, "", "log.retention.ms", "7000"),
            new_topic("v"),
        ];
        let replies = behind_a_fetch(&mut client, requests).await;
        let told: Vec<_> = replies
            .into_iter()
            .filter_map(|reply| match reply {
                Response::DescribeConfigs(mut told) => {
                    let configs = told.results.remove(0).configs;
                    configs.into_iter().find(|config| config.name == *"retention.ms")?.value
                }
                Response::CreateTopics(mut told) => {
                    let configs = told.topics.remove(0).configs?;
                    configs.into_iter().find(|config| config.name == *"retention.ms")?.value
                }
                _ => None,
            })
            .collect();
        assert_eq!(told, ["604800000", "5000", "604800000", "7000"]);
    });
}

#[test]
fn topics_are_told_as_they_were_before_a_change_that_came_in_behind() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "t", 1).await, ErrorCode::None);
        let more = CreatePartitionsTopic { name: "u".into(), count: 5, assignments: None };
        let gone = DeleteTopicsRequest { topic_names: vec!["u".into()], ..Default::default() };
        let requests = vec![
            look(None, false),
            new_topic("u"),
            look(None, false),
            (CreatePartitionsRequest { topics: vec![more], ..Default::default() }.into(), 3),
            look(None, false),
            (gone.into(), 5),
            look(Some("v"), true),
            look(Some("v"), false),
        ];
        let replies = behind_a_fetch(&mut client, requests).await;
        let told = replies.into_iter().filter_map(|reply| match reply {
            Response::Metadata(told) => Some(told.topics),
            _ => None,
        });
        let told: Vec<Vec<_>> = told
            .map(|topics| {
                let of =
                    |topic: &MetadataResponseTopic| (topic.name.as_deref().map(str::to_owned), topic.partitions.len());
                topics.iter().map(of).collect()
            })
            .collect();
        let [t, u, v] = ["t", "u", "v"].map(|name| move |partitions| (Some(name.to_owned()), partitions));
        assert_eq!(told, [vec![t(1)], vec![t(1), u(1)], vec![t(1), u(5)], vec![v(0)], vec![v(1)]]);
    });
}

#[test]
fn groups_and_offsets_are_told_as_they_were_before_a_change_that_came_in_behind() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "t", 1).await, ErrorCode::None);
        for group in ["g", "h"] {
            commit_offset(&rt, &mut client, commit(group, 1)).await;
        }
        let group = |id: &str| OffsetFetchRequestGroup { group_id: id.into(), topics: None, ..Default::default() };
        let offsets = || OffsetFetchRequest { groups: vec![group("g"), group("h")], ..Default::default() };
        let describe = || DescribeGroupsRequest { groups: vec!["h".into(), "g".into()], ..Default::default() };
        let requests: Vec<(Request, i16)> = vec![
            (offsets().into(), 8),
            (commit("h", 2).into(), 8),
            (offsets().into(), 8),
            (describe().into(), 5),
            (DeleteGroupsRequest { groups_names: vec!["g".into()] }.into(), 2),
            (describe().into(), 5),
        ];
        let mut told = Vec::new();
        for reply in behind_a_fetch(&mut client, requests).await {
            match reply {
                Response::OffsetFetch(offsets) => told.extend(offsets.groups.iter().map(|group| {
                    let offset = group.topics[0].partitions[0].committed_offset;
                    format!("{} {offset}", group.group_id)
                })),
                Response::DescribeGroups(described) => told
                    .extend(described.groups.iter().map(|group| format!("{} {}", group.group_id, group.group_state))),
                _ => {}
            }
        }
        assert_eq!(told, ["g 1", "h 1", "g 1", "h 2", "h Empty", "g Empty", "h Empty", "g Dead"]);
    });
}

#[test]
fn a_consumer_group_is_told_as_it_was_before_its_member_left() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "t", 1).await, ErrorCode::None);
        commit_offset(&rt, &mut client, commit("other", 1)).await;
        let beat = |epoch: i32| ConsumerGroupHeartbeatRequest {
            group_id: "g".into(),
            member_id: "m".into(),
            member_epoch: epoch,
            rebalance_timeout_ms: 60_000,
            subscribed_topic_names: (epoch == 0).then(|| vec!["t".into()]),
            topic_partitions: (epoch == 0).then(Vec::new),
            ..Default::default()
        };
        while ask!(client, ConsumerGroupHeartbeat, beat(0), 1).error_code != ErrorCode::None {
            rt.sleep_until(rt.now().after(Duration::from_millis(10))).await;
        }
        let describe = || ConsumerGroupDescribeRequest { group_ids: vec!["g".into()], ..Default::default() };
        let requests = vec![(describe().into(), 1), (beat(-1).into(), 1), (describe().into(), 1)];
        let replies = behind_a_fetch(&mut client, requests).await;
        let members: Vec<_> = replies
            .iter()
            .filter_map(|reply| match reply {
                Response::ConsumerGroupDescribe(told) => Some(told.groups[0].members.len()),
                _ => None,
            })
            .collect();
        assert_eq!(members, [1, 0]);
    });
}

#[test]
fn records_are_appended_behind_a_reply_that_is_still_to_be_made() {
    with_broker(|rt, addr| async move {
        let (mut client, mut other) = (Client::connect(&rt, addr).await, Client::connect(&rt, addr).await);
        assert_eq!(create(&mut client, "t", 2).await, ErrorCode::None);
        let frames = [
            frame(fetch_request("t", 60_000, &[(0, 0)]).into(), 11, 1),
            frame(look(None, false).0, 12, 2),
            frame(produce_request("t", -1, vec![(1, batch(&["a"]))]).into(), 9, 3),
        ];
        assert!(client.send(&frames.concat()).await);
        let read = parts(ask!(other, Fetch, fetch_request("t", 10_000, &[(1, 0)]), 11));
        assert!(bytes(&read[0]) > 0 && client.has_received_nothing());
        produce(&mut other, "t", vec![(0, batch(&["b"]))]).await;
        for expected in 1..=3 {
            assert_eq!(client.correlation_id().await, Some(expected));
        }
    });
}

#[test]
fn where_a_log_begins_and_ends_is_told_as_of_the_records_before_and_not_of_those_behind() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "t", 1).await, ErrorCode::None);
        let unacked = |value| frame(produce_request("t", 0, vec![(0, batch(&[value]))]).into(), 9, 0);
        let list = |timestamp| {
            let asked = ListOffsetsPartition { timestamp, ..Default::default() };
            let topics = vec![ListOffsetsTopic { name: "t".into(), partitions: vec![asked] }];
            frame(ListOffsetsRequest { topics, ..Default::default() }.into(), 9, 0)
        };
        let epoch_end = || {
            let asked = OffsetForLeaderPartition { leader_epoch: 0, ..Default::default() };
            let topics = vec![OffsetForLeaderTopic { topic: "t".into(), partitions: vec![asked] }];
            frame(OffsetForLeaderEpochRequest { topics, ..Default::default() }.into(), 4, 0)
        };
        let cut = || {
            let asked = DeleteRecordsPartition { partition_index: 0, offset: -1 };
            let topics = vec![DeleteRecordsTopic { name: "t".into(), partitions: vec![asked] }];
            frame(DeleteRecordsRequest { topics, ..Default::default() }.into(), 2, 0)
        };
        let frames = [
            unacked("a"),
            list(-1),
            unacked("b"),
            epoch_end(),
            unacked("c"),
            cut(),
            unacked("d"),
            list(-2),
            list(-1),
            list(-3),
        ];
        assert!(client.send(&frames.concat()).await);
        let mut told = Vec::new();
        let apis = [ApiKey::ListOffsets, ApiKey::OffsetForLeaderEpoch, ApiKey::DeleteRecords];
        for (api, version) in [(apis[0], 9), (apis[1], 4), (apis[2], 2), (apis[0], 9), (apis[0], 9), (apis[0], 9)] {
            told.push(match client.reply(api, version).await {
                Response::ListOffsets(reply) => reply.topics[0].partitions[0].offset,
                Response::OffsetForLeaderEpoch(reply) => reply.topics[0].partitions[0].end_offset,
                Response::DeleteRecords(reply) => reply.topics[0].partitions[0].low_watermark,
                other => panic!("another: {other:?}"),
            });
        }
        assert_eq!(told, [1, 2, 3, 3, 4, 3]);
    });
}

#[test]
fn requests_of_one_session_need_not_wait_for_each_others_replies() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "t", 2).await, ErrorCode::None);
        let all = [(0, 0), (1, 0)];
        let session =
            ask!(client, Fetch, FetchRequest { session_epoch: 0, ..fetch_request("t", 0, &all) }, 12).session_id;
        produce(&mut client, "t", vec![(1, batch(&["a"]))]).await;
        let next = |session_epoch, wait_ms| FetchRequest {
            session_id: session,
            session_epoch,
            topics: Vec::new(),
            ..fetch_request("", wait_ms, &[])
        };
        let frames: Vec<_> = (1..=3).map(|epoch| frame(next(epoch, 0).into(), 12, 0)).collect();
        assert!(client.send(&frames.concat()).await);
        for epoch in 1..=3 {
            let Response::Fetch(reply) = client.reply(ApiKey::Fetch, 12).await else { panic!("another") };
            assert_eq!((reply.error_code, reply.session_id), (ErrorCode::None, session), "epoch {epoch}");
            assert_eq!(parts(reply).iter().map(|part| part.partition_index).collect::<Vec<_>>(), [1]);
        }
    });
}

#[test]
fn what_is_behind_a_change_of_topics_or_configs_finds_it_changed() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "t", 1).await, ErrorCode::None);
        let gone =
            |name: &str| (DeleteTopicsRequest { topic_names: vec![name.into()], ..Default::default() }.into(), 5);
        let append = |topic: &str| (produce_request(topic, -1, vec![(0, batch(&["a", "b"]))]).into(), 11);
        let requests = vec![
            new_topic("u"),
            append("u"),
            alter(TOPIC, "u", "max.message.bytes", "60"),
            append("u"),
            gone("u"),
            append("u"),
            new_topic("u"),
            append("u"),
        ];
        let replies = behind_a_fetch(&mut client, requests).await;
        let told = replies.into_iter().filter_map(|reply| match reply {
            Response::Produce(told) => Some((
                told.responses[0].partition_responses[0].error_code,
                told.responses[0].partition_responses[0].base_offset,
            )),
            _ => None,
        });
        let expected = [
            (ErrorCode::None, 0),
            (ErrorCode::MessageTooLarge, -1),
            (ErrorCode::UnknownTopicOrPartition, -1),
            (ErrorCode::None, 0),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    });
}
