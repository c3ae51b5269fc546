//! The command line against a real process: topics made, records in and out in every codec, errors that say what to do.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::broker::Home;

fn corelog(home: &Home, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_corelog"))
        .args(args)
        .args(["--bootstrap", &home.address.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    // A command that reads nothing may have ended already.
    let _closed = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends")
}

fn ok(home: &Home, args: &[&str], input: &str) -> String {
    let output = corelog(home, args, input);
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn records_come_back_in_every_codec_with_keys_and_headers() {
    let home = Home::new();
    let _broker = home.dev(&["--set", "shards=2"]);
    ok(&home, &["topic", "create", "orders", "--partitions", "3", "--config", "retention.ms=3600000"], "");
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let header = format!("codec={codec}");
        let args = ["produce", "orders", "--key-separator", ":", "--compression", codec, "--header", &header];
        ok(&home, &args, "k1:one\nk2:two\nk3:three\n");
    }
    let all = ok(&home, &["consume", "orders", "-f", r"%k=%s %h\n"], "");
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        for record in ["k1=one", "k2=two", "k3=three"] {
            assert_eq!(all.matches(&format!("{record} codec={codec}\n")).count(), 1, "{all}");
        }
    }
    // One key, one partition; offsets count up.
    let of_key: Vec<&str> = all.lines().filter(|line| line.starts_with("k2=")).collect();
    assert_eq!(of_key.len(), 5);
}

#[test]
fn consuming_starts_where_it_is_told() {
    let home = Home::new();
    let _broker = home.dev(&[]);
    ok(&home, &["topic", "create", "numbers", "--partitions", "1"], "");
    ok(&home, &["produce", "numbers"], "0\n1\n2\n3\n4\n");
    assert_eq!(ok(&home, &["consume", "numbers", "--from", "3"], ""), "3\n4\n");
    assert_eq!(ok(&home, &["consume", "numbers", "--from", "end"], ""), "");
    assert_eq!(ok(&home, &["consume", "numbers", "--from", "@0", "--count", "2"], ""), "0\n1\n");
    assert_eq!(ok(&home, &["consume", "numbers", "--from", "@99999999999999"], ""), "");
}

#[test]
fn topics_are_listed_described_and_deleted() {
    let home = Home::new();
    let _broker = home.dev(&[]);
    ok(&home, &["topic", "create", "b", "--partitions", "2"], "");
    ok(&home, &["topic", "create", "a"], "");
    assert_eq!(ok(&home, &["topic", "list"], ""), "topic  partitions\na      1\nb      2\n");
    assert!(ok(&home, &["topic", "describe", "b"], "").contains("2 partitions"));
    ok(&home, &["topic", "delete", "b"], "");
    assert_eq!(ok(&home, &["topic", "list"], ""), "topic  partitions\na      1\n");
}

#[test]
fn an_error_says_what_to_do_next() {
    let home = Home::new();
    let broker = home.dev(&[]);
    let missing = corelog(&home, &["consume", "nothing"], "");
    assert_eq!(missing.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("corelog topic create nothing"), "{missing:?}");
    ok(&home, &["topic", "create", "twice"], "");
    let twice = corelog(&home, &["topic", "create", "twice"], "");
    assert!(String::from_utf8_lossy(&twice.stderr).contains("already exists"), "{twice:?}");
    broker.kill();
    let gone = corelog(&home, &["topic", "list"], "");
    assert!(String::from_utf8_lossy(&gone.stderr).contains("--bootstrap"), "{gone:?}");
}
