//! The topics that the broker makes for itself, as Kafka makes them: not as a client's. Connection's core.
//! Invariant: however a topic of these comes about, but by a client's own CreateTopics, it has the same partitions and configs.

use shards::catalog::{NewTopic, is_internal_topic};
use shards::group::OFFSETS_TOPIC;

use super::OffsetsTopic;

/// The topic of the groups.
pub(super) fn offsets_topic(settings: &OffsetsTopic) -> NewTopic {
    let configs = [
        // Kafka's coordinators compress by themselves, if at all.
        ("compression.type", "producer".to_owned()),
        ("cleanup.policy", "compact".to_owned()),
        ("segment.bytes", settings.segment_bytes.to_string()),
    ];
    NewTopic {
        partitions: settings.partitions,
        configs: configs.into_iter().map(|(key, value)| (key.to_owned(), Some(value))).collect(),
        ..NewTopic::named(OFFSETS_TOPIC)
    }
}

/// A topic that is made because somebody asks for it: as a client's, if it is none of ours. `None` for one of a part that is
/// not there yet: it would wait for that part with the configs of a client's.
pub(super) fn asked_for(name: &str, settings: &OffsetsTopic) -> Option<NewTopic> {
    match name {
        OFFSETS_TOPIC => Some(offsets_topic(settings)),
        _ if is_internal_topic(name) => None,
        _ => Some(NewTopic::named(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_topic_of_ours_is_made_as_a_clients() {
        let settings = OffsetsTopic { partitions: 7, segment_bytes: 5 << 20 };
        let made = |name| asked_for(name, &settings).map(|topic| (topic.partitions, topic.configs.len()));
        assert_eq!(made("a"), Some((-1, 0)));
        assert_eq!(made(OFFSETS_TOPIC), Some((7, 3)));
        assert_eq!(["__transaction_state", "__share_group_state", "__cluster_metadata"].map(made), [None; 3]);
    }
}
