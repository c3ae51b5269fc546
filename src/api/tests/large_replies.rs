//! Requests that name one thing so often that the reply would be larger than any memory: the connection is closed instead.
//! What there is memory for is told.

use std::ops::Range;

use super::*;
use crate::wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use crate::wire::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup};

#[test]
fn a_broker_described_thousands_of_times_closes_the_connection_and_hundreds_of_times_does_not() {
    with_broker(|rt, addr| async move {
        let resource =
            DescribeConfigsResource { resource_type: 4, resource_name: "1".into(), configuration_keys: None };
        let asked = |times: usize| DescribeConfigsRequest {
            resources: vec![resource.clone(); times],
            include_synonyms: true,
            include_documentation: true,
        };
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(ask!(client, DescribeConfigs, asked(200), 4).results.len(), 200);
        assert!(client.send(&frame(asked(5_000).into(), 4, 7)).await);
        assert_eq!(client.frame().await, None);
    });
}

/// A commit of group "g" with 4 KiB of metadata for each of these partitions of "t".
fn long_offsets(partitions: Range<i32>) -> OffsetCommitRequest {
    let partition = |partition_index| OffsetCommitRequestPartition {
        partition_index,
        committed_metadata: Some("m".repeat(4096).into()),
        ..Default::default()
    };
    let partitions = partitions.map(partition).collect();
    OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic { name: "t".into(), partitions, ..Default::default() }],
        ..Default::default()
    }
}

#[test]
fn a_group_whose_offsets_are_asked_for_thousands_of_times_closes_the_connection() {
    const PARTITIONS: i32 = 50;
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "t", PARTITIONS).await, ErrorCode::None);
        commit_offset(&rt, &mut client, long_offsets(0..PARTITIONS)).await;
        let group =
            OffsetFetchRequestGroup { group_id: "g".into(), member_epoch: -1, topics: None, ..Default::default() };
        let asked = |times: usize| OffsetFetchRequest { groups: vec![group.clone(); times], ..Default::default() };
        let told = ask!(client, OffsetFetch, asked(2), 8).groups;
        assert!(told.iter().all(|group| group.topics[0].partitions.len() == PARTITIONS as usize), "{}", told.len());
        assert!(client.send(&frame(asked(2_000).into(), 8, 7)).await);
        assert_eq!(client.frame().await, None);
    });
}

#[test]
fn offsets_whose_metadata_takes_most_of_what_a_reply_may_take_are_told() {
    const PARTITIONS: i32 = 750;
    // Half of it is for one reply.
    with_memory(8 << 20, |rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "t", PARTITIONS).await, ErrorCode::None);
        for first in (0..PARTITIONS).step_by(150) {
            commit_offset(&rt, &mut client, long_offsets(first..first + 150)).await;
        }
        let old = OffsetFetchRequest { group_id: "g".into(), topics: None, ..Default::default() };
        let told = ask!(client, OffsetFetch, old, 7);
        let lens = told.topics[0].partitions.iter().map(|partition| partition.metadata.as_ref().map_or(0, |m| m.len()));
        assert_eq!(lens.sum::<usize>(), 4096 * PARTITIONS as usize);
        let group =
            OffsetFetchRequestGroup { group_id: "g".into(), member_epoch: -1, topics: None, ..Default::default() };
        let told = ask!(client, OffsetFetch, OffsetFetchRequest { groups: vec![group], ..Default::default() }, 8);
        let partitions = &told.groups[0].topics[0].partitions;
        let lens = partitions.iter().map(|partition| partition.metadata.as_ref().map_or(0, |m| m.len()));
        assert_eq!(lens.sum::<usize>(), 4096 * PARTITIONS as usize);
    });
}
