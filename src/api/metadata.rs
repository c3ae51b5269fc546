//! Metadata (key 3): this broker, and who leads what. Runs on the connection's core, from its copy of the catalog; topics
//! that are made on the way go through shard 0.
//! Invariant: the address told is that of the listener on which the request came in.

use std::future::Future;

use hashbrown::HashSet;
use shards::catalog::{Catalog, CatalogCommand, NewTopic, Topic, check_topic_name};
use shards::types::TopicId;

use super::table::Served;
use super::{ApiCore, Peer, RequestContext};
use crate::wire::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic, OPERATIONS_NOT_ASKED,
};
use crate::wire::{ErrorCode, Str};

/// Bits of Kafka's operations READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS.
pub(super) const TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;
/// Bits of CREATE, ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS and IDEMPOTENT_WRITE.
pub(super) const CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;

/// Topics that a request may have made at once; the rest is made when the client asks again.
const AUTO_CREATED_MAX: usize = 100;

/// What a request asks for.
enum Asked {
    All,
    Names(Vec<Str>),
    Ids(Vec<TopicId>),
}

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: MetadataRequest,
) -> impl Future<Output = Served<MetadataResponse>> + use<> {
    let (reply, missing) = match asked(ctx.version, &request) {
        Err(topics) => (MetadataResponse { topics, ..Default::default() }, Vec::new()),
        Ok(asked) => {
            let reply = answer(ctx.core, ctx.peer, ctx.version, &request, &asked);
            let wants_new = request.allow_auto_topic_creation && ctx.core.settings.auto_create_topics;
            let missing = if wants_new { missing(&reply, &asked) } else { Vec::new() };
            (reply, missing)
        }
    };
    let made = (!missing.is_empty()).then(|| {
        let topics = missing.into_iter().map(NewTopic::named).collect();
        ctx.core.shards.change(CatalogCommand::CreateTopics { topics, validate_only: false })
    });
    async move {
        if let Some(made) = made {
            // The reply says "unknown" all the same, as Kafka's does: clients ask again, and then find the topic. Why
            // one could not be made is told when the client asks for it by CreateTopics.
            if let Err(e) = made.await {
                tracing::debug!(error = %e, "topics could not be made automatically");
            }
        }
        reply.into()
    }
}

/// Reads the request by its version's rules. Some versions can carry what Kafka refuses to answer: then each topic's
/// error.
fn asked(version: i16, request: &MetadataRequest) -> Result<Asked, Vec<MetadataResponseTopic>> {
    let Some(topics) = &request.topics else { return Ok(Asked::All) };
    if version == 0 && topics.is_empty() {
        return Ok(Asked::All);
    }
    let has_id = |topic: &MetadataRequestTopic| topic.topic_id != TopicId::ZERO;
    if version < 12 && topics.iter().any(|topic| has_id(topic) || topic.name.is_none()) {
        return Err(topics.iter().map(invalid).collect());
    }
    let mut seen = HashSet::new();
    if topics.iter().any(has_id) {
        let ids = topics.iter().map(|topic| topic.topic_id).filter(|id| *id != TopicId::ZERO);
        return Ok(Asked::Ids(ids.filter(|id| seen.insert(*id)).collect()));
    }
    let mut seen = HashSet::new();
    let names = topics.iter().map(|topic| Str::from(topic.name.as_deref().unwrap_or_default()));
    Ok(Asked::Names(names.filter(|name| seen.insert(name.clone())).collect()))
}

fn invalid(topic: &MetadataRequestTopic) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code: ErrorCode::InvalidRequest,
        name: Some(topic.name.as_deref().unwrap_or_default().into()),
        topic_id: topic.topic_id,
        ..Default::default()
    }
}

fn answer(core: &ApiCore, peer: &Peer, version: i16, request: &MetadataRequest, asked: &Asked) -> MetadataResponse {
    let catalog = core.shards.catalog();
    let operations = if request.include_topic_authorized_operations { TOPIC_OPERATIONS } else { OPERATIONS_NOT_ASKED };
    let tell = |topic: &Topic| tell_topic(&catalog, topic, operations);
    let topics = match asked {
        Asked::All => catalog.topics().map(tell).collect(),
        Asked::Names(names) => {
            names.iter().map(|name| catalog.topic(name).map_or_else(|| unknown(name, operations), tell)).collect()
        }
        Asked::Ids(ids) => {
            ids.iter().map(|id| catalog.topic_by_id(*id).map_or_else(|| unknown_id(*id), tell)).collect()
        }
    };
    let (host, port) = peer.broker_address();
    let cluster_operations_asked = request.include_cluster_authorized_operations && (8..=10).contains(&version);
    MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: core.settings.node_id,
            host,
            port,
            rack: core.settings.rack.clone(),
        }],
        cluster_id: Some(core.settings.cluster_id.clone()),
        controller_id: core.settings.node_id,
        topics,
        cluster_authorized_operations: if cluster_operations_asked { CLUSTER_OPERATIONS } else { OPERATIONS_NOT_ASKED },
        ..Default::default()
    }
}

fn tell_topic(catalog: &Catalog, topic: &Topic, operations: i32) -> MetadataResponseTopic {
    let views = topic.partition_ids().filter_map(|id| catalog.partition(topic, id.index));
    let partitions = views.map(|view| MetadataResponsePartition {
        partition_index: view.id.index,
        leader_id: view.leader,
        leader_epoch: view.leader_epoch.0,
        replica_nodes: view.replicas.to_vec(),
        isr_nodes: view.isr.to_vec(),
        ..Default::default()
    });
    MetadataResponseTopic {
        name: Some(Str::from(&*topic.name)),
        topic_id: topic.id,
        is_internal: topic.is_internal(),
        partitions: partitions.collect(),
        topic_authorized_operations: operations,
        ..Default::default()
    }
}

/// A name that no topic has; one that no topic can have is told apart. What may be done with it is told all the same.
fn unknown(name: &Str, operations: i32) -> MetadataResponseTopic {
    let is_valid = check_topic_name(name).is_ok();
    MetadataResponseTopic {
        error_code: if is_valid { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::InvalidTopicException },
        name: Some(name.clone()),
        topic_authorized_operations: operations,
        ..Default::default()
    }
}

fn unknown_id(topic_id: TopicId) -> MetadataResponseTopic {
    MetadataResponseTopic { error_code: ErrorCode::UnknownTopicId, name: None, topic_id, ..Default::default() }
}

/// Names of the reply that may be made: unknown and valid.
fn missing(reply: &MetadataResponse, asked: &Asked) -> Vec<String> {
    if !matches!(asked, Asked::Names(_)) {
        return Vec::new();
    }
    let unknown = reply.topics.iter().filter(|topic| topic.error_code == ErrorCode::UnknownTopicOrPartition);
    unknown.filter_map(|topic| topic.name.as_deref().map(str::to_owned)).take(AUTO_CREATED_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(topics: Option<Vec<MetadataRequestTopic>>) -> MetadataRequest {
        MetadataRequest { topics, ..Default::default() }
    }

    fn named(name: Option<&str>) -> MetadataRequestTopic {
        MetadataRequestTopic { name: name.map(Str::from), ..Default::default() }
    }

    #[test]
    fn nothing_means_all_in_version_0_and_none_later_where_null_means_all() {
        assert!(matches!(asked(0, &request(Some(Vec::new()))), Ok(Asked::All)));
        for version in 1..=13 {
            assert!(matches!(asked(version, &request(Some(Vec::new()))), Ok(Asked::Names(names)) if names.is_empty()));
            assert!(matches!(asked(version, &request(None)), Ok(Asked::All)));
        }
    }

    #[test]
    fn ids_and_null_names_before_version_12_are_42() {
        let by_id = MetadataRequestTopic { topic_id: TopicId([1; 16]), name: None };
        for version in [10, 11] {
            for topic in [by_id.clone(), named(None)] {
                let Err(topics) = asked(version, &request(Some(vec![topic, named(Some("a"))]))) else {
                    panic!("refused")
                };
                assert!(topics.iter().all(|topic| topic.error_code == ErrorCode::InvalidRequest));
                assert_eq!(topics.iter().map(|topic| topic.name.as_deref()).collect::<Vec<_>>(), [Some(""), Some("a")]);
            }
        }
        assert!(matches!(asked(12, &request(Some(vec![by_id]))), Ok(Asked::Ids(ids)) if ids.len() == 1));
    }

    #[test]
    fn a_name_asked_twice_is_told_once() {
        let topics = vec![named(Some("a")), named(Some("b")), named(Some("a"))];
        assert!(matches!(asked(1, &request(Some(topics))), Ok(Asked::Names(names)) if names == ["a", "b"]));
    }

    #[test]
    fn only_valid_names_are_made_and_never_for_a_request_for_all() {
        let reply = MetadataResponse {
            topics: ["a", "b/c"].map(|name| unknown(&name.into(), OPERATIONS_NOT_ASKED)).to_vec(),
            ..Default::default()
        };
        assert_eq!(missing(&reply, &Asked::Names(Vec::new())), ["a"]);
        assert!(missing(&reply, &Asked::All).is_empty());
        assert_eq!(reply.topics[1].error_code, ErrorCode::InvalidTopicException);
    }

    #[test]
    fn operations_are_those_of_a_broker_without_an_authorizer() {
        assert_eq!((TOPIC_OPERATIONS, CLUSTER_OPERATIONS), (3576, 8096));
    }
}
