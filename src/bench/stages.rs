//! What the broker's own histograms say of the measured part of a run: two looks at its HTTP, and what came between them. On
//! a thread of its own.
//!
//! Invariant: stages are of the broker that the run loads, of one process of it and of all its cores, or there are none.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use serde_json::Value;

use super::clock::now_ns;
use super::error::BenchError;
use super::plan::Plan;
use super::writer::Times;
use crate::client::{ADMIN_PORT, Http, HttpError, StageTimes, stages_between, stages_follow};

const PATH: &str = "/v1/stages/buckets";

/// What came between the two looks, of all clients of the broker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BrokerStages {
    /// Where it was asked.
    pub admin: String,
    pub over: Duration,
    /// By kind of request, the whole of it first and then its stages in order.
    pub times: Vec<StageTimes>,
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
pub fn source(plan: &Plan, cluster: Option<&str>) -> Result<Result<Http, String>, BenchError> {
    match &plan.admin {
        Some(address) => {
            let http = Http::new(address);
            let told = http.get(PATH)?;
            if is_of(&told, cluster) {
                return Ok(Ok(http));
            }
            let bootstrap = &plan.bootstrap;
            Err(BenchError::Plan(format!("--admin {address}: that is another broker than the one at {bootstrap}")))
        }
        None => {
            let host = plan.bootstrap.rsplit_once(':').map_or(plan.bootstrap.as_str(), |(host, _)| host);
            let http = Http::new(&format!("{host}:{ADMIN_PORT}"));
            Ok(match http.get(PATH) {
                Ok(told) if is_of(&told, cluster) => Ok(http),
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
    let before = look(http)?;
    let began_ns = now_ns();
    let _early = ended_before(times.end_ns, over);
    let now = look(http)?;
    let took = Duration::from_nanos(now_ns() - began_ns);
    if !stages_follow(&before, &now) {
        return Err("the broker was started anew meanwhile".to_owned());
    }
    Ok(BrokerStages { admin: http.address().to_owned(), over: took, times: stages_between(&before, &now) })
}

/// Waits until then. Whether the run ended first.
fn ended_before(until_ns: u64, over: &Receiver<()>) -> bool {
    let wait = Duration::from_nanos(until_ns.saturating_sub(now_ns()));
    !matches!(over.recv_timeout(wait), Err(RecvTimeoutError::Timeout))
}

fn look(http: &Http) -> Result<Value, String> {
    let told = http.get(PATH).map_err(|e: HttpError| e.to_string())?;
    // What a core had done before would count as done since.
    let whole = told["answered"].as_u64().is_some_and(|answered| told["shards"].as_u64() == Some(answered));
    if whole { Ok(told) } else { Err(format!("a core of the broker did not answer {}", http.address())) }
}
