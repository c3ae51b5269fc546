//! What a run is to do.

use std::time::Duration;

use shards::batch::Compression;

use super::keys::KeyRange;
use super::pace::Arrivals;
use super::sizes::Sizes;
use super::stamp::STAMP_BYTES;
use super::usage::process_cpu;

/// Records a second that a rate may ask for.
const RATE_MIN: f64 = 0.01;
const RATE_MAX: f64 = 1e8;

/// As Kafka's largest batch.
const RECORD_BYTES_MAX: usize = 1 << 30;
/// What the requests of a closed loop may hold that are on their way, all together: it makes as many as may be, however slow
/// the broker is.
const IN_FLIGHT_BYTES_MAX: u64 = 4 << 30;
/// A burst is this share of what is due while it is measured, or less: few large ones may all miss it, or be all that is lost.
const BURST_SHARE_MAX: f64 = 0.25;
/// No codec makes records smaller by more than that for sure.
const COMPRESSIBILITY_MAX: f64 = 32.0;
/// Each takes eight bytes of memory.
const KEYS_MAX: u32 = 10_000_000;
/// The first key has all but a thousandth of the records then.
const SKEW_MAX: f64 = 10.0;

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
    /// Of the records' values.
    pub sizes: Sizes,
    /// How many times smaller a codec makes them, about.
    pub compressibility: f64,
    /// `None`: records without keys, spread evenly.
    pub keys: Option<KeyRange>,
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
    /// How long after the first record the reading begins.
    pub read_after: Duration,
    /// `None`: one reader of all partitions; otherwise a consumer group of so many members.
    pub group_members: Option<u32>,
    /// The broker's process on this machine, to see what it costs.
    pub broker_pid: Option<u32>,
    /// Where the broker's own HTTP is, `HOST:PORT`; `None`: where a corelog at the bootstrap address has it by default.
    pub admin: Option<String>,
}

impl Plan {
    /// What no run can do.
    pub fn check(&self) -> Result<(), String> {
        if self.sizes.least() < STAMP_BYTES || self.sizes.most() > RECORD_BYTES_MAX {
            return Err(format!(
                "--record-size {}: a record holds {STAMP_BYTES} bytes of its own at least, and {RECORD_BYTES_MAX} in all \
                 at most",
                self.sizes.text()
            ));
        }
        if let Sizes::Even(least, most) = self.sizes
            && least > most
        {
            return Err(format!("--record-size {least}..{most}: the first is the least"));
        }
        if !(1.0..=COMPRESSIBILITY_MAX).contains(&self.compressibility) {
            return Err(format!("--compressibility {}: say 1 to {COMPRESSIBILITY_MAX}", self.compressibility));
        }
        if let Some(KeyRange { count, skew }) = self.keys
            && !((1..=KEYS_MAX).contains(&count) && (0.0..=SKEW_MAX).contains(&skew))
        {
            return Err(format!(
                "--keys {count} with --key-skew {skew}: there are 1 to {KEYS_MAX} keys, of a skew of 0 to {SKEW_MAX}"
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
        if self.read_after > self.warmup + self.duration {
            return Err("--read-after: that is after the end; say --produce-only".to_owned());
        }
        match self.load {
            Load::Rate(rate) if !(rate.is_finite() && (RATE_MIN..=RATE_MAX).contains(&rate)) => {
                Err(format!("--rate {rate}: ask for {RATE_MIN} to {RATE_MAX} records a second, or for `max`"))
            }
            Load::Rate(rate) => self.check_bursts(rate * self.duration.as_secs_f64()),
            Load::Max => self.check_in_flight(),
        }
    }

    fn check_bursts(&self, due: f64) -> Result<(), String> {
        let Arrivals::Bursts(of) = self.arrivals else { return Ok(()) };
        if f64::from(of) <= due * BURST_SHARE_MAX {
            return Ok(());
        }
        Err(format!(
            "--arrivals bursts:{of}: while it is measured {due:.0} records are due, and a burst is a quarter of them at most; \
             ask for a longer --duration, or smaller bursts"
        ))
    }

    fn check_in_flight(&self) -> Result<(), String> {
        let each = self.batch_bytes.max(self.sizes.most()) as u64;
        let requests = u64::from(self.clients).saturating_mul(self.in_flight as u64);
        if each.saturating_mul(requests) <= IN_FLIGHT_BYTES_MAX {
            return Ok(());
        }
        Err(format!(
            "--rate max: {requests} requests of up to {each} bytes may be on their way, and they hold {IN_FLIGHT_BYTES_MAX} bytes \
             together at most; ask for a smaller --record-size or --batch-size, fewer --clients, or a lower --in-flight"
        ))
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A second at 1000 records/s, from one client to one partition.
    pub fn plan() -> Plan {
        Plan {
            bootstrap: "broker:9092".to_owned(),
            topic: "t".to_owned(),
            partitions: 1,
            load: Load::Rate(1000.0),
            arrivals: Arrivals::Constant,
            sizes: Sizes::Fixed(100),
            compressibility: 2.0,
            keys: None,
            duration: Duration::from_secs(1),
            warmup: Duration::ZERO,
            clients: 1,
            linger: Duration::ZERO,
            codec: Compression::None,
            threads: 1,
            in_flight: 5,
            batch_bytes: 1000,
            batch_records: 10,
            consume: true,
            read_after: Duration::ZERO,
            group_members: None,
            broker_pid: None,
            admin: None,
        }
    }

    #[test]
    fn what_no_run_can_do_is_refused_with_the_flag_that_asks_for_it() {
        let wrong: [(fn(&mut Plan), &str); 13] = [
            (|plan| plan.sizes = Sizes::Fixed(STAMP_BYTES - 1), "--record-size 23"),
            (|plan| plan.sizes = Sizes::Even(300, 200), "--record-size 300..200"),
            (|plan| plan.sizes = Sizes::Varied(1 << 30), "--record-size varied:"),
            (|plan| plan.compressibility = 0.5, "--compressibility"),
            (|plan| plan.compressibility = f64::NAN, "--compressibility"),
            (|plan| plan.keys = Some(KeyRange { count: 0, skew: 0.0 }), "--keys 0"),
            (|plan| plan.keys = Some(KeyRange { count: 1, skew: f64::INFINITY }), "--key-skew inf"),
            (|plan| plan.load = Load::Rate(1e9), "--rate"),
            (|plan| plan.read_after = Duration::from_secs(2), "--read-after"),
            // 1000 are due.
            (|plan| plan.arrivals = Arrivals::Bursts(251), "bursts:251"),
            (
                |plan| (plan.load, plan.sizes) = (Load::Max, Sizes::Fixed(1_000_000_000)),
                "5 requests of up to 1000000000 bytes",
            ),
            (|plan| (plan.load, plan.clients) = (Load::Max, u32::MAX), "--rate max"),
            (|plan| (plan.load, plan.batch_bytes) = (Load::Max, usize::MAX), "--batch-size"),
        ];
        let sound: [fn(&mut Plan); 4] = [
            |_| {},
            |plan| plan.arrivals = Arrivals::Bursts(250),
            |plan| (plan.load, plan.clients, plan.batch_bytes) = (Load::Max, 1000, 256 << 10),
            |plan| plan.sizes = Sizes::Fixed(1_000_000_000),
        ];
        for change in sound {
            let mut plan = plan();
            change(&mut plan);
            assert_eq!(plan.check(), Ok(()), "{plan:?}");
        }
        for (spoil, named) in wrong {
            let mut plan = plan();
            spoil(&mut plan);
            let refused = plan.check().expect_err(named);
            assert!(refused.contains(named), "{named}: {refused}");
        }
    }
}
