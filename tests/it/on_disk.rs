//! `corelog log` on the directories of real brokers that were stopped or killed: what it tells, what it finds, and that it
//! writes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use serde_json::Value;

use crate::broker::{Home, copy_all};
use crate::commands::{Ran, fed, said};

pub fn corelog_log(args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelog"));
    command.arg("log").args(args).env_clear().stdin(Stdio::null());
    command.output().expect("the binary runs").into()
}

pub fn data(home: &Home) -> &str {
    home.data.to_str().expect("a UTF-8 path")
}

/// The objects of a dump of this directory.
#[track_caller]
fn dumped(home: &Home, args: &[&str]) -> Vec<Value> {
    let ran = corelog_log(&[&["dump", data(home), "-o", "json"][..], args].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{args:?}: {}", ran.stdout);
    ran.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn of_kind<'a>(all: &'a [Value], kind: &str) -> Vec<&'a Value> {
    all.iter().filter(|item| item["kind"] == kind).collect()
}

/// Every file below a directory with its content and when it was changed.
pub fn contents(dir: &Path) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else {
                let changed = path.metadata().and_then(|file| file.modified()).expect("a time");
                found.insert(path.clone(), (changed, fs::read(&path).expect("a file")));
            }
        }
    }
    found
}

/// A broker with records in every codec, a group, several segments and a topic that was deleted; then it is gone.
pub fn filled(home: &Home, killed: bool) {
    let small = ["shards=2", "journal.bytes=4194304", "journal.bytes.max=4194304", "log.segment.bytes=1048576"];
    let broker = home.dev(&small.iter().flat_map(|flag| ["--set", *flag]).collect::<Vec<_>>());
    said(home, &["topic", "create", "orders", "--partitions", "2"]);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let args = ["produce", "orders", "-K", ":", "-z", codec, "-H", "source=test", "-p", "0"];
        assert_eq!(fed(home, &args, "k1:one\nk2:two\n").code, Some(0));
    }
    said(home, &["consume", "orders", "-g", "readers", "-n", "3"]);
    said(home, &["topic", "create", "large"]);
    let line = "x".repeat(60_000) + "\n";
    assert_eq!(fed(home, &["produce", "large"], &line.repeat(60)).code, Some(0));
    said(home, &["topic", "create", "gone"]);
    assert_eq!(fed(home, &["produce", "gone"], "away\n").code, Some(0));
    said(home, &["topic", "delete", "gone"]);
    // Commits behind all that a turn may free: each proves that those before it were acked.
    for _ in 0..5 {
        assert_eq!(fed(home, &["produce", "orders", "-p", "1"], "last\n").code, Some(0));
    }
    if killed {
        broker.kill();
    } else {
        assert!(broker.terminate().status.success());
    }
}

#[test]
fn a_dump_tells_batches_records_groups_and_journals_and_changes_nothing() {
    for killed in [false, true] {
        let home = Home::new();
        filled(&home, killed);
        let before = contents(&home.data);

        let all = dumped(&home, &[]);
        let names: Vec<&str> = of_kind(&all, "partition").iter().filter_map(|one| one["name"].as_str()).collect();
        for name in ["__cluster_metadata-0", "large-0", "orders-0"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(!names.contains(&"gone-0"), "{names:?}");

        let all = dumped(&home, &["orders-0", "--records", "--indexes", "--producers"]);
        let batches = of_kind(&all, "batch");
        let codecs: Vec<&str> = batches.iter().filter_map(|batch| batch["codec"].as_str()).collect();
        assert_eq!(codecs, ["none", "gzip", "snappy", "lz4", "zstd"]);
        assert!(batches.iter().all(|batch| batch["crc"] == "ok" && batch["records"] == 2), "{batches:?}");
        let records = of_kind(&all, "record");
        assert_eq!(records.len(), 10);
        for (offset, record) in records.iter().enumerate() {
            let (key, value) = if offset % 2 == 0 { ("k1", "one") } else { ("k2", "two") };
            assert_eq!(
                (&record["offset"], &record["key"], &record["value"]),
                (&offset.into(), &key.into(), &value.into())
            );
            assert_eq!(record["headers"], serde_json::json!([{ "name": "source", "value": "test" }]));
        }
        assert!(!of_kind(&all, "epoch").is_empty());

        let some = dumped(&home, &["orders-0", "--from", "3", "-n", "2"]);
        let offsets: Vec<&Value> = of_kind(&some, "batch").iter().map(|batch| &batch["base_offset"]).collect();
        assert_eq!(offsets, [2, 4]);

        let all = dumped(&home, &["large", "--indexes"]);
        assert!(of_kind(&all, "segment").len() > 2, "{all:?}");
        assert!(killed || !of_kind(&all, "footer").is_empty(), "{all:?}");

        let all = dumped(&home, &["__consumer_offsets", "--records"]);
        let offsets = of_kind(&all, "offset");
        let stored = offsets.iter().any(|one| one["group"] == "readers" && one["value"]["offset"] == 3);
        assert!(stored, "{offsets:?}");
        assert!(all.iter().any(|one| one["group"] == "readers" && one["kind"] != "offset"), "{all:?}");

        let all = dumped(&home, &["--catalog", "--journal"]);
        assert!(of_kind(&all, "topic").iter().any(|topic| topic["name"] == "orders"), "{all:?}");
        assert!(!of_kind(&all, "register_broker").is_empty() && !of_kind(&all, "remove_topic").is_empty());
        assert!(!of_kind(&all, "commit").is_empty() && !of_kind(&all, "data").is_empty());
        let undecoded = all.iter().filter(|one| one["kind"] == "damaged" || !one["not_decoded"].is_null());
        assert_eq!(undecoded.collect::<Vec<_>>(), Vec::<&Value>::new());

        let text = corelog_log(&["dump", data(&home), "orders-0", "-r"]).stdout;
        assert!(text.contains("\n      record offset=0 "), "{text}");
        assert!(contents(&home.data) == before, "a dump wrote something");
    }
}

#[test]
fn a_running_broker_a_newer_format_and_a_foreign_directory_are_refused_untouched() {
    let home = Home::new();
    let broker = home.dev(&[]);
    let refused = corelog_log(&["dump", data(&home)]);
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    assert!(refused.stderr.contains("running broker") && refused.stderr.contains("copy"), "{}", refused.stderr);
    broker.connect().check_served();
    assert!(broker.terminate().status.success());

    let meta = home.data.join("meta");
    let text = fs::read_to_string(&meta).expect("meta");
    fs::write(&meta, text.replace("format=1", "format=9")).expect("written");
    let before = contents(&home.data);
    let refused = corelog_log(&["dump", data(&home)]);
    assert!(refused.code == Some(1) && refused.stderr.contains("format 9"), "{}", refused.stderr);
    assert!(contents(&home.data) == before);

    let foreign = corelog_log(&["dump", home.path().to_str().expect("UTF-8")]);
    assert!(foreign.code == Some(4) && foreign.stderr.contains("not a data directory"), "{}", foreign.stderr);
}

fn flip(file: &Path, byte: usize) {
    let mut bytes = fs::read(file).expect("a file of ours");
    bytes[byte] ^= 0x10;
    fs::write(file, bytes).expect("written");
}

pub fn verified(home: &Home, flags: &[&str]) -> (Ran, Value) {
    let ran = corelog_log(&[&["verify", data(home), "-o", "json"][..], flags].concat());
    let answer = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {} {}", ran.stdout, ran.stderr));
    (ran, answer)
}

/// A file of the directory that holds something, by the end of its path.
#[track_caller]
fn file_like(home: &Home, begin: &str, end: &str) -> PathBuf {
    let files = contents(&home.data).into_iter().filter(|(_, (_, content))| !content.is_empty()).map(|(path, _)| path);
    let inside = |path: &PathBuf| path.strip_prefix(&home.data).expect("below it").display().to_string();
    let mut found = files.filter(|path| inside(path).starts_with(begin) && inside(path).ends_with(end));
    found.next().unwrap_or_else(|| panic!("no file {begin}…{end}"))
}

/// Where in the journals a commit begins that others prove to be acked: file and byte.
fn acked_commit(home: &Home) -> (PathBuf, usize) {
    let (mut shard, mut first, mut file) = (0, 0, String::new());
    let mut found = BTreeMap::<u64, Vec<(u64, String, usize)>>::new();
    for item in dumped(home, &["--journal"]) {
        let number = |name: &str| item[name].as_u64().expect("a number");
        match item["kind"].as_str() {
            Some("journal") => (shard, first) = (number("shard"), number("first_generation")),
            Some("file") => file = item["file"].as_str().expect("a name").to_owned(),
            Some("commit") if number("generation") >= first => {
                let commit = (number("sequence"), file.clone(), number("position") as usize);
                found.entry(shard).or_default().push(commit);
            }
            _ => {}
        }
    }
    let mut commits = found.into_values().find(|commits| commits.len() > 3).expect("several commits");
    commits.sort();
    (home.data.join(&commits[0].1), commits[0].2)
}

#[test]
fn a_flipped_byte_in_each_kind_of_file_is_named_with_what_is_lost() {
    let homes = [false, true].map(|killed| {
        let home = Home::new();
        filled(&home, killed);
        let (ran, answer) = verified(&home, &[]);
        assert_eq!((ran.code, &answer["findings"]), (Some(0), &serde_json::json!([])), "killed: {killed}");
        assert!(answer["records"].as_u64() > Some(70), "{answer}");
        home
    });
    let [stopped, killed] = &homes;
    let (journal, commit) = acked_commit(killed);
    let sealed = file_like(stopped, "data/large-0/", "0000.log");
    let cases: [(&Home, PathBuf, usize, bool); 8] = [
        (stopped, file_like(stopped, "meta", ""), 20, false),
        (stopped, file_like(stopped, "run", ""), 20, true),
        (stopped, file_like(stopped, "checkpoint/", ".a"), 50, false),
        (stopped, sealed.clone(), 100_000, true),
        (stopped, sealed.with_extension("index"), 100, false),
        (stopped, file_like(stopped, "data/large-0/", "partition.metadata"), 25, false),
        // The leader epoch of the first batch: Kafka's CRC says nothing of it, ours does.
        (stopped, sealed.clone(), 15, true),
        (killed, journal, commit + 100, true),
    ];
    for (home, file, byte, is_loss) in cases {
        let copy = Home::new();
        copy_all(&home.data, &copy.data);
        let inside = file.strip_prefix(&home.data).expect("below it");
        flip(&copy.data.join(inside), byte);
        let before = contents(&copy.data);
        let (ran, answer) = verified(&copy, &[]);
        let findings = answer["findings"].as_array().expect("a list");
        assert_eq!(ran.code, Some(6), "{}: {answer}", inside.display());
        let named = findings.iter().find(|finding| finding["file"] == *inside.display().to_string());
        let named = named.unwrap_or_else(|| panic!("{} is not named: {answer}", inside.display()));
        assert_eq!(named["loss"], is_loss, "{named}");
        assert!(findings.iter().all(|finding| finding["loss"] == is_loss || finding == named), "{answer}");
        assert!(contents(&copy.data) == before, "verifying wrote something: {}", inside.display());
    }
}

#[test]
fn files_that_are_cut_or_missing_are_named_with_the_records_that_are_lost() {
    let home = Home::new();
    filled(&home, false);
    let sealed = file_like(&home, "data/large-0/", "0000.log");
    let bytes = fs::read(&sealed).expect("a segment");
    fs::write(&sealed, &bytes[..bytes.len() / 2]).expect("cut");
    let (ran, answer) = verified(&home, &[]);
    let finding = &answer["findings"][0];
    assert_eq!((ran.code, finding["partition"].as_str()), (Some(6), Some("large-0")), "{answer}");
    assert!(finding["lost"].as_str().expect("words").contains("records"), "{answer}");
    fs::remove_file(&sealed).expect("removed");
    let (ran, answer) = verified(&home, &[]);
    assert!(ran.code == Some(6) && answer["findings"][0]["what"] == "it is missing", "{answer}");
    let text = corelog_log(&["verify", data(&home)]);
    assert!(text.stdout.contains("large-0/00000000000000000000.log: it is missing\n  lost: "), "{}", text.stdout);
    assert!(text.stderr.contains("damaged"), "{}", text.stderr);
}

#[test]
fn batches_that_are_damaged_alike_are_one_finding_and_what_may_not_be_read_is_none() {
    let home = Home::new();
    let broker = home.dev(&[]);
    said(&home, &["topic", "create", "orders"]);
    for _ in 0..4 {
        assert_eq!(fed(&home, &["produce", "orders"], &("x".repeat(20_000) + "\n")).code, Some(0));
    }
    assert!(broker.terminate().status.success());
    let log = file_like(&home, "data/orders-0/", "0000.log");
    let all = dumped(&home, &["orders-0"]);
    for batch in &of_kind(&all, "batch")[1..3] {
        flip(&log, batch["position"].as_u64().expect("a number") as usize + 1000);
    }
    let (ran, answer) = verified(&home, &[]);
    let findings = answer["findings"].as_array().expect("a list");
    assert_eq!((ran.code, findings.len()), (Some(6), 1), "{answer}");
    assert_eq!(findings[0]["lost"], "lost: at most the records 1 to 2 of orders-0");
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("set");
        fs::set_permissions(home.data.join("data"), fs::Permissions::from_mode(0o700)).expect("set");
        let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups", env!("CARGO_BIN_EXE_corelog")];
        let run = Command::new("setpriv").args(nobody).args(["log", "verify", data(&home)]).output().expect("it runs");
        let told = String::from_utf8_lossy(&run.stderr);
        assert!(
            run.status.code() == Some(1) && told.contains("run this as the broker's user"),
            "{}: {told}",
            run.status
        );
    }
}

#[test]
fn a_repair_makes_anew_what_is_derived_and_touches_nothing_else() {
    let home = Home::new();
    filled(&home, false);
    let whole = contents(&home.data);
    let index = file_like(&home, "data/large-0/", "0000.index");
    let owner = file_like(&home, "data/large-0/", "partition.metadata");
    let copy = file_like(&home, "checkpoint/", ".b");
    flip(&index, 100);
    flip(&copy, 60);
    fs::remove_file(&owner).expect("removed");
    let (ran, answer) = verified(&home, &["--repair"]);
    assert_eq!((ran.code, answer["repaired"].as_array().map(Vec::len)), (Some(0), Some(3)), "{answer}");
    let content = |found: &BTreeMap<PathBuf, (SystemTime, Vec<u8>)>| -> BTreeMap<PathBuf, Vec<u8>> {
        found.iter().map(|(path, (_, content))| (path.clone(), content.clone())).collect()
    };
    let after = contents(&home.data);
    for path in content(&whole).keys().filter(|path| ![&index, &owner, &copy].contains(path)) {
        assert!(whole[path] == after[path], "{} was touched", path.display());
    }
    assert_eq!(content(&whole).keys().collect::<Vec<_>>(), content(&after).keys().collect::<Vec<_>>());
    assert!(whole[&copy].1 == after[&copy].1 && whole[&owner].1 == after[&owner].1);
    let (ran, answer) = verified(&home, &[]);
    assert_eq!(ran.code, Some(0), "{answer}");
    let broker = home.dev(&[]);
    assert_eq!(said(&home, &["consume", "large", "-f", "%o\\n"]).lines().count(), 60);
    let refused = corelog_log(&["verify", data(&home), "--repair"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("running broker"), "{}", refused.stderr);
    drop(broker);
}
