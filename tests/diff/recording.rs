//! Recorded replies: one text file for each API, one block for each case, versions with the same replies together.
//!
//!     == an unknown topic [1..=3, 5]
//!     ListOffsets {topics: [...]}

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

/// Case and version → transcript.
pub type Replies = BTreeMap<(String, i16), String>;

/// Whose replies.
#[derive(Clone, Copy)]
pub enum Side {
    Kafka,
    /// Only those that differ from Kafka's.
    Own,
}

pub fn path(side: Side, api: &str) -> PathBuf {
    let folder = match side {
        Side::Kafka => "kafka",
        Side::Own => "own",
    };
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/diff").join(folder).join(format!("{api}.txt"))
}

/// The recorded replies; none if there is no such file.
pub fn read(side: Side, api: &str) -> Replies {
    let text = fs::read_to_string(path(side, api)).unwrap_or_default();
    let mut replies = Replies::new();
    for block in text.split("== ").skip(1) {
        let (head, body) = block.split_once('\n').expect("a head and a body");
        let (name, versions) = head.rsplit_once(" [").expect("a name and versions");
        for part in versions.trim_end_matches(']').split(", ") {
            let (from, to) = part.split_once("..=").unwrap_or((part, part));
            let bound = |text: &str| text.parse::<i16>().expect("a version");
            for version in bound(from)..=bound(to) {
                replies.insert((name.to_owned(), version), format!("{}\n", body.trim_end()));
            }
        }
    }
    replies
}

/// `order` is that of the cases, for the reader's sake.
pub fn write(side: Side, api: &str, order: &[&str], replies: &Replies) {
    let mut out = String::new();
    for name in order {
        let mut blocks: Vec<(&str, Vec<i16>)> = Vec::new();
        for ((_, version), text) in replies.iter().filter(|((case, _), _)| case == name) {
            match blocks.iter_mut().find(|(known, _)| known == text) {
                Some((_, versions)) => versions.push(*version),
                None => blocks.push((text, vec![*version])),
            }
        }
        for (text, versions) in blocks {
            write!(out, "== {name} [{}]\n{text}\n", ranges(&versions)).expect("a String takes all");
        }
    }
    let path = path(side, api);
    if out.is_empty() {
        // No differences left: no file.
        let _absent = fs::remove_file(path);
        return;
    }
    fs::create_dir_all(path.parent().expect("a folder")).expect("the folder of recordings");
    fs::write(path, format!("{}\n", out.trim_end())).expect("the recording");
}

/// Ascending numbers as ranges: `1..=3, 5`.
pub fn ranges(numbers: &[i16]) -> String {
    let mut runs: Vec<(i16, i16)> = Vec::new();
    for &n in numbers {
        match runs.last_mut() {
            Some((_, to)) if *to + 1 == n => *to = n,
            _ => runs.push((n, n)),
        }
    }
    let text = |&(from, to): &(i16, i16)| if from == to { from.to_string() } else { format!("{from}..={to}") };
    runs.iter().map(text).collect::<Vec<_>>().join(", ")
}

#[test]
fn versions_are_written_as_ranges() {
    assert_eq!(ranges(&[1, 2, 3, 5, 7, 8]), "1..=3, 5, 7..=8");
}
