//! Kafka's requests and replies, one file per API, in both directions. Every core; declarations only.
//!
//! Invariant: `apis!` lists every API once; the enums, the names, the tests and the fuzz target all come from it.

use shards::codec::sample::Dice;
use shards::codec::{DecodeError, EncodeError, Message, Reader, Versions, Writer};

macro_rules! apis {
    ($($api:ident { $module:ident, $request:ident, $response:ident })*) => {
        $(pub mod $module;)*

        /// An API that we have messages for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ApiKey {
            $($api,)*
        }

        impl ApiKey {
            /// Every API, by ascending key.
            pub const ALL: &[ApiKey] = &[$(ApiKey::$api),*];

            /// The key on the wire.
            pub const fn key(self) -> i16 {
                match self {
                    $(ApiKey::$api => <$module::$request as Message>::KEY,)*
                }
            }

            pub fn from_key(key: i16) -> Result<ApiKey, DecodeError> {
                ApiKey::ALL.iter().copied().find(|api| api.key() == key).ok_or(DecodeError::UnknownApi { key })
            }

            /// Kafka's name, `DeleteTopics`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(ApiKey::$api => stringify!($api),)*
                }
            }

            /// The versions that decode and encode know. What is served may be less: that is the API table's business.
            pub const fn versions(self) -> Versions {
                match self {
                    $(ApiKey::$api => <$module::$request as Message>::VERSIONS,)*
                }
            }

            /// Versions with compact lengths and tagged fields; they have the longer headers too.
            pub const fn flexible(self) -> Versions {
                match self {
                    $(ApiKey::$api => <$module::$request as Message>::FLEXIBLE,)*
                }
            }
        }

        /// The body of a request, of whichever API.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Request {
            $($api($module::$request),)*
        }

        impl Request {
            pub fn decode(api: ApiKey, r: &mut Reader<'_>, version: i16) -> Result<Request, DecodeError> {
                match api {
                    $(ApiKey::$api => <$module::$request>::decode(r, version).map(Request::$api),)*
                }
            }

            pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
                match self {
                    $(Request::$api(request) => request.encode(w, version),)*
                }
            }

            pub const fn api(&self) -> ApiKey {
                match self {
                    $(Request::$api(_) => ApiKey::$api,)*
                }
            }

            /// A made-up request that this version can carry; for tests.
            pub fn random(api: ApiKey, dice: &mut Dice, version: i16) -> Request {
                match api {
                    $(ApiKey::$api => Request::$api(<$module::$request>::random(dice, version)),)*
                }
            }
        }

        /// The body of a reply, of whichever API.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Response {
            $($api($module::$response),)*
        }

        impl Response {
            pub fn decode(api: ApiKey, r: &mut Reader<'_>, version: i16) -> Result<Response, DecodeError> {
                match api {
                    $(ApiKey::$api => <$module::$response>::decode(r, version).map(Response::$api),)*
                }
            }

            pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
                match self {
                    $(Response::$api(response) => response.encode(w, version),)*
                }
            }

            pub const fn api(&self) -> ApiKey {
                match self {
                    $(Response::$api(_) => ApiKey::$api,)*
                }
            }

            /// A made-up reply that this version can carry; for tests.
            pub fn random(api: ApiKey, dice: &mut Dice, version: i16) -> Response {
                match api {
                    $(ApiKey::$api => Response::$api(<$module::$response>::random(dice, version)),)*
                }
            }
        }

        // A request and its reply are one API: same key, versions and flexible range.
        $(const _: () = {
            let (request, response) = (<$module::$request as Message>::VERSIONS, <$module::$response as Message>::VERSIONS);
            assert!(request.min == response.min && request.max == response.max);
            assert!(<$module::$request as Message>::FLEXIBLE.min == <$module::$response as Message>::FLEXIBLE.min);
            assert!(<$module::$request as Message>::KEY == <$module::$response as Message>::KEY);
        };)*

        $(impl From<$module::$response> for Response {
            fn from(response: $module::$response) -> Response {
                Response::$api(response)
            }
        })*

        $(impl From<$module::$request> for Request {
            fn from(request: $module::$request) -> Request {
                Request::$api(request)
            }
        })*
    };
}

apis! {
    Produce { produce, ProduceRequest, ProduceResponse }
    Fetch { fetch, FetchRequest, FetchResponse }
    ListOffsets { list_offsets, ListOffsetsRequest, ListOffsetsResponse }
    Metadata { metadata, MetadataRequest, MetadataResponse }
    OffsetCommit { offset_commit, OffsetCommitRequest, OffsetCommitResponse }
    OffsetFetch { offset_fetch, OffsetFetchRequest, OffsetFetchResponse }
    FindCoordinator { find_coordinator, FindCoordinatorRequest, FindCoordinatorResponse }
    JoinGroup { join_group, JoinGroupRequest, JoinGroupResponse }
    Heartbeat { heartbeat, HeartbeatRequest, HeartbeatResponse }
    LeaveGroup { leave_group, LeaveGroupRequest, LeaveGroupResponse }
    SyncGroup { sync_group, SyncGroupRequest, SyncGroupResponse }
    DescribeGroups { describe_groups, DescribeGroupsRequest, DescribeGroupsResponse }
    ListGroups { list_groups, ListGroupsRequest, ListGroupsResponse }
    ApiVersions { api_versions, ApiVersionsRequest, ApiVersionsResponse }
    CreateTopics { create_topics, CreateTopicsRequest, CreateTopicsResponse }
    DeleteTopics { delete_topics, DeleteTopicsRequest, DeleteTopicsResponse }
    DeleteRecords { delete_records, DeleteRecordsRequest, DeleteRecordsResponse }
    InitProducerId { init_producer_id, InitProducerIdRequest, InitProducerIdResponse }
    OffsetForLeaderEpoch { offset_for_leader_epoch, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse }
    DescribeAcls { describe_acls, DescribeAclsRequest, DescribeAclsResponse }
    CreateAcls { create_acls, CreateAclsRequest, CreateAclsResponse }
    DeleteAcls { delete_acls, DeleteAclsRequest, DeleteAclsResponse }
    DescribeConfigs { describe_configs, DescribeConfigsRequest, DescribeConfigsResponse }
    AlterConfigs { alter_configs, AlterConfigsRequest, AlterConfigsResponse }
    AlterReplicaLogDirs { alter_replica_log_dirs, AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse }
    DescribeLogDirs { describe_log_dirs, DescribeLogDirsRequest, DescribeLogDirsResponse }
    CreatePartitions { create_partitions, CreatePartitionsRequest, CreatePartitionsResponse }
    DeleteGroups { delete_groups, DeleteGroupsRequest, DeleteGroupsResponse }
    ElectLeaders { elect_leaders, ElectLeadersRequest, ElectLeadersResponse }
    IncrementalAlterConfigs {
        incremental_alter_configs, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse
    }
    AlterPartitionReassignments {
        alter_partition_reassignments, AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse
    }
    ListPartitionReassignments {
        list_partition_reassignments, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse
    }
    OffsetDelete { offset_delete, OffsetDeleteRequest, OffsetDeleteResponse }
    DescribeClientQuotas { describe_client_quotas, DescribeClientQuotasRequest, DescribeClientQuotasResponse }
    DescribeUserScramCredentials {
        describe_user_scram_credentials, DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse
    }
    DescribeQuorum { describe_quorum, DescribeQuorumRequest, DescribeQuorumResponse }
    DescribeCluster { describe_cluster, DescribeClusterRequest, DescribeClusterResponse }
    ConsumerGroupHeartbeat { consumer_group_heartbeat, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse }
    ConsumerGroupDescribe { consumer_group_describe, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse }
    ListConfigResources { list_config_resources, ListConfigResourcesRequest, ListConfigResourcesResponse }
    DescribeTopicPartitions {
        describe_topic_partitions, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse
    }
}
