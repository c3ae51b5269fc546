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
