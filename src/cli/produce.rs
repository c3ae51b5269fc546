//! `corelog produce TOPIC`: each line of standard input, or of a file, becomes a record.
//!
//! Invariant: the command succeeds only if every line was acked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use shards::batch::Compression;

use super::bootstrap::{Bootstrap, pair};
use super::{Failure, format, output};
use crate::client::{ClientError, Outgoing, Producer};

/// A batch is sent when it has these bytes of keys and values; well below Kafka's default limit of 1 MiB.
const BATCH_BYTES: usize = 256 << 10;
/// … or when no line came for so long.
const LINGER: Duration = Duration::from_millis(5);
/// Lines that may wait to be sent.
const LINES_MAX: usize = 4096;

/// Sends lines as records, each as soon as it is there.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    topic: String,
    /// Reads this file instead of standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// What stands between key and value in a line; lines without it have no key.
    #[arg(short = 'K', long, value_name = "TEXT", value_parser = format::separator)]
    key_separator: Option<format::Separator>,
    /// A header of every record; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = pair)]
    headers: Vec<(String, String)>,
    /// The partition; by key if not given, and in turn without a key.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// How batches are compressed.
    #[arg(short = 'z', long, value_enum, default_value_t = Codec::None)]
    compression: Codec,
    /// Take an empty value for null, which deletes the key in a compacted topic.
    #[arg(short = 'Z', long)]
    null: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Compression {
        match codec {
            Codec::None => Compression::None,
            Codec::Gzip => Compression::Gzip,
            Codec::Snappy => Compression::Snappy,
            Codec::Lz4 => Compression::Lz4,
            Codec::Zstd => Compression::Zstd,
        }
    }
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let bytes = |text: &str| text.as_bytes().to_vec();
    let headers = args.headers.iter().map(|(name, value)| (bytes(name), Some(bytes(value)))).collect();
    let cluster = args.bootstrap.connect()?;
    let mut producer = Producer::new(cluster, &args.topic, args.compression.into(), headers)?;
    if let Some(partition) = args.partition.filter(|partition| *partition >= producer.partitions()) {
        let last = producer.partitions().saturating_sub(1);
        let topic = args.topic.clone();
        return Err(ClientError::NoPartition { topic, partition, last }.into());
    }
    let lines = read_lines(args.file.as_deref())?;
    let mut sent = 0u64;
    loop {
        let (batches, ended) = gather(&lines, args, &producer)?;
        for (partition, records) in &batches {
            producer.send(*partition, records).inspect_err(|_| acked(sent, &args.topic))?;
            sent += records.len() as u64;
        }
        if ended {
            break;
        }
        producer.turn();
    }
    acked(sent, &args.topic);
    Ok(())
}

fn acked(records: u64, topic: &str) {
    let plural = if records == 1 { "" } else { "s" };
    output::note(&format!("{records} record{plural} acked for \"{topic}\""));
}

/// Lines as they come, without their ends; the channel ends with the input.
fn read_lines(file: Option<&Path>) -> Result<Receiver<io::Result<Vec<u8>>>, Failure> {
    let input: Box<dyn Read + Send> = match file {
        None => Box::new(io::stdin()),
        Some(path) => Box::new(File::open(path).map_err(|e| Failure::Usage(format!("{}: {e}", path.display())))?),
    };
    let (lines, received) = sync_channel(LINES_MAX);
    std::thread::spawn(move || {
        let mut input = BufReader::with_capacity(256 << 10, input);
        loop {
            let mut line = Vec::new();
            let read = match input.read_until(b'\n', &mut line) {
                Ok(0) => return,
                Ok(_) => {
                    if line.ends_with(b"\n") {
                        line.pop();
                    }
                    Ok(line)
                }
                Err(e) => Err(e),
            };
            let last = read.is_err();
            // Nobody takes lines any more when the command has failed.
            if lines.send(read).is_err() || last {
                return;
            }
        }
    });
    Ok(received)
}

/// The records of the next batches, by partition, and whether the input has ended.
fn gather(
    lines: &Receiver<io::Result<Vec<u8>>>,
    args: &Arguments,
    producer: &Producer,
) -> Result<(BTreeMap<i32, Vec<Outgoing>>, bool), Failure> {
    let mut batches: BTreeMap<i32, Vec<Outgoing>> = BTreeMap::new();
    let mut bytes = 0;
    let mut deadline = None;
    while bytes < BATCH_BYTES {
        let line = match deadline {
            None => lines.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(deadline) => lines.recv_timeout(Instant::saturating_duration_since(&deadline, Instant::now())),
        };
        let line = match line {
            Ok(Ok(line)) => line,
            Ok(Err(e)) => return Err(Failure::Runtime(format!("the input cannot be read: {e}"))),
            Err(RecvTimeoutError::Timeout) => return Ok((batches, false)),
            Err(RecvTimeoutError::Disconnected) => return Ok((batches, true)),
        };
        deadline = deadline.or_else(|| Some(Instant::now() + LINGER));
        let record =
            record(line, args.key_separator.as_ref().map(|separator| separator.0.as_slice()), args.null, now_ms());
        let partition = args.partition.unwrap_or_else(|| producer.partition_of(record.key.as_deref()));
        // What a record takes beside key and value, headers apart.
        bytes += record.bytes() + 32;
        batches.entry(partition).or_default().push(record);
    }
    Ok((batches, false))
}

fn record(line: Vec<u8>, separator: Option<&[u8]>, null: bool, timestamp_ms: i64) -> Outgoing {
    let split = separator.and_then(|separator| {
        let at = line.windows(separator.len()).position(|window| window == separator)?;
        Some((line[..at].to_vec(), line[at + separator.len()..].to_vec()))
    });
    let (key, value) = match split {
        Some((key, value)) => (Some(key), value),
        None => (None, line),
    };
    Outgoing { timestamp_ms, key, value: Some(value).filter(|value| !(null && value.is_empty())) }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(line: &str, separator: Option<&str>, null: bool) -> (Option<String>, Option<String>) {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        let made = record(line.as_bytes().to_vec(), separator.map(str::as_bytes), null, 1);
        (made.key.map(text), made.value.map(text))
    }

    #[test]
    fn a_line_is_cut_at_the_first_separator() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parts("a:b:c", None, false), (None, some("a:b:c")));
        assert_eq!(parts("a:b:c", Some(":"), false), (some("a"), some("b:c")));
        assert_eq!(parts("a=>b", Some("=>"), false), (some("a"), some("b")));
        assert_eq!(parts("abc", Some(":"), false), (None, some("abc")));
        assert_eq!(parts(":b", Some(":"), false), (some(""), some("b")));
        assert_eq!(parts("a:", Some(":"), false), (some("a"), some("")));
        assert_eq!(parts("a:", Some(":"), true), (some("a"), None));
        assert_eq!(parts("", None, true), (None, None));
        assert_eq!(parts("x", Some("longer than the line"), false), (None, some("x")));
    }
}
