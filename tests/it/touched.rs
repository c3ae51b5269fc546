//! What a start makes of a data directory that others have touched: what it leaves alone, what it refuses, what it moves.

use std::fs;
use std::path::PathBuf;

use crate::broker::{Home, until};
use crate::commands::{fed, said};
use crate::on_disk::{contents, corelog_log, data, filled};

#[test]
fn what_others_put_into_a_data_directory_is_left_alone() {
    let home = Home::new();
    filled(&home, false);
    let theirs = [
        "data/my-backup/x",
        "data/orders-0.bak/x",
        "data/large-0/mine.new",
        "data/large-0/old.deleted/x",
        "data/copies-7/orders-0/x",
        "data/lost+found/x",
        "checkpoint/1-0.a.bak",
        "checkpoint/bak/x",
        "catalog/x.bak",
        "journal/0/1-1-copy.journal",
        "journal/7/x",
    ];
    for path in theirs.map(|path| home.data.join(path)) {
        fs::create_dir_all(path.parent().expect("above")).expect("made");
        fs::write(path, "theirs").expect("written");
    }
    // So are copies of what is there, also one that is called as a partition would be.
    let copies = ["data/large-20261127", "data/spare-0"].map(|copy| home.data.join(copy).join("partition.metadata"));
    // What a deleted topic has left goes.
    let gone = home.data.join("data/gone-0");
    fs::create_dir_all(&gone).expect("made");
    let metadata = fs::read_to_string(home.data.join("data/large-0/partition.metadata")).expect("read");
    fs::write(gone.join("partition.metadata"), "version: 0\ntopic_id: BBBBBBBBBBBBBBBBBBBBBQ\n").expect("written");
    for copy in &copies {
        fs::create_dir_all(copy.parent().expect("above")).expect("made");
        fs::write(copy, &metadata).expect("written");
    }
    let aside = home.data.join("data/gone-1.0123456789abcdef0123456789abcdef-delete");
    fs::create_dir_all(&aside).expect("made");
    fs::write(aside.join("00000000000000000000.log.deleted"), "").expect("written");
    let broker = home.dev(&["--set", "shards=1"]);
    assert_eq!(said(&home, &["consume", "large", "-f", "%o\\n"]).lines().count(), 60);
    assert!(broker.terminate().status.success());
    for path in theirs {
        assert_eq!(fs::read_to_string(home.data.join(path)).ok().as_deref(), Some("theirs"), "{path}");
    }
    assert!(copies.iter().all(|copy| copy.exists()));
    assert!(!gone.exists() && !aside.exists());
}

#[test]
fn a_topic_whose_name_is_as_long_as_kafka_takes_it_can_be_deleted() {
    let home = Home::new();
    let name = "n".repeat(249);
    let line = "x".repeat(9_000) + "\n";
    let partitions = || fs::read_dir(home.data.join("data")).expect("it is there").count();
    let soon = ["--set", "log.segment.delete.delay.ms=100"];
    // More than a block: after the first stop it is in a segment.
    let mut broker = home.dev(&soon);
    said(&home, &["topic", "create", &name]);
    assert_eq!(fed(&home, &["produce", &name], &line).code, Some(0));
    for _ in 0..2 {
        assert!(broker.terminate().status.success());
        broker = home.dev(&soon);
        let before = partitions();
        said(&home, &["topic", "delete", &name]);
        until("its directory is gone", || partitions() < before);
        said(&home, &["topic", "create", &name]);
        assert_eq!(fed(&home, &["produce", &name], &line).code, Some(0));
    }
    // What a crash leaves of a deleted topic goes as well.
    let gone = home.data.join("data").join("g".repeat(249) + "-0");
    fs::create_dir_all(&gone).expect("made");
    fs::write(gone.join("00000000000000000000.log"), "").expect("written");
    assert!(broker.terminate().status.success());
    let broker = home.dev(&[]);
    assert!(!gone.exists());
    assert_eq!(said(&home, &["consume", &name, "-f", "%o\\n"]), "0\n");
    assert!(broker.terminate().status.success());
}

#[test]
fn a_partition_whose_directory_is_away_for_a_start_is_whole_when_it_is_back() {
    let home = Home::new();
    filled(&home, false);
    let (dir, away) = (home.data.join("data/large-0"), home.data.join("away"));
    let read = || said(&home, &["consume", "large", "-f", "%o\\n"]).lines().count();
    fs::rename(&dir, &away).expect("moved");
    for _ in 0..2 {
        let left = home.dev_refused(&["--set", "shards=1"]);
        assert!(left.stderr.contains("large-0: the directory is gone"), "{}", left.stderr);
    }
    fs::rename(&away, &dir).expect("moved back");
    let broker = home.dev(&["--set", "shards=1"]);
    assert_eq!(read(), 60);
    assert!(broker.terminate().status.success());
    // It will not come back: the others serve.
    fs::remove_dir_all(&dir).expect("removed");
    fs::create_dir(&dir).expect("made");
    let broker = home.dev(&["--set", "shards=1"]);
    assert!(broker.stderr().contains("are there; it held records"), "{}", broker.stderr());
    assert_eq!(said(&home, &["consume", "orders", "-p", "0", "-n", "2", "-f", "%s\\n"]), "one\ntwo\n");
    assert!(broker.terminate().status.success());
}

#[test]
fn a_segment_file_that_was_cut_takes_its_partition_out_of_service_at_the_start() {
    let home = Home::new();
    filled(&home, false);
    let names = fs::read_dir(home.data.join("data/large-0")).expect("it is there").map(|e| e.expect("an entry").path());
    let last = names.filter(|path| path.extension().is_some_and(|ending| ending == "log")).max().expect("segments");
    fs::File::options().write(true).open(&last).and_then(|file| file.set_len(0)).expect("cut");
    let broker = home.dev(&["--set", "shards=1"]);
    assert!(broker.stderr().contains("0 are there; it held records"), "{}", broker.stderr());
    assert_eq!(said(&home, &["consume", "orders", "-p", "0", "-n", "2", "-f", "%s\\n"]), "one\ntwo\n");
    assert!(broker.terminate().status.success());
}

#[test]
fn what_is_in_the_way_of_a_new_topic_is_moved_and_kept() {
    let home = Home::new();
    let broker = home.dev(&[]);
    let data = home.data.join("data");
    fs::create_dir(data.join("t-0")).expect("made");
    fs::write(data.join("t-0/notes.txt"), "theirs").expect("written");
    fs::write(data.join("u-0"), "theirs").expect("written");
    for topic in ["t", "u"] {
        said(&home, &["topic", "create", topic]);
        assert_eq!(fed(&home, &["produce", topic], &("x".repeat(9_000) + "\n")).code, Some(0));
    }
    assert!(broker.terminate().status.success());
    let broker = home.dev(&[]);
    assert_eq!(said(&home, &["consume", "u", "-f", "%o\\n"]), "0\n");
    assert!(broker.terminate().status.success());
    let aside = fs::read_dir(&data).expect("it is there").map(|e| e.expect("an entry").path());
    let kept = aside.filter(|path| path.to_string_lossy().ends_with("-delete"));
    let text = |path: PathBuf| fs::read_to_string(&path).or_else(|_| fs::read_to_string(path.join("notes.txt")));
    assert_eq!(kept.map(|path| text(path).expect("theirs")).collect::<Vec<_>>(), ["theirs", "theirs"]);
}

#[test]
fn a_directory_is_one_brokers_whatever_becomes_of_its_lock_file() {
    let home = Home::new();
    let broker = home.dev(&[]);
    fs::remove_file(home.data.join("lock")).expect("removed");
    let mut other = Home::new();
    other.data = home.data.clone();
    let left = other.dev_refused(&[]);
    assert!(left.stderr.contains("is in use by another corelog"), "{}", left.stderr);
    let ran = corelog_log(&["verify", data(&home)]);
    assert!(ran.code == Some(1) && ran.stderr.contains("running broker"), "{}", ran.stderr);
    assert!(broker.terminate().status.success());
}

#[test]
fn a_directory_that_is_moved_under_its_broker_ends_it_before_it_writes_into_another() {
    let home = Home::new();
    let broker = home.dev(&[]);
    said(&home, &["topic", "create", "t"]);
    assert_eq!(fed(&home, &["produce", "t"], "kept\n").code, Some(0));
    let moved = home.path().join("moved");
    fs::rename(&home.data, &moved).expect("moved");
    let left = broker.wait();
    assert!(left.status.code() == Some(74) && left.stderr.contains("was moved or replaced"), "{left:#?}");
    fs::rename(&moved, &home.data).expect("moved back");
    let broker = home.dev(&[]);
    assert_eq!(said(&home, &["consume", "t", "-f", "%s\\n"]), "kept\n");
    assert!(broker.terminate().status.success());
}

#[test]
fn a_directory_that_lost_the_file_of_its_run_is_refused_untouched() {
    let (many, young) = (Home::new(), Home::new());
    filled(&many, true);
    // Of this one all is in the journal of its first run.
    let broker = young.dev(&[]);
    said(&young, &["topic", "create", "orders"]);
    broker.kill();
    for (home, topics) in [(&many, "large"), (&young, "orders")] {
        let run = home.data.join("run");
        let kept = fs::read(&run).expect("a file");
        fs::remove_file(&run).expect("removed");
        let before = contents(&home.data);
        let left = home.dev_refused(&[]);
        assert!(
            left.stderr.contains("run is missing") && left.stderr.contains("nothing was changed"),
            "{}",
            left.stderr
        );
        let after = contents(&home.data);
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
        assert!(before.iter().all(|(path, (_, content))| after[path].1 == *content), "{}", left.stderr);
        fs::write(&run, kept).expect("put back");
        let broker = home.dev(&[]);
        assert!(said(home, &["topic", "list"]).contains(topics));
        drop(broker);
    }
}
