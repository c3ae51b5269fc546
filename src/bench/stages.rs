//! What the broker's own histograms say of the measured part of a run: two looks at its HTTP, and what came between them. On
//! a thread of its own.
//!
//! Invariant: stages are of the broker that the run loads, of one process of it and of all its cores, or there are none.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use serde_json::Value;

use super::clock::{ended_before, now_ns};
use super::error::BenchError;
use super::plan::Plan;
use super::writer::Times;
use crate::client::{ADMIN_PORT, Http, HttpError, StageTimes, stages_between, stages_follow};

const PATH: &str = "/v1/stages/buckets";
const SETTINGS: &str = "/v1/config";
const METRICS: &str = "/metrics";
/// The sample of the metrics whose label is the broker's version.
const BUILD: &str = "corelog_build_info";
/// That whose value is what its process has spent of the processors, in seconds.
const CPU: &str = "process_cpu_seconds_total";

/// What came between the two looks, of all clients of the broker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BrokerStages {
    /// Where it was asked.
    pub admin: String,
    pub over: Duration,
    /// By kind of request, the whole of it first and then its stages in order.
    pub times: Vec<StageTimes>,
}

/// What the broker is: figures of another version, or with other settings, are of another broker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Software {
    /// Of corelog; empty if it does not say.
    pub version: String,
    /// Its settings in force, as it tells them itself.
    pub settings: Value,
}

/// Where to look, and what is there.
#[derive(Debug)]
pub struct Source {
    pub http: Http,
    pub software: Software,
}

impl Source {
    /// Asks what a run is better told before it begins.
    fn of(http: Http) -> Source {
        let version = http.text(METRICS).ok().and_then(|page| version(&page)).unwrap_or_default();
        let settings = http.get(SETTINGS).unwrap_or_default();
        Source { http, software: Software { version, settings } }
    }
}

/// The version in a page of metrics.
fn version(page: &str) -> Option<String> {
    let labels = page.lines().find_map(|line| line.strip_prefix(BUILD)?.strip_prefix('{'))?;
    let (version, _) = labels.split_once("version=\"")?.1.split_once('"')?;
    Some(version.to_owned())
}

/// What the broker's process has spent of the processors since it began, as its metrics say.
pub fn process_cpu(http: &Http) -> Option<Duration> {
    cpu(&http.text(METRICS).ok()?)
}

fn cpu(page: &str) -> Option<Duration> {
    let seconds = page.lines().find_map(|line| line.strip_prefix(CPU)?.strip_prefix(' '))?;
    Duration::try_from_secs_f64(seconds.parse().ok()?).ok()
}

impl BrokerStages {
    /// The kinds of request that a run makes of a broker all the time.
    pub const OF_A_RUN: [&str; 2] = ["produce", "fetch"];

    /// Those of one kind of request.
    pub fn of(&self, request: &str) -> Vec<&StageTimes> {
        self.times.iter().filter(|times| times.request == request).collect()
    }
}

/// Where to look. Without a word from the plan that is where a corelog has its HTTP unless it is told otherwise; that it is
/// not there, or another's, is then no error: the broker may be any. The text says why there will be no stages.
pub fn source(plan: &Plan, cluster: Option<&str>) -> Result<Result<Source, String>, BenchError> {
    match &plan.admin {
        Some(address) => {
            let http = Http::new(address);
            let told = http.get(PATH)?;
            if is_of(&told, cluster) {
                return Ok(Ok(Source::of(http)));
            }
            let bootstrap = &plan.bootstrap;
            Err(BenchError::Plan(format!("--admin {address}: that is another broker than the one at {bootstrap}")))
        }
        None => {
            let host = plan.bootstrap.rsplit_once(':').map_or(plan.bootstrap.as_str(), |(host, _)| host);
            let http = Http::new(&format!("{host}:{ADMIN_PORT}"));
            Ok(match http.get(PATH) {
                Ok(told) if is_of(&told, cluster) => Ok(Source::of(http)),
                Ok(_) => Err(format!("{} is another broker's; --admin names that of this one", http.address())),
                Err(e) => Err(e.to_string()),
            })
        }
    }
}

fn is_of(told: &Value, cluster: Option<&str>) -> bool {
    cluster.is_some() && told["cluster_id"].as_str() == cluster
}

/// Looks when the warm-up is over and again at the end, or when `over` says that the run has ended before.
pub fn watch(http: &Http, times: Times, over: &Receiver<()>) -> Result<BrokerStages, String> {
    if ended_before(times.warm_ns, over) {
        return Err("the run ended before it was measured".to_owned());
    }
    let began_ns = now_ns();
    let before = look(http)?;
    let _early = ended_before(times.end_ns, over);
    // As at the beginning: an answer holds what was until the question came, about.
    let took = Duration::from_nanos(now_ns() - began_ns);
    let now = look(http)?;
    if !stages_follow(&before, &now) {
        return Err("the broker was started anew meanwhile".to_owned());
    }
    Ok(BrokerStages { admin: http.address().to_owned(), over: took, times: stages_between(&before, &now) })
}

fn look(http: &Http) -> Result<Value, String> {
    let told = http.get(PATH).map_err(|e| match e {
        // It was there before the run: the address is right.
        HttpError::Unreachable { address, source } => format!("no HTTP at {address} any more: {source}"),
        other => other.to_string(),
    })?;
    // What a core had done before would count as done since.
    let whole = told["answered"].as_u64().is_some_and(|answered| told["shards"].as_u64() == Some(answered));
    if whole { Ok(told) } else { Err(format!("a core of the broker did not answer {}", http.address())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_stands_in_a_label_of_the_metrics() {
        let page = "# HELP corelog_build_info x\ncorelog_build_info{version=\"0.1.0\"} 1\n";
        assert_eq!(version(page).as_deref(), Some("0.1.0"));
        assert_eq!(version("corelog_build_info 1\n"), None);
    }

    #[test]
    fn what_a_broker_spends_stands_in_its_metrics() {
        let page = |value: &str| format!("# HELP {CPU} x\n# TYPE {CPU} counter\n{CPU} {value}\nprocess_threads 7\n");
        assert_eq!(cpu(&page("12.34")), Some(Duration::from_millis(12_340)));
        for wrong in ["-1", "NaN", "", "1e400"] {
            assert_eq!(cpu(&page(wrong)), None, "{wrong}");
        }
        assert_eq!(cpu("process_cpu_seconds_total_of_others 1\n"), None);
    }

    #[test]
    fn a_broker_that_has_gone_in_the_run_is_not_looked_for_elsewhere() {
        let told = look(&Http::new("127.0.0.1:1")).expect_err("nobody is there");
        assert!(told.starts_with("no HTTP at 127.0.0.1:1 any more: ") && !told.contains("--admin"), "{told}");
    }
}
