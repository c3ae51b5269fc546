//! Where corelog's replies are deliberately not Kafka's, and why. The page `differences.md` shows this table.

use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

use crate::case::{Case, runs};

/// Cases of one API whose replies differ for one reason, in some or all of their versions.
pub struct Difference {
    pub api: &'static str,
    pub cases: &'static [&'static str],
    pub reason: &'static str,
}

pub const DIFFERENCES: &[Difference] = &[];

/// Set, it has the page rewritten.
const UPDATE: &str = "UPDATE_DIFFERENCES";

pub fn check_page(apis: &[(&str, fn() -> Vec<Case>)]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("differences.md");
    let page = page(apis);
    if env::var_os(UPDATE).is_some() {
        fs::write(path, page).expect("the page");
    } else {
        assert!(
            fs::read_to_string(path).unwrap_or_default() == page,
            "differences.md is not up to date: {UPDATE}=1 cargo test --test diff page"
        );
    }
}

fn page(apis: &[(&str, fn() -> Vec<Case>)]) -> String {
    let cases: usize = apis.iter().map(|(_, cases)| cases().len()).sum();
    let all: usize = apis.iter().map(|(_, cases)| runs(&cases())).sum();
    let mut page = format!(
        "# Differences from Kafka\n\n\
         `tests/diff` sends the same requests to corelog and to Kafka 4.3.1: {cases} cases, each in every version that it\n\
         concerns, {all} in all. Their replies are the same but for ids, addresses, times and the words of error messages,\n\
         and but for these, which are deliberate.\n\n\
         | API | what is asked | why the answer differs |\n|---|---|---|\n"
    );
    for Difference { api, cases, reason } in DIFFERENCES {
        writeln!(page, "| {} | {} | {reason} |", title(api), cases.join("; ")).expect("a String takes all");
    }
    page
}

/// `list_offsets` as Kafka writes it.
fn title(api: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    api.split('_').map(word).collect()
}
