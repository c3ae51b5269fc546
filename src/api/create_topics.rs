//! CreateTopics (key 19). Runs on the connection's core; shard 0 decides, every core applies.
//! Invariant: one result for each name, in the order of their first mention.

use std::collections::BTreeMap;
use std::future::Future;

use hashbrown::HashSet;
use shards::catalog::config::ConfigSource;
use shards::catalog::{Catalog, CatalogCommand, CatalogError, CatalogReply, CreatedTopic, NewTopic};

use super::RequestContext;
use super::config_resources::{SOURCE_DEFAULT, SOURCE_TOPIC, layer_code};
use super::errors::catalog_error_told;
use super::long_reply::LongReply;
use super::table::Served;
use crate::wire::Str;
use crate::wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: CreateTopicsRequest,
) -> impl Future<Output = Served<CreateTopicsResponse>> + use<> {
    let names: Vec<Str> = request.topics.iter().map(|topic| topic.name.as_str().into()).collect();
    let topics = request.topics.iter().map(new_topic).collect();
    let change = ctx.core.shards.change(CatalogCommand::CreateTopics { topics, validate_only: request.validate_only });
    let (core, topics_told) = (ctx.core.clone(), LongReply::of::<CreateTopicsResponse>(ctx));
    async move {
        let outcomes: Vec<Result<CreatedTopic, CatalogError>> = match change.await {
            Ok(CatalogReply::TopicsCreated(outcomes)) => outcomes,
            Ok(other) => vec![Err(CatalogError::Internal { why: format!("answered with {other:?}") }); names.len()],
            Err(e) => vec![Err(e); names.len()],
        };
        // A name given twice failed each time and is told once, as Kafka does.
        let mut told = HashSet::new();
        let once = names.into_iter().zip(outcomes).filter(|(name, _)| told.insert(name.clone()));
        let results = once.map(|(name, outcome)| match outcome {
            Ok(created) => made(&core.shards.catalog(), name, &created),
            Err(e) => failed(name, &e),
        });
        topics_told.tell(results, CreateTopicsResponse::default()).await
    }
}

fn new_topic(topic: &CreatableTopic) -> NewTopic {
    let assignments = topic.assignments.iter().map(|given| (given.partition_index, given.broker_ids.clone())).collect();
    let configs: BTreeMap<String, Option<String>> = topic
        .configs
        .iter()
        .map(|config| (config.name.to_string(), config.value.as_ref().map(ToString::to_string)))
        .collect();
    NewTopic {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments,
        configs,
    }
}

fn made(catalog: &Catalog, name: Str, created: &CreatedTopic) -> CreatableTopicResult {
    let entries = catalog.topic_defaults().entries(&created.overrides);
    let configs = entries.map(|entry| CreatableTopicConfigs {
        name: Str::from_static(entry.name),
        value: entry.value.map(Str::from),
        config_source: source_code(entry.source),
        ..Default::default()
    });
    let mut configs: Vec<_> = configs.collect();
    configs.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    CreatableTopicResult {
        name,
        topic_id: created.id,
        error_message: None,
        num_partitions: created.partitions,
        replication_factor: created.replication_factor,
        configs: Some(configs),
        ..Default::default()
    }
}

fn failed(name: Str, e: &CatalogError) -> CreatableTopicResult {
    let (error_code, error_message) = catalog_error_told(e);
    CreatableTopicResult { name, error_code, error_message, ..Default::default() }
}

fn source_code(source: ConfigSource) -> i8 {
    match source {
        ConfigSource::Topic => SOURCE_TOPIC,
        ConfigSource::Broker(_, layer) => layer_code(layer),
        ConfigSource::Default => SOURCE_DEFAULT,
    }
}

#[cfg(test)]
mod tests {
    use shards::catalog::CatalogSettings;
    use shards::types::TopicId;

    use super::*;
    use crate::wire::ErrorCode;

    fn created(overrides: &[(&str, &str)]) -> CreatedTopic {
        let catalog = Catalog::new(CatalogSettings::new("c", 1));
        let overrides: BTreeMap<String, String> =
            overrides.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let config = catalog.topic_defaults().validate(&overrides).expect("good values").into();
        CreatedTopic { id: TopicId([4; 16]), partitions: 3, replication_factor: 1, overrides, config }
    }

    #[test]
    fn a_made_topic_tells_all_of_its_configs_with_their_sources_and_no_message() {
        let catalog = Catalog::new(CatalogSettings::new("c", 1));
        let result = made(&catalog, "a".into(), &created(&[("retention.ms", "5")]));
        assert_eq!((result.error_code, result.error_message.clone()), (ErrorCode::None, None));
        let configs = result.configs.expect("told");
        assert_eq!(configs.len(), 33, "all but the internal one");
        let find = |name: &str| configs.iter().find(|config| config.name == *name).expect("a config of every topic");
        assert_eq!((find("retention.ms").value.as_deref(), find("retention.ms").config_source), (Some("5"), 1));
        assert_eq!(find("segment.bytes").config_source, 5);
    }

    #[test]
    fn a_failed_topic_tells_no_numbers() {
        let result = failed("a".into(), &CatalogError::TopicExists { name: "a".into() });
        assert_eq!(result.error_code, ErrorCode::TopicAlreadyExists);
        assert_eq!((result.num_partitions, result.replication_factor, result.topic_id), (-1, -1, TopicId::ZERO));
        assert_eq!(result.configs, Some(Vec::new()));
    }
}
