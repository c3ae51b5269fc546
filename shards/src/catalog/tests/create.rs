//! CreateTopics: each refusal with Kafka 4.3.1's words, as read on its wire.

use super::*;

fn one(topic: NewTopic) -> Result<CreatedTopic, CatalogError> {
    create(&mut catalog(), vec![topic]).remove(0)
}

fn assigned(assignments: &[(i32, &[i32])]) -> NewTopic {
    let assignments = assignments.iter().map(|(index, brokers)| (*index, brokers.to_vec())).collect();
    NewTopic { assignments, ..topic("t") }
}

fn with_config(key: &str, value: Option<&str>) -> NewTopic {
    NewTopic { configs: [(key.to_owned(), value.map(str::to_owned))].into(), ..topic("t") }
}

#[test]
fn a_topic_gets_the_defaults_that_it_does_not_name() {
    let mut catalog = catalog();
    let created = create(&mut catalog, vec![topic("t")]).remove(0).unwrap();
    assert_eq!((created.partitions, created.replication_factor), (1, 1));
    let made = catalog.topic("t").unwrap();
    assert_eq!((made.id, made.partitions, made.config.flush_messages), (created.id, 1, 1));
    assert_eq!(catalog.topic_by_id(created.id), Some(made));
    assert_eq!(catalog.leader_epoch(made).0, 0);
}

#[test]
fn counts_below_one_are_refused() {
    for partitions in [0, -2] {
        let refused = one(NewTopic { partitions, ..topic("t") });
        assert!(matches!(refused, Err(CatalogError::InvalidPartitions { .. })));
        assert_eq!(text(&refused), "Number of partitions was set to an invalid non-positive value.");
    }
    for replication_factor in [0, -2] {
        let refused = one(NewTopic { replication_factor, ..topic("t") });
        assert_eq!(text(&refused), "Replication factor must be larger than 0, or -1 to use the default value.");
    }
    let refused = one(NewTopic { replication_factor: 3, ..topic("t") });
    assert!(matches!(refused, Err(CatalogError::InvalidReplicationFactor { .. })));
    assert!(
        text(&refused).starts_with("Unable to replicate the partition 3 time(s): The target replication factor of 3")
    );
}

#[test]
fn assignments_must_be_this_node_once_for_consecutive_partitions() {
    assert_eq!(one(assigned(&[(1, &[1]), (0, &[1])])).unwrap().partitions, 2);
    let cases: [(&[(i32, &[i32])], &str); 8] = [
        (&[(1, &[1])], "partitions should be a consecutive 0-based integer sequence"),
        (&[(0, &[1]), (2, &[1])], "partitions should be a consecutive 0-based integer sequence"),
        (&[(-1, &[1])], "partitions should be a consecutive 0-based integer sequence"),
        (&[(0, &[5])], "The manual partition assignment includes broker 5, but no such broker is registered."),
        (&[(0, &[1, 2])], "The manual partition assignment includes broker 2, but no such broker is registered."),
        (&[(0, &[1, 1])], "The manual partition assignment includes the broker 1 more than once."),
        (&[(0, &[])], "The manual partition assignment includes an empty replica list."),
        (&[(0, &[1]), (0, &[1])], "Found multiple manual partition assignments for partition 0"),
    ];
    for (assignments, message) in cases {
        let refused = one(assigned(assignments));
        assert!(matches!(refused, Err(CatalogError::InvalidReplicaAssignment { .. })), "{assignments:?}");
        assert_eq!(text(&refused), message, "{assignments:?}");
    }
}

#[test]
fn assignments_exclude_counts() {
    let refused = one(NewTopic { partitions: 1, ..assigned(&[(0, &[1])]) });
    assert!(matches!(refused, Err(CatalogError::InvalidRequest { .. })));
    assert_eq!(text(&refused), "A manual partition assignment was specified, but numPartitions was not set to -1.");
    let refused = one(NewTopic { replication_factor: 1, ..assigned(&[(0, &[1])]) });
    assert_eq!(
        text(&refused),
        "A manual partition assignment was specified, but replication factor was not set to -1."
    );
}

#[test]
fn a_name_twice_in_one_command_is_refused_twice_and_the_others_are_made() {
    let mut catalog = catalog();
    let created = create(&mut catalog, vec![topic("a"), topic("b"), topic("a")]);
    assert_eq!(
        (text(&created[0]), text(&created[2])),
        ("Duplicate topic name.".into(), "Duplicate topic name.".into())
    );
    assert!(created[1].is_ok() && catalog.topic("a").is_none());
}

#[test]
fn names_that_collide_are_refused_across_commands_and_not_in_one() {
    let mut catalog = catalog();
    create(&mut catalog, vec![topic("a.b")]);
    let later = create(&mut catalog, vec![topic("a_b"), topic("a.b")]);
    assert_eq!(text(&later[0]), "Topic 'a_b' collides with existing topic: a.b");
    assert_eq!(text(&later[1]), "Topic 'a.b' already exists.");
    let both = create(&mut catalog, vec![topic("c_d.e"), topic("c.d.e")]);
    assert!(both.iter().all(Result::is_ok), "{both:?}");
    for name in ["c.d.e", "c_d.e"] {
        let refused = create(&mut catalog, vec![topic("c.d_e")]);
        assert_eq!(text(&refused[0]), format!("Topic 'c.d_e' collides with existing topic: {name}"));
        let topics = vec![TopicRef::Name(name.to_owned())];
        run(&mut catalog, &CatalogCommand::DeleteTopics { topics }, &[]).expect("deleted");
    }
    assert!(create(&mut catalog, vec![topic("c.d_e")])[0].is_ok(), "both are gone");
}

#[test]
fn the_name_is_checked_before_configs_and_configs_before_counts() {
    let bad = NewTopic { partitions: 0, ..with_config("foo", Some("1")) };
    assert_eq!(text(&one(bad.clone())), "Unknown topic config name: foo");
    let worse = NewTopic { name: "a b".into(), ..bad };
    assert!(matches!(one(worse), Err(CatalogError::InvalidTopicName { .. })));
}

#[test]
fn internal_names_are_only_partly_reserved() {
    let refused = one(topic("__cluster_metadata"));
    assert!(matches!(refused, Err(CatalogError::InvalidRequest { .. })));
    assert_eq!(text(&refused), "Creation of internal topic __cluster_metadata is prohibited.");
    assert!(one(topic("__consumer_offsets")).is_ok());
}

#[test]
fn configs_are_checked_and_stored_as_given() {
    let mut catalog = catalog();
    create(&mut catalog, vec![with_config("retention.ms", Some(" 5 "))]).remove(0).unwrap();
    let made = catalog.topic("t").unwrap();
    assert_eq!((made.config.retention_ms, made.overrides["retention.ms"].as_str()), (5, " 5 "));
    assert_eq!(text(&one(with_config("foo", None))), "Null value not supported for topic configs: foo");
    let removed = one(with_config("message.format.version", Some("3.0")));
    assert_eq!(text(&removed), "Unknown topic config name: message.format.version");
}

#[test]
fn validation_makes_every_check_and_no_topic() {
    let mut catalog = catalog();
    let topics = vec![topic("a"), NewTopic { partitions: 0, ..topic("b") }];
    let command = CatalogCommand::CreateTopics { topics, validate_only: true };
    let decision = catalog.decide(&command, &[id(1), id(2)]).unwrap();
    assert!(decision.records.is_empty());
    let CatalogReply::TopicsCreated(created) = decision.reply else { panic!() };
    assert!(created[0].is_ok() && created[1].is_err());
    run(&mut catalog, &command, &[id(1), id(2)]).unwrap();
    assert_eq!(catalog.topic_count(), 0);
}

#[test]
fn partitions_are_bounded_by_the_command_and_by_the_broker() {
    let command = |partitions| CatalogCommand::CreateTopics {
        topics: vec![NewTopic { partitions, ..topic("a") }, NewTopic { partitions, ..topic("b") }],
        validate_only: false,
    };
    let refused = catalog().decide(&command(5_001), &[id(1), id(2)]).unwrap_err();
    assert_eq!(refused.to_string(), "Excessively large number of partitions per request.");
    assert!(catalog().decide(&command(i32::MAX), &[id(1), id(2)]).is_err());

    let mut small = Catalog::new(CatalogSettings { partitions_max: 5, ..CatalogSettings::new("c", 1) });
    let created =
        create(&mut small, vec![NewTopic { partitions: 3, ..topic("a") }, NewTopic { partitions: 3, ..topic("b") }]);
    assert!(created[0].is_ok());
    assert_eq!(created[1], Err(CatalogError::TooManyPartitions { asked: 3, there: 3, max: 5 }));
    assert_eq!(small.partition_count(), 3);
}

#[test]
fn a_topic_id_is_never_used_twice() {
    let mut catalog = catalog();
    create(&mut catalog, vec![topic("a")]).remove(0).unwrap();
    let taken = catalog.topic("a").unwrap().id;
    let command = CatalogCommand::CreateTopics { topics: vec![topic("b")], validate_only: false };
    for bad in [taken, TopicId::ZERO, TopicId::METADATA] {
        let CatalogReply::TopicsCreated(created) = catalog.decide(&command, &[bad]).unwrap().reply else { panic!() };
        assert!(matches!(created[0], Err(CatalogError::Internal { .. })));
    }
    assert!(matches!(catalog.decide(&command, &[]), Err(CatalogError::Internal { .. })));
}
