//! The flags that say what a run is to do, for one broker or for two. Pure.
//!
//! Each may come from a profile as well; what is typed wins over it, and what neither says has the default.

use std::time::Duration;

use shards::batch::Compression;

use super::profile;
use crate::bench::{Arrivals, KeyRange, Load, Plan, Sizes};
use crate::cli::produce::Codec;

#[derive(Clone, Debug, Default, clap::Args)]
pub struct LoadArguments {
    /// A TOML file with any of the flags below, as in `rate = 5000`, or one of the built-in profiles: steady, throughput,
    /// turns, logs, hot-keys, bursts, catch-up, group. Flags win over it.
    #[arg(long, value_name = "FILE|NAME")]
    profile: Option<String>,
    /// Made if it is not there. [default: corelog-bench]
    #[arg(long)]
    topic: Option<String>,
    /// Of the topic. [default: 6]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    partitions: Option<u32>,
    /// Records a second over all clients; `max`: as many as the broker acks, each client sending whole batches. [default:
    /// 1000]
    #[arg(long, value_name = "N|max", value_parser = load)]
    rate: Option<Load>,
    /// How the records of a rate come: `constant`, `poisson` (at random), or `bursts:N` (N at once). [default: constant]
    #[arg(long, value_name = "HOW", value_parser = arrivals)]
    arrivals: Option<Arrivals>,
    /// Each client sends one record and waits for its ack before the next: round trips, in a closed loop.
    #[arg(long, conflicts_with_all = ["rate", "linger", "in_flight", "batch_size"])]
    one_outstanding: bool,
    /// Bytes of each record's value: a number; `LEAST..MOST`, all as often; or `varied:MEAN`, many short and few long
    /// (exponential). [default: 1024]
    #[arg(long, value_name = "BYTES", value_parser = sizes)]
    record_size: Option<Sizes>,
    /// How many times smaller a codec can make the records, about; 1: not at all. [default: 2]
    #[arg(long, value_name = "TIMES")]
    compressibility: Option<f64>,
    /// Gives the records so many different keys, which choose their partitions as Java's clients do. [default: no keys]
    #[arg(long, value_name = "N")]
    keys: Option<u32>,
    /// How much more often some keys come than others (Zipf's exponent); 0: all as often, 1: as words do. [default: 0]
    #[arg(long, value_name = "SKEW")]
    key_skew: Option<f64>,
    /// How long to measure, after the warm-up: 500ms, 30s, 5m. [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// How long to send before measuring. [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    warmup: Option<Duration>,
    /// Producers, each with connections of its own. [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    clients: Option<u32>,
    /// Threads that the producers share. [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// How long a batch waits for more records. [default: 0]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    linger: Option<Duration>,
    /// How batches are compressed. [default: none]
    #[arg(long, value_enum)]
    codec: Option<Codec>,
    /// Most in one batch, in bytes before compression. [default: 262144]
    #[arg(long, value_name = "BYTES")]
    batch_size: Option<usize>,
    /// Requests of one connection that may be on their way. [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    in_flight: Option<u16>,
    /// Begins to read so long after the first record: how fast consumers catch up with what is stored. [default: 0]
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "produce_only")]
    read_after: Option<Duration>,
    /// Reads as a consumer group of so many members, which store how far they are each second.
    #[arg(long, value_name = "N", conflicts_with_all = ["produce_only", "read_after"],
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    group_members: Option<u32>,
    /// Reads the records only after the measurement, to check them; no end-to-end latency.
    #[arg(long)]
    produce_only: bool,
}

impl LoadArguments {
    pub fn plan(&self, bootstrap: &str) -> Result<Plan, String> {
        let args = match &self.profile {
            Some(profile) => self.clone().with(profile::load(profile)?)?,
            None => self.clone(),
        };
        let skew = args.key_skew.unwrap_or(0.0);
        if args.keys.is_none() && args.key_skew.is_some() {
            return Err("--key-skew: say with --keys how many keys there are".to_owned());
        }
        let turns = args.one_outstanding;
        Ok(Plan {
            bootstrap: bootstrap.to_owned(),
            topic: args.topic.unwrap_or_else(|| "corelog-bench".to_owned()),
            partitions: args.partitions.unwrap_or(6),
            load: if turns { Load::Max } else { args.rate.unwrap_or(Load::Rate(1000.0)) },
            arrivals: args.arrivals.unwrap_or(Arrivals::Constant),
            sizes: args.record_size.unwrap_or(Sizes::Fixed(1024)),
            compressibility: args.compressibility.unwrap_or(2.0),
            keys: args.keys.map(|count| KeyRange { count, skew }),
            duration: args.duration.unwrap_or(Duration::from_secs(30)),
            warmup: args.warmup.unwrap_or(Duration::from_secs(5)),
            clients: args.clients.unwrap_or(4),
            linger: args.linger.unwrap_or_default(),
            codec: args.codec.map_or(Compression::None, Compression::from),
            threads: args.threads.unwrap_or(1),
            in_flight: if turns { 1 } else { usize::from(args.in_flight.unwrap_or(5)) },
            batch_bytes: args.batch_size.unwrap_or(256 << 10),
            batch_records: if turns { 1 } else { i32::MAX },
            consume: !args.produce_only,
            read_after: args.read_after.unwrap_or_default(),
            group_members: args.group_members,
            broker_pid: None,
            admin: None,
        })
    }

    /// The same as [`LoadArguments::over`], unless something that was typed would come to nothing.
    fn with(self, profile: LoadArguments) -> Result<LoadArguments, String> {
        let typed = [
            ("--linger", self.linger.is_some()),
            ("--in-flight", self.in_flight.is_some()),
            ("--batch-size", self.batch_size.is_some()),
        ];
        // Typed with --one-outstanding itself it is refused before.
        if let Some((flag, _)) = typed.into_iter().find(|(_, is)| *is)
            && profile.one_outstanding
            && self.rate.is_none()
        {
            return Err(format!(
                "{flag}: by the profile each client sends one record at a time (one_outstanding), where this means nothing; \
                 say a --rate, too, or leave it out"
            ));
        }
        Ok(self.over(profile))
    }

    /// These flags, and those of a profile where these say nothing.
    fn over(self, profile: LoadArguments) -> LoadArguments {
        // What is typed about the loop's form undoes what the profile says of it; so does what is typed about reading.
        let closed = self.one_outstanding || (profile.one_outstanding && self.rate.is_none());
        let reads = self.read_after.is_some() || self.group_members.is_some();
        let unread = self.produce_only || (profile.produce_only && !reads);
        LoadArguments {
            profile: self.profile,
            topic: self.topic.or(profile.topic),
            partitions: self.partitions.or(profile.partitions),
            rate: self.rate.or(profile.rate),
            arrivals: self.arrivals.or(profile.arrivals),
            one_outstanding: closed,
            record_size: self.record_size.or(profile.record_size),
            compressibility: self.compressibility.or(profile.compressibility),
            keys: self.keys.or(profile.keys),
            key_skew: self.key_skew.or(profile.key_skew),
            duration: self.duration.or(profile.duration),
            warmup: self.warmup.or(profile.warmup),
            clients: self.clients.or(profile.clients),
            threads: self.threads.or(profile.threads),
            linger: self.linger.or(profile.linger.filter(|_| !closed)),
            codec: self.codec.or(profile.codec),
            batch_size: self.batch_size.or(profile.batch_size.filter(|_| !closed)),
            in_flight: self.in_flight.or(profile.in_flight.filter(|_| !closed)),
            read_after: if unread { None } else { self.read_after.or(profile.read_after.filter(|_| !reads)) },
            group_members: if unread { None } else { self.group_members.or(profile.group_members.filter(|_| !reads)) },
            produce_only: unread,
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

fn sizes(text: &str) -> Result<Sizes, String> {
    Sizes::parse(text).ok_or_else(|| "write bytes as in 1024, 100..4000 or varied:1000".to_owned())
}

fn arrivals(text: &str) -> Result<Arrivals, String> {
    Arrivals::parse(text).ok_or_else(|| "write constant, poisson or bursts:N".to_owned())
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
    fn what_is_typed_wins_over_a_profile_and_what_neither_says_has_its_default() {
        let typed = LoadArguments { rate: Some(Load::Rate(7.0)), clients: Some(9), ..LoadArguments::default() };
        let profile = LoadArguments {
            one_outstanding: true,
            clients: Some(2),
            keys: Some(3),
            produce_only: true,
            ..LoadArguments::default()
        };
        let plan = typed.over(profile.clone()).plan("h:1").expect("a plan");
        assert_eq!((plan.load, plan.in_flight, plan.clients, plan.partitions), (Load::Rate(7.0), 5, 9, 6));
        assert_eq!(plan.keys, Some(KeyRange { count: 3, skew: 0.0 }));
        assert!(!plan.consume);
        let plan = LoadArguments::default().over(profile.clone()).plan("h:1").expect("a plan");
        assert_eq!((plan.load, plan.in_flight), (Load::Max, 1));
        let group = LoadArguments { group_members: Some(3), ..LoadArguments::default() };
        let plan = group.over(profile).plan("h:1").expect("a plan");
        assert!(plan.consume && plan.group_members == Some(3));
    }

    #[test]
    fn what_is_typed_and_would_come_to_nothing_beside_a_profile_is_refused() {
        let turns = LoadArguments { one_outstanding: true, ..LoadArguments::default() };
        let lingers = LoadArguments { linger: Some(Duration::from_millis(5)), ..LoadArguments::default() };
        let flights = LoadArguments { in_flight: Some(3), ..LoadArguments::default() };
        for (typed, flag) in [(lingers.clone(), "--linger"), (flights, "--in-flight")] {
            let refused = typed.clone().with(turns.clone()).expect_err(flag);
            assert!(refused.starts_with(flag), "{refused}");
            let open = LoadArguments { rate: Some(Load::Rate(7.0)), ..typed };
            assert!(open.with(turns.clone()).is_ok(), "{flag} with a rate");
        }
        // A profile's own gives way to what is typed, as everywhere.
        let plan = turns.with(lingers).and_then(|both| both.plan("h:1")).expect("a plan");
        assert_eq!((plan.in_flight, plan.linger), (1, Duration::ZERO));
    }

    #[test]
    fn sizes_are_fixed_even_or_varied() {
        assert_eq!(sizes("1024"), Ok(Sizes::Fixed(1024)));
        assert_eq!(sizes("100..4000"), Ok(Sizes::Even(100, 4000)));
        assert_eq!(sizes("varied:1000"), Ok(Sizes::Varied(1000)));
        for wrong in ["", "1k", "1..", "..2", "varied:", "-1"] {
            assert!(sizes(wrong).is_err(), "{wrong}");
        }
    }

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
