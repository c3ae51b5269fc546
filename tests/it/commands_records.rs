//! `corelog produce` and `corelog consume` against a real broker: every kind of input and every way to choose and print.

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::broker::Home;
use crate::commands::{Ran, command, fed, ran, said};
use crate::http;

#[test]
fn json_lines_carry_key_headers_partition_and_time_and_come_back_the_same() {
    let home = Home::new();
    let _broker = home.dev(&["--set", "shards=2"]);
    said(&home, &["topic", "create", "t", "--partitions", "3"]);
    said(&home, &["topic", "create", "copy", "--partitions", "3"]);
    let lines = concat!(
        r#"{"key":"k","value":"v","headers":{"a":"1","b":null},"partition":2,"timestamp":1700000000000}"#,
        "\n",
        r#"{"value":null,"partition":2,"timestamp":1700000000001}"#,
        "\n",
        r#"{"value":{"price":7},"key_base64":"/w==","partition":2,"timestamp":1700000000002}"#,
        "\n",
    );
    let sent = fed(&home, &["produce", "t", "--input", "json", "-z", "zstd"], lines);
    assert_eq!((sent.code, sent.stderr.as_str()), (Some(0), "3 records acked for \"t\"\n"));
    let read = said(&home, &["consume", "t", "-o", "json"]);
    let wanted = concat!(
        r#"{"topic":"t","partition":2,"offset":0,"timestamp":1700000000000,"key":"k","value":"v","#,
        r#""headers":[{"name":"a","value":"1"},{"name":"b","value":null}]}"#,
        "\n",
        r#"{"topic":"t","partition":2,"offset":1,"timestamp":1700000000001,"key":null,"value":null,"headers":[]}"#,
        "\n",
        r#"{"topic":"t","partition":2,"offset":2,"timestamp":1700000000002,"key_base64":"/w==","#,
        r#""value":"{\"price\":7}","headers":[]}"#,
        "\n",
    );
    assert_eq!(read, wanted);
    assert_eq!(fed(&home, &["produce", "copy", "-i", "json"], &read).code, Some(0));
    assert_eq!(said(&home, &["consume", "copy", "-o", "json"]), read.replace(r#""topic":"t""#, r#""topic":"copy""#));
}

#[test]
fn a_line_that_is_no_record_is_told_with_its_place_and_those_before_it_were_sent() {
    let home = Home::new();
    let _broker = home.dev(&[]);
    let wrong =
        fed(&home, &["produce", "t", "-i", "json"], "{\"value\":\"a\"}\n{\"value\":\"b\"}\n{\"vaule\":\"c\"}\n");
    assert_eq!(wrong.code, Some(2));
    let told = "2 records acked for \"t\"\ncorelog: standard input, line 3: it has no \"value\"";
    assert!(wrong.stderr.starts_with(told), "{}", wrong.stderr);
    assert_eq!(said(&home, &["consume", "t"]), "a\nb\n");
    let missing = ran(&home, &["produce", "new", "--file", "nothing-here"]);
    assert!(missing.code == Some(2) && missing.stderr.contains("nothing-here: "), "{}", missing.stderr);
    assert!(!said(&home, &["topic", "list"]).contains("new"), "nothing was to go into it");
}

#[test]
fn a_record_that_the_broker_or_the_topic_has_no_place_for_is_told_with_its_place() {
    let home = Home::new();
    let _broker = home.dev(&[]);
    said(&home, &["topic", "create", "t", "--partitions", "2", "--config", "max.message.bytes=1000"]);
    let nowhere = fed(
        &home,
        &["produce", "t", "-i", "json"],
        "{\"value\":\"a\",\"partition\":0}\n{\"value\":\"b\",\"partition\":9}\n",
    );
    let told = "1 record acked for \"t\"\ncorelog: standard input, line 2: topic \"t\" has no partition 9";
    assert!(nowhere.code == Some(4) && nowhere.stderr.starts_with(told), "{}", nowhere.stderr);
    let long = fed(&home, &["produce", "t", "-p", "1"], &format!("{}\n", "x".repeat(2000)));
    assert!(long.code == Some(5) && long.stderr.contains("corelog: near standard input, line 1: "), "{}", long.stderr);
}

#[test]
fn a_signal_ends_a_producer_after_what_it_has_sent_and_tells_where_it_stopped() {
    let home = Home::new();
    let _broker = home.dev(&[]);
    said(&home, &["topic", "create", "t"]);
    let mut child =
        command(&home, &["produce", "t", "--rate", "1"]).stdin(Stdio::piped()).spawn().expect("the binary runs");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all("line\n".repeat(1000).as_bytes()).expect("the command reads");
    assert_eq!(said(&home, &["consume", "t", "--follow", "--count", "1"]), "line\n");
    kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
    let ended: Ran = child.wait_with_output().expect("it ends").into();
    let sent = said(&home, &["consume", "t"]).lines().count();
    let plural = if sent == 1 { "" } else { "s" };
    let told = format!(
        "{sent} record{plural} acked for \"t\"\ncorelog: it was stopped before standard input, line {}; what came before \
         that is acked\n",
        sent + 1
    );
    assert_eq!((ended.code, ended.stderr), (Some(1), told));
}

#[test]
fn files_are_read_by_lines_or_whole() {
    let home = Home::new();
    let _broker = home.dev(&[]);
    let [one, two] = ["one", "two"].map(|name| home.path().join(name).to_str().expect("UTF-8").to_owned());
    fs::write(&one, "a\nb").expect("written");
    fs::write(&two, "c\n").expect("written");
    said(&home, &["produce", "lines", "--file", &one, "--file", &two]);
    assert_eq!(said(&home, &["consume", "lines", "-f", "%s|"]), "a|b|c|");
    let flags = ["--input", "whole", "-k", "name", "-t", "1700000000000", "-H", "a=b"];
    said(&home, &[&["produce", "whole", "--file", &one, "--file", &two][..], &flags].concat());
    assert_eq!(said(&home, &["consume", "whole", "-f", "%k %T %h %S %s|"]), {
        "name 1700000000000 a=b 3 a\nb|name 1700000000000 a=b 2 c\n|"
    });
    assert_eq!(said(&home, &["consume", "whole", "-K", "=>", "-n", "1"]), "name=>a\nb\n");
}

#[test]
fn a_rate_is_kept() {
    let home = Home::new();
    let _broker = home.dev(&[]);
    said(&home, &["topic", "create", "t"]);
    let lines: String = (0..50).map(|n| format!("{n}\n")).collect();
    let began = Instant::now();
    assert_eq!(fed(&home, &["produce", "t", "--rate", "100"], &lines).code, Some(0));
    // The first is due at once.
    assert!(began.elapsed() >= Duration::from_millis(490), "{:?}", began.elapsed());
    assert_eq!(said(&home, &["consume", "t"]), lines);
}

#[test]
fn records_are_chosen_by_time() {
    let home = Home::new();
    let _broker = home.dev(&[]);
    // 2026-01-01T00:00:00Z and each of the nine seconds after it.
    let record = |n: i64| format!("{{\"value\":\"{n}\",\"timestamp\":{}}}\n", 1_767_225_600_000 + n * 1000);
    let lines: String = (0..10).map(record).collect();
    assert_eq!(fed(&home, &["produce", "t", "-i", "json"], &lines).code, Some(0));
    let read = |flags: &[&str]| said(&home, &[&["consume", "t", "-f", "%s"], flags].concat());
    assert_eq!(read(&["--since", "2026-01-01T00:00:07Z"]), "789");
    assert_eq!(read(&["--until", "2026-01-01T01:00:02+01:00"]), "01");
    assert_eq!(read(&["--since", "1767225603000", "--until", "2026-01-01 00:00:06"]), "345");
    assert_eq!(read(&["--since", "1h"]), "");
    assert_eq!(read(&["--from", "@2026-01-01T00:00:08"]), "89");
    assert_eq!(read(&["-o", "-2"]), "89");
    assert_eq!(read(&["-o", "earliest", "-c", "3"]), "012");
    let twice = ran(&home, &["consume", "t", "-o", "5", "--since", "1h"]);
    assert!(twice.code == Some(2) && twice.stderr.contains("keep one of"), "{}", twice.stderr);
}

#[test]
fn what_was_acked_is_written_in_every_shape_and_records_are_read_as_yaml() {
    let home = Home::new();
    let _broker = home.dev(&[]);
    said(&home, &["topic", "create", "t", "--partitions", "2"]);
    let lines =
        "{\"value\":\"a\",\"partition\":1,\"timestamp\":7}\n{\"value\":\"b: c\",\"partition\":1,\"timestamp\":8}\n";
    let shown = |shape: &str| {
        let sent = fed(&home, &["produce", "t", "-i", "json", "-o", shape], lines);
        assert_eq!((sent.code, sent.stderr.as_str()), (Some(0), "2 records acked for \"t\"\n"));
        sent.stdout
    };
    let json: serde_json::Value = serde_json::from_str(&shown("json")).expect("JSON");
    let partition = serde_json::json!({"partition": 1, "records": 2, "first_offset": 0, "last_offset": 1});
    assert_eq!(json, serde_json::json!({"topic": "t", "records": 2, "partitions": [partition]}));
    let yaml = "topic: t\nrecords: 2\npartitions:\n  - partition: 1\n    records: 2\n    first_offset: 2\n    last_offset: 3\n";
    assert_eq!(shown("yaml"), yaml);
    assert_eq!(shown("table"), "partition  records  first  last\n1          2        4      5\n");
    assert_eq!(fed(&home, &["produce", "t", "-i", "json"], lines).stdout, "");

    let record = |offset: i64, timestamp: i64, value: &str| {
        format!(
            "---\ntopic: t\npartition: 1\noffset: {offset}\ntimestamp: {timestamp}\nkey: null\nvalue: {value}\nheaders: []\n"
        )
    };
    let both = record(0, 7, "a") + &record(1, 8, "\"b: c\"");
    assert_eq!(said(&home, &["consume", "t", "-p", "1", "-n", "2", "-o", "yaml"]), both);
    let twice = ran(&home, &["consume", "t", "-o", "yaml", "-f", "%s"]);
    assert!(twice.code == Some(2) && twice.stderr.contains("leave out --format"), "{}", twice.stderr);
}

#[test]
fn what_a_topic_refuses_of_records_is_told_with_the_record_and_with_what_to_do() {
    let home = Home::new();
    let _broker = home.dev(&[]);
    said(&home, &["topic", "create", "table", "--config", "cleanup.policy=compact"]);
    let keyless = fed(&home, &["produce", "table", "-K", ":"], "k:a\nk:b\nno key\n");
    let told = "corelog: standard input, line 3: records for table-0 were not taken: INVALID_RECORD (87): One or more records \
                have been rejected: Compacted topic cannot accept message without key; give every record a key (--key";
    assert!(keyless.code == Some(5) && keyless.stderr.contains(told), "{}", keyless.stderr);

    said(&home, &["consume", "table", "--group", "g"]);
    let own = fed(&home, &["produce", "__consumer_offsets"], "a\n");
    let told =
        "is a topic of the broker's own and takes no records of clients (INVALID_TOPIC_EXCEPTION (17)); choose another";
    assert!(own.code == Some(5) && own.stderr.contains(told), "{}", own.stderr);

    said(&home, &["topic", "create", "r_2"]);
    let meets = ran(&home, &["topic", "create", "r.2"]);
    let told = "collides with existing topic: r_2; choose another name\n";
    assert!(meets.code == Some(5) && meets.stderr.ends_with(told), "{}", meets.stderr);
    let unnamed = ran(&home, &["topic", "create", "r 2"]);
    assert!(unnamed.code == Some(5) && unnamed.stderr.contains("; a name has letters"), "{}", unnamed.stderr);
}

#[test]
fn a_port_that_speaks_http_and_an_output_that_is_full_are_told_with_what_to_do() {
    let home = Home::new();
    let (_broker, http) = http::start(&home, &[]);
    let mut other = Home::new();
    other.address = http;
    let web = ran(&other, &["topic", "list"]);
    assert!(web.code == Some(1) && web.stderr.contains("is no Kafka broker"), "{}", web.stderr);
    assert!(web.stderr.contains("check the port"), "{}", web.stderr);
    let full = fs::File::options().write(true).open("/dev/full").expect("it is there");
    let full: Ran = command(&home, &["cluster"]).stdout(full).output().expect("it runs").into();
    assert!(full.code == Some(1) && full.stderr.contains("make room where it goes"), "{}", full.stderr);
}
