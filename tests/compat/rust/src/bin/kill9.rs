//! `kill9 --broker BINARY`: kills the broker under load again and again, and proves that it kept what it acked.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use corelog_compat::kill9::run::{Faulty, Plan, run};

const USAGE: &str = "kill9 --broker BINARY [--cycles N] [--seed N] [--dir DIR] [--journal-bytes N]
      starts BINARY and kills it N times (20, or KILL9_CYCLES)
kill9 --broker BINARY --plant rollback [...]
      loses acked records on purpose; passes only if that is noticed
kill9 --bootstrap HOST:PORT [--cycles N] [--seed N]
      only loads and checks a broker that runs";

fn main() -> ExitCode {
    let Some(plan) = plan() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    println!("seed {}; repeat the choices with --seed {0}", plan.seed);
    let begun = Instant::now();
    match run(&plan) {
        Err(why) if plan.roll_back && why.is::<Faulty>() => {
            println!("the planted fault was caught: {why}\n1 passed, 0 failed");
            ExitCode::SUCCESS
        }
        Ok(_) if plan.roll_back => {
            println!("FAILED: the planted fault was not caught\n0 passed, 1 failed");
            ExitCode::FAILURE
        }
        Ok(tally) => {
            println!(
                "{} cycles in {:.0} s: {} kills under load, {} in a start, {} clean stops; {} records ({} MiB) acked and \
                 kept, {} more of unknown fate kept; slowest start {} ms",
                tally.cycles,
                begun.elapsed().as_secs_f64(),
                tally.kills,
                tally.kills_in_start,
                tally.clean_stops,
                tally.acked,
                tally.acked_bytes >> 20,
                tally.unknown_found,
                tally.start_max.as_millis(),
            );
            println!("1 passed, 0 failed");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("FAILED with --seed {} after {:.0} s: {why}", plan.seed, begun.elapsed().as_secs_f64());
            println!("data and the broker's log: {}", plan.dir.display());
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn plan() -> Option<Plan> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    let cycles = std::env::var("KILL9_CYCLES").ok();
    let mut plan = Plan {
        binary: None,
        bootstrap: None,
        dir: std::env::temp_dir().join(format!("kill9-{}", std::process::id())),
        cycles: cycles.map_or(Some(20), |n| n.parse().ok())?,
        seed: u64::from(now.subsec_nanos()) ^ now.as_secs(),
        journal_bytes: 4 << 20,
        roll_back: false,
    };
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args.next()?;
        match flag.as_str() {
            "--broker" => plan.binary = Some(PathBuf::from(value)),
            "--bootstrap" => plan.bootstrap = Some(value),
            "--dir" => plan.dir = PathBuf::from(value),
            "--cycles" => plan.cycles = value.parse().ok()?,
            "--seed" => plan.seed = value.parse().ok()?,
            "--journal-bytes" => plan.journal_bytes = value.parse().ok()?,
            "--plant" if value == "rollback" => plan.roll_back = true,
            _ => return None,
        }
    }
    (plan.cycles > 0 && (plan.binary.is_some() || plan.bootstrap.is_some())).then_some(plan)
}
