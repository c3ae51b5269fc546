//! What a cluster tells of itself: id, brokers, features and the APIs that it serves. Blocking.

use super::api_names::api_name;
use super::cluster::{BrokerInfo, Cluster, unasked};
use super::error::ClientError;
use crate::wire::ErrorCode;
use crate::wire::messages::Response;
use crate::wire::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use crate::wire::messages::describe_cluster::DescribeClusterRequest;

/// A cluster as one of its brokers describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterInfo {
    pub id: String,
    /// Where requests about topics go; negative: nobody.
    pub controller: i32,
    /// By id.
    pub brokers: Vec<BrokerInfo>,
}

/// A feature that the cluster knows, by levels (KIP-584).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    pub name: String,
    pub min: i16,
    pub max: i16,
    /// The level that is in force; `None`: it is switched off.
    pub level: Option<i16>,
}

/// An API in the versions that the broker serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedApi {
    pub key: i16,
    /// `None`: this client does not know it.
    pub name: Option<&'static str>,
    pub min: i16,
    pub max: i16,
}

/// Asks for id, controller and brokers.
pub fn describe_cluster(cluster: &mut Cluster) -> Result<ClusterInfo, ClientError> {
    let request = DescribeClusterRequest::default();
    let reply = match cluster.call_seed(request.into())? {
        Response::DescribeCluster(reply) => reply,
        other => return Err(unasked("the broker", &other)),
    };
    if reply.error_code != ErrorCode::None {
        let message = reply.error_message.map(|text| text.to_string());
        return Err(ClientError::Refused { what: "the cluster".to_owned(), code: reply.error_code, message });
    }
    let broker = |broker: &crate::wire::messages::describe_cluster::DescribeClusterBroker| BrokerInfo {
        id: broker.broker_id,
        host: broker.host.to_string(),
        port: broker.port,
        rack: broker.rack.as_ref().map(|rack| rack.to_string()),
    };
    let mut brokers: Vec<BrokerInfo> = reply.brokers.iter().map(broker).collect();
    brokers.sort_by_key(|broker| broker.id);
    Ok(ClusterInfo { id: reply.cluster_id.to_string(), controller: reply.controller_id, brokers })
}

/// Features by name, and APIs by key.
pub fn features_and_apis(cluster: &mut Cluster) -> Result<(Vec<Feature>, Vec<ServedApi>), ClientError> {
    let request = ApiVersionsRequest {
        client_software_name: "corelog".into(),
        client_software_version: env!("CARGO_PKG_VERSION").into(),
    };
    match cluster.call_seed(request.into())? {
        Response::ApiVersions(reply) if reply.error_code == ErrorCode::None => Ok((features(&reply), apis(&reply))),
        Response::ApiVersions(reply) => Err(ClientError::refused("features and APIs", reply.error_code)),
        other => Err(unasked("the broker", &other)),
    }
}

fn features(reply: &ApiVersionsResponse) -> Vec<Feature> {
    let level = |name: &str| {
        let finalized = reply.finalized_features.iter().find(|feature| &*feature.name == name);
        finalized.map(|feature| feature.max_version_level)
    };
    let known = reply.supported_features.iter().map(|feature| Feature {
        name: feature.name.to_string(),
        min: feature.min_version,
        max: feature.max_version,
        level: level(&feature.name),
    });
    let mut features: Vec<Feature> = known.collect();
    features.sort_by(|a, b| a.name.cmp(&b.name));
    features
}

fn apis(reply: &ApiVersionsResponse) -> Vec<ServedApi> {
    let served = reply.api_keys.iter().map(|api| ServedApi {
        key: api.api_key,
        name: api_name(api.api_key),
        min: api.min_version,
        max: api.max_version,
    });
    let mut apis: Vec<ServedApi> = served.collect();
    apis.sort_by_key(|api| api.key);
    apis
}
