//! `corelog bench` against a real broker. Nothing here asserts a time: the machine may be busy with other tests.

use crate::broker::Home;
use crate::commands::{Ran, ran, said};

/// A short run; what the generator says of its own lateness on a busy machine is no failure here.
#[track_caller]
fn bench(home: &Home, args: &[&str]) -> Ran {
    let short = ["bench", "--warmup", "200ms", "--duration", "500ms", "--partitions", "3", "--clients", "2"];
    let done = ran(home, &[&short[..], args].concat());
    let late = |line: &str| line.contains("the run is invalid: ");
    assert!(done.code == Some(0) || done.stderr.lines().all(late), "{args:?}: {}", done.stderr);
    assert!(done.stdout.contains(" 0 lost, 0 duplicated, 0 reordered"), "{args:?}: {}", done.stdout);
    done
}

#[test]
fn a_run_reads_back_every_record_that_was_acked_at_a_rate_and_at_the_maximum_in_every_codec() {
    let home = Home::new();
    let _broker = home.dev(&["--set", "shards=2"]);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let done = bench(&home, &["--topic", codec, "--rate", "1000", "--codec", codec, "--linger", "2ms"]);
        // 200 in the warm-up and 500 after it.
        assert!(done.stdout.contains("700 acked, 700 read back"), "{}", done.stdout);
        assert!(done.stdout.contains("end to end"), "{}", done.stdout);
    }
    let done = bench(&home, &["--topic", "none", "--rate", "max", "--record-size", "100"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let after = bench(&home, &["--topic", "none", "--rate", "max", "--produce-only"]);
    assert!(after.code == Some(0) && !after.stdout.contains("end to end"), "{}", after.stdout);
}

#[test]
fn a_run_that_cannot_be_is_refused_in_words() {
    let home = Home::new();
    let broker = home.dev(&[]);
    said(&home, &["topic", "create", "t", "--partitions", "2"]);
    let shape = ran(&home, &["bench", "--topic", "t", "--partitions", "3"]);
    assert!(shape.code == Some(2) && shape.stderr.contains("say --partitions 2"), "{}", shape.stderr);
    let small = ran(&home, &["bench", "--topic", "t", "--partitions", "2", "--record-size", "8"]);
    assert!(small.code == Some(2) && small.stderr.contains("--record-size"), "{}", small.stderr);
    let fast = ran(&home, &["bench", "--topic", "t", "--partitions", "2", "--rate", "1e12"]);
    assert!(fast.code == Some(2) && fast.stderr.contains("--rate"), "{}", fast.stderr);
    drop(broker);
    let nobody = ran(&home, &["bench", "--topic", "t"]);
    assert!(nobody.code == Some(3) && nobody.stderr.contains("no broker answers"), "{}", nobody.stderr);
}

#[test]
fn a_broker_that_dies_leaves_figures_that_are_marked_as_partial() {
    let home = Home::new();
    let broker = home.dev(&[]);
    let run = ["bench", "--rate", "500", "--warmup", "0", "--duration", "60s"];
    let mut child = crate::commands::command(&home, &run);
    let child = child.spawn().expect("the binary runs");
    std::thread::sleep(std::time::Duration::from_secs(2));
    drop(broker);
    let done = Ran::from(child.wait_with_output().expect("it ends"));
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert!(done.stderr.contains("its figures are partial"), "{}", done.stderr);
    assert!(done.stdout.contains("service time"), "{}", done.stdout);
}
