//! `corelog group` and `corelog consume --group` against a real broker: who reads, who lags, where a group goes on.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::Child;
use std::time::{Duration, Instant};

use corelog::wire::ErrorCode;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::broker::{Broker, Home};
use crate::commands::{command, fed, ran, said};
use crate::groups::{commit, find};
use crate::http;

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
    let words = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    let lines = words(&said(&home, &["group", "lag", "--all", "--totals"]));
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0], ["group", "state", "members", "partitions", "lag", "behind"]);
    assert_eq!(lines[1][..5], ["billing", "Empty", "0", "2", "6"]);
    assert_eq!(lines[2], ["idle", "Empty", "0", "1", "0", "-"]);
    let all = said(&home, &["group", "lag", "--all"]);
    assert_eq!(all.lines().count(), 2 + 2 + 1 + 2 + 1, "{all}");
    let lines = words(&all);
    assert_eq!(lines[0][..8], ["billing", "Empty", "0", "members", "lag", "6,", "behind", "by"]);
    assert_eq!(lines[1], ["topic", "partition", "committed", "end", "lag", "behind", "member", "host"]);
    assert_eq!(lines[2][..5], ["orders", "0", "4", "10", "6"]);
    assert_eq!(lines[3], ["orders", "1", "0", "0", "0", "-", "-", "-"]);
    assert_eq!(lines[5], ["idle", "Empty", "0", "members", "lag", "0"]);
}

/// Requests that the broker has had of an API.
fn requests(http: SocketAddr, api: &str) -> u64 {
    let page = http::get(http, "/metrics").body;
    let of_api = |line: &&str| line.starts_with("corelog_requests_total{") && line.contains(&format!("\"{api}\""));
    page.lines()
        .filter(of_api)
        .map(|line| line.rsplit(' ').next().expect("a value").parse::<u64>().expect("a count"))
        .sum()
}

#[test]
fn many_groups_take_a_few_requests_for_all_of_them() {
    const GROUPS: i64 = 250;
    let home = Home::new();
    let (broker, http) = http::start(&home, &["--set", "group.initial.rebalance.delay.ms=0", "--set", "shards=2"]);
    orders(&home);
    let mut peer = broker.connect();
    let names: Vec<String> = (0..GROUPS).map(|n| format!("g{n:04}")).collect();
    find(&mut peer, &names[0]);
    for (name, offset) in names.iter().zip(0..) {
        assert_eq!(commit(&mut peer, name, "orders", offset % 11, None), ErrorCode::None, "{name}");
    }
    const APIS: [&str; 8] = [
        "FindCoordinator",
        "OffsetFetch",
        "DescribeGroups",
        "ConsumerGroupDescribe",
        "ListOffsets",
        "ListGroups",
        "Metadata",
        "Fetch",
    ];
    let asked = || APIS.map(|api| requests(http, api));
    let before = asked();
    let lag = json_of(&home, &["group", "lag", "--all"]);
    let counts: Vec<(&str, u64)> =
        APIS.iter().zip(asked().iter().zip(before)).map(|(api, (after, before))| (*api, after - before)).collect();
    // Groups are looked at by the hundred. All of them read the same ten records, which come with one fetch.
    let most = [3, 3, 3, 3, 6, 1, 8, 6];
    assert!(counts.iter().zip(most).all(|((_, count), most)| *count <= most && *count > 0), "{counts:?}");

    let groups = lag.as_array().expect("a list");
    assert_eq!(groups.iter().map(|group| group["group"].as_str().expect("a name")).collect::<Vec<_>>(), names);
    for (group, offset) in groups.iter().zip(0..) {
        let place = &group["partitions"][0];
        let (stored, left) = (offset % 11, 10 - offset % 11);
        assert_eq!((&place["committed"], &place["lag"]), (&json!(stored), &json!(left)), "{group:#}");
        assert_eq!(place["behind_ms"].is_i64(), left > 0, "{group:#}");
    }
    let two = json_of(&home, &["group", "describe", "g0007", "g0003"]);
    assert_eq!(
        (&two[0]["group"], &two[1]["group"], &two[1]["state"]),
        (&json!("g0007"), &json!("g0003"), &json!("Empty"))
    );
    let table = said(&home, &["group", "describe", "g0007", "g0003"]);
    assert_eq!(table.lines().count(), 5, "{table}");
    let missing = ran(&home, &["group", "describe", "g0007", "nobody"]);
    assert!(missing.code == Some(4) && missing.stderr.contains("there is no group \"nobody\""), "{}", missing.stderr);
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
fn a_watch_says_when_it_looked_and_goes_on_without_a_group_that_ended() {
    let home = Home::new();
    let _broker = broker(&home);
    orders(&home);
    for group in ["a", "b"] {
        assert_eq!(fed(&home, &["group", "offsets", "import", group], "orders,0,4\n").code, Some(0));
    }
    let flags = ["group", "lag", "a", "b", "--watch", "1", "-o", "json"];
    let mut watch = command(&home, &flags).spawn().expect("the binary runs");
    let mut looks = BufReader::new(watch.stdout.take().expect("a pipe")).lines();
    let mut look = || -> Value { serde_json::from_str(&looks.next().expect("a line").expect("text")).expect("JSON") };
    let groups = |look: &Value| look["groups"].as_array().map(Vec::len);
    let first = look();
    assert_eq!((groups(&first), first["at_ms"].is_i64()), (Some(2), true), "{first}");
    said(&home, &["group", "delete", "a"]);
    let deadline = Instant::now() + PATIENCE;
    let mut last = look();
    while groups(&last) != Some(1) {
        assert!(Instant::now() < deadline, "{last}");
        last = look();
    }
    assert!(last["at_ms"].as_i64() > first["at_ms"].as_i64(), "{last}");
    watch.kill().expect("it runs");
    watch.wait().expect("a child");
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
    let nobody = ran(&home, &["group", "offsets", "export", "a"]);
    assert!(nobody.code == Some(4) && nobody.stderr.contains("there is no group \"a\""), "{}", nobody.stderr);
    let file = home.path().join("offsets.csv");
    let path = file.to_str().expect("a UTF-8 path");
    assert_eq!(fed(&home, &["group", "offsets", "import", "a"], "orders,0,4\norders,2,0\n").code, Some(0));
    said(&home, &["group", "offsets", "export", "a", "--to", path]);
    said(&home, &["group", "offsets", "import", "b", path]);
    let stored = json!({"group": "b", "offsets": [
        {"topic": "orders", "partition": 0, "offset": 4}, {"topic": "orders", "partition": 2, "offset": 0},
    ]});
    assert_eq!(json_of(&home, &["group", "offsets", "export", "b"]), stored);
    said(&home, &["group", "offsets", "delete", "b", "--topic", "orders"]);
    let none = ran(&home, &["group", "offsets", "delete", "b", "--topic", "orders"]);
    assert!(none.code == Some(4) && none.stderr.contains("no offsets of orders"), "{}", none.stderr);

    let beyond = fed(&home, &["group", "offsets", "import", "a"], "orders,0,9999\norders,1,5\norders,2,0\n");
    let told = "orders-0 has offsets 0 to 10: 10 instead of 9999\norders-1 has offsets 0 to 0: 0 instead of 5\n";
    assert_eq!((beyond.code, beyond.stderr.as_str()), (Some(0), told));
    assert_eq!(said(&home, &["group", "offsets", "export", "a"]), "orders,0,10\norders,1,0\norders,2,0\n");

    assert_eq!(fed(&home, &["group", "offsets", "import", "b"], "orders,0,4\n").code, Some(0));
    let some = ran(&home, &["group", "delete", "nobody", "a", "b", "-o", "json"]);
    let deleted: Value = serde_json::from_str(&some.stdout).expect("JSON");
    let deleted: Vec<_> = deleted.as_array().expect("a list").iter().map(|group| &group["deleted"]).collect();
    assert_eq!((some.code, deleted), (Some(4), vec![&json!(false), &json!(true), &json!(true)]), "{}", some.stderr);
    assert_eq!(said(&home, &["group", "list"]), "group  kind  protocol  state\n");
}

/// More than are asked for in one go, and among them some that cannot be, and one that is named twice.
#[test]
fn many_groups_are_deleted_at_once_and_each_is_told() {
    const GROUPS: usize = 130;
    let home = Home::new();
    let _broker = broker(&home);
    orders(&home);
    let names: Vec<String> = (0..GROUPS).map(|n| format!("g{n:03}")).collect();
    for name in &names {
        assert_eq!(fed(&home, &["group", "offsets", "import", name], "orders,0,4\n").code, Some(0));
    }
    let mut member =
        command(&home, &["consume", "orders", "-g", "billing", "--follow"]).spawn().expect("the binary runs");
    assert_eq!(shares(&home, 1), [[0, 1, 2]]);

    let (first, others) = names.split_at(GROUPS / 2);
    let all = first.iter().map(String::as_str).chain(["", "billing", "nobody", "g000"]);
    let all: Vec<&str> = all.chain(others.iter().map(String::as_str)).collect();
    let some = ran(&home, &[&["group", "delete", "-o", "json"], &all[..]].concat());
    let told: Value = serde_json::from_str(&some.stdout).expect("JSON");
    let told = told.as_array().expect("a list");
    let order: Vec<_> = told.iter().map(|one| one["group"].as_str().unwrap_or_default()).collect();
    assert_eq!(order, all);
    let refused = |one: &&Value| one["deleted"] == false;
    let refused: Vec<_> = told.iter().filter(refused).map(|one| one["error"].as_str().unwrap_or_default()).collect();
    let parts = ["no group \"\"", "NON_EMPTY_GROUP", "no group \"nobody\"", "no group \"g000\""];
    assert_eq!(refused.len(), parts.len(), "{refused:?}");
    for (error, part) in refused.iter().zip(parts) {
        assert!(error.contains(part) && some.stderr.contains(part), "{part}: {error}, {}", some.stderr);
    }
    assert_eq!(some.code, Some(4), "the first error says how it ends: {}", some.stderr);
    let left = said(&home, &["group", "list"]);
    assert_eq!((left.lines().count(), left.contains("billing")), (2, true), "{left}");
    member.kill().expect("it runs");
    member.wait().expect("a child");
}

#[test]
fn what_a_group_reads_and_has_never_stored_is_no_lag_of_nothing() {
    let home = Home::new();
    let _broker = broker(&home);
    orders(&home);
    let flags = ["consume", "orders", "--group", "billing", "--follow", "-o", "end"];
    let mut member = command(&home, &flags).spawn().expect("the binary runs");
    assert_eq!(shares(&home, 1), [[0, 1, 2]]);
    let lag = json_of(&home, &["group", "lag", "billing"]);
    assert_eq!((&lag[0]["lag"], &lag[0]["unknown"]), (&Value::Null, &json!(1)), "{lag:#}");
    assert_eq!(lag[0]["partitions"][1]["lag"], 0, "nothing is there that could be read");
    let all = said(&home, &["group", "lag", "--all", "--totals"]);
    let row: Vec<&str> = all.lines().last().unwrap_or_default().split_whitespace().collect();
    assert_eq!(row, ["billing", "Stable", "1", "3", "-", "-"]);
    assert!(said(&home, &["group", "lag", "billing"]).contains("nothing stored of 1 that are read"));

    // What a dry run promises is what would be done.
    for args in [
        &["group", "reset", "billing", "--topic", "orders", "--to-earliest", "--dry-run"][..],
        &["group", "offsets", "import", "billing", "--dry-run"],
    ] {
        let refused = fed(&home, args, "orders,0,1\n");
        assert!(refused.code == Some(5) && refused.stderr.contains("stop its consumers"), "{}", refused.stderr);
    }
    member.kill().expect("it runs");
    member.wait().expect("a child");
}

/// Longer than the session that a member asks for.
const SESSION: Duration = Duration::from_secs(13);

/// The pipe is full long before the end, so that the command waits for its reader; its heartbeats must not.
#[test]
fn a_member_whose_output_is_taken_slowly_keeps_its_place_and_what_was_taken_is_stored() {
    let home = Home::new();
    let _broker = broker(&home);
    let lines: Vec<String> = (0..20_000).map(|n| format!("{n:080}")).collect();
    said(&home, &["topic", "create", "big"]);
    assert_eq!(fed(&home, &["produce", "big"], &(lines.join("\n") + "\n")).code, Some(0));
    let mut reader = command(&home, &["consume", "big", "-g", "billing"]).spawn().expect("the binary runs");
    let mut taken = BufReader::with_capacity(100, reader.stdout.take().expect("a pipe"));
    let mut first = String::new();
    for _ in 0..100 {
        taken.read_line(&mut first).expect("a line");
    }
    std::thread::sleep(SESSION);
    let group = json_of(&home, &["group", "describe", "billing"]);
    assert_eq!((&group["state"], group["members"].as_array().map(Vec::len)), (&json!("Stable"), Some(1)), "{group:#}");
    taken.read_to_string(&mut first).expect("the other lines");
    let all: Vec<&str> = first.lines().collect();
    assert_eq!((all.len(), all == lines), (lines.len(), true), "each line comes once");
    let ended = reader.wait_with_output().expect("it ends");
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), &b""[..]));
    assert_eq!(said(&home, &["group", "offsets", "export", "billing"]), "big,0,20000\n");
}

#[test]
fn who_reads_on_reads_partitions_too_that_are_added() {
    let home = Home::new();
    let _broker = broker(&home);
    said(&home, &["topic", "create", "orders"]);
    let flags = ["consume", "orders", "--follow", "-n", "2", "-f", "%p:%s\\n"];
    let alone = command(&home, &flags).spawn().expect("the binary runs");
    let member = command(&home, &[&flags[..], &["-g", "billing"]].concat()).spawn().expect("the binary runs");
    assert_eq!(shares(&home, 1), [[0]]);
    assert_eq!(fed(&home, &["produce", "orders"], "a\n").code, Some(0));
    said(&home, &["topic", "alter", "orders", "--partitions", "2"]);
    assert_eq!(fed(&home, &["produce", "orders", "-p", "1"], "b\n").code, Some(0));
    for reader in [alone, member] {
        let read = reader.wait_with_output().expect("it ends");
        assert_eq!(String::from_utf8_lossy(&read.stdout), "0:a\n1:b\n", "{}", String::from_utf8_lossy(&read.stderr));
    }
}
