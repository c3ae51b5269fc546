//! `corelog config`, `corelog topology` and `corelog cluster`: what they print in each shape, and how they refuse.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::broker::Home;
use crate::commands::{Ran, ran, said};

/// A command that talks to no broker, in this directory and with these variables.
fn local(home: &Home, variables: &[(&str, &str)], args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelog"));
    command.args(args).current_dir(home.path()).env_clear().envs(variables.iter().copied()).stdin(Stdio::null());
    command.output().expect("the binary runs").into()
}

#[track_caller]
fn local_said(home: &Home, args: &[&str]) -> String {
    let ran = local(home, &[], args);
    assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.stderr);
    ran.stdout
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn every_setting_is_shown_with_where_it_comes_from() {
    let home = Home::new();
    fs::write(home.path().join("c.toml"), "data_dir = \"d\"\n\nshards = 2\n").expect("written");
    let variables = [("CORELOG_NUM_PARTITIONS", "4")];
    let flags = ["config", "show", "--own", "--origin", "--config", "c.toml", "--set", "shards=3"];
    let shown = local(&home, &variables, &flags);
    let wanted = "key             value  origin\n\
                  data_dir        d      c.toml:1\n\
                  shards          3      --set\n\
                  num.partitions  4      variable CORELOG_NUM_PARTITIONS\n";
    assert_eq!((shown.code, shown.stdout.as_str()), (Some(0), wanted), "{}", shown.stderr);
    let all = parsed(&local_said(&home, &["config", "show", "-o", "json"]));
    let find = |key: &str| all.as_array().expect("a list").iter().find(|one| one["key"] == key).cloned();
    assert_eq!(find("node.id"), Some(json!({"key": "node.id", "value": "1", "origin": "default"})));
    assert_eq!(find("log.retention.hours").expect("there")["value"], "168");
    assert_eq!(find("memory"), Some(json!({"key": "memory", "value": null, "origin": "default"})));
}

#[test]
fn a_configuration_is_checked_without_starting_anything() {
    let home = Home::new();
    fs::write(home.path().join("c.toml"), "data_dir = \"d\"\nshards = 2\npin = false\nspin_us = 5\n").expect("written");
    let good = local(&home, &[], &["config", "check", "--config", "c.toml"]);
    assert_eq!((good.code, good.stdout.as_str()), (Some(0), "good: 4 settings, 2 shards, data in d\n"));
    assert_eq!(good.stderr, "warning: spin_us does nothing while `pin` is false\n");
    assert!(!home.path().join("d").exists(), "nothing was made");
    fs::write(home.path().join("c.toml"), "shrads = 2\npin = 5\n\n\"node.id\" = -1\n").expect("written");
    let all = local(&home, &[("CORELOG_SHARD", "1")], &["config", "check", "--config", "c.toml"]);
    let starts = ["corelog: c.toml:1: ", "c.toml:2: ", "c.toml:4: ", "variable CORELOG_SHARD: "];
    let lines: Vec<&str> = all.stderr.lines().collect();
    assert_eq!((all.code, lines.len()), (Some(2), starts.len()), "{}", all.stderr);
    assert!(lines.iter().zip(starts).all(|(line, start)| line.starts_with(start)), "{}", all.stderr);
    for (text, told) in [
        ("shrads = 2", "c.toml:1: there is no key `shrads`; the nearest is `shards`"),
        ("shards = 2", "no data directory is set"),
        ("data_dir = \"d\"\nmemory = \"64 MiB\"\nshards = 8", "raise `memory`"),
        ("data_dir = \"d\"\ncores = \"8000\"", "`cores` asks for 8000 CPUs"),
    ] {
        fs::write(home.path().join("c.toml"), text).expect("written");
        let refused = local(&home, &[], &["config", "check", "--config", "c.toml"]);
        assert!(refused.code == Some(2) && refused.stderr.contains(told), "{text}: {}", refused.stderr);
    }
}

#[test]
fn a_setting_and_a_topic_config_are_explained() {
    let home = Home::new();
    let explained = parsed(&local_said(&home, &["config", "explain", "num.partitions", "-o", "json"]));
    assert_eq!(
        explained,
        json!({
            "key": "num.partitions", "does": "Partitions of a topic whose creator does not say.",
            "takes": "1 to 2147483647", "default": "1", "variable": "CORELOG_NUM_PARTITIONS=1",
            "flag": "--set num.partitions=1",
        })
    );
    let text = local_said(&home, &["config", "explain", "log.retention.ms"]);
    for part in ["log.retention.ms\n  does", "none: `log.retention.hours` counts", "the topic config retention.ms"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(local_said(&home, &["config", "explain", "retention.ms"]).contains("corelog topic config set TOPIC"));
    let unknown = local(&home, &[], &["config", "explain", "num.partitons"]);
    assert!(unknown.code == Some(4) && unknown.stderr.contains("`corelog config explain num.partitions`"));
}

#[test]
fn kafkas_file_becomes_one_that_a_broker_starts_with() {
    let home = Home::new();
    let (host, port) = (home.address.ip(), home.address.port());
    let kafka = format!(
        "process.roles=broker,controller\nnode.id=5\nlog.dirs={}\nnum.network.threads=3\n\
         listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:1\ncontroller.listener.names=CONTROLLER\n\
         num.partitions=3\nnum.partitons=4\n",
        home.data.display()
    );
    fs::write(home.path().join("server.properties"), kafka).expect("written");
    let made = local(&home, &[], &["config", "import", "server.properties", "--to", "new.toml"]);
    assert_eq!((made.code, made.stdout.as_str()), (Some(0), ""), "{}", made.stderr);
    for told in [
        "server.properties:4: num.network.threads: one thread for each core",
        "server.properties:5: listeners: CONTROLLER://",
        "server.properties:8: num.partitons: no setting of Kafka's of this name is known here",
        "4 settings taken over, 6 notes",
    ] {
        assert!(made.stderr.contains(told), "{told}: {}", made.stderr);
    }
    let again = local(&home, &[], &["config", "import", "server.properties", "--to", "new.toml"]);
    assert!(again.code == Some(1) && again.stderr.contains("choose a path that is free"), "{}", again.stderr);
    let toml = fs::read_to_string(home.path().join("new.toml")).expect("the new file");
    assert_eq!(local_said(&home, &["config", "import", "server.properties", "-q"]), toml);
    let _broker = home.serve(&toml, &["--set", "shards=1"]).unwrap_or_else(|left| panic!("{left:#?}"));
    said(&home, &["topic", "create", "t"]);
    assert_eq!(said(&home, &["topic", "list"]), "topic  partitions\nt      3\n");
    let missing = local(&home, &[], &["config", "import", "nothing.properties"]);
    assert!(missing.code == Some(2) && missing.stderr.contains("nothing.properties: "), "{}", missing.stderr);
}

#[test]
fn a_cluster_tells_its_id_brokers_features_and_apis() {
    let home = Home::new();
    let _broker = home.dev(&["--set", "broker.rack=r1"]);
    let shown = parsed(&said(&home, &["cluster", "--apis", "-o", "json"]));
    let broker = json!({
        "id": 1, "host": home.address.ip().to_string(), "port": home.address.port(), "rack": "r1",
    });
    assert_eq!((&shown["controller"], &shown["brokers"]), (&json!(1), &json!([broker])));
    assert_eq!(shown["cluster"].as_str().map(str::len), Some(22));
    let produce = json!({"key": 0, "api": "Produce", "min": 0, "max": 13});
    assert_eq!(shown["apis"][0], produce);
    let text = said(&home, &["cluster"]);
    assert!(text.starts_with("cluster ") && text.contains("\nbroker  host"), "{text}");
    assert!(parsed(&said(&home, &["cluster", "-o", "json"])).get("apis").is_none());
}

#[test]
fn topology_shows_where_each_partition_is() {
    let home = Home::new();
    let _broker = home.dev(&["--set", "shards=2"]);
    said(&home, &["topic", "create", "orders", "--partitions", "4"]);
    let flags = ["--set", "pin=false", "--set", "shards=2"];
    let shown = parsed(&said(&home, &[&["topology", "--topic", "orders", "-o", "json"], &flags[..]].concat()));
    let shards = shown["shards"].as_array().expect("shards");
    let of = |shard: usize| shards[shard]["partitions"]["orders"].clone();
    let mut both = [of(0), of(1)];
    both.sort_by_key(Value::to_string);
    assert_eq!((shards.len(), both), (2, [json!([0, 2]), json!([1, 3])]), "{shown}");
    let text = said(&home, &[&["topology", "--topics"], &flags[..]].concat());
    let drawn: Vec<&str> = text.lines().skip(2).collect();
    assert!(text.starts_with("CPUs ") && drawn.len() == 2, "{text}");
    assert!(drawn[0].starts_with("any CPU  ┬─ shard 0   orders "), "{text}");
    assert!(drawn[1].starts_with("         └─ shard 1   orders "), "{text}");
    let alone = local_said(&home, &["topology", "--set", "pin=false", "--set", "shards=1"]);
    assert!(alone.ends_with("any CPU  ── shard 0\n"), "without a broker: {alone}");
    assert_eq!(ran(&home, &["topology", "--topic", "nothing"]).code, Some(4));
}
