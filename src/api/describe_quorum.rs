//! DescribeQuorum (key 55): the metadata log's leader and voters. Connection's core; the log's owner tells its end.
//! Invariant: this broker is the only voter.

use std::future::Future;

use shards::request::{Isolation, ListPart, Listed, OffsetAt};
use shards::types::{PartitionId, TopicId};

use super::RequestContext;
use super::table::Served;
use crate::wire::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, Listener, Node, PartitionData, ReplicaState, TopicData,
};
use crate::wire::{ErrorCode, Str};

const METADATA_TOPIC: &str = "__cluster_metadata";
const METADATA: PartitionId = PartitionId { topic: TopicId::METADATA, index: 0 };

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: DescribeQuorumRequest,
) -> impl Future<Output = Served<DescribeQuorumResponse>> + use<> {
    let asked = match request.topics.as_slice() {
        [topic] if topic.topic_name == *METADATA_TOPIC => match topic.partitions.as_slice() {
            [partition] => partition.partition_index == METADATA.index,
            _ => false,
        },
        _ => false,
    };
    let end = asked.then(|| {
        let at = OffsetAt::Latest;
        let part = ListPart { partition: METADATA, at, isolation: Isolation::ReadUncommitted, current_epoch: None };
        ctx.core.shards.list_offsets(vec![part])
    });
    let (version, node_id, wall_ms) = (ctx.version, ctx.core.settings.node_id, ctx.arrival.wall_ms);
    let leader_epoch = {
        let catalog = ctx.core.shards.catalog();
        catalog.leader_epoch(catalog.metadata_topic())
    };
    let (host, port) = ctx.peer.broker_address();
    let name = Str::from(ctx.peer.listener.name.as_str());
    async move {
        let Some(end) = end else { return refused(&request).into() };
        let Some(Ok(Listed { offset, .. })) = end.await.into_iter().next() else {
            return DescribeQuorumResponse { error_code: ErrorCode::NotLeaderOrFollower, ..Default::default() }.into();
        };
        let voter = ReplicaState {
            replica_id: node_id,
            log_end_offset: offset.0,
            last_fetch_timestamp: wall_ms,
            last_caught_up_timestamp: wall_ms,
            ..Default::default()
        };
        let partition = PartitionData {
            leader_id: node_id,
            leader_epoch: leader_epoch.0,
            high_watermark: offset.0,
            current_voters: vec![voter],
            ..Default::default()
        };
        let listener = Listener { name, host, port: u16::try_from(port).unwrap_or_default() };
        DescribeQuorumResponse {
            topics: vec![TopicData { topic_name: METADATA_TOPIC.into(), partitions: vec![partition] }],
            nodes: if version < 2 { Vec::new() } else { vec![Node { node_id, listeners: vec![listener] }] },
            ..Default::default()
        }
        .into()
    }
}

/// Only the metadata log has a quorum.
fn refused(request: &DescribeQuorumRequest) -> DescribeQuorumResponse {
    let topics = request.topics.iter().map(|topic| TopicData {
        topic_name: topic.topic_name.as_str().into(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| PartitionData {
                partition_index: partition.partition_index,
                error_code: ErrorCode::UnknownTopicOrPartition,
                error_message: Some("This server does not host this topic-partition.".into()),
                ..Default::default()
            })
            .collect(),
    });
    DescribeQuorumResponse { topics: topics.collect(), ..Default::default() }
}
