//! Replay of all records, and of a snapshot, equals the live state; records that cannot follow are refused.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Op {
    Create(u8, i32, bool),
    Delete(u8),
    Grow(u8, i32),
    Alter(u8, &'static str, Option<&'static str>),
    Broker(&'static str, &'static str, Option<&'static str>),
    Group(&'static str, &'static str, Option<&'static str>),
    Metrics(&'static str, &'static str, Option<&'static str>),
    ProducerIds,
    Start,
}

const NAMES: [&str; 7] = ["a", "b", "a.b", "a_b", "__consumer_offsets", "zz", ".."];

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let name = 0u8..NAMES.len() as u8;
    let config = prop::sample::select(vec![
        ("retention.ms", Some("5")),
        ("retention.ms", None),
        ("min.compaction.lag.ms", Some("100")),
        ("max.compaction.lag.ms", Some("50")),
        ("max.compaction.lag.ms", Some("500")),
        ("compression.type", Some("zstd")),
        ("cleanup.policy", Some("compact")),
        ("foo", Some("1")),
    ]);
    let setting = prop::sample::select(vec![
        ("log.retention.ms", Some("9")),
        ("log.retention.ms", None),
        ("compression.type", Some("lz4")),
        ("log.cleanup.policy", Some("compact,delete")),
        ("log.retention.hours", Some("2")),
    ]);
    let group = prop::sample::select(vec![
        ("consumer.session.timeout.ms", Some("50000")),
        ("consumer.session.timeout.ms", Some("5")),
        ("consumer.session.timeout.ms", None),
        ("share.auto.offset.reset", Some("earliest")),
        ("foo", Some("1")),
    ]);
    let metrics = prop::sample::select(vec![
        ("interval.ms", Some("1000")),
        ("interval.ms", Some("1")),
        ("interval.ms", None),
        ("match", Some("client_id=a")),
    ]);
    let op = prop_oneof![
        4 => (name.clone(), -2i32..5, any::<bool>()).prop_map(|(n, p, c)| Op::Create(n, p, c)),
        2 => name.clone().prop_map(Op::Delete),
        2 => (name.clone(), 0i32..8).prop_map(|(n, c)| Op::Grow(n, c)),
        4 => (name, config).prop_map(|(n, (key, value))| Op::Alter(n, key, value)),
        2 => (any::<bool>(), setting).prop_map(|(all, (key, value))| Op::Broker(if all { "" } else { "1" }, key, value)),
        2 => (any::<bool>(), group).prop_map(|(g, (key, value))| Op::Group(if g { "g" } else { "h" }, key, value)),
        2 => (any::<bool>(), metrics).prop_map(|(s, (key, value))| Op::Metrics(if s { "s" } else { "t" }, key, value)),
        1 => Just(Op::ProducerIds),
        1 => Just(Op::Start),
    ];
    prop::collection::vec(op, 0..60)
}

fn command(op: &Op) -> CatalogCommand {
    let name = |n: u8| NAMES[usize::from(n)].to_owned();
    match op {
        Op::Create(n, partitions, config) => {
            let configs =
                if *config { [("segment.ms".to_owned(), Some("7".to_owned()))].into() } else { Default::default() };
            let first = NewTopic { partitions: *partitions, configs, ..topic(&name(*n)) };
            CatalogCommand::CreateTopics { topics: vec![first, topic("zz")], validate_only: false }
        }
        Op::Delete(n) => CatalogCommand::DeleteTopics { topics: vec![TopicRef::Name(name(*n))] },
        Op::Grow(n, count) => CatalogCommand::CreatePartitions {
            topics: vec![MorePartitions { name: name(*n), count: *count, assignments: None }],
            validate_only: false,
        },
        Op::Alter(n, key, value) => alter(ResourceKind::Topic, &name(*n), key, *value),
        Op::Broker(broker, key, value) => alter(ResourceKind::Broker, broker, key, *value),
        Op::Group(group, key, value) => alter(ResourceKind::Group, group, key, *value),
        Op::Metrics(name, key, value) => alter(ResourceKind::Metrics, name, key, *value),
        Op::ProducerIds => CatalogCommand::AllocateProducerIds,
        Op::Start => CatalogCommand::StartRun { incarnation: [3; 16], endpoints: Vec::new(), rack: Some("r".into()) },
    }
}

fn alter(kind: ResourceKind, name: &str, key: &str, value: Option<&str>) -> CatalogCommand {
    let op = if value.is_some() { ConfigOp::Set } else { ConfigOp::Delete };
    let edit = ConfigEdit::Incremental(vec![(key.to_owned(), op, value.map(str::to_owned))]);
    CatalogCommand::AlterConfigs { changes: vec![change(kind, name, edit)], validate_only: false }
}

fn replayed(records: &[CatalogRecord]) -> Catalog {
    let mut catalog = Catalog::new(CatalogSettings::new("cluster", 1));
    for record in records {
        // Through the bytes, as a start reads them.
        catalog.apply(&CatalogRecord::decode(&record.encode().unwrap()).unwrap()).unwrap();
    }
    catalog
}

proptest! {
    #[test]
    fn replay_of_all_records_and_of_a_snapshot_equal_the_live_state(ops in ops()) {
        let mut live = Catalog::new(CatalogSettings::new("cluster", 1));
        let mut log = Vec::new();
        for (n, op) in ops.iter().enumerate() {
            let ids = [1u8, 2].map(|half| TopicId([half; 16].map(|b| b ^ (n as u8 + 4))));
            let decision = live.decide(&command(op), &ids).unwrap();
            for record in decision.records {
                live.apply(&record).unwrap();
                log.push(record);
            }
        }
        prop_assert_eq!(live.topics().map(|t| t.partitions as u64).sum::<u64>(), live.partition_count());
        prop_assert!(live.topics().all(|t| t.partitions > 0 && t.config.min_compaction_lag_ms <= t.config.max_compaction_lag_ms));
        prop_assert!(replayed(&log) == live);
        prop_assert!(replayed(&live.snapshot()) == live);
    }
}

#[test]
fn a_step_of_a_snapshot_is_bounded_in_records_and_all_steps_are_the_whole() {
    let mut live = catalog();
    create(&mut live, vec![NewTopic { partitions: 10, ..topic("large") }, topic("small"), topic("zz")]);
    for group in ["g", "h", "i", "j", "k"] {
        let edits = vec![("consumer.session.timeout.ms".to_owned(), ConfigOp::Set, Some("50000".to_owned()))];
        let changes = vec![change(ResourceKind::Group, group, ConfigEdit::Incremental(edits))];
        run(&mut live, &CatalogCommand::AlterConfigs { changes, validate_only: false }, &[]).unwrap();
    }
    for name in ["s", "t", "u", "v"] {
        run(&mut live, &alter(ResourceKind::Metrics, name, "interval.ms", Some("1000")), &[]).unwrap();
    }
    let (mut all, mut place) = (Vec::new(), Some(SnapshotPlace::Head));
    while let Some(at) = place {
        let (records, next) = live.snapshot_from(&at, 3);
        assert!(records.len() <= 3 || at == SnapshotPlace::Head, "{records:?}");
        all.extend(records);
        place = next;
    }
    assert_eq!(all, live.snapshot());
    assert!(replayed(&all) == live);
}

#[test]
fn a_snapshot_keeps_topics_of_several_runs_apart() {
    let mut live = catalog();
    create(&mut live, vec![topic("old")]);
    start(&mut live);
    create(&mut live, vec![topic("new")]);
    start(&mut live);
    let again = replayed(&live.snapshot());
    assert!(again == live);
    assert_eq!(again.leader_epoch(again.topic("old").unwrap()).0, 2);
    assert_eq!(again.leader_epoch(again.topic("new").unwrap()).0, 1);
}

#[test]
fn other_defaults_of_the_broker_do_not_stop_a_start() {
    let mut live = catalog();
    let configs = [("min.compaction.lag.ms".to_owned(), Some("100".to_owned()))].into();
    create(&mut live, vec![NewTopic { configs, ..topic("t") }])[0].as_ref().unwrap();
    let setting = |key: &str| (key == "log.cleaner.max.compaction.lag.ms").then_some("50");
    let topic_defaults = TopicDefaults::from_broker(setting).unwrap();
    let mut other = Catalog::new(CatalogSettings { topic_defaults, ..CatalogSettings::new("cluster", 1) });
    for record in live.snapshot() {
        other.apply(&record).unwrap();
    }
    let config = &other.topic("t").unwrap().config;
    assert_eq!((config.min_compaction_lag_ms, config.max_compaction_lag_ms), (100, 50));
}

#[test]
fn records_that_cannot_follow_are_refused_and_change_nothing() {
    let mut catalog = catalog();
    create(&mut catalog, vec![topic("t")]);
    let (before, t) = (catalog.clone(), catalog.topic("t").unwrap().id);
    let partition = |topic, index, broker, leader_epoch| CatalogRecord::Partition {
        topic,
        index,
        replicas: vec![broker],
        leader_epoch,
    };
    let bad = [
        CatalogRecord::Topic { name: "t".into(), id: id(1) },
        CatalogRecord::Topic { name: "u".into(), id: t },
        CatalogRecord::Topic { name: "u".into(), id: TopicId::METADATA },
        partition(id(1), 0, 1, 0),
        partition(t, 5, 1, 0),
        partition(t, 1, 2, 0),
        partition(t, 1, 1, 1),
        partition(t, 1, 1, -1),
        CatalogRecord::RemoveTopic { id: id(1) },
        CatalogRecord::TopicConfig { topic: "u".into(), key: "retention.ms".into(), value: None },
        CatalogRecord::TopicConfig { topic: "t".into(), key: "foo".into(), value: Some("1".into()) },
        CatalogRecord::GroupConfig { group: "g".into(), key: "foo".into(), value: None },
        CatalogRecord::GroupConfig {
            group: "g".into(),
            key: "consumer.session.timeout.ms".into(),
            value: Some("x".into()),
        },
        CatalogRecord::MetricsConfig { name: "s".into(), key: "foo".into(), value: None },
        CatalogRecord::MetricsConfig { name: "s".into(), key: "interval.ms".into(), value: Some("x".into()) },
        CatalogRecord::BrokerConfig { broker: Some(2), key: "log.retention.ms".into(), value: None },
        CatalogRecord::BrokerConfig { broker: None, key: "log.retention.hours".into(), value: Some("1".into()) },
        CatalogRecord::BrokerConfig { broker: None, key: "log.retention.ms".into(), value: Some("x".into()) },
        CatalogRecord::ProducerIds { broker: 2, run: 1, next: 1000 },
        CatalogRecord::RegisterBroker(Registration { run: 1, ..before.registration().unwrap().clone() }),
        CatalogRecord::RegisterBroker(Registration { run: 9, broker: 2, ..before.registration().unwrap().clone() }),
    ];
    for record in bad {
        assert!(catalog.apply(&record).is_err(), "{record:?}");
        assert!(catalog == before, "{record:?}");
    }
}

#[test]
fn a_partition_costs_less_than_200_bytes() {
    // With one partition a topic is all there is to pay: its entry, its name, and a slot in each index.
    let per_topic =
        size_of::<Topic>() + size_of::<TopicId>() + 2 * (size_of::<std::sync::Arc<str>>() + size_of::<TopicId>());
    assert!(per_topic <= 160, "{per_topic}");
    // A further one is a number that counts up.
    let mut catalog = catalog();
    create(&mut catalog, vec![NewTopic { partitions: 10_000, ..topic("wide") }])[0].as_ref().unwrap();
    assert_eq!(catalog.partition_count(), 10_000);
}
