//! Metadata (key 3): this broker, and who leads what. Runs on the connection's core, from its copy of the catalog; topics
//! that are made on the way go through shard 0.
//! Invariant: the address told is that of the listener on which the request came in.

use std::future::Future;

use hashbrown::HashSet;
use shards::catalog::{
    Catalog, CatalogCommand, CatalogError, CatalogReply, METADATA_TOPIC, NewTopic, PartitionView, Topic,
    check_topic_name, is_internal_topic,
};
use shards::router::Shards;
use shards::types::TopicId;

use super::long_reply::{LongReply, NoReply};
use super::own_topics;
use super::table::Served;
use super::{OffsetsTopic, RequestContext};
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

/// Most that a partition with one replica takes encoded, and a topic beside its name and partitions.
const PARTITION_BYTES: usize = 34;
const TOPIC_BYTES: usize = 32;

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
    let around = around(ctx, &request);
    let operations = if request.include_topic_authorized_operations { TOPIC_OPERATIONS } else { OPERATIONS_NOT_ASKED };
    let (core, mut topics) = (ctx.core.clone(), LongReply::of::<MetadataResponse>(ctx));
    async move {
        let asked = match asked {
            Err(topics) => return MetadataResponse { topics, ..Default::default() }.into(),
            Ok(asked) => asked,
        };
        // Now, not in the first stage: no reply before this one is to tell of them.
        let missing = match &asked {
            Asked::Names(names) if wants_new => missing(&core.shards.catalog(), names, &core.settings.offsets_topic),
            _ => Vec::new(),
        };
        let made = match missing.is_empty() {
            true => Vec::new(),
            false => {
                let (names, topics) = missing.into_iter().unzip();
                let made = core.shards.change(CatalogCommand::CreateTopics { topics, validate_only: false });
                made_now(names, made.await)
            }
        };
        match tell_all(&core.shards, asked, &made, operations, &mut topics).await {
            Ok(()) => topics.within(around),
            Err(why) => why.close(),
        }
    }
}

/// Those of the topics that were made. The reply says "unknown" of them all the same, as Kafka's does: clients ask again, and
/// then find the topic. Why one could not be made is told when the client asks for it by CreateTopics; one that somebody else
/// made meanwhile is told as it is.
fn made_now(missing: Vec<Str>, made: Result<CatalogReply, CatalogError>) -> Vec<Str> {
    match made {
        Ok(CatalogReply::TopicsCreated(outcomes)) => {
            missing.into_iter().zip(outcomes).filter(|(_, outcome)| outcome.is_ok()).map(|(name, _)| name).collect()
        }
        Ok(other) => {
            tracing::error!(?other, "the catalog answered what it was not asked");
            Vec::new()
        }
        Err(e) => {
            tracing::debug!(error = %e, "topics could not be made automatically");
            Vec::new()
        }
    }
}

/// The topics asked for; those that were made for it as if they were not there.
async fn tell_all(
    shards: &Shards,
    asked: Asked,
    made: &[Str],
    operations: i32,
    topics: &mut LongReply<MetadataResponseTopic>,
) -> Result<(), NoReply> {
    match asked {
        Asked::All => {
            let ids: Vec<TopicId> = shards.catalog().topics().map(|topic| topic.id).collect();
            for id in ids {
                // One that was deleted a moment ago is not told.
                tell(shards, |catalog| catalog.topic_by_id(id), operations, topics).await?;
            }
        }
        Asked::Names(names) => {
            for name in names {
                if made.contains(&name) || !tell(shards, |catalog| catalog.topic(&name), operations, topics).await? {
                    topics.push(unknown(&name, operations)).await?;
                }
            }
        }
        Asked::Ids(ids) => {
            for id in ids {
                if !tell(shards, |catalog| catalog.topic_by_id(id), operations, topics).await? {
                    topics.push(unknown_id(id)).await?;
                }
            }
        }
    }
    Ok(())
}

/// Tells a topic; false if there is none. A large one once there is memory for it, as it is then.
async fn tell(
    shards: &Shards,
    find: impl for<'a> Fn(&'a Catalog) -> Option<&'a Topic>,
    operations: i32,
    topics: &mut LongReply<MetadataResponseTopic>,
) -> Result<bool, NoReply> {
    let told_bytes = find(&shards.catalog()).map_or(0, told_bytes);
    topics.room(told_bytes, 0).await?;
    {
        let catalog = shards.catalog();
        let Some(topic) = find(&catalog) else { return Ok(false) };
        let mut partitions = topics.inner();
        for index in 0..topic.partitions {
            if let Some(view) = catalog.partition(topic, index) {
                partitions.push(&tell_partition(&view))?;
            }
        }
        topics.add(&tell_topic(topic, operations), partitions.finish())?;
    }
    topics.settle().await?;
    Ok(true)
}

/// What a topic takes in the reply, at most.
fn told_bytes(topic: &Topic) -> usize {
    let partitions = usize::try_from(topic.partitions).unwrap_or(0);
    TOPIC_BYTES + topic.name.len() + partitions.saturating_mul(PARTITION_BYTES)
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

/// A topic but for its partitions.
fn tell_topic(topic: &Topic, operations: i32) -> MetadataResponseTopic {
    MetadataResponseTopic {
        name: Some(Str::from(&*topic.name)),
        topic_id: topic.id,
        is_internal: topic.is_internal(),
        topic_authorized_operations: operations,
        ..Default::default()
    }
}

fn tell_partition(view: &PartitionView<'_>) -> MetadataResponsePartition {
    MetadataResponsePartition {
        partition_index: view.id.index,
        leader_id: view.leader,
        leader_epoch: view.leader_epoch.0,
        replica_nodes: view.replicas.to_vec(),
        isr_nodes: view.isr.to_vec(),
        ..Default::default()
    }
}

/// A name that no topic has; one that no topic can have is told apart. What may be done with it is told all the same, and
/// whether it would be the broker's own.
fn unknown(name: &Str, operations: i32) -> MetadataResponseTopic {
    let is_valid = check_topic_name(name).is_ok();
    MetadataResponseTopic {
        error_code: if is_valid { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::InvalidTopicException },
        name: Some(name.clone()),
        is_internal: is_internal_topic(name) && *name != *METADATA_TOPIC,
        topic_authorized_operations: operations,
        ..Default::default()
    }
}

fn unknown_id(topic_id: TopicId) -> MetadataResponseTopic {
    MetadataResponseTopic { error_code: ErrorCode::UnknownTopicId, name: None, topic_id, ..Default::default() }
}

/// Topics that may be made, by their names: unknown and valid.
fn missing(catalog: &Catalog, names: &[Str], offsets_topic: &OffsetsTopic) -> Vec<(Str, NewTopic)> {
    let unknown = names.iter().filter(|name| catalog.topic(name).is_none() && check_topic_name(name).is_ok());
    let may_be = unknown.filter_map(|name| Some((name.clone(), own_topics::asked_for(name, offsets_topic)?)));
    may_be.take(AUTO_CREATED_MAX).collect()
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;
    use shards::catalog::{CatalogRecord, CatalogSettings};

    use super::super::tests::shards_of;
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
        let made = missing(&catalog, &["a".into(), "b/c".into()], &OffsetsTopic::default());
        assert_eq!(made.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a"]);
        assert_eq!(unknown(&"b/c".into(), OPERATIONS_NOT_ASKED).error_code, ErrorCode::InvalidTopicException);
    }

    /// A core with one topic.
    fn shards(name: &str, partitions: i32) -> Shards {
        let mut catalog = Catalog::new(CatalogSettings::new("c", 1));
        let id = TopicId([1; 16]);
        catalog.apply(&CatalogRecord::Topic { name: name.to_owned(), id }).expect("a new topic");
        for index in 0..partitions {
            let record = CatalogRecord::Partition { topic: id, index, replicas: vec![1], leader_epoch: 0 };
            catalog.apply(&record).expect("the next partition");
        }
        shards_of(catalog)
    }

    #[test]
    fn a_topic_takes_about_as_much_as_was_asked_for() {
        for name in ["t", &"n".repeat(200)] {
            for version in 0..=13 {
                let shards = shards(name, 1000);
                let mut topics = LongReply::lent::<MetadataResponse>(version, 1 << 20);
                let operations = if version < 8 { OPERATIONS_NOT_ASKED } else { TOPIC_OPERATIONS };
                let told = block_on(tell_all(&shards, Asked::All, &[], operations, &mut topics));
                told.expect("there is memory");
                let (bytes, most) = (topics.bytes(), told_bytes(shards.catalog().topic(name).expect("it is there")));
                assert!(bytes <= most, "version {version}: {bytes} bytes, not {most}");
                assert!(version != 8 || most - bytes < 64, "version {version}: {bytes} bytes, not {most}");
            }
        }
    }

    #[test]
    fn a_topic_of_many_partitions_is_not_made_before_there_is_memory_for_it() {
        let shards = shards("t", 100_000);
        let mut topics = LongReply::lent::<MetadataResponse>(12, 1 << 20);
        let told = block_on(tell_all(&shards, Asked::All, &[], TOPIC_OPERATIONS, &mut topics));
        assert!(matches!(told, Err(NoReply::NoMemory { .. })) && topics.bytes() == 0, "{}", topics.bytes());
    }

    #[test]
    fn operations_are_those_of_a_broker_without_an_authorizer() {
        assert_eq!((TOPIC_OPERATIONS, CLUSTER_OPERATIONS), (3576, 8096));
    }
}
