//! Data directories of every format that a build has ever written (`formats/README.md`): each is opened, holds what was acked,
//! and is found whole. Checkpoints of versions 1 and 2 were written for some hours by builds between two commits, and by no
//! release; what they wrote is opened all the same.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::broker::Home;
use crate::commands::{fed, said};
use crate::on_disk::corelog_log;

/// The names of the packed directories.
fn directories(packed: &Path) -> Vec<String> {
    let names = fs::read_dir(packed).expect("a directory").map(|entry| entry.expect("an entry").file_name());
    let names = names.filter_map(|name| Some(name.to_str()?.strip_suffix(".tar.gz")?.to_owned()));
    let mut names: Vec<String> = names.collect();
    names.sort();
    assert!((1..=3).all(|version| names.contains(&format!("checkpoint-{version}"))), "{names:?}");
    names
}

fn lines(text: &str, count: u32) -> String {
    (0..count).map(|n| format!("{text}{n}\n")).collect()
}

#[test]
fn every_format_that_was_ever_written_is_opened_and_holds_what_was_acked() {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/formats");
    for name in directories(&all) {
        let home = Home::new();
        let packed = all.join(format!("{name}.tar.gz"));
        let done = Command::new("tar").arg("-xzf").arg(packed).arg("-C").arg(home.path()).status().expect("tar runs");
        assert!(done.success(), "{name}");
        let is_whole = || {
            let ran = corelog_log(&["verify", home.data.to_str().expect("a UTF-8 path")]);
            assert_eq!(ran.code, Some(0), "{name}: {}", ran.stdout);
        };
        is_whole();
        // Then once more on what this build has made of it.
        for more in [0, 1] {
            let keep = ["shards=3", "log.retention.ms=-1", "offsets.retention.minutes=2147483647"];
            let broker = home.dev(&keep.iter().flat_map(|set| ["--set", set]).collect::<Vec<_>>());
            let extra = "more\n".repeat(more);
            assert_eq!(said(&home, &["consume", "orders", "-p", "0"]), lines("order ", 1010) + &extra, "{name}");
            assert_eq!(said(&home, &["consume", "orders", "-p", "1"]), lines("order ", 10), "{name}");
            let large = "a line that says the same as all of the others\n".repeat(60_000);
            assert!(said(&home, &["consume", "large"]) == large, "{name}: large");
            assert_eq!(said(&home, &["topic", "list"]), "topic   partitions\nlarge   1\norders  2\n", "{name}");
            let config = said(&home, &["topic", "config", "show", "orders", "--own"]);
            assert!(config.contains("max.message.bytes") && config.contains("500000"), "{name}: {config}");
            let stored = said(&home, &["group", "offsets", "export", "readers"]);
            let read: u32 = stored.lines().filter_map(|line| line.rsplit_once(',')?.1.parse::<u32>().ok()).sum();
            assert_eq!(read, 400, "{name}: {stored}");
            if more == 0 {
                assert_eq!(fed(&home, &["produce", "orders", "-p", "0"], "more\n").code, Some(0), "{name}");
            }
            assert!(broker.terminate().status.success(), "{name}");
        }
        is_whole();
    }
}
