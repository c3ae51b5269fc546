//! `corelog topic` against a real broker: what is printed in each shape, byte for byte where nothing of it is random.

use serde_json::{Value, json};

use crate::broker::Home;
use crate::commands::{ran, said};

/// The one JSON document that a command prints.
#[track_caller]
fn json_of(home: &Home, args: &[&str]) -> Value {
    let text = said(home, &[args, &["-o", "json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}: {text}"))
}

#[test]
fn topics_are_shown_as_json_and_yaml_with_the_same_names() {
    let home = Home::new();
    let _broker = home.dev(&[]);
    assert_eq!(json_of(&home, &["topic", "create", "orders"]), json!({"topic": "orders", "created": true}));
    let id = json_of(&home, &["topic", "list"])[0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(
        json_of(&home, &["topic", "list"]),
        json!([{"topic": "orders", "id": id, "internal": false, "partitions": 1}])
    );
    let partition = json!({
        "partition": 0, "leader": 1, "epoch": 0, "replicas": [1], "in_sync": [1], "first": 0, "end": 0,
    });
    assert_eq!(
        json_of(&home, &["topic", "describe", "orders"]),
        json!({"topic": "orders", "id": id, "internal": false, "partitions": [partition]})
    );
    let yaml = said(&home, &["topic", "describe", "orders", "--output", "yaml"]);
    let rest = "internal: false\npartitions:\n  - partition: 0\n    leader: 1\n    epoch: 0\n    replicas: [1]\n    \
                in_sync: [1]\n    first: 0\n    end: 0\n";
    assert!(yaml.starts_with("topic: orders\nid: ") && yaml.ends_with(rest), "{yaml}");
    assert_eq!(json_of(&home, &["topic", "delete", "orders"]), json!({"topic": "orders", "deleted": true}));
    assert_eq!(json_of(&home, &["topic", "list"]), json!([]));
    assert_eq!(said(&home, &["topic", "list", "-o", "yaml"]), "[]\n");
}

#[test]
fn a_topic_grows_and_never_shrinks() {
    let home = Home::new();
    let _broker = home.dev(&["--set", "shards=2"]);
    said(&home, &["topic", "create", "orders", "--partitions", "2"]);
    assert_eq!(said(&home, &["topic", "alter", "orders", "--partitions", "5"]), "orders has 5 partitions\n");
    assert_eq!(said(&home, &["topic", "list"]), "topic   partitions\norders  5\n");
    let fewer = ran(&home, &["topic", "alter", "orders", "--partitions", "3"]);
    assert!(fewer.code == Some(5) && fewer.stderr.contains("INVALID_PARTITIONS"), "{}", fewer.stderr);
    let nothing = ran(&home, &["topic", "alter", "nothing", "--partitions", "3"]);
    assert!(nothing.code == Some(4) && nothing.stderr.contains("corelog topic create nothing"), "{}", nothing.stderr);
}

#[test]
fn configs_are_shown_set_checked_and_unset() {
    let home = Home::new();
    let _broker = home.dev(&["--set", "log.retention.hours=2"]);
    said(&home, &["topic", "create", "orders", "--config", "segment.ms=600000"]);
    let config = |rest: &[&str]| said(&home, &[&["topic", "config"], rest].concat());
    let own = |rest: &[(&str, &str)]| {
        let row = |(key, value): &(&str, &str)| json!({"key": key, "value": value, "source": "topic"});
        json!({"topic": "orders", "configs": rest.iter().map(row).collect::<Value>()})
    };
    let set = ["set", "orders", "retention.ms=7200001", "max.message.bytes=5000"];
    let told = "orders: retention.ms=7200001\norders: max.message.bytes=5000\n";
    let dry = config(&[&set[..], &["--dry-run"]].concat());
    assert_eq!(dry, format!("{told}nothing was changed: --dry-run\n"));
    let show = ["topic", "config", "show", "orders", "--own"];
    assert_eq!(json_of(&home, &show), own(&[("segment.ms", "600000")]));
    assert_eq!(config(&set), told);
    let all = [("max.message.bytes", "5000"), ("retention.ms", "7200001"), ("segment.ms", "600000")];
    assert_eq!(json_of(&home, &show), own(&all));
    let unset = json_of(&home, &["topic", "config", "unset", "orders", "retention.ms", "segment.ms"]);
    let configs = json!({"retention.ms": null, "segment.ms": null});
    assert_eq!(unset, json!({"topic": "orders", "applied": true, "configs": configs}));
    let shown = config(&["show", "orders", "retention.ms", "max.message.bytes", "segment.ms"]);
    let wanted = "key                value      source\n\
                  max.message.bytes  5000       topic\n\
                  retention.ms       7200000    default\n\
                  segment.ms         604800000  default\n";
    assert_eq!(shown, wanted);
    let docs = json_of(&home, &["topic", "config", "show", "orders", "retention.ms", "--docs"]);
    assert!(docs["configs"][0]["doc"].as_str().is_some_and(|doc| doc.len() > 20), "{docs}");

    for (args, code, told) in [
        (["set", "orders", "retention.ms=soon"], 5, "INVALID_CONFIG (40)"),
        (["set", "orders", "retention.msx=1"], 5, "retention.msx"),
        (["show", "orders", "retention.msx"], 4, "`corelog topic config show orders`"),
        (["show", "nothing", "retention.ms"], 4, "corelog topic create nothing"),
        (["set", "nothing", "retention.ms=1"], 4, "corelog topic create nothing"),
        (["set", "orders", "retention.ms"], 2, "NAME=VALUE"),
    ] {
        let refused = ran(&home, &[&["topic", "config"], &args[..]].concat());
        assert!(refused.code == Some(code) && refused.stderr.contains(told), "{args:?}: {}", refused.stderr);
    }
    assert_eq!(json_of(&home, &show), own(&all[..1]), "what was refused changed nothing");
}
