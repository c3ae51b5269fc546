//! Whether the broker lives and may be sent clients, with the reasons why not. Pure.

use serde_json::{Value, json};

use super::collect::Round;
use super::report::CoreReport;

/// What is to be known of the process beside its cores.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    /// Every core serves.
    pub started: bool,
    pub stopping: bool,
}

/// A core, and what keeps clients from being served by it; nothing: it is ready.
#[derive(Debug, PartialEq, Eq)]
struct Core {
    shard: usize,
    reasons: Vec<String>,
}

/// The answer to `/readyz`: is it ready, and as JSON why.
pub fn ready(round: &Round, life: Life) -> (bool, Value) {
    let cores: Vec<Core> = round
        .cores
        .iter()
        .enumerate()
        .map(|(shard, report)| Core { shard, reasons: reasons(report.as_ref(), life) })
        .collect();
    let ready = !life.stopping && cores.iter().all(|core| core.reasons.is_empty());
    let told: Vec<Value> = cores
        .iter()
        .map(|core| json!({ "shard": core.shard, "ready": core.reasons.is_empty(), "reasons": core.reasons }))
        .collect();
    let status = match (life.stopping, ready) {
        (true, _) => "stopping",
        (false, true) => "ready",
        (false, false) => "not ready",
    };
    (ready, json!({ "status": status, "shards": told }))
}

/// The answer to `/livez`. A start may take as long as it takes; after it, a core without a sign of life hangs, and a new process
/// would do better. One that is only busy does not: its restart would add to the load.
pub fn live(silent: &[usize], life: Life) -> (bool, Value) {
    let live = !life.started || life.stopping || silent.is_empty();
    (live, json!({ "status": if live { "live" } else { "hangs" }, "silent_shards": silent }))
}

fn reasons(report: Option<&CoreReport>, life: Life) -> Vec<String> {
    let Some(report) = report else {
        let why = if life.started { "it does not answer" } else { "it is starting: it replays its journal" };
        return vec![why.to_owned()];
    };
    let mut reasons = Vec::new();
    if life.stopping || report.shard.stopping {
        reasons.push("it is stopping".to_owned());
    }
    if report.shard.disk_full {
        reasons.push("the disk is full: appends are refused until there is space".to_owned());
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::report::tests::report;

    const RUNS: Life = Life { started: true, stopping: false };

    #[test]
    fn a_broker_is_ready_when_all_cores_are() {
        let (ready, told) = ready(&Round { cores: vec![Some(report()), Some(report())] }, RUNS);
        assert!(ready && told["status"] == "ready" && told["shards"][1]["ready"] == true, "{told}");
    }

    #[test]
    fn each_core_says_why_it_is_not_ready() {
        let mut full = report();
        full.shard.disk_full = true;
        let round = Round { cores: vec![Some(full), None, Some(report())] };
        let (is_ready, told) = ready(&round, RUNS);
        assert!(!is_ready && told["status"] == "not ready");
        assert_eq!(told["shards"][0]["reasons"][0], "the disk is full: appends are refused until there is space");
        assert_eq!(told["shards"][1]["reasons"][0], "it does not answer");
        assert_eq!(told["shards"][2]["reasons"].as_array().map(Vec::len), Some(0));
        let (_, told) = ready(&round, Life { started: false, stopping: false });
        assert_eq!(told["shards"][1]["reasons"][0], "it is starting: it replays its journal");
    }

    #[test]
    fn a_broker_that_stops_lives_and_takes_no_clients() {
        let round = Round { cores: vec![Some(report()), None] };
        let stops = Life { started: true, stopping: true };
        assert!(!ready(&round, stops).0 && live(&[1], stops).0);
    }

    #[test]
    fn a_silent_core_is_a_hang_only_after_the_start() {
        assert!(live(&[1], Life { started: false, stopping: false }).0);
        assert!(live(&[], RUNS).0);
        let (lives, told) = live(&[1], RUNS);
        assert!(!lives && told["silent_shards"][0] == 1, "{told}");
    }
}
