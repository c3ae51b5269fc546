//! `suite --bootstrap HOST:PORT [--only PART]`: what a client does with a broker, case by case.

use std::process::ExitCode;

use corelog_compat::cases;
use corelog_compat::client::Cluster;
use corelog_compat::report::Report;

fn main() -> ExitCode {
    let (bootstrap, mut report) = match Report::from_arguments("suite") {
        Ok(both) => both,
        Err(usage) => return usage,
    };
    cases::run(&Cluster::new(&bootstrap), &mut report);
    report.close()
}
