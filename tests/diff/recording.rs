//! Recorded replies: one text file for each API; cases that follow each other and versions of one case that have the same
//! replies share them.
//!
//!     == an unknown topic [1..=3, 5]
//!     == a bad name [1..=3]
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
    for block in text.split("\n\n== ") {
        let block = block.trim_start_matches("== ");
        let heads: Vec<&str> = block.split("\n== ").collect();
        let Some((last, others)) = heads.split_last() else { continue };
        let (last, body) = last.split_once('\n').unwrap_or((last, ""));
        for head in others.iter().chain([&last]).filter(|head| !head.is_empty()) {
            let (name, versions) = head.rsplit_once(" [").expect("a name and versions");
            for version in numbers(versions.trim_end_matches(']')) {
                replies.insert((name.to_owned(), version), format!("{}\n", body.trim_end()));
            }
        }
    }
    replies
}

/// `order` is that of the cases, for the reader's sake.
pub fn write(side: Side, api: &str, order: &[&str], replies: &Replies) {
    let mut out = String::new();
    let mut before = "";
    for name in order {
        let mut blocks: Vec<(&str, Vec<i16>)> = Vec::new();
        for ((_, version), text) in replies.iter().filter(|((case, _), _)| case == name) {
            match blocks.iter_mut().find(|(known, _)| known == text) {
                Some((_, versions)) => versions.push(*version),
                None => blocks.push((text, vec![*version])),
            }
        }
        for (text, versions) in blocks {
            if !before.is_empty() && before != text {
                writeln!(out, "{before}").expect("a String takes all");
            }
            writeln!(out, "== {name} [{}]", ranges(&versions)).expect("a String takes all");
            before = text;
        }
    }
    out.push_str(before);
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

/// What [`ranges`] wrote.
fn numbers(ranges: &str) -> Vec<i16> {
    let number = |text: &str| text.parse::<i16>().expect("a number");
    let range = |part: &str| {
        let (from, to) = part.split_once("..=").unwrap_or((part, part));
        number(from)..=number(to)
    };
    ranges.split(", ").flat_map(range).collect()
}

#[test]
fn versions_are_written_as_ranges() {
    let versions = [1, 2, 3, 5, 7, 8];
    assert_eq!(ranges(&versions), "1..=3, 5, 7..=8");
    assert_eq!(numbers("1..=3, 5, 7..=8"), versions);
}
