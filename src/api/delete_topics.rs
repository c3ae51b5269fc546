//! DeleteTopics (key 20), by name, from version 6 also by id. Runs on the connection's core; shard 0 decides, every core
//! applies. Invariant: one result for each topic named.

use std::future::Future;

use hashbrown::HashSet;
use shards::catalog::{Catalog, CatalogCommand, CatalogError, CatalogReply, TopicRef};
use shards::types::TopicId;

use super::RequestContext;
use super::errors::catalog_error_told;
use super::table::Served;
use crate::wire::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use crate::wire::{ErrorCode, Str};

/// What an entry of the request comes to.
enum Asked {
    Failed(DeletableTopicResult),
    Topic(TopicRef),
}

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: DeleteTopicsRequest,
) -> impl Future<Output = Served<DeleteTopicsResponse>> + use<> {
    let mut asked: Vec<Asked> = if ctx.version >= 6 {
        request.topics.iter().map(from_state).collect()
    } else {
        request.topic_names.iter().map(|name| Asked::Topic(TopicRef::Name(name.to_string()))).collect()
    };
    asked = without_pairs(&ctx.core.shards.catalog(), asked);
    if !ctx.core.settings.delete_topics {
        asked = asked.into_iter().map(|asked| disabled(asked, ctx.version)).collect();
    }
    let topics: Vec<TopicRef> = asked
        .iter()
        .filter_map(|asked| match asked {
            Asked::Topic(topic) => Some(topic.clone()),
            Asked::Failed(_) => None,
        })
        .collect();
    let change = (!topics.is_empty()).then(|| ctx.core.shards.change(CatalogCommand::DeleteTopics { topics }));
    async move {
        let outcomes = match change {
            None => Ok(Vec::new()),
            Some(change) => match change.await {
                Ok(CatalogReply::TopicsDeleted(outcomes)) => Ok(outcomes),
                Ok(_) => Err(CatalogError::Internal { why: "another command was answered".into() }),
                Err(e) => Err(e),
            },
        };
        let mut outcomes = outcomes.map(Vec::into_iter);
        let responses = asked.into_iter().map(|asked| match asked {
            Asked::Failed(result) => result,
            Asked::Topic(topic) => match &mut outcomes {
                Err(e) => failed(topic, e),
                Ok(outcomes) => match outcomes.next() {
                    Some(Ok(deleted)) => DeletableTopicResult {
                        name: Some(Str::from(&*deleted.name)),
                        topic_id: deleted.id,
                        ..Default::default()
                    },
                    Some(Err(e)) => failed(topic, &e),
                    None => failed(topic, &CatalogError::Internal { why: "a topic was not answered".into() }),
                },
            },
        });
        // A topic given twice in the same way failed each time and is told once, as Kafka does.
        let mut told = HashSet::new();
        let responses = responses.filter(|result| told.insert((result.name.clone(), result.topic_id))).collect();
        DeleteTopicsResponse { responses, ..Default::default() }.into()
    }
}

/// `delete.topic.enable` is off. Clients of versions before 3 do not know that code.
fn disabled(asked: Asked, version: i16) -> Asked {
    let result = match asked {
        Asked::Failed(result) => result,
        Asked::Topic(TopicRef::Name(name)) => {
            DeletableTopicResult { name: Some(Str::from(name)), ..Default::default() }
        }
        Asked::Topic(TopicRef::Id(id)) => DeletableTopicResult { topic_id: id, ..Default::default() },
    };
    let error_code = if version < 3 { ErrorCode::InvalidRequest } else { ErrorCode::TopicDeletionDisabled };
    Asked::Failed(DeletableTopicResult { error_code, error_message: None, ..result })
}

fn from_state(state: &DeleteTopicState) -> Asked {
    let refused = |why: &'static str| {
        Asked::Failed(DeletableTopicResult {
            name: state.name.as_deref().map(Str::from),
            topic_id: state.topic_id,
            error_code: ErrorCode::InvalidRequest,
            error_message: Some(Str::from_static(why)),
        })
    };
    match (&state.name, state.topic_id) {
        (Some(name), TopicId::ZERO) => Asked::Topic(TopicRef::Name(name.to_string())),
        (None, TopicId::ZERO) => refused("Neither topic name nor id were specified."),
        (None, id) => Asked::Topic(TopicRef::Id(id)),
        (Some(_), _) => refused("You may not specify both topic name and topic id."),
    }
}

/// A topic given by its name and by its id fails once, under both.
fn without_pairs(catalog: &Catalog, asked: Vec<Asked>) -> Vec<Asked> {
    let names: HashSet<String> = asked
        .iter()
        .filter_map(|asked| match asked {
            Asked::Topic(TopicRef::Name(name)) => Some(name.clone()),
            _ => None,
        })
        .collect();
    let mut paired = HashSet::new();
    let mut without: Vec<Asked> = asked
        .into_iter()
        .map(|asked| match &asked {
            Asked::Topic(TopicRef::Id(id)) => match catalog.topic_by_id(*id) {
                Some(topic) if names.contains(&*topic.name) => {
                    paired.insert(topic.name.to_string());
                    Asked::Failed(DeletableTopicResult {
                        name: Some(Str::from(&*topic.name)),
                        topic_id: *id,
                        error_code: ErrorCode::InvalidRequest,
                        error_message: Some(Str::from_static("The topic is given by its name and by its id.")),
                    })
                }
                _ => asked,
            },
            _ => asked,
        })
        .collect();
    without.retain(|asked| !matches!(asked, Asked::Topic(TopicRef::Name(name)) if paired.contains(name)));
    without
}

fn failed(topic: TopicRef, e: &CatalogError) -> DeletableTopicResult {
    let (name, topic_id) = match topic {
        TopicRef::Name(name) => (Some(Str::from(name)), TopicId::ZERO),
        TopicRef::Id(id) => (None, id),
    };
    let (error_code, error_message) = match e {
        // Kafka's text here differs from the one that it has for configs.
        CatalogError::UnknownTopic { .. } => {
            let text = Str::from_static("This server does not host this topic-partition.");
            (ErrorCode::UnknownTopicOrPartition, Some(text))
        }
        e => catalog_error_told(e),
    };
    DeletableTopicResult { name, topic_id, error_code, error_message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_names_its_topic_in_exactly_one_way() {
        let state =
            |name: Option<&str>, topic_id| from_state(&DeleteTopicState { name: name.map(Str::from), topic_id });
        let id = TopicId([1; 16]);
        assert!(matches!(state(Some("a"), TopicId::ZERO), Asked::Topic(TopicRef::Name(name)) if name == "a"));
        assert!(matches!(state(None, id), Asked::Topic(TopicRef::Id(found)) if found == id));
        for (name, topic_id) in [(None, TopicId::ZERO), (Some("a"), id)] {
            let Asked::Failed(result) = state(name, topic_id) else { panic!("refused") };
            assert_eq!((result.error_code, result.topic_id), (ErrorCode::InvalidRequest, topic_id));
        }
    }
}
