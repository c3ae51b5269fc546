//! `corelog produce TOPIC`: each line of standard input or of files, or each file, becomes a record.
//!
//! Invariant: the command succeeds only if every record was acked that was read.

mod input;
mod pace;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, stdin};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde_json::{Value, json};
use shards::batch::Compression;

use self::input::{Input, Piece, Place, Source};
use self::pace::Pace;
use super::bootstrap::{Bootstrap, pair};
use super::progress::Progress;
use super::report::{Shape, Shown, table};
use super::time::now_ms;
use super::{Failure, format, output, record_json, signals};
use crate::client::{ClientError, Outgoing, Producer, Sent, Unsent};

/// A batch is sent when it has these bytes, and has more only if one record does; well below Kafka's default limit of 1 MiB.
const BATCH_BYTES: usize = 256 << 10;
/// … or when the batches of all partitions have these bytes together: they go out in one request to each leader.
const GATHERED_BYTES: usize = 1 << 20;
/// … or when no record came for so long.
const LINGER: Duration = Duration::from_millis(5);
/// How long a signal may go unseen.
const GLANCE: Duration = Duration::from_millis(50);
/// What a record takes beside key, value and headers, at most.
const RECORD_BYTES: usize = 32;

/// Sends records, each as soon as it is there.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the records go; a broker may make it.
    topic: String,
    /// Reads this file instead of standard input; repeatable.
    #[arg(long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How the input becomes records.
    #[arg(short, long, value_enum, default_value_t = Input::Lines)]
    input: Input,
    /// What stands between key and value in a line; lines without it have no key.
    #[arg(short = 'K', long, value_name = "TEXT", value_parser = format::separator)]
    key_separator: Option<format::Separator>,
    /// The key of every record that has none itself.
    #[arg(short, long, value_name = "TEXT")]
    key: Option<String>,
    /// A header of every record, before its own; repeatable.
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = pair)]
    headers: Vec<(String, String)>,
    /// The partition; by key if not given, and in turn without a key.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// The time of every record that has none itself, in milliseconds since 1970; now if not given.
    #[arg(short, long, value_name = "MS", value_parser = clap::value_parser!(i64).range(0..))]
    timestamp: Option<i64>,
    /// How batches are compressed.
    #[arg(short = 'z', long, value_enum, default_value_t = Codec::None)]
    compression: Codec,
    /// Take an empty value for null, which deletes the key in a compacted topic.
    #[arg(short = 'Z', long)]
    null: bool,
    /// Send so many records a second, and no more.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Write to standard output what was acked, by partition: records, the first offset and the last.
    #[arg(short, long, value_enum)]
    output: Option<Shape>,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// A compression as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Codec {
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
    // Before the broker is asked for the topic, which makes it.
    let source = input::read(&args.files, args.input)?;
    let mut producer = Producer::new(args.bootstrap.connect()?, &args.topic, args.compression.into())?;
    if let Some(partition) = args.partition {
        check(partition, &producer, args)?;
    }
    // What was read is sent before the command ends.
    let stop = signals::stop()?;
    let typed = args.files.is_empty() && stdin().is_terminal();
    let mut progress = Progress::new(source.bytes, !typed);
    let mut pace = args.rate.map(|rate| Pace::new(rate, Instant::now()));
    let mut acked = Acked::default();
    let outcome = loop {
        let gathered = gather(&source, args, &producer, pace.as_mut(), &stop);
        // What came before a record that is wrong is sent all the same.
        let failed = send(&mut producer, &gathered.batches, &mut acked).err().or(gathered.failed);
        let records = gathered.batches.values().map(|batch| batch.records.len() as u64).sum();
        progress.advance(gathered.taken, records);
        match failed {
            Some(failure) => break Err(failure),
            None if gathered.ended => break Ok(()),
            None => producer.turn(),
        }
    };
    drop(progress);
    let records = acked.records();
    let plural = if records == 1 { "" } else { "s" };
    output::note(&format!("{records} record{plural} acked for \"{}\"", args.topic));
    let told = args.output.map_or(Ok(()), |output| acked.show(&args.topic, output));
    outcome.and(told)
}

/// What was acked, by partition.
#[derive(Debug, Default)]
struct Acked(BTreeMap<i32, Stretch>);

/// Of one partition. Offsets are `None` where the broker did not know them any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stretch {
    records: u64,
    first: Option<i64>,
    last: Option<i64>,
}

impl Acked {
    /// A batch of at least one record, the first of them at this offset.
    fn add(&mut self, partition: i32, records: usize, offset: Option<i64>) {
        let stretch = self.0.entry(partition).or_default();
        stretch.records += records as u64;
        stretch.first = stretch.first.or(offset);
        stretch.last = offset.map(|offset| offset.saturating_add_unsigned(records as u64 - 1)).or(stretch.last);
    }

    fn records(&self) -> u64 {
        self.0.values().map(|stretch| stretch.records).sum()
    }

    fn show(&self, topic: &str, output: Shape) -> Result<(), Failure> {
        let of_partition = |(partition, stretch): (&i32, &Stretch)| {
            let Stretch { records, first, last } = stretch;
            json!({ "partition": partition, "records": records, "first_offset": first, "last_offset": last })
        };
        let partitions: Vec<Value> = self.0.iter().map(of_partition).collect();
        let data = json!({ "topic": topic, "records": self.records(), "partitions": partitions });
        let offset = |offset: Option<i64>| offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
        let row = |(partition, stretch): (&i32, &Stretch)| {
            vec![partition.to_string(), stretch.records.to_string(), offset(stretch.first), offset(stretch.last)]
        };
        let rows: Vec<Vec<String>> = self.0.iter().map(row).collect();
        Shown { output }.show(&data, || table(&["partition", "records", "first", "last"], &rows))
    }
}

/// The records of one partition, and where each stood.
#[derive(Default)]
struct Batch {
    records: Vec<Outgoing>,
    places: Vec<Place>,
    bytes: usize,
}

/// Sends all; a request has one batch of a partition at most.
fn send(producer: &mut Producer, batches: &BTreeMap<i32, Batch>, acked: &mut Acked) -> Result<(), Failure> {
    let mut rest: Vec<_> =
        batches.iter().map(|(partition, batch)| (*partition, split(&batch.records), batch.places.as_slice())).collect();
    loop {
        let next = rest.iter_mut().filter_map(|(partition, batches, _)| Some((*partition, batches.next()?)));
        let together: Vec<(i32, &[Outgoing])> = next.collect();
        if together.is_empty() {
            return Ok(());
        }
        let Sent { offsets, failed } = producer.send(&together);
        for (partition, records) in &together {
            if let Some(offset) = offsets.get(partition) {
                acked.add(*partition, records.len(), *offset);
            }
        }
        if let Some(Unsent { partition, record, error }) = failed {
            let refused = rest.iter().find(|(of, ..)| Some(*of) == partition).map(|(.., places)| *places);
            let place = |at: usize| refused.and_then(|places| places.get(at));
            let at = match (record.and_then(place), place(0)) {
                (Some(place), _) => format!("{place}: "),
                (None, Some(first)) => format!("near {first}: "),
                (None, None) => String::new(),
            };
            return Err(Failure::from(error).after(&at));
        }
        for (partition, _, places) in &mut rest {
            let records = together.iter().find(|(of, _)| of == partition).map_or(0, |(_, records)| records.len());
            *places = places.get(records..).unwrap_or_default();
        }
    }
}

/// Batches of records, each as large as may be.
fn split(records: &[Outgoing]) -> impl Iterator<Item = &[Outgoing]> {
    let mut rest = records;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fitting = rest.iter().take_while(|record| {
            bytes += bytes_of(record);
            bytes <= BATCH_BYTES
        });
        let (batch, behind) = rest.split_at_checked(fitting.count().max(1))?;
        rest = behind;
        Some(batch)
    })
}

fn bytes_of(record: &Outgoing) -> usize {
    record.bytes() + RECORD_BYTES
}

fn check(partition: i32, producer: &Producer, args: &Arguments) -> Result<(), ClientError> {
    if partition < producer.partitions() {
        return Ok(());
    }
    let last = producer.partitions().saturating_sub(1);
    Err(ClientError::NoPartition { topic: args.topic.clone(), partition, last })
}

/// The records of the next batches.
#[derive(Default)]
struct Gathered {
    batches: BTreeMap<i32, Batch>,
    /// Bytes of the input that they took.
    taken: u64,
    ended: bool,
    /// Why nothing comes after them.
    failed: Option<Failure>,
}

/// Why there is no piece.
enum Without {
    /// None came in time.
    Late,
    /// Somebody wants the command to end.
    Stopped,
    Ended,
}

/// The next piece; waits for it until then, or for ever.
fn next(source: &Source, deadline: Option<Instant>, stop: &AtomicBool) -> Result<io::Result<Piece>, Without> {
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(Without::Stopped);
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match source.pieces.recv_timeout(left.map_or(GLANCE, |left| left.min(GLANCE))) {
            Ok(piece) => return Ok(piece),
            Err(RecvTimeoutError::Disconnected) => return Err(Without::Ended),
            Err(RecvTimeoutError::Timeout) if left.is_some_and(|left| left <= GLANCE) => return Err(Without::Late),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn gather(
    source: &Source,
    args: &Arguments,
    producer: &Producer,
    mut pace: Option<&mut Pace>,
    stop: &AtomicBool,
) -> Gathered {
    let mut gathered = Gathered::default();
    let (mut bytes, mut largest) = (0, 0);
    let mut deadline = None;
    while largest < BATCH_BYTES && bytes < GATHERED_BYTES {
        if let Some(pace) = &mut pace
            && let Some(early) = pace.early(Instant::now())
        {
            if !gathered.batches.is_empty() {
                return gathered;
            }
            if !stop.load(Ordering::Relaxed) {
                std::thread::sleep(early.min(GLANCE));
                continue;
            }
        }
        let piece = match next(source, deadline, stop) {
            Ok(Ok(piece)) => piece,
            Ok(Err(e)) => {
                gathered.failed = Some(unreadable(&e));
                return gathered;
            }
            Err(Without::Late) => return gathered,
            Err(Without::Stopped) => {
                gathered.ended = true;
                gathered.failed = left_out(source);
                return gathered;
            }
            Err(Without::Ended) => {
                gathered.ended = true;
                return gathered;
            }
        };
        deadline = deadline.or_else(|| Some(Instant::now() + LINGER));
        gathered.taken += piece.taken;
        let place = piece.place.clone();
        match record(piece, args, producer, now_ms()) {
            Ok((partition, record)) => {
                let own = bytes_of(&record);
                let batch = gathered.batches.entry(partition).or_default();
                batch.records.push(record);
                batch.places.push(place);
                batch.bytes += own;
                bytes += own;
                largest = largest.max(batch.bytes);
            }
            Err(failure) => {
                gathered.failed = Some(failure);
                return gathered;
            }
        }
        if let Some(pace) = &mut pace {
            pace.sent(Instant::now());
        }
    }
    gathered
}

/// What a stop leaves of the input; nothing if all that came was sent.
fn left_out(source: &Source) -> Option<Failure> {
    let first = source.pieces.try_recv().ok()?;
    Some(match first {
        Ok(piece) => Failure::Runtime(format!("it was stopped before {}; what came before that is acked", piece.place)),
        Err(e) => unreadable(&e),
    })
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::Runtime(format!(
        "the input cannot be read: {error}; records before that were sent: mend it, then go on from there"
    ))
}

/// The record of a piece, and the partition that it goes to.
fn record(piece: Piece, args: &Arguments, producer: &Producer, now_ms: i64) -> Result<(i32, Outgoing), Failure> {
    let now_ms = args.timestamp.unwrap_or(now_ms);
    let separator = args.key_separator.as_ref().map(|separator| separator.0.as_slice());
    let (own, mut record) = match args.input {
        Input::Lines => (None, cut(piece.bytes, separator, args.null, now_ms)),
        Input::Whole => (None, cut(piece.bytes, None, args.null, now_ms)),
        Input::Json => {
            let written = record_json::parse(&piece.bytes)
                .map_err(|why| Failure::Usage(format!("{}: {why}; records before it were sent", piece.place)))?;
            (written.partition, written.outgoing(now_ms))
        }
    };
    record.key = record.key.or_else(|| args.key.as_ref().map(|key| key.as_bytes().to_vec()));
    let bytes = |text: &str| text.as_bytes().to_vec();
    record.headers.splice(0..0, args.headers.iter().map(|(name, value)| (bytes(name), Some(bytes(value)))));
    let partition = args.partition.or(own).unwrap_or_else(|| producer.partition_of(record.key.as_deref()));
    check(partition, producer, args).map_err(|e| Failure::from(e).after(&format!("{}: ", piece.place)))?;
    Ok((partition, record))
}

/// Key and value of a line.
fn cut(line: Vec<u8>, separator: Option<&[u8]>, null: bool, timestamp_ms: i64) -> Outgoing {
    let split = separator.and_then(|separator| {
        let at = line.windows(separator.len()).position(|window| window == separator)?;
        Some((line[..at].to_vec(), line[at + separator.len()..].to_vec()))
    });
    let (key, value) = match split {
        Some((key, value)) => (Some(key), value),
        None => (None, line),
    };
    Outgoing {
        timestamp_ms,
        key,
        value: if null && value.is_empty() { None } else { Some(value) },
        headers: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(line: &str, separator: Option<&str>, null: bool) -> (Option<String>, Option<String>) {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        let made = cut(line.as_bytes().to_vec(), separator.map(str::as_bytes), null, 1);
        (made.key.map(text), made.value.map(text))
    }

    #[test]
    fn a_batch_has_more_than_its_bytes_only_if_one_record_does() {
        let record = |len| Outgoing { value: Some(vec![0; len]), ..Outgoing::default() };
        let counts = |lens: &[usize]| {
            let records: Vec<_> = lens.iter().copied().map(record).collect();
            split(&records).map(<[Outgoing]>::len).collect::<Vec<_>>()
        };
        let (small, large) = (BATCH_BYTES / 2 - RECORD_BYTES, 900 << 10);
        assert_eq!(counts(&[]), [0; 0]);
        assert_eq!(counts(&[small; 3]), [2, 1]);
        assert_eq!(counts(&[small, large]), [1, 1]);
        assert_eq!(counts(&[large, small, small, 0, large, large]), [1, 2, 1, 1, 1]);
    }

    #[test]
    fn what_was_acked_is_counted_by_partition_from_its_first_offset_to_its_last() {
        let mut acked = Acked::default();
        acked.add(1, 3, Some(10));
        acked.add(0, 1, None);
        acked.add(1, 2, Some(20));
        acked.add(1, 1, None);
        let all: Vec<_> = acked.0.iter().map(|(partition, s)| (*partition, s.records, s.first, s.last)).collect();
        assert_eq!(all, [(0, 1, None, None), (1, 6, Some(10), Some(21))]);
        assert_eq!(acked.records(), 7);
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
