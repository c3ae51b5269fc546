//! Metadata (key 3): this broker, and who leads what. Runs on the connection's core, from its copy of the catalog; topics
//! that are made on the way go through shard 0.
//! Invariant: the address told is that of the listener on which the request came in.

use std::future::Future;

use hashbrown::HashSet;
use shards::catalog::{Catalog, CatalogCommand, NewTopic, Topic, check_topic_name};
use shards::types::TopicId;

use super::long_reply::{LongReply, NoReply};
use super::table::Served;
use super::{ApiCore, RequestContext};
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
    let asked = asked(ctx.version, &request);
    let wants_new = request.allow_auto_topic_creation && ctx.core.settings.auto_create_topics;
    let missing = match &asked {
        Ok(Asked::Names(names)) if wants_new => missing(&ctx.core.shards.catalog(), names),
        _ => Vec::new(),
    };
    let made = (!missing.is_empty()).then(|| {
        let topics = missing.iter().map(|name| NewTopic::named(name.to_string())).collect();
        ctx.core.shards.change(CatalogCommand::CreateTopics { topics, validate_only: false })
    });
    let around = around(ctx, &request);
    let operations = if request.include_topic_authorized_operations { TOPIC_OPERATIONS } else { OPERATIONS_NOT_ASKED };
    let (core, topics) = (ctx.core.clone(), LongReply::of::<MetadataResponse>(ctx));
    async move {
        let asked = match asked {
            Err(topics) => return MetadataResponse { topics, ..Default::default() }.into(),
            Ok(asked) => asked,
        };
        if let Some(made) = made {
            // The reply says "unknown" all the same, as Kafka's does: clients ask again, and then find the topic. Why
            // one could not be made is told when the client asks for it by CreateTopics.
            if let Err(e) = made.await {
                tracing::debug!(error = %e, "topics could not be made automatically");
            }
        }
        match tell_all(&core, asked, &missing, operations, topics).await {
            Ok(topics) => topics.within(around),
            Err(why) => why.close(),
        }
    }
}

/// The topics asked for; those that were made for it as if they were not there.
async fn tell_all(
    core: &ApiCore,
    asked: Asked,
    made: &[Str],
    operations: i32,
    mut topics: LongReply<MetadataResponseTopic>,
) -> Result<LongReply<MetadataResponseTopic>, NoReply> {
    let tell = |find: &dyn Fn(&Catalog) -> Option<&Topic>| {
        let catalog = core.shards.catalog();
        find(&catalog).map(|topic| tell_topic(&catalog, topic, operations))
    };
    match asked {
        Asked::All => {
            let ids: Vec<TopicId> = core.shards.catalog().topics().map(|topic| topic.id).collect();
            for id in ids {
                // One that was deleted a moment ago is not told.
                if let Some(topic) = tell(&|catalog| catalog.topic_by_id(id)) {
                    topics.push(topic).await?;
                }
            }
        }
        Asked::Names(names) => {
            for name in names {
                let told = tell(&|catalog| catalog.topic(&name)).filter(|_| !made.contains(&name));
                topics.push(told.unwrap_or_else(|| unknown(&name, operations))).await?;
            }
        }
        Asked::Ids(ids) => {
            for id in ids {
                let told = tell(&|catalog| catalog.topic_by_id(id));
                topics.push(told.unwrap_or_else(|| unknown_id(id))).await?;
            }
        }
    }
    Ok(topics)
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

/// The reply but for its topics.
fn around(ctx: &RequestContext<'_>, request: &MetadataRequest) -> MetadataResponse {
    let core = ctx.core;
    let (host, port) = ctx.peer.broker_address();
    let cluster_operations_asked = request.include_cluster_authorized_operations && (8..=10).contains(&ctx.version);
    MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: core.settings.node_id,
            host,
            port,
            rack: core.settings.rack.clone(),
        }],
        cluster_id: Some(core.settings.cluster_id.clone()),
        controller_id: core.settings.node_id,
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

/// Names that may be made: unknown and valid.
fn missing(catalog: &Catalog, names: &[Str]) -> Vec<Str> {
    let unknown = names.iter().filter(|name| catalog.topic(name).is_none() && check_topic_name(name).is_ok());
    unknown.take(AUTO_CREATED_MAX).cloned().collect()
}

#[cfg(test)]
mod tests {
    use shards::catalog::CatalogSettings;

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
    fn only_valid_names_are_made() {
        let catalog = Catalog::new(CatalogSettings::new("c", 1));
        assert_eq!(missing(&catalog, &["a".into(), "b/c".into()]), ["a"]);
        assert_eq!(unknown(&"b/c".into(), OPERATIONS_NOT_ASKED).error_code, ErrorCode::InvalidTopicException);
    }

    #[test]
    fn operations_are_those_of_a_broker_without_an_authorizer() {
        assert_eq!((TOPIC_OPERATIONS, CLUSTER_OPERATIONS), (3576, 8096));
    }
}
