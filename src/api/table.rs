//! The one table of what is served: API, versions, what it needs to be authorised, handler. From it come ApiVersions,
//! decode and dispatch, metric labels and README's table. Every core; no state.
//! Invariant: an API is served if and only if it has a row here; a row without a handler does not compile.

use std::future::Future;
use std::rc::Rc;

use bytes::Bytes;
use shards::router::{Class, ReadLease};

use super::long_reply::Lent;
use super::{
    ApiCore, Arrival, Outcome, Peer, Pending, Refusal, RequestContext, acls, alter_configs, alter_replica_log_dirs,
    api_versions, consumer_group_describe, consumer_group_heartbeat, create_partitions, create_topics, delete_groups,
    delete_records, delete_topics, describe_client_quotas, describe_cluster, describe_configs, describe_groups,
    describe_log_dirs, describe_quorum, describe_topic_partitions, describe_user_scram_credentials, elect_leaders,
    fetch, find_coordinator, heartbeat, incremental_alter_configs, init_producer_id, join_group, leave_group,
    list_config_resources, list_groups, list_offsets, metadata, offset_commit, offset_delete, offset_fetch,
    offset_for_leader_epoch, produce, reassignments, sync_group,
};
use crate::wire::messages::{ApiKey, Response};
use crate::wire::{EncodeError, HeaderStart, Message, Reader, encode_long_response, encode_response};

/// What a principal must be allowed (Kafka's operation and resource). Nothing is asked before there is security.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Also before a peer has authenticated.
    Nothing,
    DescribeTopic,
    ReadTopic,
    WriteTopic,
    CreateTopic,
    DeleteTopic,
    AlterTopic,
    IdempotentWrite,
    DescribeGroup,
    ReadGroup,
    DeleteGroup,
    DescribeCluster,
    AlterCluster,
    DescribeConfigs,
    AlterConfigs,
}

/// One served API.
pub struct Row {
    pub api: ApiKey,
    /// Lowest version that ApiVersions names; the messages' own range says what is decoded.
    pub version_min_told: i16,
    pub needs: Needs,
    serve: fn(&RequestContext<'_>, Reader<'_>, i32) -> Result<Pending, Refusal>,
}

macro_rules! rows {
    ($($api:ident, told from $min:literal, $needs:ident, $handler:path;)*) => {
        /// Every API that is served, by ascending key.
        pub const TABLE: &[Row] = &[$(Row {
            api: ApiKey::$api,
            version_min_told: $min,
            needs: Needs::$needs,
            serve: |ctx, body, correlation_id| serve(ctx, ApiKey::$api, body, correlation_id, $handler),
        }),*];
    };
}

rows! {
    // Versions 0 to 2 are told and refused: librdkafka would not compress otherwise (KAFKA-18659).
    Produce, told from 0, WriteTopic, produce::serve;
    Fetch, told from 4, ReadTopic, fetch::serve;
    ListOffsets, told from 1, DescribeTopic, list_offsets::serve;
    Metadata, told from 0, DescribeTopic, metadata::serve;
    OffsetCommit, told from 2, ReadGroup, offset_commit::serve;
    OffsetFetch, told from 1, DescribeGroup, offset_fetch::serve;
    FindCoordinator, told from 0, DescribeGroup, find_coordinator::serve;
    JoinGroup, told from 0, ReadGroup, join_group::serve;
    Heartbeat, told from 0, ReadGroup, heartbeat::serve;
    LeaveGroup, told from 0, ReadGroup, leave_group::serve;
    SyncGroup, told from 0, ReadGroup, sync_group::serve;
    DescribeGroups, told from 0, DescribeGroup, describe_groups::serve;
    ListGroups, told from 0, DescribeGroup, list_groups::serve;
    ApiVersions, told from 0, Nothing, api_versions::serve;
    CreateTopics, told from 2, CreateTopic, create_topics::serve;
    DeleteTopics, told from 1, DeleteTopic, delete_topics::serve;
    DeleteRecords, told from 0, DeleteTopic, delete_records::serve;
    InitProducerId, told from 0, IdempotentWrite, init_producer_id::serve;
    OffsetForLeaderEpoch, told from 2, DescribeTopic, offset_for_leader_epoch::serve;
    DescribeAcls, told from 1, DescribeCluster, acls::serve_describe;
    CreateAcls, told from 1, AlterCluster, acls::serve_create;
    DeleteAcls, told from 1, AlterCluster, acls::serve_delete;
    DescribeConfigs, told from 1, DescribeConfigs, describe_configs::serve;
    AlterConfigs, told from 0, AlterConfigs, alter_configs::serve;
    AlterReplicaLogDirs, told from 1, AlterCluster, alter_replica_log_dirs::serve;
    DescribeLogDirs, told from 1, DescribeCluster, describe_log_dirs::serve;
    CreatePartitions, told from 0, AlterTopic, create_partitions::serve;
    DeleteGroups, told from 0, DeleteGroup, delete_groups::serve;
    ElectLeaders, told from 0, AlterCluster, elect_leaders::serve;
    IncrementalAlterConfigs, told from 0, AlterConfigs, incremental_alter_configs::serve;
    AlterPartitionReassignments, told from 0, AlterCluster, reassignments::serve_alter;
    ListPartitionReassignments, told from 0, DescribeCluster, reassignments::serve_list;
    OffsetDelete, told from 0, DeleteGroup, offset_delete::serve;
    DescribeClientQuotas, told from 0, DescribeConfigs, describe_client_quotas::serve;
    DescribeUserScramCredentials, told from 0, DescribeCluster, describe_user_scram_credentials::serve;
    DescribeQuorum, told from 0, DescribeCluster, describe_quorum::serve;
    DescribeCluster, told from 0, DescribeCluster, describe_cluster::serve;
    ConsumerGroupHeartbeat, told from 0, ReadGroup, consumer_group_heartbeat::serve;
    ConsumerGroupDescribe, told from 0, DescribeGroup, consumer_group_describe::serve;
    ListConfigResources, told from 0, DescribeConfigs, list_config_resources::serve;
    DescribeTopicPartitions, told from 0, DescribeTopic, describe_topic_partitions::serve;
}

/// What a handler's second stage comes to.
pub enum Served<M> {
    Reply(M),
    /// A reply whose memory was lent, with elements that are encoded already.
    Lent(M, Lent),
    /// Nothing is sent.
    Silent,
    /// The connection is closed for this reason.
    Close(String),
}

impl<M> From<M> for Served<M> {
    fn from(reply: M) -> Served<M> {
        Served::Reply(reply)
    }
}

/// The first stage of the request in `frame`: what is submitted is submitted when this returns. An error closes the
/// connection after the replies before it.
pub fn dispatch(core: &Rc<ApiCore>, peer: &Rc<Peer>, frame: &Bytes, arrival: Arrival) -> Result<Pending, Refusal> {
    let mut body = Reader::new(frame);
    let start = HeaderStart::decode(&mut body).map_err(|e| Refusal { api: "-", reason: e.to_string() })?;
    let found = TABLE.iter().enumerate().find(|(_, row)| row.api.key() == start.api_key);
    let (place, row) =
        found.ok_or_else(|| Refusal { api: "-", reason: format!("no API with key {} is served", start.api_key) })?;
    core.count(place);
    arrival.trace.name(row.api.name(), class(row.api));
    if matches!(row.api, ApiKey::JoinGroup | ApiKey::SyncGroup) {
        arrival.trace.waits_for_others();
    }
    let (api, version) = (row.api, start.api_version);
    if !api.versions().contains(version) {
        if api == ApiKey::ApiVersions {
            // Its body is of a form that we do not know: the answer tells the peer which forms we do.
            let reply = api_versions::unsupported_version().into();
            let told = outcome(api, encode_response(&reply, 0, start.correlation_id), Vec::new());
            return Ok(Box::pin(std::future::ready(told)));
        }
        return Err(Refusal { api: api.name(), reason: format!("version {version} is not served") });
    }
    let malformed = |e: crate::wire::DecodeError| Refusal { api: api.name(), reason: e.to_string() };
    let client_id = start.decode_rest(&mut body, api).map_err(malformed)?.client_id;
    if let Some(name) = &client_id {
        peer.client_id.get_or_init(|| name.as_str().into());
    }
    let ctx = RequestContext { core, peer, arrival, version, client_id };
    (row.serve)(&ctx, body, start.correlation_id)
}

/// Which way its requests go.
fn class(api: ApiKey) -> Class {
    match api {
        ApiKey::Produce => Class::Produce,
        ApiKey::Fetch => Class::Fetch,
        _ => Class::Other,
    }
}

/// Decodes the body and runs the handler's first stage. Bytes after the body are accepted, as Kafka does.
fn serve<Q, M, F>(
    ctx: &RequestContext<'_>,
    api: ApiKey,
    mut body: Reader<'_>,
    correlation_id: i32,
    handler: impl FnOnce(&RequestContext<'_>, Q) -> F,
) -> Result<Pending, Refusal>
where
    Q: Message,
    M: Into<Response>,
    F: Future<Output = Served<M>> + 'static,
{
    let version = ctx.version;
    let request = Q::decode(&mut body, version).map_err(|e| Refusal { api: api.name(), reason: e.to_string() })?;
    let second_stage = handler(ctx, request);
    Ok(Box::pin(async move {
        match second_stage.await {
            Served::Reply(reply) => outcome(api, encode_response(&reply.into(), version, correlation_id), Vec::new()),
            Served::Lent(reply, Lent { elements, leases }) => {
                outcome(api, encode_long_response(&reply.into(), elements, version, correlation_id), leases)
            }
            Served::Silent => Outcome::Silent,
            Served::Close(reason) => Outcome::Close(Refusal { api: api.name(), reason }),
        }
    }))
}

fn outcome(api: ApiKey, encoded: Result<Vec<Bytes>, EncodeError>, leases: Vec<Box<dyn ReadLease>>) -> Outcome {
    match encoded {
        Ok(segments) => Outcome::Reply(segments, leases),
        // A reply that its version cannot carry is our mistake, and the peer must not take the next one for it.
        Err(e) => Outcome::Close(Refusal { api: api.name(), reason: format!("the reply could not be encoded: {e}") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ascend_without_one_twice() {
        assert!(TABLE.windows(2).all(|rows| rows[0].api.key() < rows[1].api.key()));
    }

    #[test]
    fn only_produce_tells_versions_that_it_refuses() {
        for row in TABLE {
            let expected = if row.api == ApiKey::Produce { 0 } else { row.api.versions().min };
            assert_eq!(row.version_min_told, expected, "{}", row.api.name());
        }
    }
}
