//! `corelog log verify`: holds a data directory against all of its checksums and says what is lost.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::progress::Progress;
use crate::cli::report::Shown;
use crate::cli::time::now_ms;
use crate::cli::{Failure, output};
use crate::disk::{Directory, Finding, Report, bytes_to_check, check};

/// Checks a data directory: every checksum, that offsets follow each other, indexes against the logs, the journals, the
/// catalog and its snapshots.
///
/// The broker must be stopped; or give it a copy of the directory. Nothing is written, unless --repair is given.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The data directory of a stopped broker, or a copy of one.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Make anew what is derived from something that is whole: indexes of sealed segments, the second copy of a checkpoint,
    /// partition.metadata. Nothing else is written.
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    shown: Shown,
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let directory = Directory::open(&args.directory, args.repair, now_ms())?;
    let mut progress = Progress::new(Some(bytes_to_check(&directory)), true);
    let mut report = check(&directory, &mut |bytes, records| progress.advance(bytes, records))?;
    drop(progress);
    let repaired = if args.repair { repair(&directory, &mut report) } else { Vec::new() };
    let losses = report.findings.iter().filter(|finding| finding.is_loss()).count();
    let data = json!({
        "directory": args.directory.display().to_string(),
        "partitions": report.partitions, "segments": report.segments, "batches": report.batches,
        "records": report.records, "bytes": report.bytes,
        "repaired": repaired.iter().map(|path| Value::from(path.display().to_string())).collect::<Value>(),
        "findings": report.findings.iter().map(told).collect::<Value>(),
    });
    args.shown.show(&data, || lines(args, &report, &repaired))?;
    if report.findings.is_empty() {
        return Ok(());
    }
    let count = report.findings.len();
    let lost = match losses {
        0 => "nothing is lost by it".to_owned(),
        losses => format!("{losses} with a loss"),
    };
    let next = match (args.repair, losses) {
        (_, 1..) => "what is lost is to be had from a copy or from who produced it only",
        (false, 0) => "--repair makes it anew",
        (true, 0) => "what keeps it from being made anew is told above",
    };
    Err(Failure::Damaged(format!("{}: {count} found damaged, {lost}; {next}", args.directory.display())))
}

/// Makes anew what can be; what was damaged in those files is no finding any more.
fn repair(directory: &Directory, report: &mut Report) -> Vec<PathBuf> {
    let mut repaired = Vec::new();
    for repair in &report.repairs {
        match repair.carry_out(directory) {
            Ok(path) => repaired.push(path),
            Err((path, error)) => output::note(&format!("{} could not be made anew: {error}", path.display())),
        }
    }
    report.findings.retain(|finding| !repaired.contains(&finding.file));
    repaired
}

fn told(finding: &Finding) -> Value {
    json!({
        "file": finding.file.display().to_string(), "byte": finding.position, "partition": finding.partition,
        "offset": finding.offset, "what": finding.what, "loss": finding.is_loss(), "lost": finding.told(),
    })
}

fn lines(args: &Arguments, report: &Report, repaired: &[PathBuf]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for finding in &report.findings {
        lines.push(format!("{finding}\n  {}", finding.told()));
    }
    lines.extend(repaired.iter().map(|path| format!("{}: made anew", path.display())));
    let end = if report.findings.is_empty() { "all whole" } else { "see above" };
    lines.push(format!(
        "{}: {} partitions, {} segments, {} batches, {} records, {} bytes: {end}",
        args.directory.display(),
        report.partitions,
        report.segments,
        report.batches,
        report.records,
        report.bytes
    ));
    lines.join("\n")
}
