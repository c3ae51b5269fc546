//! `corelog produce`: each line of standard input, or of a file, becomes a record. Synced before it is counted.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, stdin};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use shards::batch::{BatchBuilder, Compression, CompressionLevels, NewRecord};

use super::output::note;
use super::topic::key_value;
use super::{Bootstrap, Failure};
use crate::client::driver::Client;
use crate::client::partitioner::partition_of;
use crate::wire::messages::metadata::MetadataResponseTopic;

/// A batch is sent when it has so many bytes, well below the default of `max.message.bytes`.
const BATCH_BYTES: usize = 256 << 10;

/// Sends lines as records.
#[derive(Debug, Args)]
pub struct Arguments {
    topic: String,
    /// Reads this file instead of standard input.
    #[arg(long)]
    file: Option<PathBuf>,
    /// What stands between key and value in a line; without it, records have no key.
    #[arg(long, value_name = "TEXT")]
    key_separator: Option<String>,
    /// A header of every record; repeatable.
    #[arg(long = "header", value_name = "KEY=VALUE", value_parser = key_value)]
    headers: Vec<(String, String)>,
    /// Sends everything to this partition; else by key, or in turn.
    #[arg(long)]
    partition: Option<i32>,
    #[arg(long, value_enum, default_value_t = Codec::None)]
    compression: Codec,
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

/// Collects and sends.
struct Sender {
    client: Client,
    topic: MetadataResponseTopic,
    codec: Compression,
    producer: (i64, i16),
    open: BTreeMap<i32, BatchBuilder>,
    sequences: BTreeMap<i32, i32>,
    records: u64,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut client = Client::connect(&arguments.bootstrap.bootstrap)?;
    let topic = client.topic(&arguments.topic)?;
    let producer = client.producer_id()?;
    let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    let mut sender = Sender {
        client,
        topic,
        codec: arguments.compression.into(),
        producer,
        open: BTreeMap::new(),
        sequences: BTreeMap::new(),
        records: 0,
    };
    let headers: Vec<(&[u8], Option<&[u8]>)> =
        arguments.headers.iter().map(|(key, value)| (key.as_bytes(), Some(value.as_bytes()))).collect();
    let mut input: Box<dyn BufRead> = match &arguments.file {
        None => Box::new(stdin().lock()),
        Some(path) => {
            Box::new(BufReader::new(File::open(path).map_err(|e| Failure::Usage(format!("{}: {e}", path.display())))?))
        }
    };
    let mut turn = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line).map_err(|e| Failure::Runtime(format!("reading the input: {e}")))? == 0 {
            break;
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let (key, value) = split(text, arguments.key_separator.as_deref());
        let partition = match (arguments.partition, key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_of(key, partitions),
            (None, None) => {
                turn = (turn + 1) % partitions.max(1);
                turn
            }
        };
        sender.add(partition, &NewRecord { timestamp_ms: now_ms(), key, value: Some(value), headers: &headers })?;
    }
    sender.flush()?;
    note(&format!("{} records sent to {}", sender.records, arguments.topic));
    Ok(())
}

impl Sender {
    fn add(&mut self, partition: i32, record: &NewRecord<'_>) -> Result<(), Failure> {
        let (codec, producer) = (self.codec, self.producer);
        let sequence = self.sequences.get(&partition).copied().unwrap_or(0);
        let batch = self.open.entry(partition).or_insert_with(|| {
            BatchBuilder::new(record.timestamp_ms)
                .compression(codec, CompressionLevels::default())
                .producer(producer.0, producer.1, sequence)
        });
        batch.push(record);
        if batch.bytes() >= BATCH_BYTES { self.send(partition) } else { Ok(()) }
    }

    fn send(&mut self, partition: i32) -> Result<(), Failure> {
        let Some(batch) = self.open.remove(&partition) else { return Ok(()) };
        let count = batch.len();
        let bytes = batch.finish().map_err(|e| Failure::Runtime(format!("compressing: {e}")))?;
        self.client.produce(&self.topic, partition, bytes)?;
        let next = self.sequences.entry(partition).or_insert(0);
        // Sequences wrap to 0 after the largest.
        *next = next.checked_add(count).unwrap_or_else(|| next.wrapping_add(count) & i32::MAX);
        self.records += u64::from(count.unsigned_abs());
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let open: Vec<i32> = self.open.keys().copied().collect();
        open.into_iter().try_for_each(|partition| self.send(partition))
    }
}

/// Key and value of a line.
fn split<'a>(line: &'a [u8], separator: Option<&str>) -> (Option<&'a [u8]>, &'a [u8]) {
    let Some(separator) = separator.map(str::as_bytes).filter(|s| !s.is_empty()) else { return (None, line) };
    let at = line.windows(separator.len()).position(|window| window == separator);
    match at.and_then(|at| Some((line.get(..at)?, line.get(at + separator.len()..)?))) {
        Some((key, value)) => (Some(key), value),
        None => (None, line),
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_at_the_first_separator() {
        assert_eq!(split(b"a::b::c", Some("::")), (Some(&b"a"[..]), &b"b::c"[..]));
        assert_eq!(split(b"abc", Some(":")), (None, &b"abc"[..]));
        assert_eq!(split(b"a:b", None), (None, &b"a:b"[..]));
    }
}
