//! `corelog group` and `corelog consume --group` against a real broker: who reads, who lags, where a group goes on.

use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::broker::{Broker, Home};
use crate::commands::{command, fed, ran, said};

const PATIENCE: Duration = Duration::from_secs(30);

fn broker(home: &Home) -> Broker {
    home.dev(&["--set", "group.initial.rebalance.delay.ms=0", "--set", "shards=2"])
}

/// A topic of three partitions, ten records in the first.
fn orders(home: &Home) {
    said(home, &["topic", "create", "orders", "--partitions", "3"]);
    let lines: String = (0..10).map(|n| format!("{n}\n")).collect();
    assert_eq!(fed(home, &["produce", "orders", "-p", "0"], &lines).code, Some(0));
}

#[track_caller]
fn json_of(home: &Home, args: &[&str]) -> Value {
    let text = said(home, &[args, &["-o", "json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}: {text}"))
}

fn member(home: &Home) -> Child {
    command(home, &["consume", "orders", "--group", "billing", "--follow"]).spawn().expect("the binary runs")
}

/// The partitions of each member, once the group is stable with so many.
fn shares(home: &Home, members: usize) -> Vec<Vec<i64>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shown = ran(home, &["group", "describe", "billing", "-o", "json"]).stdout;
        // Nothing as long as nobody has joined.
        let group: Value = serde_json::from_str(&shown).unwrap_or_default();
        let all = group["members"].as_array().cloned().unwrap_or_default();
        if group["state"] == "Stable" && all.len() == members {
            let share = |member: &Value| {
                let partitions = member["partitions"]["orders"].as_array().cloned().unwrap_or_default();
                partitions.iter().filter_map(Value::as_i64).collect()
            };
            return all.iter().map(share).collect();
        }
        assert!(Instant::now() < deadline, "{group:#}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_group_reads_on_where_it_stopped_and_can_be_taken_elsewhere() {
    let home = Home::new();
    let _broker = broker(&home);
    orders(&home);
    let four = said(&home, &["consume", "orders", "-g", "billing", "-n", "4"]);
    assert_eq!(four, "0\n1\n2\n3\n");
    assert_eq!(said(&home, &["consume", "orders", "-g", "billing"]), "4\n5\n6\n7\n8\n9\n");
    assert_eq!(said(&home, &["consume", "orders", "-g", "billing"]), "");

    let listed = json!([{"group": "billing", "kind": "classic", "protocol_type": "consumer", "state": "Empty"}]);
    assert_eq!(json_of(&home, &["group", "list"]), listed);
    assert_eq!(json_of(&home, &["group", "list", "--state", "stable"]), json!([]));

    let dry = said(&home, &["group", "reset", "billing", "--shift-by", "-3", "--dry-run"]);
    assert!(dry.contains("orders  0          10      7") && dry.ends_with("nothing was stored: --dry-run\n"), "{dry}");
    assert_eq!(said(&home, &["group", "offsets", "export", "billing"]), "orders,0,10\n");
    said(&home, &["group", "reset", "billing", "--shift-by", "-3"]);
    assert_eq!(said(&home, &["consume", "orders", "-g", "billing"]), "7\n8\n9\n");
    for (to, first) in [
        (&["--to-earliest"][..], Some("0")),
        (&["--to-offset", "6"], Some("6")),
        (&["--to-latest"], None),
        (&["--by-duration", "1h"], Some("0")),
        (&["--to-datetime", "2026-01-01"], Some("0")),
    ] {
        said(&home, &[&["group", "reset", "billing", "--topic", "orders:0"], to].concat());
        let read = said(&home, &["consume", "orders", "-g", "billing"]);
        assert_eq!(read.lines().next(), first, "{to:?}");
    }
}

#[test]
fn lag_is_told_by_partition_in_records_and_time_and_for_all_groups() {
    let home = Home::new();
    let _broker = broker(&home);
    orders(&home);
    assert_eq!(fed(&home, &["group", "offsets", "import", "billing"], "orders,0,4\norders,1,0\n").code, Some(0));
    assert_eq!(fed(&home, &["group", "offsets", "import", "idle"], "orders,0,10\n").code, Some(0));
    let lag = json_of(&home, &["group", "lag", "billing"]);
    let billing = &lag[0];
    assert_eq!((&billing["lag"], &billing["state"]), (&json!(6), &json!("Empty")));
    let partition = |n: usize| &billing["partitions"][n];
    assert_eq!(
        (&partition(0)["committed"], &partition(0)["end"], &partition(0)["lag"]),
        (&json!(4), &json!(10), &json!(6))
    );
    assert!(partition(0)["behind_ms"].as_i64().is_some_and(|ms| (0..600_000).contains(&ms)), "{lag:#}");
    assert_eq!((&partition(1)["lag"], &partition(1)["behind_ms"]), (&json!(0), &Value::Null));
    let all = said(&home, &["group", "lag", "--all"]);
    let lines: Vec<Vec<&str>> = all.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["group", "state", "members", "partitions", "lag", "behind"]);
    assert_eq!(lines[1][..5], ["billing", "Empty", "0", "2", "6"]);
    assert_eq!(lines[2], ["idle", "Empty", "0", "1", "0", "-"]);
}

#[test]
fn a_watch_ends_when_nobody_reads_it_any_more() {
    let home = Home::new();
    let _broker = broker(&home);
    orders(&home);
    let mut watch = command(&home, &["group", "lag", "--all", "--watch", "1"]).spawn().expect("the binary runs");
    drop(watch.stdout.take());
    let deadline = Instant::now() + PATIENCE;
    let ended = loop {
        if let Some(status) = watch.try_wait().expect("a child") {
            break status;
        }
        assert!(Instant::now() < deadline, "it goes on for nobody");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn two_members_share_and_one_that_is_stopped_leaves_its_part_to_the_other() {
    let home = Home::new();
    let _broker = broker(&home);
    orders(&home);
    let mut first = member(&home);
    assert_eq!(shares(&home, 1), [[0, 1, 2]]);
    let second = member(&home);
    let mut both = shares(&home, 2);
    both.sort();
    assert_eq!(both, [vec![0, 1], vec![2]]);

    let refused = ran(&home, &["group", "delete", "billing"]);
    assert!(refused.code == Some(5) && refused.stderr.contains("stop its consumers"), "{}", refused.stderr);
    let refused = ran(&home, &["group", "reset", "billing", "--topic", "orders", "--to-earliest"]);
    assert!(refused.code == Some(5) && refused.stderr.contains("stop its consumers"), "{}", refused.stderr);

    kill_process(Pid::from_child(&first), Signal::INT).expect("it runs");
    assert_eq!(first.wait().expect("it ends").code(), Some(0));
    assert_eq!(shares(&home, 1), [[0, 1, 2]]);
    kill_process(Pid::from_child(&second), Signal::TERM).expect("it runs");
    let read = second.wait_with_output().expect("it ends");
    assert_eq!(read.status.code(), Some(0), "{}", String::from_utf8_lossy(&read.stderr));

    said(&home, &["group", "delete", "billing"]);
    let gone = ran(&home, &["group", "describe", "billing"]);
    assert!(gone.code == Some(4) && gone.stderr.contains("`corelog group list`"), "{}", gone.stderr);
}

#[test]
fn stored_offsets_go_out_as_lines_and_in_again() {
    let home = Home::new();
    let _broker = broker(&home);
    orders(&home);
    for (lines, code, part) in [
        ("orders,0,4\norders,2", 2, "line 2"),
        ("nothing,0,4", 4, "there is no topic \"nothing\""),
        ("orders,7,4", 4, "its partitions are 0 to 2"),
    ] {
        let ended = fed(&home, &["group", "offsets", "import", "a"], lines);
        assert!(ended.code == Some(code) && ended.stderr.contains(part), "{:?} {}", ended.code, ended.stderr);
    }
    assert_eq!(fed(&home, &["group", "offsets", "import", "a", "--dry-run"], "orders,0,4").code, Some(0));
    assert_eq!(said(&home, &["group", "offsets", "export", "a"]), "");
    let file = home.path().join("offsets.csv");
    let path = file.to_str().expect("a UTF-8 path");
    assert_eq!(fed(&home, &["group", "offsets", "import", "a"], "orders,0,4\norders,2,1\n").code, Some(0));
    said(&home, &["group", "offsets", "export", "a", "--to", path]);
    said(&home, &["group", "offsets", "import", "b", path]);
    let stored = json!({"group": "b", "offsets": [
        {"topic": "orders", "partition": 0, "offset": 4}, {"topic": "orders", "partition": 2, "offset": 1},
    ]});
    assert_eq!(json_of(&home, &["group", "offsets", "export", "b"]), stored);
    said(&home, &["group", "offsets", "delete", "b", "--topic", "orders"]);
    let none = ran(&home, &["group", "offsets", "delete", "b", "--topic", "orders"]);
    assert!(none.code == Some(4) && none.stderr.contains("no offsets of orders"), "{}", none.stderr);
}
