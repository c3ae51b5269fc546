//! CreateTopics: names, counts, assignments and configs, right and wrong; only validated; several at once.

use corelog::wire::Str;
use corelog::wire::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};

use crate::case::{Case, case};
use crate::world::{TIMEOUT_MS, World};

fn topic(name: Str) -> CreatableTopic {
    CreatableTopic { name, num_partitions: 1, replication_factor: 1, ..Default::default() }
}

fn ask(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest { topics, timeout_ms: TIMEOUT_MS, ..Default::default() }
}

fn on(partitions: &[(i32, &[i32])]) -> Vec<CreatableReplicaAssignment> {
    let partition = |&(partition_index, ids): &(i32, &[i32])| CreatableReplicaAssignment {
        partition_index,
        broker_ids: ids.to_vec(),
    };
    partitions.iter().map(partition).collect()
}

fn config(name: &str, value: Option<&str>) -> CreatableTopicConfig {
    CreatableTopicConfig { name: name.into(), value: value.map(Str::from) }
}

/// Asks for a topic of each of these configs, which is never made.
fn validate(w: &mut World, version: i16, configs: &[(&str, Option<&str>)]) {
    for (key, value) in configs {
        let asked = CreatableTopic { configs: vec![config(key, *value)], ..topic(w.name("a")) };
        w.note(&format!("{key}={}", value.unwrap_or("null")));
        w.ask(CreateTopicsRequest { validate_only: true, ..ask(vec![asked]) }, version);
    }
}

pub fn cases() -> Vec<Case> {
    let mut cases = of_shape();
    cases.extend(of_configs());
    cases
}

fn of_shape() -> Vec<Case> {
    vec![
        case("a topic", 2..=7, |w, v| {
            let name = w.name("a");
            w.ask(ask(vec![topic(name)]), v);
            w.settled("a");
        }),
        case("a topic, only validated", 2..=7, |w, v| {
            let name = w.name("a");
            w.ask(CreateTopicsRequest { validate_only: true, ..ask(vec![topic(name.clone())]) }, v);
            w.ask(crate::cases::metadata::of(name), 12);
        }),
        case("the broker's defaults", 2..=7, |w, v| {
            let asked = CreatableTopic { num_partitions: -1, replication_factor: -1, ..topic(w.name("a")) };
            w.ask(ask(vec![asked]), v);
            w.settled("a");
        }),
        case("a topic that is there", 2..=7, |w, v| {
            let name = w.topic("a", 1);
            w.ask(ask(vec![topic(name.clone())]), v);
            w.ask(CreateTopicsRequest { validate_only: true, ..ask(vec![topic(name)]) }, v);
        }),
        case("a name twice, beside another", 2..=7, |w, v| {
            let (twice, other) = (w.name("twice"), w.name("other"));
            w.ask(ask(vec![topic(twice.clone()), topic(other), topic(twice)]), v);
            w.settled("other");
        }),
        case("no topics", 2..=7, |w, v| {
            w.ask(ask(vec![]), v);
        }),
        case("names that no topic can have", 2..=7, |w, v| {
            for name in ["", ".", "..", "a b", "ü", "a/b", "a:b", &"n".repeat(250)] {
                w.ask(ask(vec![topic(name.into())]), v);
            }
        }),
        case("the longest name", 2..=7, |w, v| {
            let tag = "n".repeat(249 - w.name("").len());
            let name = w.name(&tag);
            w.ask(ask(vec![topic(name)]), v);
            w.settled(&tag);
        }),
        case("a name that collides with another in metrics", 2..=7, |w, v| {
            w.topic("a.b", 1);
            let name = w.name("a_b");
            w.ask(ask(vec![topic(name)]), v);
        }),
        case("two names that collide in metrics at once", 2..=7, |w, v| {
            let names = ["a.b", "a_b"].map(|tag| w.name(tag));
            w.ask(ask(names.map(topic).to_vec()), v);
            w.settled("a.b");
            w.settled("a_b");
        }),
        case("counts of partitions that there cannot be", 2..=7, |w, v| {
            for num_partitions in [0, -2, i32::MIN] {
                let asked = CreatableTopic { num_partitions, ..topic(w.name("a")) };
                w.ask(ask(vec![asked]), v);
            }
        }),
        case("replication factors that there cannot be", 2..=7, |w, v| {
            for replication_factor in [0, -2, 2, 3, i16::MAX] {
                let asked = CreatableTopic { replication_factor, ..topic(w.name("a")) };
                w.ask(ask(vec![asked]), v);
            }
        }),
        case("assignments that fit", 2..=7, |w, v| {
            let asked = CreatableTopic {
                num_partitions: -1,
                replication_factor: -1,
                assignments: on(&[(1, &[1]), (0, &[1])]),
                ..topic(w.name("a"))
            };
            w.ask(ask(vec![asked]), v);
            w.settled("a");
        }),
        case("assignments that do not fit", 2..=7, |w, v| {
            let wrong: &[&[(i32, &[i32])]] = &[
                &[(0, &[])],
                &[(0, &[9])],
                &[(0, &[1, 1])],
                &[(1, &[1])],
                &[(0, &[1]), (2, &[1])],
                &[(0, &[1]), (0, &[1])],
                &[(-1, &[1])],
                &[(0, &[1]), (1, &[1, 9])],
                &[(0, &[-1])],
            ];
            for assignments in wrong {
                let asked = CreatableTopic {
                    num_partitions: -1,
                    replication_factor: -1,
                    assignments: on(assignments),
                    ..topic(w.name("a"))
                };
                w.ask(ask(vec![asked]), v);
            }
        }),
        case("assignments beside counts", 2..=7, |w, v| {
            for (num_partitions, replication_factor) in [(1, -1), (-1, 1), (1, 1)] {
                let assignments = on(&[(0, &[1])]);
                let asked = CreatableTopic { num_partitions, replication_factor, assignments, ..topic(w.name("a")) };
                w.ask(ask(vec![asked]), v);
            }
        }),
        case("good topics among bad ones", 2..=7, |w, v| {
            let (good, there) = (w.name("good"), w.topic("there", 1));
            let none = CreatableTopic { num_partitions: 0, ..topic(w.name("none")) };
            w.ask(ask(vec![topic(there), topic(good), none, topic("a b".into())]), v);
            w.settled("good");
        }),
        case("no time to wait", 2..=7, |w, v| {
            for timeout_ms in [0, -1] {
                let tag = format!("t{timeout_ms}");
                let name = w.name(&tag);
                w.ask(CreateTopicsRequest { timeout_ms, ..ask(vec![topic(name)]) }, v);
                w.settled_or_gone(&tag);
            }
        }),
        case("names of Kafka's own topics", 2..=7, |w, v| {
            for name in ["__cluster_metadata", "__transaction_state"] {
                w.ask(CreateTopicsRequest { validate_only: true, ..ask(vec![topic(name.into())]) }, v);
            }
        }),
    ]
}

fn of_configs() -> Vec<Case> {
    vec![
        case("configs that are told in the reply", 5..=7, |w, v| {
            let configs = [("retention.ms", "1000"), ("cleanup.policy", "compact,delete"), ("flush.messages", "10")];
            let configs = configs.map(|(key, value)| config(key, Some(value))).to_vec();
            let asked = CreatableTopic { configs, ..topic(w.name("a")) };
            w.ask(ask(vec![asked]), v);
            w.settled("a");
        }),
        case("a config twice", 2..=7, |w, v| {
            let configs = vec![config("retention.ms", Some("1")), config("retention.ms", Some("2"))];
            let asked = CreatableTopic { configs, ..topic(w.name("a")) };
            w.ask(CreateTopicsRequest { validate_only: true, ..ask(vec![asked]) }, v);
        }),
        case("configs that there are not", 7..=7, |w, v| {
            let keys =
                ["no.such.key", "", "message.format.version", "message.downconversion.enable", "log.retention.ms"];
            validate(w, v, &keys.map(|key| (key, Some("1"))));
        }),
        case("configs without a value", 7..=7, |w, v| {
            validate(w, v, &[("retention.ms", None), ("no.such.key", None), ("cleanup.policy", None)]);
        }),
        case("numbers that are none, and that no config takes", 7..=7, |w, v| {
            validate(
                w,
                v,
                &[
                    ("retention.ms", Some("")),
                    ("retention.ms", Some("many")),
                    ("retention.ms", Some("-2")),
                    ("retention.ms", Some("-1")),
                    ("retention.ms", Some(" 7 ")),
                    ("retention.ms", Some("9223372036854775808")),
                    ("retention.bytes", Some("-1")),
                    ("retention.bytes", Some("1.5")),
                    ("segment.bytes", Some("13")),
                    ("segment.bytes", Some("1048575")),
                    ("segment.bytes", Some("1048576")),
                    ("segment.bytes", Some("2147483648")),
                    ("segment.ms", Some("0")),
                    ("segment.ms", Some("1")),
                    ("segment.jitter.ms", Some("-1")),
                    ("segment.index.bytes", Some("3")),
                    ("max.message.bytes", Some("-1")),
                    ("max.message.bytes", Some("0")),
                    ("min.insync.replicas", Some("0")),
                    ("min.insync.replicas", Some("2")),
                    ("flush.ms", Some("-1")),
                    ("flush.messages", Some("0")),
                    ("file.delete.delay.ms", Some("-1")),
                    ("delete.retention.ms", Some("-1")),
                    ("min.compaction.lag.ms", Some("-1")),
                    ("max.compaction.lag.ms", Some("0")),
                    ("min.cleanable.dirty.ratio", Some("1.1")),
                    ("min.cleanable.dirty.ratio", Some("-0.1")),
                    ("min.cleanable.dirty.ratio", Some("0.5")),
                    ("index.interval.bytes", Some("-1")),
                ],
            );
        }),
        case("words that no config takes", 7..=7, |w, v| {
            validate(
                w,
                v,
                &[
                    ("cleanup.policy", Some("")),
                    ("cleanup.policy", Some("keep")),
                    ("cleanup.policy", Some("delete, compact")),
                    ("cleanup.policy", Some("delete,delete")),
                    ("cleanup.policy", Some("DELETE")),
                    ("compression.type", Some("brotli")),
                    ("compression.type", Some("uncompressed")),
                    ("compression.type", Some("zstd")),
                    ("compression.gzip.level", Some("0")),
                    ("compression.gzip.level", Some("10")),
                    ("compression.gzip.level", Some("-1")),
                    ("compression.lz4.level", Some("0")),
                    ("compression.lz4.level", Some("18")),
                    ("compression.zstd.level", Some("23")),
                    ("compression.zstd.level", Some("-131072")),
                    ("message.timestamp.type", Some("Now")),
                    ("message.timestamp.type", Some("LogAppendTime")),
                    ("message.timestamp.before.max.ms", Some("-1")),
                    ("message.timestamp.after.max.ms", Some("-1")),
                    ("unclean.leader.election.enable", Some("maybe")),
                    ("unclean.leader.election.enable", Some("TRUE")),
                    ("preallocate", Some("1")),
                    ("leader.replication.throttled.replicas", Some("x")),
                    ("leader.replication.throttled.replicas", Some("*")),
                    ("leader.replication.throttled.replicas", Some("0:1,1:1")),
                    ("remote.storage.enable", Some("true")),
                    ("remote.storage.enable", Some("false")),
                    ("local.retention.ms", Some("-3")),
                    ("local.retention.bytes", Some("-3")),
                ],
            );
        }),
        case("configs that contradict each other", 7..=7, |w, v| {
            let pairs = [
                [("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")],
                [("local.retention.ms", "10"), ("retention.ms", "5")],
                [("local.retention.bytes", "10"), ("retention.bytes", "5")],
                [("segment.bytes", "1048576"), ("max.message.bytes", "2097152")],
            ];
            for pair in pairs {
                let configs = pair.map(|(key, value)| config(key, Some(value))).to_vec();
                let asked = CreatableTopic { configs, ..topic(w.name("a")) };
                w.ask(CreateTopicsRequest { validate_only: true, ..ask(vec![asked]) }, v);
            }
        }),
    ]
}
