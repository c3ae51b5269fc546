//! The one table of what is served: API, versions, what it needs to be authorised, how it stands to what comes behind it,
//! handler. From it come ApiVersions, decode and dispatch, metric labels and README's table. Every core; no state.
//! Invariant: an API is served if and only if it has a row here; a row without a handler does not compile.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;

use bytes::Bytes;
use shards::router::{Class, ReadLease};

use super::long_reply::Lent;
use super::{
    ApiCore, Arrival, Outcome, Peer, Pending, Refusal, RequestContext, Submitted, acls, alter_configs,
    alter_replica_log_dirs, api_versions, consumer_group_describe, consumer_group_heartbeat, create_partitions,
    create_topics, delete_groups, delete_records, delete_topics, describe_client_quotas, describe_cluster,
    describe_configs, describe_groups, describe_log_dirs, describe_quorum, describe_topic_partitions,
    describe_user_scram_credentials, elect_leaders, fetch, find_coordinator, heartbeat, incremental_alter_configs,
    init_producer_id, join_group, leave_group, list_config_resources, list_groups, list_offsets, metadata,
    offset_commit, offset_delete, offset_fetch, offset_for_leader_epoch, produce, reassignments, sync_group,
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

/// What a reply tells of, and a request changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Topics, configs and groups.
    State,
    /// Where logs begin and end.
    Logs,
}

impl Subject {
    pub const COUNT: usize = 2;
}

/// How requests stand to those behind them on their connection. The first stage of one that is behind may run before the
/// second stage of one that is not, and Kafka's clients never see that: it handles one request of a connection at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// None of the below. A fetch, too: what comes in behind one that waits may end its wait.
    Apart,
    /// The second stage tells of topics, configs or groups as they are then.
    Tells,
    /// The first stage changes what such a reply tells: it is not before that one is made.
    Changes,
    /// Both, and more: the first stage of whatever is behind looks for topics and configs, so it is not before this one's reply.
    Settles,
    /// The second stage tells where logs begin and end then, or moves their beginnings.
    TellsOfLogs,
    /// The first stage appends to logs: not before such a reply is made.
    Appends,
}

impl Order {
    fn told(self) -> Option<Subject> {
        match self {
            Order::Tells | Order::Settles => Some(Subject::State),
            Order::TellsOfLogs => Some(Subject::Logs),
            Order::Apart | Order::Changes | Order::Appends => None,
        }
    }

    fn changed(self) -> Option<Subject> {
        match self {
            Order::Changes | Order::Settles => Some(Subject::State),
            Order::Appends => Some(Subject::Logs),
            Order::Apart | Order::Tells | Order::TellsOfLogs => None,
        }
    }
}

/// One served API.
pub struct Row {
    pub api: ApiKey,
    /// Lowest version that ApiVersions names; the messages' own range says what is decoded.
    pub version_min_told: i16,
    pub needs: Needs,
    order: Order,
    serve: fn(&RequestContext<'_>, Reader<'_>, i32) -> Result<Pending, Refusal>,
}

macro_rules! rows {
    ($($api:ident, told from $min:literal, $needs:ident, $order:ident, $handler:path;)*) => {
        /// Every API that is served, by ascending key.
        pub const TABLE: &[Row] = &[$(Row {
            api: ApiKey::$api,
            version_min_told: $min,
            needs: Needs::$needs,
            order: Order::$order,
            serve: |ctx, body, correlation_id| serve(ctx, ApiKey::$api, body, correlation_id, $handler),
        }),*];
    };
}

rows! {
    // Versions 0 to 2 are told and refused: librdkafka would not compress otherwise (KAFKA-18659).
    Produce, told from 0, WriteTopic, Appends, produce::serve;
    Fetch, told from 4, ReadTopic, Apart, fetch::serve;
    ListOffsets, told from 1, DescribeTopic, TellsOfLogs, list_offsets::serve;
    Metadata, told from 0, DescribeTopic, Tells, metadata::serve;
    OffsetCommit, told from 2, ReadGroup, Changes, offset_commit::serve;
    OffsetFetch, told from 1, DescribeGroup, Tells, offset_fetch::serve;
    FindCoordinator, told from 0, DescribeGroup, Apart, find_coordinator::serve;
    JoinGroup, told from 0, ReadGroup, Changes, join_group::serve;
    Heartbeat, told from 0, ReadGroup, Apart, heartbeat::serve;
    LeaveGroup, told from 0, ReadGroup, Changes, leave_group::serve;
    SyncGroup, told from 0, ReadGroup, Changes, sync_group::serve;
    DescribeGroups, told from 0, DescribeGroup, Tells, describe_groups::serve;
    ListGroups, told from 0, DescribeGroup, Tells, list_groups::serve;
    ApiVersions, told from 0, Nothing, Apart, api_versions::serve;
    CreateTopics, told from 2, CreateTopic, Settles, create_topics::serve;
    DeleteTopics, told from 1, DeleteTopic, Settles, delete_topics::serve;
    DeleteRecords, told from 0, DeleteTopic, TellsOfLogs, delete_records::serve;
    InitProducerId, told from 0, IdempotentWrite, Apart, init_producer_id::serve;
    OffsetForLeaderEpoch, told from 2, DescribeTopic, TellsOfLogs, offset_for_leader_epoch::serve;
    DescribeAcls, told from 1, DescribeCluster, Apart, acls::serve_describe;
    CreateAcls, told from 1, AlterCluster, Apart, acls::serve_create;
    DeleteAcls, told from 1, AlterCluster, Apart, acls::serve_delete;
    DescribeConfigs, told from 1, DescribeConfigs, Tells, describe_configs::serve;
    AlterConfigs, told from 0, AlterConfigs, Settles, alter_configs::serve;
    AlterReplicaLogDirs, told from 1, AlterCluster, Apart, alter_replica_log_dirs::serve;
    DescribeLogDirs, told from 1, DescribeCluster, Tells, describe_log_dirs::serve;
    CreatePartitions, told from 0, AlterTopic, Settles, create_partitions::serve;
    DeleteGroups, told from 0, DeleteGroup, Settles, delete_groups::serve;
    ElectLeaders, told from 0, AlterCluster, Apart, elect_leaders::serve;
    IncrementalAlterConfigs, told from 0, AlterConfigs, Settles, incremental_alter_configs::serve;
    AlterPartitionReassignments, told from 0, AlterCluster, Apart, reassignments::serve_alter;
    ListPartitionReassignments, told from 0, DescribeCluster, Apart, reassignments::serve_list;
    OffsetDelete, told from 0, DeleteGroup, Changes, offset_delete::serve;
    DescribeClientQuotas, told from 0, DescribeConfigs, Apart, describe_client_quotas::serve;
    DescribeUserScramCredentials, told from 0, DescribeCluster, Apart, describe_user_scram_credentials::serve;
    DescribeQuorum, told from 0, DescribeCluster, Apart, describe_quorum::serve;
    DescribeCluster, told from 0, DescribeCluster, Apart, describe_cluster::serve;
    ConsumerGroupHeartbeat, told from 0, ReadGroup, Changes, consumer_group_heartbeat::serve;
    ConsumerGroupDescribe, told from 0, DescribeGroup, Tells, consumer_group_describe::serve;
    ListConfigResources, told from 0, DescribeConfigs, Apart, list_config_resources::serve;
    DescribeTopicPartitions, told from 0, DescribeTopic, Apart, describe_topic_partitions::serve;
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

/// The row of a key, and its place in [`TABLE`].
fn row(api_key: i16) -> Option<(usize, &'static Row)> {
    TABLE.iter().enumerate().find(|(_, row)| row.api.key() == api_key)
}

/// What the request in `frame` changes that replies tell which are not [made](Submitted::tells) yet. What is no request changes
/// nothing.
pub fn changes(frame: &Bytes) -> Option<Subject> {
    let start = HeaderStart::decode(&mut Reader::new(frame)).ok()?;
    let (_, row) = row(start.api_key)?;
    row.order.changed()
}

/// The first stage of the request in `frame`: what is submitted is submitted when this returns and its rest is done. An error
/// closes the connection after the replies before it.
pub fn dispatch(core: &Rc<ApiCore>, peer: &Rc<Peer>, frame: &Bytes, arrival: Arrival) -> Result<Submitted, Refusal> {
    let mut body = Reader::new(frame);
    let start = HeaderStart::decode(&mut body).map_err(|e| Refusal { api: "-", reason: e.to_string() })?;
    let (place, row) = row(start.api_key)
        .ok_or_else(|| Refusal { api: "-", reason: format!("no API with key {} is served", start.api_key) })?;
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
            return Ok(Submitted {
                rest: None,
                pending: Box::pin(std::future::ready(told)),
                tells: None,
                settles: false,
            });
        }
        return Err(Refusal { api: api.name(), reason: format!("version {version} is not served") });
    }
    let malformed = |e: crate::wire::DecodeError| Refusal { api: api.name(), reason: e.to_string() };
    let client_id = start.decode_rest(&mut body, api).map_err(malformed)?.client_id;
    if let Some(name) = &client_id {
        peer.client_id.get_or_init(|| told(name.as_str()).into());
    }
    let ctx = RequestContext { core, peer, arrival, version, client_id, rest: Cell::default() };
    let pending = (row.serve)(&ctx, body, start.correlation_id)?;
    let settles = row.order == Order::Settles;
    Ok(Submitted { rest: ctx.rest.take(), pending, tells: row.order.told(), settles })
}

/// Bytes of a client id that are kept for `/v1/clients` and the log, as long as the connection lasts: it is in nobody's budget.
const CLIENT_ID_BYTES_MAX: usize = 128;

/// As much of a client id as is kept.
fn told(client_id: &str) -> &str {
    let upto = client_id.floor_char_boundary(CLIENT_ID_BYTES_MAX);
    client_id.get(..upto).unwrap_or(client_id)
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
    fn of_a_long_client_id_the_beginning_is_kept_up_to_a_whole_character() {
        assert_eq!(told("rdkafka"), "rdkafka");
        assert_eq!(told(&"x".repeat(32_767)).len(), 128);
        assert_eq!(told(&format!("{}ä", "x".repeat(127))).len(), 127);
    }

    #[test]
    fn only_produce_tells_versions_that_it_refuses() {
        for row in TABLE {
            let expected = if row.api == ApiKey::Produce { 0 } else { row.api.versions().min };
            assert_eq!(row.version_min_told, expected, "{}", row.api.name());
        }
    }
}
