//! What a run is to do.

use std::time::Duration;

use shards::batch::Compression;

use super::pace::Arrivals;
use super::stamp::STAMP_BYTES;
use super::usage::process_cpu;

/// Records a second that a rate may ask for.
const RATE_MIN: f64 = 0.01;
const RATE_MAX: f64 = 1e8;

/// How many records are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// So many a second over all clients, whatever the broker does: an open loop.
    Rate(f64),
    /// As many as the broker acks: a closed loop.
    Max,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// `HOST:PORT`.
    pub bootstrap: String,
    pub topic: String,
    pub partitions: u32,
    pub load: Load,
    /// How the records of a rate come.
    pub arrivals: Arrivals,
    /// Of a record's value.
    pub record_bytes: usize,
    /// What is measured, after the warm-up.
    pub duration: Duration,
    pub warmup: Duration,
    /// Producers, each with connections of its own.
    pub clients: u32,
    /// How long a batch waits for more records.
    pub linger: Duration,
    pub codec: Compression,
    /// Threads that the clients are spread over.
    pub threads: u32,
    /// Requests of one connection that may be on their way.
    pub in_flight: usize,
    /// Most in one batch before compression.
    pub batch_bytes: usize,
    /// Most in one batch.
    pub batch_records: i32,
    /// Whether the records are read while they are written; otherwise afterwards, to check them.
    pub consume: bool,
    /// The broker's process on this machine, to see what it costs.
    pub broker_pid: Option<u32>,
}

impl Plan {
    /// What no run can do.
    pub fn check(&self) -> Result<(), String> {
        if self.record_bytes < STAMP_BYTES {
            return Err(format!(
                "--record-size {}: a record holds {STAMP_BYTES} bytes of its own at least",
                self.record_bytes
            ));
        }
        if self.partitions == 0 || self.clients == 0 || self.threads == 0 || self.in_flight == 0 {
            return Err("a run takes one partition, client, thread and request at least".to_owned());
        }
        if let Some(pid) = self.broker_pid.filter(|pid| process_cpu(*pid).is_none()) {
            return Err(format!("--broker-pid {pid}: no such process on this machine"));
        }
        if self.duration.is_zero() {
            return Err("--duration: nothing can be measured in no time".to_owned());
        }
        match self.load {
            Load::Rate(rate) if !(rate.is_finite() && (RATE_MIN..=RATE_MAX).contains(&rate)) => {
                Err(format!("--rate {rate}: ask for {RATE_MIN} to {RATE_MAX} records a second, or for `max`"))
            }
            _ => Ok(()),
        }
    }
}
