//! corelog's own commands against a real broker: topics, records in and out, and how a command ends.

use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};

use crate::broker::Home;

/// What a command printed, and its exit status.
pub struct Ran {
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Ran { stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code() }
    }
}

pub fn command(home: &Home, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelog"));
    command.args(args).args(["--bootstrap", &home.address.to_string()]).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command with this input.
pub fn fed(home: &Home, args: &[&str], input: &str) -> Ran {
    let mut child = command(home, args).stdin(Stdio::piped()).spawn().expect("the binary runs");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("the command reads");
    child.wait_with_output().expect("it ends").into()
}

pub fn ran(home: &Home, args: &[&str]) -> Ran {
    fed(home, args, "")
}

/// Standard output of a command that succeeds.
#[track_caller]
pub fn said(home: &Home, args: &[&str]) -> String {
    let ran = ran(home, args);
    assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.stderr);
    ran.stdout
}

#[test]
fn topics_are_made_listed_described_and_deleted() {
    let home = Home::new();
    let _broker = home.dev(&["--set", "shards=2"]);
    said(&home, &["topic", "create", "orders", "--partitions", "3", "--config", "retention.ms=1000"]);
    said(&home, &["topic", "create", "plain"]);
    assert_eq!(said(&home, &["topic", "list"]), "topic   partitions\norders  3\nplain   1\n");
    let described = said(&home, &["topic", "describe", "orders"]);
    assert_eq!(described.lines().count(), 5, "{described}");

    let again = ran(&home, &["topic", "create", "orders", "--partitions", "3"]);
    assert!(again.code == Some(5) && again.stderr.contains("TOPIC_ALREADY_EXISTS"), "{}", again.stderr);
    let wrong = ran(&home, &["topic", "create", "x", "--config", "retention.ms=soon"]);
    assert!(wrong.code == Some(5) && wrong.stderr.contains("retention.ms"), "{}", wrong.stderr);

    said(&home, &["topic", "delete", "orders"]);
    assert!(!said(&home, &["topic", "list"]).contains("orders"));
    assert_eq!(ran(&home, &["topic", "delete", "orders"]).code, Some(4));
    assert_eq!(ran(&home, &["topic", "describe", "orders"]).code, Some(4));
}

#[test]
fn lines_go_in_and_come_out_in_every_codec() {
    let home = Home::new();
    let _broker = home.dev(&["--set", "shards=2"]);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let lines: String = (0..5000).map(|n| format!("k{}:value {n} of {codec}\n", n % 7)).collect();
        let sent = fed(&home, &["produce", codec, "-K", ":", "-H", "a=b", "-z", codec, "-p", "0"], &lines);
        assert_eq!(sent.code, Some(0), "{}", sent.stderr);
        assert!(sent.stderr.contains("5000 records acked"), "{}", sent.stderr);
        assert_eq!(said(&home, &["consume", codec, "-f", r"%k:%s\n"]), lines);
        let last = said(&home, &["consume", codec, "-o", "-1", "-f", r"%t %p %o %k %S %h\n"]);
        let length = format!("value 4999 of {codec}").len();
        assert_eq!(last, format!("{codec} 0 4999 k1 {length} a=b\n"));
    }
}

#[test]
fn records_are_read_by_offset_count_time_and_partition() {
    let home = Home::new();
    let _broker = home.dev(&["--set", "shards=2"]);
    said(&home, &["topic", "create", "t", "--partitions", "3"]);
    for partition in ["0", "1", "2"] {
        let lines: String = (0..4).map(|n| format!("{partition}{n}\n")).collect();
        assert_eq!(fed(&home, &["produce", "t", "-p", partition], &lines).code, Some(0));
    }
    assert_eq!(said(&home, &["consume", "t"]).lines().count(), 12);
    assert_eq!(said(&home, &["consume", "t", "-p", "1", "-o", "2"]), "12\n13\n");
    assert_eq!(said(&home, &["consume", "t", "-p", "1", "-p", "2", "-o", "-1", "-f", "%s,"]).len(), 6);
    assert_eq!(said(&home, &["consume", "t", "-p", "2", "-n", "1"]), "20\n");
    assert_eq!(said(&home, &["consume", "t", "-o", "end"]), "");
    assert_eq!(said(&home, &["consume", "t", "-o", "@0"]).lines().count(), 12);
    assert_eq!(said(&home, &["consume", "t", "-o", "@99999999999999"]), "");
    // With --follow it waits at the end, so the count ends it.
    assert_eq!(said(&home, &["consume", "t", "-F", "-n", "12"]).lines().count(), 12);

    let beyond = ran(&home, &["consume", "t", "-p", "0", "-o", "5"]);
    assert!(beyond.code == Some(4) && beyond.stderr.contains("0 to 4"), "{}", beyond.stderr);
    for refused in [ran(&home, &["consume", "t", "-p", "3"]), fed(&home, &["produce", "t", "-p", "3"], "x\n")] {
        assert!(refused.code == Some(4) && refused.stderr.contains("its partitions are 0 to 2"), "{}", refused.stderr);
    }
    assert_eq!(ran(&home, &["consume", "nothing"]).code, Some(4));
}

#[test]
fn a_key_always_goes_to_the_partition_where_javas_clients_put_it() {
    let home = Home::new();
    let _broker = home.dev(&[]);
    said(&home, &["topic", "create", "t", "--partitions", "10"]);
    fed(&home, &["produce", "t", "-K", ":"], "foobar:1\n21:2\nfoobar:3\n");
    // murmur2 without its sign, modulo 10.
    assert_eq!(said(&home, &["consume", "t", "-p", "6", "-f", "%k=%s,"]), "foobar=1,foobar=3,");
    assert_eq!(said(&home, &["consume", "t", "-p", "0", "-f", "%k=%s,"]), "21=2,");
}

#[test]
fn a_reader_that_leaves_ends_a_command_in_peace() {
    let home = Home::new();
    let _broker = home.dev(&[]);
    let lines: String = (0..50_000).map(|n| format!("line {n}\n")).collect();
    assert_eq!(fed(&home, &["produce", "t"], &lines).code, Some(0));
    let mut child = command(&home, &["consume", "t", "--follow"]).spawn().expect("the binary runs");
    let mut some = [0; 100];
    child.stdout.take().expect("a pipe").read_exact(&mut some).expect("lines");
    let left: Ran = child.wait_with_output().expect("it ends by itself").into();
    assert_eq!((left.code, left.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_line_is_sent_at_once_and_not_when_the_input_ends() {
    let home = Home::new();
    let _broker = home.dev(&[]);
    said(&home, &["topic", "create", "t"]);
    let mut child = command(&home, &["produce", "t"]).stdin(Stdio::piped()).spawn().expect("the binary runs");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(b"first\n").expect("the command reads");
    assert_eq!(said(&home, &["consume", "t", "--follow", "--count", "1"]), "first\n");
    input.write_all(b"last, without an end of line").expect("the command reads");
    drop(input);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert_eq!(said(&home, &["consume", "t", "-o", "-1"]), "last, without an end of line\n");
}

#[test]
fn who_produces_and_who_follows_go_on_after_a_restart() {
    let home = Home::new();
    let broker = home.dev(&[]);
    said(&home, &["topic", "create", "t", "--partitions", "2"]);
    let reader = command(&home, &["consume", "t", "--follow", "--count", "3"]).spawn().expect("the binary runs");
    let mut writer =
        command(&home, &["produce", "t", "-K", ":"]).stdin(Stdio::piped()).spawn().expect("the binary runs");
    let mut input = writer.stdin.take().expect("a pipe");
    input.write_all(b"k:1\n").expect("the command reads");
    assert_eq!(said(&home, &["consume", "t", "--follow", "--count", "1"]), "1\n");
    broker.kill();
    input.write_all(b"k:2\nk:3\n").expect("the command reads");
    drop(input);
    let _broker = home.dev(&["--set", "shards=2"]);
    let (wrote, read): (Ran, Ran) =
        (writer.wait_with_output().expect("it ends").into(), reader.wait_with_output().expect("it ends").into());
    assert_eq!((wrote.code, wrote.stderr.as_str()), (Some(0), "3 records acked for \"t\"\n"));
    assert_eq!((read.code, read.stdout.as_str()), (Some(0), "1\n2\n3\n"), "{}", read.stderr);
    assert_eq!(said(&home, &["consume", "t"]).lines().count(), 3, "nothing was appended twice");
}

#[test]
fn without_a_broker_a_command_says_how_to_start_one() {
    let home = Home::new();
    for args in [&["topic", "list"][..], &["produce", "t"], &["consume", "t"]] {
        let ran = ran(&home, args);
        assert!(ran.code == Some(3) && ran.stderr.contains("corelog dev"), "{args:?}: {}", ran.stderr);
    }
}
