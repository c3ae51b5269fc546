//! A run on paper: JSON with everything, `.hgrm` files, pictures, and one HTML page that needs nothing else.
//!
//! Invariant: a file is whole and of this run, or not there; what could not be written is an error that names all of it, and
//! keeps nothing else from being written.

mod chart;
mod comparison;
mod hgrm;
mod html;
mod json;
mod read;
mod stages;
mod style;

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::compare::{Comparison, ratios};
use super::error::BenchError;
use super::latency::Latency;
use super::machine::Machine;
use super::outcome::Outcome;
use super::plan::Load;

pub use json::json;
pub use read::outcome as read;

/// Writes the report into a directory, which is made if need be.
pub fn write(outcome: &Outcome, machines: &[Machine], dir: &Path) -> Result<(), BenchError> {
    let mut files = vec![("result.json".to_owned(), format!("{:#}\n", json(outcome, machines)))];
    for curve in curves(outcome) {
        files.push((format!("{}.hgrm", curve.file), hgrm::text(curve.latency)));
    }
    let pictures = chart::pictures(outcome);
    let stages = outcome.stages.as_ref().map(stages::pictures).unwrap_or_default();
    for picture in pictures.iter().chain(&stages) {
        files.push((format!("{}.svg", picture.file), picture.alone()));
    }
    files.push(("report.html".to_owned(), html::page(outcome, machines, &pictures, &stages)));
    put(dir, files)
}

/// The same for a comparison: JSON with every run, a picture and a page.
pub fn write_comparison(
    brokers: [&str; 2],
    compared: &Comparison,
    machine: &Machine,
    dir: &Path,
) -> Result<(), BenchError> {
    let ratios = ratios(&compared.rounds);
    let picture = comparison::picture(&compared.rounds);
    let json = comparison::json(brokers, compared, &ratios, machine);
    let page = comparison::page(brokers, compared, &ratios, machine, picture.as_ref());
    let mut files = vec![("compare.json".to_owned(), format!("{json:#}\n")), ("compare.html".to_owned(), page)];
    files.extend(picture.map(|picture| (format!("{}.svg", picture.file), picture.alone())));
    put(dir, files)
}

/// Makes the directory of a report, and looks whether it can be written: before a run, which may take long.
pub fn ready(dir: &Path) -> Result<(), BenchError> {
    let failed = |path: &Path, e| BenchError::Report(vec![(path.to_owned(), e)]);
    fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
    let probe = dir.join(".probe.partly");
    fs::write(&probe, "").and_then(|()| fs::remove_file(&probe)).map_err(|e| failed(&probe, e))
}

/// Writes files by name into a directory, which is made if need be, in place of those of these names that are there from an
/// earlier run: none of them is taken for one of this run, nor has room that the new ones need. On a disk that is full those
/// that fit are there.
fn put(dir: &Path, mut files: Vec<(String, String)>) -> Result<(), BenchError> {
    fs::create_dir_all(dir).map_err(|e| BenchError::Report(vec![(dir.to_owned(), e)]))?;
    let mut unwritten: Vec<(PathBuf, io::Error)> = Vec::new();
    files.retain(|(name, _)| match fs::remove_file(dir.join(name)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            unwritten.push((dir.join(name), e));
            false
        }
        _ => true,
    });
    files.sort_by_key(|(_, text)| text.len());
    for (name, text) in files {
        let (path, partly) = (dir.join(&name), dir.join(format!(".{name}.partly")));
        let written = fs::write(&partly, text).and_then(|()| fs::rename(&partly, &path));
        if let Err(e) = written {
            // It is of no use to anybody, and the disk may be full; what matters is why it is not whole.
            let _gone = fs::remove_file(&partly);
            unwritten.push((path, e));
        }
    }
    if unwritten.is_empty() { Ok(()) } else { Err(BenchError::Report(unwritten)) }
}

/// A distribution that the report shows.
struct Curve<'a> {
    name: &'static str,
    /// Name of its files, without their ending.
    file: &'static str,
    latency: &'a Latency,
}

/// Those that the run measured, the most telling first.
fn curves(outcome: &Outcome) -> Vec<Curve<'_>> {
    let tally = &outcome.tally;
    let open = matches!(outcome.plan.load, Load::Rate(_));
    let all = [
        (true, "ack", "ack", &tally.ack),
        (outcome.plan.consume, "end to end", "end-to-end", &tally.end_to_end),
        (true, "service time", "service-time", &tally.service),
        (open, "made late by", "lateness", &tally.lateness),
        (!open, "acks unread for", "lateness", &tally.lateness),
    ];
    let told = all.into_iter().filter(|(told, .., latency)| *told && latency.count() > 0);
    told.map(|(_, name, file, latency)| Curve { name, file, latency }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_is_named_and_keeps_no_other_from_being_written_small_ones_first() {
        let dir = tempfile::tempdir().expect("a directory");
        let text = |name: &str| fs::read_to_string(dir.path().join(name)).ok();
        // A directory gives way to no file, nor does one with something in it to what is not whole yet.
        fs::create_dir_all(dir.path().join("middle/full")).expect("a directory");
        fs::create_dir_all(dir.path().join(".long.partly/full")).expect("a directory");
        for name in ["long", "small", "other"] {
            fs::write(dir.path().join(name), "of an earlier run").expect("written");
        }
        let file = |name: &str, bytes: usize| (name.to_owned(), "x".repeat(bytes));
        let files = vec![file("large", 300), file("long", 200), file("middle", 20), file("small", 1)];
        let refused = put(dir.path(), files).expect_err("two are in the way").to_string();
        for name in ["middle", "long"] {
            let path = dir.path().join(name).display().to_string();
            assert!(refused.contains(&path) && refused.contains(" cannot be written: "), "{refused}");
        }
        assert_eq!((text("long"), text("other").as_deref()), (None, Some("of an earlier run")));
        assert_eq!((text("large").map(|text| text.len()), text("small").map(|text| text.len())), (Some(300), Some(1)));
        let made = |name: &str| fs::metadata(dir.path().join(name)).and_then(|of| of.modified()).expect("it is there");
        assert!(made("small") <= made("large"));
        assert!(!dir.path().join(".middle.partly").exists());
    }

    #[test]
    fn files_that_one_cause_keeps_from_being_written_are_named_together() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let files = vec![("a".into(), full()), ("b".into(), denied), ("c".into(), full())];
        let told = BenchError::Report(files).to_string();
        assert_eq!(
            told,
            "a, c cannot be written: no storage space; b cannot be written: permission denied; name another directory with --out"
        );
    }
}
