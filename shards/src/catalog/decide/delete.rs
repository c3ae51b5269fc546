//! DeleteTopics, by name or by id. Shard 0 only.
//!
//! Invariant: a topic that is named twice, in whatever way, stays.

use super::super::command::{CatalogError, DeletedTopic, TopicRef};
use super::super::record::CatalogRecord;
use super::super::state::Catalog;
use super::super::topic::Topic;
use super::{count_by, duplicate_name};

impl Catalog {
    pub(super) fn delete_topics(
        &self,
        topics: &[TopicRef],
        records: &mut Vec<CatalogRecord>,
    ) -> Vec<Result<DeletedTopic, CatalogError>> {
        let asked = count_by(topics, Clone::clone);
        let meant = count_by(topics, |asked| self.referred(asked).map(|topic| topic.id));
        let twice = |topic: &TopicRef| asked.get(topic).is_some_and(|&times| times > 1);
        let replies = topics.iter().map(|asked| {
            if twice(asked) {
                return Err(match asked {
                    TopicRef::Name(_) => duplicate_name(),
                    TopicRef::Id(_) => CatalogError::InvalidRequest { why: "Duplicate topic id.".into() },
                });
            }
            let topic = self.referred(asked).ok_or_else(|| match asked {
                TopicRef::Name(name) => CatalogError::UnknownTopic { name: name.clone() },
                TopicRef::Id(id) => CatalogError::UnknownTopicId { id: *id },
            })?;
            if meant.get(&Some(topic.id)).is_some_and(|&times| times > 1) {
                let why = "The provided topic name maps to an ID that was already supplied.".to_owned();
                return Err(CatalogError::InvalidRequest { why });
            }
            records.push(CatalogRecord::RemoveTopic { id: topic.id });
            Ok(DeletedTopic { id: topic.id, name: topic.name.clone() })
        });
        replies.collect()
    }

    fn referred(&self, asked: &TopicRef) -> Option<&Topic> {
        match asked {
            TopicRef::Name(name) => self.topic(name),
            TopicRef::Id(id) => self.topic_by_id(*id),
        }
    }
}
