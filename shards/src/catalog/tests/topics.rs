//! DeleteTopics, CreatePartitions, producer ids, runs, and reading the catalog.

use super::*;
use crate::types::ProducerId;

fn delete(catalog: &mut Catalog, topics: Vec<TopicRef>) -> Vec<Result<DeletedTopic, CatalogError>> {
    match run(catalog, &CatalogCommand::DeleteTopics { topics }, &[]) {
        Ok(CatalogReply::TopicsDeleted(deleted)) => deleted,
        other => panic!("{other:?}"),
    }
}

fn grow(catalog: &mut Catalog, name: &str, count: i32, assignments: Option<Vec<Vec<i32>>>) -> Result<(), CatalogError> {
    let topics = vec![MorePartitions { name: name.into(), count, assignments }];
    match run(catalog, &CatalogCommand::CreatePartitions { topics, validate_only: false }, &[]) {
        Ok(CatalogReply::PartitionsCreated(mut replies)) => replies.remove(0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn topics_are_deleted_by_name_and_by_id() {
    let mut catalog = catalog();
    create(&mut catalog, vec![topic("a"), topic("b"), topic("c.d")]);
    let b = catalog.topic("b").unwrap().id;
    let name = |name: &str| TopicRef::Name(name.into());
    let deleted = delete(&mut catalog, vec![name("c.d"), TopicRef::Id(b), name("x"), TopicRef::Id(id(1))]);
    assert_eq!(deleted[1].as_ref().unwrap().name.as_ref(), "b");
    assert!(matches!(deleted[2], Err(CatalogError::UnknownTopic { .. })));
    assert!(matches!(deleted[3], Err(CatalogError::UnknownTopicId { .. })));
    assert_eq!(catalog.topics().map(|t| &*t.name).collect::<Vec<_>>(), ["a"]);
    assert_eq!(catalog.partition_count(), 1);
    // Its name is free again, and so is what collided with it.
    assert!(create(&mut catalog, vec![topic("c_d")])[0].is_ok());
}

#[test]
fn a_topic_named_twice_stays() {
    let mut catalog = catalog();
    create(&mut catalog, vec![topic("a"), topic("b")]);
    let a = catalog.topic("a").unwrap().id;
    let name = |name: &str| TopicRef::Name(name.into());
    let deleted = delete(
        &mut catalog,
        vec![name("a"), name("b"), TopicRef::Id(a), name("b"), TopicRef::Id(id(1)), TopicRef::Id(id(1))],
    );
    assert_eq!(text(&deleted[0]), "The provided topic name maps to an ID that was already supplied.");
    assert_eq!(text(&deleted[1]), "Duplicate topic name.");
    assert_eq!(text(&deleted[4]), "Duplicate topic id.");
    assert!(deleted.iter().all(Result::is_err));
    assert_eq!(catalog.topic_count(), 2);
}

#[test]
fn the_metadata_log_is_out_of_reach_of_clients() {
    let mut catalog = catalog();
    let deleted = delete(&mut catalog, vec![TopicRef::Name(METADATA_TOPIC.into()), TopicRef::Id(TopicId::METADATA)]);
    assert!(deleted.iter().all(Result::is_err));
    assert!(matches!(grow(&mut catalog, METADATA_TOPIC, 5, None), Err(CatalogError::UnknownTopic { .. })));
    assert!(catalog.topic(METADATA_TOPIC).is_none() && catalog.topic_by_id(TopicId::METADATA).is_none());
    let metadata = catalog.topic_with_log(TopicId::METADATA).unwrap();
    assert_eq!((metadata.partitions, metadata.config.retention_ms, metadata.is_internal()), (1, -1, true));
    assert!(metadata.config.syncs_before_ack());
}

#[test]
fn partitions_only_grow() {
    let mut catalog = catalog();
    create(&mut catalog, vec![NewTopic { partitions: 2, ..topic("t") }]);
    let refused =
        |count, assignments: Option<Vec<Vec<i32>>>| text(&grow(&mut catalog.clone(), "t", count, assignments));
    assert_eq!(refused(1, None), "The topic t currently has 2 partition(s); 1 would not be an increase.");
    assert_eq!(refused(-1, None), "The topic t currently has 2 partition(s); -1 would not be an increase.");
    assert_eq!(refused(2, None), "Topic already has 2 partition(s).");
    let few = "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.";
    assert_eq!(refused(4, Some(vec![vec![1]])), few);
    let unknown = "The manual partition assignment includes broker 5, but no such broker is registered.";
    assert_eq!(refused(3, Some(vec![vec![5]])), unknown);
    assert_eq!(refused(i32::MAX, None), "Excessively large number of partitions per request.");
    assert_eq!(grow(&mut catalog, "t", 5, Some(vec![vec![1]; 3])), Ok(()));
    assert_eq!((catalog.topic("t").unwrap().partitions, catalog.partition_count()), (5, 5));
}

#[test]
fn every_start_raises_the_leader_epoch_of_every_partition() {
    let mut catalog = catalog();
    create(&mut catalog, vec![topic("old")]);
    start(&mut catalog);
    start(&mut catalog);
    create(&mut catalog, vec![topic("new")]);
    let epoch = |name: &str| catalog.leader_epoch(catalog.topic(name).unwrap()).0;
    assert_eq!((epoch("old"), epoch("new"), catalog.run()), (2, 0, 3));
    grow(&mut catalog, "old", 2, None).unwrap();
    let view = catalog.partition(catalog.topic("old").unwrap(), 1).unwrap();
    assert_eq!((view.leader, view.leader_epoch.0, view.replicas, view.isr), (1, 2, &[1][..], &[1][..]));
    assert_eq!(catalog.partition(catalog.topic("old").unwrap(), 2), None);
    assert_eq!(catalog.partition(catalog.topic("old").unwrap(), -1), None);
}

#[test]
fn the_first_start_says_which_records_a_reader_must_know() {
    let catalog = catalog();
    assert_eq!(catalog.feature("metadata.version"), Some(30));
    let command = CatalogCommand::StartRun { incarnation: [1; 16], endpoints: Vec::new(), rack: None };
    let decision = catalog.decide(&command, &[]).unwrap();
    assert!(matches!(decision.records[..], [CatalogRecord::RegisterBroker(_)]));
    assert_eq!(decision.reply, CatalogReply::RunStarted { run: 2 });
}

#[test]
fn blocks_of_producer_ids_follow_one_another() {
    let mut catalog = catalog();
    let mut next = || match run(&mut catalog, &CatalogCommand::AllocateProducerIds, &[]) {
        Ok(CatalogReply::ProducerIds(block)) => block,
        other => panic!("{other:?}"),
    };
    assert_eq!(next(), ProducerIdBlock { first: ProducerId(0), count: 1000 });
    assert_eq!(next().first, ProducerId(1000));
    let used_up = CatalogRecord::ProducerIds { broker: 1, run: 1, next: i64::MAX - 5 };
    catalog.apply(&used_up).unwrap();
    assert_eq!(
        catalog.decide(&CatalogCommand::AllocateProducerIds, &[]).unwrap_err(),
        CatalogError::ProducerIdsExhausted
    );
}

#[test]
fn topics_come_sorted_by_name() {
    let mut catalog = catalog();
    create(&mut catalog, vec![topic("c"), topic("a"), topic("b")]);
    assert_eq!(catalog.topics().map(|t| &*t.name).collect::<Vec<_>>(), ["a", "b", "c"]);
    let ids = |name: &str| catalog.topic(name).unwrap().partition_ids().len();
    assert_eq!((ids("a"), catalog.topic_count(), catalog.partition_count()), (1, 3, 3));
}
