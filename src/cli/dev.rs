//! `corelog dev`: a broker to try things with. Not pinned, one shard, and a data directory that goes with it unless one
//! is given; every ack is still synced.

use std::fs::DirBuilder;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Failure;
use super::run::{self, Settings};
use crate::config::machine::Machine;
use crate::config::{Config, Flag};
use crate::launch::{broker, log};

/// Run a broker to try things with.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where to keep the data; without it, in a temporary directory that is removed at the end.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:9092].
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// CPUs to pin shards to: "0-3,8", a count, or "all"; without it, one shard that is not pinned.
    #[arg(long, value_name = "SPEC")]
    cores: Option<String>,
    #[command(flatten)]
    settings: Settings,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = Config::load(None, run::variables(), &arguments.flags()?)?;
    let (config, temporary) = with_defaults(config)?;
    let done = run::run(&config, |addr| paste(run::reachable(addr)));
    // Only now: the broker has closed its files.
    drop(temporary);
    done
}

impl Arguments {
    fn flags(&self) -> Result<Vec<Flag>, Failure> {
        let mut flags = Vec::new();
        if let Some(dir) = &self.data_dir {
            let text =
                dir.to_str().ok_or_else(|| Failure::Usage(format!("--data-dir {}: not UTF-8", dir.display())))?;
            flags.push(Flag::new("--data-dir", "data_dir", text));
        }
        if let Some(listen) = &self.listen {
            flags.push(Flag::new("--listen", "listeners", format!("PLAINTEXT://{listen}")));
        }
        if let Some(cores) = &self.cores {
            flags.push(Flag::new("--cores", "cores", cores.as_str()));
        }
        let set = self.settings.flags()?;
        if let Some(own) = flags.iter().find(|own| set.iter().any(|flag| flag.key == own.key)) {
            return Err(Failure::Usage(format!("{} and --set {} say the same; give one of them", own.flag, own.key)));
        }
        flags.extend(set);
        Ok(flags)
    }
}

/// What `dev` does where nothing else is said.
fn with_defaults(mut config: Config) -> Result<(Config, Option<TemporaryDir>), Failure> {
    if config.given("cores").is_none() {
        config.set_default("dev", "pin", "false")?;
        config.set_default("dev", "shards", "1")?;
    }
    if config.given("data_dir").is_some() {
        return Ok((config, None));
    }
    let made = TemporaryDir::make().map_err(|(path, e)| {
        Failure::Runtime(format!("{}: {e}; give a directory with --data-dir, or another TMPDIR", path.display()))
    })?;
    config.set_default("dev", "data_dir", &made.0.to_string_lossy())?;
    // What is thrown away should not fill the disk meanwhile.
    let journal_bytes = broker::outline(&config, &Machine::look())?.journals.least;
    config.set_default("dev", "journal.bytes.max", &journal_bytes.to_string())?;
    Ok((config, Some(made)))
}

/// Lines for a client, to paste.
fn paste(addr: SocketAddr) {
    log::tell(&format!(
        "\nTry it:
  echo hello | kcat -b {addr} -P -t greetings
  kcat -b {addr} -C -t greetings -o beginning -e
In Python (pip install confluent-kafka):
  from confluent_kafka import Producer
  producer = Producer({{\"bootstrap.servers\": \"{addr}\"}})
  producer.produce(\"greetings\", b\"hello\")
  producer.flush()
Ctrl-C stops the broker.\n"
    ));
}

/// A directory is tried to be removed so often, and so far apart.
const REMOVE_TRIES: u32 = 20;
const REMOVE_PAUSE: Duration = Duration::from_millis(50);

/// A directory of our own, removed when dropped. A kill leaves it.
#[derive(Debug)]
struct TemporaryDir(PathBuf);

impl TemporaryDir {
    fn make() -> Result<TemporaryDir, (PathBuf, io::Error)> {
        // /tmp is often in memory, where direct I/O may not work and the data would fill it.
        let var_tmp = Path::new("/var/tmp");
        let parent = match std::env::var_os("TMPDIR") {
            None if var_tmp.is_dir() => var_tmp.to_owned(),
            _ => std::env::temp_dir(),
        };
        let random = u64::from_le_bytes(crate::launch::random());
        let path = parent.join(format!("corelog-dev-{random:016x}"));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(TemporaryDir(path)),
            Err(e) => Err((path, e)),
        }
    }
}

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        for tries_left in (0..REMOVE_TRIES).rev() {
            match std::fs::remove_dir_all(&self.0) {
                Ok(()) => return,
                // Cores whose start was cut off still make files.
                Err(_) if tries_left > 0 => std::thread::sleep(REMOVE_PAUSE),
                Err(e) => log::tell(&format!("corelog: {} could not be removed: {e}", self.0.display())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, FromArgMatches};

    use super::*;

    fn config(settings: &[&str]) -> (Config, Option<TemporaryDir>) {
        let flags: Vec<Flag> = settings.iter().map(|text| Flag::set(text).expect("a flag")).collect();
        with_defaults(Config::load(None, [], &flags).expect("good")).expect("a directory")
    }

    #[test]
    fn dev_is_one_shard_that_is_not_pinned_unless_cores_are_named() {
        let (plain, _dir) = config(&[]);
        assert_eq!((plain.flag("pin"), plain.int_given("shards")), (false, Some(1)));
        let (cores, _dir) = config(&["cores=all"]);
        assert_eq!((cores.flag("pin"), cores.int_given("shards")), (true, None));
        let (shards, _dir) = config(&["shards=3"]);
        assert_eq!((shards.flag("pin"), shards.int_given("shards")), (false, Some(3)));
    }

    #[test]
    fn what_is_said_twice_is_refused() {
        let given = |set: &str| {
            let command = Arguments::augment_args(clap::Command::new("dev"));
            let matches = command.get_matches_from(["dev", "--data-dir", "/d", "--set", set]);
            Arguments::from_arg_matches(&matches).expect("well-formed")
        };
        let twice = given("data_dir=/e").flags().expect_err("which of them is meant?").to_string();
        assert!(twice.contains("--data-dir and --set data_dir"), "{twice}");
        assert_eq!(given("shards=2").flags().expect("two settings").len(), 2);
    }

    #[test]
    fn a_temporary_directory_goes_and_a_given_one_stays() {
        let (made, dir) = config(&[]);
        let path = PathBuf::from(made.text("data_dir").expect("one was made"));
        assert!(path.is_dir());
        let journals = broker::outline(&made, &Machine::look()).expect("it could run").journals;
        assert_eq!(journals.most, journals.least);
        drop(dir);
        assert!(!path.exists());
        assert!(config(&["data_dir=/somewhere"]).1.is_none());
    }
}
