//! The command line: one file per subcommand, one line for each in [`Command`]. No core's.
//!
//! Invariant: answers go to stdout and all else to stderr; exit codes are those of README.

mod admin;
mod base64;
mod bench;
mod bootstrap;
mod cluster;
mod completions;
mod config;
mod consume;
mod dev;
mod format;
mod group;
mod log;
mod man;
mod output;
mod printer;
mod produce;
mod progress;
#[cfg(test)]
mod readme_tests;
mod record_json;
mod report;
mod run;
mod serve;
mod signals;
mod stages;
mod time;
mod top;
mod topic;
mod topology;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::client::ClientError;
use crate::config::ConfigError;
use crate::launch::broker::BrokerError;
use crate::launch::process::LaunchError;

/// Something failed while it ran.
const EXIT_RUNTIME: u8 = 1;
/// The command line or the configuration is wrong. clap exits with the same.
const EXIT_USAGE: u8 = 2;
/// No broker could be reached, or the connection broke for good.
const EXIT_UNREACHABLE: u8 = 3;
/// What was named is not there: a topic, a group, a partition, an offset, a key.
const EXIT_MISSING: u8 = 4;
/// The broker refused; the message has its error.
const EXIT_REFUSED: u8 = 5;

/// Data on disk is damaged.
const EXIT_DAMAGED: u8 = 6;
/// Less the signal's number, as shells have it.
const EXIT_BY_SIGNAL: i32 = 128;

/// What `corelog --help` and the manual say of exit codes. README has the same table.
const EXIT_CODES: &str = "\
Exit codes:
  0    done, or stopped as asked
  1    an error at run time
  2    the command line or the configuration is wrong
  3    no broker could be reached
  4    what was named is not there: a topic, a group, a partition, an offset, a key
  5    the broker refused
  6    data on disk is damaged; the answer says what is lost, or that nothing is
  74   a write or sync of the broker failed
  130  a second signal cut the stop short";

/// A message broker that speaks Kafka's wire protocol, one core at a time.
#[derive(Debug, Parser)]
#[command(name = "corelog", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dev(dev::Arguments),
    Serve(serve::Arguments),
    Topic(topic::Arguments),
    Produce(produce::Arguments),
    Consume(consume::Arguments),
    Group(group::Arguments),
    Bench(bench::Arguments),
    Cluster(cluster::Arguments),
    Config(config::Arguments),
    Topology(topology::Arguments),
    Log(log::Arguments),
    Stages(stages::Arguments),
    Top(top::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

/// What ends a subcommand early. The text says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Runtime(String),
    #[error("{0}")]
    Unreachable(String),
    #[error("{0}")]
    Missing(String),
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Damaged(String),
    /// A signal cut it off.
    #[error("{text}")]
    Signal { signal: i32, text: String },
}

impl Failure {
    /// Of several the first one says how the command ends, and all are told.
    fn of_several(errors: impl Iterator<Item = ClientError>) -> Result<(), Failure> {
        let mut errors = errors;
        let Some(first) = errors.next() else { return Ok(()) };
        let texts: Vec<String> = std::iter::once(first.to_string()).chain(errors.map(|e| e.to_string())).collect();
        Err(Failure::from(first).with_text(texts.join("\n  ")))
    }

    /// The same with what it came after.
    fn after(self, before: &str) -> Failure {
        let text = format!("{before}{self}");
        self.with_text(text)
    }

    fn with_text(self, text: String) -> Failure {
        match self {
            Failure::Usage(_) => Failure::Usage(text),
            Failure::Runtime(_) => Failure::Runtime(text),
            Failure::Unreachable(_) => Failure::Unreachable(text),
            Failure::Missing(_) => Failure::Missing(text),
            Failure::Refused(_) => Failure::Refused(text),
            Failure::Damaged(_) => Failure::Damaged(text),
            Failure::Signal { signal, .. } => Failure::Signal { signal, text },
        }
    }

    fn code(&self) -> u8 {
        match self {
            Failure::Usage(_) => EXIT_USAGE,
            Failure::Runtime(_) => EXIT_RUNTIME,
            Failure::Unreachable(_) => EXIT_UNREACHABLE,
            Failure::Missing(_) => EXIT_MISSING,
            Failure::Refused(_) => EXIT_REFUSED,
            Failure::Damaged(_) => EXIT_DAMAGED,
            Failure::Signal { signal, .. } => u8::try_from(EXIT_BY_SIGNAL + signal).unwrap_or(EXIT_RUNTIME),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::Usage(error.to_string())
    }
}

impl From<BrokerError> for Failure {
    fn from(error: BrokerError) -> Failure {
        let text = error.to_string();
        if error.is_configuration() { Failure::Usage(text) } else { Failure::Runtime(text) }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        let text = error.to_string();
        match error {
            ClientError::Unreachable { .. }
            | ClientError::ToldUnreachable { .. }
            | ClientError::Broken { .. }
            | ClientError::NoLeader { .. } => Failure::Unreachable(text),
            ClientError::NoTopic { .. }
            | ClientError::NoGroup { .. }
            | ClientError::NoPartition { .. }
            | ClientError::OutOfRange { .. } => Failure::Missing(text),
            ClientError::Refused { .. }
            | ClientError::OwnTopic { .. }
            | ClientError::NotStored { .. }
            | ClientError::NotServed { .. }
            | ClientError::NoCommonVersion { .. } => Failure::Refused(text),
            ClientError::NotKafka { .. }
            | ClientError::Damaged { .. }
            | ClientError::Compress(_)
            | ClientError::Encode(_) => Failure::Runtime(text),
        }
    }
}

impl From<LaunchError> for Failure {
    fn from(error: LaunchError) -> Failure {
        let text = error.to_string();
        match error {
            LaunchError::CutShort { signal } => Failure::Signal { signal, text },
            _ => Failure::Runtime(text),
        }
    }
}

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Dev(arguments) => dev::run(arguments),
        Command::Serve(arguments) => serve::run(arguments),
        Command::Topic(arguments) => topic::run(arguments),
        Command::Produce(arguments) => produce::run(&arguments),
        Command::Consume(arguments) => consume::run(&arguments),
        Command::Group(arguments) => group::run(arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Cluster(arguments) => cluster::run(&arguments),
        Command::Config(arguments) => config::run(arguments),
        Command::Topology(arguments) => topology::run(&arguments),
        Command::Log(arguments) => log::run(&arguments),
        Command::Stages(arguments) => stages::run(&arguments),
        Command::Top(arguments) => top::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure.to_string());
            ExitCode::from(failure.code())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_takes_what_the_manual_shows() {
        Arguments::command().debug_assert();
        for line in [
            "corelog dev --data-dir /d --listen 127.0.0.1:9093 --cores 0-1 --set shards=2 --set num.partitions=4",
            "corelog serve --config corelog.toml --set log_level=debug",
            "corelog topic create t --partitions 3 --replication-factor 1 --config retention.ms=1 --bootstrap h:1",
            "corelog topic list",
            "corelog topic describe t",
            "corelog topic delete t -o json",
            "corelog topic alter t --partitions 4",
            "corelog topic config show t retention.ms --own --docs -o yaml",
            "corelog topic config set t retention.ms=1 max.message.bytes=5 --dry-run",
            "corelog topic config unset t retention.ms",
            "corelog produce t --key-separator : --header a=b --compression zstd --partition 1 --file lines",
            "corelog produce t -K : -H a=b -z zstd -p 1 -b [::1]:9092",
            "corelog produce t -i json --file a --file b -r 100 -k key -t 1700000000000",
            "corelog consume t -o json -o -5 --until 2026-11-25T10:30:00Z",
            "corelog consume t --since 2h --output json -c 3",
            "corelog consume t -o yaml -o 5",
            "corelog produce t -o table",
            "corelog produce t --output yaml -i json",
            "corelog consume t -K :",
            "corelog consume t -g g --follow --from end",
            "corelog group list --state stable --state empty -o json",
            "corelog group describe g -o yaml",
            "corelog group lag --all --watch",
            "corelog group lag g h --watch 5",
            "corelog group reset g --topic t:0,1 --topic u --to-datetime 2026-11-25T10:30:00Z --dry-run",
            "corelog group reset g --shift-by -5",
            "corelog group reset g --by-duration 2h",
            "corelog group reset g --by-duration PT1H",
            "corelog group delete g h",
            "corelog group offsets export g --to file",
            "corelog group offsets import g file --dry-run",
            "corelog group offsets delete g --topic t",
            "corelog cluster --apis -o yaml",
            "corelog config show --origin --own --config corelog.toml --set shards=2",
            "corelog config check --config corelog.toml",
            "corelog config explain num.partitions",
            "corelog config import server.properties --to corelog.toml",
            "corelog topology --set shards=4 --topic orders --topic other",
            "corelog completions zsh",
            "corelog man topic create",
            "corelog man --to pages -o json",
            "corelog log dump /d",
            "corelog log dump /d orders-0 __consumer_offsets --records --indexes --producers --from 5 --count 2 -o json",
            "corelog log dump /d --journal --catalog",
            "corelog log verify /d --repair -o json",
            "corelog log import /k --data-dir /d --skip a --skip b -o yaml",
            "corelog log import /k --config corelog.toml",
            "corelog topology --topics -b broker:9092",
            "corelog consume t --from 5 --count 3 --follow --format %k=%s\\n",
            "corelog consume t -o -5 -n 3 -F -f %k=%s\\n -p 0 -p 1",
            "corelog consume t --from @1700000000000",
            "corelog bench -b h:1 --topic t --partitions 6 --rate max --record-size 100 --duration 30s --warmup 5s --clients 4",
            "corelog bench --rate 5000 --linger 5ms --codec zstd --batch-size 1000 --in-flight 1 --threads 2 --produce-only",
            "corelog bench --arrivals bursts:10 --broker-pid 1 --admin h:9644 --out report",
            "corelog bench --one-outstanding --clients 64",
            "corelog bench --profile logs --keys 100 --key-skew 1 --record-size 100..4000 --compressibility 4 --read-after 20s",
            "corelog bench --profile steady.toml --record-size varied:400 --group-members 4",
            "corelog stages --admin h:9644 --all -o json",
            "corelog top --every 5 --admin h:9644",
            "corelog bench merge one two three --out all",
            "corelog bench compare h:1 g:2 --rounds 3 --rate 5000 --duration 10s",
        ] {
            if let Err(e) = Arguments::try_parse_from(line.split(' ')) {
                panic!("{line}: {e}");
            }
        }
        for line in [
            "corelog serve",
            "corelog consume t --from x",
            "corelog consume t -f %z",
            "corelog consume t -o table",
            "corelog produce t -o text",
            "corelog consume t --since 2h --from 5",
            "corelog consume t --until 2h --follow",
            "corelog produce t --rate 0",
            "corelog bench --rate 0",
            "corelog bench --duration 30",
            "corelog bench --one-outstanding --rate 5",
            "corelog bench --record-size 1k",
            "corelog bench --group-members 2 --produce-only",
            "corelog bench compare h:1",
            "corelog bench merge one",
            "corelog bench -b h:1 compare h:1 g:2",
            "corelog bench --partitions 0",
            "corelog topic create t --partitions 0",
            "corelog topic create t --config retention.ms",
            "corelog produce t --bootstrap h",
            "corelog produce t --bootstrap :9092",
            "corelog produce t --bootstrap ::1:9092",
            "corelog produce t --partition -1",
            "corelog consume t --group g --partition 1",
            "corelog log import /k",
            "corelog log import /k --data-dir /d --config corelog.toml",
            "corelog group lag",
            "corelog group lag g --all",
            "corelog group list --state nonsense",
            "corelog group reset g --by-duration 3600",
            "corelog group reset g --to-datetime 2h",
            "corelog consume t --since 2026-11-27T07:00:00+020",
            "corelog group reset g",
            "corelog group reset g --to-earliest --to-latest",
            "corelog group reset g --topic t:x --to-latest",
        ] {
            assert!(Arguments::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
