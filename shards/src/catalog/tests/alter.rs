//! AlterConfigs and IncrementalAlterConfigs, with Kafka 4.3.1's words.

use super::*;

fn incremental(catalog: &mut Catalog, asked: &[(&str, ConfigOp, Option<&str>)]) -> Result<(), CatalogError> {
    alter(catalog, "t", edits(asked))
}

fn replace(catalog: &mut Catalog, values: &[(&str, Option<&str>)]) -> Result<(), CatalogError> {
    let values = values.iter().map(|(key, value)| (key.to_string(), value.map(str::to_owned))).collect();
    alter(catalog, "t", ConfigEdit::Replace(values))
}

fn alter(catalog: &mut Catalog, topic: &str, edit: ConfigEdit) -> Result<(), CatalogError> {
    let changes = vec![change(ResourceKind::Topic, topic, edit)];
    match run(catalog, &CatalogCommand::AlterConfigs { changes, validate_only: false }, &[]) {
        Ok(CatalogReply::ConfigsAltered(mut replies)) => replies.remove(0),
        other => panic!("{other:?}"),
    }
}

fn with_topic() -> Catalog {
    let mut catalog = catalog();
    create(&mut catalog, vec![topic("t")]);
    catalog
}

fn overridden<'a>(catalog: &'a Catalog, key: &str) -> Option<&'a str> {
    catalog.topic("t").unwrap().overrides.get(key).map(String::as_str)
}

use ConfigOp::{Append, Delete, Set, Subtract};

#[test]
fn setting_and_deleting_change_what_is_in_force() {
    let mut catalog = with_topic();
    incremental(&mut catalog, &[("retention.ms", Set, Some("5")), ("flush.messages", Set, Some("9"))]).unwrap();
    assert_eq!(catalog.topic("t").unwrap().config.retention_ms, 5);
    incremental(&mut catalog, &[("retention.ms", Delete, None), ("foo", Delete, None)]).unwrap();
    let config = &catalog.topic("t").unwrap().config;
    assert_eq!((config.retention_ms, config.flush_messages), (604_800_000, 9));
}

#[test]
fn replacing_drops_what_is_not_named() {
    let mut catalog = with_topic();
    replace(&mut catalog, &[("retention.ms", Some("5")), ("segment.ms", Some("7"))]).unwrap();
    replace(&mut catalog, &[("segment.ms", Some("8"))]).unwrap();
    assert_eq!((overridden(&catalog, "retention.ms"), overridden(&catalog, "segment.ms")), (None, Some("8")));
    let nothing = CatalogCommand::AlterConfigs {
        changes: vec![change(
            ResourceKind::Topic,
            "t",
            ConfigEdit::Replace(vec![("segment.ms".into(), Some("8".into()))]),
        )],
        validate_only: false,
    };
    assert!(catalog.decide(&nothing, &[]).unwrap().records.is_empty());
}

#[test]
fn lists_are_appended_to_and_subtracted_from() {
    let mut catalog = with_topic();
    incremental(&mut catalog, &[("cleanup.policy", Append, Some("delete"))]).unwrap();
    assert_eq!(overridden(&catalog, "cleanup.policy"), Some("delete"));
    incremental(&mut catalog, &[("cleanup.policy", Append, Some(",,"))]).unwrap();
    assert_eq!(overridden(&catalog, "cleanup.policy"), Some("delete"), "commas alone are nothing");
    incremental(&mut catalog, &[("cleanup.policy", Append, Some("delete,compact,"))]).unwrap();
    assert_eq!(overridden(&catalog, "cleanup.policy"), Some("delete,compact"));
    assert!(incremental(&mut catalog, &[("cleanup.policy", Append, Some(",compact"))]).is_err(), "an empty item");
    incremental(&mut catalog, &[("cleanup.policy", Subtract, Some("delete"))]).unwrap();
    assert_eq!(overridden(&catalog, "cleanup.policy"), Some("compact"));
    incremental(&mut catalog, &[("cleanup.policy", Subtract, Some("compact"))]).unwrap();
    assert_eq!(overridden(&catalog, "cleanup.policy"), Some(""));
}

#[test]
fn refusals_are_worded_as_kafka_words_them() {
    let mut catalog = with_topic();
    let mut refused = |key, op, value| text(&incremental(&mut catalog, &[(key, op, value)]));
    assert_eq!(refused("retention.ms", Set, None), "Null value not supported for : retention.ms");
    assert_eq!(
        refused("retention.ms", Append, Some("5")),
        "Can't APPEND to key retention.ms because its type is not LIST."
    );
    assert_eq!(refused("foo", Subtract, Some("5")), "Can't SUBTRACT to key foo because its type is not LIST.");
    assert_eq!(refused("foo", Set, Some("5")), "Unknown topic config name: foo");
    let number = "Invalid value x for configuration retention.ms: Not a number of type LONG";
    assert_eq!(refused("retention.ms", Set, Some("x")), number);
    let twice = [("retention.ms", Set, Some("5")), ("retention.ms", Delete, None)];
    assert_eq!(text(&incremental(&mut catalog, &twice)), "Error due to duplicate config keys");
    assert!(matches!(replace(&mut catalog, &[("retention.ms", None)]), Err(CatalogError::InvalidRequest { .. })));
    let nulls = [("retention.ms", Set, None), ("segment.ms", Append, None)];
    assert_eq!(text(&incremental(&mut catalog, &nulls)), "Null value not supported for : retention.ms, segment.ms");
    let nulls = [("retention.ms", None), ("segment.ms", None)];
    assert_eq!(text(&replace(&mut catalog, &nulls)), "Null value not supported for : retention.ms, segment.ms");
    let nothing = || ConfigEdit::Incremental(Vec::new());
    assert_eq!(text(&alter(&mut catalog, "x", nothing())), "The topic 'x' does not exist.");
    assert_eq!(text(&alter(&mut catalog, "", nothing())), "Default topic resources are not allowed.");
    assert!(matches!(alter(&mut catalog, "a b", nothing()), Err(CatalogError::InvalidTopicName { .. })));
    assert!(catalog.topic("t").unwrap().overrides.is_empty());
}

#[test]
fn the_configs_of_all_groups_are_bounded() {
    let mut catalog = catalog();
    let mut alter = |from: usize, op: ConfigOp| {
        let groups = (from..from + 200).map(|n| format!("{n:030000}"));
        let edits = vec![("consumer.session.timeout.ms".to_owned(), op, Some("50000".to_owned()))];
        let changes =
            groups.map(|name| change(ResourceKind::Group, &name, ConfigEdit::Incremental(edits.clone()))).collect();
        match run(&mut catalog, &CatalogCommand::AlterConfigs { changes, validate_only: false }, &[]) {
            Ok(CatalogReply::ConfigsAltered(replies)) => replies,
            other => panic!("{other:?}"),
        }
    };
    assert!(alter(0, Set).iter().all(Result::is_ok));
    let refused = alter(200, Set).into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert!((100..150).contains(&refused.len()), "{}", refused.len());
    assert!(matches!(refused[0], CatalogError::PolicyViolation { .. }));
    assert!(alter(0, Set).iter().all(Result::is_ok), "what is there may change");
    assert!(alter(0, Delete).iter().all(Result::is_ok));
    assert!(alter(400, Set).iter().all(Result::is_ok), "there is room again");
}

#[test]
fn a_group_has_configs_of_its_own_whether_it_exists_or_not() {
    let mut catalog = catalog();
    let mut alter = |group: &str, edits: &[(&str, ConfigOp, Option<&str>)]| {
        let edits = edits.iter().map(|(key, op, value)| (key.to_string(), *op, value.map(str::to_owned))).collect();
        let changes = vec![change(ResourceKind::Group, group, ConfigEdit::Incremental(edits))];
        let outcome = match run(&mut catalog, &CatalogCommand::AlterConfigs { changes, validate_only: false }, &[]) {
            Ok(CatalogReply::ConfigsAltered(mut replies)) => replies.remove(0),
            other => panic!("{other:?}"),
        };
        let listed: Vec<String> = catalog.groups_with_configs().map(ToString::to_string).collect();
        (outcome, listed, catalog.group_config("g").session_timeout_ms)
    };
    let (session, beat) = ("consumer.session.timeout.ms", "consumer.heartbeat.interval.ms");
    assert_eq!(
        alter("g", &[(session, Set, Some("50000")), (beat, Set, Some("6000"))]),
        (Ok(()), vec!["g".into()], 50_000)
    );
    assert_eq!(alter("g", &[(session, Delete, None), ("foo", Delete, None)]), (Ok(()), vec!["g".into()], 45_000));
    assert_eq!(alter("g", &[(beat, Delete, None)]), (Ok(()), vec![], 45_000));
    let (no_list, ..) = alter("g", &[(session, Append, Some("1"))]);
    assert_eq!(text(&no_list), "Can't APPEND to key consumer.session.timeout.ms because its type is not LIST.");
    assert_eq!(text(&alter("", &[(session, Set, Some("50000"))]).0), "Default group resources are not allowed.");
    assert_eq!(
        text(&alter("g", &[(session, Set, None)]).0),
        "Null value not supported for : consumer.session.timeout.ms"
    );
    assert_eq!(
        alter("g", &[(session, Set, Some("50"))]).1,
        Vec::<String>::new(),
        "nothing is taken of what is refused"
    );
}

#[test]
fn client_metrics_are_kept_as_they_are_set_and_gone_with_the_last_of_their_configs() {
    let mut catalog = catalog();
    let mut alter = |name: &str, asked: &[(&str, ConfigOp, Option<&str>)]| {
        let changes = vec![change(ResourceKind::Metrics, name, edits(asked))];
        let outcome = match run(&mut catalog, &CatalogCommand::AlterConfigs { changes, validate_only: false }, &[]) {
            Ok(CatalogReply::ConfigsAltered(mut replies)) => replies.remove(0),
            other => panic!("{other:?}"),
        };
        (outcome, catalog.metrics_with_configs().map(ToString::to_string).collect::<Vec<_>>())
    };
    let both = [("interval.ms", Set, Some("1000")), ("match", Set, Some("client_id=a"))];
    assert_eq!(alter("s", &both), (Ok(()), vec!["s".into()]));
    assert_eq!(alter("s", &[("match", Delete, None), ("foo", Delete, None)]), (Ok(()), vec!["s".into()]));
    assert_eq!(text(&alter("s", &[("interval.ms", Set, Some("99"))]).0)[..20], *"Invalid value 99 for");
    assert_eq!(
        text(&alter("s", &[("metrics", Append, Some("a"))]).0),
        "Can't APPEND to key metrics because its type is not LIST."
    );
    assert_eq!(text(&alter("", &both).0), "Subscription name can't be empty");
    assert_eq!(alter("s", &[("interval.ms", Delete, None)]), (Ok(()), vec![]));
}

#[test]
fn an_operation_that_there_is_not_fails_all_that_kafkas_controller_would_be_handed_with_it() {
    let mut catalog = with_topic();
    let good = || change(ResourceKind::Topic, "t", edits(&[("segment.ms", Set, Some("5"))]));
    let odd = |kind, name| change(kind, name, edits(&[("log.retention.ms", ConfigOp::Unknown(9), Some("1"))]));
    let null = || change(ResourceKind::Topic, "u", edits(&[("segment.ms", Set, None)]));
    let mut alter = |changes: Vec<ConfigChange>| {
        let replies = match run(&mut catalog, &CatalogCommand::AlterConfigs { changes, validate_only: false }, &[]) {
            Ok(CatalogReply::ConfigsAltered(replies)) => replies,
            other => panic!("{other:?}"),
        };
        let told = replies.into_iter().map(|reply| match reply {
            Ok(()) => "done",
            Err(CatalogError::UnknownConfigOp { .. }) => "tripped",
            Err(CatalogError::InvalidRequest { .. }) => "refused",
            other => panic!("{other:?}"),
        });
        (told.collect::<Vec<_>>(), catalog.topic("t").unwrap().overrides.len())
    };
    let of_group = || odd(ResourceKind::Group, "g");
    assert_eq!(alter(vec![null(), good(), of_group()]), (vec!["refused", "tripped", "tripped"], 0));
    let broker = change(ResourceKind::Broker, "1", edits(&[("log.retention.ms", Set, Some("5"))]));
    assert_eq!(alter(vec![of_group(), broker]), (vec!["tripped", "tripped"], 0));
    assert_eq!(alter(vec![of_group(), of_group(), good()]), (vec!["refused", "refused", "done"], 1), "each but once");
    assert_eq!(alter(vec![odd(ResourceKind::Broker, "1"), good()]), (vec!["refused", "done"], 1));
}

#[test]
fn a_value_that_no_record_can_carry_is_refused() {
    let mut catalog = with_topic();
    let key = "leader.replication.throttled.replicas";
    let many = |from: u32| (from..from + 4000).map(|n| format!("{n}:1")).collect::<Vec<_>>().join(",");
    incremental(&mut catalog, &[(key, Set, Some(&many(1)))]).unwrap();
    let refused = incremental(&mut catalog, &[(key, Append, Some(&many(5000)))]);
    assert!(matches!(refused, Err(CatalogError::InvalidConfig(ConfigError::TooLong { .. }))));
}
