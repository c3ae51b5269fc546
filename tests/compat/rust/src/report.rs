//! Runs cases one by one; prints a line for each, one for each feature, and the counts at the end.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

/// What went wrong in a case, for a person to read.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The outcome of one case.
pub type Outcome = Result<(), Failure>;

/// Fails the case with `why` unless `right`.
pub fn ensure(right: bool, why: impl FnOnce() -> String) -> Outcome {
    if right { Ok(()) } else { Err(why().into()) }
}

#[derive(Debug, Default)]
pub struct Report {
    /// Only cases whose name contains this run.
    only: Option<String>,
    passed: u32,
    failed: u32,
    /// Whether all cases of a feature passed.
    features: BTreeMap<String, bool>,
}

impl Report {
    /// The broker to test and an empty report, by the command line of `program`; says how it is used if it is wrong.
    pub fn from_arguments(program: &str) -> Result<(String, Report), ExitCode> {
        let mut bootstrap = std::env::var("BOOTSTRAP").ok();
        let (mut report, mut sound) = (Report::default(), true);
        let mut args = std::env::args().skip(1);
        while let Some(flag) = args.next() {
            match (flag.as_str(), args.next()) {
                ("--bootstrap", Some(address)) => bootstrap = Some(address),
                ("--only", Some(part)) => report.only = Some(part),
                _ => sound = false,
            }
        }
        match bootstrap.filter(|_| sound) {
            Some(bootstrap) => Ok((bootstrap, report)),
            None => {
                eprintln!("{program} --bootstrap HOST:PORT [--only PART]   (or BOOTSTRAP=HOST:PORT)");
                Err(ExitCode::from(2))
            }
        }
    }

    /// What the case proves are words of `features.tsv`.
    pub fn case(&mut self, proves: &str, name: &str, run: impl FnOnce() -> Outcome) {
        if self.only.as_ref().is_some_and(|part| !name.contains(part)) {
            return;
        }
        let begun = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("panicked, see above".into()));
        let took_ms = begun.elapsed().as_millis();
        for feature in proves.split_whitespace() {
            *self.features.entry(feature.into()).or_insert(true) &= outcome.is_ok();
        }
        match outcome {
            Ok(()) => {
                self.passed += 1;
                println!("ok     {name} ({took_ms} ms)");
            }
            Err(why) => {
                self.failed += 1;
                println!("FAILED {name} ({took_ms} ms): {why}");
            }
        }
    }

    /// Prints the counts and gives the exit status: failure too when no case ran.
    pub fn close(self) -> std::process::ExitCode {
        for (feature, passed) in &self.features {
            println!("feature {feature} {}", if *passed { "passed" } else { "failed" });
        }
        println!("{} passed, {} failed", self.passed, self.failed);
        if self.failed == 0 && self.passed > 0 {
            std::process::ExitCode::SUCCESS
        } else {
            std::process::ExitCode::FAILURE
        }
    }
}
