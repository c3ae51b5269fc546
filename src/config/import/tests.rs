//! Tests of the translation of Kafka's file.

use super::*;

fn imported(text: &str) -> Imported {
    import(Path::new("server.properties"), text).expect("a translation")
}

fn note(imported: &Imported, key: &str) -> String {
    let found = imported.notes.iter().find(|note| note.key == key);
    found.unwrap_or_else(|| panic!("no note on {key}: {imported:#?}")).why.clone()
}

/// The settings of the file that Kafka 4 ships, without its comments.
const SHIPPED: &str = "\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
";

#[test]
fn the_file_that_kafka_ships_becomes_one_that_loads() {
    let imported = imported(SHIPPED);
    let set: Vec<&str> = imported.toml.lines().filter(|line| !line.starts_with('#')).collect();
    let wanted = [
        "\"node.id\" = 1",
        "listeners = \"PLAINTEXT://:9092\"",
        "\"advertised.listeners\" = \"PLAINTEXT://localhost:9092\"",
        "\"socket.request.max.bytes\" = 104857600",
        "data_dir = \"/tmp/kraft-combined-logs\"",
        "\"num.partitions\" = 1",
        "\"log.retention.hours\" = 168",
        "\"log.segment.bytes\" = 1073741824",
        "\"log.retention.check.interval.ms\" = 300000",
    ];
    assert_eq!((set.as_slice(), imported.taken), (&wanted[..], wanted.len()));
    for line in SHIPPED.lines() {
        let key = line.split('=').next().expect("a key");
        let there = imported.toml.contains(&format!("{key} = ")) || imported.toml.contains(&format!("\"{key}\" = "));
        assert!(there || key == "log.dirs", "{key} is not in the result");
    }
    assert!(imported.notes.iter().all(|note| !note.why.contains("spelling")), "{:#?}", imported.notes);
    assert_eq!(note(&imported, "listeners"), "CONTROLLER://:9093 is the controller's, and there is none here");
}

#[test]
fn other_names_and_forms_become_ours() {
    let found = imported("broker.id=7\nlog.dir=/a\nlog.dirs=/b , /c\nauto.create.topics.enable=FALSE\n");
    assert!(found.toml.contains("\"node.id\" = 7\n") && found.toml.contains("data_dir = \"/b\"\n"), "{}", found.toml);
    assert!(found.toml.contains("\"auto.create.topics.enable\" = false\n"), "{}", found.toml);
    assert!(found.toml.contains("\nlisteners = \"PLAINTEXT://:9092\"\n"), "Kafka's default: {}", found.toml);
    assert_eq!(note(&found, "log.dir"), "log.dirs counts");
    assert!(note(&found, "log.dirs").starts_with("there is one data directory, so /c is left out"));
    let found = imported(
        "log.cleaner.min.cleanable.ratio=0.25\nlog.cleanup.policy=compact,delete\nnum.partitions=1\nnum.partitions=2",
    );
    assert!(found.toml.contains("ratio\" = 0.25\n") && found.toml.contains("policy\" = \"compact,delete\"\n"));
    assert!(found.toml.contains("\"num.partitions\" = 2\n") && found.taken == 3, "{}", found.toml);
}

#[test]
fn what_has_no_meaning_here_stays_as_a_comment_with_the_reason() {
    let found = imported(concat!(
        "zookeeper.connect=localhost:2181\nssl.keystore.location=/k\nnum.partitons=3\ndefault.replication.factor=3\n",
        "listeners=INSIDE://:9092,OUTSIDE://:9093,SASL_SSL://:9094\nlistener.security.protocol.map=INSIDE:PLAINTEXT,OUTSIDE:SSL\n",
        "advertised.listeners=INSIDE://a:9092,OUTSIDE://b:9093,GONE://c:1\n",
    ));
    assert!(found.toml.starts_with("# zookeeper.connect: there is no ZooKeeper"), "{}", found.toml);
    assert!(found.toml.contains("\n# zookeeper.connect = localhost:2181\n"), "{}", found.toml);
    assert!(note(&found, "ssl.keystore.location").contains("no encryption"));
    assert!(note(&found, "num.partitons").contains("check its spelling"));
    assert!(note(&found, "default.replication.factor").contains("it must be from 1 to 1"));
    assert!(found.toml.contains("\nlisteners = \"INSIDE://:9092\"\n"), "{}", found.toml);
    let why = note(&found, "listeners");
    assert!(why.contains("OUTSIDE://:9093 is SSL") && why.contains("SASL_SSL://:9094 is SASL_SSL"), "{why}");
    assert!(note(&found, "advertised.listeners").contains("GONE://c:1 is none of `listeners`"));
}

#[test]
fn names_of_listeners_and_protocols_are_known_in_any_case() {
    let found = imported(concat!(
        "listeners=EXTERNAL://0.0.0.0:9093,INTERNAL://10.0.0.1:9092,ssl://:9094,controller://:9095\n",
        "listener.security.protocol.map=external:SSL,internal:plaintext,Controller:PLAINTEXT\n",
        "advertised.listeners=internal://broker:9092\ncontroller.listener.names=CONTROLLER\n",
    ));
    assert!(found.toml.contains("\nlisteners = \"INTERNAL://10.0.0.1:9092\"\n"), "{}", found.toml);
    assert!(found.toml.contains("\n\"advertised.listeners\" = \"internal://broker:9092\"\n"), "{}", found.toml);
    let why = note(&found, "listeners");
    for left in ["EXTERNAL://0.0.0.0:9093 is SSL", "ssl://:9094 is SSL", "controller://:9095 is the controller's"] {
        assert!(why.contains(left), "{why}");
    }
}

#[test]
fn what_kafka_would_put_in_is_not_taken_as_it_stands() {
    let found = imported("log.dirs=${env:LOGS}\n");
    assert!(
        !found.toml.contains("\ndata_dir") && note(&found, "log.dirs").contains("write the value itself"),
        "{}",
        found.toml
    );
}

#[test]
fn characters_that_toml_has_no_comments_with_are_left_out_of_them() {
    let found = imported("foo.bar=\\u0007x\\ny\tz\nfoo.\\u0008baz=1\nnum.partitions=\\u0007\n");
    assert!(found.toml.contains("# foo.bar =  x y\tz\n# foo. baz: "), "{:?}", found.toml);
    assert!(found.toml.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()), "{:?}", found.toml);
}

#[test]
fn a_broken_file_is_told_with_its_line() {
    let told = import(Path::new("server.properties"), "a=b\nc=\\uzzzz").expect_err("refused").to_string();
    assert!(told.starts_with("server.properties:2: "), "{told}");
}

#[test]
fn numbers_as_java_takes_them_become_numbers_of_toml() {
    let imported = imported("num.partitions=08\nlog.cleaner.min.cleanable.ratio=.5\nlog.retention.ms=-1\n");
    for line in ["\"num.partitions\" = 8", "\"log.cleaner.min.cleanable.ratio\" = 0.5", "\"log.retention.ms\" = -1"] {
        assert!(imported.toml.lines().any(|found| found == line), "{line}: {}", imported.toml);
    }
}
