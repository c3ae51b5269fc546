//! `corelog bench`: measures a broker.
//!
//! Invariant: the command succeeds only if the run is whole, believable and without a lost, repeated or reordered record.

mod table;

use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use shards::batch::Compression;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::bootstrap::Bootstrap;
use super::{Failure, output};
use crate::bench::{self, BenchError, Load, Outcome, Plan, Second};

/// Measures a broker: an open loop, whose latencies count from the moment each record was due.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    bootstrap: Bootstrap,
    /// Made if it is not there.
    #[arg(long, default_value = "corelog-bench")]
    topic: String,
    /// Of the topic.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    partitions: u32,
    /// Records a second over all clients; `max`: as many as the broker acks, each client sending whole batches.
    #[arg(long, value_name = "N|max", default_value = "1000", value_parser = load)]
    rate: Load,
    /// Bytes of each record's value.
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    record_size: usize,
    /// How long to measure, after the warm-up: 500ms, 30s, 5m.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    duration: Duration,
    /// How long to send before measuring.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    warmup: Duration,
    /// Producers, each with connections of its own.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    clients: u32,
    /// Threads that the producers share.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: u32,
    /// How long a batch waits for more records.
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = duration)]
    linger: Duration,
    /// How batches are compressed.
    #[arg(long, value_enum, default_value_t = super::produce::Codec::None)]
    codec: super::produce::Codec,
    /// Most in one batch, in bytes before compression.
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 10)]
    batch_size: usize,
    /// Requests of one connection that may be on their way.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    in_flight: u16,
    /// Reads the records only after the measurement, to check them; no end-to-end latency.
    #[arg(long)]
    produce_only: bool,
}

impl Arguments {
    fn plan(&self) -> Plan {
        Plan {
            bootstrap: self.bootstrap.address().to_owned(),
            topic: self.topic.clone(),
            partitions: self.partitions,
            load: self.rate,
            record_bytes: self.record_size,
            duration: self.duration,
            warmup: self.warmup,
            clients: self.clients,
            linger: self.linger,
            codec: Compression::from(self.codec),
            threads: self.threads,
            in_flight: usize::from(self.in_flight),
            batch_bytes: self.batch_size,
            batch_records: i32::MAX,
            consume: !self.produce_only,
        }
    }
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let plan = args.plan();
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // A second one ends the process at once.
        let end = signal_hook::flag::register_conditional_shutdown(signal, 130, stop.clone());
        end.and_then(|_| signal_hook::flag::register(signal, stop.clone()))
            .map_err(|e| Failure::Runtime(format!("signals cannot be caught: {e}")))?;
    }
    let live = stderr().is_terminal();
    let mut tell = |second: &Second| {
        if live {
            // A terminal that has gone is no reason to stop.
            let _gone = write!(stderr(), "\r\x1b[K{}", table::line(&plan, second));
        }
    };
    let outcome = bench::run(&plan, &stop, &mut tell);
    if live {
        let _gone = write!(stderr(), "\r\x1b[K");
    }
    let outcome = outcome?;
    output::say(&table::of(&outcome));
    judge(&outcome)
}

/// Whether the run says what it was to find out.
fn judge(outcome: &Outcome) -> Result<(), Failure> {
    if outcome.is_valid() {
        return Ok(());
    }
    let partial = outcome.failures.iter().map(|why| format!("the run broke off, its figures are partial: {why}"));
    let faults = outcome.faults().into_iter().map(|what| format!("the run failed: {what}"));
    let doubts = outcome.doubts().into_iter().map(|why| format!("the run is invalid: {why}"));
    Err(Failure::Runtime(partial.chain(faults).chain(doubts).collect::<Vec<_>>().join("\n  ")))
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Failure {
        match error {
            BenchError::Client(e) => e.into(),
            BenchError::Plan(_) | BenchError::Shape { .. } => Failure::Usage(error.to_string()),
            BenchError::System { .. } | BenchError::Panicked(_) => Failure::Runtime(error.to_string()),
        }
    }
}

fn load(text: &str) -> Result<Load, String> {
    if text == "max" {
        return Ok(Load::Max);
    }
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(Load::Rate(rate)),
        _ => Err("write records a second, as in 5000, or max".to_owned()),
    }
}

/// `0`, `250us`, `5ms`, `30s`, `1.5m`, `2h`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match (unit, number) {
        ("us", _) => Some(1e-6),
        ("ms", _) => Some(1e-3),
        ("s", _) => Some(1.0),
        ("m", _) => Some(60.0),
        ("h", _) => Some(3600.0),
        ("", "0") => Some(0.0),
        _ => None,
    };
    let length = seconds.and_then(|unit| Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok());
    length.ok_or_else(|| format!("\"{text}\" is no length of time: write 500ms, 30s or 5m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_a_unit() {
        for (text, wanted) in [
            ("0", Duration::ZERO),
            ("250us", Duration::from_micros(250)),
            ("5ms", Duration::from_millis(5)),
            ("30s", Duration::from_secs(30)),
            ("1.5m", Duration::from_secs(90)),
        ] {
            assert_eq!(duration(text), Ok(wanted), "{text}");
        }
        for wrong in ["", "5", "s", "-1s", "1.2.3s", "5 s", "1e99h", "nan"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_rate_is_a_number_or_max() {
        assert_eq!(load("max"), Ok(Load::Max));
        assert_eq!(load("2500.5"), Ok(Load::Rate(2500.5)));
        for wrong in ["0", "-1", "inf", "NaN", "fast"] {
            assert!(load(wrong).is_err(), "{wrong}");
        }
    }
}
