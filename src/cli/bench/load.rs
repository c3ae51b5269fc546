//! The flags that say what a run is to do, for one broker or for two. Pure.

use std::time::Duration;

use shards::batch::Compression;

use crate::bench::{Arrivals, Load, Plan};
use crate::cli::produce::Codec;

#[derive(Debug, clap::Args)]
pub struct LoadArguments {
    /// Made if it is not there.
    #[arg(long, default_value = "corelog-bench")]
    topic: String,
    /// Of the topic.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    partitions: u32,
    /// Records a second over all clients; `max`: as many as the broker acks, each client sending whole batches.
    #[arg(long, value_name = "N|max", default_value = "1000", value_parser = load)]
    rate: Load,
    /// How the records of a rate come: `constant`, `poisson` (at random), or `bursts:N` (N at once).
    #[arg(long, value_name = "HOW", default_value = "constant", value_parser = arrivals)]
    arrivals: Arrivals,
    /// Each client sends one record and waits for its ack before the next: round trips, in a closed loop.
    #[arg(long, conflicts_with_all = ["rate", "linger", "in_flight", "batch_size"])]
    one_outstanding: bool,
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
    #[arg(long, value_enum, default_value_t = Codec::None)]
    codec: Codec,
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

impl LoadArguments {
    pub fn plan(&self, bootstrap: &str) -> Plan {
        Plan {
            bootstrap: bootstrap.to_owned(),
            topic: self.topic.clone(),
            partitions: self.partitions,
            load: if self.one_outstanding { Load::Max } else { self.rate },
            arrivals: self.arrivals,
            record_bytes: self.record_size,
            duration: self.duration,
            warmup: self.warmup,
            clients: self.clients,
            linger: self.linger,
            codec: Compression::from(self.codec),
            threads: self.threads,
            in_flight: if self.one_outstanding { 1 } else { usize::from(self.in_flight) },
            batch_bytes: self.batch_size,
            batch_records: if self.one_outstanding { 1 } else { i32::MAX },
            consume: !self.produce_only,
            broker_pid: None,
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

fn arrivals(text: &str) -> Result<Arrivals, String> {
    match (text, text.strip_prefix("bursts:").map(str::parse)) {
        ("constant", _) => Ok(Arrivals::Constant),
        ("poisson", _) => Ok(Arrivals::Poisson),
        (_, Some(Ok(of @ 1..))) => Ok(Arrivals::Bursts(of)),
        _ => Err("write constant, poisson or bursts:N".to_owned()),
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
    fn records_come_evenly_at_random_or_in_bursts() {
        assert_eq!(arrivals("constant"), Ok(Arrivals::Constant));
        assert_eq!(arrivals("poisson"), Ok(Arrivals::Poisson));
        assert_eq!(arrivals("bursts:50"), Ok(Arrivals::Bursts(50)));
        for wrong in ["", "bursts", "bursts:0", "bursts:x", "often"] {
            assert!(arrivals(wrong).is_err(), "{wrong}");
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
