//! Runs the cases of one API and judges them, or records them.

use std::collections::HashSet;
use std::env;
use std::fmt::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Mutex;

use crate::broker::Home;
use crate::case::Case;
use crate::differences::DIFFERENCES;
use crate::recording::{self, Replies, Side};
use crate::world::World;

const RECORD: &str = "CORELOG_DIFF_RECORD";

/// One Kafka serves all recordings, and its cases must not see each other's topics.
static RECORDING: Mutex<()> = Mutex::new(());

pub fn check(api: &str, cases: &[Case]) {
    let names: HashSet<_> = cases.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), cases.len(), "two cases of {api} have one name");
    match env::var(RECORD) {
        Ok(kafka) if kafka != "self" => {
            // A case that failed says so itself; the next API is recorded all the same.
            let _turn = RECORDING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let address = kafka.to_socket_addrs().expect("HOST:PORT").next().expect("an address");
            recording::write(Side::Kafka, api, &order(cases), &run(address, api, cases));
        }
        record => {
            // The broker of `kafka/`: one node of defaults. Its partitions are one core's or another's: two.
            let home = Home::new();
            let sets = ["shards=2", "num.partitions=1", "group.initial.rebalance.delay.ms=0"];
            let broker = home.dev(&sets.map(|set| ["--set", set]).concat());
            let replies = run(broker.address, api, cases);
            if record.is_ok() {
                let kafkas = recording::read(Side::Kafka, api);
                let own = replies.into_iter().filter(|(case, text)| {
                    is_deliberate(api, &case.0) && kafkas.get(case).is_some_and(|kafka| kafka != text)
                });
                recording::write(Side::Own, api, &order(cases), &own.collect());
            } else {
                judge(api, &replies);
            }
        }
    }
}

fn order(cases: &[Case]) -> Vec<&str> {
    cases.iter().map(|case| case.name.as_str()).collect()
}

fn run(address: SocketAddr, api: &str, cases: &[Case]) -> Replies {
    let mut replies = Replies::new();
    World::new(address, api).ready();
    for case in cases {
        for &version in &case.versions {
            let mut world = World::new(address, &format!("{api} {} {version}", case.name));
            (case.run)(&mut world, version);
            replies.insert((case.name.clone(), version), world.finish());
        }
    }
    replies
}

fn is_deliberate(api: &str, case: &str) -> bool {
    DIFFERENCES.iter().any(|difference| difference.api == api && difference.cases.contains(&case))
}

/// Fails with every case that is not as recorded.
fn judge(api: &str, replies: &Replies) {
    let (kafkas, own) = (recording::read(Side::Kafka, api), recording::read(Side::Own, api));
    let mut complaints = String::new();
    for (case @ (name, version), got) in replies {
        let Some(kafka) = kafkas.get(case) else {
            writeln!(complaints, "{api}: {name} [{version}]: not recorded from Kafka").expect("a String takes all");
            continue;
        };
        let wanted = own.get(case).unwrap_or(kafka);
        if got != wanted {
            let compared = compare(wanted, got);
            writeln!(complaints, "{api}: {name} [{version}]\n{compared}").expect("a String takes all");
        }
    }
    for (name, version) in kafkas.keys().chain(own.keys()).filter(|case| !replies.contains_key(*case)) {
        writeln!(complaints, "{api}: {name} [{version}]: recorded, and no case").expect("a String takes all");
    }
    for difference in DIFFERENCES.iter().filter(|difference| difference.api == api) {
        for case in difference.cases.iter().filter(|case| !own.keys().any(|(name, _)| name == **case)) {
            writeln!(complaints, "{api}: {case}: listed as a difference, and there is none").expect("it takes all");
        }
    }
    for (name, version) in own.keys().filter(|(name, _)| !is_deliberate(api, name)) {
        writeln!(complaints, "{api}: {name} [{version}]: differs without a reason").expect("a String takes all");
    }
    assert!(complaints.is_empty(), "- Kafka's, or recorded as our own; + what came\n{complaints}");
}

/// The lines that are in only one of the two.
fn compare(wanted: &str, got: &str) -> String {
    let mut out = String::new();
    let (wanted, got): (Vec<_>, Vec<_>) = (wanted.lines().collect(), got.lines().collect());
    for line in wanted.iter().filter(|line| !got.contains(line)) {
        writeln!(out, "  - {line}").expect("a String takes all");
    }
    for line in got.iter().filter(|line| !wanted.contains(line)) {
        writeln!(out, "  + {line}").expect("a String takes all");
    }
    if out.is_empty() { "  the same lines in another order or number".to_owned() } else { out }
}
