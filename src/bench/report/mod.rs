//! A run on paper: JSON with everything, `.hgrm` files, pictures, and one HTML page that needs nothing else.
//!
//! Invariant: a file is whole or not there; what could not be written is an error that names it.

mod chart;
mod comparison;
mod hgrm;
mod html;
mod json;
mod read;
mod stages;
mod style;

use std::fs;
use std::path::Path;

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
    let failed = |path: &Path, source| BenchError::Report { path: path.to_owned(), source };
    fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
    let probe = dir.join(".probe.partly");
    fs::write(&probe, "").and_then(|()| fs::remove_file(&probe)).map_err(|e| failed(&probe, e))
}

/// Writes files by name into a directory, which is made if need be.
fn put(dir: &Path, files: Vec<(String, String)>) -> Result<(), BenchError> {
    let failed = |path: &Path, source| BenchError::Report { path: path.to_owned(), source };
    fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
    for (name, text) in files {
        let (path, partly) = (dir.join(&name), dir.join(format!(".{name}.partly")));
        let written = fs::write(&partly, text).and_then(|()| fs::rename(&partly, &path));
        written.map_err(|e| {
            // It is of no use to anybody, and the disk may be full; what matters is why it is not whole.
            let _gone = fs::remove_file(&partly);
            failed(&path, e)
        })?;
    }
    Ok(())
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
    ];
    let told = all.into_iter().filter(|(told, .., latency)| *told && latency.count() > 0);
    told.map(|(_, name, file, latency)| Curve { name, file, latency }).collect()
}
