//! AlterConfigs and IncrementalAlterConfigs, with Kafka 4.3.1's words.

use super::*;

fn incremental(catalog: &mut Catalog, edits: &[(&str, ConfigOp, Option<&str>)]) -> Result<(), CatalogError> {
    let edits = edits.iter().map(|(key, op, value)| (key.to_string(), *op, value.map(str::to_owned))).collect();
    alter(catalog, "t", ConfigEdit::Incremental(edits))
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
    incremental(&mut catalog, &[("cleanup.policy", Append, Some("delete,compact"))]).unwrap();
    assert_eq!(overridden(&catalog, "cleanup.policy"), Some("delete,compact"));
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
fn a_value_that_no_record_can_carry_is_refused() {
    let mut catalog = with_topic();
    let key = "leader.replication.throttled.replicas";
    let many = |from: u32| (from..from + 4000).map(|n| format!("{n}:1")).collect::<Vec<_>>().join(",");
    incremental(&mut catalog, &[(key, Set, Some(&many(1)))]).unwrap();
    let refused = incremental(&mut catalog, &[(key, Append, Some(&many(5000)))]);
    assert!(matches!(refused, Err(CatalogError::InvalidConfig(ConfigError::TooLong { .. }))));
}
