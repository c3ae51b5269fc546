//! `suite --bootstrap HOST:PORT [--only PART]`: what a client does with a broker, case by case.

use std::process::ExitCode;

use corelog_compat::cases;
use corelog_compat::client::Cluster;
use corelog_compat::report::Report;

fn main() -> ExitCode {
    let mut bootstrap = std::env::var("BOOTSTRAP").ok();
    let mut report = Report::default();
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        match (flag.as_str(), args.next()) {
            ("--bootstrap", Some(address)) => bootstrap = Some(address),
            ("--only", Some(part)) => report.only = Some(part),
            _ => return usage(),
        }
    }
    let Some(bootstrap) = bootstrap else { return usage() };
    cases::run(&Cluster::new(&bootstrap), &mut report);
    report.close()
}

fn usage() -> ExitCode {
    eprintln!("suite --bootstrap HOST:PORT [--only PART]   (or BOOTSTRAP=HOST:PORT)");
    ExitCode::from(2)
}
